//! Threat 11: layers in which readers have seen different files. Ours sees what GNU tar sees, and what Go's archive/tar does
//! (by way of umoci), or it refuses the layer.
//!
//! Root, for umoci; `tests/debian.sh` brings it.
#![allow(clippy::unwrap_used)]

mod debian;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use debian::tool;
use holdfast::image::{Digest, Kind, Source, Tarball};
use serde_json::json;

/// Kind as `ls` writes it, and length, by path. A link's length is nobody's business.
type Seen = BTreeMap<String, (char, u64)>;

#[test]
fn an_odd_archive_shows_the_same_files_to_all_or_is_refused() {
    let world = World(nix::unistd::mkdtemp("/tmp/holdfast-tars-XXXXXX").unwrap());
    let (mut taken, mut refused, mut wrong) = (0, 0, Vec::new());
    for (name, archive) in odd() {
        let ours = ours(&archive);
        let others = [("GNU tar", world.gnu(&archive)), ("Go", world.go(&archive))];
        let Ok(ours) = ours else {
            refused += 1;
            continue;
        };
        taken += 1;
        for (who, theirs) in others {
            if theirs.as_ref().is_some_and(|theirs| *theirs != ours) {
                wrong.push(format!("{name}: we see {ours:?}, {who} sees {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(20 <= taken && 20 <= refused, "{taken} taken, {refused} refused");
}

struct World(PathBuf);

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Bytes<'b>(&'b [u8]);

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Source for Bytes<'_> {}

fn ours(archive: &[u8]) -> anyhow::Result<Seen> {
    let mut seen = Seen::new();
    let mut tarball = Tarball::new(Bytes(archive));
    while let Some(entry) = tarball.next_entry()? {
        let kind = match entry.kind {
            Kind::File | Kind::HardLink => '-',
            Kind::Directory => 'd',
            Kind::Symlink => 'l',
            Kind::Character(..) => 'c',
            Kind::Block(..) => 'b',
            Kind::Fifo => 'p',
        };
        let size = match entry.kind {
            Kind::HardLink => of(&seen, &String::from_utf8_lossy(&entry.link)),
            _ => entry.size,
        };
        let path = String::from_utf8_lossy(&entry.path).into_owned();
        seen.insert(plain(&path), (kind, size));
    }
    Ok(seen)
}

/// The length of an earlier file.
fn of(seen: &Seen, path: &str) -> u64 {
    seen.get(&plain(path)).map_or(0, |(_, size)| *size)
}

/// A path as it is when it is unpacked.
fn plain(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

impl World {
    /// What `tar -t` tells; nothing where it complains.
    fn gnu(&self, archive: &[u8]) -> Option<Seen> {
        let file = self.0.join("odd.tar");
        fs::write(&file, archive).unwrap();
        let mut tar = Command::new("tar");
        let output = tar.args(["--numeric-owner", "-tvf"]).arg(&file).env("TZ", "UTC").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut seen = Seen::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (kind, size) = (words.next()?.chars().next()?, words.nth(1)?);
            let name = words.skip(2).collect::<Vec<_>>().join(" ");
            let name = name.split(" -> ").next()?;
            let (name, link) = name.split_once(" link to ").unwrap_or((name, ""));
            let (kind, size) = match kind {
                '-' | 'C' => ('-', size.parse().ok()?),
                'h' => ('-', of(&seen, link)),
                kind => (kind, 0),
            };
            seen.insert(plain(name), (kind, size));
        }
        output.status.success().then_some(seen)
    }

    /// What `umoci unpack` makes of it, as far as it is no folder; nothing where it refuses it.
    fn go(&self, archive: &[u8]) -> Option<Seen> {
        let (layout, bundle) = (self.0.join("layout"), self.0.join("bundle"));
        for folder in [&layout, &bundle] {
            let _ = fs::remove_dir_all(folder);
        }
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        let blob = |kind: &str, bytes: &[u8]| {
            let digest = Digest::of(bytes);
            fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
            json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": bytes.len()})
        };
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::of(archive)]}});
        let config = blob("config.v1+json", config.to_string().as_bytes());
        let layers = [blob("layer.v1.tar", archive)];
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
        let mut manifest = blob("manifest.v1+json", manifest.as_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "odd"});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
        fs::write(layout.join("index.json"), index).unwrap();
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
        let image = format!("{}:odd", layout.display());
        let output = tool("umoci").args(["unpack", "--image", &image]).arg(&bundle).output().unwrap();
        output.status.success().then(|| walk(&bundle.join("rootfs")))
    }
}

