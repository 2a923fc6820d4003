//! Layers that are made archives again, byte for byte, and those that cannot be.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::Command;

use super::by_hand::{folders, name, with_image};
use super::*;

const SILENT: &Watch<'static> = &|_| Ok(());

/// The members of an archive of `id`.
fn saved(store: &Store, id: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut bytes = Vec::new();
    store.save(id, &mut bytes, SILENT)?;
    let mut archive = tar::Archive::new(&bytes[..]);
    let members = archive.entries()?.map(|entry| {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        Ok((entry.path()?.display().to_string(), content))
    });
    members.collect()
}

fn blob(content: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(content).hex())
}

/// Takes `layers` in and saves them: they are what they were, and another store takes the archive for the same image.
#[track_caller]
fn comes_back(layers: &[Vec<u8>]) {
    let world = World::new();
    let id = world.import(&docker("t/t:1", layers)).unwrap().remove(0).id;
    let members = saved(&world.store(), &id).unwrap();
    for layer in layers {
        assert!(members.get(&blob(layer)) == Some(layer), "{:?}", members.keys());
    }
    let other = World::new();
    let mut bytes = Vec::new();
    let first = world.store().save(&id, &mut bytes, SILENT).unwrap();
    let image = other.import(&bytes).unwrap().remove(0);
    assert_eq!((image.id, &image.names[..]), (id.clone(), &["docker.io/t/t:1".to_owned()][..]));
    assert_eq!(other.store().list().unwrap()[0].digests, [first.manifest]);
    let mut again = Vec::new();
    other.store().save(&id, &mut again, SILENT).unwrap();
    assert!(again == bytes, "an archive of what came of an archive is that archive");
}

/// Tries to save an image of `layer`, and tells why that cannot be.
fn refusal(layer: Vec<u8>) -> String {
    let world = World::new();
    let id = world.import(&docker("t/t:1", &[layer])).unwrap().remove(0).id;
    assert_eq!(world.store().verify(&id).unwrap().unwrap().problems, [""; 0], "it is whole all the same");
    format!("{:#}", saved(&world.store(), &id).unwrap_err())
}

fn sparse(content: &[u8]) -> Tar {
    let mut map = b"2\n10\n3\n99990\n4\n".to_vec();
    map.resize(512, 0);
    map.extend(content);
    Tar::default()
        .pax(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "hole"),
            ("GNU.sparse.realsize", "100000"),
        ])
        .entry(b'0', "x", "", &map)
}

#[test]
fn what_an_archive_is_made_of_comes_back() {
    let long = "long/".repeat(30) + &"n".repeat(200);
    comes_back(&[
        Tar::default()
            .folder("d/")
            .file("d/a", "content")
            .file("empty", "")
            .hard_link("d/b", "d/a")
            .symlink("link", "/nowhere")
            .pax(&[("path", &long), ("mtime", "1700000000.123456789"), ("SCHILY.xattr.user.note", "kept")])
            .file("x", "of a long name")
            .entry(b'3', "null", "", b"")
            .entry(b'6', "pipe", "", b"")
            .end(),
        // Whiteouts, one with content, and what aufs left behind.
        Tar::default()
            .file(".wh.empty", "nobody reads this")
            .file("d/.wh..wh..opq", "")
            .file(".wh..wh.plnk/1.2", "aufs")
            .file("usr/lib/x", "1")
            .end(),
        sparse(b"abcdefg").file("after", "holes").end(),
        // Behind a link of its own, which goes later.
        Tar::default().folder("usr/").symlink("lib", "usr").file("lib/x", "one").file("lib", "two").end(),
        // Neither an end, nor the last file's padding.
        {
            let mut cut = Tar::default().file("last", "abc").0;
            cut.truncate(512 + 3);
            cut
        },
        // More than an end.
        [Tar::default().file("x", &"y".repeat(200_000)).end(), vec![0; 10_000], b"rubbish".repeat(9000)]
            .concat(),
        Tar::default().file("same", "").end(),
        Tar::default().file("same", "").end(),
    ]);
}

#[test]
fn files_that_later_ones_of_the_same_layer_replace_come_back() {
    comes_back(&[
        Tar::default()
            .file("twice", "first")
            .hard_link("other", "twice")
            .file("between", "x")
            .file("twice", "second, longer")
            .file("twice", "third")
            .folder("d/")
            .file("d/a", "1")
            .file("becomes-link", "content")
            .symlink("becomes-link", "d")
            .file("becomes-link/a", "2")
            .file("gone", "and a whiteout after it")
            .file(".wh.gone", "")
            .end(),
        sparse(b"abcdefg").file("hole", "no hole").end(),
    ]);
}

#[test]
fn holes_come_back_in_both_of_gnu_tars_formats() {
    let world = World::new();
    let file = fs::File::create(world.path("holes")).unwrap();
    for at in 0..40 {
        file.write_all_at(b"between holes", at << 20).unwrap();
    }
    comes_back(&["gnu", "posix"].map(|format| {
        let mut tar = Command::new("tar");
        tar.args(["--sparse", "--format", format, "-cC"]).arg(&world.0).arg("holes").output().unwrap().stdout
    }));
}

