//! Why a container does not start, as a person is told it; and images that lead out of themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use holdfast::protocol::{Propagation, Reply, Request, StartContainer, SubPath, VOLUMES};
use holdfast::status::Reason;
use serde_json::{Value, json};

use crate::world::*;

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

#[test]
fn why_something_cannot_be_mounted_is_told_as_a_person_would() {
    let world = World::new();
    let [folder, file, gone] = ["folder", "file", "gone"].map(|name| world.directory.join(name));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, "").unwrap();
    let (of_folder, of_file) = (
        "; this is a directory, and can be only where the image has a directory or nothing",
        "; this is no directory, and can be only where the image has a file or nothing",
    );
    let read_only =
        "; what it is to be mounted on is missing, and cannot be made below something that is read-only";
    let cases = [
        (bind(&gone, "/mnt", &["rbind"]), "/mnt", "No such file or directory", ""),
        (bind(&folder, "/etc/passwd", &["rbind"]), "/etc/passwd", "Not a directory", of_folder),
        (bind(&file, "/etc", &["bind"]), "/etc", "Invalid argument", of_file),
        (bind(&file, "/etc/passwd/x", &["bind"]), "/etc/passwd/x", "Not a directory", of_file),
        (bind(&folder, "/read-only/new", &["rbind"]), "/read-only/new", "Read-only file system", read_only),
    ];
    for (attempt, (mount, at, why, more)) in cases.into_iter().enumerate() {
        let mut config = config(&["/bin/true"]);
        let source = mount["source"].as_str().unwrap().to_owned();
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(bind(&folder, "/read-only", &["rbind", "ro"]));
        mounts.push(mount);
        let failure = world.fail(world.request("c", u32::try_from(attempt).unwrap(), &config));
        let expected = format!("set the container up: mount {source} at {at}: {why}{more}");
        assert_eq!((failure.reason, failure.message), (Reason::RunContainerError, expected));
    }
}

#[test]
fn why_a_program_cannot_be_executed_is_told_as_a_person_would() {
    let world = World::new();
    let cases = [
        (
            "/bin/missing",
            "/",
            "exec: \"/bin/missing\": no such file or directory (it, or the interpreter that it names)",
        ),
        ("missing", "/", "exec: \"missing\": executable file not found in $PATH"),
        ("/bin", "/", "exec: \"/bin\": permission denied"),
        ("/bin/true", "/etc/passwd", "make the working directory /etc/passwd: Not a directory (os error 20)"),
        (
            "/bin/true",
            "/etc/passwd/x",
            "make the working directory /etc/passwd/x: Not a directory (os error 20)",
        ),
    ];
    for (attempt, (program, directory, expected)) in cases.into_iter().enumerate() {
        let mut config = config(&[program]);
        config["process"]["cwd"] = json!(directory);
        let failure = world.fail(world.request("c", u32::try_from(attempt).unwrap(), &config));
        assert_eq!(failure.message, expected);
    }
}

/// Threats 3, 4 and 9: an image may have a link in the place of every directory that something is mounted on or made in.
#[test]
fn a_link_of_an_image_leads_to_nothing_that_is_the_nodes() {
    let world = World::new();
    let outside = world.directory.join("outside");
    fs::create_dir_all(outside.join("kept")).unwrap();
    fs::write(outside.join("hosts"), "the node's").unwrap();
    let ours = world.directory.join("ours");
    fs::write(&ours, "ours").unwrap();
    // As many steps up as any root file system is deep.
    let up = PathBuf::from("../".repeat(40)).join(outside.strip_prefix("/").unwrap());
    let mut attempt = 0;
    for target in [&outside, &up] {
        for link in ["proc", "dev", "sys", "etc", "work", "etc/hosts", "proc/self", "dev/pts", "sys/fs"] {
            let mut config = config(&["/bin/true"]);
            config["process"]["cwd"] = json!("/work/new");
            config["mounts"].as_array_mut().unwrap().push(bind(&ours, "/etc/hosts", &["bind"]));
            let request = world.request("c", attempt, &config);
            let link = Path::new(&request.overlay.upper).join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(target, &link).unwrap();
            assert_eq!(
                link.canonicalize().unwrap(),
                outside.canonicalize().unwrap(),
                "whoever follows it is there"
            );
            // Some of them run, with what is theirs; all that counts is the node.
            let mut watcher = world.watch();
            match world.client().ask(&Request::StartContainer(Box::new(request))) {
                Reply::Started { .. } => drop(watcher.exited("c", attempt)),
                Reply::Failed(_) => {}
                other => panic!("{other:?}"),
            }
            let mut names: Vec<_> =
                fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["hosts", "kept"], "{}", link.display());
            assert_eq!(fs::read_dir(outside.join("kept")).unwrap().count(), 0, "{}", link.display());
            assert_eq!(
                fs::read_to_string(outside.join("hosts")).unwrap(),
                "the node's",
                "{}",
                link.display()
            );
            attempt += 1;
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(outside.to_str().unwrap()), "{mounts}");
}

