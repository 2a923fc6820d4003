//! Images that come layer by layer.

use std::io::Write;

use serde_json::Value;

use super::*;
use crate::image::document::Configuration;
use crate::image::index::Index;

fn layer(name: &str) -> Vec<u8> {
    Tar::default().file(name, name).end()
}

/// An image of `layers`, as a registry's manifest tells of it.
fn found(name: &str, layers: &[Vec<u8>]) -> Found {
    let raw = config(layers);
    let of = |layer: &Vec<u8>| FoundLayer {
        member: Digest::of(layer).hex().to_owned(),
        blob: Some(Digest::of(layer)),
        diff_id: Digest::of(layer),
        size: layer.len() as u64,
    };
    Found {
        id: Digest::of(&raw),
        names: vec![Reference::parse(name).unwrap().to_string()],
        digests: Vec::new(),
        configuration: Configuration::parse(&raw).unwrap(),
        raw,
        layers: layers.iter().map(of).collect(),
        pulled_from: Some("t/app".to_owned()),
    }
}

/// `bytes` as they came of the layer `blob`.
fn came(store: &Store, blob: &Digest, bytes: &[u8]) -> BTreeMap<Digest, Partial> {
    let mut partial = store.partial(blob).unwrap().unwrap();
    partial.file.set_len(0).unwrap();
    partial.file.write_all(bytes).unwrap();
    BTreeMap::from([(blob.clone(), partial)])
}

/// Takes in the next one of `layers`, as a pull does.
fn take(store: &Store, arriving: &mut Arriving<'_>, layer: &[u8]) -> anyhow::Result<()> {
    let parts = came(store, &Digest::of(layer), layer);
    arriving.take(1, &parts, &|_| Ok(()))?;
    parts.into_values().for_each(|part| store.discard(part));
    Ok(())
}

fn folders(world: &World, folder: &str) -> usize {
    fs::read_dir(world.path("store").join(folder)).into_iter().flatten().count()
}

/// Whatever happens between two layers: another opens the store, imports, removes an image that shares a layer, an agent starts.
#[test]
fn layers_stay_until_their_image_is_whole_and_are_fetched_once() {
    let world = World::new();
    let layers = ["a", "b", "c"].map(layer);
    world.import(&docker("t/base:1", &layers[..1])).unwrap();
    let store = world.store();
    let mut arriving = store.begin(found("t/app:1", &layers)).unwrap();
    assert_eq!(arriving.missing().len(), 2, "one is here with another image");
    let base = store.list().unwrap().remove(0);
    store.remove(&base.id, None).unwrap();
    assert_eq!(folders(&world, "layers"), 1, "it stays for the one that comes");
    take(&store, &mut arriving, &layers[1]).unwrap();
    assert_eq!((folders(&world, "layers"), folders(&world, "partial")), (2, 0));
    assert!(store.list().unwrap().is_empty(), "no image is here yet");
    drop(arriving);

    world.import(&docker("t/other:1", &[layer("other")])).unwrap();
    let store = world.store();
    let mut arriving = store.begin(found("t/app:1", &layers)).unwrap();
    assert_eq!(arriving.missing(), [(Digest::of(&layers[2]), layers[2].len() as u64)]);
    take(&store, &mut arriving, &layers[2]).unwrap();
    let image = store.find(&Reference::parse("t/app:1").unwrap()).unwrap().unwrap();
    assert_eq!(store.verify(&image.id).unwrap().unwrap().problems, [""; 0]);
    let index: Value = serde_json::from_slice(&fs::read(world.path("store/index.json")).unwrap()).unwrap();
    assert_eq!(index["unfinished"], Value::Null);
    store.remove(&image.id, None).unwrap();
    assert_eq!(folders(&world, "layers"), 1, "of the other image");
}

/// A layer in the middle that is lost takes what is above it along: a layer looks as those below it make it.
#[test]
fn what_is_above_a_lost_layer_is_fetched_again() {
    let world = World::new();
    let layers = ["a", "b", "c"].map(layer);
    let store = world.store();
    let mut arriving = store.begin(found("t/app:1", &layers)).unwrap();
    take(&store, &mut arriving, &layers[0]).unwrap();
    take(&store, &mut arriving, &layers[1]).unwrap();
    let lowest = store.layer_path(&Digest::of(&layers[0]));
    fs::remove_dir_all(&lowest).unwrap();
    let error = take(&store, &mut arriving, &layers[2]).unwrap_err();
    assert!(format!("{error:#}").contains("is gone: it is pulled again"), "{error:#}");
    assert_eq!(world.store().begin(found("t/app:1", &layers)).unwrap().missing().len(), 3);
    assert_eq!(folders(&world, "layers"), 0);
}