fn walk(root: &Path) -> Seen {
    let (mut seen, mut folders) = (Seen::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let inside: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        for entry in &inside {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let letters = [
                (kind.is_symlink(), 'l'),
                (kind.is_char_device(), 'c'),
                (kind.is_block_device(), 'b'),
                (kind.is_fifo(), 'p'),
            ];
            let letter = letters.iter().find(|(is, _)| *is).map_or('-', |(_, letter)| *letter);
            let size = if letter == '-' { entry.metadata().unwrap().len() } else { 0 };
            seen.insert(name, (letter, size));
        }
    }
    seen
}

/// A tar archive in the making.
#[derive(Default, Clone)]
struct Tar(Vec<u8>);

fn tar() -> Tar {
    Tar::default()
}

impl Tar {
    /// A header of ustar with a right sum, after `change`; then `content`, padded.
    fn odd(mut self, kind: u8, path: &str, content: &[u8], change: impl FnOnce(&mut [u8])) -> Tar {
        let mut header = [0; 512];
        let mut set = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, path.as_bytes());
        set(100, b"0000640\0");
        set(108, b"0000007\0");
        set(116, b"0000010\0");
        set(124, format!("{:011o}\0", content.len()).as_bytes());
        set(136, b"07346545000\0");
        set(156, &[kind]);
        set(257, b"ustar\x0000");
        change(&mut header);
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn entry(self, kind: u8, path: &str, content: &[u8]) -> Tar {
        self.odd(kind, path, content, |_| {})
    }

    fn file(self, path: &str, content: &str) -> Tar {
        self.entry(b'0', path, content.as_bytes())
    }

    fn link(self, kind: u8, path: &str, to: &str) -> Tar {
        self.odd(kind, path, b"", |header| header[157..157 + to.len()].copy_from_slice(to.as_bytes()))
    }

    /// Of a file whose header says another size than its content has.
    fn sized(self, kind: u8, path: &str, size: u64, content: &[u8]) -> Tar {
        let text = format!("{size:011o}\0");
        self.odd(kind, path, content, |header| header[124..136].copy_from_slice(text.as_bytes()))
    }

    /// Of a file with `field` at `at` of its header.
    fn field(self, path: &str, at: usize, field: &[u8]) -> Tar {
        self.odd(b'0', path, b"x", |header| header[at..at + field.len()].copy_from_slice(field))
    }

    fn pax(self, records: &[(&str, &str)]) -> Tar {
        self.entry(b'x', "pax", pax(records).as_bytes())
    }

    fn raw(mut self, bytes: &[u8]) -> Tar {
        self.0.extend(bytes);
        self
    }

    fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).0
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

/// Pieces of a file with holes, as PAX 1.0 has them: the map, padded, and the content.
fn holes(map: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = map.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    [&bytes[..], content].concat()
}

/// Headers that hide one archive in a file of another one.
fn smuggled() -> Vec<u8> {
    tar().file("smuggled", "inner").0
}

fn odd() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for (group, archives) in [
        ("sizes", sizes()),
        ("names", names()),
        ("numbers", numbers()),
        ("holes", with_holes()),
        ("ends", ends()),
    ] {
        all.extend(archives.into_iter().enumerate().map(|(at, archive)| (format!("{group} {at}"), archive)));
    }
    all
}

