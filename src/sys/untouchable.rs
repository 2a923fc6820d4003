//! A binary that no container can touch.
//!
//! Until a container's first `execve`, its first process *is* our binary, so an image whose entry point is
//! `/proc/self/exe`, or a neighbour that looks at `/proc/<pid>/exe`, could write to it or take its permissions away
//! (CVE-2019-5736 and its kin). Pod processes are therefore executed from a detached, read-only clone of the mount that
//! holds the binary: the kernel refuses every change through it, and it costs no memory.
//!
//! Invariant: `/proc/self/exe` of everything started from [`Untouchable::command`] lies on that clone, and so does what
//! is re-executed through it. It reads as `/`: such processes never ask for `current_exe`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// The read-only clone, held by one descriptor.
///
/// Processes that were started from it keep it alive: the descriptor may be closed any time.
#[derive(Debug)]
pub struct Untouchable(OwnedFd);

impl Untouchable {
    /// Clones the mount of the binary that is running.
    ///
    /// # Errors
    /// `Unsupported` on kernels before 5.12, which cannot make a mount read-only that is nowhere. The agent refuses to
    /// run on them: a copy in memory would cost megabytes and still let its permissions be taken away.
    pub fn new() -> io::Result<Untouchable> {
        Untouchable::of(Path::new("/proc/self/exe"))
    }

    /// Clones the mount of the file at `path`, symbolic links followed.
    ///
    /// # Errors
    /// As [`Untouchable::new`]; and those of looking `path` up.
    pub fn of(path: &Path) -> io::Result<Untouchable> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
        // SAFETY: the path is a C string that lives until the call returns.
        let raw = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
        if raw < 0 {
            return Err(explained(io::Error::last_os_error()));
        }
        // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
        let tree = unsafe { OwnedFd::from_raw_fd(raw as i32) };
        let attributes = libc::mount_attr {
            attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
            attr_clr: 0,
            propagation: libc::MS_PRIVATE,
            userns_fd: 0,
        };
        // SAFETY: an empty C string, and one `mount_attr` of the size that is told; both live until the call returns.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                tree.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_EMPTY_PATH,
                &attributes,
                size_of::<libc::mount_attr>(),
            )
        };
        if result < 0 { Err(explained(io::Error::last_os_error())) } else { Ok(Untouchable(tree)) }
    }

    /// A command that executes the clone. Add arguments and descriptors; start it while `self` lives.
    pub fn command(&self) -> Command {
        Command::new(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

fn explained(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => io::Error::new(
            io::ErrorKind::Unsupported,
            "the kernel cannot clone a mount read-only (mount_setattr): Linux 5.12 or newer is needed",
        ),
        _ => error,
    }
}
