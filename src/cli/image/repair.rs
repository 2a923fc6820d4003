//! `image verify --repair`: a damaged image is made again, of an archive that holds it, else by the registry it has a name in.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::bar::Bar;
use super::{interrupt, pull};
use crate::cli::args::ImageVerify;
use crate::cli::say;
use crate::image::{Digest, Health, Image, Reference, Store};
use crate::registry::{Files, Settings};

/// Looks at the image `id`, and makes again what is damaged of it; what is the case then. What was done is told on the way.
pub fn repair(store: &Store, asked: &ImageVerify, id: &str) -> Result<Option<Health>> {
    let Some(health) = store.judge(id)? else { return Ok(None) };
    if health.problems.is_empty() {
        return Ok(Some(health));
    }
    let shown = health.image.names.first().unwrap_or(&health.image.id).clone();
    for problem in &health.problems {
        say(&format!("{shown}: {problem}"));
    }
    let made = made_again(store, asked, &health.image);
    interrupt::rest();
    match made {
        Ok(from) => say(&format!("{shown}: made again {from}")),
        Err(why) => say(&format!("{shown}: it cannot be made again: {why:#}")),
    }
    store.judge(id)
}

/// From where, a part of a sentence.
fn made_again(store: &Store, asked: &ImageVerify, image: &Image) -> Result<String> {
    let bar = Bar::new(image.names.first().unwrap_or(&image.id));
    let made = store.remake(&image.id, &|step| {
        interrupt::check()?;
        bar.show(step);
        Ok(())
    });
    bar.clear();
    let of_archives = match made {
        Ok(Some(path)) => return Ok(format!("of {}", path.display())),
        Ok(None) => "no archive is there that it came from".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    pulled(store, asked, image).context(of_archives)
}

fn pulled(store: &Store, asked: &ImageVerify, image: &Image) -> Result<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let files = Files::new(&asked.private_registry, asked.disable_default_registry_endpoint, home.as_deref());
    let settings: Settings = files.read()?;
    let mut wrongs = Vec::new();
    for reference in exact(image) {
        if interrupt::is_asked() {
            break;
        }
        match pull::one(store, &settings, &reference) {
            Ok(_) => return Ok(format!("by {reference}")),
            Err(error) => wrongs.push(format!("{error:#}")),
        }
    }
    if wrongs.is_empty() {
        let no =
            "and no registry can be asked for exactly this one: it has no name, or no digest of a registry's";
        anyhow::bail!(no);
    }
    anyhow::bail!(wrongs.join("; "))
}

/// The image and no other, by each name that it has and each digest it is known by.
fn exact(image: &Image) -> Vec<Reference> {
    let names = image.names.iter().filter_map(|name| Reference::parse(name).ok());
    let of = |name: Reference| {
        let digests = image.digests.iter().filter_map(|digest| Digest::parse(digest).ok());
        let exactly = |digest| Reference { tag: None, digest: Some(digest), ..name.clone() };
        digests.map(exactly).collect::<Vec<_>>()
    };
    names.flat_map(of).collect()
}
