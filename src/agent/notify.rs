//! What a service manager is told of the agent, as `sd_notify(3)` has it: that it is ready, in one line what it does, that
//! its loop turns, and that it ends.
//!
//! Our own lines, since the crate for it knows no abstract sockets and may block.
//!
//! Invariant: nothing here fails or blocks the loop, whatever becomes of the manager.
//! Invariant: an idle node is not woken for the watchdog: the re-list wakes it often enough, unless the watchdog is short.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use log::warn;

/// What a manager says to this process alone: nothing of it is for those that the agent starts.
pub const VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// The service manager, if there is one.
pub struct Manager {
    /// Not connected, so that a manager that came anew is told too.
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Watchdog>,
    /// What it was last told.
    status: String,
}

impl Manager {
    /// The manager that started this process.
    pub fn of_this_process() -> Manager {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let socket = variable("NOTIFY_SOCKET").and_then(|at| match open(&at) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!("the service manager is told nothing: NOTIFY_SOCKET {}: {error}", at.display());
                None
            }
        });
        let watchdog = Watchdog::new(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        let watchdog = watchdog.filter(|_| socket.is_some());
        Manager { socket, watchdog, status: String::new() }
    }

    /// None: for who runs for a moment.
    pub fn none() -> Manager {
        Manager { socket: None, watchdog: None, status: String::new() }
    }

    /// The manifests were listed, and pods are being adopted and started.
    pub fn ready(&mut self) {
        self.tell("READY=1");
    }

    /// What the agent does, if that is news.
    pub fn status(&mut self, line: String) {
        if self.socket.is_some() && line != self.status {
            self.tell(&format!("STATUS={line}"));
            self.status = line;
        }
    }

    /// The agent is about to end. From now on the manager counts the time, so this is no word for a long farewell.
    pub fn stopping(&mut self, why: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={why}"));
    }

    /// The loop turns, at `now` since the boot.
    pub fn alive(&mut self, now: Duration) {
        if self.watchdog.as_mut().is_some_and(|watchdog| watchdog.turns(now)) {
            self.tell("WATCHDOG=1");
        }
    }

    /// When the loop must turn at the latest.
    pub fn due(&self) -> Option<Duration> {
        self.watchdog.as_ref().map(Watchdog::due)
    }

    fn tell(&self, words: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that is gone or does not read is not the agent's affair: its pods are.
            let _ = socket.send_to_addr(words.as_bytes(), address);
        }
    }
}

/// A path, or with `@` in place of its zero byte an abstract address.
fn open(at: &OsStr) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match at.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(at)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// When to tell the manager that the loop turns.
#[derive(Debug, PartialEq, Eq)]
struct Watchdog {
    /// Half of what the manager waits: `sd_watchdog_enabled(3)` says so.
    half: Duration,
    last: Duration,
}

impl Watchdog {
    /// By the manager's variables; those of another process are not for this one.
    fn new(usec: Option<OsString>, pid: Option<OsString>, this: u32) -> Option<Watchdog> {
        let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u64>().ok());
        let usec = usec.as_ref().and_then(number).filter(|usec| *usec != 0)?;
        let ours = pid.is_none_or(|pid| number(&pid) == Some(this.into()));
        ours.then(|| Watchdog { half: Duration::from_micros(usec) / 2, last: Duration::ZERO })
    }

    /// Whether to tell that the loop turned at `now`: well before it is due, since each turn that is used saves one.
    fn turns(&mut self, now: Duration) -> bool {
        let tell = self.last + self.half / 4 <= now;
        if tell {
            self.last = now;
        }
        tell
    }

    fn due(&self) -> Duration {
        self.last + self.half
    }
}

#[cfg(test)]
mod tests;
