//! Stories of archives, honest and hostile. Hostile ones are built here, byte by byte.
#![allow(clippy::unwrap_used)]

mod arriving;
mod by_hand;
mod hostile;
mod names;
mod recipe;
mod repair;
mod store;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;
use crate::sys::beneath;

/// A directory with a store, and a file beside it that nobody may touch; removed in the end.
struct World(PathBuf);

impl World {
    fn new() -> World {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("holdfast-image-{}-{number}", std::process::id()));
        fs::create_dir(&root).unwrap();
        fs::write(root.join("marker"), "untouched").unwrap();
        World(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn store(&self) -> Store {
        self.limited(Limits::default())
    }

    /// A store on a machine that may have a fuller disk than a node should.
    fn limited(&self, limits: Limits) -> Store {
        Store::with_limits(&self.path("store"), Limits { free_percent: 0, ..limits }).unwrap()
    }

    fn import(&self, archive: &[u8]) -> anyhow::Result<Vec<Imported>> {
        fs::write(self.path("archive.tar"), archive).unwrap();
        self.store().import(&self.path("archive.tar"))
    }

    /// Imports layers as an image, and tells what is in each, lowest first.
    fn trees(&self, layers: &[Vec<u8>]) -> Vec<BTreeMap<String, String>> {
        self.import(&docker("t/t:1", layers)).unwrap();
        let image = self.store().find(&Reference::parse("t/t:1").unwrap()).unwrap().unwrap();
        image.lower.iter().rev().map(|name| tree(&image.layers_dir.join(name))).collect()
    }

    /// Everything is as it was before an import that failed.
    fn is_clean(&self) {
        assert_eq!(fs::read_to_string(self.path("marker")).unwrap(), "untouched");
        for folder in ["layers", "tmp", "configs"] {
            let left: Vec<_> = fs::read_dir(self.path("store").join(folder)).unwrap().collect();
            assert!(left.is_empty(), "{folder}: {left:?}");
        }
        assert!(!self.path("store/index.json").exists());
        let mut beside: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        beside.sort();
        assert_eq!(beside, ["archive.tar", "marker", "store"]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A tar archive in the making.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(self, kind: u8, path: &str, link: &str, content: &[u8]) -> Tar {
        self.raw(kind, path, link, content.len() as u64, content)
    }

    /// An entry whose header may tell another size than its content has.
    fn raw(mut self, kind: u8, path: &str, link: &str, size: u64, content: &[u8]) -> Tar {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(if kind == b'5' { 0o750 } else { 0o640 });
        header.set_size(size);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000_000);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, content: &str) -> Tar {
        self.entry(b'0', path, "", content.as_bytes())
    }

    fn folder(self, path: &str) -> Tar {
        self.entry(b'5', path, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Tar {
        self.entry(b'2', path, target, b"")
    }

    fn hard_link(self, path: &str, target: &str) -> Tar {
        self.entry(b'1', path, target, b"")
    }

    /// A header with PAX records, for the entry after it.
    fn pax(self, records: &[(&str, &str)]) -> Tar {
        self.entry(b'x', "pax", "", pax(records).as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn pax(records: &[(&str, &str)]) -> String {
    let line = |(key, value): &(&str, &str)| {
        let rest = format!(" {key}={value}\n");
        let length = (1..).find(|length| format!("{length}").len() + rest.len() == *length).unwrap();
        format!("{length}{rest}")
    };
    records.iter().map(line).collect()
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let platform = Platform::ours();
    let config = json!({
        "architecture": platform.architecture, "os": "linux", "config": { "Cmd": ["/run"], "Entrypoint": null },
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| Digest::of(layer)).collect::<Vec<_>>() },
    });
    config.to_string().into_bytes()
}

/// An archive as `docker save` writes it, the manifest last.
fn docker(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let config = config(layers);
    let config_name = format!("{}.json", Digest::of(&config).hex());
    let names: Vec<String> = (0..layers.len()).map(|at| format!("{at}/layer.tar")).collect();
    let mut tar = Tar::default();
    // The uppermost first: an archive's order means nothing.
    for (layer, name) in layers.iter().zip(&names).rev() {
        tar = tar.entry(b'0', name, "", layer);
    }
    let manifest = json!([{ "Config": config_name, "RepoTags": [name], "Layers": names }]).to_string();
    tar.entry(b'0', &config_name, "", &config).file("manifest.json", &manifest).end()
}

/// An OCI layout of `blobs`, with this `index.json`.
fn oci(index: &serde_json::Value, blobs: &[&[u8]]) -> Vec<u8> {
    let mut tar = Tar::default().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    for blob in blobs {
        tar = tar.entry(b'0', &format!("blobs/sha256/{}", Digest::of(blob).hex()), "", blob);
    }
    tar.file("index.json", &index.to_string()).end()
}

fn descriptor(blob: &[u8]) -> serde_json::Value {
    json!({ "digest": Digest::of(blob), "size": blob.len() })
}

/// Every file below `root`: mode, owner, and what is in it.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, describe(&path));
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

fn describe(path: &Path) -> String {
    let metadata = fs::symlink_metadata(path).unwrap();
    let kind = metadata.file_type();
    if kind.is_char_device() && metadata.rdev() == 0 {
        return "whiteout".into();
    }
    let owner = format!("{:o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    let opened = || fs::File::open(path).unwrap();
    if kind.is_dir() {
        let opaque = beneath::attribute(opened(), unpack::OPAQUE.as_ref()).unwrap().is_some();
        format!("folder {owner}{}", if opaque { " opaque" } else { "" })
    } else if kind.is_symlink() {
        format!("-> {}", fs::read_link(path).unwrap().display())
    } else if kind.is_file() {
        format!("{owner} {}", String::from_utf8_lossy(&fs::read(path).unwrap()))
    } else {
        format!("node {owner} {:x}", metadata.rdev())
    }
}
