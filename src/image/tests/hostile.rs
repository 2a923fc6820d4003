//! Archives that somebody made to hurt (threats 9–13).

use std::io::{Read, Write};
use std::process::Command;

use super::*;

/// Imports one layer; it must be refused with `reason`, and nothing may be left.
fn refused(layer: Vec<u8>, reason: &str) {
    let world = World::new();
    let error = world.import(&docker("t/t:1", &[layer])).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains(reason), "expected {reason:?}: {text}");
    world.is_clean();
}

#[test]
fn no_entry_leads_out_of_its_layer() {
    let tar = Tar::default;
    refused(tar().file("../marker", "x").end(), "leads upwards");
    refused(tar().file("a/../../marker", "x").end(), "leads upwards");
    refused(tar().folder("..").end(), "leads upwards");
    refused(tar().pax(&[("path", "../../marker")]).file("fine", "x").end(), "leads upwards");
    refused(
        tar().entry(b'L', "././@LongLink", "", b"../../marker\0").file("fine", "x").end(),
        "leads upwards",
    );
    refused(tar().hard_link("a", "../../../marker").end(), "leads upwards");
    refused(tar().hard_link("a", "/proc/version").end(), "cannot be opened within this layer");
    refused(tar().symlink("up", "../../../..").hard_link("a", "up/marker").end(), "no file of this layer");
    refused(
        tar().symlink("a", "b").symlink("b", "a").file("a/x", "").end(),
        "cannot be opened within this layer",
    );
    refused(tar().file(".wh...", "").end(), "removes no file");
    refused(tar().file("a/.wh..", "").end(), "removes no file");
    refused(tar().file(".wh.", "").end(), "removes no file");
    refused(tar().file(".wh.a/b", "").end(), "marked as removed");
    refused(tar().file("", "x").end(), "replace the root");
    refused(tar().pax(&[("path", "a\0b")]).file("fine", "x").end(), "zero byte");
}

/// Should the guard fail, only this test's own folder is harmed.
#[test]
fn links_are_followed_within_the_layer_only() {
    let world = World::new();
    fs::create_dir(world.path("outside")).unwrap();
    fs::write(world.path("outside/file"), "untouched").unwrap();
    let before = describe(&world.path("outside"));
    let outside = world.path("outside").display().to_string();
    let inside = outside.trim_start_matches('/').to_owned();
    // From store/tmp/image/<layer> to the folder of the marker.
    let up = "../../../..";
    let mut tree = world.trees(&[Tar::default()
        .symlink("up", up)
        .file("up/marker", "1")
        .symlink("absolute", &outside)
        .file("absolute/file", "2")
        .file("absolute/.wh.other", "")
        .file("absolute/.wh..wh..opq", "")
        .symlink("file", &format!("{outside}/file"))
        .file("file", "3")
        .hard_link("linked", &format!("{outside}/file"))
        .file("/abs", "4")
        .end()]);
    let mut expected = BTreeMap::from(
        [
            (inside.clone(), "folder 755 0:0 opaque"),
            (format!("{inside}/file"), "640 7:8 2"),
            (format!("{inside}/other"), "whiteout"),
            ("abs".into(), "640 7:8 4"),
            ("absolute".into(), &format!("-> {outside}")),
            ("file".into(), "640 7:8 3"),
            ("linked".into(), "640 7:8 2"),
            ("marker".into(), "640 7:8 1"),
            ("up".into(), &format!("-> {up}")),
        ]
        .map(|(path, what)| (path, what.to_owned())),
    );
    for above in Path::new(&inside).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()) {
        expected.insert(above.display().to_string(), "folder 755 0:0".into());
    }
    assert_eq!(tree.remove(0), expected);
    let outside: Vec<_> = fs::read_dir(world.path("outside")).unwrap().collect();
    assert_eq!(outside.len(), 1);
    assert_eq!(describe(&world.path("outside")), before);
    for file in ["marker", "outside/file"] {
        assert_eq!(fs::read_to_string(world.path(file)).unwrap(), "untouched");
        assert_eq!(fs::metadata(world.path(file)).unwrap().nlink(), 1);
    }
}

#[test]
fn attributes_of_overlayfs_and_whiteout_devices_are_refused() {
    let redirect = [("SCHILY.xattr.trusted.overlay.redirect", "/etc")];
    refused(Tar::default().pax(&redirect).folder("a").end(), "other files than its own");
    let mut device = Tar::default().entry(b'3', "null", "", b"").end();
    device[329..345].copy_from_slice(b"0000000\x000000000\x00");
    refused(with_checksum(device), "would hide a file");
}

