//! An image out of a registry, and out of an archive: beside podman, skopeo, and what hashing and `tar -x` take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::clock::now;
use crate::harness::image::{run, target, tool};
use crate::harness::pod::{pod, with_main};
use crate::harness::{World, binary};
use crate::origin::Origin;
use crate::table::{Cost, costs};

/// Bytes of the one file of the image by which memory is measured.
const LARGE: usize = 1 << 30;

/// Prints what a pull and an import cost, and what a pull of a gigabyte adds to the agent's memory.
pub fn measure(runs: usize) {
    let world = World::without_agent();
    let archive = archive(&world);
    let origin = Origin::open(&world.dir.join("origin"), tool("docker-registry"));
    origin.push(tool("skopeo"), &format!("docker-archive:{}", archive.display()), "large:1");
    let blobs = layers(&world, &origin);
    let (mut ours, mut podman, mut skopeo, mut least) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut imports, mut loads) = (Vec::new(), Vec::new());
    for number in 0..runs {
        let place = world.dir.join(format!("run{number}"));
        let at = |name: &str| place.join(name).display().to_string();
        fs::create_dir_all(&place).unwrap();
        let image = origin.image("large:1");
        ours.push(cost(
            holdfast("pull", &at("pulled")).arg("--private-registry").arg(world.registries()).arg(&image),
        ));
        podman.push(cost(of_podman(&at("podman")).args(["pull", "-q", "--tls-verify=false", &image])));
        let copy = ["--insecure-policy", "copy", "-q", "--src-tls-verify=false"];
        let (from, to) = (format!("docker://{image}"), format!("oci:{}:large", at("skopeo")));
        skopeo.push(cost(tool("skopeo").args(copy).args([from, to])));
        least.push(cost(&mut hashed_and_unpacked(&blobs, &place.join("tar"))));
        imports.push(cost(holdfast("import", &at("imported")).arg(&archive)));
        loads.push(cost(of_podman(&at("loaded")).args(["load", "-q", "-i"]).arg(&archive)));
    }
    // Not before all is measured: for a minute ext4 looks at each inode that was freed before it takes another, which costs whoever
    // comes next more than unpacking does.
    for number in 0..runs {
        let place = world.dir.join(format!("run{number}"));
        for name in ["podman", "loaded"] {
            run(of_podman(&place.join(name).display().to_string()).args(["system", "reset", "--force"]));
        }
        fs::remove_dir_all(place).unwrap();
    }
    costs(
        "image pull",
        &ours,
        &[("podman pull", &podman), ("skopeo copy", &skopeo), ("sha256sum, tar -x", &least)],
    );
    costs("image import", &imports, &[("podman load", &loads)]);
    drop(origin);
    memory();
}

/// The image command `verb`, with a store of its own.
fn holdfast(verb: &str, data: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(["image", verb, "--data-dir", data]);
    command
}

/// podman with overlayfs, as it is installed, and with a storage of its own.
pub fn of_podman(root: &str) -> Command {
    let mut podman = tool("podman");
    podman.args(["--storage-driver", "overlay", "--root", root, "--runroot", &format!("{root}.run")]);
    podman
}

/// An archive with a layer of two hundred megabytes and some thousand files, Debian's programs, and a small one.
fn archive(world: &World) -> PathBuf {
    let layout = world.dir.join("layout").display().to_string();
    let (image, archive) = (format!("{layout}:large"), world.dir.join("large.tar"));
    run(tool("umoci").args(["init", "--layout", &layout]));
    run(tool("umoci").args(["new", "--image", &image]));
    let usr = target().join("debian/root/usr");
    run(tool("umoci").args(["insert", "--image", &image]).arg(usr).arg("/usr"));
    run(tool("umoci").args(["insert", "--image", &image, "Cargo.lock", "/Cargo.lock"]));
    let to = format!("docker-archive:{}:holdfast.test/large:1", archive.display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &format!("oci:{image}"), &to]));
    archive
}

