//! What the store holds: one JSON file, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::limits::Spent;
use super::{Digest, Imported};
use crate::bundle::ImageConfig;

/// The index file's content.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Index {
    /// Whole images only.
    pub images: Vec<Record>,
    /// Archives that were read, so that they are not read again.
    pub archives: Vec<Known>,
    /// Layers that no image has any more, and that containers may still run on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<LayerRecord>,
    /// Images of which the lower layers are here. A holdfast of before there were such does not know these layers, and removes
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<Unfinished>,
}

/// One image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Digest of its configuration.
    pub id: Digest,
    /// Names with a tag; a name belongs to one image.
    pub names: Vec<String>,
    /// Digests of its manifest and of indexes that led to it.
    pub digests: Vec<Digest>,
    /// Lowest first.
    pub layers: Vec<LayerRecord>,
    /// How to run it.
    pub config: ImageConfig,
    /// In Go's words.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Registry and repository that it was pulled from, last; absent where anybody else brought it too, who may not be able to
    /// do so again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled_from: Option<String>,
}

/// One layer on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Digest over this layer and all below it.
    pub chain: Digest,
    /// Bytes in its files.
    pub size: u64,
    /// What it looked like when it was unpacked ([`super::seal`]); none by holdfast of before there were seals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
    /// Found damaged: nothing starts from it, and whoever has it makes it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

/// An image that comes layer by layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Digest of its configuration.
    pub id: Digest,
    /// When somebody went on with it, in seconds since 1970.
    pub since: u64,
    /// The layers that are here, those that other images have too included; lowest first.
    pub layers: Vec<LayerRecord>,
    /// What unpacking them took of the limits for one image.
    pub spent: Spent,
}

/// An archive that was read, and what it held.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Known {
    /// Which file, in which state.
    pub archive: Identity,
    /// The images in it.
    pub images: Vec<Imported>,
}

/// A file in one state: another content would change it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    path: PathBuf,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// The present state of `file`, which was opened at `path`.
    pub fn of(path: &Path, file: &File) -> io::Result<Identity> {
        let metadata = file.metadata()?;
        Ok(Identity {
            path: path.to_owned(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether it is the same path, in whatever state.
    pub fn same_path(&self, other: &Identity) -> bool {
        self.path == other.path
    }
}

impl Index {
    /// Reads the index at `path`; an empty one if there is none yet.
    pub fn read(path: &Path) -> Result<Index> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// Replaces the index at `path` and its copy; after a power cut either the old or the new one is there.
    pub fn write(&mut self, path: &Path) -> Result<()> {
        self.archives.retain(|known| known.archive.path.exists());
        let beside = path.with_extension("new");
        let bytes = serde_json::to_vec(self).context("write the index")?;
        let replace = |path: &Path| -> io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            File::open(path.parent().unwrap_or(path))?.sync_all()
        };
        let mut files = [Index::copy_of(path), path.to_owned()];
        if !path.exists() {
            // A copy alone tells that the index was lost.
            files.reverse();
        }
        files.iter().try_for_each(|file| replace(file).with_context(|| format!("write {}", file.display())))
    }

    /// Where the copy of the index at `path` is: a file of its own, since archives may be gone that the index was made from.
    pub fn copy_of(path: &Path) -> PathBuf {
        path.with_extension("copy")
    }

    /// What the archive held, if it was read in this state and the store still has all of it.
    pub fn known(&self, archive: &Identity) -> Option<&[Imported]> {
        let here = |image: &Imported| self.image(&image.id).is_some();
        let known = self.archives.iter().find(|known| known.archive == *archive)?;
        known.images.iter().all(here).then_some(&known.images)
    }

    /// The image whose id is `id`.
    pub fn image(&self, id: &str) -> Option<&Record> {
        self.images.iter().find(|record| record.id.as_str() == id)
    }

    /// The archives, still there in that state, that hold the image whose id is `id`.
    pub fn archives_of(&self, id: &str) -> Vec<PathBuf> {
        let unchanged = |known: &&Known| {
            let file = File::open(&known.archive.path);
            let now = file.and_then(|file| Identity::of(&known.archive.path, &file));
            now.is_ok_and(|now| now == known.archive)
        };
        let holding = self.archives.iter().filter(|known| known.images.iter().any(|image| image.id == id));
        holding.filter(unchanged).map(|known| known.archive.path.clone()).collect()
    }

    /// The files, whatever state they are in by now, in which the image whose id is `id` was once: for whoever looks into them.
    pub fn archives_once_of(&self, id: &str) -> Vec<PathBuf> {
        let holding = self.archives.iter().filter(|known| known.images.iter().any(|image| image.id == id));
        holding.map(|known| known.archive.path.clone()).filter(|path| path.exists()).collect()
    }

    /// Adds an image, whose names no other keeps; tells the names that were another's.
    pub fn add(&mut self, mut new: Record) -> Vec<String> {
        let mut moved = Vec::new();
        self.unfinished.retain(|begun| begun.id != new.id);
        for old in &mut self.images {
            if old.id != new.id {
                let (taken, kept) = old.names.drain(..).partition(|name| new.names.contains(name));
                (moved, old.names) = ([moved, taken].concat(), kept);
            }
        }
        if let Some(at) = self.images.iter().position(|old| old.id == new.id) {
            let old = self.images.remove(at);
            new.pulled_from = new.pulled_from.filter(|_| old.pulled_from.is_some());
            new.names.extend(old.names);
            new.digests.extend(old.digests);
        }
        self.renew(&new.layers);
        new.names.sort();
        new.names.dedup();
        new.digests.sort();
        new.digests.dedup();
        self.images.push(new);
        moved
    }
}
