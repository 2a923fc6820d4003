//! A local file or tree as a tar stream.
//!
//! What is below the path that the operator named may be somebody else's, a container's volume for one, who exchanges
//! names while they are read: each is opened in its open directory, and never through a symbolic link.
//!
//! Invariant: nothing is sent of what a symbolic link leads to, whenever it took a name.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use tar::{Builder, EntryType, Header};

use super::say;

/// What is still to be sent.
struct Left {
    /// Keeps the directory open that `path` leads through.
    folder: Option<Rc<File>>,
    /// Where it is.
    path: PathBuf,
    /// The same, for people.
    shown: PathBuf,
    /// What it is called in the archive.
    name: PathBuf,
}

/// Writes `from`, called `name`, to `out`. Symbolic links stay links; what is no file, directory or link is left out.
pub fn pack(out: impl Write, from: &Path, name: &Path) -> Result<()> {
    let mut archive = Builder::new(out);
    let first = Left { folder: None, path: from.into(), shown: from.into(), name: name.into() };
    let mut left = vec![first];
    while let Some(one) = left.pop() {
        let below = append(&mut archive, &one).with_context(|| format!("send {}", one.shown.display()))?;
        left.extend(below);
        // Open for as long as something is left in it.
        drop(one.folder);
    }
    archive.into_inner().and_then(|mut out| out.flush()).context("send the end of the archive")
}

/// Writes one entry. What is in it, where it is a directory, the first last.
fn append(archive: &mut Builder<impl Write>, one: &Left) -> Result<Vec<Left>> {
    let metadata = fs::symlink_metadata(&one.path)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        let folder = open(&one.path, libc::O_DIRECTORY)?;
        let mut header = header(&folder.metadata()?, EntryType::Directory, 0);
        archive.append_data(&mut header, &one.name, io::empty())?;
        return below(one, folder);
    }
    if kind.is_symlink() {
        let target = fs::read_link(&one.path)?;
        archive.append_link(&mut header(&metadata, EntryType::Symlink, 0), &one.name, target)?;
    } else if kind.is_file() {
        // What took its place may be a FIFO, which must not be waited for.
        let file = open(&one.path, libc::O_NONBLOCK)?;
        let metadata = file.metadata()?;
        ensure!(metadata.is_file(), "it became something else meanwhile");
        let left = metadata.len();
        let mut header = header(&metadata, EntryType::Regular, left);
        archive.append_data(&mut header, &one.name, Exactly { file, left })?;
    } else {
        let what = if kind.is_socket() { "socket" } else { "device or FIFO" };
        say(&format!("warning: skipping {what}: {:?}", one.shown.display().to_string()));
    }
    Ok(Vec::new())
}

fn below(one: &Left, folder: File) -> Result<Vec<Left>> {
    // Leads there whatever takes its name.
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let mut names = Vec::new();
    for entry in fs::read_dir(&path)? {
        names.push(entry?.file_name());
    }
    names.sort_by(|a, b| b.cmp(a));
    let folder = Rc::new(folder);
    let left = |name: &OsStr| Left {
        folder: Some(Rc::clone(&folder)),
        path: path.join(name),
        shown: one.shown.join(name),
        name: one.name.join(name),
    };
    Ok(names.iter().map(|name| left(name)).collect())
}

/// Opens the last name of `path`, unless it is a symbolic link.
fn open(path: &Path, flags: i32) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NOFOLLOW | flags).open(path)
}

fn header(metadata: &Metadata, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    header.set_entry_type(kind);
    header.set_size(size);
    header
}

/// As many bytes of a file as were announced, whether or not it grows meanwhile.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read(&mut buffer[..most])?;
        if length == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter meanwhile"));
        }
        self.left -= length as u64;
        Ok(length)
    }
}
