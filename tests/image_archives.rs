//! Archives that umoci, skopeo, podman and buildah made, imported by the real store, and mounted as a pod would have them.
//!
//! The tree is compared with what `umoci unpack` makes of the same archive. Needs root; `tests/debian.sh` brings the tools.
#![allow(clippy::unwrap_used)]

mod debian;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use debian::{busybox, run};
use holdfast::image::{Image, Reference, Store};
use holdfast::sys::beneath;
use serde_json::{Value, json};

const NAME: &str = "registry.test/box:1";

#[test]
fn archives_of_skopeo_are_what_umoci_unpacks() {
    let world = World::new("skopeo");
    let layout = world.layout();
    let expected = world.umoci_tree(&layout, "expected");
    let from = format!("oci:{}:latest", layout.display());
    let copy = |to: &str, file: &str, extra: &[&str]| {
        let to = format!("{to}:{}:{NAME}", world.path(file).display());
        world.tool("skopeo", &[&["copy", "-q"], extra, &[&from, &to]].concat());
    };
    copy("docker-archive", "docker.tar", &[]);
    copy("oci-archive", "oci.tar", &[]);
    copy("oci-archive", "oci-zstd.tar", &["--dest-compress", "--dest-compress-format", "zstd"]);
    for file in ["docker.tar", "oci.tar"] {
        world
            .shell(&format!("gzip -k {file} && zstd -q -k {file} && zstd -q -19 -k -o {file}.19.zst {file}"));
    }
    world.shell("mkdir loose && tar -C loose -xf oci-zstd.tar && grep -rq 'tar+zstd' loose");

    let files = "docker.tar docker.tar.gz docker.tar.zst docker.tar.19.zst oci.tar oci.tar.gz oci.tar.zst oci-zstd.tar";
    for file in files.split(' ') {
        let image = world.import(file);
        assert_eq!(image.lower.len(), 3, "{file}");
        assert_eq!(image.config.entrypoint, ["/bin/busybox", "sh"], "{file}");
        same(&expected, &world.mounted(&image), file);
    }
}

/// By Debian's tools in the ways that they offer: blocks that stand alone or not, with and without sums, in several streams.
#[test]
fn archives_that_k3s_takes_are_taken_in_every_packing() {
    let world = World::new("packed");
    let layout = world.layout();
    let expected = world.umoci_tree(&layout, "expected");
    let from = format!("oci:{}:latest", layout.display());
    world.tool("skopeo", &["copy", "-q", &from, &format!("docker-archive:docker.tar:{NAME}")]);
    let half = fs::metadata(world.path("docker.tar")).unwrap().len() / 2;
    world.shell(&format!("head -c {half} docker.tar >one; tail -c +{} docker.tar >two", half + 1));
    let packed = |tool: &str, arguments: &[&str]| {
        let output = debian::tool(tool).args(arguments).current_dir(&world.0).output().unwrap();
        assert!(output.status.success(), "{tool} {arguments:?}: {output:?}");
        output.stdout
    };
    let both = |tool: &str, arguments: &[&str]| {
        ["one", "two"].map(|half| packed(tool, &[arguments, &[half][..]].concat())).concat()
    };
    for (name, bytes) in [
        ("fast.tar.bz2", packed("bzip2", &["-1c", "docker.tar"])),
        ("best.tbz", packed("bzip2", &["-9c", "docker.tar"])),
        ("streams.tar.bz2", both("bzip2", &["-c"])),
        ("plain.tar.lz4", packed("lz4", &["-qc", "docker.tar"])),
        ("best.tar.lz4", packed("lz4", &["-qc9", "docker.tar"])),
        ("linked.tar.lz4", packed("lz4", &["-qcBD", "-B4", "docker.tar"])),
        ("sums.tar.lz4", packed("lz4", &["-qcBX", "--content-size", "docker.tar"])),
        ("frames.tar.lz4", both("lz4", &["-qc"])),
        // Told by what is in it, whatever it is called.
        ("wrongly-named.tar.gz", packed("lz4", &["-qc", "docker.tar"])),
    ] {
        fs::write(world.path(name), bytes).unwrap();
        same(&expected, &world.mounted(&world.import(name)), name);
    }
}

