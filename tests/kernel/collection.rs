//! Images that nobody uses go by a kubelet's thresholds, and nothing goes that could not come again (acceptance 9.21).

use std::fs;
use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

use crate::harness::image::{IMAGE, IMAGE_2, tool};
use crate::harness::pod::{container, pod, with};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};
use crate::images_by_hand::own;
use crate::registry::{asks_for, knows, nothing};

/// What `image ls` has.
pub fn has(world: &World, image: &str) -> bool {
    let listed: Value = serde_json::from_str(&world.says(&["image", "ls", "-o", "json"])).unwrap();
    listed.to_string().contains(&format!("\"{image}\""))
}

pub fn gone(world: &World, image: &str) {
    eventually(SOON, &format!("{image} is removed"), || (!has(world, image)).then_some(()));
}

/// The log says so, a moment after the image is gone.
fn told(world: &World, words: &str) {
    eventually(SOON, &format!("the log says {words:?}"), || world.agent_log().contains(words).then_some(()));
}

fn event(world: &World, words: &str) {
    eventually(SOON, &format!("an event says {words:?}"), || {
        world.says(&["get", "events", "-A", "-o", "json"]).contains(words).then_some(())
    });
}

/// A pod that waits: its init container does not end, and then it wants `image`.
fn waits_with(name: &str, image: &str) -> Value {
    let init = container("init", &["trap-term"]);
    let pod = asks_for(name, image, "IfNotPresent");
    with(pod, json!({"initContainers": [init]}))
}

/// 9.21, with seconds for minutes.
#[test]
fn an_image_that_nobody_used_for_the_maximum_age_is_removed_and_not_before() {
    let (origin, _folder) = nothing();
    let mut world = World::without_agent();
    world.kubelet_config =
        Some("fileCheckFrequency: 1s\nimageMinimumGCAge: 1ms\nimageMaximumGCAge: 2s\n".to_owned());
    for (archive, name) in [("one.tar", "one:1"), ("two.tar", "two:1"), ("three.tar", "three:1")] {
        let archive = own(&world, archive, archive.len());
        origin.push(tool("skopeo"), &format!("docker-archive:{}", archive.display()), name);
    }
    let host = format!("127.0.0.1:{}", origin.port);
    knows(&world, &host);
    world.start_agent();
    let [one, two, three] = ["one", "two", "three"].map(|name| format!("shop.test/{name}:1"));
    world.write("one.yaml", &asks_for("one", &one, "IfNotPresent"));
    world.write("two.yaml", &asks_for("two", &two, "IfNotPresent"));
    let hand = own(&world, "hand.tar", 4);
    world.says(&["image", "import", "--name", "by.hand/it:1", hand.to_str().unwrap()]);
    world.running("one");
    world.running("two");
    world.write("waits.yaml", &waits_with("waits", &two));
    world.remove("two.yaml");
    world.gone("two");
    let kept =
        [&one, &two, &IMAGE.to_owned(), &IMAGE_2.to_owned(), &"by.hand/it:1".to_owned()].map(Clone::clone);
    let all = |world: &World| kept.iter().all(|image| has(world, image));
    stays_true_for(A_WHILE, "what is used, waited for, or not from a registry is there", || all(&world));
    // Where no registry can be asked, nothing goes.
    knows(&world, "127.0.0.1:1");
    world.remove("one.yaml");
    world.gone("one");
    stays_true_for(2 * A_WHILE, "what cannot be had again is there", || all(&world));
    knows(&world, &host);
    gone(&world, &one);
    told(&world, "it can be pulled again");
    assert!(kept[1..].iter().all(|image| has(&world, image)));
    // What a registry had and a person brought too stays, and what a registry has not any more.
    world.write("three.yaml", &asks_for("three", &three, "IfNotPresent"));
    world.running("three");
    let archive = world.dir.join("three.tar");
    world.says(&["image", "import", archive.to_str().unwrap()]);
    world.remove("three.yaml");
    world.gone("three");
    stays_true_for(A_WHILE, "what a person brought is there", || has(&world, &three));
    world.write("one.yaml", &asks_for("one", &one, "IfNotPresent"));
    world.running("one");
    world.says(&["image", "verify"]);
}

