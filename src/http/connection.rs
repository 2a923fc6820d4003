//! Connections: made, kept for the next request, and given up when nothing comes for too long.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::url::Url;
use super::{Client, names};

/// How often it is asked whether somebody still waits.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A TCP connection of which no call lasts longer than `stall` without a byte, nor than somebody waits.
pub struct Patient<'c> {
    stream: TcpStream,
    stall: Duration,
    wanted: &'c (dyn Fn() -> bool + Sync),
}

impl<'c> Patient<'c> {
    fn connect(to: SocketAddr, client: &Client<'c>) -> Result<Patient<'c>> {
        let stream = TcpStream::connect_timeout(&to, client.dial.min(client.stall)).map_err(|error| {
            match error.raw_os_error() {
                Some(code) => anyhow!("connect: {}", nix::Error::from_raw(code).desc().to_lowercase()),
                None => anyhow!("i/o timeout"),
            }
        });
        let stream = stream.with_context(|| format!("dial tcp {to}"))?;
        // Whether it can be set or not, it is right.
        let _ = stream.set_nodelay(true);
        Ok(Patient { stream, stall: client.stall, wanted: client.wanted })
    }

    /// Calls until something comes of it.
    fn wait<T>(
        &mut self,
        set: impl Fn(&TcpStream, Option<Duration>) -> io::Result<()>,
        mut call: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        let begun = Instant::now();
        loop {
            if !(self.wanted)() {
                return Err(io::Error::other("nobody waits for it any more"));
            }
            let left = self.stall.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let seconds = self.stall.as_secs();
                return Err(io::Error::new(ErrorKind::TimedOut, format!("nothing came for {seconds} s")));
            }
            set(&self.stream, Some(left.min(LOOK_AGAIN)))?;
            match call(&mut self.stream) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.wait(TcpStream::set_read_timeout, |stream| stream.read(into))
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(TcpStream::set_write_timeout, |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A way to whom is asked.
pub struct Connection<'c> {
    stream: Patient<'c>,
    /// What was read beyond the last answer.
    pub rest: Vec<u8>,
    /// Whom it leads to.
    pub url: Url,
    /// Whether it is a proxy's, which is told the whole address.
    pub by_proxy: bool,
}

impl<'c> Connection<'c> {
    /// A new one to where `url` is, by its proxy where it has one.
    pub fn new(client: &Client<'c>, url: &Url) -> Result<Connection<'c>> {
        ensure!(!url.is_https, "https is not spoken yet");
        let proxy = client.proxies.for_url(url);
        let to = proxy.map_or(url, |proxy| &proxy.url);
        let stream = dial(client, to)?;
        let by_proxy = proxy.is_some() && !url.is_https;
        let connection = Connection { stream, rest: Vec::new(), url: url.clone(), by_proxy };
        Ok(connection)
    }
}

/// The first address of where `url` is that answers.
fn dial<'c>(client: &Client<'c>, url: &Url) -> Result<Patient<'c>> {
    let addresses = names::addresses(&url.host, client.wanted).context("dial tcp")?;
    let mut wrong = None;
    for address in addresses {
        match Patient::connect(SocketAddr::new(address, url.port), client) {
            Ok(stream) => return Ok(stream),
            Err(error) => wrong = wrong.or(Some(error)),
        }
        if !(client.wanted)() {
            break;
        }
    }
    Err(wrong.unwrap_or_else(|| anyhow!("dial tcp: lookup {}: no such host", url.host)))
}

impl Read for Connection<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            return self.stream.read(into);
        }
        let count = self.rest.len().min(into.len());
        into[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Write for Connection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
