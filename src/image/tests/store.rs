//! What the store keeps, and what an honest archive becomes.

use std::os::unix::fs::FileExt;
use std::process::Command;

use super::hostile::{bzip2, gzip, lz4, zstd};
use super::*;

fn find(store: &Store, name: &str) -> Option<Image> {
    store.find(&Reference::parse(name).unwrap()).unwrap()
}

fn layer(name: &str) -> Vec<u8> {
    Tar::default().file(name, name).end()
}

#[test]
fn later_entries_and_later_layers_win() {
    let world = World::new();
    let first = Tar::default()
        .entry(b'5', "tmp/", "", b"")
        .file("twice", "1")
        .file("twice", "2")
        .folder("becomes-link")
        .file("becomes-link/x", "")
        .symlink("becomes-link", "tmp")
        .file("becomes-folder", "")
        .folder("becomes-folder")
        .file("becomes-folder/x", "")
        .file("a", "hard")
        .hard_link("b", "./a")
        .entry(b'3', "null", "", b"")
        .entry(b'6', "pipe", "", b"")
        .file(".wh..wh.plnk/1.2", "aufs")
        .end();
    let second = Tar::default()
        .file("tmp/in-tmp", "")
        .file("new/folder/x", "")
        .file(".wh.a", "")
        .file("becomes-folder/.wh..wh..opq", "")
        .file(".wh.hidden-then-made", "")
        .file("hidden-then-made/x", "")
        .file("made-then-hidden/x", "")
        .file(".wh.made-then-hidden", "")
        .file(".wh.null", "")
        .file("null", "a file now")
        .end();
    let [lower, upper] = <[_; 2]>::try_from(world.trees(&[first, second])).unwrap();
    let owned = |tree: &[(&str, &str)]| -> BTreeMap<String, String> {
        tree.iter().map(|(path, what)| ((*path).to_owned(), (*what).to_owned())).collect()
    };
    let expected = owned(&[
        ("a", "640 7:8 hard"),
        ("b", "640 7:8 hard"),
        ("becomes-folder", "folder 750 7:8"),
        ("becomes-folder/x", "640 7:8 "),
        ("becomes-link", "-> tmp"),
        ("null", "node 640 7:8 103"),
        ("pipe", "node 640 7:8 0"),
        ("tmp", "folder 750 7:8"),
        ("twice", "640 7:8 2"),
    ]);
    assert_eq!(lower, expected);
    let expected = owned(&[
        ("a", "whiteout"),
        ("becomes-folder", "folder 750 7:8 opaque"),
        ("hidden-then-made", "folder 755 0:0 opaque"),
        ("hidden-then-made/x", "640 7:8 "),
        ("made-then-hidden", "folder 755 0:0 opaque"),
        ("made-then-hidden/x", "640 7:8 "),
        ("new", "folder 755 0:0"),
        ("new/folder", "folder 755 0:0"),
        ("new/folder/x", "640 7:8 "),
        ("null", "640 7:8 a file now"),
        ("tmp", "folder 750 7:8"),
        ("tmp/in-tmp", "640 7:8 "),
    ]);
    assert_eq!(upper, expected);
}

#[test]
fn times_and_attributes_are_kept_to_the_nanosecond() {
    let world = World::new();
    let pax =
        [("mtime", "-1.250000000"), ("SCHILY.xattr.user.a", "b"), ("SCHILY.xattr.security.selinux", "c")];
    let layer = Tar::default().folder("d").pax(&pax).file("d/x", "").file("d/y", "").end();
    world.import(&docker("t/t:1", &[layer])).unwrap();
    let image = find(&world.store(), "t/t:1").unwrap();
    let root = image.layers_dir.join(&image.lower[0]);
    let x = fs::File::open(root.join("d/x")).unwrap();
    let metadata = x.metadata().unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (-2, 750_000_000));
    assert_eq!(beneath::attributes(&x).unwrap(), ["user.a"]);
    // Of a folder too, though files came into it afterwards.
    assert_eq!(fs::metadata(root.join("d")).unwrap().mtime(), 1_000_000_000);
}