#[test]
fn what_cannot_come_back_says_so_and_why() {
    let folder = Tar::default().folder("d/").file("d/a", "1").file("d", "2").end();
    let told = refusal(folder);
    assert!(
        told.starts_with("layer 1 of 1, ")
            && told.ends_with(
                "it replaces a folder of its own by something else: its archive cannot be made again"
            ),
        "{told}"
    );
    let large = "x".repeat(3 << 20);
    let told = refusal(Tar::default().file("a", &large).file("b", &large).file("a", "").file("b", "").end());
    assert!(told.contains("it replaces more than 4 MiB of its own files"), "{told}");
}

#[test]
fn a_layer_that_is_damaged_is_not_saved() {
    let (world, store, image) = with_image();
    let file = folders(&image)[0].join("d/b");
    let refuses = |expected: &str| {
        let told = format!("{:#}", saved(&store, &image.id).unwrap_err());
        assert!(told.starts_with("layer 2 of 2, ") && told.contains(expected), "{told}");
    };
    saved(&store, &image.id).unwrap();
    fs::write(&file, "B").unwrap();
    refuses(
        "it is damaged, `holdfast image verify --repair` makes it again: what is made of its files has the digest",
    );
    fs::write(&file, "").unwrap();
    refuses("read \"d/b\" of it: the file is shorter than it was");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(world.path("marker"), &file).unwrap();
    refuses("read \"d/b\" of it: Too many levels of symbolic links");
    fs::remove_dir_all(folders(&image)[0].join("d")).unwrap();
    std::os::unix::fs::symlink(&world.0, folders(&image)[0].join("d")).unwrap();
    fs::write(world.path("b"), "b").unwrap();
    refuses("read \"d/b\" of it: Too many levels of symbolic links");
    fs::remove_file(world.path("b")).unwrap();
}

#[test]
fn a_damaged_recipe_is_told_of() {
    let (world, store, image) = with_image();
    let recipe = world.path("store/recipes").join(&image.lower[0]);
    let whole = fs::read(&recipe).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(&recipe, damaged).unwrap();
        if let Ok(members) = saved(&store, &image.id) {
            assert!(members.contains_key(&blob(&layer_b())), "byte {at} says nothing, or it must be told of");
        }
        fs::write(&recipe, &whole[..at]).unwrap();
        // The frame's own mark of its end has four bytes, and comes behind the last record.
        assert_eq!(saved(&store, &image.id).is_ok(), whole.len() - 4 <= at, "the first {at} bytes");
    }
}

fn layer_b() -> Vec<u8> {
    super::by_hand::layer("b")
}

/// By an update of holdfast nothing is read again; by hand a layer gets its recipe from the archive.
#[test]
fn a_layer_of_before_there_were_recipes_gets_one_when_it_is_imported_again() {
    let (world, store, image) = with_image();
    let recipe = world.path("store/recipes").join(&image.lower[0]);
    fs::remove_file(&recipe).unwrap();
    let told = format!("{:#}", saved(&store, &image.id).unwrap_err());
    assert!(
        told.ends_with(
            "taken in by an earlier holdfast, which kept no recipe of it: import its archive again"
        ),
        "{told}"
    );
    assert!(store.import(&world.path("archive.tar")).unwrap().is_empty());
    assert!(!recipe.exists());
    assert!(!store.import_by_hand(&world.path("archive.tar"), None, SILENT).unwrap().known);
    saved(&store, &image.id).unwrap();
    assert!(store.import_by_hand(&world.path("archive.tar"), None, SILENT).unwrap().known);
}

#[test]
fn a_recipe_goes_with_its_layer() {
    let (world, store, image) = with_image();
    let count = || fs::read_dir(world.path("store/recipes")).unwrap().count();
    assert_eq!(count(), 2);
    fs::write(world.path("store/recipes/0123"), "of no layer").unwrap();
    store.remove(&image.id, None).unwrap();
    assert_eq!(count(), 0);
}

/// Whatever its name: what is written goes to the file that was opened, what is read is in the layer.
#[test]
fn an_image_without_a_name_is_saved_without_one() {
    let world = World::new();
    let archive = oci(&json!({"manifests": []}), &[]);
    assert!(world.import(&archive).is_err());
    let (a, raw) = (super::by_hand::layer("a"), config(&[super::by_hand::layer("a")]));
    let manifest = json!({"config": descriptor(&raw), "layers": [descriptor(&a)]}).to_string();
    let index = json!({"manifests": [descriptor(manifest.as_bytes())]});
    let id = world.import(&oci(&index, &[&raw, &a, manifest.as_bytes()])).unwrap().remove(0).id;
    let members = saved(&world.store(), &id).unwrap();
    let read = |name: &str| serde_json::from_slice::<serde_json::Value>(&members[name]).unwrap();
    assert_eq!(read("manifest.json")[0]["RepoTags"], json!(null));
    assert_eq!(read("index.json")["manifests"][0].get("annotations"), None);
    assert!(world.store().find(&name("t/t:1")).unwrap().is_none());
}
