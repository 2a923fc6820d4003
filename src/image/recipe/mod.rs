//! What it takes to make a layer's tar archive again, byte for byte, of the files that came out of it.
//!
//! The digests of an image are those of archives, and unpacking loses what an archive is made of: the order of its entries, how
//! it writes a number, its padding, names that it has twice. So while a layer is unpacked, every byte that is no content of a
//! file is written down, and which file's content stands between them. Packed that is less than a hundredth of a usual layer.
//!
//! A recipe is one lz4 frame of records, each a letter, lengths in little-endian, and bytes.
//!
//! Invariant: memory stays within a few MiB, however many entries the layer has ([`MOST_KEPT`], [`LITERAL`]).
//! Invariant: a recipe is never trusted: what is made by it has the digest of the layer, or is told to be damaged.

mod rebuild;
mod record;

use std::path::{Path, PathBuf};

pub use rebuild::Recipe;
pub use record::Recorder;

/// What this build's recipes begin with: another format would get another number.
const MAGIC: [u8; 8] = *b"recipe 1";
/// Bytes of the archive as they are.
const LITERALLY: u8 = b'L';
/// Content of a file: where in it, how much, and its path in the layer.
const CONTENT: u8 = b'F';
/// A file that a later entry of the same name replaced, and what was in it.
const REPLACED: u8 = b'R';
/// The end: how long the archive is, and why it cannot be made again, if so.
const END: u8 = b'E';
/// Most bytes of one record of literal ones.
const LITERAL: usize = 32 << 10;
/// Most bytes in files of a layer that later entries of it replace, which are kept in the recipe and are memory when it is
/// read. Tools write no such layers; some that a tool appended to have one or two.
const MOST_KEPT: u64 = 4 << 20;

/// Where the recipe of a layer is while both are in the scratch folder.
pub fn beside(layer: &Path) -> PathBuf {
    layer.with_extension("recipe")
}
