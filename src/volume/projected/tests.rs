#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::host::Runtime;
use crate::spec::Value;

struct World {
    root: PathBuf,
    directory: PodDir,
}

fn world() -> World {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("holdfast-projected-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let root = std::env::temp_dir().join(name);
    let directory = Runtime::new(root.join("run")).pod("0123");
    fs::create_dir_all(directory.root()).unwrap();
    fs::create_dir_all(root.join("outside/deep")).unwrap();
    fs::write(root.join("outside/a"), "precious").unwrap();
    World { root, directory }
}

impl Drop for World {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.root);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

impl World {
    fn write(&self, files: &[(&str, u32, &str)]) -> bool {
        write(&self.directory, "v", None, &payload(files)).unwrap()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.volume("v").join(path)
    }

    /// Every file as it is seen, with its mode, and whether nothing else is there but what the writer needs.
    fn check(&self, files: &[(&str, u32, &str)]) {
        for (path, mode, text) in files {
            assert_eq!(fs::read_to_string(self.at(path)).unwrap(), *text, "{path}");
            let found = self.at(path).metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, *mode, "{path}");
        }
        let tops: BTreeSet<_> = files.iter().map(|(path, ..)| path.split('/').next().unwrap()).collect();
        let mut names: Vec<_> =
            fs::read_dir(self.at("")).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.retain(|name| !tops.contains(name.to_str().unwrap()) && name != DATA);
        assert_eq!(names, [fs::read_link(self.at(DATA)).unwrap().as_os_str()], "beside {tops:?}");
    }

    fn is_precious_there(&self) -> bool {
        let names = fs::read_dir(self.root.join("outside")).unwrap().count();
        let inner = fs::read_dir(self.root.join("outside/deep")).unwrap().count();
        let text = fs::read_to_string(self.root.join("outside/a")).unwrap();
        (names, inner, text.as_str()) == (2, 0, "precious")
    }
}

fn payload(files: &[(&str, u32, &str)]) -> Payload {
    let value = |text: &str| Value(text.as_bytes().to_vec());
    files.iter().map(|(path, mode, text)| ((*path).to_owned(), (*mode, value(text)))).collect()
}

#[test]
fn files_are_as_the_payload_says_and_only_a_change_is_written() {
    let world = world();
    let first = [("a", 0o644, "1"), ("deep/er/b", 0o400, ""), ("deep/c", 0o755, "3")];
    assert!(world.write(&first));
    world.check(&first);
    let data = fs::read_link(world.at(DATA)).unwrap();
    assert!(!world.write(&first), "nothing changed");
    assert_eq!(fs::read_link(world.at(DATA)).unwrap(), data);
    for changed in [
        vec![("a", 0o600, "1"), ("deep/er/b", 0o400, ""), ("deep/c", 0o755, "3")],
        vec![("a", 0o600, "2"), ("deep/er/b", 0o400, ""), ("deep/c", 0o755, "3")],
        vec![("a", 0o600, "2"), ("deep/c", 0o755, "3")],
        vec![("deep/c", 0o755, "3")],
        vec![("deep", 0o755, "now a file")],
        vec![],
        vec![("a", 0o644, "1")],
    ] {
        assert!(world.write(&changed), "{changed:?}");
        world.check(&changed);
    }
}

/// Whoever reads sees the files of one time, however often they change.
#[test]
fn a_reader_sees_all_files_of_one_time() {
    let world = world();
    let files = |text: &'static str| [("a", 0o644, text), ("b", 0o644, text)];
    world.write(&files("0"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut pairs = 0;
            while !done.load(Ordering::Relaxed) {
                // As a program does that was told of a change: through one directory.
                let Ok(at) = fs::canonicalize(world.at(DATA)) else { continue };
                let read = |name: &str| fs::read_to_string(at.join(name)).ok();
                if let (Some(a), Some(b)) = (read("a"), read("b")) {
                    assert_eq!(a, b);
                    pairs += 1;
                }
                assert!(fs::read_link(world.at(DATA)).is_ok(), "..data is always there");
            }
            pairs
        });
        for _ in 0..200 {
            world.write(&files("1"));
            world.write(&files("2"));
        }
        done.store(true, Ordering::Relaxed);
        assert!(0 < reader.join().unwrap());
    });
}

