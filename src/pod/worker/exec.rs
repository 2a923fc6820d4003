//! Running a command in a container, as the container itself runs: user, groups, capabilities, limits, environment.
//!
//! Where the caller says nothing, libcontainer's own idea of an exec is uid 0, its own capabilities, 1024 files. So the
//! container's whole OCI process is handed over, with only its arguments replaced.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};

use super::runtime::{Command, Started, Streams};
use super::{config, failure, runtime};
use crate::cgroup::Hierarchy;
use crate::pod::job::{ExecTask, MORE, command_state};
use crate::status::{Failure, Reason};
use crate::sys::process::inherited;

/// Runs the command.
pub fn exec(runtime: &Path, task: &ExecTask) -> Result<Started, Failure> {
    let wrong = |error| failure(Reason::RunContainerError, &error);
    let streams = streams(task).map_err(wrong)?;
    enter(task).map_err(wrong)?;
    let process = process(task).map_err(wrong)?;
    let own = private_state(runtime, task).map_err(wrong)?;
    let started = runtime::exec(Command {
        runtime: &own,
        id: &task.id,
        process: Path::new(&format!("/proc/self/fd/{}", process.as_raw_fd())),
        cgroup: &task.name,
        streams,
    });
    // Where this worker is killed before, the pod process removes it.
    let removed = match fs::remove_dir_all(&own) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let started = started?;
    removed.with_context(|| format!("remove {}", own.display())).map(|()| started).map_err(wrong)
}

fn streams(task: &ExecTask) -> Result<Streams> {
    Ok(match task.terminal {
        true => Streams::Terminal(task.size),
        false => Streams::Given {
            stdin: Some(inherited(MORE)?),
            stdout: inherited(MORE + 1)?,
            stderr: inherited(MORE + 2)?,
        },
    })
}

/// A cgroup below the container's, so that all that the command starts can be killed without the container.
fn enter(task: &ExecTask) -> Result<()> {
    let cgroup = format!("{}/{}", task.cgroup, task.name);
    let cgroups = Hierarchy::around(&cgroup).context("look for cgroups")?;
    cgroups.create(&cgroup)?;
    cgroups.enter(&cgroup)
}

/// The container's process with other arguments, as a file in memory.
fn process(task: &ExecTask) -> Result<fs::File> {
    let process = config::process_with(Path::new(&task.bundle), &task.args, task.terminal)?;
    let memory =
        memfd_create(c"process.json", MemFdCreateFlag::MFD_CLOEXEC).context("make a file in memory")?;
    let mut file = fs::File::from(memory);
    file.write_all(&serde_json::to_vec(&process)?).context("write the process")?;
    Ok(file)
}

/// A copy of the container's state in a directory of its own: libcontainer leaves a socket beside the state at each exec,
/// under a name that it does not tell.
fn private_state(runtime: &Path, task: &ExecTask) -> Result<PathBuf> {
    let own = runtime.join(command_state(&task.id, &task.name));
    let copy = own.join(&task.id);
    fs::create_dir_all(&copy).with_context(|| format!("make {}", copy.display()))?;
    let from = runtime.join(&task.id).join("state.json");
    fs::copy(&from, copy.join("state.json")).with_context(|| format!("copy {}", from.display()))?;
    Ok(own)
}
