//! Out of the store: a name, or an image with all its names.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::index::Index;
use super::store::Store;
use super::{Image, Reference};

/// Fewest digits of an id by which an image can be meant.
const MIN_DIGITS: usize = 4;

/// What somebody means who names an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The image.
    pub image: Image,
    /// The name that it was meant by, normalised; absent where it was an id or a digest, which mean all names.
    pub name: Option<String>,
}

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It was not there any more.
    Nothing,
    /// The name alone: the image has others.
    Name,
    /// The image.
    Image {
        /// Archives, unchanged since they were read, that hold it: who imports them again brings it back.
        archives: Vec<PathBuf>,
        /// Containers run on layers of it, which therefore stay for as long as they do.
        runs: bool,
    },
}

impl Store {
    /// The image that `text` means: a name as a Pod has it, a name with a digest, an id or its first digits.
    ///
    /// Fails where it could mean several.
    pub fn target(&self, text: &str) -> Result<Option<Target>> {
        let reference = Reference::parse(text);
        if let Ok(reference) = &reference
            && let Some(image) = self.find(reference)?
        {
            let name = reference.digest.is_none().then(|| reference.to_string());
            return Ok(Some(Target { image, name }));
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if digits.len() < MIN_DIGITS || !is_hex {
            return reference.map(|_| None);
        }
        let index = self.index()?;
        let of_id = index.images.iter().filter(|record| record.id.hex().starts_with(digits));
        let of_id: Vec<_> = of_id.collect();
        let of_digest =
            || index.images.iter().find(|record| record.digests.iter().any(|digest| digest.hex() == digits));
        match of_id[..] {
            [record] => Ok(Some(Target { image: self.image(record), name: None })),
            [] => Ok(of_digest().map(|record| Target { image: self.image(record), name: None })),
            _ => {
                let ids: Vec<_> = of_id.iter().map(|record| record.id.as_str()).collect();
                bail!("{text:?} could be several images: {}; give more digits", ids.join(", "))
            }
        }
    }

    /// Takes the image `id` out: of several names only `name` where one is given, else all of it. It is gone for everybody
    /// at once, but what containers run on stays for as long as they do.
    pub fn remove(&self, id: &str, name: Option<&str>) -> Result<Removed> {
        let _lock = self.lock()?;
        let mut index = self.sound_index()?;
        let Some(at) = index.images.iter().position(|record| record.id.as_str() == id) else {
            return Ok(Removed::Nothing);
        };
        if let Some(name) = name {
            let names = &mut index.images[at].names;
            let Some(of_name) = names.iter().position(|other| other == name) else {
                return Ok(Removed::Nothing);
            };
            if names.len() > 1 {
                names.remove(of_name);
                index.write(&self.index_path())?;
                return Ok(Removed::Name);
            }
        }
        let archives = index.archives_of(id);
        let removed = index.images.remove(at);
        let layers: Vec<_> = removed.layers.iter().map(|layer| layer.chain.clone()).collect();
        index.orphans.extend(removed.layers);
        index.settle_orphans();
        index.write(&self.index_path())?;
        self.clean()?;
        let left = Index::read(&self.index_path())?;
        let runs = left.orphans.iter().any(|orphan| layers.contains(&orphan.chain));
        Ok(Removed::Image { archives, runs })
    }
}
