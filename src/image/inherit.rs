//! Folders that a layer does not list get owner, mode, time and attributes from the layers below.
//!
//! overlayfs shows a folder as its uppermost layer has it. A layer with `tmp/x` and no entry `tmp/` would otherwise make
//! `/tmp` 0755 for the container.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::stat::{SFlag, futimens};
use nix::sys::time::TimeSpec;

use super::unpack::{OPAQUE, keeps};
use crate::sys::beneath::{self, Folder, Root};

/// Describes the folders `unlisted` of the layer at `layer` as `below` has them, which are the layers beneath, lowest
/// first.
pub fn describe(layer: &Path, unlisted: &BTreeSet<PathBuf>, below: &[PathBuf]) -> Result<()> {
    let open = |path: &Path| Root::open(path).with_context(|| format!("open {}", path.display()));
    let layer = open(layer)?;
    let below = below.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    // A folder's own entries may change its time, but these are all made by now.
    for path in unlisted {
        let Some(folder) = existing(layer.folder_without_links(path))? else { continue };
        if let Some(model) = model(&layer, &below, path)? {
            copy(&model, &folder).with_context(|| format!("describe {}", path.display()))?;
        }
    }
    Ok(())
}

/// The folder that a container would see at `path` without the layer `top`.
fn model(top: &Root, below: &[Root], path: &Path) -> Result<Option<Folder>> {
    if matches!(look(top, path)?, Seen::Nothing { below: false }) {
        return Ok(None);
    }
    for layer in below.iter().rev() {
        match look(layer, path)? {
            Seen::Folder(folder) => return Ok(Some(folder)),
            Seen::Nothing { below: true } => {}
            Seen::Nothing { below: false } => return Ok(None),
        }
    }
    Ok(None)
}

enum Seen {
    Folder(Folder),
    /// Nothing here; whether what lower layers have there shows through.
    Nothing {
        below: bool,
    },
}

fn look(layer: &Root, path: &Path) -> Result<Seen> {
    let mut folder = layer.folder_without_links(Path::new(""))?;
    let mut hidden = false;
    for name in path {
        hidden |= beneath::attribute(folder.file(), OsStr::new(OPAQUE))?.is_some();
        folder = match folder.stat(name)? {
            None => return Ok(Seen::Nothing { below: !hidden }),
            Some(stat) if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() => {
                folder.open_folder(name)?
            }
            Some(_) => return Ok(Seen::Nothing { below: false }),
        };
    }
    Ok(Seen::Folder(folder))
}

/// An unlisted folder may have been replaced by something else, or lie behind a link of the layer itself.
fn existing(opened: io::Result<Folder>) -> Result<Option<Folder>> {
    match opened {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn copy(from: &Folder, to: &Folder) -> Result<()> {
    let metadata = from.file().metadata()?;
    fchown(to.file(), Some(metadata.uid()), Some(metadata.gid()))?;
    to.file().set_permissions(metadata.permissions())?;
    for name in beneath::attributes(from.file())?.iter().filter(|name| keeps(name)) {
        if let Some(value) = beneath::attribute(from.file(), name)? {
            beneath::set_attribute(to.file(), name, &value)?;
        }
    }
    let time = TimeSpec::new(metadata.mtime(), metadata.mtime_nsec());
    Ok(futimens(to.file().as_raw_fd(), &time, &time)?)
}
