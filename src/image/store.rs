//! Images on disk.
//!
//! ```text
//! <root>/lock             locked by whoever writes
//!        mounting         locked, and shared, by whoever is about to mount layers
//!        index.json       what there is: whole images only
//!        index.copy       the same, should that be damaged
//!        configs/<hex>    configurations, as they came
//!        layers/<24 hex>  one unpacked layer each, named by its chain; of images that are not whole yet too
//!        recipes/<24 hex> what it takes to make a layer's archive again
//!        aside/           layers under containers that outlived the index that knew them
//!        partial/<hex>    layers that are being fetched, as far as they came
//!        tmp/             what is not whole yet
//! ```
//!
//! A layer is named by its chain, the digest over itself and all below, and not by itself alone: folders that it does
//! not list look as they do below ([`super::inherit`]).

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use super::index::{Identity, Index, LayerRecord, Record};
use super::{Digest, Image, Limits, Platform, Reference, recipe};

/// How many digits of a chain's digest name its folder: few enough that 127 of them fit into overlayfs' option string,
/// enough (96 bits) that nobody finds a second chain for a given name.
const NAME_DIGITS: usize = 24;

/// The image store below one directory. Any number of processes may have it open; one at a time writes.
pub struct Store {
    pub(super) root: PathBuf,
    pub(super) limits: Limits,
    pub(super) platform: Platform,
    seen: Mutex<Seen>,
    /// Archives that are refused for what is in them, and why: they are not read again before they change.
    pub(super) refused: Mutex<HashMap<Identity, String>>,
    /// What was found damaged, not told yet.
    pub(super) damage: Mutex<Option<String>>,
}

/// The index as last read, and the state of its file then.
#[derive(Default)]
struct Seen {
    state: Option<(u64, u64, i64, i64)>,
    index: Arc<Index>,
}

impl Store {
    /// Opens the store below `root`, made if missing (0700); throws away what an interrupted import left.
    ///
    /// What is damaged in it is told ([`Store::take_damage`]) and fails nothing: who supervises must start.
    pub fn open(root: &Path) -> Result<Store> {
        Store::with_limits(root, Limits::default())
    }

