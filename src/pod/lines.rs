//! A container's output as CRI log records: `<time> stdout|stderr F|P <text>`.
//!
//! A line longer than [`LONGEST`] is told in parts, all but the last marked `P`, and so is a last line without an end, as
//! in containerd. The text is what the container wrote, byte for byte.
//!
//! Invariant: nothing is allocated for a line that arrives whole.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use super::log_file::Log;
use super::readers::Reader;
use crate::sys::clock;

/// Name of the first output stream.
pub const STDOUT: &str = "stdout";

/// Name of the second.
pub const STDERR: &str = "stderr";

/// Longest text of one record, in bytes (containerd's `max_container_log_line_size`).
const LONGEST: usize = 16 * 1024;

/// Records are written to the file when there are this many bytes of them.
const BATCH: usize = 16 * 1024;

/// Buffers that all streams of a pod share, since there is one thread; and what was lost.
pub struct Scratch {
    input: Vec<u8>,
    batch: Vec<u8>,
    time: String,
    /// Bytes of records lost to disks, all logs together.
    pub dropped: u64,
}

impl Scratch {
    /// Buffers; they grow to some 50 KiB.
    pub fn new() -> Scratch {
        Scratch { input: vec![0; LONGEST], batch: Vec::new(), time: String::new(), dropped: 0 }
    }
}

/// What came of reading a stream once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// Some bytes.
    Some,
    /// Nothing is there now.
    Nothing,
    /// Nothing will ever come.
    End,
}

/// One of a container's two output streams; the only one where it has a terminal.
pub struct Stream {
    pipe: File,
    name: &'static str,
    /// A line whose end has not come yet.
    begun: Vec<u8>,
}

impl Stream {
    /// The stream `name` that comes out of `pipe`, which does not block; it may be a terminal's master.
    pub fn new(pipe: File, name: &'static str) -> Stream {
        Stream { pipe, name, begun: Vec::new() }
    }

    /// [`STDOUT`] or [`STDERR`].
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What to wait for.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Reads once, at most 16 KiB, logs it, and lets `readers` have it too.
    pub fn read(&mut self, log: &mut Log, scratch: &mut Scratch, readers: &mut [Reader]) -> Got {
        let Scratch { input, batch, time, dropped } = scratch;
        let length = match self.pipe.read(input) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Got::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Got::Nothing,
            // A terminal that was hung up.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => 0,
            Err(error) => {
                log::error!("read a container's {}: {error}", self.name);
                return Got::End;
            }
        };
        for reader in readers {
            reader.give(self.name, input.get(..length).unwrap_or_default());
        }
        let now = jiff::Timestamp::from_nanosecond(clock::wall().0.into()).unwrap_or_default();
        time.clear();
        // Writing to a string does not fail.
        let _ = write!(time, "{now:.9}");
        let mut records = Records { log, batch, dropped, time, stream: self.name };
        if length == 0 {
            if !self.begun.is_empty() {
                records.add('P', &self.begun, &[]);
                self.begun = Vec::new();
            }
        } else {
            let mut rest = input.get(..length).unwrap_or_default();
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (line, after) = rest.split_at(end);
                records.end_line(&mut self.begun, line);
                rest = after.get(1..).unwrap_or_default();
            }
            records.begin_line(&mut self.begun, rest);
        }
        records.flush();
        if length == 0 { Got::End } else { Got::Some }
    }
}

/// Records on their way into a log.
struct Records<'a> {
    log: &'a mut Log,
    batch: &'a mut Vec<u8>,
    dropped: &'a mut u64,
    time: &'a str,
    stream: &'static str,
}

impl Records<'_> {
    /// The line that `begun` and `rest` make.
    fn end_line(&mut self, begun: &mut Vec<u8>, rest: &[u8]) {
        let rest = self.parts(begun, rest);
        self.add('F', begun, rest);
        begun.clear();
        // Long lines are rare; their buffer is not kept for the next one.
        begun.shrink_to(256);
    }

    /// More of a line whose end has not come.
    fn begin_line(&mut self, begun: &mut Vec<u8>, more: &[u8]) {
        let more = self.parts(begun, more);
        begun.extend_from_slice(more);
    }

    /// Tells the first parts of a line that is too long; what is left of it is `begun` and what is returned.
    fn parts<'t>(&mut self, begun: &mut Vec<u8>, mut text: &'t [u8]) -> &'t [u8] {
        while begun.len() + text.len() > LONGEST {
            let (part, rest) = text.split_at(LONGEST.saturating_sub(begun.len()).min(text.len()));
            self.add('P', begun, part);
            begun.clear();
            text = rest;
        }
        text
    }

    fn add(&mut self, tag: char, first: &[u8], second: &[u8]) {
        // Two blanks around the tag, one before the stream, a newline.
        let length = self.time.len() + 1 + self.stream.len() + 3 + first.len() + second.len() + 1;
        if self.log.is_full(self.batch.len(), length) {
            self.flush();
            self.log.rotate();
        }
        for part in [self.time, " ", self.stream, if tag == 'P' { " P " } else { " F " }] {
            self.batch.extend_from_slice(part.as_bytes());
        }
        self.batch.extend_from_slice(first);
        self.batch.extend_from_slice(second);
        self.batch.push(b'\n');
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            *self.dropped += self.log.append(self.batch);
            self.batch.clear();
        }
    }
}

#[cfg(test)]
mod tests;
