//! A connection that keeps a deadline, whatever the other end does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{Deadline, connect};

/// A connection of which no call lasts beyond the deadline: neither one, nor many of a byte each.
pub struct Stream {
    stream: TcpStream,
    deadline: Deadline,
}

impl Stream {
    /// A connection to `to`.
    pub fn connect(to: SocketAddr, deadline: Deadline) -> Result<Stream, String> {
        Ok(Stream { stream: connect(to, deadline)?, deadline })
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.left().ok_or(ErrorKind::TimedOut)?;
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(into)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.deadline.left().ok_or(ErrorKind::TimedOut)?;
        self.stream.set_write_timeout(Some(left))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
