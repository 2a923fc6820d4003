//! From the records of a log to the lines that were printed.
//!
//! Every byte of every log comes through here: a whole line is looked at where it lies, and only what is cut is copied.

use anyhow::Result;
use memchr::memchr;

use crate::protocol::log_record;

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
        let Some((time, stream, whole, text)) = log_record(record) else {
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
