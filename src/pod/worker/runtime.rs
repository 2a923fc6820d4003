//! The seam to libcontainer: two calls. Nothing else in the program names it, but for the executors.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Error, Result, ensure};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::Executor;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::causes;
use super::executor::{Program, Terminal};
use crate::protocol::Size;
use crate::status::{Failure, Reason};
use crate::sys::{seqpacket, terminal};

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
    Terminal(Option<Size>),
}

/// A process that was started.
pub struct Started {
    /// Its process ID; our sibling's.
    pub pid: i32,
    /// Both ends of its terminal, the master first.
    pub terminal: Option<[OwnedFd; 2]>,
}

/// Makes the container `id` from `bundle` and starts it.
///
/// # Errors
/// `StartError` when the program could not be executed, else `RunContainerError`.
pub fn create_and_start(
    runtime: &Path,
    id: &str,
    bundle: &Path,
    streams: Streams,
) -> Result<Started, Failure> {
    let (complaints, complaint) = pipe()?;
    let (seat, terminal) = seat(&streams)?;
    let program = Program { complaint, terminal };
    let pid = start(runtime, id, bundle, program, |builder| with(builder, streams))?;
    executed(complaints)?;
    Ok(Started { pid, terminal: received(seat)? })
}

fn with(builder: ContainerBuilder, streams: Streams) -> ContainerBuilder {
    match streams {
        Streams::Given { stdin: Some(stdin), stdout, stderr } => {
            builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr)
        }
        Streams::Given { stdin: None, stdout, stderr } => builder.with_stdout(stdout).with_stderr(stderr),
        Streams::Terminal(_) => builder,
    }
}

/// Where the ends of a terminal come, and what makes it; neither where none is wanted.
fn seat(streams: &Streams) -> Result<(Option<OwnedFd>, Option<Terminal>), Failure> {
    let Streams::Terminal(size) = streams else { return Ok((None, None)) };
    let (ours, theirs) = seqpacket::pair().map_err(|error| internal(error.into()))?;
    Ok((Some(ours), Some(Terminal { size: *size, to: Rc::new(theirs) })))
}

/// The ends of the terminal, which were sent before the program was executed. A container that may trace processes may
/// have sent something else in their stead, on which the pod process could hang.
fn received(seat: Option<OwnedFd>) -> Result<Option<[OwnedFd; 2]>, Failure> {
    let Some(seat) = seat else { return Ok(None) };
    let ends = || -> Result<[OwnedFd; 2]> {
        fcntl(seat.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let packet = seqpacket::recv(seat.as_fd(), 64)?.context("nothing came")?;
        let ends = <[OwnedFd; 2]>::try_from(packet.descriptors).ok();
        let [master, slave] = ends.context("not two ends came")?;
        ensure!(terminal::is_master(master.as_fd())?, "no terminal came");
        Ok([master, slave])
    };
    ends().map(Some).map_err(|error| internal(error.context("take the terminal over")))
}

/// As [`create_and_start`], with another executor and /dev/null for its output.
pub fn create_and_start_ours(
    runtime: &Path,
    id: &str,
    bundle: &Path,
    executor: impl Executor + 'static,
) -> Result<i32, Failure> {
    start(runtime, id, bundle, executor, |builder| builder)
}

/// A command to execute in a container.
pub struct Command<'a> {
    /// Directory with the container's directory in it; what libcontainer leaves there is the caller's to remove.
    pub runtime: &'a Path,
    /// The container.
    pub id: &'a str,
    /// File with the whole OCI process; what it does not say is libcontainer's idea, not the container's.
    pub process: &'a Path,
    /// Cgroup below the container's, which exists.
    pub cgroup: &'a str,
    /// Its descriptors.
    pub streams: Streams,
}

/// Executes a command in a container.
///
/// # Errors
/// As [`create_and_start`].
pub fn exec(command: Command<'_>) -> Result<Started, Failure> {
    let (complaints, complaint) = pipe()?;
    let (seat, terminal) = seat(&command.streams)?;
    let causes = causes::listen().map_err(internal)?;
    let build = || -> Result<i32> {
        let builder = ContainerBuilder::new(command.id.to_owned(), SyscallType::default())
            .with_root_path(command.runtime)?
            .with_executor(Program { complaint, terminal });
        let builder =
            with(builder, command.streams).as_tenant().with_process(Some(command.process)).with_detach(true);
        let builder = builder.with_sub_cgroup(Some(command.cgroup.to_owned()));
        Ok(builder.as_sibling(true).build()?.as_raw())
    };
    let result = build();
    // libcontainer may have seen the complaint itself and called it an error: what it is about comes first.
    match (result, causes) {
        (Ok(pid), _) => {
            executed(complaints)?;
            Ok(Started { pid, terminal: received(seat)? })
        }
        (Err(error), causes) => Err(match complained(complaints) {
            Some(reason) => Failure::new(Reason::StartError, reason),
            None => told(error, &causes.told()),
        }),
    }
}

fn start(
    runtime: &Path,
    id: &str,
    bundle: &Path,
    executor: impl Executor + 'static,
    with: impl FnOnce(ContainerBuilder) -> ContainerBuilder,
) -> Result<i32, Failure> {
    let causes = causes::listen().map_err(internal)?;
    let build = || -> Result<i32> {
        let builder = ContainerBuilder::new(id.to_owned(), SyscallType::default());
        let builder = with(builder.with_root_path(runtime)?.with_executor(executor));
        let builder = builder.as_init(bundle).with_systemd(false).with_detach(true).as_sibling(true);
        let mut container = builder.build()?;
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

fn pipe() -> Result<(OwnedFd, Rc<OwnedFd>), Failure> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(|error| internal(error.into()))?;
    Ok((reader, Rc::new(writer)))
}

/// Waits until the program is executed, or says why not.
fn executed(complaints: OwnedFd) -> Result<(), Failure> {
    match complained(complaints) {
        None => Ok(()),
        Some(reason) => Err(Failure::new(Reason::StartError, reason)),
    }
}

fn complained(complaints: OwnedFd) -> Option<String> {
    let mut text = Vec::new();
    // What came before an error is all that can be told; a pipe has none.
    let _ = File::from(complaints).take(4096).read_to_end(&mut text);
    (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
}
