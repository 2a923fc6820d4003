//! An index that cannot be read: a power cut on bad flash, a bad block, somebody's hand. The node goes on.
//!
//! Invariant: a damaged index costs no running container a layer ([`super::clean`] asks the kernel), and no image that its
//! copy knows. Without a copy the archives are read again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use anyhow::{Context, Result};

use super::index::Index;
use super::store::{Store, folder_name};

impl Store {
    /// Brings back an index that cannot be read any more; one that can is left alone.
    /// Tells whether there was something to do.
    pub fn mend(&self) -> Result<bool> {
        if !self.index_is_lost() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        self.clean()?;
        Ok(true)
    }

    /// Whether the index cannot be read, or is gone and left its copy.
    pub fn index_is_lost(&self) -> bool {
        self.index().is_err() || (!self.index_path().exists() && self.copy_path().exists())
    }

    /// What was found damaged since this was last asked for, a sentence.
    pub fn take_damage(&self) -> Option<String> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn report_damage(&self, message: String) {
        log::error!("{message}");
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }

    /// The index; a damaged one is set aside, and its copy is the index then. Only with the lock.
    pub(super) fn sound_index(&self) -> Result<Index> {
        let (path, copy) = (self.index_path(), self.copy_path());
        let damage = match Index::read(&path) {
            Ok(index) if path.exists() || !copy.exists() => return Ok(index),
            Ok(_) => "is gone".to_owned(),
            Err(error) if is_want(&error) => return Err(error),
            Err(error) => format!("is damaged ({:#})", error.root_cause()),
        };
        set_aside(&path)?;
        let told = format!("the image index {} {damage}", path.display());
        match Index::read(&copy) {
            Ok(index) if copy.exists() => {
                // Takes no space, which there may be none of.
                fs::rename(&copy, &path).with_context(|| format!("make {}", path.display()))?;
                self.sync_root()?;
                self.report_damage(format!("{told}: its copy is used"));
                Ok(index)
            }
            Err(error) if is_want(&error) => Err(error),
            _ => {
                set_aside(&copy)?;
                self.sync_root()?;
                self.report_damage(format!("{told}, and it has no copy: archives are read again"));
                Ok(Index::default())
            }
        }
    }

    /// Moves a layer that the index does not know, and that something runs on, out of the way of one that comes. A rename
    /// does not disturb what is mounted.
    pub(super) fn make_way(&self, target: &Path) -> Result<()> {
        if fs::symlink_metadata(target).is_err() {
            return Ok(());
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.aside();
        let free = (0_u32..).map(|number| aside.join(format!("{name}-{number}")));
        let free = free.into_iter().find(|path| fs::symlink_metadata(path).is_err());
        let free = free.context("find a free name")?;
        fs::rename(target, &free).with_context(|| format!("move {} out of the way", target.display()))
    }

    /// Layers that something runs on and that are no image's, since the index that knew them is lost.
    pub(super) fn aside(&self) -> PathBuf {
        self.root.join("aside")
    }

    pub(super) fn copy_path(&self) -> PathBuf {
        Index::copy_of(&self.index_path())
    }

    /// The folders, of `layers/` and set aside, whose layer `index` does not know; with the name that they are mounted by.
    pub(super) fn strangers(&self, index: &Index) -> Vec<(String, PathBuf)> {
        let known: std::collections::HashSet<_> =
            index.layers().map(|layer| folder_name(&layer.chain)).collect();
        let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
        let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let of_layers = list(&self.root.join("layers")).map(|entry| (name(&entry), entry.path()));
        let of_layers = of_layers.filter(|(name, _)| !known.contains(name));
        let set_aside = list(&self.aside()).map(|entry| {
            let name = name(&entry);
            (name.split_once('-').map_or(name.clone(), |(layer, _)| layer.to_owned()), entry.path())
        });
        of_layers.chain(set_aside).collect()
    }

    fn sync_root(&self) -> Result<()> {
        File::open(&self.root).and_then(|root| root.sync_all()).context("sync the image store")
    }
}

/// Keeps what is at `path` for whoever wants to know, in place of what was kept before.
fn set_aside(path: &Path) -> Result<()> {
    let kept = path.with_added_extension("damaged");
    let removed = match fs::symlink_metadata(&kept) {
        Ok(look) if look.is_dir() => fs::remove_dir_all(&kept),
        Ok(_) => fs::remove_file(&kept),
        Err(_) => Ok(()),
    };
    match removed.and_then(|()| fs::rename(path, &kept)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("set {} aside", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether it is the machine that is short of something, and not the file that is damaged.
fn is_want(error: &anyhow::Error) -> bool {
    let short = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EACCES, libc::EINTR];
    let is_short = |error: &io::Error| error.raw_os_error().is_some_and(|number| short.contains(&number));
    error.chain().any(|cause| cause.downcast_ref().is_some_and(is_short))
}
