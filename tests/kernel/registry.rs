//! Pods whose images are not here, and a registry on loopback that has them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::image::{archives, run, tool};
use crate::harness::pod::{pod, with_main};
use crate::harness::{A_WHILE, SOON, Seen, World, eventually, stays_true_for};
use crate::origin::{Origin, Wire};

/// A world without archives whose agent knows the registry `shop.test`, which is at `host` and nowhere else.
fn world(host: &str) -> World {
    let mut world = World::without_agent();
    for archive in archives() {
        fs::remove_file(world.archives().join(archive.file_name().unwrap())).unwrap();
    }
    knows(&world, host);
    world.start_agent();
    world
}

pub fn knows(world: &World, host: &str) {
    let text = format!("mirrors: {{shop.test: {{endpoint: ['http://{host}']}}, '*': {{}}}}");
    fs::write(world.registries(), text).unwrap();
}

/// A registry with the workload as `app:1`.
pub fn origin() -> (Origin, Folder) {
    let (origin, folder) = nothing();
    origin.push(tool("skopeo"), &format!("docker-archive:{}", archives()[0].display()), "app:1");
    (origin, folder)
}

/// A registry with nothing in it yet.
pub fn nothing() -> (Origin, Folder) {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("holdfast-origin-{}-{number}", std::process::id()));
    let origin = Origin::open(&folder, tool("docker-registry"));
    (origin, Folder(folder))
}

/// A folder that goes at the end.
pub struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn asks_for(name: &str, image: &str, policy: &str) -> Value {
    with_main(pod(name, &["trap-term"]), json!({"image": image, "imagePullPolicy": policy}))
}

fn waiting<'p>(pod: &'p Seen, field: &str) -> &'p str {
    pod.main()["state"]["waiting"][field].as_str().unwrap_or_default()
}

/// Acceptance 14.07, 8.12: by tag and by digest; and what is here runs when the registry is gone.
#[test]
fn a_pod_whose_image_is_not_here_gets_it_from_a_registry() {
    let (origin, _folder) = origin();
    let world = world(&format!("127.0.0.1:{}", origin.port));
    world.write("tagged.yaml", &asks_for("tagged", "shop.test/app:1", "IfNotPresent"));
    world.running("tagged");
    let told = world.says(&["describe", "pod", &world.pod_name("tagged")]);
    for words in [
        "Pulling image \"shop.test/app:1\"",
        "Successfully pulled image \"shop.test/app:1\" in ",
        "s. Image size: ",
        " bytes.",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("already present"), "{told}");
    let image = format!("docker://{}", origin.image("app:1"));
    let digest =
        run(tool("skopeo").args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &image]));
    let named = format!("shop.test/app@{}", digest.trim());
    world.write("exact.yaml", &asks_for("exact", &named, "IfNotPresent"));
    assert_eq!(world.running("exact").main()["imageID"], named);
    world.write("always.yaml", &asks_for("always", "shop.test/app:1", "Always"));
    world.running("always");
    drop(origin);
    world.write("offline.yaml", &asks_for("offline", "shop.test/app:1", "Always"));
    world.running("offline");
    let told = world.says(&["describe", "pod", &world.pod_name("offline")]);
    assert!(told.contains("no other can be had") && told.contains("connection refused"), "{told}");
}