#[test]
fn archives_of_buildah_are_what_umoci_unpacks() {
    let world = World::new("buildah");
    world.layout();
    let container = world.tool("buildah", &["from", "-q", "oci:layout:latest"]);
    world.tool("buildah", &["config", "--cmd", "date", "--env", "BUILT=by buildah", container.trim_end()]);
    world.shell("echo added >added");
    world.tool("buildah", &["copy", "-q", container.trim_end(), "added", "/sub/added"]);
    for (format, archive) in [("docker", "docker-archive"), ("oci", "oci-archive")] {
        let file = format!("{format}.tar");
        let to = format!("{archive}:{file}:{NAME}");
        world.tool("buildah", &["commit", "-q", "--format", format, container.trim_end(), &to]);
        let layout = world.path(&format!("{format}-layout"));
        let from = format!("{archive}:{file}");
        world.tool("skopeo", &["copy", "-q", &from, &format!("oci:{}:latest", layout.display())]);
        let expected = world.umoci_tree(&layout, &format!("{format}-expected"));
        let image = world.import(&file);
        assert_eq!((&image.config.cmd[..], image.lower.len()), (&["date".to_owned()][..], 4), "{file}");
        assert!(image.config.env.contains(&"BUILT=by buildah".to_owned()), "{file}");
        same(&expected, &world.mounted(&image), &file);
    }
}

/// An index by platform, as buildah makes it; only what runs here is taken in, and the index's own digest finds it.
#[test]
fn of_an_archive_for_several_machines_only_ours_is_taken_in() {
    let world = World::new("machines");
    let layout = world.layout();
    let expected = world.umoci_tree(&layout, "expected");
    for other in ["s390x", "arm"] {
        world.tool("umoci", &["config", "--image", "layout:latest", "--tag", other, "--architecture", other]);
    }
    world.tool("buildah", &["manifest", "create", "several"]);
    for tag in ["s390x", "latest", "arm"] {
        world.tool("buildah", &["manifest", "add", "several", &format!("oci:layout:{tag}")]);
    }
    world.tool(
        "buildah",
        &["manifest", "push", "-q", "--all", "several", &format!("oci-archive:several.tar:{NAME}")],
    );
    let image = world.import("several.tar");
    assert_eq!(image.digests.len(), 2, "of the image, and of the index that led to it: {:?}", image.digests);
    same(&expected, &world.mounted(&image), "several.tar");
    let store = Store::open(&world.path("store")).unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
    assert_eq!(store.verify(&image.id).unwrap().unwrap().problems, [""; 0]);
    for digest in &image.digests {
        let reference = Reference::parse(&format!("registry.test/box@{digest}")).unwrap();
        assert_eq!(store.find(&reference).unwrap().map(|found| found.id), Some(image.id.clone()));
    }
}

