//! Damaged layers: noted, so that nothing starts from them, and made again of an archive that holds them.
//!
//! What is damaged stays where it is until another one is there: what runs on it goes on, and so does what is under it when
//! something runs; it then lies in `aside/`, as after a lost index. A registry makes it again by an ordinary pull, for which a
//! layer that is noted as damaged is missing.
//!
//! Invariant: names stay whose they are: an old archive takes no name back.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::archive::Archive;
use super::index::{Index, LayerRecord, Record};
use super::limits::Budget;
use super::meter::{Meter, Watch};
use super::store::Store;
use super::verify::Health;
use super::{Digest, Image, select};
use crate::sys::regular;

impl Store {
    /// As [`Store::verify`], and notes which layers are damaged, and which are whole again.
    pub fn judge(&self, id: &str) -> Result<Option<Health>> {
        let Some(health) = self.verify(id)? else { return Ok(None) };
        let _lock = self.lock()?;
        let mut index = self.sound_index()?;
        let Some(record) = index.image(id) else { return Ok(None) };
        for at in &health.damaged {
            // An image without one of its folders would be forgotten, with its names and digests.
            let path = record.layers.get(*at).map(|layer| self.layer_path(&layer.chain));
            path.map_or(Ok(()), |path| make_missing(&path))?;
        }
        let layers = record.layers.iter().enumerate();
        let judged: Vec<(Digest, bool)> =
            layers.map(|(at, layer)| (layer.chain.clone(), health.damaged.contains(&at))).collect();
        if index.note_damaged(&judged) {
            index.write(&self.index_path())?;
        }
        Ok(Some(health))
    }

    /// The images with a layer that is noted as damaged.
    pub fn damaged(&self) -> Result<Vec<Image>> {
        let index = self.index()?;
        let damaged = index.images.iter().filter(|record| record.is_damaged());
        Ok(damaged.map(|record| self.image(record)).collect())
    }

    /// Whether an archive that is still there holds an image with a damaged layer.
    pub fn can_remake(&self) -> bool {
        let archived =
            |index: &Index, record: &Record| !index.archives_once_of(record.id.as_str()).is_empty();
        let any = |index: &Index| index.images.iter().any(|it| it.is_damaged() && archived(index, it));
        self.index().is_ok_and(|index| any(&index))
    }

    /// Makes again what is damaged of the image whose id is `id`, of an archive that holds it: which one; `None` where none is
    /// known. Fails where archives are known and none of them does.
    pub fn remake(&self, id: &str, watch: &Watch<'_>) -> Result<Option<PathBuf>> {
        let mut wrongs: Vec<String> = Vec::new();
        for path in self.index()?.archives_once_of(id) {
            match self.remake_of(id, &path, watch) {
                Ok(()) => return Ok(Some(path)),
                Err(error) => wrongs.push(format!("{}: {error:#}", path.display())),
            }
        }
        if wrongs.is_empty() { Ok(None) } else { Err(anyhow!(wrongs.join("; "))) }
    }

    fn remake_of(&self, id: &str, path: &Path, watch: &Watch<'_>) -> Result<()> {
        let _lock = self.lock()?;
        let Some(record) = self.sound_index()?.image(id).cloned() else { return Ok(()) };
        self.clean()?;
        let mut index = Index::clone(&*self.index()?);
        let meter = Meter::new(watch);
        let mut archive = Archive::open(regular::open(path)?, &meter)?;
        let found = select::images(&mut archive, &self.platform)?;
        let found = found.into_iter().find(|found| found.id.as_str() == id);
        let mut found = found.context("the image is not in it any more")?;
        found.names = record.names;
        found.digests.extend(record.digests);
        self.add(&mut archive, &mut index, found, &mut Budget::new(self.limits))?;
        meter.end()?;
        index.settle_orphans();
        index.write(&self.index_path())?;
        // What was damaged, unless something runs on it.
        self.clean()
    }

    /// Whether the image can be gone by as it is, as far as that is known without reading its layers.
    pub fn is_sound(&self, id: &str) -> Result<bool> {
        Ok(self.index()?.image(id).is_some_and(|record| self.sound(record)))
    }

    pub(super) fn sound(&self, record: &Record) -> bool {
        let configuration = self.configuration(&record.id).is_ok_and(|bytes| Digest::of(&bytes) == record.id);
        configuration && !record.is_damaged()
    }

    /// What is noted of damage to `record`, a sentence.
    pub(super) fn damage_of(&self, record: &Record) -> Option<String> {
        let at = record.layers.iter().position(|layer| layer.damaged)?;
        let path = self.layer_path(&record.layers[at].chain);
        let count = record.layers.len();
        Some(format!("layer {} of {count}, {}, is damaged", at + 1, path.display()))
    }
}

fn make_missing(layer: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(layer) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("make {}", layer.display()))
        }
        _ => Ok(()),
    }
}

impl Record {
    fn is_damaged(&self) -> bool {
        self.layers.iter().any(|layer| layer.damaged)
    }
}

impl Index {
    /// Notes of layers whether they are damaged, in every image; whether anything changed.
    fn note_damaged(&mut self, judged: &[(Digest, bool)]) -> bool {
        let mut changed = false;
        for layer in self.layers_mut() {
            if let Some((_, damaged)) = judged.iter().find(|(chain, _)| *chain == layer.chain) {
                changed |= layer.damaged != *damaged;
                layer.damaged = *damaged;
            }
        }
        changed
    }

    /// Layers that were just taken in, for every image that has them.
    pub(super) fn renew(&mut self, layers: &[LayerRecord]) {
        let whole: HashSet<&Digest> = layers.iter().map(|layer| &layer.chain).collect();
        for layer in self.layers_mut().filter(|layer| whole.contains(&layer.chain)) {
            if let Some(new) = layers.iter().find(|new| new.chain == layer.chain) {
                layer.clone_from(new);
            }
        }
    }

    fn layers_mut(&mut self) -> impl Iterator<Item = &mut LayerRecord> {
        let images = self.images.iter_mut().flat_map(|image| &mut image.layers);
        let unfinished = self.unfinished.iter_mut().flat_map(|begun| &mut begun.layers);
        images.chain(unfinished).chain(&mut self.orphans)
    }
}
