//! An image that comes layer by layer, from a registry.
//!
//! Layers are taken in from the lowest up, a few at a time, while others are still on their way: unpacked, verified, and made to
//! last as an import makes them, under the store's lock. Until the last is here the index has what is here among its
//! unfinished images, so that nobody removes it, and a pull that was cut off goes on there.
//!
//! Invariant: an image is found when all of it is here, and no sooner.
//! Invariant: the limits for one image hold over all its layers, however many pulls it took.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::import::{Layers, blames_archive, chains};
use super::index::{Index, LayerRecord, Unfinished};
use super::limits::{Budget, Spent};
use super::partial::cached;
use super::select::{Found, Layer};
use super::store::Store;
use super::{Digest, Partial, refuse};

/// Is told how many bytes more of layers were read. An error ends what is being taken in.
pub type Reads<'r> = dyn Fn(u64) -> io::Result<()> + 'r;

/// An image that comes.
pub struct Arriving<'s> {
    store: &'s Store,
    /// Until it is here.
    found: Option<Found>,
    id: Digest,
    /// What each layer is known by as it comes, and its bytes; lowest first.
    blobs: Vec<(Digest, u64)>,
    chains: Vec<Digest>,
    here: usize,
    budget: Budget,
}

impl Store {
    /// What images must run on here.
    pub fn platform(&self) -> &super::Platform {
        &self.platform
    }

    /// Most bytes that the layers of an image may have, unpacked, and so each as it comes.
    pub fn most_bytes(&self) -> u64 {
        self.limits.bytes
    }

    /// Begins to take in `found`. Its layers that are here stay from now on, whoever removes another image that has them.
    pub fn begin(&self, mut found: Found) -> Result<Arriving<'_>> {
        let chains = chains(found.layers.iter().map(|layer| &layer.diff_id));
        let blobs = found.layers.iter_mut().map(|layer| {
            // Their bytes are verified when they come, and nobody else writes to them.
            let blob = layer.blob.take().context("a layer without a digest")?;
            Ok((blob, layer.size))
        });
        let blobs = blobs.collect::<Result<_>>()?;
        let (here, id) = (self.here(&chains)?, found.id.clone());
        let budget = Budget::new(self.limits);
        let mut arriving = Arriving { store: self, found: Some(found), id, blobs, chains, here, budget };
        arriving.claim()?;
        Ok(arriving)
    }

    /// How many of the layers that make `chains` are here, counted from the lowest up.
    pub(super) fn here(&self, chains: &[Digest]) -> Result<usize> {
        let index = self.index()?;
        Ok(chains.iter().take_while(|chain| self.has_layer(&index, chain)).count())
    }

    /// Whether all layers that end one of `chains` are here.
    pub fn has<'d>(&self, mut chains: impl Iterator<Item = &'d Digest>) -> Result<bool> {
        let index = self.index()?;
        Ok(chains.all(|chain| self.has_layer(&index, chain)))
    }

    fn has_layer(&self, index: &Index, chain: &Digest) -> bool {
        index.layer(chain).is_some() && self.layer_path(chain).is_dir()
    }
}

