//! The worker: one libcontainer call, made in a process of its own.
//!
//! libcontainer clones behind libc's back, changes the process that calls it for good (dumpable, `oom_score_adj`,
//! directory) and leaks descriptors when it fails. So each call gets a process with one thread that lives some ten
//! milliseconds: it takes one [`Job`], enters the cgroup of what it makes before anything else, so that it can be killed
//! with everything it started, gives one [`Answer`] and exits.
//!
//! Invariant: what it starts is a child of the pod process, never its own.
//! Invariant: what it starts inherits nothing but what is said here: groups, environment, mask, limits, descriptors.

mod causes;
mod config;
mod executor;
mod image_volume;
mod labels;
mod pause;
mod rootfs;
mod runtime;
mod stage;
mod start;
mod sub_path;
mod user;
mod users;

use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::sys::stat::{Mode, umask};

use super::job::{Job, SEAT, Task};
use super::program::{Started, answer, limit_files};
use users::Users;

use crate::protocol::MAX_PACKET;
use crate::status::{Failure, Reason};
use crate::sys::{process, seqpacket};

/// Does one job and exits. Started by a pod process, with a socket as descriptor 3; by nobody else.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The pod process's own log.
            eprintln!("worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<()> {
    let seat =
        process::inherited(SEAT).context("take descriptor 3: workers are started by a pod process only")?;
    let packet = seqpacket::recv(seat.as_fd(), MAX_PACKET + 4096).context("receive the job")?;
    let packet = packet.context("receive the job: the pod process is gone")?;
    let job: Job = serde_json::from_slice(&packet.bytes).context("read the job")?;
    answer(seat.as_fd(), perform(job))
}

/// What was started.
fn perform(job: Job) -> Result<Started, Failure> {
    prepare(job.nofile).map_err(|error| failure(Reason::CreateContainerError, &error))?;
    let runtime = Path::new(&job.runtime);
    let users = Users::of(job.users).map_err(|error| failure(Reason::CreateContainerError, &error))?;
    match job.task {
        Task::Start(request) => start::start(runtime, &request, users.as_ref()),
        Task::Pause(task) => {
            pause::pause(runtime, &task, users.as_ref()).map(|pid| Started { pid, terminal: None })
        }
    }
}

/// Drops what would be handed on. The environment and the signal mask are empty since the pod process's `spawn`.
fn prepare(nofile: (u64, u64)) -> Result<()> {
    // libcontainer does nothing where the list of groups is empty, and the agent's would stay.
    nix::unistd::setgroups(&[]).context("drop the supplementary groups")?;
    umask(Mode::from_bits_truncate(0o022));
    // Children that join a container's namespaces must not be looked into from there.
    nix::sys::prctl::set_dumpable(false).context("set not dumpable")?;
    limit_files(nofile)
}

/// An error with all its causes as a [`Failure`].
fn failure(reason: Reason, error: &anyhow::Error) -> Failure {
    Failure::new(reason, format!("{error:#}"))
}