/// Threat 7: a part of a volume that somebody swaps for a link while containers start. What is mounted is in the volume, or
/// the container does not start; and with a run go its mounts.
#[test]
fn a_part_of_a_volume_that_is_swapped_meanwhile_shows_nothing_else() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = World::new();
    let (volume, outside) = (world.directory.join("volume"), world.directory.join("outside"));
    fs::create_dir_all(volume.join("part")).unwrap();
    fs::write(volume.join("part/right"), "").unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("wrong"), "").unwrap();
    symlink(&outside, volume.join("link")).unwrap();
    let request = |attempt| {
        let mut config = config(&["/bin/ls", "/mnt"]);
        let place = world.pod().join(format!("containers/c-{attempt}/{VOLUMES}/0"));
        config["mounts"].as_array_mut().unwrap().push(bind(&place, "/mnt", &["rbind"]));
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let (root, place) = (text(&volume), text(&place));
        let part = SubPath {
            volume: "v".into(),
            root,
            path: "part".into(),
            make: true,
            place,
            propagation: Propagation::AsOthers,
            image: None,
        };
        StartContainer { sub_paths: vec![part], ..world.request("c", attempt, &config) }
    };
    let over = AtomicBool::new(false);
    let mut refused = 0;
    let mut shown = std::thread::scope(|scope| {
        scope.spawn(|| {
            use nix::fcntl::{RenameFlags, renameat2};
            let (part, link) = (volume.join("part"), volume.join("link"));
            while !over.load(Ordering::Relaxed) {
                renameat2(None, &part, None, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        let mut watcher = world.watch();
        let starts = (0..30).filter_map(|attempt| {
            let request = request(attempt);
            let log = request.log.path.clone();
            match world.client().ask(&Request::StartContainer(Box::new(request))) {
                Reply::Started { .. } => {
                    watcher.exited("c", attempt);
                    Some(text_of(&fs::read_to_string(log).unwrap()))
                }
                Reply::Failed(failure) => {
                    refused += 1;
                    let start = "failed to prepare subPath for volumeMount \"v\" of container \"c\": ";
                    assert_eq!(failure.reason, Reason::CreateContainerConfigError);
                    assert!(failure.message.starts_with(start), "{failure}");
                    None
                }
                other => panic!("{other:?}"),
            }
        });
        let shown: Vec<String> = starts.collect();
        over.store(true, Ordering::Relaxed);
        shown
    });
    shown.dedup();
    assert_eq!(shown, ["right\n"], "{refused} were refused");
    assert!(refused > 0, "nobody was in the way");
    eventually("nothing is left", || world.left_over().is_empty());
}

/// Threat 7, CVE-2021-30465: what a mount is to stand on lies in a volume, in which somebody swaps it for a link to the node's.
/// Were that followed, the next mount would have its source from under the first.
#[test]
fn what_a_mount_stands_on_is_in_the_container_whoever_swaps_it() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = World::new();
    let [volume, outside, other] = ["volume", "outside", "other"].map(|name| world.directory.join(name));
    for (folder, file) in [(&volume, "inner/in-volume"), (&outside, "right"), (&other, "wrong")] {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    let up = PathBuf::from("../".repeat(40)).join(outside.strip_prefix("/").unwrap());
    symlink(&up, volume.join("link")).unwrap();
    assert!(volume.join("link/right").exists(), "whoever follows it is there");
    let over = AtomicBool::new(false);
    let (mut shown, mut failed) = std::thread::scope(|scope| {
        scope.spawn(|| {
            use nix::fcntl::{RenameFlags, renameat2};
            let (inner, link) = (volume.join("inner"), volume.join("link"));
            while !over.load(Ordering::Relaxed) {
                renameat2(None, &inner, None, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        let mut watcher = world.watch();
        let (mut shown, mut failed) = (Vec::new(), Vec::new());
        for attempt in 0..30 {
            let mut config = config(&["/bin/ls", "/mnt"]);
            let mounts = config["mounts"].as_array_mut().unwrap();
            for (source, at) in [(&volume, "/v"), (&other, "/v/inner"), (&outside, "/mnt")] {
                mounts.push(bind(source, at, &["rbind"]));
            }
            let request = world.request("c", attempt, &config);
            let log = request.log.path.clone();
            match world.client().ask(&Request::StartContainer(Box::new(request))) {
                Reply::Started { .. } => {
                    watcher.exited("c", attempt);
                    shown.push(text_of(&fs::read_to_string(log).unwrap()));
                }
                Reply::Failed(failure) => failed.push(failure.message),
                other => panic!("{other:?}"),
            }
        }
        over.store(true, Ordering::Relaxed);
        (shown, failed)
    });
    shown.dedup();
    failed.dedup();
    assert_eq!(shown, ["right\n"], "{failed:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "something was made outside");
    eventually("nothing is left", || world.left_over().is_empty());
}
