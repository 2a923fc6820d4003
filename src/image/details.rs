//! Everything that the store knows of one image.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::document::{Configuration, MAX_DOCUMENT};
use super::index::{LayerRecord, Record};
use super::store::Store;
use super::{Digest, Image};

/// An image, and all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Details {
    /// The image.
    pub image: Image,
    /// Its configuration, as it came.
    pub configuration: Vec<u8>,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// Archives, unchanged since they were read, that hold it.
    pub archives: Vec<PathBuf>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// `sha256:…` of it as a tar archive; empty where the configuration cannot be read.
    pub diff_id: String,
    /// `sha256:…` over it and all below it.
    pub chain_id: String,
    /// Bytes in its files.
    pub size: u64,
    /// Where it is unpacked.
    pub path: PathBuf,
    /// Whether damage to its content would be found ([`Store::verify`]).
    pub is_sealed: bool,
}

impl Store {
    /// Everything about the image whose id is `id`, as far as it can be read.
    pub fn details(&self, id: &str) -> Result<Option<Details>> {
        let index = self.index()?;
        let Some(record) = index.image(id) else { return Ok(None) };
        // What is damaged is for `verify` to tell.
        let configuration = self.configuration(&record.id).unwrap_or_default();
        let diff_ids = Configuration::parse(&configuration).map(|it| it.diff_ids).unwrap_or_default();
        let layers = record.layers.iter().enumerate();
        let layers = layers.map(|(at, layer)| self.layer_details(layer, diff_ids.get(at))).collect();
        let archives = index.archives_of(id);
        Ok(Some(Details { image: self.image(record), configuration, layers, archives }))
    }

    /// The bytes that the image's id is the digest of, or should be.
    pub(super) fn configuration(&self, id: &Digest) -> Result<Vec<u8>> {
        let path = self.root.join("configs").join(id.hex());
        let read = || {
            let file = fs::File::open(&path)?;
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_DOCUMENT), &mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        read().with_context(|| format!("read {}", path.display()))
    }

    fn layer_details(&self, layer: &LayerRecord, diff_id: Option<&Digest>) -> Layer {
        Layer {
            diff_id: diff_id.map(Digest::to_string).unwrap_or_default(),
            chain_id: layer.chain.to_string(),
            size: layer.size,
            path: self.layer_path(&layer.chain),
            is_sealed: layer.is_sealed(),
        }
    }
}

impl LayerRecord {
    /// Whether its content can be compared with what it was.
    pub(super) fn is_sealed(&self) -> bool {
        self.seal.as_deref().is_some_and(super::seal::is_known)
    }
}

impl Record {
    /// The chains that layers of `diff_ids` would have.
    pub(super) fn has_chains(&self, diff_ids: &[Digest]) -> bool {
        let chains = super::import::chains(diff_ids.iter());
        self.layers.iter().map(|layer| &layer.chain).eq(chains.iter())
    }
}
