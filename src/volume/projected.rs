//! Volumes of values on the disk: kubelet's AtomicWriter (reference D.7), for a directory that others may have their hands in.
//!
//! Files are in a directory with a new name each time, `..2026_11_26_09_30_00.123456789`; `..data` is a symbolic link to it
//! that is renamed into place; beside it, each first part of a path is a link through `..data`. So whoever reads sees all
//! files of one time.
//!
//! Invariant: everything is named by its directory's descriptor and one name, no link is followed, and nothing that is there
//! is opened for writing: a container that puts links in the way gains nothing.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use log::warn;

use super::payload::Payload;
use crate::api::seconds;
use crate::host::PodDir;
use crate::sys::beneath::{Folder, Root};
use crate::sys::clock;

/// Directories are for everybody to look into, as the kubelet's.
const DIRECTORY_MODE: u32 = 0o755;
/// The link that is swapped, and its name before it is in place.
const DATA: &str = "..data";
const DATA_BESIDE: &str = "..data_tmp";

/// Whether the volume `name` of the pod at `directory` was ever written.
pub fn is_there(directory: &PodDir, name: &str) -> bool {
    directory.volume(name).symlink_metadata().is_ok()
}

/// Makes `payload` what is in the volume `name` of the pod at `directory`. Whether anything changed.
///
/// With a `group` all of it is that group's: its directories hand it on.
pub fn write(directory: &PodDir, name: &str, group: Option<u32>, payload: &Payload) -> Result<bool> {
    super::check_name(name)?;
    let root =
        Root::open(directory.root()).with_context(|| format!("open {}", directory.root().display()))?;
    let root = root.folder_without_links(Path::new("")).context("open it beneath itself")?;
    let volumes = enter(&root, OsStr::new("volumes"), 0o700)?;
    let volume = enter(&volumes, OsStr::new(name), DIRECTORY_MODE)?;
    let mode = DIRECTORY_MODE | super::group_bit(group);
    if group.is_some() {
        fchown(volume.file(), None, group).context("give it its group")?;
        volume.file().set_permissions(Permissions::from_mode(mode)).context("let it hand its group on")?;
    }
    let current = current(&volume);
    let same = current.as_ref().is_some_and(|(_, folder)| holds(folder, payload).unwrap_or(false));
    let data = match current {
        Some((name, _)) if same => name,
        _ => {
            let name = fill(&volume, mode, payload)?;
            swap(&volume, &name).context("put the new files in place")?;
            name
        }
    };
    let links: BTreeSet<&OsStr> =
        payload.keys().filter_map(|path| path.split('/').next()).map(OsStr::new).collect();
    for name in &links {
        link(&volume, name).with_context(|| format!("make the link {}", name.display()))?;
    }
    sweep(&volume, |name| name == DATA || name == data || links.contains(name));
    Ok(!same)
}

/// The directory `name`, made where there is none; what else is there is in the way and removed.
fn enter(folder: &Folder, name: &OsStr, mode: u32) -> Result<Folder> {
    let is_folder = |stat: nix::sys::stat::FileStat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let doing = || format!("make directory {}", name.display());
    match folder.stat(name).with_context(doing)? {
        Some(stat) if is_folder(stat) => {}
        found => {
            if found.is_some() {
                folder.remove(name).with_context(doing)?;
            }
            folder.create_folder(name).with_context(doing)?;
        }
    }
    let inner = folder.open_folder(name).with_context(doing)?;
    inner.file().set_permissions(Permissions::from_mode(mode)).with_context(doing)?;
    Ok(inner)
}

/// Where `..data` leads, if that is one of our directories.
fn current(volume: &Folder) -> Option<(OsString, Folder)> {
    let name = volume.read_link(OsStr::new(DATA)).ok()?;
    let ours = name.as_bytes().starts_with(b"..") && !name.as_bytes().contains(&b'/');
    let folder = volume.open_folder(&name).ok().filter(|_| ours)?;
    Some((name, folder))
}

/// Whether `folder` has all of `payload` and nothing else.
fn holds(folder: &Folder, payload: &Payload) -> io::Result<bool> {
    let mut known = BTreeSet::new();
    for (path, (mode, value)) in payload {
        let mut at = folder.reopen()?;
        let (folders, name) = split(path);
        for (depth, part) in folders.iter().enumerate() {
            known.insert(folders[..=depth].join("/"));
            at = at.open_folder(OsStr::new(part))?;
        }
        known.insert(path.clone());
        let mut file = at.open_file(OsStr::new(name))?;
        let length = value.0.len() as u64;
        if file.metadata()?.permissions().mode() & 0o7777 != *mode {
            return Ok(false);
        }
        let mut found = Vec::new();
        // One byte more tells that it differs.
        Read::by_ref(&mut file).take(length + 1).read_to_end(&mut found)?;
        if found != value.0 {
            return Ok(false);
        }
    }
    only(folder, "", &known)
}