/// What a file's length is, by two headers or by what it is.
fn sizes() -> Vec<Vec<u8>> {
    let inner = smuggled();
    let after = |tar: Tar| tar.file("last", "").end();
    let says = |size: &str| tar().pax(&[("size", size)]);
    vec![
        after(says("1024").sized(b'0', "outer", 0, &inner)),
        after(says("0").sized(b'0', "outer", 1024, &inner)),
        after(says("1024").pax(&[("comment", "x")]).sized(b'0', "outer", 0, &inner)),
        after(tar().pax(&[("size", "0"), ("size", "1024")]).sized(b'0', "outer", 0, &inner)),
        after(tar().pax(&[("size", "1024"), ("size", "0")]).sized(b'0', "outer", 0, &inner)),
        after(tar().pax(&[("size", "1024"), ("size", "")]).sized(b'0', "outer", 0, &inner)),
        after(says("").sized(b'0', "outer", 1024, &inner)),
        after(says("+1024").sized(b'0', "outer", 0, &inner)),
        after(says("0x400").sized(b'0', "outer", 0, &inner)),
        after(says("-1").sized(b'0', "outer", 0, &inner)),
        after(says(" 1024").sized(b'0', "outer", 0, &inner)),
        after(says("1024.5").sized(b'0', "outer", 0, &inner)),
        after(says("18446744073709551615").sized(b'0', "outer", 0, &inner)),
        after(says("9223372036854775807").sized(b'0', "outer", 0, &inner)),
        after(says("18446744073709551616").sized(b'0', "outer", 0, &inner)),
        // Kinds without content, and with some.
        after(tar().file("a", "x").sized(b'1', "b", 1024, &inner)),
        after(tar().file("a", "x").odd(b'1', "b", &inner, |header| header[157] = b'a')),
        after(
            tar()
                .file("a", "x")
                .pax(&[("size", "1024")])
                .odd(b'1', "b", b"", |header| header[157] = b'a')
                .raw(&inner),
        ),
        after(says("1024").link(b'2', "l", "a").raw(&inner)),
        after(tar().odd(b'2', "l", &inner, |header| header[157] = b'a')),
        after(tar().entry(b'5', "d", &inner)),
        after(tar().entry(b'5', "d/", &inner)),
        after(tar().entry(b'0', "d/", &inner)),
        after(tar().pax(&[("path", "d/")]).entry(b'0', "f", &inner)),
        after(tar().entry(b'6', "p", &inner)),
        after(tar().entry(b'7', "contiguous", &inner)),
        after(tar().entry(0, "old", &inner)),
        after(tar().entry(b'D', "dump", b"Yfile\0\0")),
        after(tar().entry(b'V', "volume", b"")),
        after(tar().entry(b'M', "more", &inner)),
        after(
            tar().entry(b'X', "solaris", pax(&[("size", "1024")]).as_bytes()).sized(b'0', "outer", 0, &inner),
        ),
        after(tar().entry(b'Z', "unknown", &inner)),
    ]
}

