//! What one image may take, so that a small archive cannot fill the node.

use std::os::fd::AsFd;

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use super::refuse;

/// Limits for one image, all layers together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most entries in its layers. The largest images in use (complete desktops, ROS, CUDA) have some 400,000.
    pub entries: u64,
    /// Most bytes in its layers, unpacked, holes included. The largest images in use (CUDA, l4t-ml) have some 20 GiB.
    pub bytes: u64,
    /// Share of the file system, in percent of blocks and of inodes, that stays free for everything else; 5, as ext4
    /// keeps for root by default.
    pub free_percent: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 1_000_000, bytes: 32 << 30, free_percent: 5 }
    }
}

/// Longest path of an entry, and longest text of a symbolic link, in bytes: PATH_MAX less its zero byte.
pub const MAX_PATH: usize = 4095;
/// Most folders that an entry lies in; a tree can only be removed if its depth stays below the descriptor limit.
pub const MAX_DEPTH: usize = 255;
/// Most layers of an image: what fits into overlayfs' option string, and docker's own limit.
pub const MAX_LAYERS: usize = 127;
/// Bytes or entries after which the free space is looked at again.
const LOOK_EVERY_BYTES: u64 = 16 << 20;
const LOOK_EVERY_ENTRIES: u64 = 4096;

/// What was taken of the [`Limits`] of one image.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Entries of its layers.
    pub entries: u64,
    /// Bytes that were written for them, holes included.
    pub bytes: u64,
}

/// What is left of the [`Limits`] of one image while it is unpacked.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    spent: Spent,
    /// How many entries there were at the last look at the disk.
    looked_at: Option<u64>,
    room: Room,
}

/// What has to stay free on a file system that is being filled.
#[derive(Debug)]
pub struct Room {
    percent: u64,
    /// Bytes since the last look at the disk.
    since: u64,
}

impl Room {
    /// So many percent stay free.
    pub fn new(percent: u64) -> Room {
        Room { percent, since: 0 }
    }

    /// Takes `count` bytes; `place` is on the file system.
    pub fn take(&mut self, count: u64, place: impl AsFd) -> Result<()> {
        self.since += count;
        if self.since >= LOOK_EVERY_BYTES { self.look(place) } else { Ok(()) }
    }

    /// A full disk is no fault of the archive: it is tried again, so this is no refusal.
    fn look(&mut self, place: impl AsFd) -> Result<()> {
        self.since = 0;
        let disk = fstatvfs(place).context("ask for the free space")?;
        let percent = self.percent;
        let enough = |free: u64, all: u64| free >= all / 100 * percent;
        if !enough(disk.blocks_available(), disk.blocks()) {
            bail!("the disk is nearly full: {percent} % of its space stay free, remove something first");
        }
        if disk.files() > 0 && !enough(disk.files_available(), disk.files()) {
            bail!("the disk is nearly out of inodes: {percent} % of them stay free, remove something first");
        }
        Ok(())
    }
}

impl Budget {
    /// All of `limits`.
    pub fn new(limits: Limits) -> Budget {
        Budget::after(limits, Spent::default())
    }

    /// What is left of `limits` after what was `spent`.
    pub fn after(limits: Limits, spent: Spent) -> Budget {
        Budget { limits, spent, looked_at: None, room: Room::new(limits.free_percent) }
    }

    /// What was taken so far.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Takes one entry; `place` is on the file system that is being filled.
    pub fn entry(&mut self, place: impl AsFd) -> Result<()> {
        self.spent.entries += 1;
        let entries = self.spent.entries;
        if entries > self.limits.entries {
            refuse!("has more than {} files (the limit for one image)", self.limits.entries);
        }
        if self.looked_at.is_none_or(|at| entries - at >= LOOK_EVERY_ENTRIES) {
            self.looked_at = Some(entries);
            self.room.look(place)?;
        }
        Ok(())
    }

    /// Takes `count` bytes; `place` is on the file system that is being filled.
    pub fn bytes(&mut self, count: u64, place: impl AsFd) -> Result<()> {
        self.room_for(count)?;
        self.spent.bytes += count;
        self.room.take(count, place)
    }

    /// Fails if `count` bytes would be too much, before the first is written.
    pub fn room_for(&self, count: u64) -> Result<()> {
        if self.spent.bytes.saturating_add(count) > self.limits.bytes {
            refuse!("unpacks to more than {} bytes (the limit for one image)", self.limits.bytes);
        }
        Ok(())
    }

    /// The most bytes that a layer's stream may have.
    pub fn most_bytes(&self) -> u64 {
        self.limits.bytes
    }
}