#[test]
fn what_readers_would_disagree_about_is_refused() {
    let tar = Tar::default;
    refused(tar().pax(&[("size", "1")]).pax(&[("path", "b")]).file("a", "x").end(), "twice");
    refused(tar().entry(b'L', "l", "", b"b").pax(&[("path", "c")]).file("a", "x").end(), "two ways");
    refused(
        tar().entry(b'g', "g", "", pax(&[("path", "b")]).as_bytes()).file("a", "x").end(),
        "global PAX header",
    );
    refused(tar().raw(b'5', "a", "", 512, &[b'x'; 512]).end(), "has content, but is no file");
    refused(tar().raw(b'2', "a", "b", 512, &[b'x'; 512]).end(), "has content, but is no file");
    refused(tar().entry(b'M', "a", "", b"").end(), "which images do not have");
    refused(tar().pax(&[("GNU.sparse.map", "0,1")]).file("a", "x").end(), "format of before 2006");
    refused(tar().pax(&[("path", "b")]).end(), "without the file");
    refused(tar().entry(b'x', "x", "", b"99 path=b\n").file("a", "x").end(), "damaged PAX header");
    let mut damaged = tar().file("a", "x").end();
    damaged[0] = b'b';
    refused(damaged, "wrong checksum");
    refused(tar().file("a", &"x".repeat(300)).0[..700].to_vec(), "unexpected end of file");
    refused(tar().file("a", "x").0[..100].to_vec(), "middle of a header");
    refused(tar().raw(b'x', "x", "", 2 << 20, b"").end(), "extension header");
}

#[test]
fn an_archive_shows_the_files_that_gnu_tar_sees() {
    let inner = Tar::default().file("smuggled", "inner").0;
    let sized = |pax: &str, size: u64, content: &[u8]| {
        Tar::default().pax(&[("size", pax)]).raw(b'0', "outer", "", size, content).file("last", "").end()
    };
    let repeated = Tar::default().pax(&[("path", "first"), ("path", "second")]).file("x", "").end();
    let comment = pax(&[("comment", "by git")]);
    let global = Tar::default().entry(b'g', "g", "", comment.as_bytes()).file("x", "").end();
    let linked = Tar::default().file("a", "x").raw(b'1', "b", "a", 1024, b"").file("c", "").end();
    let trailing = [Tar::default().file("a", "").end(), Tar::default().file("b", "").end()].concat();
    let archives = [
        sized("1024", 0, &inner),
        sized("0", 1024, &inner),
        repeated,
        global,
        linked,
        trailing,
        Tar::default().folder("x/").end(),
    ];
    for archive in archives {
        let world = World::new();
        fs::write(world.path("layer.tar"), &archive).unwrap();
        let gnu = Command::new("tar").arg("-tf").arg(world.path("layer.tar")).output().unwrap();
        let mut theirs: Vec<String> =
            String::from_utf8(gnu.stdout).unwrap().lines().map(str::to_owned).collect();
        theirs.iter_mut().for_each(|name| *name = name.trim_end_matches('/').to_owned());
        theirs.sort();
        let ours: Vec<String> = world.trees(&[archive]).remove(0).into_keys().collect();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn a_small_archive_cannot_fill_the_node() {
    let few = Limits { entries: 10, bytes: 1 << 20, free_percent: 0 };
    let many = (0..20).fold(Tar::default(), |tar, at| tar.file(&format!("{at}"), "")).end();
    let deep = Tar::default().file(&"d/".repeat(20), "").file(&format!("{}x", "d/".repeat(20)), "").end();
    let zeros = vec![0; 8 << 20];
    let big = Tar::default().entry(b'0', "big", "", &zeros).end();
    let behind = [Tar::default().file("a", "").end(), zeros].concat();
    let hole = Tar::default()
        .pax(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "hole"),
            ("GNU.sparse.realsize", "1000000000000"),
        ])
        .entry(b'0', "x", "", &{
            let mut map = b"1\n1000000000000\n0\n".to_vec();
            map.resize(512, 0);
            map
        })
        .end();
    for (layer, reason) in [
        (&many, "more than 10 files"),
        (&deep, "more than 10 files"),
        (&big, "unpacks to more than 1048576 bytes"),
        (&behind, "unpacks to more than 1048576 bytes"),
        (&hole, "unpacks to more than 1048576 bytes"),
    ] {
        for pack in [|layer: &[u8]| layer.to_vec(), zstd, gzip] {
            let world = World::new();
            let config = config(std::slice::from_ref(layer));
            let manifest =
                json!([{ "Config": "config", "RepoTags": ["t/t:1"], "Layers": ["layer"] }]).to_string();
            let archive =
                Tar::default().entry(b'0', "layer", "", &pack(layer)).entry(b'0', "config", "", &config);
            fs::write(world.path("archive.tar"), archive.file("manifest.json", &manifest).end()).unwrap();
            let error = format!("{:#}", world.limited(few).import(&world.path("archive.tar")).unwrap_err());
            assert!(error.contains(reason), "expected {reason:?}: {error}");
            world.is_clean();
        }
    }
    let longer = "a/".repeat(300);
    refused(Tar::default().pax(&[("path", &longer)]).folder("a").end(), "folders deep");
    refused(Tar::default().pax(&[("path", &"a/".repeat(3000))]).folder("a").end(), "cannot be opened");
    refused(Tar::default().pax(&[("path", &"a".repeat(300))]).folder("a").end(), "more than 255");
}

