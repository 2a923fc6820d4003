#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};

use super::*;

const MIB: u64 = 1 << 20;
/// More than any of these trees has.
const ALL: u64 = u64::MAX;

/// A tree with 1 MiB in a file, and as much outside of it; gone afterwards.
struct World(PathBuf);

fn world(name: &str) -> World {
    let root = std::env::temp_dir().join(format!("holdfast-usage-{}-{name}", std::process::id()));
    fs::create_dir_all(root.join("tree/dir")).unwrap();
    fs::create_dir_all(root.join("outside")).unwrap();
    fs::write(root.join("tree/dir/file"), vec![1; 1 << 20]).unwrap();
    fs::write(root.join("outside/file"), vec![1; 1 << 20]).unwrap();
    World(root)
}

impl Drop for World {
    fn drop(&mut self) {
        crate::volume::remove_tree(&self.0).unwrap();
    }
}

impl World {
    fn at(&self, path: &str) -> PathBuf {
        self.0.join("tree").join(path)
    }

    fn used(&self) -> u64 {
        disk_usage(&self.0, Path::new("tree"), ALL).unwrap()
    }

    /// Whether it is so many MiB, and what names and directories take.
    #[track_caller]
    fn check(&self, mib: u64) {
        let used = self.used();
        assert!((mib * MIB..mib * MIB + MIB / 4).contains(&used), "{used}, not {mib} MiB");
    }
}

#[test]
fn blocks_count_and_hard_links_once() {
    let world = world("blocks");
    world.check(1);
    File::create(world.at("hole")).unwrap().write_all_at(b"end", 1 << 30).unwrap();
    world.check(1);
    for name in ["dir/again", "again", "once more"] {
        fs::hard_link(world.at("dir/file"), world.at(name)).unwrap();
    }
    world.check(1);
    assert_eq!(disk_usage(&world.0, Path::new("tree/none"), ALL).unwrap(), 0);
}

#[test]
fn what_is_empty_takes_a_little() {
    let world = world("empty");
    let before = world.used();
    for number in 0..1000 {
        File::create(world.at(&format!("dir/{number}"))).unwrap();
    }
    assert!(1000 * NAME <= world.used() - before);
}

/// Threat 7, and a mount of the same file system, by which numbers of devices do not tell.
#[test]
fn no_link_is_followed_and_no_mount_entered() {
    let world = world("links");
    let outside = world.0.join("outside");
    symlink(&outside, world.at("link")).unwrap();
    symlink("..", world.at("up")).unwrap();
    symlink(&outside, world.0.join("by-link")).unwrap();
    world.check(1);
    assert_eq!(disk_usage(&world.0, Path::new("by-link"), ALL).unwrap(), 0);
    assert_eq!(disk_usage(&world.0, Path::new("tree/link"), ALL).unwrap(), 0);
    // A mount of this thread alone, gone with it.
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    fs::create_dir(world.at("mounted")).unwrap();
    mount(Some(&outside), &world.at("mounted"), none, MsFlags::MS_BIND, none).unwrap();
    world.check(1);
    umount(&world.at("mounted")).unwrap();
}

#[test]
fn it_ends_where_the_limit_is_passed() {
    let world = world("enough");
    for number in 0..100 {
        fs::write(world.at(&format!("{number}")), vec![1; 1 << 16]).unwrap();
    }
    let used = disk_usage(&world.0, Path::new("tree"), MIB).unwrap();
    assert!((MIB + 1..3 * MIB).contains(&used), "{used}");
    assert!(5 * MIB < world.used());
}

/// A tree that no path leads through to its end; and what any program makes is measured whole.
#[test]
fn what_is_nested_without_end_counts_as_endless() {
    let world = world("deep");
    // Of this thread alone.
    unshare(CloneFlags::CLONE_FS).unwrap();
    std::env::set_current_dir(world.at("")).unwrap();
    for depth in 1..2500 {
        fs::create_dir("d").unwrap();
        std::env::set_current_dir("d").unwrap();
        if depth == DEPTH - 1 {
            File::create("file").unwrap().write_all(&vec![1; 1 << 20]).unwrap();
            world.check_deep(2 * MIB);
        }
    }
    std::env::set_current_dir("/").unwrap();
    assert_eq!(world.used(), ALL);
}

impl World {
    /// Whether it is at least so many bytes, but not endless.
    #[track_caller]
    fn check_deep(&self, least: u64) {
        let used = self.used();
        assert!((least..16 * MIB).contains(&used), "{used}");
    }
}

/// Whoever moves directories about meanwhile, or removes them, gains nothing: what is open stays what it is.
#[test]
fn directories_that_are_moved_and_removed_meanwhile_are_measured() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = world("moved");
    fs::create_dir_all(world.at("a/b/c")).unwrap();
    let outside = world.0.join("outside");
    symlink(&outside, world.at("a/link")).unwrap();
    let over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        scope.spawn(|| {
            use nix::fcntl::{RenameFlags, renameat2};
            let (dir, link) = (world.at("a/b"), world.at("a/link"));
            while !over.load(Ordering::Relaxed) {
                renameat2(None, &dir, None, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        scope.spawn(|| {
            let dir = world.at("brief");
            while !over.load(Ordering::Relaxed) {
                fs::create_dir_all(dir.join("a/b")).unwrap();
                fs::write(dir.join("a/b/file"), "x").unwrap();
                fs::remove_dir_all(&dir).unwrap();
            }
        });
        let looks: Vec<u64> = (0..2000).map(|_| world.used()).collect();
        over.store(true, Ordering::Relaxed);
        looks
    });
    assert!(looks.iter().all(|used| (MIB..MIB + MIB / 4).contains(used)), "{looks:?}");
}

#[test]
fn files_of_ours_are_cut_and_links_in_their_place_are_not_followed() {
    let world = world("cut");
    let (long, link) = (world.at("long"), world.at("link"));
    fs::write(&long, vec![1; 3 << 20]).unwrap();
    symlink(&long, &link).unwrap();
    assert!(!cut(&link).unwrap() && !cut(&world.at("none")).unwrap() && !cut(&world.at("dir/file")).unwrap());
    assert_eq!(fs::metadata(&long).unwrap().len(), 3 << 20);
    assert!(cut(&long).unwrap() && !cut(&long).unwrap());
    assert_eq!(fs::metadata(&long).unwrap().len(), LONGEST);
}
