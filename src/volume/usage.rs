//! How much of the disk is used, by those who may not fill it.
//!
//! Whoever is measured may have made anything of the tree, and goes on to change it. So no link is followed and no mount
//! entered, and what it costs is bounded: directories are held open as far down as a path reaches that any program can name,
//! a name counts for something, so that the walk ends where the limit is passed, and of hard links nothing is remembered.
//! What was removed and is held open is not found, as by a kubelet.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat2, statat};
use rustix::io::Errno;

use crate::sys::beneath::BENEATH;

/// Directories below each other. A path of 4096 bytes (`PATH_MAX`) with names of fifteen letters is as deep; a tree that is deeper
/// counts as endless.
const DEPTH: usize = 256;
/// What a name takes at least, in bytes: files without content take an inode, of which a disk has only so many.
const NAME: u64 = 512;
/// The unit of `st_blocks`, in bytes.
const BLOCK: u64 = 512;
/// How long a file of ours may be that containers may write to: `/etc/hosts` and its like, and last words.
const LONGEST: u64 = 1 << 20;

/// Bytes on the disk of what is at `below`, a path of our own making in the directory `root`; none where nothing is. Blocks
/// count, not lengths, and each name of a file for its share of it. Counts no further than to something above `enough`.
///
/// Fails where the disk does not answer as it should.
pub fn disk_usage(root: &Path, below: &Path, enough: u64) -> Result<u64> {
    let doing = || format!("measure {}", root.join(below).display());
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NOATIME | OFlags::CLOEXEC;
    let enter = |dir: &dyn rustix::fd::AsFd, path: &Path| {
        match openat2(dir, path, flags, Mode::empty(), BENEATH) {
            // Gone, another by now, or a mount's.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            opened => opened.map(Some),
        }
    };
    let root = open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).with_context(doing)?;
    let Some(top) = enter(&root, below).with_context(doing)? else { return Ok(0) };
    let mut used = share(&fstat(&top).with_context(doing)?);
    let mut opened = vec![Dir::new(top).with_context(doing)?];
    while let Some(dir) = opened.last_mut() {
        let entry = match dir.read() {
            // One that was removed meanwhile ends so.
            None | Some(Err(Errno::NOENT)) => {
                opened.pop();
                continue;
            }
            Some(entry) => entry.with_context(doing)?,
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let fd = dir.fd().with_context(doing)?;
        let stat = match statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            stat => stat.with_context(doing)?,
        };
        used = used.saturating_add(share(&stat));
        if enough < used {
            break;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        let name = Path::new(OsStr::from_bytes(name.to_bytes()));
        if let Some(inner) = enter(&fd, name).with_context(doing)? {
            if DEPTH <= opened.len() {
                return Ok(u64::MAX);
            }
            opened.push(Dir::new(inner).with_context(doing)?);
        }
    }
    Ok(used)
}

/// What one name of the file with this `stat` takes.
#[allow(clippy::useless_conversion, reason = "of 32 bits on ARM")]
fn share(stat: &Stat) -> u64 {
    let bytes = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(BLOCK);
    let names = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 1,
        _ => u64::try_from(stat.st_nlink).unwrap_or(1).max(1),
    };
    (bytes / names).max(NAME)
}

/// Cuts the file `path`, which is ours and open to containers, where one of them made it longer than [`LONGEST`]. Whether it
/// was.
pub fn cut(path: &Path) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    if !found.is_file() || found.len() <= LONGEST {
        return Ok(false);
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new().write(true).custom_flags(flags).open(path)?.set_len(LONGEST)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
