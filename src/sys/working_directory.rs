//! The working directory, where what leads to it may have been changed by others.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::fchdir;

/// Enters the directory `path`. Links of `/proc` that lead to what others have open are not followed: the rights of whoever
/// enters count there, and lead anywhere.
pub fn enter(path: &Path) -> nix::Result<()> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let number = openat2(libc::AT_FDCWD, path, how)?;
    // SAFETY: openat2 just returned this descriptor, and nobody else knows it.
    let directory = unsafe { OwnedFd::from_raw_fd(number) };
    fchdir(directory.as_raw_fd())
}

/// Whether it is below the root of this process, in what is mounted here (CVE-2024-21626).
///
/// The kernel is asked, and not the C library: glibc looks for a way up by itself where the kernel knows none, and finds one
/// when the same file system is mounted elsewhere.
pub fn is_inside() -> io::Result<bool> {
    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most as many bytes as it is told that there are.
    let length = unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    // Where there is no way from the root to it, the kernel begins with `(unreachable)`.
    Ok(path.starts_with(b"/"))
}