/// The files in which the registry has the layers.
fn layers(world: &World, origin: &Origin) -> Vec<PathBuf> {
    let image = format!("docker://{}", origin.image("large:1"));
    let told = run(tool("skopeo").args(["inspect", "--tls-verify=false", &image]));
    let told: Value = serde_json::from_str(&told).unwrap();
    let storage = world.dir.join("origin/storage/docker/registry/v2/blobs/sha256");
    let place = |layer: &Value| {
        let hex = layer.as_str().unwrap().strip_prefix("sha256:").unwrap();
        storage.join(&hex[..2]).join(hex).join("data")
    };
    told["Layers"].as_array().unwrap().iter().map(place).collect()
}

/// What whoever unpacks has to do at least.
fn hashed_and_unpacked(blobs: &[PathBuf], to: &Path) -> Command {
    fs::create_dir_all(to).unwrap();
    let mut shell = Command::new("sh");
    // umoci leaves the last padding out, which tar unpacks all the same but ends with 2.
    let script = "to=$1; shift; for blob; do sha256sum \"$blob\" && { tar -xzf \"$blob\" -C \"$to\" || [ $? = 2 ]; } || exit; done";
    shell.args(["-c", script, "sh"]).arg(to).args(blobs).stderr(Stdio::null());
    shell
}

/// Runs it, and tells what that cost. What others wrote is on the disk before, since who syncs would wait for it too.
fn cost(command: &mut Command) -> Cost {
    nix::unistd::sync();
    let cpu = || {
        let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        crate::table::duration(used.user_time()) + crate::table::duration(used.system_time())
    };
    let (before, used) = (now(), cpu());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let id = Pid::from_raw(i32::try_from(pid).unwrap());
    let mut peak = 0;
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    while waitid(Id::Pid(id), flags).unwrap().pid().is_none() {
        peak = field(&format!("/proc/{pid}/status"), "VmHWM:").map_or(peak, |kib| peak.max(kib * 1024));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let wall = now() - before;
    let written = field(&format!("/proc/{pid}/io"), "write_bytes:").unwrap();
    assert!(child.wait().unwrap().success(), "{command:?}");
    Cost { wall, cpu: cpu() - used, peak, written }
}

/// A number in a file of `/proc`.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// What the agent's memory grows by at most while a pod's image of a gigabyte comes.
fn memory() {
    let mut world = World::without_agent();
    let file = world.dir.join("file");
    let mut random = fs::File::open("/dev/urandom").unwrap();
    std::io::copy(&mut std::io::Read::take(&mut random, LARGE as u64), &mut fs::File::create(&file).unwrap())
        .unwrap();
    let layout = world.dir.join("layout").display().to_string();
    let image = format!("{layout}:huge");
    run(tool("umoci").args(["init", "--layout", &layout]));
    run(tool("umoci").args(["new", "--image", &image]));
    run(tool("umoci").args(["insert", "--image", &image]).arg(&file).arg("/file"));
    let origin = Origin::open(&world.dir.join("origin"), tool("docker-registry"));
    origin.push(tool("skopeo"), &format!("oci:{image}"), "huge:1");
    let text = format!("mirrors: {{shop.test: {{endpoint: ['http://127.0.0.1:{}']}}}}", origin.port);
    fs::write(world.registries(), text).unwrap();
    world.start_agent();
    let status = format!("/proc/{}/status", world.agent());
    let before = field(&status, "VmHWM:").unwrap();
    let fields = json!({"image": "shop.test/huge:1", "imagePullPolicy": "IfNotPresent"});
    world.write("huge.yaml", &with_main(pod("huge", &["trap-term"]), fields));
    crate::clock::in_minutes("the image is here", || {
        // It has no program of the name, and is known all the same.
        let pod = world.pod("huge")?;
        pod.main()["imageID"].as_str().filter(|id| !id.is_empty()).map(drop)
    });
    let grown = field(&status, "VmHWM:").unwrap() - before;
    crate::table::plain("agent memory added by a pull of 1 GiB", format!("{grown} KiB"));
}
