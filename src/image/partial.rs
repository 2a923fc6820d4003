//! Layers that are being fetched, and what is left of pulls that nobody goes on with.
//!
//! Layers wait below `partial/` as they came, each in a file that its digest names, until they can be unpacked. What was
//! cut off goes on where it stood, after a reboot too: nothing there is trusted before its digest is right.
//!
//! Invariant: one holder at a time writes a file there, and only its holder removes it.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::Digest;
use super::import::chains;
use super::limits::Room;
use super::select::{Found, Layer};
use super::store::Store;

/// For how long what nobody goes on with is kept: a week without a connection is no rarity.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);
/// So much of a layer may be in the kernel's memory: without a bound a large one drives out what pods read and write.
const MOST_CACHED: u64 = 8 << 20;

/// A layer that is being fetched: a file that is ours alone.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    /// Its bytes so far; to be appended to.
    pub file: File,
    room: Room,
    cached: u64,
}

impl Partial {
    /// Makes sure that so many more bytes leave room on the disk for everything else.
    pub fn take(&mut self, count: u64) -> Result<()> {
        self.room.take(count, &self.file)?;
        cached(&self.file, 0, &mut self.cached, count);
        Ok(())
    }

    /// Whether nothing of it came.
    pub fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|look| look.len() == 0)
    }

    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!("image store: {} is of no use and cannot be removed: {error}", self.path.display());
        }
    }
}

/// Notes that `count` more bytes of `file` are in the kernel's memory; once that is much, has it begin to write and let go of
/// what is before `end`, or of everything where that is 0.
pub(super) fn cached(file: &File, end: u64, since: &mut u64, count: u64) {
    *since += count;
    if MOST_CACHED <= *since {
        *since = 0;
        // Without it all goes on, at others' cost.
        let end = end.try_into().unwrap_or(0);
        let _ = posix_fadvise(file.as_raw_fd(), 0, end, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

impl Store {
    /// What there is of the layer `digest`; `None` while somebody else has it.
    pub fn partial(&self, digest: &Digest) -> Result<Option<Partial>> {
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
                    let room = Room::new(self.limits.free_percent);
                    return Ok(Some(Partial { path, file, room, cached: 0 }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("lock {}", path.display()));
                }
            }
        }
    }

    /// Removes what there is of a layer, which is of no use any more.
    pub fn discard(&self, partial: Partial) {
        partial.remove();
    }

    /// Removes what was begun long ago and nobody goes on with, and of the image `found` what is unpacked already: a pull may have
    /// been cut off just then. The rest of that image stays, since the clock may have been another when it began.
    pub fn forget_leftovers(&self, found: &Found) {
        let chains = chains(found.layers.iter().map(|layer| &layer.diff_id));
        let here = self.here(&chains).unwrap_or_default();
        let blobs = |layers: &[Layer]| -> HashSet<String> {
            layers.iter().filter_map(|it| it.blob.as_ref()).map(|blob| blob.hex().to_owned()).collect()
        };
        let (unpacked, missing) = (blobs(&found.layers[..here]), blobs(&found.layers[here..]));
        let old = |file: &File| file.metadata().and_then(|look| look.modified()).is_ok_and(is_old);
        for entry in fs::read_dir(self.partial_folder()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !missing.contains(&name)
                && let Ok(file) = File::open(entry.path())
                && (unpacked.contains(&name) || old(&file))
                && file.try_lock().is_ok()
                && is_same(&file, &entry.path())
            {
                Partial { path: entry.path(), file, room: Room::new(0), cached: 0 }.remove();
            }
        }
        if let Err(error) = self.forget_unfinished(&found.id) {
            log::warn!("image store: layers of pulls that nobody goes on with stay: {error:#}");
        }
    }

    fn forget_unfinished(&self, but: &Digest) -> Result<()> {
        let is_left = |begun: &super::index::Unfinished| {
            begun.id != *but && is_old(UNIX_EPOCH + Duration::from_secs(begun.since))
        };
        if !self.index()?.unfinished.iter().any(is_left) {
            return Ok(());
        }
        let _lock = self.lock()?;
        let mut index = self.sound_index()?;
        index.unfinished.retain(|begun| !is_left(begun));
        index.write(&self.index_path())?;
        self.clean()
    }

    pub(super) fn partial_folder(&self) -> PathBuf {
        self.root.join("partial")
    }
}

fn is_old(begun: SystemTime) -> bool {
    SystemTime::now().duration_since(begun).is_ok_and(|age| KEPT < age)
}

fn is_same(file: &File, path: &Path) -> bool {
    let of = |look: io::Result<fs::Metadata>| look.ok().map(|look| (look.dev(), look.ino()));
    of(file.metadata()).is_some_and(|this| Some(this) == of(fs::symlink_metadata(path)))
}
