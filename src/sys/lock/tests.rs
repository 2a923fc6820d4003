#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A directory that is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        Place(nix::unistd::mkdtemp(&std::env::temp_dir().join("holdfast-lock-XXXXXX")).unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn whoever_only_looks_keeps_nobody_from_the_lock() {
    let place = Place::new();
    let path = place.0.join("lock");
    drop(take(&path).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                is_held(&path).unwrap();
            }
        });
        let refused = (0..1000).filter(|_| take(&path).unwrap().is_none()).count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(refused, 0);
    });
}

#[test]
fn a_lock_is_its_holders_until_the_last_descriptor_is_closed() {
    let place = Place::new();
    let path = place.0.join("lock");
    assert!(!is_held(&path).unwrap(), "there is none yet");
    let file = take(&path).unwrap().unwrap();
    let copy = file.try_clone().unwrap();
    drop(file);
    assert!(is_held(&path).unwrap());
    assert!(take(&path).unwrap().is_none());
    drop(copy);
    assert!(!is_held(&path).unwrap());
    let held = take_directory(&place.0).unwrap();
    assert!(held.is_some() && take_directory(&place.0).unwrap().is_none());
}
