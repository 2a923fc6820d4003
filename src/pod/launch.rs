//! The birth of a pod process: from a child of the agent to a process of its own.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::process::Process;
use super::{diary, sandbox};
use crate::protocol::Sandbox;
use crate::sys::process::{Program, duplicate, spawn};

/// Argument that tells the second process from the first.
pub const STAY: &str = "stay";

/// What the pod process says when it can be spoken to.
const READY: &[u8] = b"ready\n";

/// The first process: starts the second, passes its verdict on, and exits, so that the second is nobody's child.
pub fn launch(directory: &Path) -> ExitCode {
    let verdict = match begin(directory) {
        Ok(verdict) => verdict,
        Err(error) => format!("{error:#}\n").into_bytes(),
    };
    // Nobody listens: then the agent died, and the next one finds the pod process by its lock and its socket.
    let _ = std::io::stdout().write_all(&verdict);
    if verdict == READY { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn begin(directory: &Path) -> Result<Vec<u8>> {
    let sandbox = read(directory)?;
    // `ps` shows the arguments: executing the program anew is the plain way to change them.
    let title = format!("holdfast: pod {}", sandbox.full_name);
    let directory = directory.to_str().context("the pod's directory has a name that is no text")?;
    let arguments = [&*title, "pod-process", directory, STAY].map(CString::new);
    let arguments = arguments.into_iter().collect::<Result<Vec<_>, _>>().context("a zero byte in a name")?;
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
    let (stdin, stderr) = (std::io::stdin(), std::io::stderr());
    spawn(&Program {
        path: c"/proc/self/exe",
        arguments: &arguments,
        descriptors: &[stdin.as_fd(), writer.as_fd(), stderr.as_fd()],
        session: true,
    })
    .context("start the pod process")?;
    drop(writer);
    let mut verdict = Vec::new();
    File::from(reader).take(64 * 1024).read_to_end(&mut verdict).context("wait for the pod process")?;
    if verdict.is_empty() {
        verdict.extend_from_slice(b"the pod process died before it was ready\n");
    }
    Ok(verdict)
}

/// The second process: the pod process.
pub fn stay(directory: &Path) -> ExitCode {
    let (lock, verdict) = match (duplicate(0, 10), duplicate(1, 10)) {
        (Ok(lock), Ok(verdict)) => (lock, verdict),
        _ => return ExitCode::FAILURE,
    };
    match prepare(directory, lock, &verdict) {
        Ok(mut process) => {
            // As in `launch`: without an agent the pod process waits for the next one.
            let _ = nix::unistd::write(&verdict, READY);
            drop(verdict);
            process.run()
        }
        Err(error) => {
            log::error!("{error:#}");
            let _ = nix::unistd::write(&verdict, format!("{error:#}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn prepare(directory: &Path, lock: OwnedFd, verdict: &OwnedFd) -> Result<Process> {
    sandbox::detach(&[lock.as_fd(), verdict.as_fd()])?;
    diary::begin(&directory.join("log"))?;
    let sandbox = read(directory)?;
    let parts = sandbox::make(&sandbox, directory)?;
    Ok(Process::new(sandbox, directory.to_owned(), lock, parts))
}

fn read(directory: &Path) -> Result<Sandbox> {
    let path = directory.join("sandbox.json");
    let text = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display()))
}
