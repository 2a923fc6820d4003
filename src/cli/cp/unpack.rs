//! A tar stream of a container's, written below a local directory.
//!
//! Whoever wrote the stream may wish us ill. Regular files and directories are made, each name opened from the destination
//! on, step by step and never through a symbolic link; hard links only to files that are below the destination. Symbolic
//! links, devices and FIFOs are left out, as kubectl leaves out links. Owners and set-user-ID bits are not taken over.
//!
//! Invariant: nothing is opened, made, changed or removed outside the destination.
//! Invariant: a stream without end does not fill the disk ([`KEPT_FREE`]), nor memory.
//! Invariant: what exists is only replaced where it is a regular file, by a new one: none is written through.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::stat::SFlag;

use super::say;
use crate::image::{Entry, Kind, Room, Source, Tarball};
use crate::sys::beneath::{Folder, Root};

/// Longest name of an entry, as of every path of the kernel.
const LONGEST_NAME: usize = 4096;

/// How many entries are told of that were left out or refused; of the others only how many.
const MOST_TOLD: usize = 20;

/// How much is copied at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Percent of the disk's space and inodes that a copy leaves free: the node goes on whatever a container sends.
const KEPT_FREE: u64 = 1;

/// What an entry takes of a disk even where it is empty, in bytes.
const OF_AN_ENTRY: u64 = 4096;

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// There was nothing in it to be written.
    Nothing,
    /// Something was written.
    Copied,
}

/// Writes `stream`, in which everything is called `name` or is below it, as `to`, or below it.
pub fn unpack(stream: impl Read, name: &[u8], to: &Path) -> Result<Done> {
    unpack_keeping(KEPT_FREE, stream, name, to)
}

/// As [`unpack`], and leaves so many percent of the disk free.
pub fn unpack_keeping(percent: u64, stream: impl Read, name: &[u8], to: &Path) -> Result<Done> {
    let mut archive = Tarball::new(Stream(stream));
    let mut told = Told::default();
    let mut tree: Option<Tree> = None;
    let mut file = false;
    while let Some(entry) = archive.next_entry()? {
        ensure!(!file, "the container sent more than the one file that was asked for");
        let rest = match below(&entry.path, name) {
            Ok(rest) => rest,
            Err(why) => {
                told.refuse(&entry, &why);
                continue;
            }
        };
        let result = match (&mut tree, rest.is_empty(), entry.kind) {
            (_, _, Kind::Symlink | Kind::Character(..) | Kind::Block(..) | Kind::Fifo) => {
                told.leave_out(&entry);
                continue;
            }
            (None, true, Kind::File) => {
                file = true;
                place(name, to).and_then(|(folder, name)| {
                    let mut tree = Tree::open(&folder, percent)?;
                    let folder = tree.folder(&[])?;
                    tree.file(&mut archive, &entry, &folder, &name)
                })
            }
            (None, true, Kind::Directory) => Tree::open(to, percent).map(|opened| tree = Some(opened)),
            (None, ..) => bail!("the container sent {} without what it is in", shown(&entry.path)),
            (Some(_), true, Kind::Directory) => Ok(()),
            (Some(_), true, _) => Err(anyhow::anyhow!("it has the destination's name")),
            (Some(tree), false, _) => tree.entry(&mut archive, &entry, &rest, name),
        };
        // What the archive, the disk or the pipe lacks is not an entry's fault.
        match result {
            Err(error) if tree.is_none() || error.downcast_ref::<Broken>().is_some() => {
                return Err(error.context(shown(&entry.path)));
            }
            Err(error) => told.refuse(&entry, &format!("{error:#}")),
            Ok(()) => {}
        }
    }
    told.end()?;
    Ok(if file || tree.is_some() { Done::Copied } else { Done::Nothing })
}

