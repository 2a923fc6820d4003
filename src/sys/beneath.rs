//! Files beneath a directory, by names that somebody else chose.
//!
//! To change something, a path is split by the caller into a folder and one last name. The folder is opened by the kernel
//! with the root as its `/` (`openat2`), the last name is never followed, and nothing that is mounted there is entered.
//! What is only looked up ([`Root::file`], [`Root::make_folders`]) is a path as the container itself would see it.
//!
//! Invariant: nothing above or beside the root is opened, made, changed or removed, whatever symbolic links are within.
//! Invariant: a last name is one component: not empty, not `.` or `..`, without a slash.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags};
use nix::sys::stat::{fchmodat, fstatat, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};
use rustix::fs::ResolveFlags;

/// For whoever goes through a tree that others change: neither through a symbolic link nor into what is mounted.
pub const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// How often the kernel is asked again that says EAGAIN: something was renamed or mounted meanwhile, which somebody may do
/// on purpose and for ever.
const TRIES: usize = 128;

/// The directory that nothing escapes from.
#[derive(Debug)]
pub struct Root(OwnedFd);

/// What a last name is made to be, when it is neither a regular file nor a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A character device: major, minor.
    Character(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

impl Root {
    /// Opens the directory `path`, which is trusted.
    pub fn open(path: &Path) -> io::Result<Root> {
        let directory = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(path)?;
        Ok(Root(directory.into()))
    }

    /// Opens the regular file at `path` to read it. Never waits, as opening a FIFO would.
    ///
    /// # Errors
    /// `InvalidData` for what is no regular file.
    pub fn file(&self, path: &Path) -> io::Result<File> {
        let file = File::from(self.look_up(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        Ok(file)
    }

    /// Makes the directory `path`, and what is missing above it, mode 0755 less the umask. Whether something was made.
    pub fn make_folders(&self, path: &Path) -> io::Result<bool> {
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
            match self.look_up(&at, directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => {
                    other?;
                    continue;
                }
            }
            let above = self.look_up(&above, directory)?;
            let name = at.file_name().unwrap_or_default();
            match mkdirat(Some(above.as_raw_fd()), name, Mode::from_bits_truncate(0o755)) {
                // A link that leads nowhere: opening it below tells so.
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            self.look_up(&at, directory)?;
            made = true;
        }
        Ok(made)
    }

    fn look_up(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        open(&self.0, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve))
    }

    /// Opens the folder `path`; symbolic links in it are followed as if the root were `/`.
    pub fn folder(&self, path: &Path) -> io::Result<Folder> {
        self.resolve(path, ResolveFlag::RESOLVE_IN_ROOT)
    }

    /// Opens the folder `path`; a symbolic link anywhere in it is ELOOP.
    pub fn folder_without_links(&self, path: &Path) -> io::Result<Folder> {
        self.resolve(path, ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS)
    }

    /// Opens whatever is at `path`, to be mounted elsewhere and not to be read; what is mounted within the root belongs to
    /// it. A symbolic link anywhere in it is ELOOP.
    pub fn handle_without_links(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let strict = ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
        open(&self.0, path, how.resolve(strict | ResolveFlag::RESOLVE_BENEATH))
    }

    fn resolve(&self, path: &Path, how: ResolveFlag) -> io::Result<Folder> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let strict = ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        let how = OpenHow::new().flags(flags).resolve(how | strict);
        Ok(Folder(File::from(open(&self.0, path, how)?)))
    }
}

/// An open folder. Every `name` is one last name in it.
#[derive(Debug)]
pub struct Folder(File);

impl Folder {
    /// The folder itself, to set its owner, mode, times and attributes.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// The folder once more.
    pub fn reopen(&self) -> io::Result<Folder> {
        Ok(Folder(self.0.try_clone()?))
    }

    /// Every name in it, in no order.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut directory = Dir::openat(self.at(), ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            match entry?.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(OsString::from_vec(name.to_vec())),
            }
        }
        Ok(names)
    }

    /// Gives `old` the name `new`, in place of what has it.
    pub fn rename(&self, old: &OsStr, new: &OsStr) -> io::Result<()> {
        Ok(renameat(self.at(), checked(old)?, self.at(), checked(new)?)?)
    }

    /// What `name` is, a symbolic link not followed; `None` where there is nothing.
    pub fn stat(&self, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatat(self.at(), checked(name)?, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the regular file `name`, 0600; EEXIST if anything has that name.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).mode(Mode::S_IRUSR | Mode::S_IWUSR);
        Ok(File::from(open(&self.0, checked(name)?, how)?))
    }

    /// Makes the directory `name`, 0700 less the umask; EEXIST if anything has that name.
    pub fn create_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(self.at(), checked(name)?, Mode::S_IRWXU)?)
    }

    /// Opens the directory `name`; ELOOP or ENOTDIR if it is none.
    pub fn open_folder(&self, name: &OsStr) -> io::Result<Folder> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV);
        Ok(Folder(File::from(open(&self.0, checked(name)?, how)?)))
    }

    /// Opens the regular file `name` to read it; ELOOP if it is a symbolic link. Never waits, as opening a FIFO would.
    ///
    /// # Errors
    /// `InvalidData` for what is no regular file.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV);
        let file = File::from(open(&self.0, checked(name)?, how)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        Ok(file)
    }

    /// Makes the symbolic link `name`, whose text is `target` as it stands.
    pub fn create_symlink(&self, name: &OsStr, target: &OsStr) -> io::Result<()> {
        Ok(symlinkat(target, self.at(), checked(name)?)?)
    }

    /// The text of the symbolic link `name`.
    pub fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        Ok(readlinkat(self.at(), checked(name)?)?)
    }

    /// Makes `name` another name of `existing` in `folder`; a symbolic link is not followed.
    pub fn create_hard_link(&self, name: &OsStr, folder: &Folder, existing: &OsStr) -> io::Result<()> {
        let (name, existing) = (checked(name)?, checked(existing)?);
        Ok(linkat(folder.at(), existing, self.at(), name, AtFlags::empty())?)
    }

    /// Makes the device or pipe `name`, 0600 less the umask.
    pub fn create_node(&self, name: &OsStr, node: Node) -> io::Result<()> {
        let (kind, (major, minor)) = match node {
            Node::Character(major, minor) => (SFlag::S_IFCHR, (major, minor)),
            Node::Block(major, minor) => (SFlag::S_IFBLK, (major, minor)),
            Node::Fifo => (SFlag::S_IFIFO, (0, 0)),
        };
        let device = nix::sys::stat::makedev(major.into(), minor.into());
        Ok(mknodat(self.at(), checked(name)?, kind, Mode::S_IRUSR | Mode::S_IWUSR, device)?)
    }

    /// Removes `name`, with everything in it if it is a directory.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        let name = checked(name)?;
        match unlinkat(self.at(), name, UnlinkatFlags::NoRemoveDir) {
            // std removes by descriptors too, and follows no symbolic link.
            Err(Errno::EISDIR | Errno::EPERM) => std::fs::remove_dir_all(
                Path::new(&format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(name),
            ),
            result => Ok(result?),
        }
    }

    /// Sets the owner of `name`, a symbolic link not followed.
    pub fn set_owner(&self, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(fchownat(self.at(), checked(name)?, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Sets the mode of `name`, which the caller made and which is no symbolic link.
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        let mode = Mode::from_bits_truncate(mode & 0o7777);
        Ok(fchmodat(self.at(), checked(name)?, mode, FchmodatFlags::FollowSymlink)?)
    }

    /// Sets both times of `name`, a symbolic link not followed.
    pub fn set_time(&self, name: &OsStr, time: TimeSpec) -> io::Result<()> {
        Ok(utimensat(self.at(), checked(name)?, &time, &time, UtimensatFlags::NoFollowSymlink)?)
    }

    fn at(&self) -> Option<i32> {
        Some(self.0.as_raw_fd())
    }
}

/// Sets the extended attribute `name` of an open file or directory.
pub fn set_attribute(file: impl AsFd, name: &OsStr, value: &[u8]) -> io::Result<()> {
    let name = CString::new(name.as_bytes())?;
    // SAFETY: name ends with a zero byte, value is as long as said; both outlive the call.
    let result = unsafe {
        let value_start = value.as_ptr().cast();
        libc::fsetxattr(file.as_fd().as_raw_fd(), name.as_ptr(), value_start, value.len(), 0)
    };
    Ok(Errno::result(result).map(drop)?)
}

/// The extended attribute `name` of an open file or directory; `None` if it has none of that name.
pub fn attribute(file: impl AsFd, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let name = CString::new(name.as_bytes())?;
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: name ends with a zero byte; the kernel writes no more than the length given with each buffer.
    let filled = fill(|buffer, length| unsafe { libc::fgetxattr(descriptor, name.as_ptr(), buffer, length) });
    match filled {
        Err(error) if error.raw_os_error() == Some(libc::ENODATA) => Ok(None),
        result => result.map(Some),
    }
}

/// The names of all extended attributes of an open file or directory.
pub fn attributes(file: impl AsFd) -> io::Result<Vec<OsString>> {
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: the kernel writes no more than the length given with each buffer.
    let filled = fill(|buffer, length| unsafe { libc::flistxattr(descriptor, buffer.cast(), length) })?;
    let names = filled.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
}

/// Asks `read` how much there is, then has it written into a buffer; anew if there is more by then.
fn fill(read: impl Fn(*mut libc::c_void, usize) -> isize) -> io::Result<Vec<u8>> {
    loop {
        let mut buffer = vec![0_u8; Errno::result(read(std::ptr::null_mut(), 0))?.unsigned_abs()];
        match Errno::result(read(buffer.as_mut_ptr().cast(), buffer.len())) {
            Ok(length) => {
                buffer.truncate(length.unsigned_abs());
                return Ok(buffer);
            }
            Err(Errno::ERANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn open(at: impl AsFd, path: impl AsRef<OsStr>, how: OpenHow) -> io::Result<OwnedFd> {
    for _ in 0..TRIES {
        match openat2(at.as_fd().as_raw_fd(), path.as_ref(), how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            // SAFETY: openat2 just returned this descriptor, and nobody else knows it.
            Ok(descriptor) => return Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        }
    }
    Err(Errno::EAGAIN.into())
}

fn checked(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    match bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        true => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        false => Ok(name),
    }
}