/// Whether everything in `folder`, which is at `path`, is among `known`.
fn only(folder: &Folder, path: &str, known: &BTreeSet<String>) -> io::Result<bool> {
    for name in folder.names()? {
        let below = format!("{path}{}", name.to_string_lossy());
        if !known.contains(&below) {
            return Ok(false);
        }
        match folder.open_folder(&name) {
            Ok(inner) if !only(&inner, &format!("{below}/"), known)? => return Ok(false),
            // A file, which was looked at.
            _ => {}
        }
    }
    Ok(true)
}

/// A new directory with the files of `payload`: its name. Directories have `mode`.
fn fill(volume: &Folder, mode: u32, payload: &Payload) -> Result<OsString> {
    let now = clock::wall();
    let second = seconds(now).trim_end_matches('Z').replace(['-', ':', 'T'], "_");
    let mut made = None;
    // The clock may have been set back to a time that there was.
    for nanosecond in (now.0.rem_euclid(1_000_000_000)..).take(100) {
        let name = OsString::from(format!("..{second}.{nanosecond:09}"));
        match volume.create_folder(&name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => {
                other.context("make a directory for the new files")?;
                made = Some(name);
                break;
            }
        }
    }
    let name = made.context("make a directory for the new files: every name is taken")?;
    let fresh = volume.open_folder(&name).context("open the directory for the new files")?;
    fresh.file().set_permissions(Permissions::from_mode(mode)).context("open it to everybody")?;
    for (path, (own, value)) in payload {
        file(&fresh, path, (mode, *own), &value.0).with_context(|| format!("write {path:?}"))?;
    }
    Ok(name)
}

/// `modes` are those of its directories and its own.
fn file(fresh: &Folder, path: &str, modes: (u32, u32), bytes: &[u8]) -> Result<()> {
    let (folders, name) = split(path);
    let mut at = fresh.reopen()?;
    for part in folders {
        let part = OsStr::new(part);
        match at.create_folder(part) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        at = at.open_folder(part)?;
        at.file().set_permissions(Permissions::from_mode(modes.0))?;
    }
    let mut file = at.create(OsStr::new(name))?;
    file.write_all(bytes)?;
    Ok(file.set_permissions(Permissions::from_mode(modes.1))?)
}

/// The directories of `path`, and its last name.
fn split(path: &str) -> (Vec<&str>, &str) {
    match path.rsplit_once('/') {
        Some((folders, name)) => (folders.split('/').collect(), name),
        None => (Vec::new(), path),
    }
}

/// Lets `..data` lead to the directory `name`, at one instant.
fn swap(volume: &Folder, name: &OsStr) -> Result<()> {
    let (data, beside) = (OsStr::new(DATA), OsStr::new(DATA_BESIDE));
    clear(volume, beside)?;
    volume.create_symlink(beside, name)?;
    // A link replaces a link, but not a directory that somebody put there.
    if let Err(first) = volume.rename(beside, data) {
        clear(volume, data).with_context(|| first.to_string())?;
        volume.rename(beside, data)?;
    }
    ensure!(volume.read_link(data)? == name, "somebody else changes {DATA}");
    Ok(())
}

fn clear(volume: &Folder, name: &OsStr) -> Result<()> {
    match volume.remove(name) {
        Err(error) if error.kind() != ErrorKind::NotFound => bail!("remove {}: {error}", name.display()),
        _ => Ok(()),
    }
}

/// Lets `name` lead through `..data`.
fn link(volume: &Folder, name: &OsStr) -> Result<()> {
    let target = Path::new(DATA).join(name);
    if volume.read_link(name).is_ok_and(|found| found == target) {
        return Ok(());
    }
    clear(volume, name)?;
    Ok(volume.create_symlink(name, target.as_os_str())?)
}

/// Removes all that is not to `stay`: files of earlier times, and what somebody else put there. What cannot be removed hides
/// nothing, and is tried again with the next change.
fn sweep(volume: &Folder, stay: impl Fn(&OsStr) -> bool) {
    let names = volume.names().unwrap_or_default();
    for name in names.iter().filter(|name| !stay(name)) {
        if let Err(error) = volume.remove(name) {
            warn!("remove {} from a volume: {error}", name.display());
        }
    }
}

#[cfg(test)]
mod tests;
