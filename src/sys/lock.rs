//! Locks that tell whether their holder lives.
//!
//! A `flock` belongs to the open file description, not to a process: it holds until the last descriptor of it is closed.
//! So an agent can lock a file, hand the descriptor to a child, close its own, and the lock is the child's.
//!
//! Invariant: a lock is never given back explicitly, since that would take it from whoever shares the description.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// For how long a lock that is held is asked for again. Whoever looks by [`is_held`] shares it for an instant; and a child
/// of an agent that was just killed holds it between its fork and its `execve`, on a busy machine for some 100 ms.
const INSTANT: Duration = Duration::from_secs(1);

/// Takes the lock on `path`, a file that is made (0600) where it is missing.
///
/// `None`: somebody else holds it, which takes a second to find out. The lock holds for as long as the file, or a duplicate
/// of its descriptor, is open.
pub fn take(path: &Path) -> io::Result<Option<File>> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    locked(file)
}

/// Takes the lock on the directory at `path`; as [`take`].
pub fn take_directory(path: &Path) -> io::Result<Option<File>> {
    locked(File::open(path)?)
}

fn locked(file: File) -> io::Result<Option<File>> {
    let deadline = Instant::now() + INSTANT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if deadline <= Instant::now() => return Ok(None),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Whether somebody holds the lock on `path`. A file that is not there is not locked.
pub fn is_held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
