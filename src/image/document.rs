//! The JSON documents of an image: OCI index, manifest and configuration, docker's `manifest.json`.
//!
//! Invariant: a document is what its own fields say; one that could be read as two things is refused (CVE-2021-41190).
//! Invariant: what nobody asks for is passed over, and never becomes memory: that could be twenty times the document.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Digest, Refused, refuse};
use crate::bundle::ImageConfig;

/// Longest document read into memory, in bytes: the limit that registries have for manifests.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// A link to content.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is; may be empty.
    #[serde(default)]
    pub media_type: String,
    /// The content itself.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it runs on, in an index.
    pub platform: Option<Platform>,
    /// Names, in `index.json`.
    #[serde(default)]
    pub annotations: Option<Annotations>,
}

/// Names that `index.json` gives.
#[derive(Debug, Clone, Deserialize)]
pub struct Annotations {
    /// Whole, as containerd and docker write it; may be empty.
    #[serde(rename = "io.containerd.image.name")]
    pub whole: Option<String>,
    /// As others write it: whole, `name:tag`, or a tag alone; may be empty.
    #[serde(rename = "org.opencontainers.image.ref.name")]
    pub short: Option<String>,
}

/// What an image runs on, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    #[serde(default)]
    pub architecture: String,
    /// `v7` of arm.
    #[serde(default)]
    pub variant: String,
}

/// A document that a descriptor may lead to.
#[derive(Debug)]
pub enum Document {
    /// Images, by platform.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Manifest),
}

/// One image: its configuration and layers, lowest first.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

impl Document {
    /// Reads a document that was said to be of `media_type`, which may be empty.
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<Document> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            media_type: Option<String>,
            manifests: Option<IgnoredAny>,
            layers: Option<IgnoredAny>,
            config: Option<IgnoredAny>,
            fs_layers: Option<IgnoredAny>,
        }
        // An array would be taken for the fields in their order.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            refuse!("is no valid document: it is no JSON object");
        }
        let shape: Shape = parse(bytes)?;
        let own = shape.media_type.as_deref().unwrap_or_default();
        if !own.is_empty() && !media_type.is_empty() && own != media_type {
            refuse!("says that it is {own:?}, and was said to be {media_type:?}");
        }
        let said = if own.is_empty() { media_type } else { own };
        let (index, manifest) = (shape.manifests.is_some(), shape.layers.is_some() || shape.config.is_some());
        let fits = |index: bool| said.is_empty() || index == is_index(said);
        match (index, manifest) {
            (true, true) => refuse!("has both manifests and layers: it could be an index or an image"),
            (true, false) if fits(true) => {
                #[derive(Deserialize)]
                struct Index {
                    manifests: Vec<Descriptor>,
                }
                Ok(Document::Index(parse::<Index>(bytes)?.manifests))
            }
            (false, true) if fits(false) => Ok(Document::Manifest(parse(bytes)?)),
            (false, false) if shape.fs_layers.is_some() => {
                refuse!(
                    "is of docker's first format (schema 1): save the image again with a tool of after 2017"
                )
            }
            _ => refuse!("is no image manifest and no index"),
        }
    }
}

fn is_index(media_type: &str) -> bool {
    media_type.ends_with(".index.v1+json") || media_type.ends_with(".manifest.list.v2+json")
}

/// One image of docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Saved {
    /// Name of the configuration within the archive.
    pub config: String,
    /// Names.
    pub repo_tags: Option<Vec<String>>,
    /// Names of the layers within the archive, lowest first.
    pub layers: Option<Vec<String>>,
}

/// Reads docker's `manifest.json`.
pub fn saved(bytes: &[u8]) -> Result<Vec<Saved>> {
    parse(bytes)
}

/// The parts of an image configuration that we use.
#[derive(Debug)]
pub struct Configuration {
    /// What it runs on.
    pub platform: Platform,
    /// Digests of the unpacked layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// How to run it.
    pub run: ImageConfig,
}

impl Configuration {
    /// Reads the configuration of an image, OCI or docker.
    pub fn parse(bytes: &[u8]) -> Result<Configuration> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            os: String,
            #[serde(default)]
            architecture: String,
            #[serde(default)]
            variant: String,
            config: Option<Run>,
            rootfs: Rootfs,
        }
        #[derive(Deserialize)]
        struct Rootfs {
            diff_ids: Option<Vec<Digest>>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "PascalCase", default)]
        struct Run {
            entrypoint: Option<Vec<String>>,
            cmd: Option<Vec<String>>,
            env: Option<Vec<String>>,
            user: Option<String>,
            working_dir: Option<String>,
            stop_signal: Option<String>,
        }
        let file: File = parse(bytes)?;
        let run = file.config.unwrap_or_default();
        Ok(Configuration {
            platform: Platform { os: file.os, architecture: file.architecture, variant: file.variant },
            diff_ids: file.rootfs.diff_ids.unwrap_or_default(),
            run: ImageConfig {
                entrypoint: run.entrypoint.unwrap_or_default(),
                cmd: run.cmd.unwrap_or_default(),
                env: run.env.unwrap_or_default(),
                user: run.user.unwrap_or_default(),
                working_dir: run.working_dir.unwrap_or_default(),
                stop_signal: run.stop_signal.unwrap_or_default(),
            },
        })
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| {
            let refused = Refused(format!("is no valid document: {error}"));
            anyhow::Error::new(refused)
        })
        .context("read JSON")
}
