//! One connection.

use std::io::{self, ErrorKind, Read, Write};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Stream};

use super::Client;

/// A connection whose other end is what the [`Client`] trusts.
///
/// Its stream's deadlines are its own. Who ends a connection without saying so, as many servers do, brings
/// [`ErrorKind::UnexpectedEof`] where a plain one would end: whoever does not know by itself how much there is to read
/// must not take that for the end.
pub struct Connection<S> {
    tls: ClientConnection,
    stream: Beginning<S>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Refused {
    /// The other end answered in plain HTTP.
    SpeaksHttp,
    /// Anything else: what came of the stream, or an [`ErrorKind::InvalidData`] with what is wrong with the other end.
    Otherwise(io::Error),
}

impl Client {
    /// Agrees on everything with the other end of `stream`, which must be `host`: a name, or an address, of which no name is
    /// told (SNI).
    pub fn connect<S: Read + Write>(&self, host: &str, stream: S) -> Result<Connection<S>, Refused> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(ErrorKind::InvalidInput, error));
        let tls = name.and_then(|name| ClientConnection::new(self.0.clone(), name).map_err(invalid));
        let mut tls = tls.map_err(Refused::Otherwise)?;
        let mut stream = Beginning { stream, read: [0; 5], length: 0 };
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).map_err(|error| stream.judged(error))?;
        }
        Ok(Connection { tls, stream })
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl<S> Connection<S> {
    /// What is below it.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream.stream
    }
}

impl<S: Read + Write> Read for Connection<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Stream::new(&mut self.tls, &mut self.stream).read(into)
    }
}

impl<S: Read + Write> Write for Connection<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Stream::new(&mut self.tls, &mut self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Stream::new(&mut self.tls, &mut self.stream).flush()
    }
}

/// A stream of which is known how the other end begins.
struct Beginning<S> {
    stream: S,
    read: [u8; 5],
    length: usize,
}

impl<S> Beginning<S> {
    fn judged(&self, error: io::Error) -> Refused {
        match &self.read {
            b"HTTP/" => Refused::SpeaksHttp,
            _ => Refused::Otherwise(error),
        }
    }
}

impl<S: Read> Read for Beginning<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        let left = &mut self.read[self.length..];
        let new = count.min(left.len());
        left[..new].copy_from_slice(&into[..new]);
        self.length += new;
        Ok(count)
    }
}

impl<S: Write> Write for Beginning<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
