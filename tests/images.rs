//! `holdfast image` without an agent: against a store and a published directory that the test made. Root, for the owners of
//! files in layers; no containers.
#![allow(clippy::unwrap_used)]

mod pty;
#[allow(dead_code, reason = "shared by several test programs")]
mod world;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use holdfast::image::{Digest, sample};
use pty::Pty;
use serde_json::{Value, json};
use world::{Run, World, object, output, running};

/// A world in which an agent ran on a data directory of its own, and what it published of itself.
fn world() -> World {
    let world = World::without_agent();
    let node = json!({
        "version": 1, "name": "edge-1", "pid": 1, "started": 0, "cgroup_root": "/", "data_dir": world.root().join("data"),
        "manifests_dir": "/manifests", "log_dir": "/log",
    });
    fs::write(world.runtime().join("node.json"), node.to_string()).unwrap();
    world
}

/// An archive of the image `name`, which runs a program that consists of `content`.
fn archive(world: &World, file: &str, name: &str, content: &str) -> PathBuf {
    let program = world.root().join("program");
    fs::write(&program, content).unwrap();
    let archive = world.root().join(file);
    fs::create_dir_all(archive.parent().unwrap()).unwrap();
    sample(&program, &archive, name).unwrap();
    archive
}

/// Ends well and says this on stdout; what it says to people.
#[track_caller]
fn says(run: Run, expected: &str) -> String {
    assert_eq!((run.code, &*run.out), (0, expected), "{}", run.err);
    run.err
}

/// The id that `image ls -q` tells of the only image.
fn id(world: &World) -> String {
    world.run(&["image", "ls", "-q"]).out.trim_end().to_string()
}

#[test]
fn the_store_is_that_of_the_agent_that_ran_here_or_the_one_that_is_named() {
    let world = world();
    assert_eq!(says(world.run(&["image", "ls"]), ""), "No images found.\n");
    let one = archive(&world, "one.tar", "one:1", "one");
    let two = archive(&world, "two.tar", "two:1", "two");
    world.run(&["image", "import", one.to_str().unwrap()]);
    assert!(world.root().join("data/agent/holdfast/images/index.json").exists());
    let other = world.root().join("other").display().to_string();
    world.run(&["image", "import", two.to_str().unwrap(), "--data-dir", &other]);
    world.check(&["image", "ls", "-o", "name"], "docker.io/library/one:1\n");
    world.check(&["image", "--data-dir", &other, "ls", "-o", "name"], "docker.io/library/two:1\n");
    let table = world.run(&["image", "ls"]).out;
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["docker.io/library/one:1", &id(&world)[7..20], "3B"]);
    let list: Value = serde_json::from_str(&world.run(&["image", "ls", "-o", "json"]).out).unwrap();
    let yaml: Value = serde_yaml::from_str(&world.run(&["image", "ls", "-o", "yaml"]).out).unwrap();
    assert_eq!((&list, &list["images"][0]["repoTags"][0]), (&yaml, &json!("docker.io/library/one:1")));
}

