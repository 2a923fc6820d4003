//! The entries of the manifests directory, as they are on the disk.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat};

use crate::manifest::{FileContent, MAX_BYTES};

/// Enough of an entry to notice that it changed.
pub type Look = (u64, u64, u64, i64, i64);

/// How an entry looks.
pub fn look_of(look: &Metadata) -> Look {
    (look.dev(), look.ino(), look.size(), look.mtime(), look.mtime_nsec())
}

/// Whether it changed less than `age` ago. What changed in the future is as old as anything.
pub fn is_younger(look: &Metadata, age: Duration) -> bool {
    let since = look.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    since.is_some_and(|since| since < age)
}

/// Which directory it is: its file system and its number there.
pub type Identity = (u64, u64);

/// Which directory the manifests were last read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its file system.
    pub device: u64,
    /// Its number there; unknown where an agent wrote it down that knew of the device only.
    pub inode: Option<u64>,
}

impl Known {
    /// As it was written down: `<device> <inode>`.
    pub fn parse(text: &str) -> Option<Known> {
        let mut numbers = text.split_whitespace().map(|number| number.parse().ok());
        Some(Known { device: numbers.next()??, inode: numbers.next().flatten() })
    }

    /// Whether it is the directory of `identity`.
    pub fn is(self, (device, inode): Identity) -> bool {
        self.device == device && self.inode.is_none_or(|known| known == inode)
    }
}

/// Which directory is at `path`, and the names in it; of one directory, whatever is mounted there meanwhile.
///
/// Without O_NOATIME the kernel would note each reading on the disk.
pub fn names(path: &Path) -> io::Result<(Identity, Vec<String>)> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = match Dir::open(path, flags | OFlag::O_NOATIME, Mode::empty()) {
        // Only root and the owner may ask for that.
        Err(Errno::EPERM) => Dir::open(path, flags, Mode::empty())?,
        other => other?,
    };
    let look = fstat(directory.as_raw_fd())?;
    let mut names = Vec::new();
    for entry in directory.iter() {
        match entry?.file_name().to_string_lossy() {
            name if name == "." || name == ".." => (),
            name => names.push(name.into_owned()),
        }
    }
    Ok(((look.st_dev, look.st_ino), names))
}

/// The content of an entry, or what it is instead of a file.
pub fn read(path: &Path, look: &Metadata) -> FileContent {
    let kind = look.file_type();
    if kind.is_dir() {
        FileContent::Directory
    } else if kind.is_fifo() {
        FileContent::Fifo
    } else if kind.is_socket() {
        FileContent::Socket
    } else if kind.is_char_device() || kind.is_block_device() {
        FileContent::Device
    } else if (MAX_BYTES as u64) < look.size() {
        FileContent::TooLarge(look.size())
    } else {
        // It may have become a FIFO meanwhile: never wait for one.
        let open = |flags| File::options().read(true).custom_flags(libc::O_NONBLOCK | flags).open(path);
        let opened = match open(libc::O_NOATIME) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => open(0),
            other => other,
        };
        let mut bytes = Vec::new();
        let read = opened.and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
        match read {
            Err(error) => FileContent::Unreadable(error.to_string()),
            Ok(_) if MAX_BYTES < bytes.len() => FileContent::TooLarge(bytes.len() as u64),
            Ok(_) => FileContent::Bytes(bytes),
        }
    }
}

/// Whether a new entry is whole at its birth: links and everything that is no file. A file is told about again when its
/// writer closes it.
pub(super) fn is_whole(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|look| !look.is_file() || 1 < look.nlink())
}
