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

use anyhow::{Context, Result, bail};

use super::archive::Archive;
use super::digest::Hashing;
use super::index::{Identity, Index, Known, LayerRecord, Record};
use super::limits::Budget;
use super::meter::{Meter, Watch};
use super::recipe::{self, Recorder};
use super::scratch::Scratch;
use super::seal::Sums;
use super::select::{self, Found, Layer};
use super::store::{Store, folder_name};
use super::stream::{self, BUFFER};
use super::tarball::Source;
use super::{Digest, Image, Imported, Reference, Refused, inherit, refuse, seal, unpack};
use crate::sys::regular;

/// What an import by hand found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    /// The images in the archive.
    pub images: Vec<Imported>,
    /// Everything was here already, under these names: nothing was read.
    pub known: bool,
}

impl Store {
    /// Imports all images of `archive` that run on this machine, or none of them.
    ///
    /// An archive that was read before and has not changed is not read again, and nothing of it is told. What is wrong with
    /// an archive is remembered too, until it changes or the store is opened anew; a full disk is not.
    pub fn import(&self, archive: &Path) -> Result<Vec<Imported>> {
        self.import_file(archive).with_context(|| format!("import {}", archive.display()))
    }

    /// As [`Store::import`], for a person: what is known is told, a name that was taken from its image since is given back,
    /// and `watch` is told how far it is. With a `name` the archive must hold one image for this machine, which gets it too.
    pub fn import_by_hand(
        &self,
        archive: &Path,
        name: Option<&Reference>,
        watch: &Watch<'_>,
    ) -> Result<ByHand> {
        let import = || -> Result<ByHand> {
            let (file, identity) = open(archive)?;
            if name.is_none()
                && let Ok(Some(images)) = self.here_as_named(&identity)
            {
                return Ok(ByHand { images, known: true });
            }
            let images = self.import_new(file, Some(identity), &Order { name, watch, again: true })?;
            Ok(ByHand { images, known: false })
        };
        import().with_context(|| format!("import {}", archive.display()))
    }

    /// As [`Store::import_by_hand`], of a file without a name; it is not remembered as an archive.
    pub fn import_open(&self, archive: File, name: Option<&Reference>, watch: &Watch<'_>) -> Result<ByHand> {
        let images = self.import_new(archive, None, &Order { name, watch, again: true })?;
        Ok(ByHand { images, known: false })
    }

    /// What `archive` held when it was read in its present state; `None` where it was not, or an image of it is gone.
    pub fn known(&self, archive: &Path) -> Result<Option<Vec<Image>>> {
        let (_, identity) = open(archive).with_context(|| format!("look at {}", archive.display()))?;
        let index = self.index()?;
        let Some(held) = index.known(&identity) else { return Ok(None) };
        Ok(Some(
            held.iter().filter_map(|held| index.image(&held.id)).map(|record| self.image(record)).collect(),
        ))
    }

    fn import_file(&self, path: &Path) -> Result<Vec<Imported>> {
        let (file, identity) = open(path)?;
        // One that cannot be read is mended with the lock.
        if self.index().is_ok_and(|index| index.known(&identity).is_some()) {
            return Ok(Vec::new());
        }
        let remembered = self.refused.lock().unwrap_or_else(PoisonError::into_inner).get(&identity).cloned();
        if let Some(reason) = remembered {
            return Err(Refused(reason).into());
        }
        let order = Order { name: None, watch: &|_| Ok(()), again: false };
        let imported = self.import_new(file, Some(identity.clone()), &order);
        if let Err(error) = &imported
            && blames_archive(error)
        {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.insert(identity, format!("{error:#}"));
        }
        imported
    }

    /// What the archive held, if all of it is here under the names that it had there.
    fn here_as_named(&self, archive: &Identity) -> Result<Option<Vec<Imported>>> {
        let index = self.index()?;
        let named = |held: &Imported| {
            index.image(&held.id).is_some_and(|record| {
                let named = held.names.iter().all(|name| record.names.contains(name));
                named && self.has_recipes(record) && self.sound(record)
            })
        };
        let held = index.known(archive).filter(|held| held.iter().all(named));
        Ok(held.map(|held| held.iter().map(|held| Imported { moved: Vec::new(), ..held.clone() }).collect()))
    }

