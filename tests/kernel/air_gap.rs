//! What k3s finds in its images directory: bundles of many images, lists of images to pull, and its own notes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::collection::{gone, has};
use crate::harness::image::{IMAGE, IMAGE_2, archives, run, tool};
use crate::harness::pod::{pod, with_main};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};
use crate::images_by_hand::own;
use crate::registry::{knows, nothing};

/// What the node warns of.
fn warnings(world: &World) -> String {
    let text = fs::read(world.runtime.join("node.json")).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["warnings"].to_string()
}

/// Puts a list there by a rename.
fn list(world: &World, name: &str, text: &[u8]) {
    let staged = world.dir.join("staging").join(name);
    fs::write(&staged, text).unwrap();
    fs::rename(staged, world.archives().join(name)).unwrap();
}

/// What a list names is pulled as soon as that can be, said where it cannot be yet, and kept while the list is there.
#[test]
fn what_a_list_names_is_pulled_and_stays_while_the_list_does() {
    let (origin, _folder) = nothing();
    let mut world = World::without_agent();
    world.kubelet_config =
        Some("fileCheckFrequency: 1s\nimageMinimumGCAge: 1ms\nimageMaximumGCAge: 2s\n".to_owned());
    let archive = own(&world, "one.tar", 7);
    origin.push(tool("skopeo"), &format!("docker-archive:{}", archive.display()), "one:1");
    knows(&world, "127.0.0.1:1");
    let one = "shop.test/one:1";
    list(&world, "fleet.txt", format!("# of our boxes\n\n  {one}  \n{IMAGE}\n").as_bytes());
    world.start_agent();
    eventually(SOON, "it is told", || {
        let told = warnings(&world);
        (told.contains("fleet.txt: shop.test/one:1 cannot be had yet") && told.contains("connection refused"))
            .then_some(())
    });
    knows(&world, &format!("127.0.0.1:{}", origin.port));
    // Ten seconds after the first try.
    eventually(2 * SOON, "it is here", || has(&world, one).then_some(()));
    eventually(SOON, "all is well", || (!warnings(&world).contains("fleet.txt")).then_some(()));
    stays_true_for(2 * A_WHILE, "it is kept, though nobody uses it", || has(&world, one));
    fs::remove_file(world.archives().join("fleet.txt")).unwrap();
    gone(&world, one);
    assert_eq!(world.agent_log().matches("connection refused").count(), 2, "{}", world.agent_log());
}

/// Whatever is called a list, what is wrong with it is told, and it holds up nobody.
#[test]
fn a_list_that_is_none_is_told_and_holds_up_nobody() {
    let world = World::new();
    let many = "shop.test/app:1\n".repeat(300);
    let long = vec![b'a'; 100 << 20];
    for (name, text, told) in [
        ("many.txt", many.as_bytes(), "many.txt: it names more than 256 images"),
        ("LONG.TXT", &long, "LONG.TXT: it has more than 64 KiB"),
        ("binary.txt", b"\x7fELF\x00\x01", "binary.txt: it is no text"),
        ("sha256sum-arm64.txt", b"5d41  k3s-airgap-images-arm64.tar.zst\n", "sha256sum-arm64.txt: line 1"),
    ] {
        list(&world, name, text);
        eventually(SOON, "it is told", || warnings(&world).contains(told).then_some(()));
        fs::remove_file(world.archives().join(name)).unwrap();
        eventually(SOON, "it is told no more", || (!warnings(&world).contains(name)).then_some(()));
    }
    run(Command::new("mkfifo").arg(world.archives().join("pipe.txt")));
    eventually(SOON, "it is told", || warnings(&world).contains("pipe.txt: it cannot be read").then_some(()));
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.running("web");
}

/// Archives of several images as one, as `docker save` writes it, with other names.
fn bundle(folder: &Path, names: &[&str]) -> PathBuf {
    let mut manifest = Vec::new();
    for (archive, name) in archives().iter().zip(names) {
        run(Command::new("tar").arg("-C").arg(folder).arg("-xf").arg(archive));
        let text = fs::read(folder.join("manifest.json")).unwrap();
        let mut one: Vec<Value> = serde_json::from_slice(&text).unwrap();
        one[0]["RepoTags"] = json!([name]);
        manifest.append(&mut one);
    }
    fs::remove_file(folder.join("repositories")).ok();
    fs::write(folder.join("manifest.json"), json!(manifest).to_string()).unwrap();
    let tar = folder.with_extension("tar");
    run(Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(&tar).arg("."));
    run(Command::new("zstd").args(["-q", "--rm"]).arg(&tar));
    folder.with_extension("tar.zst")
}

/// The layout of k3s' air-gap installation, with what k3s itself keeps there.
#[test]
fn a_bundle_of_k3s_gives_all_of_its_images() {
    let mut world = World::without_agent();
    for archive in archives() {
        fs::remove_file(world.archives().join(archive.file_name().unwrap())).unwrap();
    }
    fs::write(world.archives().join(".cache.json"), "{}").unwrap();
    let names = ["docker.io/rancher/mirrored-pause:3.6", "docker.io/rancher/klipper-lb:v0.4.9"];
    let folder = world.dir.join("bundle");
    fs::create_dir(&folder).unwrap();
    let bundle = bundle(&folder, &names);
    world.start_agent();
    fs::rename(bundle, world.archives().join("k3s-airgap-images-arm64.tar.zst")).unwrap();
    for (pod_name, image) in [("pause", "rancher/mirrored-pause:3.6"), ("lb", names[1])] {
        let fields = json!({"image": image, "imagePullPolicy": "IfNotPresent"});
        world.write(&format!("{pod_name}.yaml"), &with_main(pod(pod_name, &["trap-term"]), fields));
        world.running(pod_name);
    }
    assert!(!has(&world, IMAGE) && !has(&world, IMAGE_2));
    assert!(!warnings(&world).contains("agent/images"), "{}", warnings(&world));
}
