//! A container's root file system: an overlay of its image's layers, in the pod process's mount namespace.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::mount::{MsFlags, mount as mount_at};

use super::users::Users;
use crate::protocol::Overlay;

/// Longest string of mount options that the kernel takes: a page.
const LONGEST: usize = 4095;

/// Mounts `overlay` at `target`, which is made where it is missing.
///
/// With `users` all that is in it is theirs, also what they write, whose owners on the disk are as they see them: overlayfs knows no
/// mapping, but that of the mounts that it is made of. All of it has `label` for SELinux.
pub fn mount(overlay: &Overlay, target: &Path, label: Option<&str>, users: Option<&Users>) -> Result<()> {
    std::fs::create_dir_all(target).with_context(|| format!("make {}", target.display()))?;
    let flags = if overlay.no_devices { MsFlags::MS_NODEV } else { MsFlags::empty() };
    let Some(users) = users else {
        return mount_overlay(&overlay.layers, target, flags, &options(overlay, label)?);
    };
    let mapped = mapped(overlay, target, users)?;
    let options = options(&mapped, label)?;
    // overlayfs makes files of its own as whoever mounts it, who must be somebody there.
    users.as_their_root(|| mount_overlay(&mapped.layers, target, flags, &options)).context(OF_MAPPED)
}

/// What is said of an overlay of mounts with mapped owners that could not be made.
pub(super) const OF_MAPPED: &str = "map the owners of a root file system, for which Linux 5.19 is needed";

/// The same from mounts with mapped owners, which are made beside `target`.
fn mapped(overlay: &Overlay, target: &Path, users: &Users) -> Result<Overlay> {
    let text = |path: PathBuf| {
        path.into_os_string().into_string().map_err(|path| anyhow!("{} is not UTF-8", path.display()))
    };
    let (layers, writable) = (target.with_extension("layers"), target.with_extension("writable"));
    let (upper, work) = (Path::new(&overlay.upper), Path::new(&overlay.work));
    let (Some(above), Some(upper), Some(work)) = (upper.parent(), upper.file_name(), work.file_name()) else {
        bail!("{} is no place to write to", upper.display());
    };
    users.mount(Path::new(&overlay.layers), &layers)?;
    users.mount(above, &writable)?;
    Ok(Overlay {
        layers: text(layers)?,
        upper: text(writable.join(upper))?,
        work: text(writable.join(work))?,
        ..overlay.clone()
    })
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

fn options(overlay: &Overlay, label: Option<&str>) -> Result<OsString> {
    let mut options = lower(&overlay.lower)?;
    options.push(",upperdir=");
    options.push(escaped(Path::new(&overlay.upper), b",\\"));
    options.push(",workdir=");
    options.push(escaped(Path::new(&overlay.work), b",\\"));
    let options = labelled(options, label);
    fits(&options, overlay.lower.len())?;
    Ok(options)
}

/// With the label of SELinux of all that is mounted, in quotes, since there are commas in it, and no quotes.
pub(super) fn labelled(mut options: OsString, label: Option<&str>) -> OsString {
    if let Some(label) = label {
        options.push(format!(",context=\"{label}\""));
    }
    options
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
