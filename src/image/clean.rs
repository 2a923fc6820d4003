//! What the store throws away: what is half, and what no image has and nothing runs on.
//!
//! Invariant: a layer under a container that runs is never touched, whoever removed its image and however, and whatever
//! became of the index.
//! Invariant: what cannot be removed is told of, and stops nothing.

use std::collections::HashSet;
use std::fs::{self, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::index::{Index, LayerRecord};
use super::mounted;
use super::store::{Store, folder_name};

/// How long to wait for starts of containers that are under way; one takes some ten milliseconds. What is not removed for
/// their sake is removed with the next import or removal.
const PATIENCE: Duration = Duration::from_secs(2);

impl Store {
    /// Forgets images whose layers are gone, and removes what no image has and nothing runs on. Only with the lock.
    pub(super) fn clean(&self) -> Result<()> {
        let mut index = self.sound_index()?;
        let forgot = index.forget_lost(|layer| self.layer_path(&layer.chain).is_dir());
        if forgot {
            // Before the look at what is mounted: what is found from now on is not among the orphans.
            index.write(&self.index_path())?;
        }
        // Rubbish first: the disk may be full of it.
        remove_others(&self.root.join("tmp"), &HashSet::new());
        let released = self.release(&mut index).and_then(|released| match released {
            true => index.write(&self.index_path()),
            false => Ok(()),
        });
        released.and_then(|()| self.remove_strangers(&index)).unwrap_or_else(|error| {
            log::warn!("image store: layers that no image has stay until the next import: {error:#}");
        });
        let layers = index.layers().map(|layer| folder_name(&layer.chain)).collect();
        remove_others(&self.root.join("recipes"), &layers);
        let configs = index.images.iter().map(|image| image.id.hex().to_owned()).collect();
        remove_others(&self.root.join("configs"), &configs);
        // Of an index that was written by an older holdfast, or that was its own copy until now.
        if self.index_path().exists() && !self.copy_path().exists() {
            let written = index.write(&self.index_path());
            written.unwrap_or_else(|error| log::warn!("image store: the index has no copy yet: {error:#}"));
        }
        Ok(())
    }

    /// Removes layers that the index does not know and that nothing runs on. Where it was lost, something may.
    fn remove_strangers(&self, index: &Index) -> Result<()> {
        let strangers = self.strangers(index);
        let names = strangers.iter().map(|(name, _)| name.clone()).collect();
        let Some(mounted) = self.mounted(&names)? else { return Ok(()) };
        for (_, path) in strangers.iter().filter(|(name, _)| !mounted.contains(name)) {
            remove(path);
        }
        Ok(())
    }

    /// Lets go of the orphans that nothing runs on; whether there were such. The index on disk has them as orphans already,
    /// so that nobody who looks for an image now finds one of them.
    fn release(&self, index: &mut Index) -> Result<bool> {
        let names = index.orphans.iter().map(|layer| folder_name(&layer.chain)).collect();
        let Some(mounted) = self.mounted(&names)? else { return Ok(false) };
        let before = index.orphans.len();
        index.orphans.retain(|layer| mounted.contains(&folder_name(&layer.chain)));
        Ok(index.orphans.len() != before)
    }

    /// Those of the layers' names that are mounted; `None` where a start under way takes too long to tell. The index on disk
    /// gives them to nobody any more.
    fn mounted(&self, names: &HashSet<String>) -> Result<Option<HashSet<String>>> {
        if names.is_empty() {
            return Ok(Some(HashSet::new()));
        }
        let lock = self.open_lock("mounting")?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if PATIENCE < begun.elapsed() => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Error(error)) => return Err(error).context("look for starts under way"),
            }
        }
        mounted::among(names).map(Some).context("look at what is mounted")
    }
}

impl Index {
    /// Forgets images of which `is_here` misses a layer, and whether anything changed. Their other layers become orphans.
    fn forget_lost(&mut self, is_here: impl Fn(&LayerRecord) -> bool) -> bool {
        let begun = |index: &Index| index.unfinished.iter().map(|begun| begun.layers.len()).sum::<usize>();
        let before = (self.images.len(), self.orphans.len(), begun(self));
        let lost = |image: &super::index::Record| image.layers.iter().any(|layer| !is_here(layer));
        for image in self.images.extract_if(.., |image| lost(image)) {
            let layer = image.layers.iter().find(|layer| !is_here(layer));
            let layer = layer.map(|layer| layer.chain.to_string()).unwrap_or_default();
            log::warn!("image {}: its layer {layer} is gone, so it must be imported again", image.id);
            self.orphans.extend(image.layers);
        }
        self.orphans.retain(&is_here);
        self.unfinished.retain_mut(|begun| {
            let here = begun.layers.iter().take_while(|layer| is_here(layer)).count();
            begun.layers.truncate(here);
            0 < here
        });
        self.settle_orphans();
        before != (self.images.len(), self.orphans.len(), begun(self))
    }

    /// What an image has is no orphan.
    pub(super) fn settle_orphans(&mut self) {
        let owned: HashSet<_> =
            self.images.iter().flat_map(|image| &image.layers).map(|layer| layer.chain.clone()).collect();
        self.orphans.retain(|layer| !owned.contains(&layer.chain));
        self.orphans.sort_by(|a, b| a.chain.cmp(&b.chain));
        self.orphans.dedup();
    }
}

fn remove_others(folder: &Path, keep: &HashSet<String>) {
    match fs::read_dir(folder) {
        Err(error) => log::warn!("image store: list {}: {error}", folder.display()),
        Ok(entries) => entries
            .flatten()
            .filter(|entry| !keep.contains(&*entry.file_name().to_string_lossy()))
            .for_each(|entry| remove(&entry.path())),
    }
}

fn remove(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|look| look.is_dir());
    match if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warn!("image store: {} is of no use and cannot be removed: {error}", path.display());
        }
        _ => {}
    }
}
