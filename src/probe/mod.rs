//! One check over the network, once, with a deadline, from the network that the caller's thread is in.
//!
//! Written by hand on the standard library's sockets: what is needed is one GET whose answer is mostly thrown away, or one short
//! call, and a whole stack would be the largest part of the program.
//!
//! Invariant: whoever is asked is not trusted: what is read of an answer is bounded, and so is the time.

mod grpc;
mod http;
mod stream;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::lifecycle::Outcome;
use crate::spec::HttpGet;

pub use grpc::check as grpc;
pub use http::{Asked, get, hook};

/// What came of a check: what it means, and a sentence.
pub type Answer = (Outcome, String);

/// When a check must be over.
#[derive(Clone, Copy)]
pub struct Deadline<'u> {
    at: Instant,
    /// Whether the answer is still of use to anybody.
    of_use: Option<&'u dyn Fn() -> bool>,
}

/// The kernel's own patience with somebody who does not answer at all is about two minutes.
const LONGEST_CONNECT: Duration = Duration::from_secs(120);
/// How often it is asked whether an answer is still of use.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl<'u> Deadline<'u> {
    /// After `timeout` from now.
    pub fn after(timeout: Duration) -> Deadline<'u> {
        let now = Instant::now();
        // A deadline beyond what the clock can tell is none for anybody alive.
        let at = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        Deadline { at, of_use: None }
    }

    /// For as long as the answer is `of_use`.
    pub fn while_it_is(of_use: &'u dyn Fn() -> bool) -> Deadline<'u> {
        Deadline { of_use: Some(of_use), ..Deadline::after(Duration::MAX) }
    }

    /// The same, but over after `limit` from now.
    fn within(self, limit: Duration) -> Deadline<'u> {
        Deadline { at: self.at.min(Deadline::after(limit).at), ..self }
    }

    /// What is left of the time; `None` when it is over.
    pub fn left(&self) -> Option<Duration> {
        let left = self.at.saturating_duration_since(Instant::now());
        Some(left).filter(|left| !left.is_zero() && self.of_use.is_none_or(|of_use| of_use()))
    }

    /// How long to wait before [`Deadline::left`] is asked again; `None` when it is over.
    fn wait(&self) -> Option<Duration> {
        let longest = if self.of_use.is_some() { LOOK_AGAIN } else { Duration::MAX };
        self.left().map(|left| left.min(longest))
    }
}

/// Whether somebody takes connections there.
pub fn tcp(host: Option<&str>, port: u16, deadline: Deadline<'_>) -> Answer {
    match connect(address(host, port), deadline) {
        Ok(_) => (Outcome::Success, String::new()),
        Err(message) => (Outcome::Failure, message),
    }
}

/// Where a probe of `host` goes: to the loopback where none is given.
fn address(host: Option<&str>, port: u16) -> SocketAddr {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    SocketAddr::new(host.and_then(|host| host.parse().ok()).unwrap_or(local), port)
}

/// A connection, or why there is none, in Go's words, for which people search.
fn connect(to: SocketAddr, deadline: Deadline<'_>) -> Result<TcpStream, String> {
    let timeout = || format!("dial tcp {to}: i/o timeout");
    let left = deadline.left().ok_or_else(timeout)?.min(LONGEST_CONNECT);
    let stream = TcpStream::connect_timeout(&to, left).map_err(|error| match error.raw_os_error() {
        Some(code) => format!("dial tcp {to}: connect: {}", nix::Error::from_raw(code).desc().to_lowercase()),
        None => timeout(),
    })?;
    // As in Go: what is small is not held back until what went before has been confirmed, 40 ms in a handshake of TLS.
    stream.set_nodelay(true).map_err(|error| format!("dial tcp {to}: {error}"))?;
    Ok(stream)
}
