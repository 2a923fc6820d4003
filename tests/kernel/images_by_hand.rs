//! `holdfast image` beside an agent that runs (acceptance 14.06, 14.07 without a registry).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::image::{IMAGE, archives, run, tool};
use crate::harness::kernel::signal;
use crate::harness::pod::{pod, with_main};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};

/// The name of the image that [`own`] makes.
const OWN: &str = "holdfast.test/own:1";

/// A world with no archive in the agent's directory, and its agent.
fn without_archives() -> World {
    let mut world = World::without_agent();
    for archive in archives() {
        fs::remove_file(world.archives().join(archive.file_name().unwrap())).unwrap();
    }
    world.start_agent();
    world
}

/// An archive, outside the agent's directory, of the workload and `more` bytes that no other image has.
pub fn own(world: &World, file: &str, more: usize) -> PathBuf {
    let scratch = world.dir.join(format!("{file}.scratch"));
    fs::create_dir(&scratch).unwrap();
    let layout = scratch.join("layout").display().to_string();
    let content = scratch.join("own");
    let mut bytes = world.name.clone().into_bytes();
    bytes.resize(bytes.len() + more, b'x');
    fs::write(&content, bytes).unwrap();
    run(tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet"])
        .arg(format!("docker-archive:{}", archives()[0].display()))
        .arg(format!("oci:{layout}:1")));
    run(tool("umoci").args(["insert", "--image", &format!("{layout}:1")]).arg(&content).arg("/own"));
    let archive = world.dir.join(file);
    run(tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", &format!("oci:{layout}:1")])
        .arg(format!("docker-archive:{}:{OWN}", archive.display())));
    fs::remove_dir_all(scratch).unwrap();
    archive
}

