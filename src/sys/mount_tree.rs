//! A mount that is nowhere yet, to be changed before anybody sees it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A copy of a mount, or of part of one, with what is mounted below.
#[derive(Debug)]
pub struct MountTree(OwnedFd);

impl MountTree {
    /// A copy of what is at `path`, symbolic links followed.
    pub fn copy(path: &Path) -> io::Result<MountTree> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let recursive = libc::AT_RECURSIVE as libc::c_uint;
        let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | recursive;
        // SAFETY: the path is a C string that lives until the call returns.
        let raw = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
        Ok(MountTree(unsafe { OwnedFd::from_raw_fd(raw as i32) }))
    }

    /// Shows the owners of files as those that have their IDs in `user_namespace`. What is mounted below stays as it is, as with
    /// other runtimes.
    ///
    /// # Errors
    /// `EINVAL` where the file system cannot do that, `EPERM` where it does already for somebody else.
    pub fn map_ids(&self, user_namespace: BorrowedFd<'_>) -> io::Result<()> {
        let attributes = libc::mount_attr {
            attr_set: libc::MOUNT_ATTR_IDMAP,
            attr_clr: 0,
            propagation: 0,
            userns_fd: user_namespace.as_raw_fd() as u64,
        };
        self.set(&attributes, 0)
    }

    /// Lets programs be executed in it and below, whatever the mount said that it is a copy of.
    pub fn permit_execution(&self) -> io::Result<()> {
        let attributes =
            libc::mount_attr { attr_set: 0, attr_clr: libc::MOUNT_ATTR_NOEXEC, propagation: 0, userns_fd: 0 };
        self.set(&attributes, libc::AT_RECURSIVE)
    }

    fn set(&self, attributes: &libc::mount_attr, flags: libc::c_int) -> io::Result<()> {
        // SAFETY: an empty C string, and one `mount_attr` of the size that is told; both live until the call returns.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_EMPTY_PATH | flags,
                attributes,
                size_of::<libc::mount_attr>(),
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Mounts it at `path`.
    pub fn attach(&self, path: &Path) -> io::Result<()> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: both paths are C strings that live until the call returns.
        let result = unsafe {
            libc::syscall(
                libc::SYS_move_mount,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_FDCWD,
                path.as_ptr(),
                libc::MOVE_MOUNT_F_EMPTY_PATH,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
