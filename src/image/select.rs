//! Which images an archive holds for this machine.
//!
//! Two layouts, and archives that are both (docker of 25 and later): OCI's `index.json`, which is preferred since its
//! every document is named by digest, and docker's `manifest.json`, which then only adds names.

use anyhow::{Context, Result};

use super::archive::Archive;
use super::document::{self, Configuration, Descriptor, Document, Manifest, Platform, Saved};
use super::limits::MAX_LAYERS;
use super::{Digest, Reference, Refused, refuse};

/// Deepest nesting of indexes: `index.json`, an index by platform, and one for good measure.
const MAX_DEPTH: usize = 3;

/// An image in an archive, for this machine.
#[derive(Debug)]
pub struct Found {
    /// Digest of the configuration: the image's id.
    pub id: Digest,
    /// Names with a tag, normalised.
    pub names: Vec<String>,
    /// Digests it can be asked for by: its manifest's, and of indexes that led to it.
    pub digests: Vec<Digest>,
    /// The configuration.
    pub configuration: Configuration,
    /// The configuration, as it came.
    pub raw: Vec<u8>,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// Registry and repository that it comes from; absent for an archive's.
    pub pulled_from: Option<String>,
}

/// A layer in an archive.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its name in the archive.
    pub member: String,
    /// Digest of it as it is there; docker archives do not say.
    pub blob: Option<Digest>,
    /// Digest of it unpacked.
    pub diff_id: Digest,
    /// Bytes of it as it is there, as far as its manifest says; 0 where nobody does.
    pub size: u64,
}

/// Where documents that name each other by digest are. What is read is checked by whoever asks.
pub trait Documents {
    /// The index or manifest that `descriptor` names.
    fn manifest(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>>;
    /// The configuration that `descriptor` names.
    fn configuration(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>>;
    /// Whether the layer may be what `descriptor` says, as far as that can be told without reading it.
    fn check_layer(&self, descriptor: &Descriptor) -> Result<()>;
}

/// An OCI layout, or what docker writes since version 25.
impl Documents for Archive<'_> {
    fn manifest(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        check_size(self, descriptor)?;
        self.document(&blob_name(&descriptor.digest))
    }

    fn configuration(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.manifest(descriptor)
    }

    fn check_layer(&self, descriptor: &Descriptor) -> Result<()> {
        check_size(self, descriptor)
    }
}

/// The image that `top` leads to and that runs on `ours`; fails if there is none, naming what there is.
pub fn image(documents: &mut dyn Documents, top: Descriptor, ours: &Platform) -> Result<Found> {
    let mut others = Vec::new();
    let found = Oci { documents, ours, others: &mut others }.best(vec![top], 1)?;
    found.map_or_else(|| unfit(&others, ours), Ok)
}

/// All images of `archive` that run on `ours`; fails if there is none, naming what there is.
pub fn images(archive: &mut Archive<'_>, ours: &Platform) -> Result<Vec<Found>> {
    let saved = match archive.has("manifest.json") {
        true => read_saved(archive).context("manifest.json")?,
        false => Vec::new(),
    };
    let mut others = Vec::new();
    let mut found = if archive.has("index.json") {
        let top = archive.document("index.json")?;
        let mut oci = Oci { documents: archive, ours, others: &mut others };
        let mut found = oci.images(&top).context("index.json")?;
        add_names(archive, &mut found, &saved)?;
        found
    } else if !saved.is_empty() {
        docker(archive, ours, &saved, &mut others)?
    } else {
        refuse!("is no image archive, or not a whole one: it has neither index.json nor manifest.json");
    };
    if found.is_empty() {
        return unfit(&others, ours);
    }
    found.iter_mut().for_each(|image| {
        image.names.sort();
        image.names.dedup();
    });
    Ok(found)
}

fn unfit<T>(others: &[Platform], ours: &Platform) -> Result<T> {
    let others: Vec<String> = others.iter().map(Platform::to_string).collect();
    refuse!("has images for {} only; this node runs {ours}", others.join(", "));
}

fn read_saved(archive: &mut Archive<'_>) -> Result<Vec<Saved>> {
    document::saved(&archive.document("manifest.json")?)
}

/// What it takes to read documents of OCI's kind.
struct Oci<'a> {
    documents: &'a mut dyn Documents,
    ours: &'a Platform,
    /// Platforms of images that were left out.
    others: &'a mut Vec<Platform>,
}

