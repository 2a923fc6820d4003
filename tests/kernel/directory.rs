//! What may happen to the manifests directory, and what else may lie in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::damage::{keeper, mark};
use crate::harness::pod::pod;
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};

/// 1.18, 1.19, 1.20: unlike the kubelet, backup files are not run.
#[test]
fn only_manifests_are_read_and_the_rest_is_listed_with_a_reason() {
    let world = World::new();
    for name in [".x.yaml.swp", "x.yaml~", "4913", "x.yaml.bak", "#x.yaml#", "notes.txt", "sedAb12Cd"] {
        world.write(name, &pod(&format!("never{}", name.len()), &["trap-term"]));
    }
    let folder = world.manifests();
    fs::create_dir(folder.join("folder.yaml")).unwrap();
    mkfifo(&folder.join("fifo.yaml"), Mode::S_IRUSR).unwrap();
    let _socket = UnixListener::bind(folder.join("socket.yaml")).unwrap();
    symlink("/dev/zero", folder.join("device.yaml")).unwrap();
    symlink("nowhere", folder.join("dangling.yaml")).unwrap();
    world.write_text("huge.yaml", &"#".repeat(10 * 1024 * 1024 + 1));
    let foreign = folder.join(OsStr::from_bytes(b"o\xffdd.yaml"));
    fs::write(&foreign, pod("foreign", &["trap-term"]).to_string()).unwrap();
    world.write("good.yaml", &pod("good", &["trap-term"]));
    world.write("bare", &pod("bare", &["trap-term"]));
    world.running("good");
    world.running("bare");
    world.reported(&["x.yaml~", "x.yaml.bak", ".x.yaml.swp", "notes.txt"]);
    world.reported(&["folder.yaml", "fifo.yaml", "socket.yaml", "device.yaml", "huge.yaml"]);
    world.reported(&["the name is not UTF-8"]);
    stays_true_for(A_WHILE, "two pods", || world.pods().len() == 2);
}

#[test]
fn writing_in_place_and_moving_in_both_count() {
    let world = World::new();
    fs::write(world.manifests().join("in-place.yaml"), pod("in-place", &["trap-term"]).to_string()).unwrap();
    world.write("moved.yaml", &pod("moved", &["trap-term"]));
    world.running("in-place");
    world.running("moved");
}

/// A ConfigMap volume's way of updating: a link to a link to a folder that is exchanged.
#[test]
fn a_linked_manifest_runs() {
    let world = World::new();
    let elsewhere = world.shared().join("elsewhere.yaml");
    fs::write(&elsewhere, pod("linked", &["trap-term"]).to_string()).unwrap();
    symlink(&elsewhere, world.manifests().join("linked.yaml")).unwrap();
    world.running("linked");
}

/// 1.25
#[test]
fn an_empty_directory_is_no_pods_and_a_missing_one_is_made() {
    let mut world = World::without_agent();
    fs::remove_dir(world.manifests()).unwrap();
    world.start_agent();
    assert!(world.pods().is_empty());
    assert!(world.manifests().is_dir());
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.running("web");
}

/// 1.25: unlike the kubelet, a directory that vanishes is an error to report, not an order.
#[test]
fn a_directory_that_vanishes_ends_nothing_and_is_read_again_when_it_is_back() {
    let mut world = World::new();
    world.write("web.yaml", &keeper("web", "precious"));
    world.write("old.yaml", &pod("old", &["trap-term"]));
    let web = world.running("web");
    let life = web.life();
    world.running("old");
    let kept = mark(&world, &web.uid());
    eventually(SOON, "the mark is written", || kept.exists().then_some(()));
    let away = world.dir.join("away");
    fs::rename(world.manifests(), &away).unwrap();
    for killed in [false, true] {
        if killed {
            world.kill_agent();
            world.start_agent();
        }
        world.reported(&["warning", &world.manifests().display().to_string()]);
        stays_true_for(A_WHILE, "both pods run", || {
            world.pods().iter().filter(|pod| pod.is("Ready")).count() == 2 && kept.exists()
        });
        assert!(!world.manifests().exists(), "it is not made anew over what runs");
    }
    fs::remove_file(away.join("old.yaml")).unwrap();
    fs::rename(&away, world.manifests()).unwrap();
    world.gone("old");
    world.write("new.yaml", &pod("new", &["trap-term"]));
    world.running("new");
    assert_eq!(world.running("web").life(), life);
}

/// A stick that is pulled and comes back with something else.
#[test]
fn a_directory_that_was_deleted_and_made_anew_is_watched() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let old = world.running("web");
    let away = world.dir.join("away");
    fs::rename(world.manifests(), &away).unwrap();
    fs::remove_dir_all(&away).unwrap();
    fs::create_dir(world.manifests()).unwrap();
    world.write("web.yaml", &pod("web", &["trap-term", "1"]));
    world.once("web", "is the new one", |pod| pod.uid() != old.uid() && pod.is("Ready"));
}

/// Moved away and made anew, with nothing in it yet: nobody removed a manifest.
#[test]
fn an_empty_directory_in_the_place_of_the_known_one_ends_nothing_until_a_manifest_is_in_it() {
    let mut world = World::new();
    world.write("web.yaml", &keeper("web", "precious"));
    world.write("old.yaml", &pod("old", &["trap-term"]));
    let web = world.running("web");
    world.running("old");
    let kept = mark(&world, &web.uid());
    eventually(SOON, "the mark is written", || kept.exists().then_some(()));
    let away = world.dir.join("away");
    fs::rename(world.manifests(), &away).unwrap();
    fs::create_dir(world.manifests()).unwrap();
    fs::write(world.manifests().join("README.txt"), "manifests go here").unwrap();
    // Its name goes from a directory that is none of ours any more.
    fs::remove_file(away.join("old.yaml")).unwrap();
    for killed in [false, true] {
        if killed {
            world.kill_agent();
            world.start_agent();
        }
        world.reported(&["another directory", "holdfast down"]);
        stays_true_for(A_WHILE, "both pods run", || {
            world.pods().iter().filter(|pod| pod.is("Ready")).count() == 2 && kept.exists()
        });
    }
    fs::rename(away.join("web.yaml"), world.manifests().join("web.yaml")).unwrap();
    world.gone("old");
    assert_eq!(world.running("web").life(), web.life());
    world.remove("web.yaml");
    world.gone("web");
}

/// A link to a stick that is not there yet when the agent starts.
#[test]
fn a_directory_that_is_a_link_to_nothing_yet_is_reported_and_read_when_it_is_there() {
    let mut world = World::without_agent();
    let stick = world.dir.join("stick");
    fs::remove_dir(world.manifests()).unwrap();
    symlink(&stick, world.manifests()).unwrap();
    world.start_agent();
    world.reported(&["warning", &world.manifests().display().to_string()]);
    fs::create_dir(&stick).unwrap();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    eventually(Duration::from_secs(40), "web runs", || world.pod("web").filter(|pod| pod.is("Ready")));
}
