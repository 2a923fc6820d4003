//! A container's root file system: an overlay of its image's layers, in the pod process's mount namespace.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MsFlags, mount as mount_at};

use crate::protocol::Overlay;

/// Longest string of mount options that the kernel takes: a page.
const LONGEST: usize = 4095;

/// Mounts `overlay` at `target`, which is made where it is missing.
pub fn mount(overlay: &Overlay, target: &Path) -> Result<()> {
    std::fs::create_dir_all(target).with_context(|| format!("make {}", target.display()))?;
    let options = options(overlay)?;
    let flags = if overlay.no_devices { MsFlags::MS_NODEV } else { MsFlags::empty() };
    mount_overlay(&overlay.layers, target, flags, &options)
}

/// Mounts what `options` say at `target`; they name the layers in the directory `layers`.
pub(super) fn mount_overlay(layers: &str, target: &Path, flags: MsFlags, options: &OsString) -> Result<()> {
    // Layers are named relative to their directory, so that a hundred of them fit.
    std::env::set_current_dir(layers).with_context(|| format!("enter {layers}"))?;
    let mounted = mount_at(Some("overlay"), target, Some("overlay"), flags, Some(options.as_os_str()));
    std::env::set_current_dir("/").context("enter /")?;
    mounted.with_context(|| format!("mount an overlay of layers at {}", target.display()))
}

/// The option with the names of layers.
pub(super) fn lower(names: &[String]) -> Result<OsString> {
    ensure!(!names.is_empty(), "the image has no layer");
    for name in names {
        if name.is_empty() || name.starts_with('.') || name.contains([':', ',', '\\', '/']) {
            bail!("{name:?} cannot be the name of a layer");
        }
    }
    Ok(OsString::from(format!("lowerdir={}", names.join(":"))))
}

fn options(overlay: &Overlay) -> Result<OsString> {
    let mut options = lower(&overlay.lower)?;
    options.push(",upperdir=");
    options.push(escaped(Path::new(&overlay.upper), b",\\"));
    options.push(",workdir=");
    options.push(escaped(Path::new(&overlay.work), b",\\"));
    fits(&options, overlay.lower.len())?;
    Ok(options)
}

/// Whether the kernel takes `options`, which name so many layers.
pub(super) fn fits(options: &OsString, layers: usize) -> Result<()> {
    let length = options.len();
    ensure!(length <= LONGEST, "{layers} layers need {length} bytes of mount options");
    Ok(())
}

/// A path among the layers, which colons part.
pub(super) fn escaped_layer(path: &Path) -> OsString {
    escaped(path, b",\\:")
}

/// overlayfs splits its options at commas and takes backslashes away.
fn escaped(path: &Path, special: &[u8]) -> OsString {
    let mut escaped = Vec::with_capacity(path.as_os_str().len());
    for byte in path.as_os_str().as_bytes() {
        if special.contains(byte) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    OsString::from_vec(escaped)
}

#[cfg(test)]
mod tests;