    fn import_new(&self, file: File, identity: Option<Identity>, order: &Order<'_>) -> Result<Vec<Imported>> {
        let _lock = self.lock()?;
        self.clean()?;
        let mut index = Index::clone(&*self.index()?);
        // Somebody else may have imported it while this one waited for the lock.
        if !order.again && identity.as_ref().is_some_and(|identity| index.known(identity).is_some()) {
            return Ok(Vec::new());
        }
        let meter = Meter::new(order.watch);
        let mut archive = Archive::open(file, &meter)?;
        let mut found = select::images(&mut archive, &self.platform)?;
        if let Some(name) = order.name {
            give(name, &mut found)?;
        }
        let mut images = Vec::new();
        for found in found {
            let shown = found.names.first().cloned().unwrap_or_else(|| found.id.to_string());
            let mut budget = Budget::new(self.limits);
            let added = self.add(&mut archive, &mut index, found, &mut budget);
            images.push(added.with_context(|| format!("image {shown}"))?);
        }
        meter.end()?;
        if let Some(identity) = identity {
            index.archives.retain(|known| !known.archive.same_path(&identity));
            index.archives.push(Known { archive: identity, images: images.clone() });
        }
        index.settle_orphans();
        index.write(&self.index_path())?;
        Ok(images)
    }

    /// Brings one image into `layers/`, and into `index`, which is not written yet.
    pub(super) fn add(
        &self,
        archive: &mut dyn Layers,
        index: &mut Index,
        found: Found,
        budget: &mut Budget,
    ) -> Result<Imported> {
        let scratch = Scratch::new(&self.root.join("tmp"))?;
        let layers = self.unpack(archive, index, &found.layers, &scratch.0, budget)?;
        let layers = self.settle(&scratch.0, Some(&found), layers)?;
        let platform = found.configuration.platform;
        let record = Record {
            id: found.id.clone(),
            names: found.names.clone(),
            digests: found.digests,
            layers,
            config: found.configuration.run,
            architecture: platform.architecture,
            os: platform.os,
            pulled_from: found.pulled_from,
        };
        let moved = index.add(record);
        Ok(Imported { id: found.id.to_string(), names: found.names, moved })
    }

    /// Brings the lowest `layers` of an image into `layers/`.
    pub(super) fn add_layers(
        &self,
        archive: &mut dyn Layers,
        index: &Index,
        layers: &[Layer],
        budget: &mut Budget,
    ) -> Result<Vec<LayerRecord>> {
        let scratch = Scratch::new(&self.root.join("tmp"))?;
        let layers = self.unpack(archive, index, layers, &scratch.0, budget)?;
        self.settle(&scratch.0, None, layers)
    }

    /// Unpacks what is not here yet, in the order in which it stands in the archive.
    fn unpack(
        &self,
        archive: &mut dyn Layers,
        index: &Index,
        layers: &[Layer],
        scratch: &Path,
        budget: &mut Budget,
    ) -> Result<Vec<Unpacked>> {
        let chains = &chains(layers.iter().map(|layer| &layer.diff_id));
        let mut unpacked: Vec<Option<Unpacked>> = Vec::new();
        let mut missing = Vec::new();
        for (at, (layer, chain)) in layers.iter().zip(chains).enumerate() {
            if index.collides(chain) {
                refuse!("layer {chain} has the short name of another one");
            }
            let here = index.layer(chain).filter(|_| !archive.is_whole() || self.has_recipe(chain));
            let here = here.map(|record| Unpacked { record: record.clone(), new: None });
            if here.is_none() {
                missing.push((archive.place(layer)?, at));
            }
            unpacked.push(here);
        }
        missing.sort_unstable();
        for (_, at) in missing {
            let (layer, chain) = (&layers[at], &chains[at]);
            let root = scratch.join(folder_name(chain));
            fs::create_dir(&root).with_context(|| format!("make {}", root.display()))?;
            let new = unpack_layer(archive, layer, &root, budget);
            let new = new.with_context(|| format!("layer {}", layer.member))?;
            let record = LayerRecord { chain: chain.clone(), size: new.bytes, seal: None, damaged: false };
            unpacked[at] = Some(Unpacked { record, new: Some((new.unlisted, new.sums)) });
        }
        unpacked.into_iter().collect::<Option<Vec<_>>>().context("a layer is neither here nor missing")
    }

