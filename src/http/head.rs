//! The beginning of an answer: status and headers.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::connection::Connection;
use super::in_time::InTime;

/// Most bytes of status line and headers: Go's client would take 1 MiB, which is a way to fill our memory.
const LONGEST: usize = 64 * 1024;
/// Most answers that say that the answer is to come.
const MOST_INTERIM: usize = 10;

/// Status and headers.
#[derive(Debug, Clone)]
pub struct Head {
    /// Three digits.
    pub status: u16,
    headers: Vec<(String, String)>,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// It comes in chunks, the last of which is empty.
    Chunked,
    /// The connection ends with it.
    UntilEnd,
}

impl Head {
    /// The values of the header `name`, in their order.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        let named = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// The first value of the header `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// How the body ends; refuses one of which two ends are told, since whoever is between us may see the other one.
    pub fn framing(&self, is_head: bool) -> Result<Framing> {
        if is_head || self.status == 204 || self.status == 304 {
            return Ok(Framing::Length(0));
        }
        // Rust reads `+3`, which others may not.
        let number = |value: &str| Some(value).filter(|value| !value.starts_with('+'))?.parse::<u64>().ok();
        let mut lengths = self.all("content-length").map(|value| number(value.trim()));
        let length =
            lengths.next().map(|length| length.context("the answer's length is no number")).transpose()?;
        ensure!(lengths.all(|other| other == length), "the answer has two lengths");
        match (self.get("transfer-encoding"), length) {
            (Some(coding), None) if coding.trim().eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            (Some(_), _) => bail!("the answer is encoded in a way that nobody asked for"),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (None, None) => Ok(Framing::UntilEnd),
        }
    }

    /// Whether the connection is good for another request.
    pub fn stays(&self) -> bool {
        !self.all("connection").any(|value| value.to_ascii_lowercase().contains("close"))
    }

    /// Reads a whole head, and says whether it is of HTTP/1.0; `None` for what is none.
    pub fn parse(bytes: &[u8]) -> Option<(bool, Head)> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let mut words = lines.next()?.splitn(3, ' ');
        let version = words.next().filter(|version| version.starts_with("HTTP/1."))?;
        let is_old = version == "HTTP/1.0";
        let status = words.next().filter(|status| status.len() == 3)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        Some((is_old, Head { status, headers }))
    }
}

/// Reads the head of the next answer, within `most`. What comes behind it stays in the connection.
pub fn read(connection: &mut Connection<'_>, most: Duration) -> Result<Head> {
    let mut read = std::mem::take(&mut connection.rest);
    let mut connection = InTime::new(connection, most);
    let mut chunk = [0; 4096];
    let mut interim = 0;
    loop {
        if let Some(end) = end_of_head(&read) {
            let rest = read.split_off(end);
            let (is_old, mut head) = Head::parse(&read).context("malformed HTTP response")?;
            if (100..200).contains(&head.status) {
                interim += 1;
                ensure!(interim <= MOST_INTERIM && head.status != 101, "malformed HTTP response");
                read = rest;
                continue;
            }
            if is_old {
                head.headers.push(("connection".to_owned(), "close".to_owned()));
            }
            connection.from.rest = rest;
            return Ok(head);
        }
        ensure!(read.len() <= LONGEST, "server response headers exceeded {LONGEST} bytes; aborted");
        match connection.read(&mut chunk)? {
            0 if read.is_empty() => bail!("EOF"),
            0 => bail!("unexpected EOF"),
            count => read.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Where what follows the headers begins.
pub fn end_of_head(read: &[u8]) -> Option<usize> {
    let crlf = memchr::memmem::find(read, b"\r\n\r\n").map(|at| at + 4);
    let lf = memchr::memmem::find(read, b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min()
}