impl Oci<'_> {
    fn images(&mut self, top: &[u8]) -> Result<Vec<Found>> {
        let Document::Index(top) = Document::parse(top, "")? else {
            refuse!("is no index");
        };
        // Some tools put the platforms of one image side by side here, under one name.
        let mut groups: Vec<(Option<String>, Vec<Descriptor>)> = Vec::new();
        for descriptor in top {
            let name = name(&descriptor)?;
            match groups.iter_mut().find(|(other, _)| name.is_some() && *other == name) {
                Some((_, group)) => group.push(descriptor),
                None => groups.push((name, vec![descriptor])),
            }
        }
        let mut found: Vec<Found> = Vec::new();
        for (name, group) in groups {
            let Some(mut image) = self.best(group, 1)? else { continue };
            image.names.extend(name);
            match found.iter_mut().find(|other| other.id == image.id) {
                Some(other) => {
                    other.names.append(&mut image.names);
                    other.digests.append(&mut image.digests);
                }
                None => found.push(image),
            }
        }
        Ok(found)
    }

    /// The one of `descriptors` that suits this machine best.
    fn best(&mut self, descriptors: Vec<Descriptor>, depth: usize) -> Result<Option<Found>> {
        let mut ranked = Vec::new();
        for descriptor in descriptors {
            match &descriptor.platform {
                Some(platform) if platform.os == "unknown" => {} // Build attestations.
                Some(platform) => match self.ours.rank(platform) {
                    Some(rank) => ranked.push((rank, descriptor)),
                    None => self.others.push(platform.clone()),
                },
                None => ranked.push((0, descriptor)),
            }
        }
        ranked.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        for (_, descriptor) in ranked {
            let image = self.follow(&descriptor, depth).with_context(|| descriptor.digest.to_string())?;
            if image.is_some() {
                return Ok(image);
            }
        }
        Ok(None)
    }

    fn follow(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Option<Found>> {
        let bytes = self.documents.manifest(descriptor)?;
        checked(&bytes, descriptor)?;
        let mut image = match Document::parse(&bytes, &descriptor.media_type)? {
            Document::Index(_) if depth >= MAX_DEPTH => refuse!("has indexes within indexes, {depth} deep"),
            Document::Index(inner) => self.best(inner, depth + 1)?,
            Document::Manifest(manifest) => self.manifest(manifest)?,
        };
        if let Some(image) = &mut image {
            image.digests.push(descriptor.digest.clone());
        }
        Ok(image)
    }

    fn manifest(&mut self, manifest: Manifest) -> Result<Option<Found>> {
        let bytes = self.documents.configuration(&manifest.config)?;
        checked(&bytes, &manifest.config)?;
        let Some(configuration) = configuration(&bytes, self.ours, self.others)? else { return Ok(None) };
        let blobs: Vec<_> = manifest
            .layers
            .iter()
            .map(|layer| (blob_name(&layer.digest), Some(layer.digest.clone()), layer.size))
            .collect();
        for layer in &manifest.layers {
            if layer.media_type.ends_with("+encrypted") {
                refuse!("is encrypted, which is not supported");
            }
            self.documents.check_layer(layer)?;
        }
        found(bytes, configuration, blobs).map(Some)
    }
}

