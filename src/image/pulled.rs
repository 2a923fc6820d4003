//! An image whose layers came one by one, from a registry.
//!
//! Layers wait below `partial/` as they came, each in a file that its digest names, until all of them are there. What was
//! cut off goes on where it stood, after a reboot too: nothing there is trusted before its digest is right.
//!
//! Invariant: one holder at a time writes a file there, and only its holder removes it.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use super::import::{Layers, chains};
use super::index::Index;
use super::limits::Room;
use super::select::{Found, Layer};
use super::store::Store;
use super::{Digest, Imported, Platform, refuse};

/// For how long a layer that nobody goes on with is kept: a week without a connection is no rarity.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);
/// Between two looks at a file that somebody else holds.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A layer that is being fetched: a file that is ours alone.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    /// Its bytes so far; to be appended to.
    pub file: File,
    room: Room,
}

impl Partial {
    /// Makes sure that so many more bytes leave room on the disk for everything else.
    pub fn take(&mut self, count: u64) -> Result<()> {
        self.room.take(count, &self.file)
    }

    fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!("image store: {} is of no use and cannot be removed: {error}", self.path.display());
        }
    }
}

impl Store {
    /// What images must run on here.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Most bytes that the layers of an image may have, unpacked, and so each as it comes.
    pub fn most_bytes(&self) -> u64 {
        self.limits.bytes
    }

    /// The layers of `found` that are not here, each once.
    pub fn missing(&self, found: &Found) -> Result<Vec<Layer>> {
        let index = self.index()?;
        let chains = chains(found.layers.iter().map(|layer| &layer.diff_id));
        let mut seen = HashSet::new();
        let missing = found.layers.iter().zip(chains).filter(|(layer, chain)| {
            let is_here = index.layer(chain).is_some() && self.layer_path(chain).is_dir();
            !is_here && seen.insert(layer.blob.clone())
        });
        Ok(missing.map(|(layer, _)| layer.clone()).collect())
    }

    /// What there is of the layer `digest`, once nobody else fetches it; fails when it is not `wanted` any more.
    pub fn partial(&self, digest: &Digest, wanted: &dyn Fn() -> bool) -> Result<Partial> {
        let folder = self.partial_folder();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.with_context(|| format!("make {}", folder.display()))?;
        let path = folder.join(digest.hex());
        let mut options = File::options();
        options.read(true).append(true).create(true).mode(0o600);
        loop {
            let file = options.open(&path).with_context(|| format!("open {}", path.display()))?;
            match file.try_lock() {
                // Its holder may have removed it just before we had it.
                Ok(()) if is_same(&file, &path) => {
                    return Ok(Partial { path, file, room: Room::new(self.limits.free_percent) });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if !wanted() => bail!("nobody waits for it any more"),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("lock {}", path.display()));
                }
            }
        }
    }

    /// Takes in the image `found`, of which `layers` were missing and are whole now, verified by whoever fetched them.
    pub fn add_pulled(&self, mut found: Found, layers: BTreeMap<Digest, Partial>) -> Result<Imported> {
        let _lock = self.lock()?;
        self.clean()?;
        let mut index = Index::clone(&*self.index()?);
        let mut fetched = Fetched { layers, blobs: BTreeMap::new() };
        for layer in &mut found.layers {
            // Its bytes are verified, and nobody else has written to them since.
            if let Some(blob) = layer.blob.take() {
                fetched.blobs.insert(layer.member.clone(), blob);
            }
        }
        let imported = self.add(&mut fetched, &mut index, found)?;
        index.settle_orphans();
        index.write(&self.index_path())?;
        fetched.layers.values().for_each(Partial::remove);
        Ok(imported)
    }

    /// Throws away what came of a layer and is not what it should be.
    pub fn discard(&self, partial: Partial) {
        partial.remove();
    }

    /// Removes what was begun long ago and nobody goes on with.
    pub fn forget_partials(&self) {
        let old = |file: &File| {
            let modified = file.metadata().and_then(|look| look.modified());
            modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| KEPT < age))
        };
        for entry in fs::read_dir(self.partial_folder()).into_iter().flatten().flatten() {
            if let Ok(file) = File::open(entry.path())
                && old(&file)
                && file.try_lock().is_ok()
            {
                Partial { path: entry.path(), file, room: Room::new(0) }.remove();
            }
        }
    }

    fn partial_folder(&self) -> PathBuf {
        self.root.join("partial")
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    let of = |look: io::Result<fs::Metadata>| look.ok().map(|look| (look.dev(), look.ino()));
    of(file.metadata()).is_some_and(|this| Some(this) == of(fs::symlink_metadata(path)))
}

/// Layers that were fetched.
struct Fetched {
    layers: BTreeMap<Digest, Partial>,
    /// The digest that each is known by, by its name.
    blobs: BTreeMap<String, Digest>,
}

impl Fetched {
    fn file(&self, layer: &Layer) -> Result<&File> {
        let blob = self.blobs.get(&layer.member);
        match blob.and_then(|blob| self.layers.get(blob)) {
            Some(partial) => Ok(&partial.file),
            None => bail!("was here when the pull began, and is gone: it is pulled again"),
        }
    }
}

impl Layers for Fetched {
    fn place(&self, layer: &Layer) -> Result<u64> {
        self.file(layer).map(|_| 0)
    }

    fn open(&mut self, layer: &Layer) -> Result<Box<dyn Read + '_>> {
        let mut file = self.file(layer)?;
        file.rewind().context("read it from the beginning")?;
        Ok(Box::new(file))
    }
}

/// Refuses an image that says of itself that it is too large, before the first byte of it is fetched.
pub fn check_size(found: &Found, most: u64) -> Result<()> {
    let all = found.layers.iter().fold(0_u64, |all, layer| all.saturating_add(layer.size));
    if most < all {
        refuse!("has {all} bytes; an image may have at most {most}");
    }
    Ok(())
}