/// docker cannot be run here. Since version 25 it writes both layouts into one archive: OCI's, whose index has the name as
/// containerd writes it, and its own, which leads to the same blobs.
#[test]
fn an_archive_of_docker_25_is_one_image_under_all_its_names() {
    let world = World::new("docker");
    let layout = world.layout();
    let expected = world.umoci_tree(&layout, "expected");
    // docker does not pack layers.
    world.tool("skopeo", &["copy", "-q", "--dest-decompress", "oci:layout:latest", "dir:plain"]);
    world.tool("skopeo", &["copy", "-q", "dir:plain", "oci:saved:latest"]);
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob =
        |digest: &Value| format!("blobs/sha256/{}", digest.as_str().unwrap().trim_start_matches("sha256:"));
    let mut index = read(world.path("saved/index.json"));
    let manifest = read(world.path("saved").join(blob(&index["manifests"][0]["digest"])));
    index["manifests"][0]["annotations"] =
        json!({"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "1"});
    let layers: Vec<String> =
        manifest["layers"].as_array().unwrap().iter().map(|layer| blob(&layer["digest"])).collect();
    let saved = json!([{
        "Config": blob(&manifest["config"]["digest"]), "RepoTags": [NAME, "second:2"], "Layers": layers,
        "LayerSources": {},
    }]);
    fs::write(world.path("saved/index.json"), index.to_string()).unwrap();
    fs::write(world.path("saved/manifest.json"), saved.to_string()).unwrap();
    fs::write(world.path("saved/repositories"), json!({"registry.test/box": {"1": "x"}}).to_string())
        .unwrap();
    world.shell("tar -C saved -cf docker.tar .");
    let image = world.import("docker.tar");
    assert_eq!(image.names, ["docker.io/library/second:2", NAME]);
    same(&expected, &world.mounted(&image), "docker.tar");
}

#[test]
fn archives_of_podman_are_what_umoci_unpacks() {
    let world = World::new("podman");
    world.layout();
    world.pull("latest", &[NAME]);
    for format in ["docker-archive", "oci-archive"] {
        let file = format!("{format}.tar");
        world.tool("podman", &["save", "-q", "--format", format, "-o", &file, NAME]);
        let unpacked = world.path(&format!("{format}-layout"));
        let from = format!("{format}:{file}");
        world.tool("skopeo", &["copy", "-q", &from, &format!("oci:{}:latest", unpacked.display())]);
        let expected = world.umoci_tree(&unpacked, &format!("{format}-expected"));
        same(&expected, &world.mounted(&world.import(&file)), &file);
    }
}

#[test]
fn two_images_of_one_archive_share_their_layers() {
    let world = World::new("two");
    world.layout();
    world.pull("latest", &[NAME, "registry.test/same:2"]);
    world.tool("umoci", &["config", "--image", "layout:latest", "--tag", "other", "--config.cmd", "date"]);
    world.pull("other", &["registry.test/other:1"]);
    let names = [NAME, "registry.test/same:2", "registry.test/other:1"];
    let save = [&["save", "-q", "--multi-image-archive", "-o", "several.tar"][..], &names].concat();
    world.tool("podman", &save);
    let image = world.import("several.tar");
    assert_eq!(image.names, ["registry.test/box:1", "registry.test/same:2"]);
    let store = Store::open(&world.path("store")).unwrap();
    let other = store.find(&Reference::parse("registry.test/other:1").unwrap()).unwrap().unwrap();
    assert_eq!(other.lower, image.lower);
    assert_ne!(other.id, image.id);
    assert_eq!(fs::read_dir(&image.layers_dir).unwrap().count(), 3);
}

#[test]
fn an_image_for_another_machine_is_refused_by_both_names() {
    let world = World::new("machine");
    world.layout();
    world.tool("umoci", &["config", "--image", "layout:latest", "--architecture", "s390x"]);
    world.tool("skopeo", &["copy", "-q", "oci:layout:latest", &format!("docker-archive:s390x.tar:{NAME}")]);
    let error = Store::open(&world.path("store")).unwrap().import(&world.path("s390x.tar")).unwrap_err();
    let ours = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    let text = format!("{error:#}");
    assert!(text.contains("linux/s390x only; this node runs ") && text.ends_with(ours), "{text}");
}

/// Layers of every make, which a registry would have compressed: what `image save` makes of them has the digests that the
/// image's configuration tells of, for whoever reads it.
#[test]
fn what_is_saved_is_for_skopeo_and_podman_what_it_was() {
    let world = World::new("save");
    world.layout();
    // Holes in PAX's format: podman reads no other, and nothing that is in a layer twice.
    world.shell(
        "mkdir more; cd more; truncate -s 3M holes; echo data | dd of=holes seek=4096 conv=notrunc 2>/dev/null
        echo one >file; tar --format=posix --sparse -cf ../more.tar holes file",
    );
    world.tool("umoci", &["raw", "add-layer", "--image", "layout:latest", "more.tar"]);
    world.tool("umoci", &["insert", "--image", "layout:latest", "more/file", "/inserted"]);
    let from = format!("oci-archive:from.tar:{NAME}");
    world.tool("skopeo", &["copy", "-q", "oci:layout:latest", &from]);
    let inspect =
        |what: &[&str], image: &str| world.tool("skopeo", &[&["inspect", "--raw"], what, &[image]].concat());
    let before: Value = serde_json::from_str(&inspect(&["--config"], &from)).unwrap();
    let image = world.import("from.tar");
    assert_eq!(image.lower.len(), 5);
    let expected = world.mounted(&image);
    let mut saved = File::create(world.path("saved.tar")).unwrap();
    let store = Store::open(&world.path("store")).unwrap();
    store.save(&image.id, &mut saved, &|_| Ok(())).unwrap();

    let archives = ["oci-archive:saved.tar", "docker-archive:saved.tar"];
    for archive in archives.into_iter().flat_map(|bare| [bare.to_owned(), format!("{bare}:{NAME}")]) {
        let config = inspect(&["--config"], &archive);
        assert_eq!(holdfast::image::Digest::of(config.as_bytes()).to_string(), image.id, "{archive}");
        let manifest: Value = serde_json::from_str(&inspect(&[], &archive)).unwrap();
        let layers: Vec<&Value> =
            manifest["layers"].as_array().unwrap().iter().map(|it| &it["digest"]).collect();
        assert_eq!(
            layers,
            before["rootfs"]["diff_ids"].as_array().unwrap().iter().collect::<Vec<_>>(),
            "{archive}"
        );
        // Copying compares each blob with its digest.
        world.tool("skopeo", &["copy", "-q", &archive, "dir:copied"]);
        fs::remove_dir_all(world.path("copied")).unwrap();
    }
    let loaded = world.tool("podman", &["load", "-q", "-i", "saved.tar"]);
    assert_eq!(loaded.trim_end(), format!("Loaded image: {NAME}"));
    let id = world.tool("podman", &["image", "inspect", "--format", "{{.Id}}", NAME]);
    assert_eq!(format!("sha256:{}", id.trim_end()), image.id);
    let again = world.import("saved.tar");
    assert_eq!((&again.id, &again.lower, &again.names), (&image.id, &image.lower, &image.names));
    same(&expected, &world.mounted(&again), "saved.tar");
}

/// What a file is, apart from its name.
type Tree = BTreeMap<PathBuf, String>;

fn same(expected: &Tree, actual: &Tree, what: &str) {
    for path in expected.keys().chain(actual.keys()) {
        assert_eq!(expected.get(path), actual.get(path), "{what}: {}", path.display());
    }
}

/// A directory with an OCI layout, archives and a store; removed in the end.
struct World(PathBuf);

impl World {
    fn new(name: &str) -> World {
        let root =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        World(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs a tool of somebody else's; podman and buildah with a storage of their own.
    fn tool(&self, tool: &str, arguments: &[&str]) -> String {
        let mut command = debian::tool(tool);
        if tool == "podman" || tool == "buildah" {
            // Relative: podman refuses a run root of more than 50 characters.
            command.args(["--root=graph", "--runroot=run"]);
            command.args((tool == "podman").then_some("--tmpdir=tmp"));
        }
        run(command.args(arguments).current_dir(&self.0))
    }

    /// Brings an image of the layout into podman's storage, under `names`.
    fn pull(&self, tag: &str, names: &[&str]) {
        let id = self.tool("podman", &["pull", "-q", &format!("oci:layout:{tag}")]);
        self.tool("podman", &[&["tag", id.trim_end()], names].concat());
    }

    fn shell(&self, script: &str) {
        run(Command::new("sh").args(["-ec", script]).current_dir(&self.0));
    }

    /// An image of three layers in which everything is that a layer can say.
    fn layout(&self) -> PathBuf {
        self.tool("umoci", &["init", "--layout", "layout"]);
        self.tool("umoci", &["new", "--image", "layout:latest"]);
        for (at, fill) in [first_layer, second_layer, third_layer].into_iter().enumerate() {
            let bundle = format!("bundle-{at}");
            self.tool("umoci", &["unpack", "--image", "layout:latest", &bundle]);
            fill(&self.path(&bundle).join("rootfs"));
            self.tool("umoci", &["repack", "--image", "layout:latest", &bundle]);
        }
        let entrypoint = ["--config.entrypoint", "/bin/busybox", "--config.entrypoint", "sh"];
        self.tool("umoci", &[&["config", "--image", "layout:latest"], &entrypoint[..]].concat());
        self.path("layout")
    }

    fn umoci_tree(&self, layout: &Path, bundle: &str) -> Tree {
        self.tool("umoci", &["unpack", "--image", &format!("{}:latest", layout.display()), bundle]);
        tree(&self.path(bundle).join("rootfs"))
    }

    /// Imports an archive into a store that has nothing yet, and finds the image there.
    fn import(&self, file: &str) -> Image {
        let _ = fs::remove_dir_all(self.path("store"));
        let store = Store::open(&self.path("store")).unwrap();
        store.import(&self.path(file)).unwrap();
        let image = store.find(&Reference::parse(NAME).unwrap()).unwrap();
        image.unwrap_or_else(|| panic!("{file} holds {NAME}"))
    }

    /// The image's layers under overlayfs, in a mount namespace of their own.
    fn mounted(&self, image: &Image) -> Tree {
        let layers = image.lower.iter().map(|name| image.layers_dir.join(name).display().to_string());
        fs::create_dir_all(self.path("merged")).unwrap();
        let script = "mount -t overlay overlay -o \"ro,lowerdir=$1\" \"$2\" && echo mounted && exec cat";
        let lower: Vec<String> = layers.collect();
        let mut namespace = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh", &lower.join(":")])
            .arg(self.path("merged"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map(Holder)
            .unwrap();
        let mut line = String::new();
        BufReader::new(namespace.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n");
        let root = PathBuf::from(format!("/proc/{}/root{}", namespace.0.id(), self.path("merged").display()));
        tree(&root)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// A process that holds a mount namespace until its input ends.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

fn first_layer(root: &Path) {
    let write = |name: &str, content: &str, mode: u32| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy(busybox(), root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/sh")).unwrap();
    symlink("/nowhere/at/../all", root.join("dangling")).unwrap();
    fs::hard_link(root.join("bin/busybox"), root.join("bin/ls")).unwrap();
    write("setuid", "#!", 0o6755);
    chown(write("owned", "by another", 0o640), Some(1000), Some(4_000_000)).unwrap();
    chown(root.join("setuid"), Some(7), Some(8)).unwrap();
    fs::set_permissions(root.join("setuid"), fs::Permissions::from_mode(0o6755)).unwrap();
    let capable = write("capable", "", 0o755);
    // cap_net_raw+ep, version 2, as setcap writes it.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (name, value) in [("security.capability", &capability[..]), ("user.note", b"kept")] {
        beneath::set_attribute(File::open(&capable).unwrap(), name.as_ref(), value).unwrap();
    }
    write("removed", "in the second layer", 0o644);
    write("folder/removed", "with its folder", 0o644);
    write("remade/old", "and gone", 0o644);
    write("becomes-link/file", "", 0o644);
    write("becomes-folder", "", 0o644);
    write("sub/kept", "first", 0o644);
    write("sub/changed", "first", 0o600);
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    write(&format!("{}/{}", "long".repeat(40), "name".repeat(50)), "long", 0o644);
    write("n\u{e4}me with \u{1f980}", "utf-8", 0o644);
    let holes = File::create(root.join("holes")).unwrap();
    holes.set_len(1 << 20).unwrap();
    let script = "mkfifo pipe; mknod device c 1 3; mknod block b 7 9; touch -d 1969-12-31T23:00:00Z old-file
        touch -d 2100-01-01 new-file; touch -h -d 2001-02-03T04:05:06Z dangling; touch -d 2002-03-04 sub";
    run(Command::new("sh").args(["-ec", script]).current_dir(root));
}

fn second_layer(root: &Path) {
    let script = "rm removed; rm -r folder; rm -r remade; mkdir remade; echo new >remade/new; chmod 750 remade
        rm -r becomes-link; ln -s sub becomes-link; rm becomes-folder; mkdir becomes-folder; touch becomes-folder/x
        echo second >sub/changed; chown 5:6 sub; touch tmp/file; ln bin/busybox bin/cat";
    run(Command::new("sh").args(["-ec", script]).current_dir(root));
}

fn third_layer(root: &Path) {
    let script = "echo third >removed; rm sub/changed; rm -r remade; rm capable; chmod 4711 bin/busybox";
    run(Command::new("sh").args(["-ec", script]).current_dir(root));
}

/// Every file below `root`: kind, mode, owner, time, content, attributes, and which other names it has.
fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut first_names: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let mut names: Vec<OsString> =
            fs::read_dir(root.join(&folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            let path = folder.join(name);
            if fs::symlink_metadata(root.join(&path)).unwrap().is_dir() {
                folders.push(path.clone());
            }
            let mut shown = describe(&root.join(&path));
            let metadata = fs::symlink_metadata(root.join(&path)).unwrap();
            if !metadata.is_dir() && metadata.nlink() > 1 {
                let first = first_names.entry(metadata.ino()).or_insert_with(|| path.clone());
                shown.push_str(&format!(" is {}", first.display()));
            }
            found.insert(path, shown);
        }
    }
    found.insert(PathBuf::new(), describe(root));
    found
}

fn describe(path: &Path) -> String {
    let metadata = fs::symlink_metadata(path).unwrap();
    let mut shown =
        format!("{:o} {}:{} {}", metadata.mode(), metadata.uid(), metadata.gid(), metadata.mtime());
    if metadata.is_symlink() {
        return format!("{shown} -> {}", fs::read_link(path).unwrap().display());
    }
    if metadata.is_file() {
        let mut file = File::open(path).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        shown.push_str(&format!(" {} bytes {}", content.len(), holdfast::image::Digest::of(&content)));
    }
    if metadata.is_file() || metadata.is_dir() {
        let file = File::open(path).unwrap();
        let mut names = beneath::attributes(&file).unwrap();
        names.sort();
        for name in names {
            shown.push_str(&format!(" {name:?}={:?}", beneath::attribute(&file, &name).unwrap()));
        }
    } else {
        shown.push_str(&format!(" device {}", metadata.rdev()));
    }
    shown
}
