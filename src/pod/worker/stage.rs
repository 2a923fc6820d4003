//! Where libcontainer makes a container with users of its own: a root with nothing but what the container is made of.
//!
//! In a user namespace of its pod it is nobody on the node, and gets through no directory that is for root alone, such as those that
//! lead to bundles and volumes. It also knows no mounts with mapped owners, and may take nothing back that a mount forbids. So all
//! that the container mounts is copied and mapped here first, and this root is entered; of the node there are only `/proc`, `/sys`
//! and `/dev`. It is the worker's own, and gone with it.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root};
use serde_json::{Value, json};

use super::config;
use super::users::Users;
use crate::status::Failure;
use crate::sys::mount_tree::MountTree;

/// The stage, entered.
pub struct Stage {
    /// What the node calls the sources of the container's mounts, by what they are called here.
    sources: Vec<(String, String)>,
    /// Namespaces that the container enters by their descriptors.
    _held: Vec<File>,
}

impl Stage {
    /// The container's bundle.
    pub const BUNDLE: &str = "/bundle";
    /// Where libcontainer keeps its state.
    pub const RUNTIME: &str = "/runtime";
    /// The container's root.
    pub const ROOT: &str = "/rootfs";

    /// Tells of a failure by the names that things have on the node.
    pub fn translate(&self, failure: Failure) -> Failure {
        // The last ones first: their names begin like those of the first.
        let translated = |text: String, (here, there): &(String, String)| text.replace(here, there);
        let message = self.sources.iter().rev().fold(failure.message.clone(), translated);
        Failure { message, ..failure }
    }
}

/// What the worker mounts from here on is its own.
pub fn apart() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("make mounts of one's own")
}

/// Enters the stage for the container of `bundle`, whose root is mounted there, and lets its configuration say so.
pub fn enter(bundle: &Path, runtime: &Path, users: &Users) -> Result<Stage> {
    let rootfs = bundle.join("rootfs");
    let (proc, sys, dev) = (Path::new("/proc"), Path::new("/sys"), Path::new("/dev"));
    let fixed = [
        ("/proc", proc),
        ("/sys", sys),
        ("/dev", dev),
        (Stage::BUNDLE, bundle),
        (Stage::RUNTIME, runtime),
        (Stage::ROOT, &rootfs),
    ];
    let copies = fixed.map(|(name, path)| {
        MountTree::copy(path).with_context(|| format!("copy {}", path.display())).map(|tree| (name, tree))
    });
    let mut document = config::read(bundle)?;
    let place = bundle.join("stage");
    fs::create_dir(&place).with_context(|| format!("make {}", place.display()))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), &place, Some("tmpfs"), flags, Some("size=64k,mode=755"))
        .with_context(|| format!("mount a tmpfs at {}", place.display()))?;
    for copy in copies {
        let (name, tree) = copy?;
        put(&tree, &place, name, true)?;
    }
    let sources = stage_mounts(&mut document, &place, users)?;
    let held = name_namespaces(&mut document, users)?;
    if let Some(root) = document.get_mut("root").and_then(Value::as_object_mut) {
        root.insert("path".to_owned(), json!(Stage::ROOT));
    }
    config::write(bundle, &document)?;
    enter_root(&place)?;
    Ok(Stage { sources, _held: held })
}

/// Puts every source of a bind mount in place, with its owners mapped where the configuration says so, which is not said to
/// libcontainer then.
fn stage_mounts(document: &mut Value, place: &Path, users: &Users) -> Result<Vec<(String, String)>> {
    let mut sources = Vec::new();
    let mounts = document.get_mut("mounts").and_then(Value::as_array_mut);
    for (index, mount) in mounts.into_iter().flatten().filter_map(Value::as_object_mut).enumerate() {
        if mount.get("type").and_then(Value::as_str) != Some("bind") {
            continue;
        }
        let source =
            mount.get("source").and_then(Value::as_str).context("a mount without source")?.to_owned();
        let path = PathBuf::from(&source);
        let mapped = mount.remove("uidMappings").is_some();
        mount.remove("gidMappings");
        let tree = match mapped {
            true => users.mapped(&path)?,
            false => MountTree::copy(&path).with_context(|| format!("copy the mount of {source}"))?,
        };
        let options = mount.get("options").and_then(Value::as_array).into_iter().flatten();
        if options.into_iter().any(|option| option == "rexec") {
            tree.permit_execution().with_context(|| format!("permit execution in {source}"))?;
        }
        let name = format!("/volumes/{index}");
        put(&tree, place, &name, path.is_dir())?;
        mount.insert("source".to_owned(), json!(name));
        sources.push((name, source));
    }
    Ok(sources)
}

/// Mounts a copy at `name`, which is made as a directory or a file.
fn put(tree: &MountTree, place: &Path, name: &str, directory: bool) -> Result<()> {
    let at = place.join(name.trim_start_matches('/'));
    let doing = || format!("make {}", at.display());
    let folder = if directory { Some(at.as_path()) } else { at.parent() };
    fs::create_dir_all(folder.context("a place has a parent")?).with_context(doing)?;
    if !directory {
        File::create_new(&at).with_context(doing)?;
    }
    tree.attach(&at).with_context(|| format!("mount at {}", at.display()))
}

/// Names the user namespace, and others that are joined, by descriptors: nobody in the user namespace may look for them.
fn name_namespaces(document: &mut Value, users: &Users) -> Result<Vec<File>> {
    let mut held = Vec::new();
    let namespaces = document.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut);
    for namespace in namespaces.into_iter().flatten().filter_map(Value::as_object_mut) {
        let number = match (namespace.get("type"), namespace.get("path").and_then(Value::as_str)) {
            (Some(kind), _) if kind == "user" => users.namespace.as_raw_fd(),
            (_, Some(path)) => {
                let file = File::open(path).with_context(|| format!("open {path}"))?;
                let number = file.as_raw_fd();
                held.push(file);
                number
            }
            _ => continue,
        };
        namespace.insert("path".to_owned(), json!(format!("/proc/self/fd/{number}")));
    }
    Ok(held)
}

fn enter_root(place: &Path) -> Result<()> {
    chdir(place).with_context(|| format!("enter {}", place.display()))?;
    // The old root is then above the new one, and taken away from there (pivot_root(2)).
    pivot_root(".", ".").context("change the root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leave the old root")?;
    chdir("/").context("enter /")
}
