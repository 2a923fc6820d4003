//! lz4's frame format, frame after frame.
//!
//! The decoder of `lz4_flex` stops at the end of each frame, and takes the end of the file between two blocks for the end of
//! a frame: here the next frame is gone on with, and an early end is told.

use std::io::{self, BufRead, Read};

use lz4_flex::frame::FrameDecoder;

/// Skippable frames begin with a number of which the lowest four bits are free, and then tell their length.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The content of an lz4 stream.
pub struct Lz4<R: BufRead>(FrameDecoder<Ended<R>>);

/// A source that remembers whether somebody met its end.
struct Ended<R> {
    source: R,
    ended: bool,
}

impl<R: BufRead> Lz4<R> {
    /// Starts at the first frame.
    pub fn new(source: R) -> Lz4<R> {
        Lz4(FrameDecoder::new(Ended { source, ended: false }))
    }
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let length = self.0.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            let source = self.0.get_mut();
            // A frame ends with a mark of its own: who reads on to the end of the file misses it.
            if source.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !source.has_another()? {
                return Ok(0);
            }
        }
    }
}

impl<R: BufRead> Ended<R> {
    /// Whether there is another frame; goes over those that are to be skipped.
    fn has_another(&mut self) -> io::Result<bool> {
        loop {
            // Enough of it to tell, unless it ends within: then the decoder says so.
            match self.source.fill_buf()? {
                [] => return Ok(false),
                [0x50..=0x5f, rest @ ..]
                    if rest.iter().zip(SKIPPABLE).all(|(byte, known)| *byte == known) => {}
                _ => return Ok(true),
            }
            let mut head = [0; 8];
            self.source.read_exact(&mut head)?;
            let [.., a, b, c, d] = head;
            let length = u64::from(u32::from_le_bytes([a, b, c, d]));
            if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl<R: Read> Read for Ended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.ended |= length == 0 && !buffer.is_empty();
        Ok(length)
    }
}
