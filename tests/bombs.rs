//! Threat 12: archives that are small and would be large. The real program takes them, with little memory and on a small disk;
//! each is refused in one sentence, and nothing of it is left.
//!
//! Root, for a disk of its own in a mount namespace; no containers.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use holdfast::image::Digest;
use serde_json::json;

/// Most that the program may allocate, in KiB: the window of a zstd stream is up to half of it.
const MEMORY_KIB: u32 = 64 << 10;
/// The disk that the store is on; a tmpfs, which has one inode for each page of it.
const DISK: &str = "size=48m,nr_inodes=2000000";

struct World(PathBuf);

impl World {
    fn new() -> World {
        World(nix::unistd::mkdtemp("/tmp/holdfast-bombs-XXXXXX").unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Imports the archive `file`; afterwards lists what the store holds, behind what was said.
    fn import(&self, file: &str) -> Output {
        fs::create_dir_all(self.path("data")).unwrap();
        let script = "mount -t tmpfs -o $4 bombs $3 || exit 9
            (ulimit -d $5; exec $1 image --data-dir $3 import $2); code=$?
            cd $3/agent/holdfast/images && find layers configs tmp partial aside -mindepth 1 2>/dev/null; ls index.json 2>/dev/null
            exit $code";
        let arguments = [
            env!("CARGO_BIN_EXE_holdfast").to_owned(),
            self.path(file).display().to_string(),
            self.path("data").display().to_string(),
            DISK.to_owned(),
            MEMORY_KIB.to_string(),
        ];
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).args(arguments);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// It is refused for `reason`, in one line, and nothing is left.
    #[track_caller]
    fn refuses(&self, file: &str, reason: &str) {
        let output = self.import(file);
        let (said, left) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        assert!(said.contains(reason) && said.lines().count() == 1, "{file}: {said}");
        assert_eq!(left, "", "{file}");
    }

    /// An archive of docker's layout with one layer, which is what `fill` writes.
    fn archive(&self, file: &str, fill: impl FnOnce(&mut dyn Write)) {
        let mut layer = BufWriter::new(File::create(self.path("layer")).unwrap());
        fill(&mut layer);
        layer.flush().unwrap();
        let config = json!({
            "architecture": architecture(), "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"nobody comes so far")]},
        });
        self.archive_of(file, &config.to_string());
    }

    /// An archive of docker's layout with `config` and the file `layer`.
    fn archive_of(&self, file: &str, config: &str) {
        let manifest = json!([{"Config": "config", "RepoTags": ["b:1"], "Layers": ["layer"]}]).to_string();
        let mut archive = BufWriter::new(File::create(self.path(file)).unwrap());
        let size = self.path("layer").metadata().unwrap().len();
        archive.write_all(&header(b'0', "layer", size)).unwrap();
        std::io::copy(&mut File::open(self.path("layer")).unwrap(), &mut archive).unwrap();
        archive.write_all(&vec![0; usize::try_from(size.next_multiple_of(512) - size).unwrap()]).unwrap();
        for (name, content) in [("config", config), ("manifest.json", manifest.as_str())] {
            archive.write_all(&entry(b'0', name, content.as_bytes())).unwrap();
        }
        archive.write_all(&[0; 1024]).unwrap();
        archive.flush().unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn header(kind: u8, path: &str, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    header.set_path(path).unwrap();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

fn entry(kind: u8, path: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = [&header(kind, path, content.len() as u64)[..], content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A zstd stream of whatever length: blocks as they are, and blocks of one byte so many times over (RFC 8878, 3.1.1.2).
struct Zstd<'w>(&'w mut dyn Write);

impl Zstd<'_> {
    /// Most bytes of a block.
    const BLOCK: u64 = 128 << 10;

    /// Begins a frame with a window of 2 to the power of 10 + `exponent`.
    fn begin(out: &mut dyn Write, exponent: u8) -> Zstd<'_> {
        out.write_all(&[0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3]).unwrap();
        Zstd(out)
    }

    fn block(&mut self, kind: u32, size: u64, content: &[u8]) {
        let header = u32::try_from(size).unwrap() << 3 | kind << 1;
        self.0.write_all(&header.to_le_bytes()[..3]).unwrap();
        self.0.write_all(content).unwrap();
    }

    fn raw(&mut self, content: &[u8]) {
        self.block(0, content.len() as u64, content);
    }

    fn zeros(&mut self, mut count: u64) {
        while 0 < count {
            let size = count.min(Zstd::BLOCK);
            self.block(1, size, &[0]);
            count -= size;
        }
    }
}

#[test]
fn a_few_megabytes_that_unpack_to_a_hundred_gigabytes_are_stopped() {
    let world = World::new();
    // It says so itself.
    world.archive("one.tar", |out| {
        let mut zstd = Zstd::begin(out, 10);
        zstd.raw(&header(b'0', "huge", 100 << 30));
        zstd.zeros(100 << 30);
    });
    let size = world.path("one.tar").metadata().unwrap().len();
    assert!(size < 10 << 20, "{size} bytes");
    world.refuses("one.tar", "unpacks to more than 34359738368 bytes (the limit for one image)");
    // Each file is a small one, and the disk is full before the limit is reached: no fault of the archive's.
    world.archive("many.tar", |out| {
        let mut zstd = Zstd::begin(out, 10);
        for number in 0..100 {
            zstd.raw(&header(b'0', &format!("{number}"), 1 << 30));
            zstd.zeros(1 << 30);
        }
    });
    world.refuses("many.tar", "the disk is nearly full: 5 % of its space stay free");
    // A hole of a terabyte takes no space, and counts all the same.
    world.archive("sparse.tar", |out| {
        let mut header = tar::Header::new_gnu();
        header.set_path("hole").unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_mode(0o644);
        header.set_size(0);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize.copy_from_slice(b"\x80\0\0\0\0\0\x01\0\0\0\0\0");
        header.set_cksum();
        out.write_all(header.as_bytes()).unwrap();
        out.write_all(&[0; 1024]).unwrap();
    });
    world.refuses("sparse.tar", "unpacks to more than 34359738368 bytes");
}

/// One file after the other hides what lower layers have, so that it costs the disk nothing. Five gigabytes, unpacked.
#[test]
fn of_ten_million_entries_the_first_million_is_looked_at() {
    let world = World::new();
    world.archive("entries.tar", |out| {
        let block = header(b'0', "d/.wh.gone", 0).repeat(10_000);
        let mut packer = Command::new("zstd");
        packer.args(["-1", "-q", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut packer = packer.spawn().unwrap();
        let mut to = packer.stdin.take().unwrap();
        let feed = std::thread::spawn(move || (0..1000).for_each(|_| to.write_all(&block).unwrap()));
        std::io::copy(packer.stdout.as_mut().unwrap(), out).unwrap();
        feed.join().unwrap();
        assert!(packer.wait().unwrap().success());
    });
    world.refuses("entries.tar", "has more than 1000000 files (the limit for one image)");
}

#[test]
fn what_asks_for_memory_gets_none() {
    let world = World::new();
    // A window of 2 GiB.
    world.archive("window.tar", |out| {
        let mut zstd = Zstd::begin(out, 21);
        zstd.raw(&header(b'0', "file", 3 << 30));
        zstd.zeros(3 << 30);
    });
    world.refuses("window.tar", "window");
    // Headers that describe a file, of a gigabyte.
    for kind in [b'L', b'K', b'x', b'g'] {
        world.archive("header.tar", |out| {
            let mut zstd = Zstd::begin(out, 10);
            zstd.raw(&header(kind, "long", 1 << 30));
            zstd.zeros(1 << 30);
        });
        world.refuses("header.tar", "has an extension header of 1073741824 bytes");
    }
    // Packed, and packed again: once is what formats have.
    let twice = |content: &[u8]| {
        let packed = gzip(content);
        gzip(&packed)
    };
    world.archive("twice.tar", |out| out.write_all(&twice(&entry(b'0', "file", b"x"))).unwrap());
    world.refuses("twice.tar", "a header");
    let whole = fs::read(world.path("twice.tar")).unwrap();
    fs::write(world.path("whole.tar.gz"), twice(&whole)).unwrap();
    world.refuses("whole.tar.gz", "a header");
}

/// Documents of the greatest length that is read, made of what costs the most memory for each byte.
#[test]
fn a_document_of_tiny_pieces_is_no_hundred_times_its_size() {
    const MOST: usize = 4 << 20;
    let world = World::new();
    fs::write(world.path("layer"), b"").unwrap();
    let filled = |before: &str, piece: &str, after: &str| {
        let count = (MOST - before.len() - after.len() - 1) / (piece.len() + 1);
        let pieces = vec![piece; count].join(",");
        format!("{before}{pieces}{after}")
    };
    let good =
        format!(r#""architecture": "{}", "os": "linux", "rootfs": {{"diff_ids": []}}"#, architecture());
    for (at, config) in [
        filled(r#"{"history": ["#, "0", &format!("], {good}}}")),
        filled(r#"{"history": ["#, "[]", &format!("], {good}}}")),
        filled(r#"{"config": {"Env": ["#, "\"\"", &format!("]}}, {good}}}")),
    ]
    .iter()
    .enumerate()
    {
        world.archive_of(&format!("config-{at}.tar"), config);
        world.refuses(&format!("config-{at}.tar"), "has 1 layers, and 0 according to its configuration");
    }
    for (at, manifest) in [
        filled(r#"{"layers": ["#, "0", "]}"),
        filled(r#"{"manifests": [], "other": ["#, "[]", "]}"),
        filled(r#"{"manifests": [], "other": ["#, "{}", "]}"),
    ]
    .iter()
    .enumerate()
    {
        let digest = Digest::of(manifest.as_bytes());
        let index = json!({"manifests": [{"digest": digest, "size": manifest.len()}]}).to_string();
        let mut archive = entry(b'0', &format!("blobs/sha256/{}", digest.hex()), manifest.as_bytes());
        archive.extend(entry(b'0', "index.json", index.as_bytes()));
        archive.extend([0; 1024]);
        fs::write(world.path("manifest.tar"), archive).unwrap();
        let reason = if at == 0 { "is no valid document" } else { "has images for" };
        world.refuses("manifest.tar", reason);
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}
