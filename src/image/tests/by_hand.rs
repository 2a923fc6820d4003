//! What a person does to the store: import with a name, remove, verify (acceptance 14.06, 14.07).

use std::process::{Command, Stdio};
use std::sync::Barrier;

use super::*;

const SILENT: &Watch<'static> = &|_| Ok(());

pub fn layer(name: &str) -> Vec<u8> {
    Tar::default().folder("d/").file(&format!("d/{name}"), name).symlink("link", name).end()
}

pub fn name(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// One image in the store, called `t/t:1`.
pub fn with_image() -> (World, Store, Image) {
    let world = World::new();
    world.import(&docker("t/t:1", &[layer("a"), layer("b")])).unwrap();
    let store = world.store();
    let image = store.find(&name("t/t:1")).unwrap().unwrap();
    (world, store, image)
}

fn names(store: &Store) -> Vec<String> {
    store.list().unwrap().into_iter().flat_map(|image| image.names).collect()
}

pub fn folders(image: &Image) -> Vec<PathBuf> {
    image.lower.iter().map(|name| image.layers_dir.join(name)).collect()
}

#[test]
fn a_name_is_given_to_an_image_that_has_none_and_to_one_that_has() {
    let world = World::new();
    let config = config(&[layer("a")]);
    let manifest = json!([{ "Config": "c.json", "RepoTags": null, "Layers": ["l.tar"] }]).to_string();
    let archive = Tar::default().entry(b'0', "c.json", "", &config).entry(b'0', "l.tar", "", &layer("a"));
    world.import(&archive.file("manifest.json", &manifest).end()).unwrap();
    let (store, path) = (world.store(), world.path("archive.tar"));
    assert_eq!(store.known(&path).unwrap().unwrap()[0].names, [""; 0]);

    let named = store.import_by_hand(&path, Some(&name("me/mine")), SILENT).unwrap();
    assert_eq!(
        (&named.images[0].names[..], named.known),
        (&["docker.io/me/mine:latest".to_owned()][..], false)
    );
    store.import_by_hand(&path, Some(&name("me/mine:2")), SILENT).unwrap();
    assert_eq!(names(&store), ["docker.io/me/mine:2", "docker.io/me/mine:latest"]);
    assert_eq!(store.known(&path).unwrap().unwrap()[0].names.len(), 2);
}

#[test]
fn one_name_does_not_fit_two_images() {
    let world = World::new();
    let (a, b) = (layer("a"), layer("b"));
    let (of_a, of_b) = (config(std::slice::from_ref(&a)), config(std::slice::from_ref(&b)));
    let manifest = json!([
        { "Config": "a.json", "RepoTags": ["t/a:1"], "Layers": ["a.tar"] },
        { "Config": "b.json", "RepoTags": ["t/b:1"], "Layers": ["b.tar"] },
    ]);
    let archive = Tar::default().entry(b'0', "a.json", "", &of_a).entry(b'0', "b.json", "", &of_b);
    let archive = archive.entry(b'0', "a.tar", "", &a).entry(b'0', "b.tar", "", &b);
    fs::write(world.path("archive.tar"), archive.file("manifest.json", &manifest.to_string()).end()).unwrap();
    let error = world.store().import_by_hand(&world.path("archive.tar"), Some(&name("me/mine")), SILENT);
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.ends_with("it holds 2 images, and one name fits one only: leave --name out"), "{error}");
    world.is_clean();
}

