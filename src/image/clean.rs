//! What the store throws away: what is half, and what no image has and nothing runs on.
//!
//! Invariant: a layer under a container that runs is never touched, whoever removed its image and however.

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
        let mut index = Index::read(&self.index_path())?;
        let forgot = index.forget_lost(|layer| self.layer_path(&layer.chain).is_dir());
        if forgot {
            // Before the look at what is mounted: what is found from now on is not among the orphans.
            index.write(&self.index_path())?;
        }
        if !index.orphans.is_empty() && self.release(&mut index)? {
            index.write(&self.index_path())?;
        }
        let layers = index.layers().map(|layer| folder_name(&layer.chain)).collect();
        let configs = index.images.iter().map(|image| image.id.hex().to_owned()).collect();
        remove_others(&self.root.join("tmp"), &HashSet::new())?;
        remove_others(&self.root.join("layers"), &layers)?;
        remove_others(&self.root.join("configs"), &configs)
    }

    /// Lets go of the orphans that nothing runs on; whether there were such. The index on disk has them as orphans already,
    /// so that nobody who looks for an image now finds one of them.
    fn release(&self, index: &mut Index) -> Result<bool> {
        let lock = self.open_lock("mounting")?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if PATIENCE < begun.elapsed() => return Ok(false),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Error(error)) => return Err(error).context("look for starts under way"),
            }
        }
        let names = index.orphans.iter().map(|layer| folder_name(&layer.chain)).collect();
        let mounted = mounted::among(&names).context("look at what is mounted")?;
        let before = index.orphans.len();
        index.orphans.retain(|layer| mounted.contains(&folder_name(&layer.chain)));
        Ok(index.orphans.len() != before)
    }
}

impl Index {
    /// Forgets images of which `is_here` misses a layer, and whether anything changed. Their other layers become orphans.
    fn forget_lost(&mut self, is_here: impl Fn(&LayerRecord) -> bool) -> bool {
        let before = (self.images.len(), self.orphans.len());
        let lost = |image: &super::index::Record| image.layers.iter().any(|layer| !is_here(layer));
        for image in self.images.extract_if(.., |image| lost(image)) {
            let layer = image.layers.iter().find(|layer| !is_here(layer));
            let layer = layer.map(|layer| layer.chain.to_string()).unwrap_or_default();
            log::warn!("image {}: its layer {layer} is gone, so it must be imported again", image.id);
            self.orphans.extend(image.layers);
        }
        self.orphans.retain(is_here);
        self.settle_orphans();
        before != (self.images.len(), self.orphans.len())
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

fn remove_others(folder: &Path, keep: &HashSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        if keep.contains(&*entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        let removed =
            if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