#[test]
fn a_directory_of_archives_is_taken_in_and_what_is_none_stops_no_other() {
    let world = world();
    archive(&world, "usb/one.tar", "one:1", "one");
    archive(&world, "usb/two.tar", "two:1", "two");
    fs::write(world.root().join("usb/readme.txt"), "no archive").unwrap();
    fs::write(world.root().join("usb/.hidden"), "not looked at").unwrap();
    let usb = world.root().join("usb").display().to_string();
    let run = world.run(&["image", "import", &usb]);
    assert_eq!(run.code, 1);
    let names: Vec<&str> = run.out.lines().map(|line| line.split_once(" sha256:").unwrap().0).collect();
    assert_eq!(names, ["docker.io/library/one:1", "docker.io/library/two:1"]);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert!(
        run.err.starts_with(&format!("error: import {usb}/readme.txt: ends in the middle")),
        "{}",
        run.err
    );

    fs::remove_file(world.root().join("usb/readme.txt")).unwrap();
    let again = world.run(&["image", "import", &usb]);
    assert_eq!((again.code, &*again.out), (0, &*run.out), "{}", again.err);
    assert!(
        again.err.contains("one.tar: nothing new, it was read before and has not changed\n"),
        "{}",
        again.err
    );
    world.check_error(
        &["image", "import", "--name", "me/mine", &usb],
        "error: --name fits one image, and there are 2 archives: import them one by one",
    );
    fs::create_dir(world.root().join("empty")).unwrap();
    let empty = world.root().join("empty").display().to_string();
    world.check_error(&["image", "import", &empty], &format!("error: {empty} holds no files"));
    fs::write(world.root().join("empty/oci-layout"), "{}").unwrap();
    world.check_error(
        &["image", "import", &empty],
        &format!("error: {empty} is an OCI layout, not a directory"),
    );
    world.check_error(&["image", "import", "/nowhere.tar"], "error: import /nowhere.tar: No such file");
    world.check_error(&["image", "import", "/dev/zero"], "error: import /dev/zero: it is no regular file");
}

