//! Images that flash damaged, under pods that run and pods that start.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::lifecycle::main_process;
use super::registry::origin;
use crate::harness::image::{IMAGE, archives, run, tool};
use crate::harness::kernel::signal;
use crate::harness::pod::{pod, with_main};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};

/// A file of the image, as it is unpacked, that nobody has opened yet.
fn unread(world: &World, image: &str) -> PathBuf {
    let told: Value = serde_json::from_str(&world.says(&["image", "inspect", image])).unwrap();
    let layers = told[0]["layers"].as_array().unwrap().iter();
    let files = layers.map(|layer| Path::new(layer["path"].as_str().unwrap()).join("etc/unread0"));
    files.into_iter().find(|file| file.exists()).unwrap()
}

/// Another content of the same length, and the time as it was.
fn damage(file: &Path) {
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    fs::write(file, "of the devil\n").unwrap();
    File::open(file).unwrap().set_modified(modified).unwrap();
}

fn reads(world: &World, expected: &str) {
    let read = world.exec("web", &["cat", "/etc/unread0"]);
    assert_eq!(String::from_utf8_lossy(&read.stdout), expected, "{read:?}");
}

fn repair(world: &World) -> (Option<i32>, String) {
    let registries = world.registries().display().to_string();
    let flags = ["image", "verify", "--repair", "--disable-default-registry-endpoint", "--private-registry"];
    let output = world.cli(&[&flags[..], &[&registries]].concat());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn restart(world: &World) {
    signal(main_process(world, &world.running("web").uid(), "main"), Signal::SIGTERM);
}

#[test]
fn a_layer_is_made_again_under_a_pod_that_runs_on_it() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let life = world.running("web").life();
    damage(&unread(&world, IMAGE));
    let told = world.cli(&["image", "verify"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let (code, told) = repair(&world);
    assert!(code == Some(0) && told.contains("made again of ") && told.contains("workload-1.tar"), "{told}");
    world.says(&["image", "verify"]);
    stays_true_for(A_WHILE, "it goes on", || world.pod("web").is_some_and(|pod| pod.life() == life));
    reads(&world, "of the devil\n");
    restart(&world);
    world.once("web", "runs again", |pod| pod.restarts() == 1 && pod.is("Ready"));
    reads(&world, "of the image\n");
}

#[test]
fn nothing_starts_from_a_damaged_layer_and_the_pod_says_what_to_copy_where() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let life = world.running("web").life();
    let away = world.dir.join("staging/away");
    fs::rename(world.archives(), &away).unwrap();
    fs::create_dir(world.archives()).unwrap();
    let file = unread(&world, IMAGE);
    damage(&file);
    let (code, told) = repair(&world);
    assert!(
        code == Some(1) && told.contains("no container starts from it: copy an archive of it here"),
        "{told}"
    );
    eventually(SOON, "the node tells", || {
        world.says(&["describe", "node"]).contains("is damaged").then_some(())
    });
    stays_true_for(A_WHILE, "what runs goes on", || world.pod("web").is_some_and(|pod| pod.life() == life));
    restart(&world);
    let waits = world.once("web", "waits for its image", |pod| pod.reason() == "ErrImagePull");
    let message = waits.main()["state"]["waiting"]["message"].as_str().unwrap().to_owned();
    let layer = file.ancestors().nth(2).unwrap().display().to_string();
    let archives = world.archives().display().to_string();
    for words in
        [&*layer, "is damaged, so no container starts from it", "put an archive of image sha256:", &archives]
    {
        assert!(message.contains(words), "{words}: {message}");
    }
    fs::rename(away.join("workload-1.tar"), world.archives().join("one.tar")).unwrap();
    world.running("web");
    reads(&world, "of the image\n");
}

/// The agent asks for what it had, by its digest, though the tag means another image by now.
#[test]
fn an_agent_gets_a_damaged_layer_from_the_registry_that_the_image_came_from() {
    let (origin, _folder) = origin();
    let mut world = World::without_agent();
    for archive in archives() {
        fs::remove_file(world.archives().join(archive.file_name().unwrap())).unwrap();
    }
    let (registries, port) = (world.registries(), origin.port);
    let text = format!("mirrors: {{shop.test: {{endpoint: ['http://127.0.0.1:{port}']}}, '*': {{}}}}");
    let knows = || fs::write(&registries, &text).unwrap();
    knows();
    world.start_agent();
    let wanted = with_main(pod("web", &["trap-term"]), json!({"image": "shop.test/app:1"}));
    world.write("web.yaml", &wanted);
    let id = world.running("web").main()["imageID"].clone();
    origin.push(tool("skopeo"), &format!("docker-archive:{}", archives()[1].display()), "app:1");
    damage(&unread(&world, "shop.test/app:1"));
    fs::write(world.registries(), "mirrors: {'*': {}}").unwrap();
    let (code, told) = repair(&world);
    assert!(code == Some(1), "{told}");
    restart(&world);
    world.once("web", "waits for its image", |pod| pod.reason() == "ErrImagePull");
    knows();
    assert_eq!(world.running("web").main()["imageID"], id);
    reads(&world, "of the image\n");
}

/// A file system that says that it is broken where a container starts: nobody has to look first.
#[test]
fn an_agent_that_meets_a_broken_file_system_makes_the_layer_again_by_itself() {
    let mut world = World::without_agent();
    // Archives that no other story has a hand in: each link that comes or goes is a change, after which they are read anew.
    for archive in archives() {
        let own = world.archives().join(archive.file_name().unwrap());
        fs::remove_file(&own).unwrap();
        fs::copy(archive, &own).unwrap();
    }
    let disk = world.dir.join("disk");
    File::create(&disk).unwrap().set_len(256 << 20).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-b", "4096", "-O", "metadata_csum,^has_journal"]).arg(&disk));
    let store = world.data().join("agent/holdfast/images");
    fs::create_dir_all(&store).unwrap();
    let mount = |disk: &Path| run(Command::new("mount").args(["-o", "loop"]).arg(disk).arg(&store));
    mount(&disk);
    world.start_agent();
    eventually(SOON, "both are read", || (world.says(&["get", "images"]).lines().count() == 3).then_some(()));
    world.kill_agent();
    // Namespaces of other stories may have it mounted still, and blocks of it in memory: what is broken is a copy.
    nix::unistd::syncfs(File::open(&store).unwrap().as_raw_fd()).unwrap();
    umount2(&store, MntFlags::MNT_DETACH).unwrap();
    let broken = world.dir.join("broken");
    fs::copy(&disk, &broken).unwrap();
    break_folder(&broken, &["unread0", "unread4", "passwd"]);
    mount(&broken);
    world.start_agent();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.running("web");
    reads(&world, "of the image\n");
    let log = world.agent_log();
    assert!(log.contains("was damaged, and is made again of "), "{log}");
    world.down();
    umount2(&store, MntFlags::MNT_DETACH).unwrap();
}

/// Damages each block of the disk that lists these names, so that its sum is wrong.
fn break_folder(disk: &Path, names: &[&str]) {
    let file = File::options().read(true).write(true).open(disk).unwrap();
    let mut block = vec![0; 4096];
    let mut broken = 0;
    for at in (0..file.metadata().unwrap().len()).step_by(block.len()) {
        file.read_exact_at(&mut block, at).unwrap();
        let has = |name: &&str| block.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        if names.iter().all(has) {
            // The last bytes but those of the sum: no name is there.
            file.write_all_at(&[0x55; 8], at + 4096 - 64).unwrap();
            broken += 1;
        }
    }
    assert!(broken > 0, "no block lists {names:?}");
}