/// What a file is called, by two headers or more.
fn names() -> Vec<Vec<u8>> {
    let long = |kind: u8, name: &str| tar().entry(kind, "././@LongLink", name.as_bytes());
    let name = "n".repeat(150);
    let with = |tar: Tar| tar.file("short", "x").end();
    let prefix = |magic: &'static [u8]| {
        tar().odd(b'0', "f", b"x", |header| {
            header[257..257 + magic.len()].copy_from_slice(magic);
            header[345..351].copy_from_slice(b"prefix");
        })
    };
    vec![
        with(long(b'L', &format!("{name}\0"))),
        with(long(b'L', &name)),
        with(long(b'L', "one\0two\0")),
        with(long(b'L', "")),
        with(long(b'L', "one\0").entry(b'L', "././@LongLink", b"two\0")),
        with(long(b'L', "one\0").pax(&[("path", "two")])),
        with(long(b'L', "one\0").pax(&[("comment", "two")])),
        with(tar().pax(&[("path", "two")]).entry(b'L', "././@LongLink", b"one\0")),
        with(tar().pax(&[("path", "one")]).pax(&[("path", "two")])),
        with(tar().pax(&[("path", "one")]).pax(&[("mtime", "2")])),
        with(tar().pax(&[("path", "one"), ("path", "two")])),
        with(tar().pax(&[("path", "one"), ("path", "")])),
        with(tar().pax(&[("path", "")])),
        with(tar().pax(&[("path", "/absolute")])),
        with(tar().pax(&[("path", "a=b")])),
        with(tar().pax(&[("GNU.sparse.name", "other")])),
        with(tar().entry(b'x', "pax", b"11 path=on\n")),
        with(tar().entry(b'x', "pax", b"12 path=one\n")),
        with(tar().entry(b'x', "pax", b"012 path=one\n")),
        with(tar().entry(b'x', "pax", b"11 path=one\n")),
        with(tar().entry(b'x', "pax", b"12 path=one\0")),
        with(tar().entry(b'x', "pax", b"9 =value\n")),
        with(tar().entry(b'x', "pax", b"")),
        with(tar().entry(b'x', "pax", b"\n")),
        // A header for all that comes, between one for the next and that one.
        with(tar().entry(b'g', "global", pax(&[("comment", "x")]).as_bytes())),
        with(tar().entry(b'g', "global", pax(&[("path", "two")]).as_bytes())),
        with(tar().pax(&[("path", "one")]).entry(b'g', "global", pax(&[("comment", "x")]).as_bytes())),
        with(long(b'L', "one\0").entry(b'g', "global", pax(&[("comment", "x")]).as_bytes())),
        tar().entry(b'K', "././@LongLink", b"target\0").link(b'2', "l", "short").end(),
        tar().pax(&[("linkpath", "target")]).link(b'2', "l", "short").end(),
        tar().entry(b'K', "././@LongLink", b"target\0").pax(&[("linkpath", "x")]).link(b'2', "l", "y").end(),
        with(tar().entry(b'K', "././@LongLink", b"target\0")),
        prefix(b"ustar\x0000").end(),
        prefix(b"ustar  \0").end(),
        prefix(b"\0\0\0\0\0\0\0\0").end(),
        tar().file("twice", "one").file("twice", "other").end(),
        tar().file("./dot/./f", "x").end(),
        tar().file("a//b", "x").end(),
    ]
}