#[test]
fn stdin_may_be_a_file_or_a_pipe_and_is_told_when_it_is_no_archive() {
    let world = world();
    let bytes = fs::read(archive(&world, "one.tar", "one:1", "one")).unwrap();
    let run = world.run_with_input(&["image", "import", "-"], &bytes);
    assert!(says(run, &format!("docker.io/library/one:1 {}\n", id(&world))).is_empty());
    let of_file = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .arg(format!("--runtime-dir={}", world.runtime().display()))
        .args(["image", "import", "--name", "me/mine:2", "-"])
        .stdin(fs::File::open(world.root().join("one.tar")).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(output(of_file).out.contains("docker.io/me/mine:2 sha256:"));
    let run = world.run_with_input(&["image", "import", "-"], b"");
    assert_eq!((run.code, &*run.err), (1, "error: import stdin: is empty\n"));
    let tmp = world.root().join("data/agent/holdfast/images/tmp");
    assert_eq!(fs::read_dir(tmp).unwrap().count(), 0);
}

/// 14.07: what is meant by a name, a digest or an id; a name goes alone.
#[test]
fn a_name_goes_alone_and_an_id_takes_all_names() {
    let world = world();
    let path = archive(&world, "one.tar", "one:1", "one").display().to_string();
    world.run(&["image", "import", &path]);
    for name in ["one:2", "one"] {
        world.run(&["image", "import", "--name", name, &path]);
    }
    let id = id(&world);
    says(world.run(&["image", "rm", "one"]), "untagged docker.io/library/one:latest\n");
    let all = format!("removed docker.io/library/one:1, docker.io/library/one:2 {id}\n");
    assert_eq!(
        says(world.run(&["image", "rm", &id[7..15]]), &all),
        "",
        "its archive is in no agent's directory"
    );
    world.check_error(
        &["image", "rm", "one:1"],
        "error: image \"one:1\" not found; `holdfast image ls` lists all",
    );
    let run = world.run(&["image", "inspect", "one:1"]);
    assert_eq!((run.code, &*run.out), (1, "[]\n"), "as docker");
    assert!(run.err.starts_with("error: image \"one:1\" not found"), "{}", run.err);
    world.run(&["image", "import", &path]);
    // The first takes the image away from the second.
    let run = world.run(&["image", "rm", "one:1", "one:1"]);
    assert_eq!((run.code, run.out.lines().count(), run.err.lines().count()), (1, 1, 1), "{}", run.err);
}

/// Pods that ended use nothing; one that waits does, and so does one that runs on what the name was before.
#[test]
fn what_a_published_pod_uses_is_not_removed() {
    let world = world();
    let first = archive(&world, "first.tar", "one:1", "first").display().to_string();
    let second = archive(&world, "second.tar", "one:1", "second").display().to_string();
    world.run(&["image", "import", &first]);
    let old = id(&world);
    let mut status = running("a");
    status["imageID"] = json!(old);
    let mut pod = object("web", "prod", json!([status]));
    pod["spec"]["containers"][0]["image"] = json!("one:1");
    world.publish("1", pod.clone());
    let run = world.run(&["image", "import", &second]);
    assert_eq!(
        (run.code, &*run.err),
        (0, "warning: docker.io/library/one:1 was another image's name until now\n")
    );
    let used = "is used by pod prod/web-edge-1: remove the manifest first";
    world.check_error(&["image", "rm", &old], &format!("error: image {old} {used}"));
    world.check_error(&["image", "rm", "one:1"], &format!("error: image docker.io/library/one:1 {used}"));
    let told: Value = serde_json::from_str(&world.run(&["image", "inspect", "one:1"]).out).unwrap();
    assert_eq!(told[0]["usedBy"][0]["pod"], "prod/web-edge-1");
    let forced = world.run(&["image", "rm", "--force", &old]);
    assert_eq!(forced.code, 0, "{}", forced.err);

    pod["status"]["phase"] = json!("Succeeded");
    world.publish("1", pod);
    assert_eq!(world.run(&["image", "rm", "one:1"]).code, 0);
}

#[test]
fn damage_is_told_with_what_to_do_and_by_the_exit_code() {
    let world = world();
    let path = archive(&world, "one.tar", "one:1", "one").display().to_string();
    world.run(&["image", "import", &path]);
    let whole = "NAME                      STATE   MESSAGE\ndocker.io/library/one:1   Whole   1 layer, 3B\n";
    world.check(&["image", "verify"], whole);
    world.check(&["image", "verify", "one:1"], whole);
    let id = id(&world);
    let told: Value = serde_json::from_str(&world.run(&["image", "inspect", &id]).out).unwrap();
    let layer = PathBuf::from(told[0]["layers"][0]["path"].as_str().unwrap());
    fs::write(layer.join("holdfast"), "two").unwrap();
    let run = world.run(&["image", "verify"]);
    assert_eq!(run.code, 1);
    assert!(
        run.out.contains("Damaged   layer 1 of 1, ") && run.out.contains(layer.to_str().unwrap()),
        "{}",
        run.out
    );
    assert!(run.err.contains(&format!("`holdfast image verify --repair {id}`")), "{}", run.err);
    let repair = [
        "image",
        "verify",
        "--repair",
        "--private-registry",
        "/nowhere",
        "--disable-default-registry-endpoint",
    ];
    let run = world.run(&repair);
    assert_eq!((run.code, &*run.out), (0, whole), "{}", run.err);
    assert!(run.err.ends_with(&format!("docker.io/library/one:1: made again of {path}\n")), "{}", run.err);
    world.check(&["image", "verify"], whole);
    // With no archive and no registry it stays as it is.
    fs::remove_file(&path).unwrap();
    fs::write(layer.join("holdfast"), "two").unwrap();
    let run = world.run(&repair);
    assert_eq!(run.code, 1);
    let archives = world.root().join("data/agent/images").display().to_string();
    for words in [
        "it cannot be made again: no archive is there that it came from: and no registry can be asked for exactly this one",
        &format!("image {id} is damaged still, and no container starts from it: copy an archive of it here"),
        &archives,
    ] {
        assert!(run.err.contains(words), "{words}: {}", run.err);
    }
    assert_eq!(fs::read_to_string(layer.join("holdfast")).unwrap(), "two");
    fs::write(layer.join("holdfast"), "one").unwrap();
    fs::write(world.root().join("program"), "one").unwrap();
    sample(&world.root().join("program"), std::path::Path::new(&path), "one:1").unwrap();
    world.run(&["image", "import", &path]);
    world.check(&["image", "verify"], whole);
    let run = world.run(&["image", "verify", "one:1", "two:1"]);
    assert_eq!((run.code, &*run.out), (1, whole), "what is here is told all the same");
}

/// A file is whole or not there, and what had its name stays until then; stdout gets the same bytes.
#[test]
fn an_image_is_saved_whole_or_not_at_all() {
    let world = world();
    let path = archive(&world, "one.tar", "one:1", "one").display().to_string();
    world.run(&["image", "import", &path]);
    let id = id(&world);
    let out = world.root().join("out");
    fs::create_dir(&out).unwrap();
    let file = out.join("one.tar");
    let (to, there) = (file.display().to_string(), || fs::read_dir(&out).unwrap().count());
    assert_eq!(says(world.run(&["image", "save", "one:1", "-o", &to]), ""), "");
    let bytes = fs::read(&file).unwrap();
    let piped = holdfast(&world, &["save", &id[7..17]]).stdout(Stdio::piped()).output().unwrap();
    assert!(piped.status.success() && piped.stdout == bytes && there() == 1);
    let other = world.root().join("other").display().to_string();
    let imported = world.run(&["image", "--data-dir", &other, "import", &to]);
    assert_eq!(says(imported, &format!("docker.io/library/one:1 {id}\n")), "");

    let mut pty = Pty::run(&holdfast(&world, &["save", "one:1"]));
    pty.sees("stdout is a terminal: say `-o FILE`");
    assert_eq!(pty.ends(), Some(1));
    world.check_error(&["image", "save", "two:1", "-o", &to], "error: image \"two:1\" not found");
    world.check_error(
        &["image", "save", "one:1", "-o", "/nowhere/x"],
        "error: save docker.io/library/one:1: make /nowhere",
    );
    let full =
        holdfast(&world, &["save", "one:1"]).stdout(fs::File::create("/dev/full").unwrap()).output().unwrap();
    let told = String::from_utf8_lossy(&full.stderr).into_owned();
    assert!(!full.status.success() && told.contains("No space left on device"), "{told}");
    let told: Value = serde_json::from_str(&world.run(&["image", "inspect", &id]).out).unwrap();
    let layer = PathBuf::from(told[0]["layers"][0]["path"].as_str().unwrap());
    fs::write(layer.join("holdfast"), "two").unwrap();
    fs::write(&file, "as it was").unwrap();
    let run = world.run(&["image", "save", "one:1", "-o", &to]);
    let words = "error: save docker.io/library/one:1: layer 1 of 1, ";
    assert!(
        run.code == 1 && run.err.starts_with(words) && run.err.contains("verify --repair"),
        "{}",
        run.err
    );
    assert_eq!((fs::read_to_string(&file).unwrap(), there()), ("as it was".to_owned(), 1));
}

#[test]
fn who_presses_control_c_while_an_image_is_saved_leaves_no_file() {
    let world = world();
    let path = archive(&world, "large.tar", "large:1", &"x".repeat(64 << 20)).display().to_string();
    world.run(&["image", "import", &path]);
    let out = world.root().join("out");
    fs::create_dir(&out).unwrap();
    let to = out.join("large.tar").display().to_string();
    let mut pty = Pty::run(&holdfast(&world, &["save", "large:1", "-o", &to]));
    pty.sees("%  ");
    pty.type_in("\u{3}");
    pty.sees("interrupted: nothing of ");
    assert_eq!(pty.ends(), Some(130));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}

/// `holdfast image`, to be run some other way than by the world.
fn holdfast(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("--runtime-dir").arg(world.runtime()).arg("image").args(arguments);
    command
}

#[test]
fn who_is_not_root_is_told_so() {
    let world = world();
    world.run(&["image", "import", archive(&world, "one.tar", "one:1", "one").to_str().unwrap()]);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o755)).unwrap();
    // A program that nobody may read could not be started by nobody.
    let program = world.root().join("holdfast");
    // By a process of its own: what this one writes, a child of another test may hold open when it is to be executed.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_holdfast")).arg(&program).status();
    assert!(copied.unwrap().success());
    for verb in [
        &["ls"][..],
        &["import", "/etc/hostname"],
        &["rm", "one:1"],
        &["inspect", "one:1"],
        &["verify"],
        &["save", "one:1"],
    ] {
        let run = Command::new(&program)
            .arg(format!("--runtime-dir={}", world.runtime().display()))
            .arg("image")
            .args(verb)
            .uid(65534)
            .gid(65534)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let run = output(run);
        assert_eq!((run.code, &*run.out), (1, ""), "{verb:?}: {}", run.err);
        assert!(
            run.err.starts_with("error: ") && run.err.ends_with("run this as root\n"),
            "{verb:?}: {}",
            run.err
        );
    }
}

