//! The devices of the node, for containers that have all of them.
//!
//! Invariant: no link is followed, and what goes away meanwhile is not there.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use nix::sys::stat::{major, minor};

use crate::bundle::Device;

/// Directories of `/dev` that each container has for itself, or that hold no devices (containerd's `getDevices`).
const OTHERS: [&str; 7] =
    ["/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/.lxc", "/dev/.lxd-mounts", "/dev/.udev"];

/// Devices that each container has for itself.
const OWN: [&str; 2] = ["/dev/console", "/dev/ptmx"];

/// All of them, as they are now.
pub fn all() -> Vec<Device> {
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::from("/dev"), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, Ok(look)) = (entry.path(), entry.metadata()) else { continue };
            let Some(text) = path.to_str() else { continue };
            let kind = look.file_type();
            if kind.is_dir() && depth < DEEPEST && !OTHERS.contains(&text) {
                folders.push((path, depth + 1));
            } else if (kind.is_block_device() || kind.is_char_device()) && !OWN.contains(&text) {
                found.push(Device {
                    path: text.to_owned(),
                    block: kind.is_block_device(),
                    number: (major(look.rdev()), minor(look.rdev())),
                    mode: look.mode() & 0o7777,
                    owner: (look.uid(), look.gid()),
                });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// `/dev/bus/usb/001/001`, and some more.
const DEEPEST: u32 = 8;