/// Where the one file goes that was asked for: to `to`, or into it where that is a directory.
fn place(name: &[u8], to: &Path) -> Result<(PathBuf, OsString)> {
    let to = if to.is_dir() { to.join(OsStr::from_bytes(name)) } else { to.to_path_buf() };
    let (Some(folder), Some(name)) = (to.parent(), to.file_name()) else {
        bail!("{} is no name for a file", to.display());
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok((folder.to_path_buf(), name.to_owned()))
}

/// The destination.
struct Tree {
    root: Root,
    room: Room,
}

impl Tree {
    /// Makes the directory `to`, which the operator named, and what is missing above it.
    fn open(to: &Path, percent: u64) -> Result<Tree> {
        std::fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
        let root = Root::open(to).with_context(|| format!("open {}", to.display()))?;
        Ok(Tree { root, room: Room::new(percent) })
    }

    /// Makes `entry` as `path`, which has at least one name in it.
    fn entry<R: Read>(
        &mut self,
        archive: &mut Tarball<Stream<R>>,
        entry: &Entry,
        path: &[&OsStr],
        name: &[u8],
    ) -> Result<()> {
        let Some((last, above)) = path.split_last() else { bail!("it has no name") };
        let folder = self.folder(above)?;
        self.room.take(OF_AN_ENTRY, folder.file()).context(Broken)?;
        match entry.kind {
            Kind::Directory => step(&folder, last, entry.mode).map(drop),
            Kind::HardLink => self.hard_link(entry, &folder, last, name),
            _ => self.file(archive, entry, &folder, last),
        }
    }

    /// Opens a folder, which is made where it is missing.
    fn folder(&self, path: &[&OsStr]) -> Result<Folder> {
        let mut folder = self.root.folder_without_links(Path::new("")).context("open the destination")?;
        for name in path {
            folder = step(&folder, name, 0o755)?;
        }
        Ok(folder)
    }

    fn file<R: Read>(
        &mut self,
        archive: &mut Tarball<Stream<R>>,
        entry: &Entry,
        folder: &Folder,
        name: &OsStr,
    ) -> Result<()> {
        ensure!(entry.segments.is_none(), "it has holes, which are not supported");
        clear(folder, name)?;
        let mut file = folder.create(name)?;
        let mode = Permissions::from_mode(allowed(entry.mode) | 0o600);
        let copied = self.copy(archive, &mut file).and_then(|()| Ok(file.set_permissions(mode)?));
        if let Err(error) = copied {
            // Half a file is worse than none. The first error says more than a second.
            let _ = folder.remove(name);
            return Err(error.context(Broken));
        }
        Ok(())
    }

    /// The content of the present entry, as long as there is room.
    fn copy(&mut self, mut content: impl Read, file: &mut File) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    self.room.take(length as u64, &*file)?;
                    file.write_all(&buffer[..length])?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn hard_link(&self, entry: &Entry, folder: &Folder, name: &OsStr, top: &[u8]) -> Result<()> {
        let to = below(&entry.link, top)
            .map_err(|why| anyhow::anyhow!("a link to {}: {why}", shown(&entry.link)))?;
        let link = || format!("a link to {}", shown(&entry.link));
        let Some((last, above)) = to.split_last() else { bail!("{}, no file", link()) };
        let from = self.root.folder_without_links(&above.iter().collect::<PathBuf>()).with_context(link)?;
        let kind = from.stat(last).with_context(link)?.map(|stat| stat.st_mode & SFlag::S_IFMT.bits());
        ensure!(kind == Some(SFlag::S_IFREG.bits()), "{}, no file", link());
        clear(folder, name)?;
        folder.create_hard_link(name, &from, last).with_context(link)
    }
}

/// The folder `name` in `folder`, made with `mode` where it is missing.
fn step(folder: &Folder, name: &OsStr, mode: u32) -> Result<Folder> {
    let made = match folder.create_folder(name) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        other => other.map(|()| true)?,
    };
    let opened = folder.open_folder(name);
    let opened = opened.with_context(|| format!("{} is no directory", shown(name.as_bytes())))?;
    if made {
        opened.file().set_permissions(Permissions::from_mode(allowed(mode) | 0o700))?;
    }
    Ok(opened)
}

/// Removes the regular file `name`, should there be one; fails where anything else has that name.
fn clear(folder: &Folder, name: &OsStr) -> Result<()> {
    match folder.stat(name)?.map(|stat| stat.st_mode & SFlag::S_IFMT.bits()) {
        None => Ok(()),
        Some(kind) if kind == SFlag::S_IFREG.bits() => Ok(folder.remove(name)?),
        Some(kind) => {
            let what = match kind {
                kind if kind == SFlag::S_IFDIR.bits() => "directory",
                kind if kind == SFlag::S_IFLNK.bits() => "symbolic link",
                _ => "device, FIFO or socket",
            };
            bail!("{} is a {what} here, which is not replaced", shown(name.as_bytes()))
        }
    }
}

/// The permissions of a new file: what the container says, less what our umask takes, and never set-user-ID and the like.
fn allowed(mode: u32) -> u32 {
    static MASK: LazyLock<u32> = LazyLock::new(|| {
        // To ask the kernel is to set it.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o077)
    });
    mode & 0o777 & !*MASK
}

/// The names below `name` that lead to `path`.
fn below<'p>(path: &'p [u8], name: &[u8]) -> Result<Vec<&'p OsStr>, String> {
    if path.len() > LONGEST_NAME {
        return Err("its name is too long".to_string());
    }
    if path.first() == Some(&b'/') {
        return Err("its name is absolute".to_string());
    }
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut parts: Vec<&OsStr> = parts.map(OsStr::from_bytes).collect();
    if parts.iter().any(|part| *part == "..") {
        return Err("its name leads out".to_string());
    }
    if name != b"." && (parts.is_empty() || parts.remove(0).as_bytes() != name) {
        return Err("it was not asked for".to_string());
    }
    Ok(parts)
}

/// A name that somebody else chose, for people.
fn shown(name: &[u8]) -> String {
    let name = &name[..name.len().min(256)];
    format!("{:?}", String::from_utf8_lossy(name))
}

/// What was told of entries that are not there now.
#[derive(Default)]
struct Told {
    told: usize,
    left_out: usize,
    refused: usize,
}

impl Told {
    fn leave_out(&mut self, entry: &Entry) {
        self.left_out += 1;
        let name = shown(&entry.path);
        self.say(&match entry.kind {
            Kind::Symlink => format!("warning: skipping symlink: {name} -> {}", shown(&entry.link)),
            _ => format!("warning: skipping device or FIFO: {name}"),
        });
    }

    fn refuse(&mut self, entry: &Entry, why: &str) {
        self.refused += 1;
        self.say(&format!("refused {}: {why}", shown(&entry.path)));
    }

    fn say(&mut self, text: &str) {
        if self.told < MOST_TOLD {
            say(text);
        }
        self.told += 1;
    }

    /// Fails where something was refused.
    fn end(&self) -> Result<()> {
        if self.told > MOST_TOLD {
            say(&format!("warning: {} entries in all were skipped, {} refused", self.left_out, self.refused));
        }
        ensure!(self.refused == 0, "{} of the entries that the container sent were refused", self.refused);
        Ok(())
    }
}

/// Marks an error of the archive, the pipe or the disk: nothing after it can be good.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("copy the content")
    }
}

/// What the container's tar writes.
struct Stream<R>(R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Source for Stream<R> {}