/// A small disk for the world's images.
struct Disk(PathBuf);

impl Disk {
    fn new(world: &World, size: &str) -> Disk {
        let at = world.data().join("agent/holdfast/images");
        fs::create_dir_all(&at).unwrap();
        let options = Some(size);
        mount(Some("none"), &at, Some("tmpfs"), MsFlags::empty(), options).unwrap();
        Disk(at)
    }

    /// Writes or shortens a file so that so many percent are free.
    fn leave(&self, percent: u64) {
        let filler = self.0.join("filler");
        let _ = fs::remove_file(&filler);
        let look = statvfs(&self.0).unwrap();
        let (free, all) = (look.blocks_available(), look.blocks());
        let bytes = (free - all * percent / 100) * look.fragment_size();
        fs::write(filler, vec![1; usize::try_from(bytes).unwrap()]).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let gone = umount2(&self.0, MntFlags::MNT_DETACH);
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

/// Every agent looks as soon as images are old enough after its start, and then after five minutes.
#[test]
fn a_disk_that_is_full_loses_what_can_come_again_and_at_its_floor_what_a_registry_gave() {
    let (origin, _folder) = nothing();
    let mut world = World::without_agent();
    let disk = Disk::new(&world, "size=96M");
    world.kubelet_config = Some("fileCheckFrequency: 1s\nimageMinimumGCAge: 1ms\n".to_owned());
    for (archive, name, size) in [("one.tar", "one:1", 10 << 20), ("two.tar", "two:1", 11 << 20)] {
        let archive = own(&world, archive, size);
        origin.push(tool("skopeo"), &format!("docker-archive:{}", archive.display()), name);
    }
    knows(&world, &format!("127.0.0.1:{}", origin.port));
    world.start_agent();
    let [one, two] = ["one", "two"].map(|name| format!("shop.test/{name}:1"));
    world.write("one.yaml", &asks_for("one", &one, "IfNotPresent"));
    world.running("one");
    world.write("two.yaml", &asks_for("two", &two, "IfNotPresent"));
    world.running("two");
    world.write("waits.yaml", &waits_with("waits", &one));
    let hand = own(&world, "hand.tar", 4);
    world.says(&["image", "import", "--name", "by.hand/it:1", hand.to_str().unwrap()]);
    fs::remove_file(hand).unwrap();
    for name in ["one", "two"] {
        world.remove(&format!("{name}.yaml"));
        world.gone(name);
    }
    let anew = |world: &mut World, percent: u64| {
        world.kill_agent();
        disk.leave(percent);
        world.start_agent();
    };
    anew(&mut world, 17);
    stays_true_for(A_WHILE, "both are there", || has(&world, &one) && has(&world, &two));
    anew(&mut world, 14);
    // The other one came first, but a manifest waits with it.
    gone(&world, &two);
    // Of the last one there is no archive any more.
    let others = [IMAGE, IMAGE_2, "by.hand/it:1"];
    anew(&mut world, 4);
    event(&world, "FreeDiskSpaceFailed");
    stays_true_for(A_WHILE, "the others are there", || {
        has(&world, &one) && others.iter().all(|image| has(&world, image))
    });
    world.remove("waits.yaml");
    world.gone("waits");
    let part = disk.0.join("partial/part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, "a part of a layer").unwrap();
    drop(origin);
    anew(&mut world, 10);
    stays_true_for(A_WHILE, "what cannot come again is there", || has(&world, &one) && part.exists());
    anew(&mut world, 4);
    gone(&world, &one);
    assert!(!part.exists());
    told(&world, "no registry says that it has it");
    assert!(others.iter().all(|image| has(&world, image)), "what came in archives is there");
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.running("web");
    world.down();
    drop(disk);
}