/// Threats 12 and 13 by way of a registry, whose digest of what came is right.
#[test]
fn a_layer_that_is_not_what_the_image_says_goes_and_those_below_it_stay() {
    let bomb = Tar::default().file("large", &"x".repeat(3000)).end();
    let cases = [
        (layer("claimed"), layer("another"), "instead of"),
        (bomb.clone(), bomb, "unpacks to more than 4000 bytes"),
    ];
    for (claimed, last, why) in cases {
        let world = World::new();
        let good = layer("good");
        let store = world.limited(Limits { bytes: 4000, ..Limits::default() });
        let mut told = found("t/app:1", &[good.clone(), claimed]);
        told.layers[1].blob = Some(Digest::of(&last));
        let mut arriving = store.begin(told).unwrap();
        take(&store, &mut arriving, &good).unwrap();
        let error = take(&store, &mut arriving, &last).unwrap_err();
        assert!(format!("{error:#}").contains(why), "{error:#}");
        assert_eq!(["partial", "tmp", "layers"].map(|folder| folders(&world, folder)), [0, 0, 1], "{why}");
    }
}

/// Acceptance of an image does not depend on how often its pull was cut off.
#[test]
fn the_limits_hold_over_the_whole_image_however_often_its_pull_began() {
    let world = World::new();
    let layers = ["a", "b", "c"].map(layer);
    let limits = Limits { entries: 2, ..Limits::default() };
    for layer in &layers[..2] {
        let store = world.limited(limits);
        take(&store, &mut store.begin(found("t/app:1", &layers)).unwrap(), layer).unwrap();
    }
    let store = world.limited(limits);
    let mut arriving = store.begin(found("t/app:1", &layers)).unwrap();
    let error = take(&store, &mut arriving, &layers[2]).unwrap_err();
    assert!(format!("{error:#}").contains("more than 2 files"), "{error:#}");
}

/// Who ends it loses nothing of what came, whatever the layer is packed in.
#[test]
fn what_is_being_unpacked_when_nobody_waits_any_more_is_kept() {
    for pack in [|plain: &[u8]| plain.to_vec(), super::hostile::zstd] {
        let world = World::new();
        let store = world.store();
        // More than is read at once: the packing itself must have begun.
        let digits: String =
            (0..20_000_u32).map(|at| Digest::of(&at.to_le_bytes()).hex().to_owned()).collect();
        let content = Tar::default().file("a", &digits).end();
        let packed = pack(&content);
        let mut told = found("t/app:1", std::slice::from_ref(&content));
        told.layers[0].blob = Some(Digest::of(&packed));
        let mut arriving = store.begin(told).unwrap();
        let parts = came(&store, &Digest::of(&packed), &packed);
        let reads = std::cell::Cell::new(0);
        let ended = arriving.take(1, &parts, &|_| {
            reads.set(reads.get() + 1);
            if reads.get() < 4 { Ok(()) } else { Err(std::io::Error::other("enough")) }
        });
        assert!(format!("{:#}", ended.unwrap_err()).contains("enough"));
        drop(parts);
        let kept = store.partial(&Digest::of(&packed)).unwrap().unwrap();
        assert_eq!(kept.file.metadata().unwrap().len(), packed.len() as u64);
        assert_eq!(folders(&world, "tmp"), 0);
    }
}

#[test]
fn what_nobody_goes_on_with_is_forgotten_after_two_weeks() {
    let world = World::new();
    let layers = ["a", "b"].map(layer);
    let store = world.store();
    take(&store, &mut store.begin(found("t/app:1", &layers)).unwrap(), &layers[0]).unwrap();
    let path = world.path("store/index.json");
    let begun = |days: u64| {
        let mut index = Index::read(&path).unwrap();
        index.unfinished[0].since -= days * 24 * 3600;
        index.write(&path).unwrap();
    };
    let other = found("t/other:1", &[layer("other")]);
    begun(13);
    store.forget_leftovers(&other);
    assert_eq!(folders(&world, "layers"), 1);
    begun(2);
    store.forget_leftovers(&found("t/app:1", &layers));
    assert_eq!(folders(&world, "layers"), 1, "who goes on with it does not forget it");
    store.forget_leftovers(&other);
    assert_eq!(folders(&world, "layers"), 0);
    assert!(Index::read(&path).unwrap().unfinished.is_empty());
}