    /// Makes what was unpacked last, then shows it under its name: layers, and the configuration of an image that is `found` to
    /// be whole with them.
    fn settle(
        &self,
        scratch: &Path,
        found: Option<&Found>,
        mut layers: Vec<Unpacked>,
    ) -> Result<Vec<LayerRecord>> {
        let place = |layer: &Unpacked| match layer.new {
            Some(_) => scratch.join(folder_name(&layer.record.chain)),
            None => self.layer_path(&layer.record.chain),
        };
        let places: Vec<PathBuf> = layers.iter().map(place).collect();
        let is_new: Vec<bool> = layers.iter().map(|layer| layer.new.is_some()).collect();
        for (at, layer) in layers.iter_mut().enumerate() {
            if let Some((unlisted, sums)) = layer.new.take() {
                inherit::describe(&places[at], &unlisted, &places[..at])?;
                layer.record.seal = Some(seal::fresh(&places[at], sums).context("seal the layer")?);
            }
        }
        if let Some(found) = found {
            fs::write(scratch.join(found.id.hex()), &found.raw).context("write the configuration")?;
        }
        nix::unistd::syncfs(File::open(scratch)?.as_raw_fd()).context("sync the disk")?;
        for ((layer, place), _) in layers.iter().zip(&places).zip(is_new).filter(|(_, new)| *new) {
            let target = self.layer_path(&layer.record.chain);
            self.keep_recipe(place, &target)?;
            self.make_way(&target)?;
            fs::rename(place, &target).with_context(|| format!("make {}", target.display()))?;
        }
        let mut folders = vec!["recipes", "layers"];
        if let Some(found) = found {
            let kept = self.root.join("configs").join(found.id.hex());
            fs::rename(scratch.join(found.id.hex()), kept).context("keep the configuration")?;
            folders.push("configs");
        }
        for folder in folders {
            File::open(self.root.join(folder))?.sync_all().with_context(|| format!("sync {folder}"))?;
        }
        Ok(layers.into_iter().map(|layer| layer.record).collect())
    }
}

/// A layer of an image; `new` if it is in the scratch folder still, with the folders it does not list and its files' sums.
struct Unpacked {
    record: LayerRecord,
    new: Option<(BTreeSet<PathBuf>, Sums)>,
}

/// Where an image's layers are, as they came.
pub trait Layers {
    /// Where `layer` stands among the others; to read several in their order.
    fn place(&self, layer: &Layer) -> Result<u64>;
    /// Reads `layer`.
    fn open(&mut self, layer: &Layer) -> Result<Box<dyn Read + '_>>;
    /// Whether all layers are there, so that one of before there were recipes can get its own.
    fn is_whole(&self) -> bool {
        false
    }
}

impl Layers for Archive<'_> {
    fn place(&self, layer: &Layer) -> Result<u64> {
        self.offset(&layer.member)
    }

    fn open(&mut self, layer: &Layer) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.reader(&layer.member)?))
    }

    fn is_whole(&self) -> bool {
        true
    }
}

/// How to import.
struct Order<'a> {
    /// Another name for the one image of the archive.
    name: Option<&'a Reference>,
    watch: &'a Watch<'a>,
    /// Also what was read before.
    again: bool,
}

fn open(path: &Path) -> Result<(File, Identity)> {
    let file = regular::open(path)?;
    let identity = Identity::of(path, &file)?;
    Ok((file, identity))
}

/// Gives the one image of an archive a name.
fn give(name: &Reference, found: &mut [Found]) -> Result<()> {
    let count = found.len();
    let [image] = found else {
        bail!("it holds {count} images, and one name fits one only: leave --name out");
    };
    let name = name.to_string();
    if !image.names.contains(&name) {
        image.names.push(name);
    }
    Ok(())
}

/// Unpacks and verifies one layer, in one pass.
fn unpack_layer(
    archive: &mut dyn Layers,
    layer: &Layer,
    root: &Path,
    budget: &mut Budget,
) -> Result<unpack::Unpacked> {
    let source = archive.open(layer)?;
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
    let recorder = Recorder::new(&mut content, &recipe::beside(root))?;
    let unpacked = unpack::layer(recorder, root, budget)?;
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
pub fn blames_archive(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let broken = |error: &io::Error| matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
    error.is::<Refused>() || error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

/// Digests over each layer and all below it (OCI image specification: ChainID).
pub(super) fn chains<'d>(diff_ids: impl Iterator<Item = &'d Digest>) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::new();
    for diff_id in diff_ids {
        chains.push(match chains.last() {
            None => diff_id.clone(),
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        });
    }
    chains
}
