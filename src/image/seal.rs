//! What an unpacked layer looked like when it was whole: one number over all its files, to find damage by.
//!
//! Content goes in by its CRC-32, which is taken while a file is written, so that sealing reads nothing again. That finds
//! what flash, a file system or a hand has done to a layer; it is no defence against somebody who may write to the store.
//!
//! Invariant: memory does not grow with the layer, but for the names of the folders in one folder.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Crc;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::{FileStat, SFlag};

use super::Digest;
use super::stream::BUFFER;
use super::unpack::{OPAQUE, keeps};
use crate::sys::beneath::{self, Folder, Root};

/// What this build's seals begin with: another way of sealing would get another number.
const VERSION: &str = "1:";
/// Most files whose sums are kept while their layer is unpacked, 4 MiB; those beyond are read once more.
const MAX_SUMS: usize = 1 << 18;

/// CRC-32 of files that were just written, by inode; none where a file has to be read.
#[derive(Debug, Default)]
pub struct Sums(Vec<(u64, Option<u32>)>);

impl Sums {
    /// Notes the sum of a file that was just written; none of one with holes, which may have the inode of an earlier file.
    pub fn note(&mut self, inode: u64, sum: Option<u32>) {
        if self.0.len() < MAX_SUMS {
            self.0.push((inode, sum));
        }
    }

    /// Makes the sums findable. An inode that was given anew has the sum of the later file.
    fn sorted(mut self) -> Vec<(u64, Option<u32>)> {
        self.0.sort_by_key(|(inode, _)| *inode);
        self.0
    }
}

/// The seal of the layer at `root` as it is now, which was just unpacked with these `sums`.
pub fn fresh(root: &Path, sums: Sums) -> Result<String> {
    let full = sums.0.len() >= MAX_SUMS;
    let sums = sums.sorted();
    seal(root, &mut |file, stat| {
        let after = sums.partition_point(|(inode, _)| *inode <= stat.st_ino);
        match after.checked_sub(1).and_then(|at| sums.get(at)) {
            // With sums left out, an inode that was given anew may have the sum of the earlier file.
            Some((inode, Some(sum))) if *inode == stat.st_ino && !full => Ok(*sum),
            _ => sum(file),
        }
    })
}

/// The seal of the layer at `root`, read from the disk.
pub fn read(root: &Path) -> Result<String> {
    seal(root, &mut |file, _| {
        // What is in memory may be whole still where the disk is not. Without this the check is weaker, but sound.
        let _ = posix_fadvise(file.as_raw_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        sum(file)
    })
}

/// Whether this build knows how `seal` was made.
pub fn is_known(seal: &str) -> bool {
    seal.starts_with(VERSION)
}

type SumOf<'a> = &'a mut dyn FnMut(&File, &FileStat) -> io::Result<u32>;

fn seal(root: &Path, sum_of: SumOf<'_>) -> Result<String> {
    let folder = Root::open(root)?.folder_without_links(Path::new(""))?;
    let mut total = [0; 32];
    let stat = nix::sys::stat::fstat(folder.file().as_raw_fd())?;
    add(&mut total, &entry(Path::new(""), &stat, &attributes(folder.file())?));
    walk(&folder, &mut PathBuf::new(), &mut total, sum_of)?;
    Ok(total.iter().fold(VERSION.to_owned(), |text, byte| format!("{text}{byte:02x}")))
}

/// Adds everything in `folder`, which is called `path`. The order in which a file system lists does not matter.
fn walk(folder: &Folder, path: &mut PathBuf, total: &mut [u8; 32], sum_of: SumOf<'_>) -> Result<()> {
    let mut folders = Vec::new();
    let listed = format!("/proc/self/fd/{}", folder.file().as_raw_fd());
    for listed in fs::read_dir(listed).with_context(|| format!("list {}", path.display()))? {
        let name = listed?.file_name();
        path.push(&name);
        let looked = look(folder, &name, path, sum_of).with_context(|| format!("look at {}", path.display()));
        path.pop();
        let (line, is_folder) = looked?;
        add(total, &line);
        if is_folder {
            folders.push(name);
        }
    }
    for name in folders {
        path.push(&name);
        walk(&folder.open_folder(&name)?, path, total, sum_of)?;
        path.pop();
    }
    Ok(())
}

/// Everything about one file, and whether it is a folder.
fn look(folder: &Folder, name: &OsStr, path: &Path, sum_of: SumOf<'_>) -> io::Result<(Vec<u8>, bool)> {
    let stat = folder.stat(name)?.ok_or(io::ErrorKind::NotFound)?;
    let kind = stat.st_mode & SFlag::S_IFMT.bits();
    let mut more = Vec::new();
    if kind == SFlag::S_IFREG.bits() {
        let file = folder.open_file(name)?;
        more = attributes(&file)?;
        let sum = sum_of(&file, &stat)?;
        more.extend(format!("{sum:08x}").bytes());
    } else if kind == SFlag::S_IFDIR.bits() {
        more = attributes(folder.open_folder(name)?.file())?;
    } else if kind == SFlag::S_IFLNK.bits() {
        more.extend(folder.read_link(name)?.as_bytes());
    }
    Ok((entry(path, &stat, &more), kind == SFlag::S_IFDIR.bits()))
}

fn entry(path: &Path, stat: &FileStat, more: &[u8]) -> Vec<u8> {
    let is_folder = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
    // How long a folder is is the file system's business.
    let size = if is_folder { 0 } else { stat.st_size };
    let mut line = path.as_os_str().as_bytes().to_vec();
    let told = [
        i64::from(stat.st_mode),
        stat.st_uid.into(),
        stat.st_gid.into(),
        stat.st_rdev.cast_signed(),
        size,
        stat.st_mtime,
        stat.st_mtime_nsec,
    ];
    line.extend(told.iter().flat_map(|number| format!("\0{number}").into_bytes()));
    line.push(0);
    line.extend(more);
    line
}

/// The attributes that unpacking sets, in an order that does not depend on the file system.
fn attributes(file: &File) -> io::Result<Vec<u8>> {
    let mut names = beneath::attributes(file)?;
    names.retain(|name| keeps(name) || name == OPAQUE);
    names.sort();
    let mut told = Vec::new();
    for name in names {
        let value = beneath::attribute(file, &name)?.unwrap_or_default();
        told.extend(format!("{}={}:", name.display(), value.len()).bytes());
        told.extend(value);
    }
    told.push(0);
    Ok(told)
}

fn add(total: &mut [u8; 32], line: &[u8]) {
    for (sum, byte) in total.iter_mut().zip(Digest::bytes_of(line)) {
        *sum ^= byte;
    }
}

fn sum(mut file: &File) -> io::Result<u32> {
    let (mut crc, mut buffer) = (Crc::new(), vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(crc.sum()),
            Ok(length) => crc.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
