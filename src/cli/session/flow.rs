//! Bytes on their way from one descriptor to another, through one buffer.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::PollFlags;

use crate::cli::sink::Sink;

/// Most that is taken at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Where bytes go.
pub enum Target {
    /// As they are.
    Plain(File),
    /// Our stdout or stderr, which is a terminal: harmless. The file is only waited for.
    Harmless(Sink, File),
}

/// One direction.
///
/// Invariant: nothing is read before what was read is written, so that memory is bounded by the buffer and whoever writes
/// is held up by whoever reads.
pub struct Flow {
    /// Where bytes come from; `None` once it ended.
    from: Option<File>,
    to: Target,
    buffer: Box<[u8]>,
    /// What of the buffer is still to be written.
    pending: Range<usize>,
    /// Whether to be told at once when nobody takes it any more, rather than by the next write.
    watched: bool,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something moved.
    Moved,
    /// Not now.
    Nothing,
    /// Nothing more will come.
    Ended,
    /// Nobody takes it any more.
    Unwanted,
}

impl Flow {
    /// From `from` to `to`; neither needs to be non-blocking, but is not waited for if it is.
    pub fn new(from: File, to: Target) -> Flow {
        // One more than is read: see `fill`.
        Flow { from: Some(from), to, buffer: vec![0; CHUNK + 1].into(), pending: 0..0, watched: false }
    }

    /// The same, but told at once when nobody takes it any more.
    pub fn watched(mut self) -> Flow {
        self.watched = true;
        self
    }

    /// What to wait for at either end.
    pub fn wanted(&self) -> [Option<(BorrowedFd<'_>, PollFlags)>; 2] {
        let idle = self.pending.is_empty();
        let from = self.from.as_ref().filter(|_| idle).map(|from| (from.as_fd(), PollFlags::POLLIN));
        let flags = if idle { PollFlags::empty() } else { PollFlags::POLLOUT };
        let to = !idle || (self.watched && self.from.is_some());
        [from, to.then(|| (self.target(), flags))]
    }

    /// The end that is written to.
    pub fn target(&self) -> BorrowedFd<'_> {
        match &self.to {
            Target::Plain(file) | Target::Harmless(_, file) => file.as_fd(),
        }
    }

    /// Whether there is something to be written.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Reads once, if there is room. `look` is given the buffer and how much came; how much is to be passed on may be one
    /// more, or less.
    pub fn fill(&mut self, look: impl FnOnce(&mut [u8], usize) -> usize) -> Result<Step> {
        let Some(from) = self.from.as_mut().filter(|_| self.pending.is_empty()) else {
            return Ok(if self.from.is_none() { Step::Ended } else { Step::Nothing });
        };
        match from.read(&mut self.buffer[..CHUNK]) {
            Ok(0) => {}
            Ok(length) => {
                self.pending = 0..look(&mut self.buffer, length);
                return Ok(Step::Moved);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Step::Nothing);
            }
            // A terminal that nobody has open any more, or that was hung up.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {}
            Err(error) => return Err(error).context("read"),
        }
        self.from = None;
        Ok(Step::Ended)
    }

    /// Writes what is pending, as far as that goes now.
    pub fn empty(&mut self) -> Result<Step> {
        while !self.pending.is_empty() {
            let bytes = &self.buffer[self.pending.clone()];
            let written = match &mut self.to {
                Target::Harmless(sink, _) => match sink.write(bytes)? {
                    true => Ok(bytes.len()),
                    false => return Ok(Step::Unwanted),
                },
                Target::Plain(file) => file.write(bytes),
            };
            match written {
                Ok(length) => self.pending.start += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Step::Nothing),
                Err(error)
                    if error.kind() == ErrorKind::BrokenPipe
                        || error.raw_os_error() == Some(Errno::EIO as i32) =>
                {
                    return Ok(Step::Unwanted);
                }
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(Step::Moved)
    }

    /// Writes what was held back because it might have gone on.
    pub fn finish(&mut self) -> Result<()> {
        match &mut self.to {
            Target::Harmless(sink, _) => sink.finish().map(drop),
            Target::Plain(_) => Ok(()),
        }
    }
}