/// Numbers in ways that not everybody reads alike.
fn numbers() -> Vec<Vec<u8>> {
    let size = |field: &[u8]| tar().field("f", 124, field).file("last", "").end();
    let base = |bytes: &[u8; 12]| size(bytes);
    vec![
        size(b"00000000001 "),
        size(b"000000000001"),
        size(b"          1\0"),
        size(b"1\0         "),
        size(b"1          \0"),
        size(b" 1\0 garbage"),
        size(b"00000000009\0"),
        size(b"0x000000001\0"),
        size(b"-0000000001\0"),
        size(b"+0000000001\0"),
        size(&[0; 12]),
        base(b"\x80\0\0\0\0\0\0\0\0\0\0\x01"),
        base(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        base(b"\x80\0\0\0\x80\0\0\0\0\0\0\x01"),
        base(b"\xc0\0\0\0\0\0\0\0\0\0\0\x01"),
        base(b"\x80\x01\0\0\0\0\0\0\0\0\0\x01"),
        tar().field("f", 136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").end(),
        tar().field("f", 136, b"-0000000001\0").end(),
        tar().field("f", 108, b"\x80\0\0\0\xff\xff\xff\xff").end(),
        tar().field("f", 108, b"\x80\0\0\x01\0\0\0\0").end(),
        tar().field("f", 100, b"0100640\0").end(),
        tar().field("f", 100, b"9\0\0\0\0\0\0\0").end(),
        tar().pax(&[("mtime", "-1.5")]).file("f", "x").end(),
        tar().pax(&[("mtime", "1e9")]).file("f", "x").end(),
        tar().pax(&[("uid", "4294967296")]).file("f", "x").end(),
        tar().pax(&[("uid", "-1")]).file("f", "x").end(),
    ]
}

/// Files with holes in every format that there was.
fn with_holes() -> Vec<Vec<u8>> {
    let block = [b'x'; 512];
    let old = |map: &[(&str, &str)], real: &str, content: &[u8]| {
        let map = map.to_vec();
        let real = real.to_owned();
        let tar = tar().odd(b'S', "holes", content, move |header| {
            header[257..265].copy_from_slice(b"ustar  \0");
            for (at, (offset, length)) in map.iter().enumerate() {
                let place = 386 + 24 * at;
                header[place..place + 11].copy_from_slice(format!("{offset:0>11}").as_bytes());
                header[place + 12..place + 23].copy_from_slice(format!("{length:0>11}").as_bytes());
            }
            header[483..494].copy_from_slice(format!("{real:0>11}").as_bytes());
        });
        tar.file("last", "").end()
    };
    let new = |records: &[(&str, &str)], content: &[u8]| {
        tar().pax(records).entry(b'0', "x", content).file("last", "").end()
    };
    let one = |size: &'static str| {
        [
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "holes"),
            ("GNU.sparse.realsize", size),
        ]
    };
    let with_size = |size: &'static str| [&one("2048")[..], &[("size", size)]].concat();
    vec![
        old(&[("0", "1000")], "4000", &block),
        old(&[("1000", "1000")], "2000", &block),
        old(&[("1000", "1000")], "1000", &block),
        old(&[("0", "1000")], "400", &block),
        old(&[("0", "1000"), ("0", "1000")], "4000", &[b'x'; 1024]),
        old(&[("2000", "1000"), ("0", "1000")], "4000", &[b'x'; 1024]),
        old(&[("0", "400")], "4000", &block),
        new(&one("2048"), &holes("1\n1024\n512\n", &block)),
        new(&one("2048"), &holes("1\n1024\n513\n", &block)),
        new(&one("1024"), &holes("1\n1024\n512\n", &block)),
        new(&one("2048"), &holes("2\n1024\n256\n1024\n256\n", &block)),
        new(&one("2048"), &holes("0\n", b"")),
        new(&one("2048"), &holes("1\n 1024\n512\n", &block)),
        new(&one("2048"), &holes("+1\n1024\n512\n", &block)),
        new(&one("2048"), &holes("99999999999\n", &block)),
        new(&with_size("1024"), &holes("1\n1024\n512\n", &block)),
        new(&with_size("512"), &holes("1\n1024\n512\n", &block)),
        new(&one("2048")[..3], &holes("1\n1024\n512\n", &block)),
        new(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "1")], &holes("1\n1024\n512\n", &block)),
        new(
            &[
                ("GNU.sparse.map", "1024,512"),
                ("GNU.sparse.size", "2048"),
                ("GNU.sparse.numblocks", "1"),
                ("GNU.sparse.name", "holes"),
            ],
            &block,
        ),
        new(
            &[
                ("GNU.sparse.size", "2048"),
                ("GNU.sparse.numblocks", "1"),
                ("GNU.sparse.offset", "1024"),
                ("GNU.sparse.numbytes", "512"),
            ],
            &block,
        ),
    ]
}

/// Where an archive ends.
fn ends() -> Vec<Vec<u8>> {
    let more = tar().file("more", "x").end();
    let one = tar().file("one", "x");
    vec![
        one.clone().0,
        one.clone().raw(&[0; 512]).0,
        one.clone().raw(&[0; 512]).raw(&more).0,
        one.clone().raw(&[0; 1024]).raw(&more).0,
        one.clone().raw(&[0; 1024]).raw(b"junk").0,
        one.clone().raw(&[0; 1024]).raw(&[b'x'; 4096]).0,
        one.clone().raw(&[b'x'; 512]).0,
        one.clone().raw(b"junk").0,
        one.clone().raw(&[0; 100]).0,
        one.clone().0[..600].to_vec(),
        one.clone().0[..513].to_vec(),
        tar().pax(&[("path", "b")]).raw(&[0; 512]).raw(&more).0,
        tar().pax(&[("path", "b")]).end(),
        tar().entry(b'L', "././@LongLink", b"b\0").end(),
        tar().sized(b'0', "cut", 1000, b"x").0,
        Vec::new(),
        tar().end(),
    ]
}
