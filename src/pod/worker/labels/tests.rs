#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::PathBuf;

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode as Bits;
use nix::unistd::mkfifo;

use super::*;

const OURS: &str = "system_u:object_r:container_file_t:s0:c1,c2";

/// A volume, and what is outside of it; gone afterwards.
struct World(PathBuf);

fn world(name: &str) -> World {
    let root = std::env::temp_dir().join(format!("holdfast-labels-{}-{name}", std::process::id()));
    fs::create_dir_all(root.join("volume/dir/below")).unwrap();
    fs::create_dir_all(root.join("outside")).unwrap();
    for file in ["volume/dir/file", "outside/file"] {
        fs::write(root.join(file), "x").unwrap();
    }
    World(root)
}

impl Drop for World {
    fn drop(&mut self) {
        crate::volume::remove_tree(&self.0).unwrap();
    }
}

impl World {
    fn give(&self) {
        let paths = vec![self.0.join("volume").to_str().unwrap().to_owned()];
        give(&FileLabels { label: OURS.to_owned(), paths }).unwrap();
    }

    /// Whether what is there has the label, be it a link.
    fn has(&self, path: &str) -> bool {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        selinux::has(File::options().read(true).custom_flags(flags).open(self.0.join(path)).unwrap(), OURS)
    }
}

#[test]
fn all_that_is_in_a_volume_gets_the_label_and_nothing_that_is_not() {
    let world = world("all");
    symlink(world.0.join("outside"), world.0.join("volume/dir/link")).unwrap();
    symlink("../../outside/file", world.0.join("volume/dir/relative")).unwrap();
    mkfifo(&world.0.join("volume/fifo"), Bits::S_IRWXU).unwrap();
    world.give();
    for path in
        ["volume", "volume/dir", "volume/dir/below", "volume/dir/file", "volume/fifo", "volume/dir/link"]
    {
        assert!(world.has(path), "{path}");
    }
    for path in ["outside", "outside/file"] {
        assert!(!world.has(path), "{path}");
    }
}

#[test]
fn a_link_in_the_place_of_a_volume_is_not_followed() {
    let world = world("link");
    fs::rename(world.0.join("volume"), world.0.join("moved")).unwrap();
    symlink(world.0.join("outside"), world.0.join("volume")).unwrap();
    world.give();
    assert!(world.has("volume") && !world.has("outside") && !world.has("outside/file"));
}

/// Also when an agent died on its way.
#[test]
fn what_has_the_label_is_not_gone_through_again_and_the_rest_is() {
    let world = world("again");
    world.give();
    fs::write(world.0.join("volume/dir/new"), "x").unwrap();
    world.give();
    assert!(!world.has("volume/dir/new"), "SELinux itself gives it");
    selinux::give(File::open(world.0.join("volume")).unwrap(), "u:object_r:other_t:s0").unwrap();
    selinux::give(File::open(world.0.join("volume/dir")).unwrap(), "u:object_r:other_t:s0").unwrap();
    world.give();
    assert!(world.has("volume/dir/new"));
}

#[test]
fn what_is_mounted_in_a_volume_keeps_its_own() {
    let world = world("mount");
    let path = world.0.join("volume/dir/below");
    let mounted = std::thread::scope(|scope| {
        let inside = || {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                .unwrap();
            mount(Some(&world.0.join("outside")), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .unwrap();
            world.give();
            let found = world.has("volume/dir/below/file");
            umount(&path).unwrap();
            found
        };
        scope.spawn(inside).join().unwrap()
    });
    assert!(!mounted && world.has("volume/dir"));
}
