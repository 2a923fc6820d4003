//! Pulls of several layers: what comes is unpacked and given back as it goes, whatever ends a pull in between.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast::image::Digest;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{Liar, World, err, layer, open};
use crate::debian::{run, tool};
use crate::origin::{Origin, Wire};
use crate::pty::Pty;

const MIB: u64 = 1 << 20;
/// Heads, the manifest and the configuration, of one pull.
const BESIDES: u64 = 32 << 10;

/// An image for skopeo, of a layer for each of `contents`, whose only file is that, under a name that it alone decides.
fn layered(world: &World, name: &str, contents: &[Vec<u8>]) -> String {
    let folder = world.path(name);
    fs::create_dir(&folder).unwrap();
    let (mut members, mut diff_ids) = (Vec::new(), Vec::new());
    for (at, content) in contents.iter().enumerate() {
        let (file, member) = (format!("file-{}", &Digest::of(content).hex()[..8]), format!("{at}.tar"));
        fs::write(folder.join(&file), content).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--mtime=@1000000000", "-C"]).arg(&folder).arg("-cf").arg(folder.join(&member)).arg(file);
        run(&mut tar);
        diff_ids.push(Digest::of(&fs::read(folder.join(&member)).unwrap()));
        members.push(member);
    }
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({"architecture": architecture, "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let saved = json!([{"Config": "config.json", "RepoTags": [format!("{name}:1")], "Layers": members}]);
    fs::write(folder.join("manifest.json"), saved.to_string()).unwrap();
    let archive = world.path(&format!("{name}.tar"));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&folder).arg("-cf").arg(&archive).args(["manifest.json", "config.json"]).args(&members);
    run(&mut tar);
    fs::remove_dir_all(&folder).unwrap();
    format!("docker-archive:{}", archive.display())
}

/// `bytes` that cannot be packed any smaller.
fn noise(seed: &str, bytes: u64) -> Vec<u8> {
    let bytes = usize::try_from(bytes).unwrap();
    let mut sum = Digest::bytes_of(seed.as_bytes());
    let mut content = Vec::with_capacity(bytes + 32);
    while content.len() < bytes {
        content.extend(sum);
        sum = Digest::bytes_of(&sum);
    }
    content.truncate(bytes);
    content
}

/// Bytes of the layers of `name` as they come, lowest first.
fn sizes(origin: &Origin, name: &str) -> Vec<u64> {
    let image = format!("docker://{}", origin.image(name));
    let raw = run(tool("skopeo").args(["inspect", "--tls-verify=false", "--raw", &image]));
    let manifest: Value = serde_json::from_str(&raw).unwrap();
    manifest["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).collect()
}

fn pull(world: &World, image: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("image").arg("--data-dir").arg(world.path("data")).arg("pull");
    command.arg("--disable-default-registry-endpoint");
    command.arg("--private-registry").arg(world.path("registries.yaml")).arg(image);
    command.env_clear().env("HOME", &world.root).env("TERM", "xterm");
    command
}

fn begin(world: &World, image: &str) -> Child {
    pull(world, image).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut pull: Child) {
    pull.kill().unwrap();
    pull.wait().unwrap();
}

/// Waits until `holds`, for a minute at most.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes of all files below `folder`, which may change meanwhile.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(look) if look.is_dir() => bytes_below(&entry.path()),
        look => look.map_or(0, |look| look.len()),
    };
    entries.map(of).sum()
}

impl World {
    /// Bytes that the store has. What is moved on is moved from later to earlier ones of these, and so never counted twice.
    fn bytes_kept(&self) -> u64 {
        let images = self.path("data/agent/holdfast/images");
        ["layers", "configs", "tmp", "partial"].iter().map(|folder| bytes_below(&images.join(folder))).sum()
    }

    fn partial(&self) -> u64 {
        bytes_below(&self.path("data/agent/holdfast/images/partial"))
    }

    fn has_layers(&self, count: usize) -> bool {
        self.store("layers").len() == count
    }