#[test]
fn holes_stay_holes_in_both_of_gnu_tars_formats() {
    let world = World::new();
    let file = fs::File::create(world.path("holes")).unwrap();
    for at in 0..40 {
        file.write_all_at(b"between holes", at << 20).unwrap();
    }
    file.set_len(50 << 20).unwrap();
    for format in ["gnu", "posix"] {
        let tar = Command::new("tar")
            .args(["--sparse", "--format", format, "-cC"])
            .arg(&world.0)
            .arg("holes")
            .output();
        let layer = tar.unwrap().stdout;
        assert!(layer.len() < 1 << 20);
        let world = World::new();
        world.import(&docker("t/t:1", &[layer])).unwrap();
        let image = find(&world.store(), "t/t:1").unwrap();
        let copy = fs::File::open(image.layers_dir.join(&image.lower[0]).join("holes")).unwrap();
        assert_eq!(copy.metadata().unwrap().len(), 50 << 20, "{format}");
        assert!(copy.metadata().unwrap().blocks() * 512 < 1 << 20, "{format}");
        let mut text = [0; 13];
        for at in 0..40 {
            copy.read_exact_at(&mut text, at << 20).unwrap();
            assert_eq!(&text, b"between holes", "{format}");
        }
    }
}

#[test]
fn every_packing_gives_the_same_image() {
    let world = World::new();
    let layers = [layer("a"), layer("b"), layer("c")];
    let plain = docker("t/t:1", &layers);
    let id = world.import(&plain).unwrap().remove(0).id;
    // Two frames with one to be skipped between them, as zstd:chunked has it.
    let (one, two) = plain.split_at(plain.len() / 2);
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let frames = [&zstd(one)[..], &skippable, &zstd(two)].concat();
    let of_lz4 = [&skippable[..], &lz4(one), &skippable, &lz4(two)].concat();
    assert_eq!(&of_lz4[..4], &skippable[..4], "zstd and lz4 skip alike");
    let of_lz4 = of_lz4[skippable.len()..].to_vec();
    let several = [[gzip(one), gzip(two)].concat(), [bzip2(one), bzip2(two)].concat(), of_lz4];
    for packed in [gzip(&plain), zstd(&plain), bzip2(&plain), lz4(&plain), frames].into_iter().chain(several)
    {
        let world = World::new();
        assert_eq!(world.import(&packed).unwrap().remove(0).id, id);
        assert_eq!(find(&world.store(), "t/t:1").unwrap().lower.len(), 3);
    }
}

#[test]
fn an_index_gives_the_image_for_this_machine_by_every_digest() {
    let world = World::new();
    let (layer, other) = (layer("a"), json!({ "config": {}, "layers": [] }).to_string());
    let config = config(std::slice::from_ref(&layer));
    let manifest = json!({ "config": descriptor(&config), "layers": [descriptor(&layer)] }).to_string();
    let on = |blob: &str, os: &str, architecture: &str| {
        let mut descriptor = descriptor(blob.as_bytes());
        descriptor["platform"] = json!({ "os": os, "architecture": architecture });
        descriptor
    };
    let ours = Platform::ours();
    // Content for other machines may be missing: skopeo copies what it was asked for.
    let inner = json!({ "manifests": [
        on(&other, "linux", "s390x"), on(&other, "unknown", "unknown"), on(&manifest, "linux", &ours.architecture),
    ] });
    let inner = inner.to_string();
    let mut top = descriptor(inner.as_bytes());
    top["annotations"] = json!({ "io.containerd.image.name": "docker.io/library/a:1",
        "org.opencontainers.image.ref.name": "1" });
    let archive =
        oci(&json!({ "manifests": [top] }), &[&layer, &config, manifest.as_bytes(), inner.as_bytes()]);
    let imported = world.import(&archive).unwrap();
    assert_eq!(imported[0].names, ["docker.io/library/a:1"]);
    let store = world.store();
    for digest in [Digest::of(manifest.as_bytes()), Digest::of(inner.as_bytes())] {
        assert_eq!(find(&store, &format!("elsewhere.io/b:7@{digest}")).unwrap().id, imported[0].id);
    }
    assert_eq!(find(&store, "a:1").unwrap().config.cmd, ["/run"]);
    assert_eq!(find(&store, &format!("a:1@{}", Digest::of(b"other"))), None);
    assert_eq!(find(&store, "a:2"), None);
}

