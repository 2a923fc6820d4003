//! Connections: made, kept for the next request, and given up when nothing comes for too long.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail};

use super::proxy::Proxy;
use super::url::Url;
use super::{Client, head, names};
use crate::tls;

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

/// In plain, or not.
enum Wire<'c> {
    Plain(Patient<'c>),
    Tls(Box<tls::Connection<Patient<'c>>>),
}

impl<'c> Wire<'c> {
    /// The same, once the other end has shown that it is `host`.
    fn made_private(self, client: &Client<'c>, host: &str) -> Result<Wire<'c>> {
        let Wire::Plain(stream) = self else { bail!("it is private already") };
        match client.privacy()?.connect(host, stream) {
            Ok(private) => Ok(Wire::Tls(Box::new(private))),
            Err(tls::Refused::SpeaksHttp) => bail!("http: server gave HTTP response to HTTPS client"),
            Err(tls::Refused::Otherwise(error)) => Err(Error::new(error).context("tls")),
        }
    }
}

/// A way to whom is asked.
pub struct Connection<'c> {
    wire: Wire<'c>,
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
        let proxy = client.proxies.for_url(url);
        let to = proxy.map_or(url, |proxy| &proxy.url);
        let wire = Wire::Plain(dial(client, to)?);
        let by_proxy = proxy.is_some() && !url.is_https;
        let mut connection = Connection { wire, rest: Vec::new(), url: url.clone(), by_proxy };
        if let Some(proxy) = proxy.filter(|_| url.is_https) {
            connection
                .tunnel(proxy, client.stall)
                .with_context(|| format!("by the proxy {}", proxy.url.host_port()))?;
        }
        if url.is_https {
            connection.wire = connection.wire.made_private(client, &url.host)?;
        }
        Ok(connection)
    }

    /// Has the proxy lead to whom is asked, and hold its tongue from then on.
    fn tunnel(&mut self, proxy: &Proxy, most: Duration) -> Result<()> {
        let to = self.url.host_port();
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(authorization) = &proxy.authorization {
            request.extend(["Proxy-Authorization: ", authorization, "\r\n"]);
        }
        request.push_str("\r\n");
        self.write_all(request.as_bytes())?;
        let head = head::read(self, most)?;
        match head.status {
            200 if self.rest.is_empty() => Ok(()),
            200 => bail!("it said something that nobody asked"),
            status => bail!("it answered with status {status}"),
        }
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
            return match &mut self.wire {
                Wire::Plain(stream) => stream.read(into),
                Wire::Tls(stream) => stream.read(into),
            };
        }
        let count = self.rest.len().min(into.len());
        into[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Write for Connection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}
