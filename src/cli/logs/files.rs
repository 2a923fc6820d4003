//! Log files, opened without being led astray.
//!
//! A container that mounts the log directory can put links there, and the one who reads logs is root. Below the log
//! directory itself, every step is one name, opened through the descriptor of the step before, and never a symbolic link;
//! a file must be a regular one that has no second name elsewhere.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use crate::host::parse_log_name;

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    file: File,
    /// For people.
    path: PathBuf,
}

impl Directory {
    /// The log directory itself, whose place is the operator's. `None` where it is not there.
    pub fn open(path: &Path) -> Result<Option<Directory>> {
        Directory::opened(path, path.to_path_buf(), libc::O_DIRECTORY)
    }

    /// A directory in this one. `None` where it is not there; fails where it is a link.
    pub fn enter(&self, name: &str) -> Result<Option<Directory>> {
        let path = self.step(name)?;
        Directory::opened(&path, self.path.join(name), libc::O_DIRECTORY | libc::O_NOFOLLOW)
    }

    /// A regular file in this directory. `None` where it is not there; fails where it is anything else.
    pub fn file(&self, name: &str) -> Result<Option<File>> {
        let shown = self.path.join(name);
        let refused = || format!("refuse {}", shown.display());
        // Without O_NONBLOCK a FIFO would be waited for.
        let Some(file) =
            open(&self.step(name)?, libc::O_NOFOLLOW | libc::O_NONBLOCK).with_context(refused)?
        else {
            return Ok(None);
        };
        let metadata = file.metadata().with_context(refused)?;
        ensure!(metadata.is_file(), "refuse {}: not a regular file", shown.display());
        // None when it was removed since.
        ensure!(metadata.nlink() <= 1, "refuse {}: it has another name elsewhere", shown.display());
        Ok(Some(file))
    }

    /// The inode of `name` in this directory, a link not followed; `None` where it is not there.
    pub fn inode(&self, name: &str) -> Result<Option<u64>> {
        let look = || format!("look at {}", self.path.join(name).display());
        match fs::symlink_metadata(self.step(name)?) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => Ok(Some(other.with_context(look)?.ino())),
        }
    }

    /// When the file `name` was last written to, a link itself; `None` where it is not there.
    pub fn modified(&self, name: &str) -> Result<Option<SystemTime>> {
        let look = || format!("look at {}", self.path.join(name).display());
        match fs::symlink_metadata(self.step(name)?).and_then(|metadata| metadata.modified()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some).with_context(look),
        }
    }

    /// The names of all directories in here, links apart, in no order.
    pub fn folders(&self) -> Result<Vec<String>> {
        let list = || format!("list {}", self.path.display());
        let mut folders = Vec::new();
        for entry in fs::read_dir(self.path()).with_context(list)? {
            let entry = entry.with_context(list)?;
            if entry.file_type().with_context(list)?.is_dir() {
                folders.extend(entry.file_name().into_string());
            }
        }
        Ok(folders)
    }

    /// The names of all logs in here, in no order.
    pub fn logs(&self) -> Result<Vec<LogName>> {
        let list = || format!("list {}", self.path.display());
        let mut logs = Vec::new();
        for entry in fs::read_dir(self.path()).with_context(list)? {
            let name = entry.with_context(list)?.file_name();
            logs.extend(name.to_str().and_then(LogName::parse));
        }
        Ok(logs)
    }

    /// A path that leads here whatever is renamed.
    pub fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.file.as_raw_fd().to_string())
    }

    fn step(&self, name: &str) -> Result<PathBuf> {
        let one = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
        ensure!(one, "{name:?} is no name of a file");
        Ok(self.path().join(name))
    }

    fn opened(path: &Path, shown: PathBuf, flags: i32) -> Result<Option<Directory>> {
        let file = open(path, flags).with_context(|| format!("open {}", shown.display()))?;
        Ok(file.map(|file| Directory { file, path: shown }))
    }
}

fn open(path: &Path, flags: i32) -> Result<Option<File>> {
    match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => anyhow::bail!("a symbolic link"),
        Err(error) => Err(error.into()),
    }
}

/// The name of a log file; ordered as written, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogName {
    /// Number of the run.
    pub attempt: u32,
    /// How long ago it was rotated away.
    age: Age,
    /// The name itself.
    pub name: String,
}

/// Rotated files are older than the current one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// `0.log.20261121-211824`, as a kubelet names them.
    Stamped(String),
    /// `0.log.2` is older than `0.log.1`.
    Numbered(Reverse<u32>),
    /// `0.log`
    Current,
}

impl LogName {
    /// `None` for what is no log, compressed ones included.
    fn parse(name: &str) -> Option<LogName> {
        let (attempt, suffix) = parse_log_name(name)?;
        let age = match suffix.strip_prefix('.') {
            None => Age::Current,
            Some(suffix) => match suffix.parse() {
                Ok(number) => Age::Numbered(Reverse(number)),
                Err(_) if suffix.starts_with(|c: char| c.is_ascii_digit()) && !suffix.contains('.') => {
                    Age::Stamped(suffix.to_string())
                }
                Err(_) => return None,
            },
        };
        Some(LogName { attempt, age, name: name.to_string() })
    }
}