/// Threat 8: what somebody puts into the new directory between its making and the first file is not followed.
#[test]
fn a_link_that_was_put_into_the_new_directory_is_an_error() {
    let world = world();
    let fresh = world.root.join("fresh");
    fs::create_dir_all(fresh.join("real")).unwrap();
    symlink("../outside/a", fresh.join("a")).unwrap();
    symlink("../outside/deep", fresh.join("deep")).unwrap();
    symlink("../../outside", fresh.join("real/deep")).unwrap();
    let folder = Root::open(&fresh).unwrap().folder(Path::new("")).unwrap();
    for path in ["a", "deep/b", "deep/er/b", "real/deep/a", "real/deep/b"] {
        assert!(file(&folder, path, (0o755, 0o666), b"x").is_err(), "{path}");
        assert!(!holds(&folder, &payload(&[(path, 0o644, "precious")])).unwrap_or(false), "{path}");
    }
    assert!(world.is_precious_there());
    file(&folder, "real/b", (0o755, 0o666), b"x").unwrap();
    for name in ["a", "deep"] {
        assert!(enter(&folder, OsStr::new(name), 0o755).is_ok(), "removed, and made anew");
        assert!(fresh.join(name).symlink_metadata().unwrap().is_dir());
    }
    assert!(world.is_precious_there());
}

/// Threat 8, by whoever is quicker: links that come and go while the files are written.
#[test]
fn whoever_swaps_directories_for_links_meanwhile_gains_nothing() {
    let world = world();
    let files = |text: &'static str| [("a", 0o666, text), ("deep/b", 0o666, text), ("deep/c", 0o666, text)];
    world.write(&files("0"));
    let done = AtomicBool::new(false);
    let mode = world.root.join("outside/a").metadata().unwrap().permissions().mode();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let outside = world.root.join("outside");
            while !done.load(Ordering::Relaxed) {
                for entry in fs::read_dir(world.at("")).into_iter().flatten().flatten() {
                    let (path, deep) = (entry.path(), entry.path().join("deep"));
                    // Whoever does this must not walk into his own traps.
                    let is_dir = |path: &PathBuf| path.symlink_metadata().is_ok_and(|look| look.is_dir());
                    if is_dir(&path) && is_dir(&deep) {
                        let _ = fs::rename(&deep, path.join("away"));
                        let _ = symlink(outside.join("deep"), &deep);
                    }
                    if is_dir(&path) && fs::rename(&path, world.root.join("away")).is_ok() {
                        let _ = fs::remove_dir_all(world.root.join("away"));
                        let _ = symlink(&outside, &path);
                    }
                }
            }
        });
        for _ in 0..150 {
            // It may fail, since its directory goes from under it; it must not reach out.
            let _ = write(&world.directory, "v", None, &payload(&files("1")));
            let _ = write(&world.directory, "v", None, &payload(&files("2")));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(world.is_precious_there());
    assert_eq!(world.root.join("outside/a").metadata().unwrap().permissions().mode(), mode);
    world.write(&files("3"));
    world.check(&files("3"));
}

#[test]
fn what_is_in_the_way_is_removed_and_not_followed() {
    let world = world();
    let files = [("a", 0o666, "1"), ("deep/b", 0o666, "1")];
    let outside = world.root.join("outside");
    let link = |path: &str| {
        let path = world.at(path);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        symlink(&outside, path).unwrap();
    };
    world.write(&files);
    for path in ["a", "deep", DATA, DATA_BESIDE, "more"] {
        link(path);
        world.write(&files);
        world.check(&files);
    }
    for path in ["..data/a", "..data/deep", "..data/deep/b", "..data/more"] {
        link(path);
        assert!(world.write(&files), "{path}: it is not what it was");
        world.check(&files);
    }
    fs::remove_dir_all(world.at("")).unwrap();
    symlink(&outside, world.directory.volume("v")).unwrap();
    world.write(&files);
    world.check(&files);
    assert!(world.is_precious_there());
    // The folder of all volumes.
    fs::remove_dir_all(world.directory.root().join("volumes")).unwrap();
    symlink(&outside, world.directory.root().join("volumes")).unwrap();
    world.write(&files);
    world.check(&files);
    assert!(world.is_precious_there());
    for name in ["", "..", "../x", "a/b", ".x"] {
        assert!(write(&world.directory, name, None, &payload(&files)).is_err(), "{name:?}");
    }
}