#[test]
fn a_nearly_full_disk_is_left_alone_and_asked_again() {
    let world = World::new();
    fs::write(world.path("archive.tar"), docker("t/t:1", &[Tar::default().file("a", "").end()])).unwrap();
    let full =
        Store::with_limits(&world.path("store"), Limits { free_percent: 100, ..Limits::default() }).unwrap();
    let error = format!("{:#}", full.import(&world.path("archive.tar")).unwrap_err());
    assert!(error.contains("nearly full: 100 % of its space stay free"), "{error}");
    assert!(full.refused.lock().unwrap().is_empty());
    world.is_clean();
}

#[test]
fn content_must_be_what_its_digest_says() {
    let world = World::new();
    let layer = Tar::default().file("a", "good").end();
    let archive = docker("t/t:1", std::slice::from_ref(&layer));
    let at = archive.windows(4).position(|window| window == b"good").unwrap();
    let tampered = [&archive[..at], b"evil", &archive[at + 4..]].concat();
    let error = format!("{:#}", world.import(&tampered).unwrap_err());
    assert!(error.contains("damaged or was tampered with"), "{error}");
    world.is_clean();

    // The configuration, by its name.
    let at = archive.windows(6).position(|window| window == b"\"/run\"").unwrap();
    let tampered = [&archive[..at], b"\"/bad\"", &archive[at + 6..]].concat();
    assert!(format!("{:#}", world.import(&tampered).unwrap_err()).contains("tampered with"));
    world.is_clean();

    // The manifest of an OCI layout, as long as before.
    let manifest =
        json!({ "config": descriptor(&config(std::slice::from_ref(&layer))), "layers": [] }).to_string();
    let index = json!({ "manifests": [descriptor(manifest.as_bytes())] });
    let good = oci(&index, &[manifest.as_bytes()]);
    let at = good.windows(8).position(|window| window == b"\"layers\"").unwrap();
    let tampered = [&good[..at], b"\"Layers\"", &good[at + 8..]].concat();
    assert!(format!("{:#}", world.import(&tampered).unwrap_err()).contains("tampered with"));
    world.is_clean();

    // A packed layer of an OCI layout: its own digest, though it unpacks to the right content.
    let (config, packed) = (config(std::slice::from_ref(&layer)), gzip(&layer));
    let manifest = json!({ "config": descriptor(&config), "layers": [descriptor(&packed)] }).to_string();
    let index = json!({ "manifests": [descriptor(manifest.as_bytes())] });
    let good = oci(&index, &[&packed, &config, manifest.as_bytes()]);
    let at = good.windows(packed.len()).position(|window| window == packed).unwrap();
    let mut tampered = good.clone();
    tampered[at + 9] ^= 1; // The byte of gzip's header that tells the operating system.
    assert!(format!("{:#}", world.import(&tampered).unwrap_err()).contains("tampered with"));
    world.is_clean();
    assert_eq!(world.import(&good).unwrap().len(), 1);
}

