//! One connection to a pod process ([`crate::protocol`]), as the agent and the command line have them.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use crate::protocol::{MAX_PACKET, Reply, Request, State};
use crate::sys::seqpacket;

/// A pod process that lives answers at once; this is for a node that swaps.
pub const PATIENCE: Duration = Duration::from_secs(10);

const CLOSED: &str = "the pod process closed the connection instead of answering";

/// A connection that blocks.
pub struct Client(OwnedFd);

impl Client {
    /// Connects to the pod process at `socket`. Fails where nobody listens.
    pub fn connect(socket: &Path) -> Result<Client> {
        let connection = seqpacket::connect(socket);
        connection.map(Client).with_context(|| format!("connect to {}", socket.display()))
    }

    /// Asks what the answer comes to at once, and waits at most `deadline` for it.
    pub fn ask(&self, request: &Request, deadline: Duration) -> Result<Reply> {
        self.give_up_after(deadline)?;
        self.send(request, &[])?;
        let reply = self.receive()?;
        self.give_up_after(Duration::ZERO)?;
        reply.context(CLOSED)
    }

    /// Waits until `deadline` for what [`Client::send`] asked for: of several, all at once can be asked.
    pub fn state_by(&self, deadline: Instant) -> Result<State> {
        // Zero would be for ever.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.give_up_after(left)?;
        state(self.receive()?.context(CLOSED)?)
    }

    /// Asks what runs, by [`Request::State`] or [`Request::Watch`].
    pub fn state(&self, request: &Request, deadline: Duration) -> Result<State> {
        state(self.ask(request, deadline)?)
    }

    /// Sends a request with descriptors attached; they stay open here.
    pub fn send(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let packet = serde_json::to_vec(request).context("write the request")?;
        let length = packet.len();
        ensure!(length <= MAX_PACKET, "the request is {length} bytes, at most {MAX_PACKET} go through");
        seqpacket::send(self.0.as_fd(), &packet, descriptors).context("send to the pod process")
    }

    /// The next reply; `None` when the pod process is gone. What came attached is closed.
    pub fn receive(&self) -> Result<Option<Reply>> {
        Ok(self.receive_with()?.map(|(reply, _)| reply))
    }

    /// The next reply, and the descriptors that came attached.
    pub fn receive_with(&self) -> Result<Option<(Reply, Vec<OwnedFd>)>> {
        let packet = match seqpacket::recv(self.0.as_fd(), MAX_PACKET) {
            Err(error) if error.raw_os_error() == Some(Errno::ECONNRESET as i32) => None,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                bail!("the pod process does not answer")
            }
            other => other.context("receive from the pod process")?,
        };
        let Some(packet) = packet else { return Ok(None) };
        let reply = serde_json::from_slice(&packet.bytes).context("read the pod process's answer")?;
        Ok(Some((reply, packet.descriptors)))
    }

    /// The pod's network namespace: its process's own. Fails where that is gone.
    pub fn network(&self) -> Result<File> {
        let pid = seqpacket::peer(self).context("ask who holds the pod")?.pid;
        let path = format!("/proc/{pid}/ns/net");
        let namespace = File::open(&path).with_context(|| format!("open {path}"))?;
        // As long as the connection stands, the number was nobody else's.
        let mut wanted = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut wanted, PollTimeout::ZERO).context("look at the connection")?;
        match wanted.iter().all(|it| it.revents().is_none_or(|ready| ready.is_empty())) {
            true => Ok(namespace),
            false => bail!("the pod's process is gone"),
        }
    }

    /// Zero waits for ever.
    fn give_up_after(&self, limit: Duration) -> Result<()> {
        let limit = TimeVal::new(limit.as_secs().cast_signed(), limit.subsec_micros().into());
        setsockopt(&self.0, sockopt::ReceiveTimeout, &limit).context("set the receive timeout")?;
        setsockopt(&self.0, sockopt::SendTimeout, &limit).context("set the send timeout")
    }
}

fn state(reply: Reply) -> Result<State> {
    match reply {
        Reply::State(state) => Ok(state),
        other => bail!("the pod process answered {other:?}"),
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Client> for OwnedFd {
    fn from(client: Client) -> OwnedFd {
        client.0
    }
}
