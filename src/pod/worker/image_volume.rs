//! What is in an image as a volume: an overlay of its layers without anything to write to.
//!
//! Invariant: nothing of it can be executed or act as a device, nor gives its setuid bits, since whoever made the image is not whoever
//! made the container's.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::MsFlags;

use super::rootfs;
use super::users::Users;
use crate::protocol::Layers;

/// Mounts `image` at `target`, which is made. Beside it is made what is empty: overlayfs takes no single layer. All of it has
/// `label` for SELinux.
pub fn mount(image: &Layers, target: &Path, label: Option<&str>, users: Option<&Users>) -> Result<()> {
    let empty = target.with_extension("empty");
    for path in [target, &empty] {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(path);
        made.with_context(|| format!("make {}", path.display()))?;
    }
    let mut options = rootfs::lower(&image.lower)?;
    options.push(":");
    options.push(rootfs::escaped_layer(&empty));
    let options = rootfs::labelled(options, label);
    rootfs::fits(&options, image.lower.len())?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOEXEC | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let Some(users) = users else { return rootfs::mount_overlay(&image.layers, target, flags, &options) };
    let mapped = target.with_extension("layers");
    users.mount(Path::new(&image.layers), &mapped)?;
    let layers = mapped.to_str().with_context(|| format!("{} is not UTF-8", mapped.display()))?;
    rootfs::mount_overlay(layers, target, flags, &options).context(rootfs::OF_MAPPED)
}