    /// Whether the index has so many layers of an image that is not whole.
    fn waits_for_more(&self, count: usize) -> bool {
        let index = fs::read(self.path("data/agent/holdfast/images/index.json")).unwrap_or_default();
        let index: Value = serde_json::from_slice(&index).unwrap_or_default();
        index["unfinished"][0]["layers"].as_array().is_some_and(|layers| layers.len() == count)
    }

    /// The registry `shop.test` is behind `wire`.
    fn knows_wire(&self, wire: &Wire) {
        self.knows(&format!("mirrors: {{shop.test: {{endpoint: ['http://{}']}}}}", wire.host()));
    }
}

/// On the disk there is never more than the image unpacked and its largest layer as it came, and each byte of either is written
/// once.
#[test]
fn a_pull_takes_little_more_of_the_disk_than_its_image() {
    let world = World::new();
    let origin = open(&world);
    let contents = [("a", 9), ("b", 20), ("c", 9), ("d", 12), ("e", 1), ("f", 9)];
    let contents = contents.map(|(seed, mib)| noise(seed, mib * MIB));
    origin.push(tool("skopeo"), &layered(&world, "many", &contents), "many:1");
    let (compressed, unpacked): (Vec<u64>, u64) =
        (sizes(&origin, "many:1"), contents.iter().map(|it| it.len() as u64).sum());
    world.knows(&format!("mirrors: {{shop.test: {{endpoint: ['http://{}']}}}}", origin.image("v2")));
    let ended = AtomicBool::new(false);
    let ((most, packed), written) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut most, mut packed) = (0, 0);
            while !ended.load(Ordering::Acquire) {
                (most, packed) = (most.max(world.bytes_kept()), packed.max(world.partial()));
            }
            (most, packed)
        });
        let mut pull = begin(&world, "shop.test/many:1");
        let pid = pull.id();
        waitid(Id::Pid(Pid::from_raw(pid.cast_signed())), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            .unwrap();
        let told = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        ended.store(true, Ordering::Release);
        assert!(pull.wait().unwrap().success());
        // What it gave to `write`: the kernel may write it twice or, where it is removed soon, not at all.
        let written = told.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
        (watch.join().unwrap(), written.parse::<u64>().unwrap())
    });
    let (all, largest) = (compressed.iter().sum::<u64>(), *compressed.iter().max().unwrap());
    eprintln!(
        "{all}, largest {largest}, unpacked {unpacked}: at most {most}, {packed} packed; {written} written"
    );
    // One may be listed just before it is removed, and the next when it has grown.
    assert!((largest..largest + 6 * MIB).contains(&packed), "{packed} waited, the largest has {largest}");
    assert!((unpacked..unpacked + largest + MIB).contains(&most), "{most} of {unpacked} + {largest}");
    assert!((unpacked..all + unpacked + MIB).contains(&written), "{written} of {all} + {unpacked}");
    assert!(world.has_layers(6) && world.partial() == 0);
    world.says(&["verify"]);
}