fn of_own(name: &str) -> Value {
    with_main(pod(name, &["trap-term"]), json!({"image": OWN, "imagePullPolicy": "IfNotPresent"}))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Fails, and says this on stderr.
fn fails(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn store(world: &World) -> PathBuf {
    world.data().join("agent/holdfast/images")
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// The folders of the layers of [`OWN`].
fn layers(world: &World) -> Vec<PathBuf> {
    let told: Value = serde_json::from_str(&world.says(&["image", "inspect", OWN])).unwrap();
    let layers = told[0]["layers"].as_array().unwrap().iter();
    layers.map(|layer| PathBuf::from(layer["path"].as_str().unwrap())).collect()
}

/// Neither waits for a back-off, nor for the agent's next look at anything.
#[test]
fn an_image_that_comes_by_hand_starts_every_pod_that_waits_for_it() {
    let world = without_archives();
    for policy in ["Never", "IfNotPresent", "Always"] {
        let name = policy.to_lowercase();
        let image = json!({"image": IMAGE, "imagePullPolicy": policy});
        world.write(&format!("{name}.yaml"), &with_main(pod(&name, &["trap-term"]), image));
    }
    world.once("never", "has no image", |pod| pod.reason() == "ErrImageNeverPull");
    world.once("always", "has no image", |pod| pod.reason().contains("Image"));
    world.once("ifnotpresent", "waits", |pod| pod.reason() == "ImagePullBackOff");
    let due = eventually(A_WHILE * 20, "it is tried again in a while", || {
        next(&world, "ifnotpresent").filter(|due| *due > Timestamp::now() + SignedDuration::from_secs(6))
    });
    let said = world.says(&["image", "import", text(&archives()[0])]);
    assert!(said.starts_with(&format!("{IMAGE} sha256:")), "{said}");
    for name in ["never", "ifnotpresent", "always"] {
        world.running(name);
    }
    let runs = world.running("ifnotpresent");
    let started = runs.main()["state"]["running"]["startedAt"].as_str().unwrap();
    assert!(started.parse::<Timestamp>().unwrap() < due, "started at {started}, and was due at {due} anyway");
    let listed = world.says(&["image", "ls"]);
    assert_eq!(listed, world.says(&["get", "images"]));
    assert!(listed.starts_with("NAME") && listed.contains(IMAGE), "{listed}");
}

/// When the pod's container is tried again by itself, as published.
fn next(world: &World, name: &str) -> Option<Timestamp> {
    let status = world.runtime.join("pods").join(world.pod(name)?.uid()).join("status.json");
    let status: Value = serde_json::from_slice(&fs::read(status).ok()?).unwrap();
    status["next"].as_str()?.rsplit(' ').next()?.parse().ok()
}

/// Refused while a pod uses it, by every way to mean it; by force the container stays whole, and its next start misses it.
#[test]
fn an_image_in_use_is_kept_and_by_force_its_container_goes_on() {
    let world = without_archives();
    let archive = own(&world, "own.tar", 0);
    world.says(&["image", "import", text(&archive)]);
    let layers = layers(&world);
    world.write("uses.yaml", &of_own("uses"));
    let before = world.running("uses");
    let id = world.says(&["image", "ls", "-q"]);
    for means in [OWN, id.trim_end(), &id[7..14]] {
        let said = fails(&world.cli(&["image", "rm", means]));
        assert!(said.contains(&format!("is used by pod default/{}", world.pod_name("uses"))), "{said}");
        assert!(said.contains("--force"), "{said}");
    }
    world.says(&["image", "import", "--name", "second:1", text(&archive)]);
    assert_eq!(
        world.says(&["image", "rm", "second:1"]),
        "untagged docker.io/library/second:1\n",
        "nobody asks for it"
    );

    let removed = world.cli(&["image", "rm", "--force", OWN]);
    assert!(removed.status.success(), "{removed:?}");
    let said = String::from_utf8_lossy(&removed.stderr);
    assert!(said.contains("a container runs on layers of it") && said.contains("cannot start"), "{said}");
    assert_eq!(world.says(&["image", "ls", "-q"]), "");
    // Neither a further removal nor an import nor the agent's next start takes away what it runs on.
    world.says(&["image", "import", text(&archives()[1])]);
    assert!(layers.iter().all(|layer| layer.is_dir()), "{layers:?}");
    assert_eq!(world.exec("uses", &["cat", "/own"]).stdout, world.name.as_bytes());
    assert_eq!(world.running("uses").life(), before.life());

    world.place().container_processes(&before.uid()).into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
    world.once("uses", "misses its image", |pod| pod.reason().contains("Image"));
    world.says(&["image", "rm", "holdfast.test/workload:2"]);
    assert!(layers.iter().any(|layer| !layer.exists()), "{layers:?}");
    world.says(&["image", "import", text(&archive)]);
    world.running("uses");
    assert_eq!(world.exec("uses", &["cat", "/own"]).stdout, world.name.as_bytes());
}

/// As the kubelet's containers do: what runs outlives the agent, and so do the layers under it.
#[test]
fn the_agents_next_start_leaves_what_runs_on_a_removed_image() {
    let mut world = without_archives();
    let archive = own(&world, "own.tar", 0);
    world.says(&["image", "import", text(&archive)]);
    world.write("uses.yaml", &of_own("uses"));
    let before = world.running("uses");
    world.kill_agent();
    world.says(&["image", "rm", "-f", OWN]);
    world.start_agent();
    assert_eq!(world.running("uses").life(), before.life());
    assert_eq!(world.exec("uses", &["cat", "/own"]).stdout, world.name.as_bytes());
}

/// The agent takes in its directory again: who removes an image whose archive lies there is told.
#[test]
fn who_removes_an_image_whose_archive_lies_there_is_told_how_to_keep_it_away() {
    let world = without_archives();
    // An archive of its own: those of all stories are links to one file, which changes with each link.
    let archive = world.archives().join("own.tar");
    fs::rename(own(&world, "own.tar", 0), &archive).unwrap();
    eventually(SOON, "it is here", || world.says(&["image", "ls"]).contains(OWN).then_some(()));
    let removed = world.cli(&["image", "rm", OWN]);
    let said = String::from_utf8_lossy(&removed.stderr).into_owned();
    assert!(said.contains("the agent brings it back") && said.contains(text(&archive)), "{said}");
    // Not by itself.
    stays_true_for(A_WHILE, "it is gone", || !world.says(&["image", "ls"]).contains(OWN));
    fs::write(world.archives().join("notes.txt"), "no archive").unwrap();
    eventually(SOON, "it is back", || world.says(&["image", "ls"]).contains(OWN).then_some(()));
    // 14.06: an error by name, and everything else that was named is removed.
    let said = fails(&world.cli(&["image", "rm", "nothing:1", OWN]));
    assert!(said.starts_with("error: image \"nothing:1\" not found"), "{said}");
    assert!(!world.says(&["image", "ls"]).contains(OWN));
}

/// One writes after the other, and what both bring is there once.
#[test]
fn the_agent_and_a_person_import_at_the_same_time() {
    let world = without_archives();
    let archive = own(&world, "own.tar", 1 << 20);
    let by_hand: Vec<Child> = (0..3).map(|_| import(&world, &archive)).collect();
    fs::hard_link(&archive, world.archives().join("own.tar")).unwrap();
    fs::write(world.archives().join("wakes-the-agent"), "").unwrap();
    fs::remove_file(world.archives().join("wakes-the-agent")).unwrap();
    for child in by_hand {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    world.write("uses.yaml", &of_own("uses"));
    world.running("uses");
    assert_eq!(world.says(&["image", "ls"]).lines().count(), 2);
    world.says(&["image", "verify"]);
}

fn import(world: &World, archive: &Path) -> Child {
    let mut command = Command::new(crate::harness::binary());
    command.arg("--runtime-dir").arg(&world.runtime).args(["image", "import"]).arg(archive);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until an import is at work on its layers.
fn at_work(world: &World, child: &mut Child) {
    let tmp = store(world).join("tmp");
    eventually(SOON, "the import unpacks", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be ended");
        entries(&tmp).iter().any(|scratch| !entries(&tmp.join(scratch)).is_empty()).then_some(())
    });
}

/// SIGKILL leaves no image half, whatever lies around; the next import begins anew.
#[test]
fn an_import_that_is_killed_leaves_a_whole_store() {
    let world = without_archives();
    world.says(&["image", "import", text(&archives()[0])]);
    let before = world.says(&["image", "ls"]);
    let archive = own(&world, "own.tar", 48 << 20);
    for _ in 0..3 {
        let mut child = import(&world, &archive);
        at_work(&world, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(world.says(&["image", "ls"]), before);
        world.says(&["image", "verify"]);
    }
    world.write("uses.yaml", &of_own("uses"));
    world.says(&["image", "import", text(&archive)]);
    assert_eq!(entries(&store(&world).join("tmp")), [""; 0]);
    world.says(&["image", "verify"]);
    world.running("uses");
}

/// Ctrl-C cleans up at once.
#[test]
fn an_import_that_is_interrupted_leaves_nothing() {
    let world = without_archives();
    let archive = own(&world, "own.tar", 48 << 20);
    let mut child = import(&world, &archive);
    at_work(&world, &mut child);
    signal(child.id().cast_signed(), Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("interrupted: nothing of") && said.lines().count() == 1, "{said}");
    for folder in ["tmp", "layers", "configs"] {
        assert_eq!(entries(&store(&world).join(folder)), [""; 0], "{folder}");
    }
}

/// Through a pipe, and by a name that the archive does not give; the agent stops complaining of a nameless one.
#[test]
fn a_nameless_archive_gets_its_name_by_hand() {
    let world = without_archives();
    let own = own(&world, "own.tar", 0);
    let nameless = world.archives().join("nameless.tar");
    let from = format!("docker-archive:{}", own.display());
    run(tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", &from])
        .arg(format!("oci-archive:{}", nameless.display())));
    let recipe = format!("holdfast image import --name NAME:TAG {}", nameless.display());
    world.write("uses.yaml", &of_own("uses"));
    eventually(SOON, "the agent tells what to do", || world.agent_log().contains(&recipe).then_some(()));
    world.says(&["image", "import", "--name", OWN, text(&nameless)]);
    world.running("uses");
    let warnings = || fs::read_to_string(world.runtime.join("node.json")).unwrap();
    eventually(SOON, "the warning is gone", || (!warnings().contains("has no name")).then_some(()));

    let mut pipe = Command::new(crate::harness::binary())
        .arg("--runtime-dir")
        .arg(&world.runtime)
        .args(["image", "import", "--name", "piped:1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    pipe.stdin.take().unwrap().write_all(&fs::read(&own).unwrap()).unwrap();
    let output = pipe.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("docker.io/library/piped:1 sha256:"), "{said}");
    assert_eq!(entries(&store(&world).join("tmp")), [""; 0]);
}

/// Everything about it on one page, the pod that uses it included.
#[test]
fn an_image_is_described_with_who_uses_it() {
    let world = without_archives();
    let archive = own(&world, "own.tar", 0);
    world.says(&["image", "import", text(&archive)]);
    world.write("uses.yaml", &of_own("uses"));
    world.running("uses");
    let page = world.says(&["describe", "image", OWN]);
    assert_eq!(page, world.says(&["describe", &format!("image/{OWN}")]));
    let both = fails(&world.cli(&["describe", "image", "absent/one:1", OWN]));
    assert!(both.contains("image \"absent/one:1\" not found"), "{both}");
    let user = format!("default/{}", world.pod_name("uses"));
    for part in [OWN, "[\"/workload\",\"echo\"]", "COLOUR=of the image", "Working Dir", text(&archive), &user]
    {
        assert!(page.contains(part), "{part}:\n{page}");
    }
    let object: Value = serde_json::from_str(&world.says(&["image", "inspect", OWN])).unwrap();
    assert_eq!(object[0]["usedBy"][0]["pod"], user);
    assert_eq!(object[0]["imageSpec"]["config"]["WorkingDir"], "/etc");
}

/// Bytes that the agent has read so far, from wherever.
fn bytes_read(world: &World) -> u64 {
    let told = fs::read_to_string(format!("/proc/{}/io", world.agent())).unwrap();
    told.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap()
}

/// A start with a large archive that is known reads no more than one without any.
#[test]
fn a_known_archive_costs_no_read_at_the_agents_start() {
    const LARGE: u64 = 24 << 20;
    let mut world = without_archives();
    let large = world.archives().join("a-large.tar");
    let archive = own(&world, "own.tar", LARGE.try_into().unwrap());
    fs::rename(archive, &large).unwrap();
    eventually(SOON, "it is here", || world.says(&["image", "ls"]).contains(OWN).then_some(()));
    // The last one by name: once it is here, the agent has looked at all others.
    let mut start_with_new = |name: &str| {
        world.stop_agent();
        let to = world.archives().join(format!("z-{name}.tar"));
        let from = format!("docker-archive:{}", archives()[0].display());
        run(tool("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", &from])
            .arg(format!("docker-archive:{}:holdfast.test/{name}:1", to.display())));
        world.start_agent();
        eventually(SOON, "the last one is here", || {
            world.says(&["image", "ls"]).contains(name).then_some(())
        });
        bytes_read(&world)
    };
    let with = start_with_new("first");
    fs::remove_file(&large).unwrap();
    let without = start_with_new("second");
    assert!(with.abs_diff(without) < LARGE / 8, "{with} bytes with the large archive, {without} without");
}
