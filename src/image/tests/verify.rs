//! What `image verify` finds of damage, and what it cannot (acceptance 14.07).

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::by_hand::{folders, with_image};
use super::*;
use crate::image::seal::{self, Sums};

#[test]
fn damage_is_found_wherever_it_is() {
    let (world, store, image) = with_image();
    let check = |what: &str, expected: &str| {
        let health = store.verify(&image.id).unwrap().unwrap();
        let told = health.problems.join("; ");
        assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{what}: {told:?}");
    };
    let top = &folders(&image)[0];
    let file = top.join("d/b");
    check("as it was imported", "");
    let (content, times) = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap());
    let put_back = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        fs::File::open(&file).unwrap().set_modified(times.modified().unwrap()).unwrap();
    };
    // Same length, same time: only the content tells.
    put_back(b"B");
    check("another byte", "layer 2 of 2");
    put_back(&content);
    check("put back", "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
    check("another mode", "is damaged: its files are not what was unpacked");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    check("put back", "");
    beneath::set_attribute(fs::File::open(&file).unwrap(), "user.new".as_ref(), b"1").unwrap();
    check("another attribute", "layer 2 of 2");
    fs::remove_file(&file).unwrap();
    check("a file less", "layer 2 of 2");

    let config = world.path("store/configs").join(image.id.trim_start_matches("sha256:"));
    let raw = fs::read(&config).unwrap();
    fs::write(&config, "{}").unwrap();
    check("another configuration", "its configuration has the digest sha256:44136fa355b3678a");
    fs::remove_file(&config).unwrap();
    check("no configuration", "its configuration cannot be read");
    fs::write(&config, raw).unwrap();
    fs::remove_dir_all(&folders(&image)[1]).unwrap();
    check("no layer", "layer 1 of 2");
    assert_eq!(store.verify("sha256:0").unwrap(), None);
}

#[test]
fn a_file_too_many_and_a_link_that_leads_elsewhere_are_damage() {
    let (_world, store, image) = with_image();
    let top = &folders(&image)[0];
    let is_whole = || store.verify(&image.id).unwrap().unwrap().problems.is_empty();
    let folder = fs::metadata(top).unwrap().modified().unwrap();
    let put_back = || fs::File::open(top).unwrap().set_modified(folder).unwrap();
    fs::write(top.join("more"), "").unwrap();
    put_back();
    assert!(!is_whole());
    fs::remove_file(top.join("more")).unwrap();
    put_back();
    assert!(is_whole());
    fs::remove_file(top.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", top.join("link")).unwrap();
    put_back();
    assert!(!is_whole());
}

#[test]
fn a_layer_of_an_older_holdfast_has_no_seal_and_is_told_apart() {
    let (world, store, image) = with_image();
    let index = world.path("store/index.json");
    let mut old: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    for layer in old["images"][0]["layers"].as_array_mut().unwrap() {
        assert!(layer.as_object_mut().unwrap().remove("seal").is_some());
    }
    fs::write(&index, old.to_string()).unwrap();
    let health = store.verify(&image.id).unwrap().unwrap();
    assert_eq!((health.problems, health.unsealed), (vec![], 2));
}

#[test]
fn holes_duplicates_and_hard_links_are_sealed_as_they_lie_there() {
    let world = World::new();
    let layer = Tar::default()
        .file("twice", "first")
        .file("other", "between")
        .file("twice", "second")
        .hard_link("linked", "twice")
        .pax(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "hole"),
            ("GNU.sparse.realsize", "100000"),
        ])
        .entry(b'0', "x", "", &{
            let mut map = b"1\n99990\n5\n".to_vec();
            map.resize(512, 0);
            [map, b"at-the".to_vec()[..5].to_vec()].concat()
        })
        .end();
    let id = world.import(&docker("t/t:1", &[layer])).unwrap().remove(0).id;
    assert_eq!(world.store().verify(&id).unwrap().unwrap().problems, [""; 0]);
}

/// A file system gives the inode of a file that was replaced to the next one, which may be one with holes.
#[test]
fn a_file_that_got_the_inode_of_another_is_not_sealed_by_its_sum() {
    let world = World::new();
    let folder = world.path("layer");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hole"), "as it is").unwrap();
    let inode = fs::metadata(folder.join("hole")).unwrap().ino();
    let mut sums = Sums::default();
    sums.note(inode, Some(1));
    let wrong = seal::fresh(&folder, sums).unwrap();
    let mut sums = Sums::default();
    sums.note(inode, Some(1));
    sums.note(inode, None);
    let right = seal::read(&folder).unwrap();
    assert!(right != wrong && seal::fresh(&folder, sums).unwrap() == right);
}