/// Whether `bytes` are what `descriptor` names.
fn checked(bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
    let actual = Digest::of(bytes);
    if actual != descriptor.digest {
        refuse!("{} has the content of {actual}: it is damaged or was tampered with", descriptor.digest);
    }
    Ok(())
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn check_size(archive: &Archive<'_>, descriptor: &Descriptor) -> Result<()> {
    let size = archive.size(&blob_name(&descriptor.digest))?;
    if size != descriptor.size {
        refuse!("{} has {size} bytes instead of {}", descriptor.digest, descriptor.size);
    }
    Ok(())
}

/// The name that `index.json` gives. containerd and docker write a whole name; others write `name:tag`, or a tag alone,
/// which does not tell the name.
fn name(descriptor: &Descriptor) -> Result<Option<String>> {
    let Some(names) = &descriptor.annotations else { return Ok(None) };
    let whole = names.whole.as_deref().filter(|name| !name.is_empty());
    let short = names.short.as_deref().filter(|name| name.contains([':', '/']));
    whole.or(short).map_or(Ok(None), tagged)
}

/// `text` normalised; nothing if it has no tag, since a digest needs no name to be found.
fn tagged(text: &str) -> Result<Option<String>> {
    let reference = Reference::parse(text).map_err(|error| Refused(format!("has a wrong name: {error}")))?;
    let named = reference.tag.is_some();
    Ok(named.then(|| Reference { digest: None, ..reference }.to_string()))
}

fn docker(
    archive: &mut Archive<'_>,
    ours: &Platform,
    saved: &[Saved],
    others: &mut Vec<Platform>,
) -> Result<Vec<Found>> {
    let mut images: Vec<Found> = Vec::new();
    for image in saved {
        let bytes = archive.document(&image.config)?;
        checked_id(&image.config, &bytes)?;
        let Some(configuration) = configuration(&bytes, ours, others)? else { continue };
        let layers = image.layers.iter().flatten().map(|member| (member.clone(), None, 0)).collect();
        let mut image = Found { names: names(image)?, ..found(bytes, configuration, layers)? };
        match images.iter_mut().find(|other| other.id == image.id) {
            Some(other) => other.names.append(&mut image.names),
            None => images.push(image),
        }
    }
    Ok(images)
}

fn add_names(archive: &mut Archive<'_>, found: &mut [Found], saved: &[Saved]) -> Result<()> {
    for image in saved {
        let id = checked_id(&image.config, &archive.document(&image.config)?)?;
        if let Some(other) = found.iter_mut().find(|other| other.id == id) {
            other.names.extend(names(image)?);
        }
    }
    Ok(())
}

fn names(image: &Saved) -> Result<Vec<String>> {
    let tags = image.repo_tags.iter().flatten().filter(|tag| !tag.contains("<none>"));
    tags.filter_map(|tag| tagged(tag).transpose()).collect()
}

/// The digest of a configuration; where its name in the archive is one, they must agree.
fn checked_id(name: &str, bytes: &[u8]) -> Result<Digest> {
    let id = Digest::of(bytes);
    let last = name.rsplit('/').next().unwrap_or(name);
    let hex = last.trim_end_matches(".json").trim_start_matches("sha256:");
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) && hex != id.hex() {
        refuse!("{name} has the content of {id}: it is damaged or was tampered with");
    }
    Ok(id)
}

/// A configuration, unless it is for another machine: that is noted.
fn configuration(bytes: &[u8], ours: &Platform, others: &mut Vec<Platform>) -> Result<Option<Configuration>> {
    let configuration = Configuration::parse(bytes).context("image configuration")?;
    if ours.rank(&configuration.platform).is_none() {
        others.push(configuration.platform);
        return Ok(None);
    }
    Ok(Some(configuration))
}

fn found(
    raw: Vec<u8>,
    configuration: Configuration,
    layers: Vec<(String, Option<Digest>, u64)>,
) -> Result<Found> {
    let id = Digest::of(&raw);
    let (count, expected) = (layers.len(), configuration.diff_ids.len());
    if count != expected {
        refuse!("image {id} has {count} layers, and {expected} according to its configuration");
    }
    if count == 0 {
        refuse!("image {id} has no layers: there is nothing in it");
    }
    if count > MAX_LAYERS {
        refuse!("image {id} has {count} layers; more than {MAX_LAYERS} cannot be mounted");
    }
    let pairs = layers.into_iter().zip(&configuration.diff_ids);
    let layers = pairs
        .map(|((member, blob, size), diff_id)| Layer { member, blob, diff_id: diff_id.clone(), size })
        .collect();
    Ok(Found { id, names: Vec::new(), digests: Vec::new(), configuration, raw, layers, pulled_from: None })
}
