//! Disks: room, what they are, and whether they are dying.

use std::fs;
use std::path::Path;

use super::mounts::{self, Mount};
use super::{Findings, Place};
use crate::cli::space::human;
use crate::host::machine::{self, Space, text};

/// File systems that overlayfs takes as its upper layer: they have what it needs, `trusted.` attributes and file types in
/// their directories.
const UPPER: [&str; 9] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "ubifs", "bcachefs"];
/// File systems in memory, where the runtime directory belongs.
const MEMORY: [&str; 3] = ["tmpfs", "ramfs", "rootfs"];

pub fn check(place: &Place) -> Findings {
    let mut findings = Findings::new("disk");
    let mounts = mounts::mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    let disks = [("data", &place.data_dir), ("log", &place.log_dir), ("manifests", &place.manifests)];
    let mut seen: Vec<&Mount> = Vec::new();
    for (what, path) in disks.into_iter().chain([("runtime", &place.runtime.root().to_path_buf())]) {
        let Some(mount) = mounts::of(&mounts, path) else { continue };
        if what == "data" && !UPPER.contains(&mount.kind.as_str()) {
            findings.problem(
                format!("{} is on {}, on which containers cannot write", path.display(), mount.kind),
                format!("put --data-dir on one of {}", UPPER.join(", ")),
            );
        }
        if what == "runtime" && !MEMORY.contains(&mount.kind.as_str()) {
            findings.warning(
                format!(
                    "{} is on {}: each change of a pod's state is written to a disk",
                    path.display(),
                    mount.kind
                ),
                "mount a tmpfs there (/run is one on every usual system)",
            );
        }
        if seen.contains(&mount) {
            continue;
        }
        seen.push(mount);
        match machine::space(path) {
            Some(space) => room(&mut findings, path, &space),
            None => findings.problem(
                format!("the file system of {} does not answer", path.display()),
                "look at the kernel's messages (dmesg): the disk may be gone",
            ),
        }
        errors(&mut findings, mount);
    }
    for device in names("/sys/block").iter().filter(|name| name.starts_with("mmcblk")) {
        let read = |file: &str| text(&format!("/sys/block/{device}/device/{file}")).unwrap_or_default();
        wear(&mut findings, device, &read("life_time"), &read("pre_eol_info"));
    }
    findings
}

/// Space, inodes, and whether anything can be written at all.
fn room(findings: &mut Findings, path: &Path, space: &Space) {
    let path = path.display();
    if space.read_only {
        let fix = "mount it for writing; a file system that became read-only by itself had errors: see dmesg, run fsck";
        findings.problem(format!("{path} is on a read-only file system"), fix);
        return;
    }
    let percent = |free: u64, all: u64| u128::from(free) * 100 / u128::from(all.max(1));
    let part = percent(space.free, space.total);
    let what = format!("{path}: {} of {} free ({part}%)", human(space.free), human(space.total));
    let fix = "remove what is not needed: `holdfast status` shows what is whose";
    match part {
        _ if space.total == 0 => {}
        0..5 => findings.problem(what, fix),
        5..15 => findings.warning(what, fix),
        _ => findings.ok(what),
    }
    let inodes = percent(space.inodes_free, space.inodes);
    if space.inodes != 0 && inodes < 5 {
        let what = format!("{path}: {} of {} inodes free ({inodes}%)", space.inodes_free, space.inodes);
        findings.problem(what, "remove many small files, or make the file system anew with more inodes");
    }
}

/// What ext4 counted of its own damage.
fn errors(findings: &mut Findings, mount: &Mount) {
    let Some(device) = mount.source.strip_prefix("/dev/") else { return };
    let count =
        text(&format!("/sys/fs/ext4/{device}/errors_count")).and_then(|count| count.parse::<u64>().ok());
    if let Some(count) = count.filter(|count| *count != 0) {
        findings.problem(
            format!("the file system on {} had {count} errors since its last check", mount.source),
            format!("save what you need, then check it while it is not mounted: fsck -f {}", mount.source),
        );
    }
}

/// What an eMMC says of its age: estimates in tenths, and how many spare blocks are used up (JESD84-B51).
fn wear(findings: &mut Findings, device: &str, life: &str, spare: &str) {
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0);
    let worst = life.split_whitespace().map(number).max().unwrap_or(0);
    let fix = "replace it soon, and put logs and volumes that change much elsewhere";
    match (worst, number(spare)) {
        (11.., _) | (_, 3..) => findings.problem(format!("the flash {device} is beyond its life"), fix),
        (9.., _) | (_, 2) => {
            findings.warning(format!("the flash {device} has used 80% of its life or more"), fix)
        }
        (1.., _) => findings.ok(format!("the flash {device} has used up to {}% of its life", worst * 10)),
        _ => {}
    }
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn levels(look: impl Fn(&mut Findings)) -> Vec<Level> {
        let mut findings = Findings::new("disk");
        look(&mut findings);
        findings.found.iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_disk_without_room_or_inodes_or_for_reading_only_is_a_problem() {
        let of = |free, inodes_free, read_only| {
            let space = Space { total: 1000, free, inodes: 100, inodes_free, read_only };
            levels(|findings| room(findings, Path::new("/d"), &space))
        };
        assert_eq!(of(500, 50, false), [Level::Ok]);
        assert_eq!(of(100, 50, false), [Level::Warning]);
        assert_eq!(of(49, 50, false), [Level::Problem]);
        assert_eq!(of(500, 4, false), [Level::Ok, Level::Problem]);
        assert_eq!(of(500, 50, true), [Level::Problem]);
        let endless = Space { total: 1000, free: 500, ..Space::default() };
        assert_eq!(levels(|findings| room(findings, Path::new("/d"), &endless)), [Level::Ok], "btrfs");
    }

    #[test]
    fn a_flash_that_is_worn_out_is_told() {
        let of = |life: &str, spare: &str| levels(|findings| wear(findings, "mmcblk0", life, spare));
        assert_eq!(of("0x01 0x02", "0x01"), [Level::Ok]);
        assert_eq!(of("0x01 0x09", "0x01"), [Level::Warning]);
        assert_eq!(of("0x01 0x02", "0x02"), [Level::Warning]);
        assert_eq!(of("0x0b 0x02", "0x01"), [Level::Problem]);
        assert_eq!(of("0x01 0x02", "0x03"), [Level::Problem]);
        // A card says nothing.
        assert_eq!(of("", ""), []);
    }
}