#[test]
fn an_ambiguous_document_is_refused() {
    let layer = Tar::default().file("a", "").end();
    let config = config(std::slice::from_ref(&layer));
    let manifest = json!({ "config": descriptor(&config), "layers": [descriptor(&layer)] });
    let with = |key: &str, value: serde_json::Value| {
        let mut manifest = manifest.clone();
        manifest[key] = value;
        manifest.to_string()
    };
    let index = "application/vnd.oci.image.index.v1+json";
    let mut short = manifest.clone();
    short["layers"][0]["size"] = json!(5);
    let mut slashes = manifest.clone();
    slashes["layers"][0]["digest"] = json!("sha256:../../../../etc/passwd");
    for (manifest, reason) in [
        (with("manifests", json!([])), "both manifests and layers"),
        (with("mediaType", json!(index)), "is no image manifest and no index"),
        (with("layers", json!([])), "has 0 layers, and 1 according"),
        (format!(r#"{{"layers":[],{}"#, &manifest.to_string()[1..]), "duplicate field"),
        (json!({ "fsLayers": [] }).to_string(), "schema 1"),
        (short.to_string(), "bytes instead of 5"),
        (slashes.to_string(), "64 lower-case hexadecimal digits"),
        ("[".repeat(100_000), "no JSON object"),
        (format!("[{},[]]", descriptor(&config)), "no JSON object"),
        (format!(r#"{{"layers":{}"#, "[".repeat(100_000)), "EOF while parsing"),
        (with("layers", json!([[[[[]]]]])), "is no valid document"),
    ] {
        let world = World::new();
        let top = json!({ "manifests": [descriptor(manifest.as_bytes())] });
        let error = world.import(&oci(&top, &[manifest.as_bytes(), &config, &layer])).unwrap_err();
        assert!(format!("{error:#}").contains(reason), "expected {reason:?}: {error:#}");
        world.is_clean();
    }
}

#[test]
fn what_is_no_archive_is_told_so() {
    let tar = Tar::default;
    let twice = tar().file("manifest.json", "[]").file("./manifest.json", "[]").end();
    let cut = docker("t/t:1", &[tar().file("a", &"x".repeat(5000)).end()])[..2000].to_vec();
    for (archive, reason) in [
        (vec![], "is empty"),
        (b"#!/bin/sh\n".to_vec(), "middle of a header"),
        (vec![b'x'; 4096], "is no tar archive"),
        (tar().file("a", "").end(), "neither index.json nor manifest.json"),
        (b"\xfd7zXZ\0rest".to_vec(), "compressed with xz"),
        (gzip(b"")[..8].to_vec(), "unexpected end of file"),
        (twice, "two members called"),
        (cut, "neither index.json nor manifest.json"),
        (tar().file("manifest.json", "[").end(), "is no valid document"),
        (tar().file("manifest.json", r#"[{"Config":"c","Layers":["l"]}]"#).end(), "lacks c"),
    ] {
        let world = World::new();
        let error = format!("{:#}", world.import(&archive).unwrap_err());
        assert!(error.contains(reason), "expected {reason:?}: {error}");
        world.is_clean();
    }
}

fn with_checksum(mut archive: Vec<u8>) -> Vec<u8> {
    archive[148..156].fill(b' ');
    let sum: u32 = archive[..512].iter().map(|byte| u32::from(*byte)).sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive
}

pub(super) fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = ::bzip2::bufread::BzEncoder::new(content, ::bzip2::Compression::fast());
    encoder.read_to_end(&mut packed).unwrap();
    packed
}

pub(super) fn lz4(content: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_packed_stream_that_ends_too_early_is_never_taken_for_a_whole_one() {
    let content: Vec<u8> = (0u32..60_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let empty_frame_between = [lz4(b"one"), lz4(b""), lz4(b"two")].concat();
    let mut read = String::new();
    stream::unpacked(&empty_frame_between[..], 100).unwrap().read_to_string(&mut read).unwrap();
    assert_eq!(read, "onetwo");
    for (name, packed) in [
        ("gzip", gzip(&content)),
        ("zstd", zstd(&content)),
        ("bzip2", bzip2(&content)),
        ("lz4", lz4(&content)),
    ] {
        let mut whole = Vec::new();
        stream::unpacked(&packed[..], 1 << 20).unwrap().read_to_end(&mut whole).unwrap();
        assert!(whole == content, "{name}");
        // Cuts at the ends of blocks are among the last ones; those of lz4 are at every 64 KiB and a little.
        let blocks = (0..4).map(|block| 7 + block * (4 + (64 << 10)));
        let ends = packed.len() - 12..packed.len();
        for cut in (6..packed.len())
            .step_by(19_997)
            .chain(blocks)
            .chain(ends)
            .filter(|cut| (6..packed.len()).contains(cut))
        {
            let read = stream::unpacked(&packed[..cut], 1 << 20).unwrap().read_to_end(&mut Vec::new());
            assert!(read.is_err(), "{name}, cut at {cut} of {}", packed.len());
        }
    }
}

#[test]
fn what_unpacks_to_too_much_is_stopped_in_every_format() {
    let zeros = vec![0; 2 << 20];
    for pack in [gzip, zstd, bzip2, lz4] {
        let packed = pack(&zeros);
        let read = stream::unpacked(&packed[..], 1 << 20).unwrap().read_to_end(&mut Vec::new());
        assert!(read.unwrap_err().to_string().contains("unpacks to more than 1048576 bytes"));
    }
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

pub(super) fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}
