//! Which layer is fetched next, and which are taken in.
//!
//! Invariant: layers are begun lowest first, so that what is whole waits for nothing but what this pull itself fetches, and what
//! is kept for its next place is let go of: no two pulls wait for each other.
//! Invariant: what waits on the disk as it came is at most what the largest layer has, or [`LITTLE`].

use std::collections::BTreeMap;

use crate::image::Digest;

/// So many bytes may wait whatever the largest layer has, and are gathered before they are taken in: each time costs half a
/// dozen syncs, which on an SD card are 50 ms each.
pub const LITTLE: u64 = 8 << 20;
/// A layer of at most so many bytes does not count, and is kept for its next place in the image: an empty one, which docker's
/// tools write, has 32 bytes and may come a dozen times.
const TINY: u64 = 64 << 10;

/// The layers of an image that are not here.
#[derive(Debug)]
pub struct Plan {
    /// What each is known by as it comes, and its bytes; lowest first.
    layers: Vec<(Digest, u64)>,
    stages: BTreeMap<Digest, Stage>,
    /// So many are in the store.
    taken: usize,
    /// Bytes that may wait.
    most: u64,
    /// The next one is in somebody else's hands.
    elsewhere: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Wanted,
    Coming,
    Whole,
}

impl Plan {
    /// All of `layers` are to be fetched: what each is known by as it comes, and its bytes; lowest first.
    pub fn new(layers: &[(Digest, u64)]) -> Plan {
        let stages = layers.iter().map(|(digest, _)| (digest.clone(), Stage::Wanted)).collect();
        let most = layers.iter().map(|(_, size)| *size).chain([LITTLE]).max().unwrap_or(LITTLE);
        Plan { layers: layers.to_vec(), stages, taken: 0, most, elsewhere: false }
    }

    /// The layer to begin now; none where there is no other, or no room for it.
    pub fn next(&self) -> Option<(Digest, u64)> {
        let (digest, size) = self.rest().iter().find(|(digest, _)| self.is(digest, Stage::Wanted))?;
        (self.waiting() + counted(*size) <= self.most).then(|| (digest.clone(), *size))
    }

    /// `digest` is being fetched.
    pub fn begins(&mut self, digest: &Digest) {
        self.elsewhere = false;
        self.stages.insert(digest.clone(), Stage::Coming);
    }

    /// `digest` is whole, or came into the store by somebody else's hands.
    pub fn is_whole(&mut self, digest: &Digest) {
        self.elsewhere = false;
        self.stages.insert(digest.clone(), Stage::Whole);
    }

    /// The next one is in somebody else's hands; whether that is news.
    pub fn is_elsewhere(&mut self) -> bool {
        !std::mem::replace(&mut self.elsewhere, true)
    }

    /// How many layers are to be taken in now, beginning with the lowest that is missing; 0 while it is better to wait.
    pub fn ready(&self) -> usize {
        let (mut count, mut bytes, mut frees) = (0, 0, 0);
        for (_, size) in self.rest().iter().take_while(|(digest, _)| self.is(digest, Stage::Whole)) {
            (count, bytes, frees) = (count + 1, bytes + size, frees + counted(*size));
            if LITTLE <= bytes {
                return count;
            }
        }
        let is_last = count == self.rest().len();
        let is_wanted = |(digest, _): &(Digest, u64)| self.is(digest, Stage::Wanted);
        let is_held_up =
            self.elsewhere || 0 < frees && self.next().is_none() && self.rest().iter().any(is_wanted);
        if is_last || is_held_up { count } else { 0 }
    }

    /// What is let go of while the next one is in somebody else's hands, who may wait for it: layers that are whole, and wait for
    /// that one or for their next place. They come after it again.
    pub fn lets_go(&mut self) -> Vec<Digest> {
        let is_coming = self.stages.values().any(|stage| *stage == Stage::Coming);
        if !self.elsewhere || is_coming || 0 < self.ready() {
            return Vec::new();
        }
        let whole = self.stages.iter_mut().filter(|(_, stage)| **stage == Stage::Whole);
        whole
            .map(|(digest, stage)| {
                *stage = Stage::Wanted;
                digest.clone()
            })
            .collect()
    }

    /// What the next `count` layers are known by.
    pub fn batch(&self, count: usize) -> impl Iterator<Item = &Digest> {
        self.rest().iter().take(count).map(|(digest, _)| digest)
    }

    /// The next `count` are in the store. What came of these is of no use any more.
    pub fn took(&mut self, count: usize) -> Vec<Digest> {
        let (taken, rest) = self.rest().split_at(count);
        let mut useless = Vec::new();
        for (digest, size) in taken {
            match rest.iter().any(|(other, _)| other == digest) {
                true if *size <= TINY => {}
                again => useless.push((digest.clone(), again)),
            }
        }
        self.taken += count;
        let mut digests = Vec::new();
        for (digest, again) in useless {
            match again {
                true => self.stages.insert(digest.clone(), Stage::Wanted),
                false => self.stages.remove(&digest),
            };
            digests.push(digest);
        }
        digests
    }

    /// Whether all are in the store.
    pub fn is_over(&self) -> bool {
        self.taken == self.layers.len()
    }

    /// Where `digest` is among the layers, counted from the lowest that was missing at first.
    pub fn places(&self, digest: &Digest) -> impl Iterator<Item = usize> {
        let layers = self.layers.iter().enumerate();
        layers.filter_map(move |(at, (other, _))| (other == digest).then_some(at))
    }

    fn rest(&self) -> &[(Digest, u64)] {
        &self.layers[self.taken..]
    }

    fn is(&self, digest: &Digest, stage: Stage) -> bool {
        self.stages.get(digest) == Some(&stage)
    }

    /// Bytes of what is being fetched or whole.
    fn waiting(&self) -> u64 {
        let mut seen = Vec::new();
        let mut bytes = 0;
        for (digest, size) in self.rest() {
            if !self.is(digest, Stage::Wanted) && !seen.contains(&digest) {
                seen.push(digest);
                bytes += counted(*size);
            }
        }
        bytes
    }
}

fn counted(size: u64) -> u64 {
    if size <= TINY { 0 } else { size }
}

#[cfg(test)]
mod tests;