#[test]
fn of_several_names_one_goes_alone_and_the_last_takes_the_image_with_it() {
    let (world, store, image) = with_image();
    store.import_by_hand(&world.path("archive.tar"), Some(&name("t/t:2")), SILENT).unwrap();
    assert_eq!(store.remove(&image.id, Some("docker.io/t/t:1")).unwrap(), Removed::Name);
    assert_eq!(names(&store), ["docker.io/t/t:2"]);
    // 14.06: what is gone already is no error.
    assert_eq!(store.remove(&image.id, Some("docker.io/t/t:1")).unwrap(), Removed::Nothing);

    let archives = vec![world.path("archive.tar")];
    let removed = store.remove(&image.id, Some("docker.io/t/t:2")).unwrap();
    assert_eq!(removed, Removed::Image { archives, runs: false });
    assert_eq!(store.remove(&image.id, None).unwrap(), Removed::Nothing);
    assert_eq!(store.list().unwrap(), []);
    for folder in ["layers", "configs", "tmp"] {
        assert_eq!(fs::read_dir(world.path("store").join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn by_its_id_an_image_goes_with_all_names_and_leaves_shared_layers() {
    let (world, store, image) = with_image();
    world.import(&docker("t/other:1", &[layer("a"), layer("c")])).unwrap();
    assert_eq!(fs::read_dir(&image.layers_dir).unwrap().count(), 3);
    let removed = store.remove(&image.id, None).unwrap();
    // The archive was written over: it holds the other one.
    assert_eq!(removed, Removed::Image { archives: vec![], runs: false });
    assert_eq!(names(&store), ["docker.io/t/other:1"]);
    assert_eq!(fs::read_dir(&image.layers_dir).unwrap().count(), 2);
    let other = store.list().unwrap().remove(0);
    assert_eq!(store.verify(&other.id).unwrap().unwrap().problems, [""; 0]);
}

#[test]
fn a_name_that_was_removed_comes_back_with_the_archive_and_by_hand_only() {
    let (world, store, image) = with_image();
    let archive = world.path("archive.tar");
    store.import_by_hand(&archive, Some(&name("t/t:2")), SILENT).unwrap();
    store.remove(&image.id, Some("docker.io/t/t:1")).unwrap();
    // As the agent does it, at each look at the directory.
    assert_eq!(store.import(&archive).unwrap(), []);
    assert_eq!(names(&store), ["docker.io/t/t:2"]);
    let imported = store.import_by_hand(&archive, None, SILENT).unwrap();
    assert!(!imported.known);
    assert_eq!(names(&store), ["docker.io/t/t:1", "docker.io/t/t:2"]);
    assert!(store.import_by_hand(&archive, None, SILENT).unwrap().known);
}

#[test]
fn an_image_is_meant_by_every_form_of_reference() {
    let world = World::new();
    let (layer, config) = (layer("a"), config(&[layer("a")]));
    let manifest = json!({ "config": descriptor(&config), "layers": [descriptor(&layer)] }).to_string();
    let mut top = descriptor(manifest.as_bytes());
    top["annotations"] = json!({ "io.containerd.image.name": "docker.io/library/redis:latest" });
    world.import(&oci(&json!({ "manifests": [top] }), &[&layer, &config, manifest.as_bytes()])).unwrap();
    let store = world.store();
    let id = Digest::of(&config);
    let digest = Digest::of(manifest.as_bytes());
    for by_name in
        ["redis", "redis:latest", "library/redis", "docker.io/library/redis:latest", "index.docker.io/redis"]
    {
        let target = store.target(by_name).unwrap().unwrap_or_else(|| panic!("{by_name}"));
        assert_eq!(target.name.as_deref(), Some("docker.io/library/redis:latest"), "{by_name}");
    }
    let whole = [
        format!("redis@{digest}"),
        digest.to_string(),
        id.to_string(),
        id.hex().into(),
        id.hex()[..4].into(),
    ];
    for text in &whole {
        let target = store.target(text).unwrap().unwrap_or_else(|| panic!("{text}"));
        assert_eq!((target.image.id.as_str(), target.name), (id.as_str(), None), "{text}");
    }
    for absent in ["redis:7", "nothing", &id.hex()[..3], &Digest::of(b"x").to_string(), &"f".repeat(64)] {
        assert_eq!(store.target(absent).unwrap(), None, "{absent}");
    }
    assert!(store.target("No Name").is_err());
}

#[test]
fn digits_that_fit_several_images_are_told_so() {
    let (world, store, _) = with_image();
    let of = |number: u32| docker(&format!("t/n:{number}"), &[layer(&number.to_string())]);
    // Four digits collide sooner or later; the ids are the same with each run.
    let id = |archive: &[u8]| world.import(archive).unwrap().remove(0).id;
    let mut seen = BTreeMap::new();
    let prefix = (0..2000).find_map(|number| {
        let config = config(&[layer(&number.to_string())]);
        let digits = Digest::of(&config).hex()[..4].to_owned();
        let first = seen.insert(digits.clone(), number)?;
        let ids = [id(&of(first)), id(&of(number))];
        Some((digits, ids))
    });
    let (digits, ids) = prefix.expect("two of 2000 begin with the same four digits");
    let error = format!("{:#}", store.target(&digits).unwrap_err());
    assert!(ids.iter().all(|id| error.contains(id)) && error.ends_with("give more digits"), "{error}");
}

#[test]
fn who_ends_an_import_leaves_nothing() {
    let world = World::new();
    let big = Tar::default().file("big", &"x".repeat(4 << 20)).end();
    let path = world.path("archive.tar");
    fs::write(&path, docker("t/t:1", &[layer("a"), big])).unwrap();
    let size = fs::metadata(&path).unwrap().len();
    let store = world.store();
    let steps = std::cell::RefCell::new(Vec::new());
    let watch = |step: Step| {
        steps.borrow_mut().push(step);
        if step.done > size / 2 { Err(std::io::Error::other("interrupted")) } else { Ok(()) }
    };
    let error = format!("{:#}", store.import_by_hand(&path, None, &watch).unwrap_err());
    assert!(error.ends_with("interrupted"), "{error}");
    world.is_clean();

    steps.borrow_mut().clear();
    store
        .import_by_hand(&path, None, &|step| {
            steps.borrow_mut().push(step);
            Ok(())
        })
        .unwrap();
    let steps = steps.into_inner();
    assert_eq!(steps.first(), Some(&Step { done: 0, of: size }));
    assert_eq!(steps.last(), Some(&Step { done: size, of: size }));
}

#[test]
fn what_comes_through_a_pipe_is_spooled_without_a_name() {
    let world = World::new();
    let store = world.store();
    let archive = docker("t/t:1", &[layer("a")]);
    let spooled = store.spool(&archive[..]).unwrap();
    assert_eq!(fs::read_dir(world.path("store/tmp")).unwrap().count(), 0);
    let imported = store.import_open(spooled, None, SILENT).unwrap();
    assert_eq!(imported.images[0].names, ["docker.io/t/t:1"]);
    assert_eq!(store.index().unwrap().archives.len(), 0);
    let full =
        Store::with_limits(&world.path("store"), Limits { free_percent: 100, ..Limits::default() }).unwrap();
    let error = full.spool(std::io::repeat(b'x')).unwrap_err().to_string();
    assert!(error.starts_with("the disk is nearly full: 100 %"), "{error}");
}

#[test]
fn what_a_container_runs_on_stays_until_it_ends() {
    let world = World::new();
    // A layer that no other test has mounted at the same time.
    let own = layer(&format!("{}", std::process::id()));
    world.import(&docker("t/t:1", &[layer("a"), own])).unwrap();
    let store = world.store();
    let image = store.find(&name("t/t:1")).unwrap().unwrap();
    fs::create_dir(world.path("merged")).unwrap();
    let script =
        "cd \"$1\" && mount -t overlay overlay -o \"ro,lowerdir=$2\" \"$3\" && echo mounted && read line";
    let mut container = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"])
        .args([&image.layers_dir, &PathBuf::from(image.lower.join(":")), &world.path("merged")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(container.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line, "mounted\n");

    let removed = store.remove(&image.id, None).unwrap();
    assert!(matches!(removed, Removed::Image { runs: true, .. }), "{removed:?}");
    assert_eq!(store.find(&name("t/t:1")).unwrap(), None, "gone for whoever looks");
    assert!(folders(&image).iter().all(|folder| folder.is_dir()), "there for who has them mounted");
    drop(world.store());
    assert!(folders(&image)[0].is_dir(), "whoever opens the store next");
    // It comes back, with the layers that are there.
    store.import_by_hand(&world.path("archive.tar"), None, SILENT).unwrap();
    assert_eq!(store.find(&name("t/t:1")).unwrap().as_ref(), Some(&image));
    assert_eq!(store.index().unwrap().orphans, []);
    store.remove(&image.id, None).unwrap();

    drop(container.stdin.take());
    container.wait().unwrap();
    drop(world.store());
    assert!(!folders(&image)[0].exists());
    assert_eq!(store.index().unwrap().orphans, []);
}

#[test]
fn what_is_about_to_be_mounted_stays() {
    let (world, store, image) = with_image();
    let hold = store.hold().unwrap();
    let removed = store.remove(&image.id, None).unwrap();
    assert!(matches!(removed, Removed::Image { runs: true, .. }), "{removed:?}");
    assert!(folders(&image).iter().all(|folder| folder.is_dir()));
    drop(hold);
    drop(world.store());
    assert!(folders(&image).iter().all(|folder| !folder.exists()));
}

#[test]
fn a_lost_layer_costs_no_running_container_its_others() {
    let (world, store, image) = with_image();
    let _hold = store.hold().unwrap();
    fs::remove_dir_all(&folders(&image)[0]).unwrap();
    drop(world.store());
    assert_eq!(store.list().unwrap(), []);
    assert!(folders(&image)[1].is_dir());
}

#[test]
fn removals_and_imports_at_once_leave_a_whole_store() {
    let world = World::new();
    let archives: Vec<PathBuf> = (0..4)
        .map(|number| {
            let path = world.path(&format!("{number}.tar"));
            fs::write(
                &path,
                docker(&format!("t/t:{number}"), &[layer("shared"), layer(&format!("{number}"))]),
            )
            .unwrap();
            path
        })
        .collect();
    let barrier = Barrier::new(archives.len() * 2);
    std::thread::scope(|scope| {
        for archive in &archives {
            let (barrier, world) = (&barrier, &world);
            scope.spawn(move || {
                let store = world.store();
                barrier.wait();
                for _ in 0..5 {
                    store.import_by_hand(archive, None, SILENT).unwrap();
                }
            });
            scope.spawn(move || {
                let store = world.store();
                barrier.wait();
                for _ in 0..5 {
                    for image in store.list().unwrap() {
                        store.remove(&image.id, None).unwrap();
                    }
                }
            });
        }
    });
    let store = world.store();
    for archive in &archives {
        store.import_by_hand(archive, None, SILENT).unwrap();
    }
    assert_eq!(store.list().unwrap().len(), 4);
    assert_eq!(fs::read_dir(world.path("store/layers")).unwrap().count(), 5);
    for image in store.list().unwrap() {
        assert_eq!(store.verify(&image.id).unwrap().unwrap().problems, [""; 0]);
    }
}

#[test]
fn what_is_known_costs_no_read() {
    let world = World::new();
    let big = Tar::default().file("big", &"x".repeat(4 << 20)).end();
    world.import(&docker("t/t:1", &[big])).unwrap();
    let (store, path) = (world.store(), world.path("archive.tar"));
    let read = || {
        let told = fs::read_to_string("/proc/thread-self/io").unwrap();
        let bytes = told.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
        bytes.parse::<u64>().unwrap()
    };
    let before = read();
    assert_eq!(store.import(&path).unwrap(), []);
    assert!(store.import_by_hand(&path, None, SILENT).unwrap().known);
    let cost = read() - before;
    assert!(cost < 16 << 10, "{cost} bytes, the index among them");
}
