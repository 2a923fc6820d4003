//! Images: archives in, unpacked layers and configurations out. Synchronous; whoever must not wait calls from a thread.
//!
//! An archive is what `docker save`, `podman save` or `skopeo copy` write: docker's layout or OCI's, plain or packed.
//! Nobody is trusted: not the archive's names, not its sizes, not its digests.
//!
//! Invariant: an image that is found is whole and is what its digests say; a power cut at any instant changes nothing
//! about that ([`Store`]).
//! Invariant: nothing is written outside the store ([`crate::sys::beneath`]), and never more than [`Limits`] allow.
//! Invariant: memory stays within a few MiB, and what unpacking takes: the window of a zstd stream (at
//! most 32 MiB), the blocks of a bzip2 (4 MiB) or lz4 stream (12 MiB).

mod archive;
mod arriving;
mod clean;
mod collect;
mod damage;
mod details;
mod digest;
mod document;
mod header;
mod import;
mod index;
mod inherit;
mod limits;
mod lz4;
mod meter;
mod mounted;
mod partial;
mod path;
mod pax;
mod platform;
mod recipe;
mod reference;
mod remove;
mod repair;
mod sample;
mod save;
mod scratch;
mod seal;
mod select;
mod sparse;
mod spool;
mod store;
mod stream;
mod tarball;
mod unpack;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle::ImageConfig;

pub use arriving::{Arriving, check_size};
pub use collect::Disk;
pub use details::{Details, Layer};
pub use digest::{Digest, Summing};
pub use document::{Descriptor, MAX_DOCUMENT, Platform};
pub use import::{ByHand, blames_archive};
pub use limits::{Limits, Room};
pub use meter::{Step, Watch};
pub use partial::Partial;
pub use reference::Reference;
pub use remove::{Removed, Target};
pub use sample::sample;
pub use save::Saved;
pub use select::{Documents, Found, Layer as FoundLayer, image as select};
pub use store::Store;
pub use tarball::{Entry, Kind, Source, Tarball};
pub use verify::Health;

// For fuzz/targets.rs.
#[doc(hidden)]
pub use document::{Configuration, Document};
#[doc(hidden)]
pub use limits::Budget;
#[doc(hidden)]
pub use unpack::unverified as unpack_unverified;

/// An image in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// Names with a tag, normalised.
    pub names: Vec<String>,
    /// `sha256:…` of its manifest and of indexes that led to it; docker's archives give none.
    pub digests: Vec<String>,
    /// Where its layers are.
    pub layers_dir: PathBuf,
    /// Names of its layers in `layers_dir`, uppermost first, as overlayfs' `lowerdir` wants them.
    pub lower: Vec<String>,
    /// How to run it.
    pub config: ImageConfig,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Bytes in the files of its layers, shared ones included.
    pub size: u64,
    /// Why nothing may start from it, a sentence; none that is known.
    pub damage: Option<String>,
    /// Registry and repository that it was pulled from; absent where somebody brought it in an archive.
    pub pulled_from: Option<String>,
}

/// An image that an archive held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// The names it has in the archive, normalised; none if the archive gives none, and then only a digest finds it.
    pub names: Vec<String>,
    /// Those of the names that were another image's until then.
    pub moved: Vec<String>,
}

/// Which file to put where, for an image that is not here, and which of the files there are of no use, and why.
/// `why` tells why no registry gave it; none where there is none to ask.
pub fn absent_message(
    reference: &Reference,
    why: Option<&str>,
    archives: &Path,
    unusable: &BTreeMap<String, String>,
) -> String {
    let of_no_use: Vec<String> = unusable.iter().map(|(file, why)| format!("{file} ({why})")).collect();
    let of_no_use = match of_no_use.is_empty() {
        true => String::new(),
        false => format!("; of no use there: {}", of_no_use.join(", ")),
    };
    let short = reference.repository.rsplit('/').next().unwrap_or_default();
    // An archive of docker's layout would not keep the digest.
    let (kind, name) = match &reference.digest {
        Some(_) => ("oci-archive", String::new()),
        None => ("docker-archive", format!(":{reference}")),
    };
    let source =
        Reference { tag: reference.tag.clone().filter(|_| reference.digest.is_none()), ..reference.clone() };
    let begin = match why {
        None => format!("image {reference} is not on this node and no registry is configured: put"),
        Some(why) => format!(
            "Failed to pull image \"{reference}\": {why}. It is pulled again in a while; without a registry put"
        ),
    };
    format!(
        "{begin} an archive of it into {}, for example by `skopeo copy docker://{source} {kind}:{short}.tar{name}`{of_no_use}",
        archives.display()
    )
}

/// Why an archive whose image has no name is of no use, and how to give it one.
pub fn nameless_message(archive: &Path) -> String {
    format!(
        "its image has no name that a manifest could ask for: give it one by `holdfast image import --name NAME:TAG {}`",
        archive.display()
    )
}

/// The archive is to blame: as long as it does not change, another try ends the same way.
#[derive(Debug)]
pub(crate) struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Returns a [`Refused`].
macro_rules! refuse {
    ($($reason:tt)*) => {
        return Err(anyhow::Error::new($crate::image::Refused(format!($($reason)*))))
    };
}
pub(crate) use refuse;
