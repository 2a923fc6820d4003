//! What a collection of images that nobody uses needs of the store: what may go at all, how full its disk is, and taking out.
//!
//! Invariant: an image goes only with the permit of whoever knows what is in use, and the permit is held until nobody finds
//! the image any more.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;

use super::index::{Index, Record};
use super::store::Store;
use super::{Digest, Image};

/// How full the file system of the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes it has.
    pub capacity: u64,
    /// Bytes that are free for everybody.
    pub available: u64,
    /// Inodes it has; 0 where that is no question.
    pub inodes: u64,
    /// Inodes that are free for everybody.
    pub inodes_free: u64,
}

impl Store {
    /// Looks at the file system of the store.
    pub fn disk(&self) -> Result<Disk> {
        let found = statvfs(&self.root).context("ask for the free space")?;
        let block = found.fragment_size();
        Ok(Disk {
            capacity: found.blocks().saturating_mul(block),
            available: found.blocks_available().saturating_mul(block),
            inodes: found.files(),
            inodes_free: found.files_available(),
        })
    }

    /// Percent of the file system below which nothing is taken in.
    pub fn floor_percent(&self) -> u64 {
        self.limits.free_percent
    }

    /// Images that can be had again, should they go: pulled ones that no archive holds, in the order in which they came.
    pub fn replaceable(&self) -> Result<Vec<Image>> {
        let index = self.index()?;
        let pulled = index.images.iter().filter(|record| record.pulled_from.is_some());
        let free = pulled.filter(|record| index.archives_of(record.id.as_str()).is_empty());
        Ok(free.map(|record| self.image(record)).collect())
    }

    /// Takes the image `id` out with all its names, if `permit` gives leave, and tells the bytes of the layers that it alone had.
    /// `None` where it is not there any more, or without leave.
    pub fn collect<P>(&self, id: &str, permit: impl FnOnce(&Image) -> Option<P>) -> Result<Option<u64>> {
        let _lock = self.lock()?;
        let mut index = self.sound_index()?;
        let Some(at) = index.images.iter().position(|record| record.id.as_str() == id) else {
            return Ok(None);
        };
        let Some(permit) = permit(&self.image(&index.images[at])) else { return Ok(None) };
        let removed = index.images.remove(at);
        let freed = own_bytes(&removed, &index);
        index.orphans.extend(removed.layers);
        index.settle_orphans();
        index.write(&self.index_path())?;
        drop(permit);
        self.clean()?;
        Ok(Some(freed))
    }

    /// Whether layers wait that came in part, or that belong to no whole image yet.
    pub fn has_partials(&self) -> bool {
        fs::read_dir(self.partial_folder()).is_ok_and(|mut entries| entries.next().is_some())
            || self.index().is_ok_and(|index| !index.unfinished.is_empty())
    }

    /// Throws away layers that came in part, but for those that are being fetched, and those of images that are not whole yet,
    /// whose pulls begin anew; how many.
    pub fn drop_partials(&self) -> Result<usize> {
        let entries = fs::read_dir(self.partial_folder()).into_iter().flatten().flatten();
        let parts = entries.filter(|entry| drop_partial(&entry.path())).count();
        let _lock = self.lock()?;
        let mut index = self.sound_index()?;
        let unfinished = std::mem::take(&mut index.unfinished);
        if unfinished.is_empty() {
            return Ok(parts);
        }
        index.write(&self.index_path())?;
        self.clean()?;
        Ok(parts + unfinished.iter().map(|begun| begun.layers.len()).sum::<usize>())
    }
}

/// Only its holder removes it: whoever has its lock.
fn drop_partial(path: &Path) -> bool {
    let held = File::open(path).is_ok_and(|file| file.try_lock().is_ok() && fs::remove_file(path).is_ok());
    if held {
        log::info!("image store: {} goes, since the disk is nearly full", path.display());
    }
    held
}

/// Bytes of those layers of `record` that no image of `index` has.
fn own_bytes(record: &Record, index: &Index) -> u64 {
    let others: HashSet<&Digest> =
        index.images.iter().flat_map(|image| &image.layers).map(|layer| &layer.chain).collect();
    record.layers.iter().filter(|layer| !others.contains(&layer.chain)).map(|layer| layer.size).sum()
}