/// What an image says of itself steers no terminal, in no format.
#[test]
fn a_hostile_image_is_shown_harmlessly() {
    const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{8}\r\u{7f}\u{202e}";
    let world = world();
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_cksum();
    layer.append_data(&mut header, "file", &b""[..]).unwrap();
    let layer = layer.into_inner().unwrap();
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "author": HOSTILE, "created": HOSTILE,
        "config": {
            "Entrypoint": [HOSTILE], "Cmd": [HOSTILE], "Env": [format!("{HOSTILE}={HOSTILE}")], "User": HOSTILE,
            "WorkingDir": HOSTILE, "StopSignal": HOSTILE, "ExposedPorts": {HOSTILE: {}}, "Labels": {HOSTILE: HOSTILE},
        },
        "history": [{"created_by": HOSTILE}],
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    });
    let config = config.to_string();
    let manifest = json!([{"Config": "c", "RepoTags": ["hostile:1"], "Layers": ["l"]}]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in
        [("l", &layer[..]), ("c", config.as_bytes()), ("manifest.json", manifest.as_bytes())]
    {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, name, content).unwrap();
    }
    let path = world.root().join(format!("archive{HOSTILE}.tar"));
    fs::write(&path, archive.into_inner().unwrap()).unwrap();
    let path = path.display().to_string();
    let mut shown = 0;
    for arguments in [
        &["image", "import", &path][..],
        &["image", "import", &path],
        &["image", "import", &format!("{path}.not-there")],
        &["image", "ls", "-o", "wide"],
        &["image", "inspect", "hostile:1"],
        &["image", "inspect", "-o", "yaml", "hostile:1"],
        &["image", "inspect", HOSTILE],
        &["image", "verify"],
        &["describe", "image", "hostile:1"],
        &["image", "rm", HOSTILE, "hostile:1"],
    ] {
        let run = world.run(arguments);
        for c in run.out.chars().chain(run.err.chars()).filter(|c| *c != '\n') {
            let steers = c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}');
            assert!(!steers, "{arguments:?}: {c:?} in {:?}{:?}", run.out, run.err);
        }
        shown += run.out.len() + run.err.len();
    }
    assert!(shown > 2000, "{shown}");
}

