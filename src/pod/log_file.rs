//! A container's log file: appended to, rotated by bytes written, kept to so many.
//!
//! Invariant: a disk that is full, read-only or broken loses output and counts it; it never stops the container or us.
//! Invariant: below the directory of all logs, whose place is the operator's, no link is followed: it may be a container's
//! volume.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::protocol::LogFile;
use crate::sys::beneath::{Folder, Root};
use crate::sys::clock;

/// The log of one run.
pub struct Log {
    limits: LogFile,
    file: Option<File>,
    /// Length of the current file.
    length: u64,
    /// The directory that it is in.
    directory: Option<Folder>,
    /// Names of what was rotated away and still exists, the oldest first.
    older: VecDeque<String>,
    /// The second of the latest rotation, and how many there were before it in that second.
    latest: (String, u32),
    /// Whether the last write failed, so that only the first failure is told.
    failing: bool,
}

impl Log {
    /// Opens the file, which is made where it is missing. Where that fails it is tried again at each write.
    pub fn open(limits: LogFile) -> Log {
        let mut log = Log {
            limits,
            file: None,
            length: 0,
            directory: None,
            older: VecDeque::new(),
            latest: Default::default(),
            failing: false,
        };
        if let Err(error) = log.reopen() {
            log.failed(&error);
        }
        log
    }

    /// Whether `more` bytes, after `waiting` ones that are not written yet, would make the file longer than it may be.
    pub fn is_full(&self, waiting: usize, more: usize) -> bool {
        let have = self.length.saturating_add(waiting as u64);
        have > 0 && have.saturating_add(more as u64) > self.limits.max_bytes
    }

    /// Appends `bytes`, whole records, all or none. How many bytes were lost.
    pub fn append(&mut self, bytes: &[u8]) -> u64 {
        let result = match self.file {
            Some(_) => Ok(()),
            None => self.reopen(),
        };
        let result = result.and_then(|()| match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Err(io::ErrorKind::NotFound.into()),
        });
        match result {
            Ok(()) => {
                self.length += bytes.len() as u64;
                self.failing = false;
                0
            }
            Err(error) => {
                if let Some(file) = &self.file {
                    // Half a record is worse than none. The same disk may refuse this, too.
                    let _ = file.set_len(self.length);
                }
                self.failed(&error);
                bytes.len() as u64
            }
        }
    }

    /// Begins a new file and removes the oldest. Where the disk does not let it, the current one is emptied.
    pub fn rotate(&mut self) {
        let rotated = self.free_name();
        match fs::rename(self.at(&self.name()), self.at(&rotated)) {
            Ok(()) => {
                self.older.push_back(rotated);
                self.file = None;
                self.length = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.file = None,
            Err(error) => {
                self.failed(&error);
                self.empty();
            }
        }
        let keep = self.limits.max_files.saturating_sub(1) as usize;
        while self.older.len() > keep {
            let Some(oldest) = self.older.pop_front() else { break };
            if let Err(error) = fs::remove_file(self.at(&oldest)) {
                log::warn!("remove {oldest} beside {}: {error}", self.limits.path);
            }
        }
    }

    fn empty(&mut self) {
        if self.file.as_ref().is_some_and(|file| file.set_len(0).is_ok()) {
            self.length = 0;
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o640);
        // A FIFO in its place must not make us wait.
        self.directory = Some(directory(Path::new(&self.limits.path))?);
        let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(self.at(&self.name()))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        // Our own mask is stricter than what readers of logs need.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640))?;
        self.length = metadata.len();
        self.file = Some(file);
        Ok(())
    }

    /// `<n>.log.<YYYYMMDD-hhmmss>` as kubelet names them; what follows within the second gets a number, and sorts after.
    fn free_name(&mut self) -> String {
        let now = jiff::Timestamp::from_nanosecond(clock::wall().0.into()).unwrap_or_default();
        let second = now.strftime("%Y%m%d-%H%M%S").to_string();
        let mut number = if self.latest.0 == second { self.latest.1 + 1 } else { 0 };
        let present = self.name();
        let name = |number: u32| match number {
            0 => format!("{present}.{second}"),
            _ => format!("{present}.{second}-{number:03}"),
        };
        while fs::symlink_metadata(self.at(&name(number))).is_ok() && number < 10_000 {
            number += 1;
        }
        let free = name(number);
        self.latest = (second, number);
        free
    }

    /// The file's own name.
    fn name(&self) -> String {
        self.limits.path.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// A path to `name` in the directory, whatever took its place; to nothing before it was opened.
    fn at(&self, name: &str) -> PathBuf {
        let number = self.directory.as_ref().map_or(-1, |directory| directory.file().as_raw_fd());
        PathBuf::from(format!("/proc/self/fd/{number}/{name}"))
    }

    fn failed(&mut self, error: &io::Error) {
        if !self.failing {
            log::warn!("write {}: {error}; output is dropped and counted", self.limits.path);
        }
        self.failing = true;
    }
}

/// The directory of the log at `path`, which is `<directory of all logs>/<pod>/<container>/<n>.log`.
fn directory(path: &Path) -> io::Result<Folder> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let all = path.ancestors().nth(3).unwrap_or(Path::new("/"));
    Root::open(all)?.folder_without_links(folder.strip_prefix(all).unwrap_or(folder))
}
