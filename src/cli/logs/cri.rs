//! The format of container logs: `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, where P is a piece of a line that goes
//! on in the same stream.
//!
//! Every byte of every log comes through here: a whole line is looked at where it lies, and only what is cut is copied.

use anyhow::Result;
use memchr::memchr;

/// Longest line that is put together, in bytes; a longer one comes in several.
pub const LONGEST: usize = 1024 * 1024;

/// The time of what is no log line.
pub const UNKNOWN: &[u8] = b"?";

/// A line of output.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'b> {
    /// When its first piece was written, as written.
    pub time: &'b [u8],
    /// Without its line feed.
    pub text: &'b [u8],
}

/// Bytes of files to lines of output.
#[derive(Default)]
pub struct Joiner {
    /// A line of the file without its end yet.
    begun: Vec<u8>,
    /// A line of stdout, of stderr, without its end yet.
    pieces: [Option<Piece>; 2],
}

struct Piece {
    time: Vec<u8>,
    text: Vec<u8>,
}

/// What gets the lines.
type Out<'o> = dyn FnMut(Line<'_>) -> Result<()> + 'o;

impl Joiner {
    /// Takes in the next bytes of a file.
    pub fn bytes(&mut self, mut bytes: &[u8], out: &mut Out<'_>) -> Result<()> {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.begun.is_empty() {
                self.record(&bytes[..end], out)?;
            } else {
                self.begun.extend_from_slice(&bytes[..end]);
                self.end_of_file(out)?;
            }
            bytes = &bytes[end + 1..];
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() > LONGEST { self.end_of_file(out) } else { Ok(()) }
    }

    /// The file is over: a line of it that has no end has none. A line of output may go on in the next file.
    pub fn end_of_file(&mut self, out: &mut Out<'_>) -> Result<()> {
        let record = std::mem::take(&mut self.begun);
        if record.is_empty() { Ok(()) } else { self.record(&record, out) }
    }

    /// What was begun and never ended.
    pub fn rest(&mut self, out: &mut Out<'_>) -> Result<()> {
        self.end_of_file(out)?;
        for piece in self.pieces.iter_mut().filter_map(Option::take) {
            out(Line { time: &piece.time, text: &piece.text })?;
        }
        Ok(())
    }

    fn record(&mut self, record: &[u8], out: &mut Out<'_>) -> Result<()> {
        let Some((time, stream, whole, text)) = parse(record) else {
            // A disk that was full cuts lines: what is left of them is evidence.
            return out(Line { time: UNKNOWN, text: record });
        };
        if whole && self.pieces[stream].is_none() {
            return out(Line { time, text });
        }
        let piece = self.pieces[stream].take();
        let mut piece = piece.unwrap_or_else(|| Piece { time: time.to_vec(), text: Vec::new() });
        piece.text.extend_from_slice(text);
        if whole || piece.text.len() > LONGEST {
            return out(Line { time: &piece.time, text: &piece.text });
        }
        self.pieces[stream] = Some(piece);
        Ok(())
    }
}

/// Time, stream (0 is stdout), whether the line ends here, text.
fn parse(record: &[u8]) -> Option<(&[u8], usize, bool, &[u8])> {
    let (time, rest) = record.split_at(memchr(b' ', record)?);
    let (stream, rest) = match rest.get(..8)? {
        b" stdout " => (0, &rest[8..]),
        b" stderr " => (1, &rest[8..]),
        _ => return None,
    };
    let whole = match rest.first()? {
        b'F' => true,
        b'P' => false,
        _ => return None,
    };
    match rest.get(1) {
        None => Some((time, stream, whole, &[])),
        Some(b' ') => Some((time, stream, whole, &rest[2..])),
        // Tags are separated by colons, of which the first is this one.
        Some(b':') => Some((time, stream, whole, memchr(b' ', rest).map_or(&[][..], |end| &rest[end + 1..]))),
        Some(_) => None,
    }
}
