//! One connection to a pod process ([`crate::protocol`]).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::sockopt::{ReceiveTimeout, SendTimeout};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, sendmsg,
    setsockopt, socket,
};
use nix::sys::time::TimeVal;

use crate::host::PodDir;
use crate::protocol::{MAX_PACKET, Reply, Request, State};

/// How long a pod process may take to say what runs: it has one thread and nothing that blocks, so a second is long.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection.
pub struct Client(OwnedFd);

impl Client {
    /// Connects to the pod process of `pod`. Fails where there is none.
    pub fn connect(pod: &PodDir) -> Result<Client> {
        // Through a descriptor, since a socket's path has room for 108 bytes only.
        let directory = File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(pod.root())
            .with_context(|| format!("open {}", pod.root().display()))?;
        let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join("sock");
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        connect(fd.as_raw_fd(), &UnixAddr::new(&path)?)
            .with_context(|| format!("connect to {}", pod.socket().display()))?;
        Ok(Client(fd))
    }

    /// Sends a request with descriptors attached; they stay open here.
    pub fn send(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let packet = serde_json::to_vec(request)?;
        ensure!(
            packet.len() <= MAX_PACKET,
            "the request is {} bytes, at most {MAX_PACKET} go through",
            packet.len()
        );
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
        let io = [std::io::IoSlice::new(&packet)];
        sendmsg::<UnixAddr>(self.0.as_raw_fd(), &io, control, MsgFlags::MSG_NOSIGNAL, None)
            .context("send to the pod process")?;
        Ok(())
    }

    /// The next reply; `None` when the pod process is gone.
    pub fn receive(&self) -> Result<Option<Reply>> {
        let mut packet = vec![0; MAX_PACKET];
        let length = loop {
            match recv(self.0.as_raw_fd(), &mut packet, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => return Ok(None),
                Err(Errno::EAGAIN) => anyhow::bail!("the pod process does not answer"),
                other => break other.context("receive from the pod process")?,
            }
        };
        if length == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&packet[..length]).map(Some).context("read the pod process's answer")
    }

    /// Asks what runs, by [`Request::State`] or [`Request::Watch`]; does not wait long for a process that hangs.
    pub fn state(&self, request: &Request) -> Result<State> {
        self.give_up_after(PATIENCE)?;
        self.send(request, &[])?;
        let reply = self.receive()?.context("the pod process ended")?;
        self.give_up_after(Duration::ZERO)?;
        match reply {
            Reply::State(state) => Ok(state),
            other => anyhow::bail!("the pod process answered {other:?}"),
        }
    }

    /// Zero waits for ever.
    fn give_up_after(&self, patience: Duration) -> Result<()> {
        let patience = TimeVal::new(patience.as_secs().cast_signed(), 0);
        setsockopt(&self.0, ReceiveTimeout, &patience)?;
        setsockopt(&self.0, SendTimeout, &patience)?;
        Ok(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
