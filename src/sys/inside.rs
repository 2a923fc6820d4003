//! Paths of a container's own making, looked up inside its root: absolute ones and symbolic links stay there.
//!
//! Invariant: no path, whatever it holds, leads out of the root that was given.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

/// Opens a directory to look things up in.
pub fn root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let raw = nix::fcntl::open(path, flags, Mode::empty())?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Opens a regular file in `root` to read it. Never waits, as opening a FIFO would.
///
/// # Errors
/// `InvalidData` for what is no regular file.
pub fn open_file(root: BorrowedFd<'_>, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(open(root, path, flags)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    Ok(file)
}

/// Makes the directory `path` in `root`, and what is missing above it, mode 0755. Whether something was made.
pub fn make_directories(root: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let mut made = false;
    let mut at = PathBuf::from("/");
    for part in path.components() {
        let above = at.clone();
        match part {
            Component::Normal(name) => at.push(name),
            Component::ParentDir => at.push(".."),
            _ => continue,
        }
        match open(root, &at, directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => {
                other?;
                continue;
            }
        }
        let above = open(root, &above, directory)?;
        let name = at.file_name().unwrap_or_default();
        match mkdirat(Some(above.as_raw_fd()), name, Mode::from_bits_truncate(0o755)) {
            // A link that leads nowhere: opening it below tells so.
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        open(root, &at, directory)?;
        made = true;
    }
    Ok(made)
}

fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    // The kernel asks for another try when something was renamed meanwhile.
    for _ in 0..32 {
        match openat2(root.as_raw_fd(), path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
            Ok(raw) => return Ok(unsafe { OwnedFd::from_raw_fd(raw) }),
        }
    }
    Err(Errno::EAGAIN.into())
}
