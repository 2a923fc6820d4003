//! One layer into one directory, as overlayfs wants it.
//!
//! Kept: owners, modes with set-user-ID, times, hard links, holes, devices and pipes (a container opens a device only
//! if its cgroup allows it, whoever made the node), and the attributes that belong to the file: see [`keeps`].
//! Whiteouts become what overlayfs takes for one: a character device 0/0, and `trusted.overlay.opaque` on a folder.
//!
//! Symbolic links on the way to an entry are followed within the layer, as docker and containerd do.
//!
//! Invariant: nothing outside the layer's directory is touched ([`crate::sys::beneath`]).
//! Invariant: memory does not grow with the layer, but for the folders that it does not list and the files' sums, both of
//! which are limited.

mod content;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::stat::{FileStat, SFlag, fstat, futimens};
use nix::sys::time::TimeSpec;

use self::content::{Target, write};
use super::limits::Budget;
use super::path::{self, Name};
use super::recipe::{self, Recorder};
use super::seal::Sums;
use super::stream::BUFFER;
use super::tarball::{Entry, Kind, Source, Tarball};
use super::{Refused, refuse};
use crate::sys::beneath::{self, Folder, Node, Root};

/// Marks a folder that hides what lower layers have in it.
pub const OPAQUE: &str = "trusted.overlay.opaque";
/// Mode of folders that no layer lists.
const FOLDER_MODE: u32 = 0o755;
/// Most links followed for one entry, as in the kernel.
const MAX_LINKS: usize = 40;
/// Why no recipe can tell of a file.
const TOO_LONG: &str = "has a file with a path that is too long";
/// Most bytes in the paths of folders that a layer does not list.
const MAX_UNLISTED: usize = 4 << 20;

/// What is left to do, and what there was.
#[derive(Debug)]
pub struct Unpacked {
    /// Bytes in files, holes included.
    pub bytes: u64,
    /// Folders that came to be for what is in them; their owner, mode and time are those of the layer below.
    pub unlisted: BTreeSet<PathBuf>,
    /// Sums of the files, for the layer's seal.
    pub sums: Sums,
}

/// Unpacks the tar archive `source` into the empty directory `root`, and writes its recipe.
pub fn layer(source: Recorder<impl Source>, root: &Path, budget: &mut Budget) -> Result<Unpacked> {
    let opened = Root::open(root).with_context(|| format!("open {}", root.display()))?;
    let mut tree = Tree {
        place: place_of(opened.folder(Path::new(""))?.file())?,
        root: opened,
        parent: None,
        unlisted: BTreeSet::from([PathBuf::new()]),
        unlisted_bytes: 0,
        buffer: vec![0; BUFFER],
        bytes: 0,
        sums: Sums::default(),
        budget,
    };
    let mut tarball = Tarball::new(source);
    tree.root.folder(Path::new(""))?.file().set_permissions(mode(FOLDER_MODE))?;
    while let Some(entry) = tarball.next_entry()? {
        let shown = || format!("entry {:?}", String::from_utf8_lossy(&entry.path));
        tree.add(&entry, &mut tarball).with_context(shown)?;
        let recipe = tarball.source().grown();
        tree.budget.bytes(recipe, tree.root.folder(Path::new(""))?.file())?;
    }
    tree.leave()?;
    tarball.into_source().finish()?;
    Ok(Unpacked { bytes: tree.bytes, unlisted: tree.unlisted, sums: tree.sums })
}

/// Unpacks a layer that nobody vouches for, and leaves its recipe beside `root`: for fuzz/targets.rs.
pub fn unverified(source: impl Source, root: &Path, budget: &mut Budget) -> Result<Unpacked> {
    layer(Recorder::new(source, &recipe::beside(root))?, root, budget)
}

/// Whether an extended attribute belongs to the file rather than to the machine where the image was built (labels of
/// its security module) or to a file system (overlayfs' own, which could show other files than were verified).
pub fn keeps(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let acl = name == b"system.posix_acl_access" || name == b"system.posix_acl_default";
    name == b"security.capability" || acl || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
}

struct Tree<'a> {
    root: Root,
    /// Where that is on this machine.
    place: PathBuf,
    /// The folder that the latest entry is in: most entries have the same as the one before.
    parent: Option<Parent>,
    unlisted: BTreeSet<PathBuf>,
    unlisted_bytes: usize,
    buffer: Vec<u8>,
    bytes: u64,
    sums: Sums,
    budget: &'a mut Budget,
}

struct Parent {
    path: PathBuf,
    /// Its path within the layer without any link; none where it is too long to tell.
    real: Option<PathBuf>,
    folder: Folder,
    /// Its time, which everything made in it changes, and which is given back in the end.
    time: TimeSpec,
}