impl Arriving<'_> {
    /// The layers that are not here, lowest first: what each is known by as it comes, and its bytes.
    pub fn missing(&self) -> &[(Digest, u64)] {
        &self.blobs[self.here..]
    }

    /// Digests over each of all layers and those below it, lowest first.
    pub fn chains(&self) -> &[Digest] {
        &self.chains
    }

    /// Sees to it that the layers that are here stay.
    fn claim(&mut self) -> Result<()> {
        let begun = |index: &Index| index.unfinished.iter().find(|begun| begun.id == self.id).cloned();
        let before = begun(&*self.store.index()?);
        let spent = before.as_ref().filter(|_| 0 < self.here).map_or(Spent::default(), |before| before.spent);
        self.budget = Budget::after(self.store.limits, spent);
        let is_claimed = before.is_some_and(|before| before.layers.len() == self.here);
        if self.here == 0 || self.here == self.chains.len() || is_claimed {
            return Ok(());
        }
        let _lock = self.store.lock()?;
        self.store.clean()?;
        let mut index = Index::clone(&*self.store.index()?);
        self.here = self.store.here(&self.chains)?;
        let layers = self.chains[..self.here].iter().filter_map(|chain| index.layer(chain).cloned());
        let layers = layers.collect();
        self.note(&mut index, layers);
        index.write(&self.store.index_path())
    }

    fn note(&self, index: &mut Index, layers: Vec<LayerRecord>) {
        index.unfinished.retain(|begun| begun.id != self.id);
        if !layers.is_empty() {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let spent = self.budget.spent();
            index.unfinished.push(Unfinished { id: self.id.clone(), since, layers, spent });
        }
    }

    /// Takes in the next `count` layers, whose bytes are in `parts`, whole and verified by whoever fetched them; some may have
    /// come here otherwise meanwhile. With the last the image is here.
    ///
    /// Of a layer that is not what the image says, what there is in `parts` is removed.
    pub fn take(&mut self, count: usize, parts: &BTreeMap<Digest, Partial>, reads: &Reads<'_>) -> Result<()> {
        let end = self.here + count;
        let found = self.found.as_ref().context("the image is here already")?;
        let members = found.layers.iter().zip(&self.blobs).map(|(layer, (blob, _))| (&*layer.member, blob));
        let members = members.map(|(member, blob)| (member.to_owned(), blob.clone())).collect();
        let mut fetched = Fetched { parts, members, opened: None, ended: Cell::new(false), reads };
        let taken = self.take_fetched(end, &mut fetched);
        if let Err(error) = &taken
            && blames_archive(error)
            && !fetched.ended.get()
            && let Some(part) = fetched.opened.and_then(|blob| parts.get(&blob))
        {
            part.remove();
        }
        taken
    }

    fn take_fetched(&mut self, end: usize, fetched: &mut Fetched<'_>) -> Result<()> {
        let store = self.store;
        let _lock = store.lock()?;
        store.clean()?;
        let mut index = Index::clone(&*store.index()?);
        match &self.found {
            Some(found) if end < self.chains.len() => {
                let layers = store.add_layers(fetched, &index, &found.layers[..end], &mut self.budget)?;
                self.note(&mut index, layers);
            }
            _ => {
                let found = self.found.take().context("the image is here already")?;
                store.add(fetched, &mut index, found, &mut self.budget)?;
                index.settle_orphans();
            }
        }
        index.write(&store.index_path())?;
        self.here = end;
        Ok(())
    }
}

/// Layers that were fetched.
struct Fetched<'f> {
    parts: &'f BTreeMap<Digest, Partial>,
    /// The digest that each is known by, by its name.
    members: BTreeMap<String, Digest>,
    /// The one that was read last.
    opened: Option<Digest>,
    /// Nobody waits for it any more.
    ended: Cell<bool>,
    reads: &'f Reads<'f>,
}

impl Fetched<'_> {
    fn part(&self, layer: &Layer) -> Result<(&Digest, &File)> {
        let blob = self.members.get(&layer.member);
        match blob.and_then(|blob| self.parts.get_key_value(blob)) {
            Some((blob, part)) => Ok((blob, &part.file)),
            None => bail!("was here when the pull began, and is gone: it is pulled again"),
        }
    }
}

impl Layers for Fetched<'_> {
    fn place(&self, layer: &Layer) -> Result<u64> {
        self.part(layer).map(|_| 0)
    }

    fn open(&mut self, layer: &Layer) -> Result<Box<dyn Read + '_>> {
        self.opened = Some(self.part(layer)?.0.clone());
        let (_, mut file) = self.part(layer)?;
        file.rewind().context("read it from the beginning")?;
        Ok(Box::new(Reading { file, at: 0, cached: 0, ended: &self.ended, reads: self.reads }))
    }
}

/// A layer that is read, and leaves no more of itself in the kernel's memory than one that comes.
struct Reading<'r> {
    file: &'r File,
    at: u64,
    cached: u64,
    ended: &'r Cell<bool>,
    reads: &'r Reads<'r>,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        (self.reads)(count as u64).inspect_err(|_| self.ended.set(true))?;
        self.at += count as u64;
        // Not what the kernel has read ahead.
        cached(self.file, self.at, &mut self.cached, count as u64);
        Ok(count)
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
