//! The format of container logs: `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, where P is a piece of a line that goes
//! on in the same stream.

use anyhow::Result;

/// Longest line that is put together, in bytes; a longer one comes in several.
const LONGEST: usize = 1024 * 1024;

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
    /// Takes in the next bytes of the files.
    pub fn bytes(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<()> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") || self.begun.len() > LONGEST {
                let record = std::mem::take(&mut self.begun);
                self.record(record.strip_suffix(b"\n").unwrap_or(&record), out)?;
            }
        }
        Ok(())
    }

    /// What was begun and never ended.
    pub fn rest(&mut self, out: &mut Out<'_>) -> Result<()> {
        let record = std::mem::take(&mut self.begun);
        if !record.is_empty() {
            self.record(&record, out)?;
        }
        for piece in self.pieces.iter_mut().filter_map(Option::take) {
            out(Line { time: &piece.time, text: &piece.text })?;
        }
        Ok(())
    }

    fn record(&mut self, record: &[u8], out: &mut Out<'_>) -> Result<()> {
        let Some((time, stream, whole, text)) = parse(record) else {
            // A disk that was full cuts lines: what is left of them is evidence.
            return out(Line { time: b"?", text: record });
        };
        let piece = self.pieces[stream].take();
        if whole && piece.is_none() {
            return out(Line { time, text });
        }
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
    let mut fields = record.splitn(4, |byte| *byte == b' ');
    let (time, stream, tags) = (fields.next()?, fields.next()?, fields.next()?);
    let text = fields.next().unwrap_or_default();
    let stream = match stream {
        b"stdout" => 0,
        b"stderr" => 1,
        _ => return None,
    };
    // Tags are separated by colons, of which the first is this one.
    let whole = match tags.split(|byte| *byte == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    Some((time, stream, whole, text))
}