impl Tree<'_> {
    fn add<S: Source>(&mut self, entry: &Entry, content: &mut Tarball<Recorder<S>>) -> Result<()> {
        let Some((folder, name)) = path::split(&entry.path)? else {
            return self.add_root(entry);
        };
        if path::is_leftover(&folder, &name) {
            return Ok(()); // aufs' own files in layers of very old docker.
        }
        self.enter(&folder)?;
        let place = &self.parent.as_ref().context("no folder is open")?.folder;
        self.budget.entry(place.file())?;
        match name {
            Name::Plain(name) => self.add_plain(entry, &folder, &name, content),
            Name::Whiteout(hidden) => whiteout(place, &hidden).with_context(|| format!("hide {hidden:?}")),
            Name::Opaque => {
                beneath::set_attribute(place.file(), OsStr::new(OPAQUE), b"y").context("hide the rest")
            }
        }
    }

    /// The entry for the layer's own root.
    fn add_root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            refuse!("would replace the root folder");
        }
        self.leave()?;
        self.unlisted.remove(Path::new(""));
        describe_folder(&self.root.folder(Path::new(""))?, entry)
    }

    fn add_plain<S: Source>(
        &mut self,
        entry: &Entry,
        folder: &Path,
        name: &OsStr,
        content: &mut Tarball<Recorder<S>>,
    ) -> Result<()> {
        let parent = self.parent.as_ref().context("no folder is open")?;
        let place = &parent.folder;
        let real = parent.real.as_ref().map(|folder| folder.join(name));
        let is_folder = entry.kind == Kind::Directory;
        let hides = make_way(place, name, is_folder, |stat| match &real {
            Some(real) if is(stat, SFlag::S_IFREG) => content.source().replaced(real, place.open_file(name)?),
            _ => lose(content.source(), stat),
        });
        let hides = hides.context("replace an earlier entry")?;
        match entry.kind {
            Kind::File => {
                self.bytes += entry.size;
                let mut file = place.create(name).context("make the file")?;
                let to = Target { file: &mut file, real: real.as_deref() };
                let sum = write(to, entry, content, &mut self.buffer, self.budget)?;
                self.sums.note(fstat(file.as_raw_fd())?.st_ino, sum);
                std::os::unix::fs::fchown(&file, Some(entry.uid), Some(entry.gid))
                    .context("set the owner")?;
                file.set_permissions(mode(entry.mode)).context("set the mode")?;
                set_attributes(&file, entry)?;
                futimens(file.as_raw_fd(), &entry.mtime, &entry.mtime).context("set the time")?;
            }
            Kind::Directory => {
                if place.stat(name)?.is_none() {
                    place.create_folder(name).context("make the folder")?;
                }
                self.unlisted.remove(&folder.join(name));
                let made = place.open_folder(name)?;
                describe_folder(&made, entry)?;
                if hides {
                    beneath::set_attribute(made.file(), OsStr::new(OPAQUE), b"y").context("hide the rest")?;
                }
            }
            Kind::Symlink => {
                place
                    .create_symlink(name, OsStr::from_bytes(&path::checked_target(&entry.link)?))
                    .context("make the link")?;
                place.set_owner(name, entry.uid, entry.gid)?;
                place.set_time(name, entry.mtime)?;
            }
            Kind::HardLink => self.hard_link(name, &entry.link)?,
            Kind::Character(0, 0) => refuse!("is a device 0/0, which would hide a file"),
            Kind::Character(major, minor) => node(place, name, Node::Character(major, minor), entry)?,
            Kind::Block(major, minor) => node(place, name, Node::Block(major, minor), entry)?,
            Kind::Fifo => node(place, name, Node::Fifo, entry)?,
        }
        Ok(())
    }

    /// Links to what is in this layer already; owner, mode and time are the first name's.
    fn hard_link(&self, name: &OsStr, target: &[u8]) -> Result<()> {
        let place = &self.parent.as_ref().context("no folder is open")?.folder;
        let shown = String::from_utf8_lossy(target);
        let Some((folder, Name::Plain(existing))) = path::split(target)? else {
            refuse!("is a hard link to {shown:?}, which is no file");
        };
        let folder = self.root.folder(&folder).map_err(|error| lost(&error, &shown))?;
        let found = folder.stat(&existing)?;
        if found.is_none_or(|stat| is(&stat, SFlag::S_IFDIR) || is_whiteout(&stat)) {
            refuse!("is a hard link to {shown:?}, which is no file of this layer");
        }
        place.create_hard_link(name, &folder, &existing).context("make the hard link")
    }

    /// Opens the folder `path`, making what is missing of it.
    fn enter(&mut self, path: &Path) -> Result<()> {
        if self.parent.as_ref().is_some_and(|parent| parent.path == path) {
            return Ok(());
        }
        self.enter_after(path, 0)
    }

    /// As [`Tree::enter`], `links` having been followed so far.
    fn enter_after(&mut self, path: &Path, links: usize) -> Result<()> {
        let folder = self.folder(path, links)?;
        let stat = fstat(folder.file().as_raw_fd())?;
        let time = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
        let real = place_of(folder.file()).ok();
        let real = real.and_then(|real| real.strip_prefix(&self.place).ok().map(Path::to_owned));
        self.parent = Some(Parent { path: path.to_owned(), real, folder, time });
        Ok(())
    }

    fn folder(&mut self, path: &Path, links: usize) -> Result<Folder> {
        self.leave()?;
        match self.root.folder(path) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                self.make(path, links)
            }
            result => result.map_err(|error| lost(&error, &path.to_string_lossy())),
        }
    }

    fn leave(&mut self) -> Result<()> {
        let Some(parent) = self.parent.take() else { return Ok(()) };
        futimens(parent.folder.file().as_raw_fd(), &parent.time, &parent.time)
            .context("set the time of a folder")
    }

    /// Makes a folder that the layer does not list, or lists later. A link on the way may lead to a folder of a lower
    /// layer: then that folder is made here.
    fn make(&mut self, path: &Path, links: usize) -> Result<Folder> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            refuse!("has no root folder");
        };
        self.enter_after(above, links)?;
        let place = &self.parent.as_ref().context("no folder is open")?.folder;
        let hides = match place.stat(name)? {
            Some(stat) if is(&stat, SFlag::S_IFLNK) && links < MAX_LINKS => {
                let target = path::resolved(above, &place.read_link(name)?);
                return self.folder(&target, links + 1);
            }
            Some(stat) if !is_whiteout(&stat) => refuse!("lies in {path:?}, which is no folder"),
            found => found.is_some(),
        };
        if hides {
            place.remove(name)?;
        }
        place.create_folder(name).with_context(|| format!("make {}", path.display()))?;
        let made = place.open_folder(name)?;
        made.file().set_permissions(mode(FOLDER_MODE))?;
        if hides {
            beneath::set_attribute(made.file(), OsStr::new(OPAQUE), b"y").context("hide the rest")?;
        }
        self.budget.entry(made.file())?;
        self.leave()?;
        self.unlisted_bytes += path.as_os_str().len();
        if self.unlisted_bytes > MAX_UNLISTED {
            refuse!("lies in one of too many folders that are not listed themselves");
        }
        self.unlisted.insert(path.to_owned());
        Ok(made)
    }
}

