//! An image as an archive again: OCI's layout and docker's in one, as docker writes it since version 25.
//!
//! The configuration and the layers, uncompressed, are those that the image's id tells of. Its manifest is another one than a
//! registry's whose layers are compressed, so that its digest is another too: what compressed them cannot be told from what they
//! held. The same image gives the same bytes.

use std::collections::HashSet;
use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::document::Configuration;
use super::index::{LayerRecord, Record};
use super::meter::{Step, Watch};
use super::recipe::Recipe;
use super::store::Store;
use super::{Digest, Summing};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What a tar archive is padded to.
const BLOCK: u64 = 512;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// `sha256:…` of the manifest in the archive.
    pub manifest: String,
}

/// A layer that can be written.
struct Rebuilt<'i> {
    record: &'i LayerRecord,
    diff_id: Digest,
    recipe: Recipe,
    /// For people.
    called: String,
}

impl Store {
    /// Writes the image whose id is `id` to `out`, as an archive that begins there; `watch` is told how far it is.
    ///
    /// Fails where the image is not here, or a layer of it is damaged or cannot be made an archive again; what was written until
    /// then is of no use.
    pub fn save(&self, id: &str, out: &mut dyn Write, watch: &Watch<'_>) -> Result<Saved> {
        let _hold = self.hold()?;
        let index = self.index()?;
        let Some(record) = index.image(id) else { bail!("image {id} is not here any more") };
        let raw = self.configuration(&record.id)?;
        ensure!(
            Digest::of(&raw) == record.id,
            "its configuration is damaged: `holdfast image verify --repair` makes it again"
        );
        let layers = self.rebuilt(record, &Configuration::parse(&raw)?)?;
        let of = layers.iter().map(|layer| layer.recipe.length).sum();
        let mut archive = Archive { out, done: 0, of, watch };
        archive.member("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        archive.member(&blob(&record.id), &raw)?;
        let mut written = HashSet::new();
        for layer in &layers {
            if written.insert(&layer.diff_id) {
                self.write_layer(layer, &mut archive).with_context(|| layer.called.clone())?;
            }
        }
        let manifest = manifest(record, raw.len() as u64, &layers).to_string().into_bytes();
        let digest = Digest::of(&manifest);
        archive.member(&blob(&digest), &manifest)?;
        archive.member("index.json", oci_index(record, &digest, manifest.len()).to_string().as_bytes())?;
        archive.member("manifest.json", docker_manifest(record, &layers).to_string().as_bytes())?;
        archive.write(&[0; 2 * BLOCK as usize])?;
        archive.out.flush().context("write the archive")?;
        Ok(Saved { manifest: digest.to_string() })
    }

    /// What it takes to write the layers of `record`.
    fn rebuilt<'i>(&self, record: &'i Record, configuration: &Configuration) -> Result<Vec<Rebuilt<'i>>> {
        ensure!(
            record.has_chains(&configuration.diff_ids),
            "its layers in the index are not those of its configuration"
        );
        let all = record.layers.len();
        let layers = record.layers.iter().zip(&configuration.diff_ids).enumerate();
        let one = |(at, (record, diff_id)): (usize, (&'i LayerRecord, &Digest))| {
            let path = self.layer_path(&record.chain);
            let called = format!("layer {} of {all}, {}", at + 1, path.display());
            let recipe = Recipe::open(&self.recipe_path(&path)).with_context(|| called.clone())?;
            Ok(Rebuilt { record, diff_id: diff_id.clone(), recipe, called })
        };
        layers.map(one).collect()
    }

    /// Writes one layer, and fails unless it is what the configuration says.
    fn write_layer(&self, layer: &Rebuilt<'_>, archive: &mut Archive<'_>) -> Result<()> {
        let mut sum = Summing::default();
        let mut left = layer.recipe.length;
        archive.head(&blob(&layer.diff_id), left)?;
        let path = self.layer_path(&layer.record.chain);
        let rebuilt = layer.recipe.rebuild(&path, &mut |bytes| {
            left = left.checked_sub(bytes.len() as u64).context("there is more of it than there was")?;
            sum.add(bytes);
            archive.write(bytes).map_err(|error| error.context(Ours))
        });
        let actual = match rebuilt {
            Ok(()) if left == 0 => sum.finish(),
            Ok(()) => bail!("{DAMAGED}: {left} bytes of it are missing"),
            // The disk is full, or somebody asked for the end.
            Err(error) if error.is::<Ours>() => return Err(error),
            Err(error) => return Err(error.context(DAMAGED)),
        };
        ensure!(
            actual == layer.diff_id,
            "{DAMAGED}: what is made of its files has the digest {actual} instead of {}",
            layer.diff_id
        );
        archive.pad(layer.recipe.length)
    }
}

const DAMAGED: &str = "it is damaged, `holdfast image verify --repair` makes it again";

/// Marks what went wrong where the archive is written to.
#[derive(Debug)]
struct Ours;

impl std::fmt::Display for Ours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("write the archive")
    }
}

/// A tar archive that is being written.
struct Archive<'a> {
    out: &'a mut dyn Write,
    done: u64,
    of: u64,
    watch: &'a Watch<'a>,
}

impl Archive<'_> {
    fn member(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.head(name, content.len() as u64)?;
        self.out.write_all(content)?;
        self.pad(content.len() as u64)
    }

    fn head(&mut self, name: &str, length: u64) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_size(length);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        self.out.write_all(header.as_bytes()).context("write the archive")
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        self.done = self.done.saturating_add(bytes.len() as u64);
        Ok((self.watch)(Step { done: self.done.min(self.of), of: self.of })?)
    }

    fn pad(&mut self, length: u64) -> Result<()> {
        let padding = usize::try_from(length.next_multiple_of(BLOCK) - length).unwrap_or_default();
        self.out.write_all(&[0; BLOCK as usize][..padding]).context("write the archive")
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn manifest(record: &Record, configuration: u64, layers: &[Rebuilt<'_>]) -> Value {
    let layer = |layer: &Rebuilt<'_>| json!({"mediaType": LAYER, "digest": layer.diff_id, "size": layer.recipe.length});
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIGURATION, "digest": record.id, "size": configuration},
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

/// A descriptor for each name, as podman and containerd read names; one without where the image has none.
fn oci_index(record: &Record, digest: &Digest, length: usize) -> Value {
    let descriptor = |annotations: Option<Value>| {
        let mut descriptor = json!({"mediaType": MANIFEST, "digest": digest, "size": length});
        if let Some(annotations) = annotations {
            descriptor["annotations"] = annotations;
        }
        descriptor
    };
    let named = |name: &String| {
        descriptor(Some(json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name,
        })))
    };
    let manifests: Vec<Value> = match record.names.is_empty() {
        true => vec![descriptor(None)],
        false => record.names.iter().map(named).collect(),
    };
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
}

fn docker_manifest(record: &Record, layers: &[Rebuilt<'_>]) -> Value {
    let names = (!record.names.is_empty()).then_some(&record.names);
    let layers: Vec<String> = layers.iter().map(|layer| blob(&layer.diff_id)).collect();
    json!([{"Config": blob(&record.id), "RepoTags": names, "Layers": layers}])
}