/// Acceptance 8.08: who asks for what nobody has is told why, and starts once it is there: registries.yaml is read at each pull.
#[test]
fn a_pod_whose_image_cannot_be_had_says_why_and_tries_again() {
    let (origin, _folder) = origin();
    let world = world("127.0.0.1:1");
    world.write("web.yaml", &asks_for("web", "shop.test/app:1", "IfNotPresent"));
    let failed = world.once("web", "cannot have its image", |pod| pod.reason() == "ErrImagePull");
    let message = waiting(&failed, "message");
    for words in [
        "failed to resolve reference",
        "127.0.0.1:1: connect: connection refused",
        "put an archive of it into",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(failed.phase(), "Pending");
    world.write("none.yaml", &asks_for("none", "shop.test/none:1", "Always"));
    world.once("none", "cannot have its image", |pod| pod.reason() == "ErrImagePull");
    // One pull that fails does not make another one begin before its time.
    stays_true_for(A_WHILE, "it waits", || world.pod("web").unwrap().reason() == "ErrImagePull");
    knows(&world, &format!("127.0.0.1:{}", origin.port));
    world.write("other.yaml", &asks_for("other", "shop.test/app:1", "IfNotPresent"));
    world.running("other");
    world.running("web");
}

/// What came is not fetched again, though the agent was killed in the middle of a layer. A pod that goes meanwhile is not held
/// up by its pull.
#[test]
fn a_pull_goes_on_where_it_stood_when_its_agent_was_killed() {
    let (origin, folder) = origin();
    let size: u64 = fs::metadata(&archives()[0]).unwrap().len();
    let largest = || -> u64 {
        let found = run(Command::new("find")
            .arg(folder.0.join("storage"))
            .args(["-name", "data", "-printf", "%s\n"]));
        found.lines().map(|line| line.parse::<u64>().unwrap()).max().unwrap()
    };
    let (largest, first) = (largest(), 256 << 10);
    assert!(first < largest && largest < size);
    let wire = Wire::new(origin.port, first, false);
    let mut world = world(&wire.host());
    world.write("web.yaml", &asks_for("web", "shop.test/app:1", "IfNotPresent"));
    world.write("gone.yaml", &asks_for("gone", "shop.test/app:1", "IfNotPresent"));
    eventually(SOON, "the wire holds", || (wire.came() == first).then_some(()));
    world.once("web", "says how far it is", |pod| waiting(pod, "message").contains("MiB are here"));
    world.remove("gone.yaml");
    world.gone("gone");
    world.kill_agent();
    world.start_agent();
    wire.allow(u64::MAX);
    world.running("web");
    let most = largest + (64 << 10);
    assert!(
        wire.came() < most + first / 4,
        "{} bytes came, of a layer of {largest}, after {first}",
        wire.came()
    );
    world.says(&["image", "verify"]);
}

/// Who waited for the pull of another is told how it went, as the one who began it; who comes later, that it was here.
#[test]
fn each_who_waited_for_an_image_is_told_how_it_came() {
    let (origin, _folder) = origin();
    let wire = Wire::new(origin.port, 64 << 10, false);
    let world = world(&wire.host());
    for name in ["first", "second"] {
        world.write(&format!("{name}.yaml"), &asks_for(name, "shop.test/app:1", "IfNotPresent"));
        world.once(name, "waits", |pod| waiting(pod, "message").contains("MiB are here"));
    }
    wire.allow(u64::MAX);
    for name in ["first", "second"] {
        world.running(name);
        let told = world.says(&["describe", "pod", &world.pod_name(name)]);
        assert!(told.contains("Successfully pulled image"), "{told}");
        assert!(!told.contains("already present"), "{told}");
    }
    world.write("later.yaml", &asks_for("later", "shop.test/app:1", "IfNotPresent"));
    world.running("later");
    let told = world.says(&["describe", "pod", &world.pod_name("later")]);
    assert!(told.contains("already present on machine"), "{told}");
}

/// `serializeImagePulls` and `registryPullQPS`: who has to wait says so, and comes later without having failed.
#[test]
fn pulls_wait_for_each_other_as_the_limits_have_it() {
    let (origin, _folder) = origin();
    let wire = Wire::new(origin.port, 64 << 10, false);
    let limited = |fields: &str| {
        let mut world = World::without_agent();
        for archive in archives() {
            fs::remove_file(world.archives().join(archive.file_name().unwrap())).unwrap();
        }
        knows(&world, &wire.host());
        world.kubelet_config = Some(fields.to_owned());
        world.start_agent();
        world
    };
    let world = limited("serializeImagePulls: true\nregistryPullQPS: 0\n");
    world.write("first.yaml", &asks_for("first", "shop.test/app:1", "IfNotPresent"));
    world.once("first", "is under way", |pod| waiting(pod, "message").contains("MiB are here"));
    world.write("second.yaml", &asks_for("second", "shop.test/none:1", "IfNotPresent"));
    world.once("second", "waits", |pod| waiting(pod, "message").ends_with(": others come first"));
    wire.allow(u64::MAX);
    world.running("first");
    world.once("second", "had its turn", |pod| pod.reason() == "ErrImagePull");
    drop(world);

    let world = limited("registryPullQPS: 1\nregistryBurst: 1\n");
    let names = ["one", "two", "three"];
    for name in names {
        let image = format!("shop.test/{name}:1");
        world.write(&format!("{name}.yaml"), &asks_for(name, &image, "Always"));
    }
    let is_held = |pod: &Seen| waiting(pod, "message").ends_with(": registryPullQPS holds it back");
    eventually(SOON, "one is held back", || world.pods().iter().any(is_held).then_some(()));
    for name in names {
        world.once(name, "had its turn", |pod| pod.reason().starts_with("ErrImagePull"));
    }
}