/// Killed in the middle of a layer, between two, and while one is unpacked: what came is not fetched again. What an import or a
/// removal throws away meanwhile is nothing of it.
#[test]
fn a_pull_that_is_killed_again_and_again_fetches_each_byte_once() {
    let world = World::new();
    let origin = open(&world);
    let contents = ["a", "b", "c"].map(|seed| noise(seed, 9 * MIB));
    origin.push(tool("skopeo"), &layered(&world, "three", &contents), "three:1");
    let sizes = sizes(&origin, "three:1");
    let wire = Wire::new(origin.port, sizes[0] + sizes[1] / 2, false);
    world.knows_wire(&wire);
    let first = begin(&world, "shop.test/three:1");
    until("one layer is taken in and half of the next is here", || {
        let half = sizes[1] / 2 - BESIDES..sizes[1] / 2;
        world.waits_for_more(1) && half.contains(&world.partial())
    });
    assert!(world.has_layers(1));
    kill(first);
    assert_eq!(world.says(&["ls", "-q"]), "", "there is no image yet");

    wire.allow(sizes[1] / 2 + 2 * BESIDES);
    let second = begin(&world, "shop.test/three:1");
    until("two layers are taken in", || world.waits_for_more(2));
    kill(second);
    let other = world.archive("other.tar", 1000);
    world.says(&["import", other.split_once(':').unwrap().1]);
    world.says(&["rm", "sample:1"]);
    assert!(world.has_layers(2), "they wait for their image");

    wire.allow(u64::MAX);
    let third = begin(&world, "shop.test/three:1");
    until("the last is being unpacked", || !world.store("tmp").is_empty() || world.has_layers(3));
    kill(third);
    world.pulls("shop.test/three:1");
    let all = sizes.iter().sum::<u64>();
    assert!((all..all + 4 * BESIDES).contains(&wire.came()), "{} bytes came of {all}", wire.came());
    world.says(&["verify"]);
    assert!(world.has_layers(3) && world.partial() == 0 && world.store("tmp").is_empty());
}

/// Two that share layers, at once and in whatever order: each layer comes once, and neither waits for ever.
#[test]
fn two_pulls_at_once_share_what_comes() {
    let world = World::new();
    let origin = open(&world);
    let base = ["a", "b", "c"].map(|seed| noise(seed, 3 * MIB));
    let image = |name: &str, own: [usize; 3]| {
        let contents = own.map(|at| base[at].clone());
        origin.push(tool("skopeo"), &layered(&world, name, &contents), &format!("{name}:1"));
    };
    image("one", [0, 1, 2]);
    // The same in another order: each waits for what the other holds, and over another layer each is another one.
    image("two", [0, 2, 1]);
    let wire = Wire::new(origin.port, u64::MAX, false);
    world.knows_wire(&wire);
    let pulls = ["one", "two", "one"].map(|name| begin(&world, &format!("shop.test/{name}:1")));
    for mut pull in pulls {
        assert!(pull.wait().unwrap().success());
    }
    let once = sizes(&origin, "one:1").iter().sum::<u64>() + sizes(&origin, "two:1")[1..].iter().sum::<u64>();
    assert!((once..once + 3 * BESIDES).contains(&wire.came()), "{} bytes came of {once}", wire.came());
    assert!(world.has_layers(5) && world.partial() == 0);
    world.says(&["verify"]);
}

/// Threat 12 by way of a registry whose digest of what comes is right, and what it says is in it is not.
#[test]
fn a_layer_that_is_not_what_the_image_says_fails_once_and_leaves_nothing() {
    let world = World::new();
    let liar = Liar::new();
    let good = layer(&world.root);
    let mut other = good.clone();
    other[600] ^= 1;
    liar.has_as(&good, &Digest::of(&other), good.len());
    let said = world.fails(&liar.image(), &["instead of", "it is damaged or was tampered with"]);
    assert_eq!(said.matches("sha256").count(), 3, "the layer, what it has and what it should have: {said}");
    for folder in ["partial", "tmp", "layers", "configs"] {
        assert_eq!(world.store(folder), Vec::<std::path::PathBuf>::new());
    }
}

