#![allow(clippy::unwrap_used)]

use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::fcntl::{RenameFlags, renameat2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::fstat;

use super::*;

/// A volume with something in it, and what is outside; gone afterwards.
struct World(PathBuf);

fn world(name: &str) -> World {
    let root = std::env::temp_dir().join(format!("holdfast-sub-path-{}-{name}", std::process::id()));
    fs::create_dir_all(root.join("volume/dir/inner")).unwrap();
    fs::create_dir_all(root.join("outside")).unwrap();
    fs::write(root.join("volume/file"), "").unwrap();
    World(root)
}

impl Drop for World {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

impl World {
    fn volume(&self) -> PathBuf {
        self.0.join("volume")
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.volume().join(name)).unwrap();
    }

    /// What `path` leads to, seen from the world.
    fn opened(&self, path: &str) -> Result<PathBuf, String> {
        let found = open(&self.volume(), Path::new(path)).map_err(|error| format!("{error:#}"))?;
        let found = fs::read_link(handle(&found)).unwrap();
        Ok(found.strip_prefix(fs::canonicalize(&self.0).unwrap()).unwrap().to_owned())
    }
}

fn number(file: impl AsFd) -> u64 {
    fstat(file.as_fd().as_raw_fd()).unwrap().st_ino
}

/// As a kubelet has it: what counts is where a path ends.
#[test]
fn links_are_followed_as_long_as_they_stay_in_the_volume() {
    let world = world("links");
    world.link("dir/inner", "in");
    world.link(world.volume().join("dir"), "in-by-the-nodes-names");
    world.link("dir/../../volume/dir", "out-and-in");
    world.link(".", "itself");
    world.link("..", "up");
    world.link("/etc", "out");
    world.link("../outside", "beside");
    world.link("loop", "loop");
    world.link("nowhere", "dangling");
    symlink(world.volume(), world.0.join("by-link")).unwrap();
    for (path, expected) in [
        ("dir//inner/.", Ok("volume/dir/inner")),
        ("file", Ok("volume/file")),
        ("in", Ok("volume/dir/inner")),
        ("in-by-the-nodes-names/inner", Ok("volume/dir/inner")),
        ("out-and-in", Ok("volume/dir")),
        ("itself", Ok("volume")),
        (".", Ok("volume")),
        ("up", Err("leads out of the volume")),
        ("out", Err("leads out of the volume")),
        ("out/passwd", Err("leads out of the volume")),
        ("beside", Err("leads out of the volume")),
        ("loop", Err("Too many levels of symbolic links")),
        ("dangling", Err("No such file or directory")),
        ("file/x", Err("Not a directory")),
    ] {
        match (world.opened(path), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, Path::new(expected), "{path}"),
            (Err(error), Err(words)) => assert!(error.contains(words), "{path}: {error}"),
            (found, expected) => panic!("{path}: {found:?}, expected {expected:?}"),
        }
    }
    let by_link = open(&world.0.join("by-link"), Path::new("dir")).unwrap();
    assert_eq!(number(&by_link), fs::metadata(world.volume().join("dir")).unwrap().ino());
}

/// Threat 7, CVE-2017-1002101 and CVE-2021-25741: whoever swaps a directory and a link, ten thousand times.
#[test]
fn what_is_swapped_meanwhile_leads_nowhere() {
    let world = world("race");
    let (volume, outside) = (world.volume(), world.0.join("outside"));
    fs::create_dir(outside.join("inner")).unwrap();
    world.link(&outside, "link");
    let marker = fs::metadata(outside.join("inner")).unwrap().ino();
    let over = AtomicBool::new(false);
    let (mut opened, mut refused) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (dir, link) = (volume.join("dir"), volume.join("link"));
            while !over.load(Ordering::Relaxed) {
                renameat2(None, &dir, None, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        for _ in 0..10_000 {
            match open(&volume, Path::new("dir/inner")) {
                Ok(found) if number(&found) == marker => {
                    over.store(true, Ordering::Relaxed);
                    panic!("what is outside was opened, after {opened} that were right");
                }
                Ok(_) => opened += 1,
                Err(_) => refused += 1,
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused: nobody was in the way");
}

/// 10.05: with the mode of the volume and the group that it passes on, whatever the umask.
#[test]
fn what_is_missing_is_made_as_the_volume_is() {
    let world = world("made");
    // The mask of this thread alone.
    unshare(CloneFlags::CLONE_FS).unwrap();
    umask(Mode::from_bits_truncate(0o077));
    let volume = world.volume();
    nix::unistd::chown(&volume, None, Some(nix::unistd::Gid::from_raw(1234))).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o2775)).unwrap();
    world.link("dir", "in");
    make(&volume, Path::new("a/b")).unwrap();
    make(&volume, Path::new("a/b")).unwrap();
    for name in ["a", "a/b"] {
        let made = fs::metadata(volume.join(name)).unwrap();
        assert_eq!((made.mode() & 0o7777, made.uid(), made.gid()), (0o2775, 0, 1234), "{name}");
    }
    make(&volume, Path::new("in/c")).unwrap();
    assert!(volume.join("dir/c").is_dir());

    world.link("../outside", "out");
    world.link("../outside/new", "dangling");
    for (path, words) in [
        ("out/x", "leads out of the volume"),
        ("out/x/y", "leads out of the volume"),
        ("dangling", "make \"dangling\": Too many levels"),
        ("dangling/x", "make \"dangling\": Too many levels"),
        ("file/x", "Not a directory"),
    ] {
        let error = format!("{:#}", make(&volume, Path::new(path)).unwrap_err());
        assert!(error.contains(words), "{path}: {error}");
    }
    assert_eq!(fs::read_dir(world.0.join("outside")).unwrap().count(), 0, "nothing was made outside");
}