#[test]
fn an_archive_is_read_once_in_each_state() {
    let world = World::new();
    let archive = world.path("archive.tar");
    let first = world.import(&docker("t/t:1", &[layer("a")])).unwrap();
    let store = world.store();
    // Who reads takes the lock first, so with the lock taken an answer is one from memory.
    let lock = store.lock().unwrap();
    assert_eq!(store.import(&archive).unwrap(), [], "nothing new");
    drop(lock);

    fs::write(&archive, b"broken").unwrap();
    let error = format!("{:#}", store.import(&archive).unwrap_err());
    let lock = store.lock().unwrap();
    assert_eq!(format!("{:#}", store.import(&archive).unwrap_err()), error);
    drop(lock);

    fs::write(&archive, docker("t/t:1", &[layer("b")])).unwrap();
    let second = store.import(&archive).unwrap();
    assert_ne!(second[0].id, first[0].id);
    assert_eq!(second[0].moved, ["docker.io/t/t:1"]);
    assert_eq!(store.index().unwrap().archives.len(), 1);
    fs::remove_file(&archive).unwrap();
    assert_eq!(find(&store, "t/t:1").unwrap().id, second[0].id);
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn layers_are_shared_and_other_processes_see_them() {
    let world = World::new();
    let reader = world.store();
    world.import(&docker("t/t:1", &[layer("a"), layer("b")])).unwrap();
    world.import(&docker("t/t:2", &[layer("a"), layer("c")])).unwrap();
    let (one, two) = (find(&reader, "t/t:1").unwrap(), find(&reader, "t/t:2").unwrap());
    assert_eq!(one.lower[1], two.lower[1]);
    assert_ne!(one.lower[0], two.lower[0]);
    assert_eq!((one.size, one.lower[0].len()), (2, 24));
    assert_eq!(fs::read_dir(one.layers_dir).unwrap().count(), 3);
}

#[test]
fn what_a_power_cut_leaves_is_thrown_away() {
    let world = World::new();
    world.import(&docker("t/t:1", &[layer("a")])).unwrap();
    world.import(&docker("t/t:2", &[layer("b")])).unwrap();
    let (one, two) = (find(&world.store(), "t/t:1").unwrap(), find(&world.store(), "t/t:2").unwrap());
    fs::create_dir_all(world.path("store/tmp/image/half")).unwrap();
    fs::create_dir(one.layers_dir.join("0123456789abcdef01234567")).unwrap();
    fs::create_dir_all(world.path("store/aside/0123456789abcdef01234567-0/nobody-runs-on-it")).unwrap();
    fs::write(world.path("store/index.new"), "half an ind").unwrap();
    fs::remove_dir_all(two.layers_dir.join(&two.lower[0])).unwrap();

    let store = world.store();
    assert_eq!(find(&store, "t/t:1"), Some(one.clone()));
    assert_eq!(find(&store, "t/t:2"), None);
    assert_eq!(fs::read_dir(world.path("store/aside")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.path("store/tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(one.layers_dir).unwrap().count(), 1);
    // The archive is there still, and brings back what was lost.
    store.import(&world.path("archive.tar")).unwrap();
    assert_eq!(find(&store, "t/t:2"), Some(two));
}

/// A mount, something immutable, a bad block: images that are whole stay of use.
#[test]
fn rubbish_that_cannot_be_removed_stops_neither_who_opens_nor_who_imports() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let world = World::new();
    world.import(&docker("t/t:1", &[layer("a")])).unwrap();
    let stuck: Vec<_> = ["tmp/image-0", "layers/stuck", "configs/stuck"]
        .map(|name| world.path("store").join(name))
        .into_iter()
        .collect();
    for path in &stuck {
        fs::create_dir(path).unwrap();
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    }
    let opened = Store::open(&world.path("store"));
    let imported = world.import(&docker("t/t:2", &[layer("b")]));
    let again = world.import(&docker("t/t:3", &[layer("c")]));
    stuck.iter().for_each(|path| umount2(path, MntFlags::MNT_DETACH).unwrap());
    assert!(find(&opened.unwrap(), "t/t:1").is_some());
    assert_eq!((imported.unwrap().len(), again.unwrap().len()), (1, 1));
    drop(world.store());
    assert!(stuck.iter().all(|path| !path.exists()), "it is removed when it can be");
}

#[test]
fn who_opens_the_store_leaves_an_import_alone() {
    let world = World::new();
    let writer = world.store();
    let lock = writer.lock().unwrap();
    fs::create_dir(world.path("store/tmp/image")).unwrap();
    drop(world.store());
    assert!(world.path("store/tmp/image").exists());
    drop(lock);
    drop(world.store());
    assert!(!world.path("store/tmp/image").exists());
}

#[test]
fn a_reader_makes_nothing_and_waits_for_nobody() {
    let world = World::new();
    let reader = Store::read(&world.path("store")).unwrap();
    assert_eq!(reader.list().unwrap(), []);
    assert!(!world.path("store").exists());

    world.import(&docker("t/t:1", &[layer("a")])).unwrap();
    let writer = world.store();
    let _lock = writer.lock().unwrap();
    fs::create_dir(world.path("store/tmp/image")).unwrap();
    assert_eq!(find(&reader, "t/t:1"), find(&writer, "t/t:1"));
    assert!(find(&Store::read(&world.path("store")).unwrap(), "t/t:1").is_some());
    assert!(world.path("store/tmp/image").exists());
}

#[test]
fn the_store_is_for_its_owner_only() {
    let world = World::new();
    drop(world.store());
    assert_eq!(fs::metadata(world.path("store")).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn the_sample_is_an_image_of_one_program() {
    let world = World::new();
    fs::write(world.path("program"), "\x7fELF").unwrap();
    sample(&world.path("program"), &world.path("sample.tar"), "holdfast.local/hello:latest").unwrap();
    let store = world.store();
    store.import(&world.path("sample.tar")).unwrap();
    let image = find(&store, "holdfast.local/hello").unwrap();
    assert_eq!(image.config.entrypoint, ["/holdfast", "hello"]);
    assert_eq!(image.architecture, Platform::ours().architecture);
    let expected = BTreeMap::from([("holdfast".to_owned(), "755 0:0 \x7fELF".to_owned())]);
    assert_eq!(tree(&image.layers_dir.join(&image.lower[0])), expected);
}

#[test]
fn old_docker_archives_link_equal_layers() {
    let world = World::new();
    let layer = layer("a");
    let config = config(&[layer.clone(), layer.clone()]);
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": null, "Layers": ["1/layer.tar", "2/layer.tar"] }]);
    let archive = Tar::default().folder("1/").entry(b'0', "1/layer.tar", "", &layer);
    let archive = archive.symlink("2/layer.tar", "../1/layer.tar").entry(b'0', "config.json", "", &config);
    let imported = world.import(&archive.file("manifest.json", &manifest.to_string()).end()).unwrap();
    assert_eq!(imported[0].names, [""; 0]);
    let images = world.store().list().unwrap();
    assert_eq!(images[0].lower.len(), 2);
}
