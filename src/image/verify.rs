//! Whether images are whole, as far as that can be told of what is unpacked.
//!
//! Told for certain: that the configuration is the one that the id names, that the layers are those of the configuration,
//! that none is missing. Told by their seals ([`super::seal`]): that the layers' files are what was unpacked. Not told: that
//! of layers which an older holdfast unpacked, and what somebody changed who may write to the store and knows how it is
//! sealed.

use anyhow::Result;

use super::document::Configuration;
use super::index::{LayerRecord, Record};
use super::store::Store;
use super::{Digest, Image, seal};

/// What was found out about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The image.
    pub image: Image,
    /// What is wrong with it, a sentence each; none if it is whole.
    pub problems: Vec<String>,
    /// Which of its layers are damaged or missing, counted from the lowest, which is 0.
    pub damaged: Vec<usize>,
    /// How many of its layers have no seal, so that their content was not looked at.
    pub unsealed: usize,
}

impl Store {
    /// Whether the image whose id is `id` is whole. Reads all of it, from the disk.
    ///
    /// Fails where the store itself cannot be read; `None` where there is no such image.
    pub fn verify(&self, id: &str) -> Result<Option<Health>> {
        let _hold = self.hold()?;
        let index = self.index()?;
        let Some(record) = index.image(id) else { return Ok(None) };
        let mut problems: Vec<String> = self.wrong_configuration(record).into_iter().collect();
        for name in &record.names {
            let others = index.images.iter().filter(|other| other.id != record.id);
            if let Some(other) = others.into_iter().find(|other| other.names.contains(name)) {
                problems.push(format!("its name {name} is also that of image {}", other.id));
            }
        }
        let mut damaged = Vec::new();
        for (at, layer) in record.layers.iter().enumerate() {
            let Some(why) = self.wrong_layer(layer) else { continue };
            let path = self.layer_path(&layer.chain);
            problems.push(format!("layer {} of {}, {}, {why}", at + 1, record.layers.len(), path.display()));
            damaged.push(at);
        }
        let unsealed = record.layers.iter().filter(|layer| !layer.is_sealed()).count();
        Ok(Some(Health { image: self.image(record), problems, damaged, unsealed }))
    }

    fn wrong_configuration(&self, record: &Record) -> Option<String> {
        let bytes = match self.configuration(&record.id) {
            Ok(bytes) => bytes,
            Err(error) => return Some(format!("its configuration cannot be read: {error:#}")),
        };
        let actual = Digest::of(&bytes);
        if actual != record.id {
            return Some(format!("its configuration has the digest {actual}: it is damaged"));
        }
        let configuration = match Configuration::parse(&bytes) {
            Ok(configuration) => configuration,
            Err(error) => return Some(format!("its configuration: {error:#}")),
        };
        let same = record.has_chains(&configuration.diff_ids);
        (!same).then(|| "its layers in the index are not those of its configuration".into())
    }

    fn wrong_layer(&self, layer: &LayerRecord) -> Option<String> {
        let path = self.layer_path(&layer.chain);
        if !path.is_dir() {
            return Some("is missing".into());
        }
        let Some(sealed) = layer.seal.as_ref().filter(|_| layer.is_sealed()) else {
            return layer.damaged.then(|| "was found damaged, and has no seal to be compared with".into());
        };
        match seal::read(&path) {
            Ok(now) if now == *sealed => None,
            Ok(_) => Some("is damaged: its files are not what was unpacked".into()),
            Err(error) => Some(format!("cannot be read: {error:#}")),
        }
    }
}
