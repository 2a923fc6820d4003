//! One question to a pod process, with a deadline.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use crate::protocol::{MAX_PACKET, Reply, Request};
use crate::sys::seqpacket;

/// A pod process that lives answers at once; this is for a node that swaps.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to the pod process at `socket`, asks, and waits at most `deadline` for the answer.
///
/// Fails where nobody listens, or nobody answers in time. The connection comes back with the answer.
pub fn ask(socket: &Path, request: &Request, deadline: Duration) -> Result<(Reply, OwnedFd)> {
    let connection =
        seqpacket::connect(socket).with_context(|| format!("connect to {}", socket.display()))?;
    let limit = TimeVal::new(deadline.as_secs() as i64, i64::from(deadline.subsec_micros()));
    setsockopt(&connection, sockopt::ReceiveTimeout, &limit).context("set the receive timeout")?;
    setsockopt(&connection, sockopt::SendTimeout, &limit).context("set the send timeout")?;
    let words = serde_json::to_vec(request).context("write the request")?;
    seqpacket::send(connection.as_fd(), &words, &[]).context("ask the pod process")?;
    let packet =
        seqpacket::recv(connection.as_fd(), MAX_PACKET).context("wait for the pod process's answer")?;
    let Some(packet) = packet else { bail!("the pod process closed the connection instead of answering") };
    let reply = serde_json::from_slice(&packet.bytes).context("read the pod process's answer")?;
    Ok((reply, connection))
}
