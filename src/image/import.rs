//! An archive into the store.
//!
//! Order, so that a power cut at any instant leaves nothing half: unpack into `tmp/`, verify, sync the file system, rename
//! the layers into place, sync their folder, and only then replace the index.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use anyhow::{Context, Result, anyhow};

use super::archive::Archive;
use super::digest::Hashing;
use super::index::{Identity, Index, Known, LayerRecord, Record};
use super::limits::Budget;
use super::select::{self, Found, Layer};
use super::store::{Store, folder_name};
use super::stream::{self, BUFFER};
use super::tarball::Source;
use super::{Digest, Imported, Refused, inherit, refuse, unpack};

impl Store {
    /// Imports all images of `archive` that run on this machine, or none of them.
    ///
    /// An archive that was read before and has not changed is not read again, and nothing of it is told. What is wrong with an archive is
    /// remembered too, until it changes or the store is opened anew; a full disk is not.
    pub fn import(&self, archive: &Path) -> Result<Vec<Imported>> {
        self.import_file(archive).with_context(|| format!("import {}", archive.display()))
    }

    fn import_file(&self, path: &Path) -> Result<Vec<Imported>> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(anyhow!("it is no regular file"));
        }
        let identity = Identity::of(path, &file)?;
        if self.index()?.knows(&identity) {
            return Ok(Vec::new());
        }
        let remembered = self.refused.lock().unwrap_or_else(PoisonError::into_inner).get(&identity).cloned();
        if let Some(reason) = remembered {
            return Err(Refused(reason).into());
        }
        let imported = self.import_new(file, identity.clone());
        if let Err(error) = &imported
            && blames_archive(error)
        {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.insert(identity, format!("{error:#}"));
        }
        imported
    }

    fn import_new(&self, file: File, identity: Identity) -> Result<Vec<Imported>> {
        let _lock = self.lock()?;
        self.clean()?;
        let mut index = Index::clone(&*self.index()?);
        let mut archive = Archive::open(file)?;
        let mut images = Vec::new();
        for found in select::images(&mut archive, &self.platform)? {
            let shown = found.names.first().cloned().unwrap_or_else(|| found.id.to_string());
            images.push(self.add(&mut archive, &mut index, found).with_context(|| format!("image {shown}"))?);
        }
        index.archives.retain(|known| !known.archive.same_path(&identity));
        index.archives.push(Known { archive: identity, images: images.clone() });
        index.write(&self.index_path())?;
        Ok(images)
    }

    /// Brings one image into `layers/`, and into `index`, which is not written yet.
    fn add(&self, archive: &mut Archive, index: &mut Index, found: Found) -> Result<Imported> {
        let chains = chains(&found.layers);
        let scratch = Scratch::new(&self.root.join("tmp"))?;
        let layers = self.unpack(archive, index, &found.layers, &chains, &scratch.0)?;
        self.settle(&scratch.0, &found, &layers)?;
        let platform = found.configuration.platform;
        let record = Record {
            id: found.id.clone(),
            names: found.names.clone(),
            digests: found.digests,
            layers: layers.into_iter().map(|layer| layer.record).collect(),
            config: found.configuration.run,
            architecture: platform.architecture,
            os: platform.os,
        };
        let moved = index.add(record);
        Ok(Imported { id: found.id.to_string(), names: found.names, moved })
    }

    /// Unpacks what is not here yet, in the order in which it stands in the archive.
    fn unpack(
        &self,
        archive: &mut Archive,
        index: &Index,
        layers: &[Layer],
        chains: &[Digest],
        scratch: &Path,
    ) -> Result<Vec<Unpacked>> {
        let mut budget = Budget::new(self.limits);
        let mut unpacked: Vec<Option<Unpacked>> = Vec::new();
        let mut missing = Vec::new();
        for (at, (layer, chain)) in layers.iter().zip(chains).enumerate() {
            if index.collides(chain) {
                refuse!("layer {chain} has the short name of another one");
            }
            let here = index.layer(chain).map(|record| Unpacked { record: record.clone(), new: None });
            if here.is_none() {
                missing.push((archive.offset(&layer.member)?, at));
            }
            unpacked.push(here);
        }
        missing.sort_unstable();
        for (_, at) in missing {
            let (layer, chain) = (&layers[at], &chains[at]);
            let root = scratch.join(folder_name(chain));
            fs::create_dir(&root).with_context(|| format!("make {}", root.display()))?;
            let new = unpack_layer(archive, layer, &root, &mut budget);
            let new = new.with_context(|| format!("layer {}", layer.member))?;
            let record = LayerRecord { chain: chain.clone(), size: new.bytes };
            unpacked[at] = Some(Unpacked { record, new: Some(new.unlisted) });
        }
        unpacked.into_iter().collect::<Option<Vec<_>>>().context("a layer is neither here nor missing")
    }

    /// Makes what was unpacked last, then shows it under its name.
    fn settle(&self, scratch: &Path, found: &Found, layers: &[Unpacked]) -> Result<()> {
        let place = |layer: &Unpacked| match layer.new {
            Some(_) => scratch.join(folder_name(&layer.record.chain)),
            None => self.layer_path(&layer.record.chain),
        };
        let places: Vec<PathBuf> = layers.iter().map(place).collect();
        for (at, layer) in layers.iter().enumerate() {
            if let Some(unlisted) = &layer.new {
                inherit::describe(&places[at], unlisted, &places[..at])?;
            }
        }
        let config = scratch.join(found.id.hex());
        fs::write(&config, &found.raw).context("write the configuration")?;
        nix::unistd::syncfs(File::open(scratch)?.as_raw_fd()).context("sync the disk")?;
        for (layer, place) in layers.iter().zip(&places).filter(|(layer, _)| layer.new.is_some()) {
            let target = self.layer_path(&layer.record.chain);
            fs::rename(place, &target).with_context(|| format!("make {}", target.display()))?;
        }
        fs::rename(&config, self.root.join("configs").join(found.id.hex()))
            .context("keep the configuration")?;
        for folder in ["layers", "configs"] {
            File::open(self.root.join(folder))?.sync_all().with_context(|| format!("sync {folder}"))?;
        }
        Ok(())
    }
}