    /// As [`Store::open`], with other limits.
    pub fn with_limits(root: &Path, limits: Limits) -> Result<Store> {
        let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(root).with_context(|| format!("make {}", root.display()))?;
        for folder in ["layers", "configs", "recipes", "aside", "tmp"].map(|name| root.join(name)) {
            make(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let store = Store::at(root, limits);
        let lock = store.lock_file()?;
        // Whoever has the lock writes, and has cleaned up himself.
        match lock.try_lock() {
            Ok(()) => store.clean().unwrap_or_else(|error| {
                store.report_damage(format!("the image store could not be cleaned up: {error:#}"));
            }),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => return Err(error).context("lock the image store"),
        }
        Ok(store)
    }

    /// The store below `root`, for whoever only reads: makes nothing, cleans nothing, and waits for nobody. Where there is
    /// no store yet it is empty; where it may not be read, this fails.
    pub fn read(root: &Path) -> Result<Store> {
        let store = Store::at(root, Limits::default());
        store.index()?;
        Ok(store)
    }

    fn at(root: &Path, limits: Limits) -> Store {
        let (seen, refused, damage) = (Mutex::default(), Mutex::default(), Mutex::default());
        Store { root: root.to_owned(), limits, platform: Platform::ours(), seen, refused, damage }
    }

    /// The image called `reference`, if it is here. A digest beats the tag, and needs no name: it tells the content.
    pub fn find(&self, reference: &Reference) -> Result<Option<Image>> {
        let index = self.index()?;
        let name = reference.to_string();
        let found = index.images.iter().find(|record| match &reference.digest {
            Some(digest) => record.digests.contains(digest),
            None => record.names.contains(&name),
        });
        Ok(found.map(|record| self.image(record)))
    }

    /// All images, in the order in which they came.
    pub fn list(&self) -> Result<Vec<Image>> {
        Ok(self.index()?.images.iter().map(|record| self.image(record)).collect())
    }

    /// The index, read anew only if its file is another one.
    pub(super) fn index(&self) -> Result<Arc<Index>> {
        let state = match fs::metadata(self.index_path()) {
            Ok(file) => Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).context("look at the image store's index"),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.state != state || state.is_none() {
            *seen = Seen { index: Arc::new(Index::read(&self.index_path())?), state };
        }
        Ok(seen.index.clone())
    }

    /// Waits until nobody else writes; the lock ends with the file.
    pub(super) fn lock(&self) -> Result<File> {
        let file = self.lock_file()?;
        file.lock().context("lock the image store")?;
        Ok(file)
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(super) fn layer_path(&self, chain: &Digest) -> PathBuf {
        self.root.join("layers").join(folder_name(chain))
    }

    pub(super) fn recipe_path(&self, layer: &Path) -> PathBuf {
        self.root.join("recipes").join(layer.file_name().unwrap_or_default())
    }

    /// Whether the layer that ends `chain` can be made an archive again, as far as that can be told without reading.
    pub(super) fn has_recipe(&self, chain: &Digest) -> bool {
        self.recipe_path(&self.layer_path(chain)).is_file()
    }

    pub(super) fn has_recipes(&self, record: &Record) -> bool {
        record.layers.iter().all(|layer| self.has_recipe(&layer.chain))
    }

    /// Puts the recipe of the layer that is unpacked at `scratch` where that of `layer` belongs.
    pub(super) fn keep_recipe(&self, scratch: &Path, layer: &Path) -> Result<()> {
        let path = self.recipe_path(layer);
        fs::rename(recipe::beside(scratch), &path).with_context(|| format!("make {}", path.display()))
    }

    /// Keeps every layer where it is for as long as the file is open: for whoever finds an image and mounts it, or reads
    /// its layers. Waits for nothing that takes long.
    pub fn hold(&self) -> Result<File> {
        let file = self.open_lock("mounting")?;
        file.lock_shared().context("hold the image store's layers")?;
        Ok(file)
    }

    fn lock_file(&self) -> Result<File> {
        self.open_lock("lock")
    }

    pub(super) fn open_lock(&self, name: &str) -> Result<File> {
        let path = self.root.join(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        file.with_context(|| format!("open {}", path.display()))
    }

    pub(super) fn image(&self, record: &Record) -> Image {
        Image {
            id: record.id.to_string(),
            names: record.names.clone(),
            digests: record.digests.iter().map(Digest::to_string).collect(),
            layers_dir: self.root.join("layers"),
            lower: record.layers.iter().rev().map(|layer| folder_name(&layer.chain)).collect(),
            config: record.config.clone(),
            architecture: record.architecture.clone(),
            os: record.os.clone(),
            size: record.layers.iter().map(|layer| layer.size).sum(),
            damage: self.damage_of(record),
            pulled_from: record.pulled_from.clone(),
        }
    }
}

impl Index {
    /// The layer that ends `chain`, if it is here and not known to be damaged.
    pub(super) fn layer(&self, chain: &Digest) -> Option<&LayerRecord> {
        self.layers().find(|layer| layer.chain == *chain && !layer.damaged)
    }

    /// Whether the folder for `chain` is another chain's.
    pub(super) fn collides(&self, chain: &Digest) -> bool {
        self.layers().any(|layer| layer.chain != *chain && folder_name(&layer.chain) == folder_name(chain))
    }

    /// Every layer on disk, those that images share more than once.
    pub(super) fn layers(&self) -> impl Iterator<Item = &LayerRecord> {
        let begun = self.unfinished.iter().flat_map(|begun| &begun.layers);
        self.images.iter().flat_map(|image| &image.layers).chain(&self.orphans).chain(begun)
    }
}

pub(super) fn folder_name(chain: &Digest) -> String {
    chain.hex()[..NAME_DIGITS].to_owned()
}
