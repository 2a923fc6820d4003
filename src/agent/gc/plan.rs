//! Which image goes next, and why: pure, from facts as of one instant.
//!
//! The order in which room is made, a kubelet's but for what may not come back:
//!
//! 1. on a disk that is at its floor, below which nothing is taken in, layers that came in part;
//! 2. images that nobody used for longer than `imageMaximumGCAge`;
//! 3. where the disk is used to `imageGCHighThresholdPercent`, or at its floor, those used longest ago, until it is used to
//!    `imageGCLowThresholdPercent`;
//! 4. on a disk that is at its floor still, those that no registry says it has, longest ago first, until it is not.
//!
//! Whatever goes in steps 2 and 3 was asked for, and can be had again.
//!
//! Invariant: an image that is held, or came within `imageMinimumGCAge`, never goes.

use std::time::Duration;

use crate::image::Disk;
use crate::lifecycle::Time;

/// When images go.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Percent of the disk that may be used; at 100 room is never made.
    pub high: u64,
    /// Percent that are used when enough room was made.
    pub low: u64,
    /// Younger images stay.
    pub min_age: Duration,
    /// Images that were not used for so long go; none where zero.
    pub max_age: Duration,
    /// Percent of blocks and of inodes that are kept free at any price.
    pub floor: u64,
}

/// An image that a registry gave.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// Somebody runs it or waits for it, or it is on a list; or it could not be removed.
    pub held: bool,
    /// When it was first seen.
    pub detected: Time,
    /// When somebody was last seen using it.
    pub used: Option<Time>,
    /// Whether a registry says that it has it; `None` where none was asked yet.
    pub can_come_back: Option<bool>,
}

impl Candidate {
    fn idle(&self, now: Time) -> Duration {
        now.saturating_sub(self.used.unwrap_or(self.detected).max(self.detected))
    }
}

/// All that is known.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The time.
    pub now: Time,
    /// When images go.
    pub policy: Policy,
    /// How full the disk is.
    pub disk: Disk,
    /// Bytes that are to be free, since the disk was too full when the round began.
    pub goal: Option<u64>,
    /// Bytes that were freed.
    pub freed: u64,
    /// Layers wait that came in part.
    pub partials: bool,
    /// In the order in which they came.
    pub images: Vec<Candidate>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Throw away layers that came in part.
    Partials,
    /// Ask whether a registry has this image.
    Ask(String),
    /// Remove this image.
    Remove(String, Why),
    /// There is room, or none was to be made.
    Over,
    /// There is not, and nothing more may go: bytes that were to be freed, and that were.
    Short(u64, u64),
}

/// Why an image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody used it for so long.
    Unused(Duration),
    /// The disk is full; a registry has it.
    Full,
    /// The disk is so full that nothing else helps: no registry says that it has it.
    Floor,
}

impl Facts {
    /// As of the beginning of a round.
    pub fn new(now: Time, policy: Policy, disk: Disk, images: Vec<Candidate>) -> Facts {
        // A kubelet's arithmetic.
        let used = 100 - (disk.available.min(disk.capacity) * 100).checked_div(disk.capacity).unwrap_or(100);
        let free = u64::try_from(u128::from(disk.capacity) * u128::from(100 - policy.low.min(100)) / 100);
        let goal = free.ok().filter(|_| policy.high <= used && policy.high < 100);
        Facts { now, policy, disk, goal, freed: 0, partials: false, images }
    }

    /// Whether less is free than anything may leave: as [`crate::image::Limits`] has it.
    pub fn at_floor(&self) -> bool {
        let Disk { capacity, available, inodes, inodes_free } = self.disk;
        available < capacity / 100 * self.policy.floor || inodes_free < inodes / 100 * self.policy.floor
    }

    /// What to do next.
    pub fn next(&self) -> Step {
        if self.partials && self.at_floor() {
            return Step::Partials;
        }
        let mut free: Vec<&Candidate> = self.images.iter().filter(|image| !image.held).collect();
        free.retain(|image| self.policy.min_age <= self.now.saturating_sub(image.detected));
        // Those of the same age stay in the order in which they came.
        free.sort_by_key(|image| (image.used, image.detected));
        let (now, most) = (self.now, self.policy.max_age);
        let old = free.iter().filter(|image| !most.is_zero() && most < image.idle(now));
        if let Some(step) = first(old, |image| Why::Unused(image.idle(now))) {
            return step;
        }
        let wanted = self.goal.map_or(0, |goal| goal.saturating_sub(self.disk.available));
        let forced = self.at_floor() && self.policy.high < 100;
        if wanted == 0 && !forced {
            return Step::Over;
        }
        if let Some(step) = first(free.iter(), |_| Why::Full) {
            return step;
        }
        match free.first() {
            Some(image) if forced => Step::Remove(image.id.clone(), Why::Floor),
            _ => Step::Short(wanted.saturating_add(self.freed), self.freed),
        }
    }

    /// The image `id`, to note what became of it.
    pub fn image(&mut self, id: &str) -> Option<&mut Candidate> {
        self.images.iter_mut().find(|image| image.id == id)
    }

    /// The image `id` is gone, with `bytes`; the disk looks as `disk` then, which some file systems tell late.
    pub fn removed(&mut self, id: &str, bytes: u64, disk: Disk) {
        self.images.retain(|image| image.id != id);
        self.freed = self.freed.saturating_add(bytes);
        let available = disk.available.max(self.disk.available.saturating_add(bytes)).min(disk.capacity);
        self.disk = Disk { available, ..disk };
    }
}

/// The first that may come back goes; whoever is not known to is asked for first.
fn first<'f>(
    mut images: impl Iterator<Item = &'f &'f Candidate>,
    why: impl Fn(&Candidate) -> Why,
) -> Option<Step> {
    let image = images.find(|image| image.can_come_back != Some(false))?;
    Some(match image.can_come_back {
        None => Step::Ask(image.id.clone()),
        _ => Step::Remove(image.id.clone(), why(image)),
    })
}

#[cfg(test)]
mod tests;
