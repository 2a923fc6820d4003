//! The bytes of one run's log, across rotations.
//!
//! Files are held open from the moment that they are known: what is rotated away, or removed, while it waits for its turn
//! is still read.
//!
//! Invariant: no file that is there is left out or read twice, whatever is rotated meanwhile.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};

use super::files::{Directory, LogName};

/// How often a directory is listed anew that changed meanwhile. A pod process rotates after megabytes; only a container
/// that has its hands on its own logs is faster.
const TRIES: usize = 100;

/// What there is to read.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// So many bytes.
    Bytes(usize),
    /// The file is over, and there is another.
    Edge,
    /// Nothing more by now.
    End,
}

/// Reads one run's files, the oldest first.
pub struct Source {
    directory: Directory,
    attempt: u32,
    current: Option<Opened>,
    /// What comes after it.
    next: VecDeque<Opened>,
}

/// A file of the log.
pub struct Opened {
    pub file: File,
    inode: u64,
    /// How much of it was read.
    position: u64,
    /// Its length when it was opened.
    pub length: u64,
    /// How much of it is read.
    most: u64,
}

impl Source {
    /// The files of run `attempt` that are there now.
    pub fn open(directory: Directory, attempt: u32) -> Result<Source> {
        let next = snapshot(&directory, attempt)?.into();
        Ok(Source { directory, attempt, current: None, next })
    }

    /// What is written from now on is left out: a container that writes faster than it is read has an end, too.
    pub fn end_now(&mut self) {
        if let Some(last) = self.next.back_mut() {
            last.most = last.length;
        }
    }

    /// Before the first read: the files that are to be read.
    pub fn files(&self) -> Vec<&Opened> {
        self.next.iter().collect()
    }

    /// Before the first read: begins with the file at `index`, at `offset`.
    pub fn begin_at(&mut self, index: usize, offset: u64) -> Result<()> {
        self.next.drain(..index.min(self.next.len()));
        match self.next.front_mut() {
            Some(first) => first.go_to(offset),
            None => Ok(()),
        }
    }

    /// Finds out what was rotated since the last look.
    pub fn look(&mut self) -> Result<()> {
        if !self.next.is_empty() {
            // Those come first.
            return Ok(());
        }
        let Some(current) = &mut self.current else {
            self.next = snapshot(&self.directory, self.attempt)?.into();
            return Ok(());
        };
        if self.directory.inode(&format!("{}.log", self.attempt))? == Some(current.inode) {
            // A pod process empties a file that it cannot rename.
            let length = current.file.metadata().context("look at the log")?.len();
            return if length < current.position { current.go_to(0) } else { Ok(()) };
        }
        let mut files = snapshot(&self.directory, self.attempt)?;
        // Where it was removed, those that are left are younger.
        if let Some(at) = files.iter().position(|file| file.inode == current.inode) {
            files.drain(..=at);
        }
        self.next = files.into();
        Ok(())
    }

    /// Reads on into `buffer`.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Next> {
        if let Some(current) = &mut self.current {
            let length = current.read(buffer)?;
            if length > 0 {
                return Ok(Next::Bytes(length));
            }
        }
        // A file that has a successor is not written to any more: its end was its last.
        match self.next.pop_front() {
            Some(next) => {
                self.current = Some(next);
                Ok(Next::Edge)
            }
            None => Ok(Next::End),
        }
    }
}

impl Opened {
    fn go_to(&mut self, offset: u64) -> Result<()> {
        self.position = self.file.seek(SeekFrom::Start(offset)).context("read the log")?;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.most.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        loop {
            match self.file.read(&mut buffer[..most]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => {
                    let length = other.context("read the log")?;
                    self.position += length as u64;
                    return Ok(length);
                }
            }
        }
    }
}

/// The files of a run, the oldest first, as they were at one instant.
fn snapshot(directory: &Directory, attempt: u32) -> Result<Vec<Opened>> {
    for _ in 0..TRIES {
        let names = names(directory, attempt)?;
        let mut files = Vec::new();
        for name in &names {
            let Some(file) = directory.file(&name.name)? else { break };
            let metadata = file.metadata().context("look at the log")?;
            let (inode, length) = (metadata.ino(), metadata.len());
            files.push(Opened { file, inode, position: 0, length, most: u64::MAX });
        }
        if is_still(directory, attempt, &names, &files)? {
            return Ok(files);
        }
    }
    bail!("the log is rotated faster than it can be opened")
}

/// Whether `names` are all there is, and mean `files`.
fn is_still(directory: &Directory, attempt: u32, names: &[LogName], files: &[Opened]) -> Result<bool> {
    if names.len() != files.len() || self::names(directory, attempt)? != names {
        return Ok(false);
    }
    for (name, file) in names.iter().zip(files) {
        if directory.inode(&name.name)? != Some(file.inode) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn names(directory: &Directory, attempt: u32) -> Result<Vec<LogName>> {
    let mut names = directory.logs()?;
    names.retain(|log| log.attempt == attempt);
    names.sort();
    Ok(names)
}
