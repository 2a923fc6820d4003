//! Connections that keep a deadline, whatever the other end does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Deadline, connect};
use crate::tls::{Client, Connection, Refused};

/// Longest agreement on TLS, as in Go.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(10);

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

    /// TLS over it, with whoever is there; `host` is told where it is a name. Go's time for that is part of the deadline's.
    pub fn secured(mut self, host: &str) -> Result<Secured<'u>, Refused> {
        let client = Client::of_anybody().map_err(|error| Refused::Otherwise(io::Error::other(error)))?;
        let deadline = self.deadline;
        self.deadline = deadline.within(LONGEST_HANDSHAKE);
        let mut connection = client.connect(host, self)?;
        connection.stream().deadline = deadline;
        Ok(Secured(Box::new(connection)))
    }
}

/// TLS over a [`Stream`].
pub struct Secured<'u>(Box<Connection<Stream<'u>>>);

impl Read for Secured<'_> {
    /// An end that is not announced is one: what is read here tells by itself whether it is whole.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).or_else(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Ok(0),
            _ => Err(error),
        })
    }
}

impl Write for Secured<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
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
