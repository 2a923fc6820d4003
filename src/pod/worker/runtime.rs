//! The seam to libcontainer: two calls. Nothing else in the program names it, but for the executors.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Error, Result};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::Executor;

use super::causes;
use super::executor::OfSpec;
use crate::pod::program::{self, Started};
use crate::pod::user_namespace::give_pipe;
use crate::spec::IdMapping;
use crate::status::{Failure, Reason};

/// Descriptors 0, 1 and 2 of a process.
pub enum Streams {
    /// These; /dev/null where there is none.
    Given {
        /// Descriptor 0.
        stdin: Option<OwnedFd>,
        /// Descriptor 1.
        stdout: OwnedFd,
        /// Descriptor 2.
        stderr: OwnedFd,
    },
    /// A terminal, made in the container.
    Terminal,
}

impl Streams {
    /// Gives those that are pipes to the user who is to have them.
    pub fn give_to(&self, ids: IdMapping, user: (u32, u32)) -> Result<()> {
        let Streams::Given { stdin, stdout, stderr } = self else { return Ok(()) };
        let all = stdin.iter().chain([stdout, stderr]);
        all.into_iter().try_for_each(|stream| give_pipe(stream.as_raw_fd(), ids, user))
    }
}

/// A container that is to be.
pub struct Container<'a> {
    /// Where libcontainer keeps what it knows.
    pub runtime: &'a Path,
    /// Its name there.
    pub id: &'a str,
    /// What it is made from.
    pub bundle: &'a Path,
}

/// Makes the container and starts it, with `filter` as its seccomp program. `confine` is done in between: its cgroup is there,
/// and nothing of its image runs yet.
///
/// # Errors
/// `StartError` when the program could not be executed, else `RunContainerError`.
pub fn create_and_start(
    container: &Container<'_>,
    streams: Streams,
    filter: Option<Vec<u8>>,
    confine: impl FnOnce() -> Result<()>,
) -> Result<Started, Failure> {
    let terminal = matches!(streams, Streams::Terminal).then_some(None);
    let (mut program, outcome) = program::prepare(terminal).map_err(internal)?;
    program.filter = filter.map(Rc::new);
    let pid = start(container, OfSpec(program), |builder| with(builder, streams), confine)?;
    match outcome.complaint() {
        None => Ok(Started { pid, terminal: outcome.terminal().map_err(internal)? }),
        Some(reason) => Err(Failure::new(Reason::StartError, reason)),
    }
}

fn with(builder: ContainerBuilder, streams: Streams) -> ContainerBuilder {
    match streams {
        Streams::Given { stdin: Some(stdin), stdout, stderr } => {
            builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr)
        }
        Streams::Given { stdin: None, stdout, stderr } => builder.with_stdout(stdout).with_stderr(stderr),
        Streams::Terminal => builder,
    }
}

/// As [`create_and_start`], with another executor and /dev/null for its output.
pub fn create_and_start_ours(
    container: &Container<'_>,
    executor: impl Executor + 'static,
) -> Result<i32, Failure> {
    start(container, executor, |builder| builder, || Ok(()))
}

fn start(
    container: &Container<'_>,
    executor: impl Executor + 'static,
    with: impl FnOnce(ContainerBuilder) -> ContainerBuilder,
    confine: impl FnOnce() -> Result<()>,
) -> Result<i32, Failure> {
    let Container { runtime, id, bundle } = container;
    let causes = causes::listen().map_err(internal)?;
    let build = || -> Result<i32> {
        let builder = ContainerBuilder::new((*id).to_owned(), SyscallType::default());
        let builder = with(builder.with_root_path(runtime)?.with_executor(executor));
        let builder = builder.as_init(bundle).with_systemd(false).with_detach(true).as_sibling(true);
        let mut container = builder.build()?;
        confine()?;
        container.start()?;
        Ok(container.pid().context("libcontainer knows no process ID")?.as_raw())
    };
    build().map_err(|error| told(error, &causes.told()))
}

/// What libcontainer told `tracing` of the causes of its error; where that is nothing, the error itself, which mostly says
/// no more than that there was one.
fn told(error: Error, causes: &str) -> Failure {
    let message = if causes.is_empty() { format!("{error:#}") } else { causes.to_owned() };
    Failure::new(Reason::RunContainerError, format!("set the container up: {message}"))
}

fn internal(error: Error) -> Failure {
    Failure::new(Reason::RunContainerError, format!("prepare the runtime: {error:#}"))
}