/// Where an open folder is.
fn place_of(folder: &File) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

/// Removes what `name` is, of which `goes` is told, unless it is a folder and shall be one; tells whether it was a whiteout.
fn make_way(
    place: &Folder,
    name: &OsStr,
    folder: bool,
    goes: impl FnOnce(&FileStat) -> Result<()>,
) -> Result<bool> {
    let Some(stat) = place.stat(name)? else { return Ok(false) };
    if !(folder && is(&stat, SFlag::S_IFDIR)) {
        goes(&stat)?;
        place.remove(name)?;
    }
    Ok(is_whiteout(&stat))
}

/// Something goes whose content cannot be kept, if it has any.
fn lose(recipe: &mut Recorder<impl Source>, stat: &FileStat) -> Result<()> {
    if is(stat, SFlag::S_IFDIR) {
        recipe.lost("replaces a folder of its own by something else");
    } else if is(stat, SFlag::S_IFREG) {
        recipe.lost(TOO_LONG);
    }
    Ok(())
}

/// Hides `name` of lower layers; what this layer itself has there stays, in whatever order they come (OCI image
/// specification: whiteouts apply to lower layers only).
fn whiteout(place: &Folder, name: &OsStr) -> Result<()> {
    match place.stat(name)? {
        None => place.create_node(name, Node::Character(0, 0))?,
        Some(stat) if is(&stat, SFlag::S_IFDIR) => {
            beneath::set_attribute(place.open_folder(name)?.file(), OsStr::new(OPAQUE), b"y")?;
        }
        Some(_) => {}
    }
    Ok(())
}

fn node(place: &Folder, name: &OsStr, node: Node, entry: &Entry) -> Result<()> {
    place.create_node(name, node).context("make the device or pipe")?;
    place.set_owner(name, entry.uid, entry.gid)?;
    place.set_mode(name, entry.mode)?;
    Ok(place.set_time(name, entry.mtime)?)
}

fn describe_folder(folder: &Folder, entry: &Entry) -> Result<()> {
    let file = folder.file();
    std::os::unix::fs::fchown(file, Some(entry.uid), Some(entry.gid)).context("set the owner")?;
    file.set_permissions(mode(entry.mode)).context("set the mode")?;
    set_attributes(file, entry)?;
    futimens(file.as_raw_fd(), &entry.mtime, &entry.mtime).context("set the time")
}

fn set_attributes(file: &File, entry: &Entry) -> Result<()> {
    for (name, value) in &entry.attributes {
        let name = OsString::from_vec(name.clone());
        if name.as_bytes().starts_with(b"trusted.overlay.") {
            refuse!("has the attribute {name:?}, which could show other files than its own");
        }
        if keeps(&name) {
            beneath::set_attribute(file, &name, value)
                .with_context(|| format!("set the attribute {name:?}"))?;
        }
    }
    Ok(())
}

fn lost(error: &io::Error, path: &str) -> anyhow::Error {
    Refused(format!("leads to {path:?}, which cannot be opened within this layer: {error}")).into()
}

fn is(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// Whether overlayfs takes it for the absence of a file.
pub fn is_whiteout(stat: &FileStat) -> bool {
    is(stat, SFlag::S_IFCHR) && stat.st_rdev == 0
}

fn mode(bits: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(bits & 0o7777)
}