/// A bar while it takes, gone when it is done; Ctrl-C ends it with nothing left and the terminal as it was.
#[test]
fn a_person_sees_a_bar_and_may_press_control_c() {
    let world = world();
    let large = archive(&world, "large.tar", "large:1", &"x".repeat(48 << 20));
    let mut import = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    import.arg("--runtime-dir").arg(world.runtime()).args(["image", "import"]).arg(&large);
    let mut pty = Pty::run(&import);
    pty.sees("%  ");
    pty.type_in("\u{3}");
    pty.sees("interrupted: nothing of ");
    assert_eq!(pty.ends(), Some(130));
    assert!(pty.is_restored());
    for folder in ["tmp", "layers", "configs"] {
        let folder = world.root().join("data/agent/holdfast/images").join(folder);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }

    let mut pty = Pty::run(&import);
    pty.sees("] ");
    let to_the_end = pty.sees("docker.io/library/large:1 sha256:");
    assert_eq!(pty.ends(), Some(0));
    let (_, last) = to_the_end.rsplit_once("\r\u{1b}[K").expect("the bar is taken away");
    assert_eq!(last, "docker.io/library/large:1 sha256:");
    let shown = pty.shown();
    let drawn =
        shown.split('\r').filter_map(|line| line.strip_suffix("\u{1b}[K")).filter(|bar| bar.contains('%'));
    assert!(drawn.map(str::len).max() < Some(80), "{shown:?}");
}
