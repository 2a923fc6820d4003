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
    // Layers are named relative to their directory, so that a hundred of them fit.
    std::env::set_current_dir(&overlay.layers).with_context(|| format!("enter {}", overlay.layers))?;
    let flags = if overlay.no_devices { MsFlags::MS_NODEV } else { MsFlags::empty() };
    let mounted = mount_at(Some("overlay"), target, Some("overlay"), flags, Some(options.as_os_str()));
    std::env::set_current_dir("/").context("enter /")?;
    mounted.with_context(|| {
        format!("mount an overlay of {} layers at {}", overlay.lower.len(), target.display())
    })
}

fn options(overlay: &Overlay) -> Result<OsString> {
    ensure!(!overlay.lower.is_empty(), "the image has no layer");
    for name in &overlay.lower {
        if name.is_empty() || name.starts_with('.') || name.contains([':', ',', '\\', '/']) {
            bail!("{name:?} cannot be the name of a layer");
        }
    }
    let mut options = OsString::from("lowerdir=");
    options.push(overlay.lower.join(":"));
    options.push(",upperdir=");
    options.push(escaped(Path::new(&overlay.upper)));
    options.push(",workdir=");
    options.push(escaped(Path::new(&overlay.work)));
    let length = options.len();
    ensure!(length <= LONGEST, "{} layers need {length} bytes of mount options", overlay.lower.len());
    Ok(options)
}

/// overlayfs splits its options at commas and takes backslashes away.
fn escaped(path: &Path) -> OsString {
    let mut escaped = Vec::with_capacity(path.as_os_str().len());
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b',' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    OsString::from_vec(escaped)
}

#[cfg(test)]
mod tests;
