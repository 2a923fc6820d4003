//! Starting workers and hearing from them.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::diary;
use super::job::{Answer, Job};
use crate::protocol::MAX_PACKET;
use crate::status::{Failure, Reason};
use crate::sys::process::{Program, spawn};
use crate::sys::seqpacket;

/// A worker at work.
#[derive(Debug)]
pub struct Worker {
    /// Its process ID, ours to reap.
    pub pid: i32,
    /// Where its answer comes, non-blocking; `None` once none can come.
    pub socket: Option<OwnedFd>,
}

/// Starts a worker on `job`, with `more` as its descriptors from 4 on and the log in `directory` as its stderr.
///
/// It is executed from `/proc/self/exe`, so that it stays on the read-only mount that this process came from.
pub fn worker(title: &str, job: &Job, directory: &Path, more: &[BorrowedFd<'_>]) -> Result<Worker> {
    let (ours, theirs) = seqpacket::pair().context("make a socket pair")?;
    let job = serde_json::to_vec(job).context("write the job")?;
    seqpacket::send(ours.as_fd(), &job, &[]).context("send the job")?;
    fcntl(ours.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("set non-blocking")?;
    let null = File::options().read(true).write(true).open("/dev/null").context("open /dev/null")?;
    let log = diary::open(&directory.join("log")).context("open the log")?;
    let mut descriptors = vec![null.as_fd(), null.as_fd(), log.as_fd(), theirs.as_fd()];
    descriptors.extend_from_slice(more);
    let arguments = ["holdfast: worker", "worker", title].map(CString::new);
    let arguments = arguments.into_iter().collect::<Result<Vec<_>, _>>().context("a zero byte in a name")?;
    let pid = spawn(&Program {
        path: c"/proc/self/exe",
        arguments: &arguments,
        descriptors: &descriptors,
        session: false,
    })
    .context("start a worker")?;
    Ok(Worker { pid: pid.as_raw(), socket: Some(ours) })
}

/// What was heard from a worker.
#[derive(Debug)]
pub enum Heard {
    /// Nothing yet.
    Nothing,
    /// Its answer, and what came with it.
    Answer(Answer, Vec<OwnedFd>),
    /// It will say nothing any more: it is dead, or about to be, and how is told by the kernel.
    Gone,
}

impl Worker {
    /// Its answer, if there is one.
    pub fn answer(&mut self) -> Heard {
        let Some(socket) = &self.socket else { return Heard::Nothing };
        match seqpacket::recv(socket.as_fd(), MAX_PACKET) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Ok(Some(packet)) => match serde_json::from_slice(&packet.bytes) {
                Ok(answer) => Heard::Answer(answer, packet.descriptors),
                Err(error) => {
                    let message = format!("read the worker's answer: {error}");
                    let failure = Failure::new(Reason::RunContainerError, message);
                    Heard::Answer(Answer::Failed(failure), Vec::new())
                }
            },
            Ok(None) | Err(_) => {
                self.socket = None;
                Heard::Gone
            }
        }
    }
}

/// Waits until there is something to read, or until `longest` has passed.
pub fn wait_readable(descriptor: BorrowedFd<'_>, longest: Duration) -> io::Result<()> {
    let mut wanted = [PollFd::new(descriptor, PollFlags::POLLIN)];
    match poll(&mut wanted, timeout(Some(longest))) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// For `poll`: rounded up, so that a deadline has passed when it says so; for ever without one.
pub fn timeout(longest: Option<Duration>) -> PollTimeout {
    let Some(longest) = longest else { return PollTimeout::NONE };
    let millis = longest.as_millis().saturating_add(u128::from(longest.subsec_nanos() % 1_000_000 != 0));
    // An hour is long enough to look again.
    let millis = i32::try_from(millis).unwrap_or(i32::MAX).min(3_600_000);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::NONE)
}