/// A bar while it takes, and what is done when nothing comes any more; Ctrl-C keeps what came. Lines where there is no terminal.
#[test]
fn a_person_sees_how_far_a_pull_is_and_may_press_control_c() {
    let world = World::new();
    let origin = open(&world);
    let contents = [noise("a", MIB), vec![b'x'; 100 << 20]];
    origin.push(tool("skopeo"), &layered(&world, "slow", &contents), "slow:1");
    let sizes = sizes(&origin, "slow:1");
    let wire = Wire::new(origin.port, sizes[0] / 2, false);
    world.knows_wire(&wire);
    let mut pty = Pty::run(&pull(&world, "shop.test/slow:1"));
    pty.sees("%  ");
    until("half of a layer is here", || sizes[0] / 2 - BESIDES < world.partial());
    pty.type_in("\u{3}");
    pty.sees("interrupted: what came of shop.test/slow:1 is kept, and the next pull goes on there");
    assert_eq!(pty.ends(), Some(130));
    assert!(pty.is_restored() && sizes[0] / 2 - BESIDES < world.partial());

    wire.allow(u64::MAX);
    let mut pty = Pty::run(&pull(&world, "shop.test/slow:1"));
    pty.sees("unpacking shop.test/");
    let to_the_end = pty.sees("shop.test/slow:1 sha256:");
    assert_eq!(pty.ends(), Some(0));
    let (_, last) = to_the_end.rsplit_once("\r\u{1b}[K").expect("the bar is taken away");
    assert_eq!(last, "shop.test/slow:1 sha256:");
    world.says(&["rm", "shop.test/slow:1"]);

    let output = world.pull("shop.test/slow:1");
    let said = err(&output);
    assert!(said.starts_with("shop.test/slow:1: ") && said.contains(" are needed, "), "{said}");
    assert!(!said.contains(['\r', '\u{1b}']), "{said}");
}

/// What was begun under another clock than that of its end is kept for whoever goes on with it; what nobody goes on with goes.
#[test]
fn what_nobody_goes_on_with_is_forgotten_with_the_next_pull() {
    let world = World::new();
    let origin = open(&world);
    let contents = ["a", "b"].map(|seed| noise(seed, 9 * MIB));
    origin.push(tool("skopeo"), &layered(&world, "left", &contents), "left:1");
    origin.push(tool("skopeo"), &world.archive("small.tar", 1000), "small:1");
    let wire = Wire::new(origin.port, sizes(&origin, "left:1")[0] + MIB, false);
    world.knows_wire(&wire);
    let left = begin(&world, "shop.test/left:1");
    until("one layer is taken in", || {
        world.waits_for_more(1) && (MIB - BESIDES..2 * MIB).contains(&world.partial())
    });
    kill(left);
    let index = world.path("data/agent/holdfast/images/index.json");
    let mut kept: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    kept["unfinished"][0]["since"] = json!(0);
    fs::write(&index, kept.to_string()).unwrap();
    for partial in world.store("partial") {
        run(Command::new("touch").arg("-d").arg("2020-01-01").arg(partial));
    }
    wire.allow(u64::MAX);
    world.pulls("shop.test/small:1");
    assert!(world.has_layers(1) && world.partial() == 0, "of the small one alone");
    world.pulls("shop.test/left:1");
    world.says(&["verify"]);
}

/// A damaged layer comes alone, and not those above it.
#[test]
fn of_a_damaged_image_only_the_damaged_layer_is_fetched() {
    let world = World::new();
    let origin = open(&world);
    let contents = [noise("low", MIB), noise("middle", 2 * MIB), noise("high", 3 * MIB)];
    origin.push(tool("skopeo"), &layered(&world, "three", &contents), "three:1");
    let sizes = sizes(&origin, "three:1");
    let wire = Wire::new(origin.port, u64::MAX, false);
    let id = world.pulls(&format!("{}/three:1", wire.host()));
    let before = wire.came();
    let low = format!("file-{}", &Digest::of(&contents[0]).hex()[..8]);
    let damaged = world.store("layers").into_iter().map(|layer| layer.join(&low)).find(|file| file.exists());
    fs::write(damaged.unwrap(), "another").unwrap();
    let registries = world.path("registries.yaml").display().to_string();
    let flags = ["verify", "--repair", "--disable-default-registry-endpoint", "--private-registry"];
    let repaired = world.image(&[&flags[..], &[&registries, &id]].concat());
    assert!(repaired.status.success(), "{}", err(&repaired));
    let came = wire.came() - before;
    assert!(sizes[0] <= came && came < sizes[0] + BESIDES, "{came} bytes came for layers of {sizes:?}");
    world.says(&["verify"]);
}
