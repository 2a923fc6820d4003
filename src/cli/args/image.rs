//! `image`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config;
use crate::image::Reference;

/// Images by hand.
#[derive(Debug, Args)]
pub struct Image {
    /// The agent's data directory [default: that of --runtime-dir's agent, else /var/lib/rancher/k3s]
    #[arg(long, global = true, value_name = "DIR", value_parser = config::directory)]
    pub data_dir: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub verb: ImageVerb,
}

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Take in the images of archives; a pod that waits for one starts at once
    Import(ImageImport),
    /// Pull images from registries, as registries.yaml says; what was cut off goes on where it stood
    Pull(ImagePull),
    /// List the images
    #[command(visible_alias = "list")]
    Ls(ImageLs),
    /// Remove a name; with its last name, or by its id, the image
    #[command(visible_alias = "remove")]
    Rm(ImageRm),
    /// Print everything about images
    Inspect(ImageInspect),
    /// Write an image as an archive, with its digests, for another box, podman or docker
    Save(ImageSave),
    /// Read images from the disk and tell whether they are whole; --repair makes again what is not
    Verify(ImageVerify),
}

/// What to take in.
#[derive(Debug, Args)]
pub struct ImageImport {
    /// Archives, directories of them, or - for one that comes through stdin
    #[arg(value_name = "FILE|DIR|-", required = true)]
    pub from: Vec<PathBuf>,
    /// A name for the image, beside those that the archive may give it
    #[arg(long, value_name = "NAME[:TAG]", value_parser = name)]
    pub name: Option<Reference>,
}

/// What to pull.
#[derive(Debug, Args)]
pub struct ImagePull {
    /// Names, with a tag or a digest
    #[arg(value_name = "IMAGE", required = true, value_parser = reference)]
    pub images: Vec<Reference>,
    /// What is to be known of registries, as k3s reads it
    #[arg(long, value_name = "FILE", default_value = config::PRIVATE_REGISTRY)]
    pub private_registry: PathBuf,
    /// Do not ask registries themselves that --private-registry names mirrors for
    #[arg(long)]
    pub disable_default_registry_endpoint: bool,
}

fn reference(text: &str) -> Result<Reference, String> {
    Reference::parse(text).map_err(|error| format!("{error:#}"))
}

/// A name that an image can be given.
fn name(text: &str) -> Result<Reference, String> {
    let reference = Reference::parse(text).map_err(|error| format!("{error:#}"))?;
    match reference.digest {
        Some(_) => Err("a digest cannot be given, it is what the content has".to_string()),
        None => Ok(reference),
    }
}

/// How to list images.
#[derive(Debug, Args)]
pub struct ImageLs {
    /// Ids only
    #[arg(short, long, conflicts_with = "output")]
    pub quiet: bool,
    /// Another format than a table
    #[arg(short, long)]
    pub output: Option<ImageOutput>,
}

/// What to remove.
#[derive(Debug, Args)]
pub struct ImageRm {
    /// Names, digests, ids or first digits of ids
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// Also where a pod uses it: what runs goes on, its next start needs the image again
    #[arg(short, long)]
    pub force: bool,
}

/// What to print.
#[derive(Debug, Args)]
pub struct ImageInspect {
    /// Names, digests, ids or first digits of ids
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// The format
    #[arg(short, long, default_value = "json")]
    pub output: InspectOutput,
}

/// What to write.
#[derive(Debug, Args)]
pub struct ImageSave {
    /// A name, a digest, an id or its first digits
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Where to; else stdout, which must not be a terminal
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What to verify.
#[derive(Debug, Args)]
pub struct ImageVerify {
    /// Names, digests, ids or first digits of ids; all images without
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Make a damaged layer again, of the archive it came from or by its registry; without, nothing is changed
    ///
    /// What runs goes on. Until a layer is made again no container starts from it.
    #[arg(long)]
    pub repair: bool,
    /// With --repair: what is to be known of registries, as k3s reads it
    #[arg(long, value_name = "FILE", default_value = config::PRIVATE_REGISTRY)]
    pub private_registry: PathBuf,
    /// With --repair: do not ask registries themselves that --private-registry names mirrors for
    #[arg(long)]
    pub disable_default_registry_endpoint: bool,
}

/// Formats of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImageOutput {
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// Names; the id where there is none
    Name,
    /// The table with more columns
    Wide,
}

/// Formats of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InspectOutput {
    /// JSON
    Json,
    /// YAML
    Yaml,
}
