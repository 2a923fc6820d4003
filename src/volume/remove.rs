//! Removing a pod's directory, with whatever its containers have left in it.
//!
//! Everything is named by its directory's descriptor and one name, so that no symbolic link is ever followed and no path is
//! too long; `openat2` does not enter what is mounted there, not even a directory of the same file system. Directories
//! deeper than [`DEPTH`] are first moved to the top, so that depth costs neither descriptors nor stack.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, IFlags, Mode, OFlags, open, openat2, renameat, statat, unlinkat};
use rustix::io::{Errno, Result as OsResult};

use super::check_name;
use crate::host::Data;
use crate::sys::beneath::BENEATH;

/// Directories held open at once.
const DEPTH: usize = 32;
/// Errors told; the others are counted.
const TOLD: usize = 5;

/// Removes everything of the pod `uid` from the data disk. A pod that has nothing there is removed already.
///
/// Fails as [`remove_tree`] does.
pub fn remove(data: &Data, uid: &str) -> Result<()> {
    check_name(uid)?;
    remove_tree(&data.pods().join(uid))
}

/// Removes the directory at `path`, a path of our own making, and whatever is in it. One that is not there is removed already.
///
/// Goes on after an error and fails in the end, naming the first of what is left: something mounted in there, or a disk that
/// does not answer.
pub fn remove_tree(path: &Path) -> Result<()> {
    let (parent, name) = (path.parent().context("/ is not removed")?, path.file_name().context("no name")?);
    let parent_dir = match open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.with_context(|| format!("open {}", parent.display()))?,
    };
    let name = CString::new(name.as_bytes())?;
    let top = match open_dir(parent_dir.as_fd(), &name) {
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => bail!("open {}: {}", path.display(), explain(error)),
        Ok(top) => top,
    };
    let mut removal =
        Removal { top: top.try_clone()?, moved: 0, errors: Vec::new(), failed: 0, at: path.to_owned() };
    removal.empty(top, 1);
    if removal.failed == 0 {
        return unlinkat(&parent_dir, &name, AtFlags::REMOVEDIR)
            .with_context(|| format!("remove {}", path.display()));
    }
    let more = removal.failed - removal.errors.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    bail!("remove {}: {}{more}", path.display(), removal.errors.join("; "))
}

struct Removal {
    /// The pod's directory: where what is too deep is moved.
    top: OwnedFd,
    /// How many were.
    moved: u64,
    /// The first errors, and how many there were.
    errors: Vec<String>,
    failed: usize,
    /// Where we are, for messages.
    at: PathBuf,
}

impl Removal {
    /// Empties a directory. What was moved to the top meanwhile is found when the top is read again: it is read until there
    /// is nothing, or nothing that can be removed.
    fn empty(&mut self, dir: OwnedFd, depth: usize) {
        let mut dir = match Dir::new(dir) {
            Ok(dir) => dir,
            Err(error) => return self.fail(error),
        };
        loop {
            let (failed, told, mut removed) = (self.failed, self.errors.len(), false);
            while let Some(entry) = dir.read() {
                let (name, kind) = match entry {
                    Ok(entry) => (entry.file_name().to_owned(), entry.file_type()),
                    Err(error) => return self.fail(error),
                };
                if !matches!(name.to_bytes(), b"." | b"..") {
                    removed |= self.entry(&dir, &name, kind, depth);
                }
            }
            if !removed {
                return;
            }
            // What failed is tried again, and counted then.
            self.failed = failed;
            self.errors.truncate(told);
            dir.rewind();
        }
    }

    /// Removes what is called `name`; tells whether it is gone from here.
    fn entry(&mut self, dir: &Dir, name: &CString, kind: FileType, depth: usize) -> bool {
        self.at.push(OsStr::from_bytes(name.to_bytes()));
        let result = dir.fd().and_then(|dir| match kind {
            FileType::Directory => self.directory(dir, name, depth),
            _ => match insist(dir, name, || unlinkat(dir, name, AtFlags::empty())) {
                Err(Errno::ISDIR) => self.directory(dir, name, depth),
                result => result.map(|()| true),
            },
        });
        let gone = match result {
            Ok(gone) => gone,
            Err(Errno::NOENT) => true,
            Err(error) => {
                self.fail(error);
                false
            }
        };
        self.at.pop();
        gone
    }

    /// Removes a directory; tells whether it is gone from here. If it is not, why has been told.
    fn directory(&mut self, dir: BorrowedFd<'_>, name: &CString, depth: usize) -> OsResult<bool> {
        if depth >= DEPTH {
            return self.move_to_top(dir, name).map(|()| true);
        }
        let failed = self.failed;
        self.empty(open_dir(dir, name)?, depth + 1);
        match insist(dir, name, || unlinkat(dir, name, AtFlags::REMOVEDIR)) {
            Err(Errno::NOTEMPTY) if self.failed > failed => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn move_to_top(&mut self, dir: BorrowedFd<'_>, name: &CString) -> OsResult<()> {
        loop {
            self.moved += 1;
            let new = format!(".deep-{}", self.moved);
            match insist(dir, name, || renameat(dir, name, &self.top, &new)) {
                // A container has that name, too.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                result => return result,
            }
        }
    }

    fn fail(&mut self, error: Errno) {
        self.failed += 1;
        if self.errors.len() < TOLD {
            self.errors.push(format!("{:?}: {}", self.at, explain(error)));
        }
    }
}

/// Opens a directory in `dir`, unless it is a symbolic link or something is mounted on it.
fn open_dir(dir: BorrowedFd<'_>, name: &CString) -> OsResult<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(dir, name, flags, Mode::empty(), BENEATH)
}

/// Tries, and if it is not permitted even to root, takes the "immutable" and "append only" flags away and tries again.
fn insist(dir: BorrowedFd<'_>, name: &CString, act: impl Fn() -> OsResult<()>) -> OsResult<()> {
    match act() {
        Err(Errno::PERM) => {}
        result => return result,
    }
    let unlock = |file: BorrowedFd<'_>| {
        let flags = rustix::fs::ioctl_getflags(file)?;
        rustix::fs::ioctl_setflags(file, flags - (IFlags::IMMUTABLE | IFlags::APPEND))
    };
    // Either may be the reason; if neither is, the second try says so.
    let _ = unlock(dir);
    // Never opens a device: that alone may do something.
    let kind = FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    if matches!(kind, FileType::RegularFile | FileType::Directory) {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let _ = openat2(dir, name, flags, Mode::empty(), BENEATH).and_then(|file| unlock(file.as_fd()));
    }
    act()
}

/// In words where the kernel's are misleading.
fn explain(error: Errno) -> String {
    match error {
        Errno::XDEV | Errno::BUSY => format!("something is mounted there ({error}); unmount it"),
        _ => error.to_string(),
    }
}
