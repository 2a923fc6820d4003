//! Labels of SELinux on what is a container's own (reference D.5): its process, and its pod's volumes but for hostPaths.
//!
//! Containers may change under our hands what is in a volume: nothing is opened but beneath it, no link is followed, and no
//! mount entered.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, open, openat2};
use rustix::io::Errno;

use crate::protocol::FileLabels;
use crate::sys::beneath::BENEATH;
use crate::sys::selinux;

/// By its path alone: a device or a FIFO is not opened.
const FOUND: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Directories below each other, as deep as a path can be that programs name.
const DEPTH: usize = 256;

/// Gives each of `labels.paths` the label, with all that is in it.
///
/// What is in a directory that has it already has it too: files get that of where they are made. So a directory gets it last.
pub fn give(labels: &FileLabels) -> Result<()> {
    labels.paths.iter().try_for_each(|path| {
        let doing = || format!("give {path} the SELinux label {}", labels.label);
        let top = open(Path::new(path), FOUND, Mode::empty()).with_context(doing)?;
        tree(&top, &labels.label, 0).with_context(doing)
    })
}

fn tree(found: &OwnedFd, label: &str, depth: usize) -> Result<()> {
    ensure!(depth <= DEPTH, "directories are too deep");
    if selinux::has(found, label) {
        return Ok(());
    }
    if FileType::from_raw_mode(fstat(found)?.st_mode) == FileType::Directory {
        let again = OFlags::DIRECTORY | OFlags::CLOEXEC;
        for entry in Dir::new(openat2(found, ".", again, Mode::empty(), BENEATH)?)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match openat2(found, name, FOUND, Mode::empty(), BENEATH) {
                // Gone, or a mount's.
                Err(Errno::NOENT | Errno::XDEV) => {}
                inner => tree(&inner?, label, depth + 1)?,
            }
        }
    }
    Ok(selinux::give(found, label)?)
}

#[cfg(test)]
mod tests;
