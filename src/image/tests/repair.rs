//! Damaged layers, noted and made again of archives.

use super::by_hand::{folders, layer, name, with_image};
use super::*;

const SILENT: &Watch<'static> = &|_| Ok(());

/// Kinds of damage to the upper layer of [`with_image`], with times as they were.
const DAMAGES: [fn(&Path); 5] = [
    |layer| {
        let file = layer.join("d/b");
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "B").unwrap();
        fs::File::open(&file).unwrap().set_modified(modified).unwrap();
    },
    |layer| fs::File::options().write(true).open(layer.join("d/b")).unwrap().set_len(0).unwrap(),
    |layer| fs::remove_file(layer.join("d/b")).unwrap(),
    |layer| fs::write(layer.join("d/more"), "").unwrap(),
    |layer| fs::remove_dir_all(layer).unwrap(),
];

fn is_whole(store: &Store, id: &str) -> bool {
    store.verify(id).unwrap().unwrap().problems.is_empty()
}

#[test]
fn whatever_is_damaged_is_noted_and_made_again_of_its_archive() {
    let (world, store, image) = with_image();
    let below = fs::metadata(&folders(&image)[1]).unwrap().ino();
    for (round, damage) in DAMAGES.iter().enumerate() {
        damage(&folders(&image)[0]);
        assert_eq!(
            store.find(&name("t/t:1")).unwrap().unwrap().damage,
            None,
            "{round}: nobody has looked yet"
        );
        assert_eq!(store.judge(&image.id).unwrap().unwrap().damaged, [1], "{round}");
        let noted = store.find(&name("t/t:1")).unwrap().unwrap().damage.unwrap();
        assert!(noted.starts_with("layer 2 of 2, ") && noted.ends_with(", is damaged"), "{noted}");
        assert!(store.can_remake() && !store.is_sound(&image.id).unwrap());
        // As the agent's next start opens it.
        assert_eq!(world.store().damaged().unwrap().len(), 1, "{round}");
        assert_eq!(store.remake(&image.id, SILENT).unwrap(), Some(world.path("archive.tar")), "{round}");
        let whole = store.find(&name("t/t:1")).unwrap().unwrap();
        assert!(is_whole(&store, &image.id) && whole.damage.is_none(), "{round}");
        assert_eq!((whole.names, whole.lower), (image.names.clone(), image.lower.clone()));
        assert_eq!(fs::read_to_string(folders(&image)[0].join("d/b")).unwrap(), "b");
        assert_eq!(fs::metadata(&folders(&image)[1]).unwrap().ino(), below, "what is whole stays");
        assert_eq!(fs::read_dir(world.path("store/aside")).unwrap().count(), 0, "{round}");
    }
    let config = world.path("store/configs").join(image.id.trim_start_matches("sha256:"));
    fs::write(&config, "{}").unwrap();
    assert!(!store.is_sound(&image.id).unwrap());
    store.remake(&image.id, SILENT).unwrap().unwrap();
    assert!(is_whole(&store, &image.id));
}

#[test]
fn without_an_archive_what_is_damaged_stays_and_is_told() {
    let (world, store, image) = with_image();
    fs::rename(world.path("archive.tar"), world.path("elsewhere.tar")).unwrap();
    DAMAGES[0](&folders(&image)[0]);
    store.judge(&image.id).unwrap();
    assert!(!store.can_remake());
    assert_eq!(store.remake(&image.id, SILENT).unwrap(), None);
    assert_eq!(fs::read_to_string(folders(&image)[0].join("d/b")).unwrap(), "B", "nothing is thrown away");
    // Whoever brings an archive of it makes it whole, be it the agent or a person.
    world.store().import(&world.path("elsewhere.tar")).unwrap();
    assert!(is_whole(&store, &image.id) && store.is_sound(&image.id).unwrap());
    DAMAGES[2](&folders(&image)[0]);
    store.judge(&image.id).unwrap();
    assert!(!store.import_by_hand(&world.path("elsewhere.tar"), None, SILENT).unwrap().known);
    assert!(is_whole(&store, &image.id));
}

/// A cable that was loose, a file that somebody put back.
#[test]
fn what_is_whole_again_is_noted_too() {
    let (_world, store, image) = with_image();
    let file = folders(&image)[0].join("d/b");
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    DAMAGES[0](&folders(&image)[0]);
    store.judge(&image.id).unwrap();
    fs::write(&file, "b").unwrap();
    fs::File::open(&file).unwrap().set_modified(modified).unwrap();
    assert!(store.judge(&image.id).unwrap().unwrap().problems.is_empty());
    assert_eq!(store.find(&name("t/t:1")).unwrap().unwrap().damage, None);
}

#[test]
fn an_archive_that_repairs_takes_no_name_back_and_one_layer_is_repaired_for_all_that_have_it() {
    let (world, store, old) = with_image();
    // Another image has the name since, and shares a layer.
    fs::write(world.path("new.tar"), docker("t/t:1", &[layer("a"), layer("c")])).unwrap();
    let new = store.import(&world.path("new.tar")).unwrap().remove(0).id;
    let shared = &folders(&old)[1];
    fs::remove_file(shared.join("d/a")).unwrap();
    store.judge(&old.id).unwrap();
    assert_eq!(store.damaged().unwrap().len(), 2);
    store.remake(&old.id, SILENT).unwrap().unwrap();
    assert_eq!(store.damaged().unwrap(), []);
    assert!(is_whole(&store, &old.id) && is_whole(&store, &new));
    assert_eq!(store.find(&name("t/t:1")).unwrap().unwrap().id, new);
}

#[test]
fn a_layer_without_a_seal_that_was_lost_is_not_taken_for_whole() {
    let (world, store, image) = with_image();
    let index = world.path("store/index.json");
    let mut old: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    for layer in old["images"][0]["layers"].as_array_mut().unwrap() {
        layer.as_object_mut().unwrap().remove("seal").unwrap();
    }
    fs::write(&index, old.to_string()).unwrap();
    DAMAGES[4](&folders(&image)[0]);
    for _ in 0..2 {
        assert_eq!(store.judge(&image.id).unwrap().unwrap().damaged, [1]);
    }
    store.remake(&image.id, SILENT).unwrap().unwrap();
    assert!(is_whole(&store, &image.id));
}

/// The archive is read while something runs on what is damaged; a second archive serves where the first is broken.
#[test]
fn an_archive_that_is_of_no_use_is_told_and_the_next_one_is_taken() {
    let (world, store, image) = with_image();
    let bytes = fs::read(world.path("archive.tar")).unwrap();
    fs::write(world.path("second.tar"), &bytes).unwrap();
    store.import_by_hand(&world.path("second.tar"), None, SILENT).unwrap();
    // As flash does it: another bit, and nothing else of the file.
    let first = fs::File::options().write(true).open(world.path("archive.tar")).unwrap();
    DAMAGES[2](&folders(&image)[0]);
    store.judge(&image.id).unwrap();
    first.set_len(1000).unwrap();
    assert_eq!(store.remake(&image.id, SILENT).unwrap(), Some(world.path("second.tar")));
    assert!(is_whole(&store, &image.id));
}
