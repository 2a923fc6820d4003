//! `cp`: files into a container and out of it, as a tar stream that a `tar` in the container writes or reads, as kubectl
//! does it.
//!
//! That tar is run by our own `exec`, as a process of its own. What it sends is the container's word: see [`unpack`].
//!
//! Invariant: nothing is written outside the destination, whatever the container sends.

mod pack;
mod unpack;

#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use super::args::{self, Place};
use super::{choose, read, say};
use crate::host::Runtime;

/// The exit code of `exec` for a command that is not there.
const NOT_FOUND: i32 = 127;

/// What a tar may send after the end of its archive, in bytes: GNU tar fills up its last record.
const MOST_PADDING: u64 = 1024 * 1024;

/// Copies what `cp` asks for.
pub fn cp(runtime: &Runtime, cp: &args::Cp) -> Result<()> {
    match (Place::parse(&cp.from)?, Place::parse(&cp.to)?) {
        (Place::Pod { namespace, name, path }, Place::Local(to)) => {
            let container = Container::find(runtime, cp, namespace, &name)?;
            container.receive(&path, &to)
        }
        (Place::Local(from), Place::Pod { namespace, name, path }) => {
            let found = std::fs::symlink_metadata(&from);
            found.with_context(|| format!("look at {}", from.display()))?;
            let container = Container::find(runtime, cp, namespace, &name)?;
            container.send(&from, &path, cp.no_preserve)
        }
        (Place::Local(_), Place::Local(_)) => bail!("one of the two must be in a pod: write POD:PATH"),
        (Place::Pod { .. }, Place::Pod { .. }) => bail!("one of the two must be a local file"),
    }
}

/// A container, and how to run commands in it.
struct Container<'r> {
    runtime: &'r Runtime,
    namespace: String,
    pod: String,
    name: String,
}

impl Container<'_> {
    fn find<'r>(
        runtime: &'r Runtime,
        cp: &args::Cp,
        namespace: Option<String>,
        pod: &str,
    ) -> Result<Container<'r>> {
        let namespace = namespace.unwrap_or_else(|| cp.namespace.namespace.clone());
        let found = read::pod(runtime, &namespace, pod)?;
        let name = choose::container(&found, cp.container.as_deref())?;
        Ok(Container { runtime, namespace, pod: found.name().to_string(), name })
    }

    /// Our own `exec` of `command`. Its words on stderr are for people, and harmless.
    fn exec(&self, flags: &[&str], command: &[&str]) -> Command {
        let mut exec = Command::new("/proc/self/exe");
        exec.arg("--runtime-dir").arg(self.runtime.root()).arg("exec").args(flags);
        exec.args([&*self.pod, "-n", &*self.namespace, "-c", &*self.name, "--"]).args(command);
        exec.stdin(Stdio::null()).stdout(Stdio::null());
        exec
    }

    /// Copies `path` out of the container.
    fn receive(&self, path: &str, to: &Path) -> Result<()> {
        let (folder, name) = split(path);
        let asked = format!("./{name}");
        let mut tar = Running::start(
            self.exec(&["-q"], &["tar", "cf", "-", "-C", &folder, &asked]).stdout(Stdio::piped()),
        )?;
        let mut stream = tar.0.stdout.take().context("the command has no output")?;
        let done = unpack::unpack(&mut stream, name.as_bytes(), to);
        let done = done.with_context(|| format!("copy {path:?} from pod {}", self.pod));
        if done.is_ok() {
            // A tar that finds nobody reading any more would fail.
            io::copy(&mut stream.take(MOST_PADDING), &mut io::sink()).context("read the archive")?;
        } else {
            drop(stream);
            tar.kill();
        }
        let ended = tar.wait()?;
        match done {
            Ok(unpack::Done::Nothing) => {
                self.ensure(ended)?;
                bail!("nothing was copied of {path:?}")
            }
            other => other.map(drop).and_then(|()| self.ensure(ended)),
        }
    }

    /// Copies `from` into the container.
    fn send(&self, from: &Path, path: &str, no_preserve: bool) -> Result<()> {
        let mut to = path.to_string();
        if Running::start(self.exec(&["-q"], &["test", "-d", path]).stderr(Stdio::null()))?.wait()?.success()
        {
            to = format!("{}/{}", path.trim_end_matches('/'), own_name(from)?);
        }
        let (folder, name) = split(&to);
        let mut command = vec!["tar", "-x", "-m", "-f", "-", "-C", &*folder];
        if no_preserve {
            command.splice(1..1, ["--no-same-permissions", "--no-same-owner"]);
        }
        let mut tar = Running::start(self.exec(&["-q", "-i"], &command).stdin(Stdio::piped()))?;
        let stream = tar.0.stdin.take().context("the command has no input")?;
        let sent = pack::pack(stream, from, Path::new(&name));
        // A tar that has ended says why by its exit code; that nobody read on is only what follows from it.
        let broken = |error: &anyhow::Error| {
            error
                .chain()
                .filter_map(|cause| cause.downcast_ref::<io::Error>())
                .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
        };
        match sent {
            Err(error) if !broken(&error) => {
                tar.kill();
                tar.wait()?;
                Err(error)
            }
            sent => self.ensure(tar.wait()?).and(sent),
        }
    }

    fn ensure(&self, ended: ExitStatus) -> Result<()> {
        match ended.code() {
            Some(0) => Ok(()),
            Some(NOT_FOUND) => bail!(
                "container {:?} of pod {} has no tar, which cp needs there; a volume that both see does without",
                self.name,
                self.pod
            ),
            Some(code) => bail!("tar in container {:?} of pod {} ended with {code}", self.name, self.pod),
            None => bail!("tar in container {:?} of pod {} was killed", self.name, self.pod),
        }
    }
}

/// A child that does not outlive us.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Running> {
        command.spawn().map(Running).context("start exec")
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        self.0.wait().context("wait for exec")
    }

    fn kill(&mut self) {
        // It may have ended; the pod process kills what it ran when it does.
        let _ = self.0.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.wait();
    }
}

/// The name that `from` has, a symbolic link its own; that of the directory where it is `.` or `..`.
fn own_name(from: &Path) -> Result<String> {
    let name = match from.file_name() {
        Some(name) => Some(name.to_owned()),
        None => {
            let folder = from.canonicalize().with_context(|| format!("look at {}", from.display()))?;
            folder.file_name().map(ToOwned::to_owned)
        }
    };
    let name = name.and_then(|name| name.into_string().ok());
    name.with_context(|| format!("{} has no name to copy it to", from.display()))
}

/// The folder of a path in a container, and the last name, `.` where it has none.
fn split(path: &str) -> (String, String) {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, parts.last()) {
            ("..", None) if path.starts_with('/') => {}
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let name = parts.pop_if(|last| *last != "..").unwrap_or(".").to_string();
    let root = if path.starts_with('/') { "/" } else { "./" };
    (format!("{root}{}", parts.join("/")), name)
}
