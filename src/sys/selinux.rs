//! SELinux: by which label the next program of a thread is confined, and which labels files have.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::process;

/// Is there where SELinux is switched on, mounted or not.
const THERE: &str = "/sys/fs/selinux";

/// Takes a label and says whether the policy knows it; is there where the file system is mounted.
const CONTEXT: &str = "/sys/fs/selinux/context";

/// The label of this process; `kernel` as long as there is no policy.
const CURRENT: &str = "/proc/thread-self/attr/current";

/// Where a thread says by what it is to be confined from its next `execve` on.
const ON_EXECVE: &str = "/proc/thread-self/attr/exec";

/// Where the label of a file is.
const OF_FILE: &str = "security.selinux";

/// Longest label that is read: those of a kernel fit a page.
const LONGEST: usize = 4096;

/// What there is of SELinux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// Nothing: no label means anything.
    Nothing,
    /// The kernel's part, without a policy or without its file system.
    NoPolicy,
    /// A policy.
    Policy,
}

/// What there is of it now.
pub fn here() -> Here {
    if !Path::new(THERE).exists() {
        return Here::Nothing;
    }
    let labelled =
        fs::read_to_string(CURRENT).is_ok_and(|label| label.trim_end_matches(['\0', '\n']) != "kernel");
    if labelled && Path::new(CONTEXT).exists() { Here::Policy } else { Here::NoPolicy }
}

/// Whether the policy knows `label`; in enforcing mode and in permissive.
pub fn is_known(label: &str) -> io::Result<bool> {
    match File::options().write(true).open(CONTEXT)?.write_all(label.as_bytes()) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        known => known.map(|()| true),
    }
}

/// Has the next program that the calling thread executes, or a child of it that it forks until then, run under `label`.
///
/// To be called where `/proc` is the node's: what a container has there may be anything.
pub fn on_execve(label: &str) -> io::Result<()> {
    process::confine(ON_EXECVE, label)
}

/// Whether the file that is open as `file`, be it by its path alone (`O_PATH`), has the label `label`.
pub fn has(file: impl AsFd, label: &str) -> bool {
    let mut found = vec![0; LONGEST];
    let length = getxattr(path(&file), OF_FILE, &mut found).unwrap_or(0);
    found.truncate(length);
    found.strip_suffix(b"\0").unwrap_or(&found) == label.as_bytes()
}

/// Gives it that label. A file system without labels of single files has none to give, and that is well.
pub fn give(file: impl AsFd, label: &str) -> io::Result<()> {
    match setxattr(path(&file), OF_FILE, label.as_bytes(), XattrFlags::empty()) {
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        given => Ok(given?),
    }
}

/// Not the descriptor itself, which may have been opened for nothing.
fn path(file: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}
