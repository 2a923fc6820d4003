//! A connection that keeps a deadline, whatever the other end does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{Deadline, connect};

/// A connection of which no call lasts beyond the deadline: neither one, nor many of a byte each.
pub struct Stream<'u> {
    stream: TcpStream,
    deadline: Deadline<'u>,
}

impl<'u> Stream<'u> {
    /// A connection to `to`.
    pub fn connect(to: SocketAddr, deadline: Deadline<'u>) -> Result<Stream<'u>, String> {
        Ok(Stream { stream: connect(to, deadline)?, deadline })
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(Some(self.deadline.wait().ok_or(ErrorKind::TimedOut)?))?;
            match self.stream.read(into) {
                Err(error) if is_early(&error) => {}
                done => return done,
            }
        }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.stream.set_write_timeout(Some(self.deadline.wait().ok_or(ErrorKind::TimedOut)?))?;
            match self.stream.write(bytes) {
                Err(error) if is_early(&error) => {}
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Whether a call ended with its wait, and the deadline tells whether that was all of it.
fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
