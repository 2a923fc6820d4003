//! Compression, known by its first bytes and never by a name: plain, gzip, zstd, bzip2, lz4.
//!
//! Invariant: a stream that ends too early is an error, in every format.

use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Context, Result};
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::lz4::Lz4;
use super::refuse;

/// How much is read at once.
pub const BUFFER: usize = 128 * 1024;

/// Largest window of a zstd stream, which is memory: zstd uses 8 MiB up to level 19 (RFC 8878 asks decoders for as
/// much), the Go encoder that skopeo and podman use up to 32 MiB at its highest level.
const MAX_WINDOW: u64 = 32 << 20;

/// What a stream begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames, skippable ones too (zstd:chunked ends with such).
    Zstd,
    /// Any number of streams, as pbzip2 writes them.
    Bzip2,
    /// The frame format, any number of frames, skippable ones too.
    Lz4,
}

impl Compression {
    /// Looks at the first bytes, at least 6 unless the stream is shorter.
    pub fn of(start: &[u8]) -> Result<Compression> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => Ok(Compression::Bzip2),
            [0x04, 0x22, 0x4d, 0x18, ..] => Ok(Compression::Lz4),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => {
                refuse!("is compressed with xz: only gzip, zstd, bzip2 and lz4 are supported")
            }
            _ => Ok(Compression::Plain),
        }
    }
}

/// The content of `source`, unpacked if it is packed; reading beyond `most` bytes fails.
pub fn unpacked<'a>(source: impl Read + 'a, most: u64) -> Result<Box<dyn Read + 'a>> {
    let mut source = source;
    let mut start = Vec::with_capacity(6);
    (&mut source).take(6).read_to_end(&mut start).context("read")?;
    let compression = Compression::of(&start)?;
    let whole = io::Cursor::new(start).chain(source);
    let packed = |whole| BufReader::with_capacity(BUFFER, whole);
    Ok(match compression {
        Compression::Plain => Box::new(Bounded { source: whole, most, left: most }),
        Compression::Gzip => {
            Box::new(Bounded { source: MultiGzDecoder::new(packed(whole)), most, left: most })
        }
        Compression::Zstd => Box::new(Bounded { source: Zstd::new(packed(whole)), most, left: most }),
        Compression::Bzip2 => {
            Box::new(Bounded { source: MultiBzDecoder::new(packed(whole)), most, left: most })
        }
        Compression::Lz4 => Box::new(Bounded { source: Lz4::new(packed(whole)), most, left: most }),
    })
}

/// Fails where a stream turns out longer than `most` bytes.
struct Bounded<R> {
    source: R,
    most: u64,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            let reason = format!("unpacks to more than {} bytes", self.most);
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        Ok(length)
    }
}

/// Frame after frame.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    within_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Zstd<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Zstd { source, decoder, within_frame: false }
    }

    /// Goes to the next frame with content; `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                    if skipped < length.into() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy::UptoBytes;
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within_frame {
                self.within_frame = self.next_frame()?;
                if !self.within_frame {
                    return Ok(0);
                }
            }
            if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder.decode_blocks(&mut self.source, UptoBytes(buffer.len())).map_err(invalid)?;
            }
            let length = self.decoder.read(buffer)?;
            self.within_frame = !(self.decoder.is_finished() && self.decoder.can_collect() == 0);
            if length > 0 {
                return Ok(length);
            }
        }
    }
}

fn invalid(error: FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