/// A layer of an image; `new` if it is in the scratch folder still, with the folders it does not list.
struct Unpacked {
    record: LayerRecord,
    new: Option<BTreeSet<PathBuf>>,
}

/// Unpacks and verifies one layer, in one pass.
fn unpack_layer(
    archive: &mut Archive,
    layer: &Layer,
    root: &Path,
    budget: &mut Budget,
) -> Result<unpack::Unpacked> {
    let source = archive.reader(&layer.member)?;
    // For a plain layer both digests are over the same bytes: one is enough.
    let Some(expected) = layer.blob.as_ref().filter(|blob| **blob != layer.diff_id) else {
        return unpack_content(source, &layer.diff_id, root, budget);
    };
    let mut blob = Hashing::new(source);
    let unpacked = unpack_content(&mut blob, &layer.diff_id, root, budget)?;
    verify(blob, expected)?;
    Ok(unpacked)
}

fn unpack_content(
    packed: impl Read,
    diff_id: &Digest,
    root: &Path,
    budget: &mut Budget,
) -> Result<unpack::Unpacked> {
    let hashing = Hashing::new(stream::unpacked(packed, budget.most_bytes())?);
    let mut content = Content(BufReader::with_capacity(BUFFER, hashing));
    let unpacked = unpack::layer(&mut content, root, budget)?;
    verify(content.0.into_inner(), diff_id)?;
    Ok(unpacked)
}

fn verify(content: Hashing<impl Read>, expected: &Digest) -> Result<()> {
    let actual = content.finish().context("read the layer")?;
    if actual != *expected {
        refuse!("has the digest {actual} instead of {expected}: it is damaged or was tampered with");
    }
    Ok(())
}

/// A layer's tar archive, unpacked and hashed on the way.
struct Content<R>(R);

impl<R: Read> Source for &mut Content<R> {}

impl<R: Read> Read for &mut Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Whether another try cannot help as long as the archive stays as it is.
fn blames_archive(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let broken = |error: &io::Error| matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
    error.is::<Refused>() || error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

/// A folder in `tmp/`, removed when it is done with.
struct Scratch(PathBuf);

impl Scratch {
    fn new(tmp: &Path) -> Result<Scratch> {
        let path = tmp.join("image");
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::warn!("image store: {} stays until the next import: {error}", self.0.display());
        }
    }
}

/// Digests over each layer and all below it (OCI image specification: ChainID).
fn chains(layers: &[Layer]) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::new();
    for layer in layers {
        chains.push(match chains.last() {
            None => layer.diff_id.clone(),
            Some(below) => Digest::of(format!("{below} {}", layer.diff_id).as_bytes()),
        });
    }
    chains
}
