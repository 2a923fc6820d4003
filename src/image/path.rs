//! Names of entries: where they lie, and what `.wh.` in them means (OCI image specification, layer changesets).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::limits::{MAX_DEPTH, MAX_PATH};
use super::refuse;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// aufs' own files, which very old docker put into layers.
const AUFS: &[u8] = b".wh..wh.";

/// What the last name of an entry means.
#[derive(Debug, PartialEq, Eq)]
pub enum Name {
    /// Itself.
    Plain(OsString),
    /// That lower layers' file of this name is gone.
    Whiteout(OsString),
    /// That everything of lower layers in this folder is gone.
    Opaque,
}

/// Splits a path into its folder and its last name; `None` for the root.
///
/// A leading slash means nothing, as in every tar; `..` is refused, even where it would stay within the layer.
pub fn split(path: &[u8]) -> Result<Option<(PathBuf, Name)>> {
    let shown = String::from_utf8_lossy(path);
    if path.len() > MAX_PATH {
        refuse!("has a path of {} bytes; more than {MAX_PATH} cannot be opened", path.len());
    }
    let mut parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.contains(&b"..".as_slice()) {
        refuse!("the path {shown:?} leads upwards");
    }
    let Some(last) = parts.pop() else { return Ok(None) };
    if parts.len() > MAX_DEPTH {
        refuse!("lies {} folders deep; more than {MAX_DEPTH} are not supported", parts.len());
    }
    if let Some(long) = parts.iter().chain([&last]).find(|part| part.len() > 255) {
        refuse!("has a name of {} bytes; more than 255 are not supported", long.len());
    }
    if parts.iter().any(|part| part.starts_with(WHITEOUT) && !part.starts_with(AUFS)) {
        refuse!("the path {shown:?} lies in a folder that is marked as removed");
    }
    let folder = parts.iter().map(|part| OsStr::from_bytes(part)).collect();
    Ok(Some((folder, name(last, &shown)?)))
}

fn name(last: &[u8], shown: &str) -> Result<Name> {
    let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    if last == OPAQUE {
        return Ok(Name::Opaque);
    }
    if last.starts_with(AUFS) {
        return Ok(Name::Plain(owned(last)));
    }
    match last.strip_prefix(WHITEOUT) {
        None => Ok(Name::Plain(owned(last))),
        Some(b"" | b"." | b"..") => refuse!("the whiteout {shown:?} removes no file"),
        Some(hidden) => Ok(Name::Whiteout(owned(hidden))),
    }
}

/// Whether it is one of aufs' own files, which mean nothing.
pub fn is_leftover(folder: &Path, name: &Name) -> bool {
    let own = |part: &OsStr| part.as_bytes().starts_with(AUFS);
    folder.iter().any(own) || matches!(name, Name::Plain(name) if own(name))
}

/// Where a link in `folder` with the text `target` leads, the layer's root being `/`.
pub fn resolved(folder: &Path, target: &OsStr) -> PathBuf {
    let mut path = PathBuf::new();
    let start = if target.as_bytes().starts_with(b"/") { Path::new("") } else { folder };
    for part in start.components().chain(Path::new(target).components()) {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => drop(path.pop()),
            _ => {}
        }
    }
    path
}

/// The text of a symbolic link, which may point anywhere: it is followed in the container only.
pub fn checked_target(link: &[u8]) -> Result<Vec<u8>> {
    if link.is_empty() || link.len() > MAX_PATH {
        refuse!("is a symbolic link with a text of {} bytes", link.len());
    }
    Ok(link.to_vec())
}
