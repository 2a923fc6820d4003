//! Archives that umoci, skopeo and podman made, imported by the real store, and mounted as a pod would have them.
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

    /// Runs a tool of somebody else's; podman with a storage of its own.
    fn tool(&self, tool: &str, arguments: &[&str]) -> String {
        let mut command = debian::tool(tool);
        if tool == "podman" {
            // Relative: podman refuses a run root of more than 50 characters.
            command.args(["--root=graph", "--runroot=run", "--tmpdir=tmp"]);
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
