//! AppArmor: by which profile the next program of a thread is confined.

use std::fs;
use std::io::{self, ErrorKind};
use std::thread;

use super::process;

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
    process::confine(ON_EXECVE, &format!("exec {profile}"))
}

/// Whether the kernel knows `profile` and lets this process confine others by it: a thread tries, and executes nothing.
pub fn is_loaded(profile: &str) -> io::Result<bool> {
    let tried = thread::scope(|scope| scope.spawn(|| on_execve(profile)).join());
    match tried.unwrap_or_else(|_| Err(io::Error::other("it could not be tried"))) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        tried => tried.map(|()| true),
    }
}
