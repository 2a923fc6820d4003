//! The last steps of a container's process before it becomes the image's program.
//!
//! libcontainer has by then entered the namespaces and the root, and dropped user and capabilities; what it leaves to us
//! is the signals, the descriptors, the environment, finding the program, and saying why it could not be executed:
//! `start` says that all is well even when nothing was.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, execve};
use oci_spec::runtime::Spec;

use crate::protocol::Size;
use crate::sys::terminal::{self, Pair};
use crate::sys::{process, seqpacket, signal};

/// What `PATH` is where the environment has none, as in containerd.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Executes the program that the spec names.
#[derive(Clone)]
pub struct Program {
    /// Where the reason is written when it cannot be executed. Closed by `execve`: silence and an end is success.
    pub complaint: Rc<OwnedFd>,
    /// The terminal that it is to have.
    pub terminal: Option<Terminal>,
}

/// A terminal that is to be made in the container, by the process that will have it.
///
/// So nothing but this process's own rights goes into it, whatever a hostile container put at `/dev/pts`; it belongs to the
/// process's user, who can open it again by its name; and that name is one of the container's.
#[derive(Clone)]
pub struct Terminal {
    /// How large it is at first.
    pub size: Option<Size>,
    /// Where its two ends are sent.
    pub to: Rc<OwnedFd>,
}

/// What makes terminals, in the container.
const MULTIPLEXER: &str = "/dev/pts/ptmx";

impl Terminal {
    fn make(&self) -> io::Result<()> {
        let Pair { master, slave } = terminal::pair(Path::new(MULTIPLEXER))?;
        if let Some(Size { rows, columns }) = self.size {
            terminal::set_size(&slave, (rows, columns))?;
        }
        seqpacket::send(self.to.as_fd(), b"terminal", &[master.as_fd(), slave.as_fd()])?;
        terminal::become_standard(slave)
    }
}

impl Executor for Program {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let reason = self.execute(spec);
        // The pod process reads it; there is nobody else to tell.
        let _ = nix::unistd::write(&*self.complaint, reason.as_bytes());
        Err(ExecutorError::Other(reason))
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        // `exec` finds out by doing it.
        Ok(())
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // `exec` hands over the spec's own list, in its order.
        Ok(())
    }
}

impl Program {
    /// Returns only with the reason why it did not work.
    fn execute(&self, spec: &Spec) -> String {
        let Some(wanted) = spec.process().as_ref() else { return "the bundle has no process".to_owned() };
        let arguments = wanted.args().as_deref().unwrap_or_default();
        let environment = wanted.env().as_deref().unwrap_or_default();
        let Some(name) = arguments.first() else { return "no command specified".to_owned() };
        let ready = signal::reset().and_then(|()| process::close_on_exec(3));
        if let Err(error) = ready {
            return format!("prepare to execute {name:?}: {error}");
        }
        if let Some(Err(error)) = self.terminal.as_ref().map(Terminal::make) {
            return format!("make a terminal by the container's {MULTIPLEXER}: {error}");
        }
        let path = match find(name, environment) {
            Ok(path) => path,
            Err(reason) => return format!("exec: {name:?}: {reason}"),
        };
        let (Ok(path), Some(arguments), Some(environment)) =
            (CString::new(path), c_strings(arguments), c_strings(environment))
        else {
            return format!("exec: {name:?}: a zero byte in the command or in its environment");
        };
        let Err(error) = execve(&path, &arguments, &environment);
        format!("exec: {name:?}: {}", explained(error))
    }
}

/// The file to execute. A name with a slash is a path; another is looked for in PATH, as execvp(3) does, but never
/// relative to the working directory.
fn find(name: &str, environment: &[String]) -> Result<String, String> {
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let path = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let mut forbidden = false;
    for directory in path.unwrap_or(DEFAULT_PATH).split(':').filter(|directory| directory.starts_with('/')) {
        let file = format!("{}/{name}", directory.trim_end_matches('/'));
        let Ok(metadata) = Path::new(&file).metadata() else { continue };
        if !metadata.is_file() {
            continue;
        }
        if metadata.permissions().mode() & 0o111 != 0 && access(&*file, AccessFlags::X_OK).is_ok() {
            return Ok(file);
        }
        forbidden = true;
    }
    Err(if forbidden { "permission denied" } else { "executable file not found in $PATH" }.to_owned())
}

fn explained(error: Errno) -> &'static str {
    match error {
        Errno::ENOENT => "no such file or directory (it, or the interpreter that it names)",
        Errno::EACCES => "permission denied",
        Errno::ENOEXEC => "exec format error: not a program for this machine, or a script without #!",
        other => other.desc(),
    }
}

fn c_strings(list: &[String]) -> Option<Vec<CString>> {
    list.iter().map(|word| CString::new(word.as_str()).ok()).collect()
}
