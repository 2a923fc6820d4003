//! A manifest that an edit broke, or that a copy had not brought to the disk, when the power was cut.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use crate::harness::pod::pod;
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};

const TORN: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: 'web";

fn kept(world: &World, name: &str) -> PathBuf {
    world.data().join("agent/holdfast/last-good").join(name)
}

/// What is on tmpfs is gone, and so is whatever ran.
fn cut_the_power(world: &mut World) {
    world.down();
    fs::remove_dir_all(&world.runtime).unwrap();
}

#[test]
fn what_is_wrong_after_a_power_cut_runs_as_it_was_when_it_was_last_right() {
    let mut world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let uid = world.running("web").uid();
    let text = fs::read(world.manifests().join("web.yaml")).unwrap();
    let kept = kept(&world, "web.yaml");
    eventually(SOON, "the manifest is kept", || (fs::read(&kept).ok()? == text).then_some(()));
    let written = fs::metadata(&kept).unwrap();
    assert_eq!(written.permissions().mode() & 0o777, 0o600);

    world.write_text("web.yaml", TORN);
    world.reported(&["web.yaml", "LastGood"]);
    for torn in [TORN, ""] {
        world.write_text("web.yaml", torn);
        cut_the_power(&mut world);
        world.start_agent();
        assert_eq!(world.running("web").uid(), uid, "{torn:?}");
        world.reported(&["web.yaml", "LastGood"]);
        let now = fs::metadata(&kept).unwrap();
        assert_eq!(
            (now.ino(), now.mtime_nsec()),
            (written.ino(), written.mtime_nsec()),
            "nothing is written again"
        );
    }
    let told = world.cli(&["get", "pods"]);
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("web.yaml is wrong") && told.contains(&world.pod_name("web")), "{told}");
    let page = world.says(&["describe", "pod", &world.pod_name("web")]);
    assert!(page.contains("the pod goes on as it was when the file was last right"), "{page}");
    let events = world.says(&["events", "-A"]);
    assert!(events.contains("ManifestRefused"), "{events}");

    // Removed, it is an order, and nothing of it comes back.
    world.remove("web.yaml");
    world.gone("web");
    eventually(SOON, "what was kept goes too", || (!kept.exists()).then_some(()));
    world.write_text("web.yaml", TORN);
    world.reported(&["web.yaml", "Refused"]);
    cut_the_power(&mut world);
    world.start_agent();
    world.reported(&["web.yaml", "Refused"]);
    stays_true_for(A_WHILE, "nothing runs", || world.pods().is_empty());
}

/// A stick that is mounted after the agent's start: what is not there yet was not removed.
#[test]
fn an_empty_directory_forgets_nothing_and_a_removed_file_is_forgotten() {
    let mut world = World::new();
    for name in ["one", "two"] {
        world.write(&format!("{name}.yaml"), &pod(name, &["trap-term"]));
        world.running(name);
    }
    let (one, two) = (kept(&world, "one.yaml"), kept(&world, "two.yaml"));
    eventually(SOON, "both are kept", || (one.exists() && two.exists()).then_some(()));
    cut_the_power(&mut world);
    let (manifests, away) = (world.manifests(), world.dir.join("away"));
    fs::rename(&manifests, &away).unwrap();
    fs::create_dir(&manifests).unwrap();
    world.start_agent();
    stays_true_for(A_WHILE, "both are kept", || one.exists() && two.exists() && world.pods().is_empty());
    cut_the_power(&mut world);
    fs::remove_dir(&manifests).unwrap();
    fs::rename(&away, &manifests).unwrap();
    world.remove("two.yaml");
    world.start_agent();
    world.running("one");
    eventually(SOON, "what was removed meanwhile is forgotten", || (!two.exists()).then_some(()));
    assert!(one.exists());
}
