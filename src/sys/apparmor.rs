//! AppArmor: by which profile the next program of a thread is confined.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::thread;

use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

/// Says `Y` where AppArmor is switched on.
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";

/// Where a thread says by what it is to be confined from its next `execve` on (Linux 5.8).
const ON_EXECVE: &str = "/proc/thread-self/attr/apparmor/exec";

/// Whether the kernel confines by AppArmor.
pub fn is_enabled() -> bool {
    fs::read_to_string(ENABLED).is_ok_and(|answer| answer.starts_with('Y'))
}

/// Has the next program that the calling thread executes, or a child of it that it forks until then, confined by `profile`.
///
/// To be called where `/proc` is the node's: what a container has there may be anything. `NotFound` where there is no such
/// profile.
pub fn on_execve(profile: &str) -> io::Result<()> {
    let mut file = match File::options().write(true).open(ON_EXECVE) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(io::Error::new(ErrorKind::Unsupported, format!("there is no {ON_EXECVE}")));
        }
        file => file?,
    };
    if fstatfs(&file)?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(io::Error::other(format!("{ON_EXECVE} is no file of the kernel's")));
    }
    // In one write, which is all that is looked at.
    file.write_all(format!("exec {profile}").as_bytes())
}

/// Whether the kernel knows `profile` and lets this process confine others by it: a thread tries, and executes nothing.
pub fn is_loaded(profile: &str) -> io::Result<bool> {
    let tried = thread::scope(|scope| scope.spawn(|| on_execve(profile)).join());
    match tried.unwrap_or_else(|_| Err(io::Error::other("it could not be tried"))) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        tried => tried.map(|()| true),
    }
}
