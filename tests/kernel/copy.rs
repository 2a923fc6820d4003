//! `cp`, and what several containers print at once.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, World, eventually};

/// A world with a pod `web` whose container has the tools of busybox in a volume.
fn with_tools() -> World {
    let world = World::new();
    let tools = world.shared().join("bin");
    fs::create_dir_all(&tools).unwrap();
    crate::harness::image::copy_program(&crate::harness::image::busybox(), &tools.join("busybox"));
    for tool in ["tar", "test", "mkdir"] {
        symlink("busybox", tools.join(tool)).unwrap();
    }
    let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let manifest = with(pod("web", &["trap-term"]), json!({"volumes": volumes}));
    let fields = json!({
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        "env": [{"name": "PATH", "value": "/shared/bin"}],
    });
    let mut manifest = with_main(manifest, fields);
    manifest["spec"]["containers"].as_array_mut().unwrap().push(container("bare", &["trap-term"]));
    world.write("web.yaml", &manifest);
    world.running("web");
    world
}

/// Every name below `folder` with what it is.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()) {
            let metadata = fs::symlink_metadata(&entry).unwrap();
            let what = match metadata.is_dir() {
                true => "folder".to_string(),
                false => {
                    format!("{:x?} {:o}", fs::read(&entry).unwrap(), metadata.permissions().mode() & 0o777)
                }
            };
            found.push(format!("{} {what}", entry.strip_prefix(folder).unwrap().display()));
            if metadata.is_dir() {
                left.push(entry);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_tree_that_is_copied_in_and_out_again_is_the_same() {
    let world = with_tools();
    let from = world.dir.join("from");
    fs::create_dir_all(from.join("a/b/empty")).unwrap();
    fs::write(from.join("a/zeros"), vec![0; 300_000]).unwrap();
    fs::write(from.join("a/b").join("n".repeat(200)), "long name").unwrap();
    fs::write(from.join("script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(from.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(from.join("empty"), "").unwrap();
    let (from, to) = (from.to_str().unwrap(), world.dir.join("to"));
    world.says(&["cp", from, "default/web:/shared/copy", "-c", "main"]);
    assert_eq!(tree(&world.shared().join("copy")), tree(Path::new(from)));
    world.says(&["cp", "web:/shared/copy", to.to_str().unwrap(), "-c", "main"]);
    assert_eq!(tree(&to), tree(Path::new(from)));
    // Into a directory that is there: below it, by its own name.
    world.says(&["cp", from, "web:/shared/copy", "-c", "main", "--no-preserve"]);
    assert_eq!(tree(&world.shared().join("copy/from")), tree(Path::new(from)));
    // One file, to a name and into a directory.
    world.says(&["cp", "web:/shared/copy/script", to.join("one").to_str().unwrap(), "-c", "main"]);
    assert_eq!(fs::read_to_string(to.join("one")).unwrap(), "#!/bin/sh\n");
    world.says(&["cp", "web:/shared/copy/empty", to.join("a").to_str().unwrap(), "-c", "main"]);
    assert_eq!(fs::read(to.join("a/empty")).unwrap(), b"");
}

#[test]
fn a_link_that_is_copied_into_a_directory_is_that_link_by_its_name() {
    let world = with_tools();
    fs::write(world.dir.join("v1"), "one").unwrap();
    let current = world.dir.join("current");
    symlink("v1", &current).unwrap();
    world.says(&["cp", current.to_str().unwrap(), "web:/shared", "-c", "main"]);
    assert_eq!(fs::read_link(world.shared().join("current")).unwrap(), Path::new("v1"));
    assert!(fs::symlink_metadata(world.shared().join("v1")).is_err(), "something of the target's name");
}

#[test]
fn what_cannot_be_copied_is_told_with_what_to_do() {
    let world = with_tools();
    let to = world.dir.join("to");
    let to = to.to_str().unwrap();
    let error = |arguments: &[&str]| {
        let run = world.cli(arguments);
        assert_eq!(run.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(run.stderr).unwrap()
    };
    let bare = error(&["cp", "web:/etc", to, "-c", "bare"]);
    assert!(bare.contains("has no tar, which cp needs there"), "{bare}");
    fs::write(world.dir.join("file"), vec![b'x'; 500_000]).unwrap();
    let file = world.dir.join("file");
    let bare = error(&["cp", file.to_str().unwrap(), "web:/file", "-c", "bare"]);
    assert!(bare.contains("has no tar, which cp needs there"), "{bare}");
    let missing = error(&["cp", "web:/none", to, "-c", "main"]);
    assert!(missing.contains("tar in container \"main\"") && missing.contains("none"), "{missing}");
    let nowhere = error(&["cp", file.to_str().unwrap(), "web:/none/there", "-c", "main"]);
    assert!(nowhere.contains("tar in container \"main\""), "{nowhere}");
    assert!(error(&["cp", "a", "b"]).contains("one of the two must be in a pod"));
    // A container that plays tar and says what no tar says.
    let tar = world.shared().join("bin/tar");
    fs::remove_file(&tar).unwrap();
    fs::write(&tar, "#!/shared/bin/busybox sh\nexec /shared/bin/busybox cat /shared/bad\n").unwrap();
    fs::set_permissions(&tar, fs::Permissions::from_mode(0o755)).unwrap();
    let mut bad = tar::Builder::new(Vec::new());
    for name in ["./src", "./src/../../out", "./src/good"] {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(if name == "./src" {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        header.set_size(0);
        header.set_mode(0o755);
        header.set_cksum();
        bad.append(&header, std::io::empty()).unwrap();
    }
    fs::write(world.shared().join("bad"), bad.into_inner().unwrap()).unwrap();
    let refused = error(&["cp", "web:/x/src", to, "-c", "main"]);
    assert!(refused.contains("its name leads out") && refused.contains("1 of the entries"), "{refused}");
    assert!(Path::new(to).join("good").exists() && !world.dir.join("out").exists());
    // It never ends.
    fs::write(&tar, "#!/shared/bin/busybox sh\nexec /shared/bin/busybox yes\n").unwrap();
    let endless = error(&["cp", "web:/x/src", to, "-c", "main"]);
    assert!(endless.contains("copy \"/x/src\" from pod"), "{endless}");
}

/// 14.04, 14.10: logs of all containers of a pod, also while they are followed, across rotations.
#[test]
fn all_containers_of_a_pod_are_followed_to_their_end() {
    let world = World::new();
    let mut manifest =
        with(pod("two", &["write-lines", "30", "10", "50"]), json!({"restartPolicy": "Never"}));
    let side = container("side", &["write-lines", "30", "20", "50"]);
    manifest["spec"]["containers"].as_array_mut().unwrap().push(side);
    world.write("two.yaml", &manifest);
    world.running("two");
    let pod = world.pod_name("two");
    let mut follow = std::process::Command::new(crate::harness::binary());
    follow.arg("--runtime-dir").arg(&world.runtime);
    follow.args(["logs", "-f", &pod, "--all-containers", "--prefix"]);
    let mut follow = follow.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let both = || {
        let run = world.cli(&["logs", &pod, "--all-containers"]);
        String::from_utf8_lossy(&run.stdout).lines().filter(|line| line.ends_with('x')).count()
    };
    eventually(SOON, "all lines are written", || (both() == 60).then_some(()));
    world.remove("two.yaml");
    world.gone("two");
    eventually(SOON, "logs -f ends", || follow.try_wait().unwrap());
    let shown = String::from_utf8(follow.wait_with_output().unwrap().stdout).unwrap();
    for name in ["main", "side"] {
        let prefix = format!("[pod/{pod}/{name}] ");
        let lines = shown.lines().filter(|line| line.starts_with(&prefix) && line.ends_with('x')).count();
        assert_eq!(lines, 30, "{name}: {shown}");
    }
}
