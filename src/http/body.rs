//! What follows the headers of an answer.
//!
//! Invariant: a body that ends too early is an error, however its end is told.

use std::io::{self, ErrorKind, Read};

use super::Pool;
use super::connection::Connection;
use super::head::Framing;

/// Longest line with the length of a chunk, and most lines behind the last one.
const LONGEST_LINE: usize = 1024;
const MOST_TRAILERS: usize = 64;

/// What is left of an answer's body.
pub struct Body<'c> {
    /// Until it is read to its end.
    connection: Option<Connection<'c>>,
    left: Left,
    /// Where the connection goes then, if it is good for another request.
    pool: Option<Pool<'c>>,
}

enum Left {
    Bytes(u64),
    /// So many bytes of a chunk, and whether its end of line is still to come behind them.
    Chunk(u64, bool),
    All,
}

impl<'c> Body<'c> {
    pub(super) fn new(connection: Connection<'c>, framing: Framing, pool: Option<Pool<'c>>) -> Body<'c> {
        let left = match framing {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunk(0, false),
            Framing::UntilEnd => Left::All,
        };
        let mut body = Body { connection: Some(connection), left, pool };
        if let Left::Bytes(0) = body.left {
            body.end();
        }
        body
    }

    /// It is read: the connection is free.
    fn end(&mut self) {
        if let (Some(connection), Some(pool)) = (self.connection.take(), &self.pool)
            && !matches!(self.left, Left::All)
        {
            pool.put(connection);
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = &mut self.connection else { return Ok(0) };
        if into.is_empty() {
            return Ok(0);
        }
        if let Left::Chunk(0, within) = self.left {
            self.left = Left::Chunk(next_chunk(connection, within)?, true);
            if let Left::Chunk(0, _) = self.left {
                self.end();
                return Ok(0);
            }
        }
        let most = match self.left {
            Left::Bytes(left) | Left::Chunk(left, _) => {
                usize::try_from(left).unwrap_or(usize::MAX).min(into.len())
            }
            Left::All => into.len(),
        };
        let count = connection.read(&mut into[..most])?;
        match &mut self.left {
            Left::All if count == 0 => self.end(),
            Left::All => {}
            _ if count == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Left::Chunk(left, _) => *left -= count as u64,
            Left::Bytes(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.end();
                }
            }
        }
        Ok(count)
    }
}

/// The length of the next chunk; 0 behind the last one, with what follows that.
fn next_chunk(connection: &mut Connection<'_>, within: bool) -> io::Result<u64> {
    let wrong = || io::Error::new(ErrorKind::InvalidData, "malformed chunked encoding");
    if within && !line(connection)?.is_empty() {
        return Err(wrong());
    }
    let head = line(connection)?;
    let digits = head.split(';').next().unwrap_or_default().trim();
    let fits =
        !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let length = Some(digits).filter(|_| fits).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let length = length.ok_or_else(wrong)?;
    if length == 0 {
        for _ in 0..MOST_TRAILERS {
            if line(connection)?.is_empty() {
                return Ok(0);
            }
        }
        return Err(wrong());
    }
    Ok(length)
}

fn line(connection: &mut Connection<'_>) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        // Mostly in memory: what comes is read in larger pieces below.
        if connection.rest.is_empty() {
            let mut chunk = [0; 4096];
            let count = connection.read(&mut chunk)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            connection.rest.extend_from_slice(&chunk[..count]);
        }
        let end = memchr::memchr(b'\n', &connection.rest);
        let taken = end.map_or(connection.rest.len(), |at| at + 1);
        line.extend(connection.rest.drain(..taken));
        if LONGEST_LINE < line.len() {
            return Err(io::Error::new(ErrorKind::InvalidData, "malformed chunked encoding"));
        }
        if end.is_some() {
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    }
}
