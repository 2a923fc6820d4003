//! Images as volumes (acceptance 9.22, 14.08).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::image::{IMAGE_2, run, tool};
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{A_WHILE, Seen, World, stays_true_for};
use crate::origin::Origin;
use crate::registry::{knows, nothing};

const MODEL: &str = "holdfast.test/model:1";

/// An archive of an image with one layer: `data` with a file, and links of all sorts.
fn model(world: &World) -> PathBuf {
    let scratch = world.dir.join("model");
    let data = scratch.join("data");
    fs::create_dir_all(data.join("deep")).unwrap();
    fs::write(data.join("file"), "of the image").unwrap();
    fs::write(data.join("deep/file"), "deeper").unwrap();
    symlink("/etc", data.join("out")).unwrap();
    symlink("../".repeat(20) + "etc", data.join("up")).unwrap();
    symlink("deep", data.join("in")).unwrap();
    let layout = scratch.join("layout").display().to_string();
    let image = format!("{layout}:1");
    run(tool("umoci").args(["init", "--layout", &layout]));
    run(tool("umoci").args(["new", "--image", &image]));
    run(tool("umoci").args(["insert", "--image", &image]).arg(&data).arg("/data"));
    let archive = world.dir.join("model.tar");
    run(tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", &format!("oci:{image}")])
        .arg(format!("docker-archive:{}:{MODEL}", archive.display())));
    archive
}

fn with_model() -> World {
    let world = World::new();
    let archive = model(&world);
    fs::rename(archive, world.archives().join("model.tar")).unwrap();
    world
}

fn volume(name: &str, reference: &str) -> Value {
    json!({"name": name, "image": {"reference": reference}})
}

/// A pod of `volumes` that mounts each of `mounts`: volume, place, part.
fn mounts(name: &str, volumes: Value, mounts: &[(&str, &str, &str)]) -> Value {
    let mounts =
        mounts.iter().map(|(name, path, part)| json!({"name": name, "mountPath": path, "subPath": part}));
    let fields = json!({"volumeMounts": mounts.collect::<Vec<_>>()});
    with_main(with(pod(name, &["trap-term"]), json!({"volumes": volumes})), fields)
}

fn cat(world: &World, pod: &str, file: &str) -> String {
    let output = world.exec(pod, &["cat", file]);
    String::from_utf8(output.stdout).unwrap()
}

fn waits(pod: &Seen, reason: &str, words: &str) -> bool {
    let waiting = &pod.main()["state"]["waiting"];
    waiting["reason"] == reason && waiting["message"].as_str().is_some_and(|message| message.contains(words))
}

#[test]
fn a_container_reads_what_is_in_an_image_and_can_neither_write_nor_execute_it() {
    let world = with_model();
    let volumes = json!([
        volume("model", MODEL),
        volume("programs", IMAGE_2),
        // Nobody mounts it: it holds up nobody.
        volume("absent", "holdfast.test/absent:1"),
    ]);
    let all = [
        ("model", "/model", ""),
        ("model", "/part", "data/deep"),
        ("model", "/linked", "data/in"),
        ("model", "/one", "data/file"),
        ("programs", "/programs", ""),
    ];
    let mut web = mounts("web", volumes.clone(), &all);
    web["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = json!(false);
    world.write("web.yaml", &web);
    world.write("other.yaml", &mounts("other", volumes, &all[..2]));
    let running = world.running("web");
    world.running("other");
    world.reported(&["nobody writes to an image"]);
    let sees = |pod: &str| {
        assert_eq!(cat(&world, pod, "/model/data/file"), "of the image");
        assert_eq!(cat(&world, pod, "/part/file"), "deeper");
    };
    sees("web");
    sees("other");
    assert_eq!(
        (cat(&world, "web", "/linked/file"), cat(&world, "web", "/one")),
        ("deeper".into(), "of the image".into())
    );
    assert!(cat(&world, "web", "/programs/etc/passwd").contains("worker"));
    for file in ["/model/new", "/model/data/file", "/part/new", "/one"] {
        assert!(!world.exec("web", &["say", "0", file, "x"]).status.success(), "{file} was written");
    }
    let pod_name = world.pod_name("web");
    let executed = world.cli(&["exec", &pod_name, "--", "/programs/workload", "echo", "hello"]);
    assert_eq!(executed.status.code(), Some(126), "{executed:?}");
    let table = cat(&world, "web", "/proc/self/mountinfo");
    let of = |place: &str| {
        let line = table.lines().find(|line| line.split(' ').nth(4) == Some(place)).unwrap();
        line.split(' ').nth(5).unwrap().to_owned()
    };
    for place in ["/model", "/part", "/one", "/programs"] {
        let options = of(place);
        let has = |option: &str| options.split(',').any(|found| found == option);
        assert!(has("ro") && has("noexec") && has("nosuid") && has("nodev"), "{place}: {options}");
    }
    let listed: Value = serde_json::from_str(&world.says(&["image", "inspect", MODEL])).unwrap();
    let mounted = &running.main()["volumeMounts"][0];
    assert_eq!(mounted["volumeStatus"]["image"]["imageRef"], listed[0]["id"], "{mounted}\n{listed}");
    // What runs on an image keeps it, whoever removes it.
    fs::remove_file(world.archives().join("model.tar")).unwrap();
    world.says(&["image", "rm", "--force", MODEL]);
    sees("other");
}

/// What a part leads to is in the image, or nowhere.
#[test]
fn a_volume_that_cannot_be_had_or_has_no_such_part_holds_up_who_mounts_it() {
    let world = with_model();
    let model = json!([volume("model", MODEL)]);
    for (name, part, words) in [
        ("missing", "data/none", "the image has no \"data/none\""),
        ("out", "data/out", "leads out of the volume"),
        ("up", "data/up", "leads out of the volume"),
    ] {
        world.write(&format!("{name}.yaml"), &mounts(name, model.clone(), &[("model", "/v", part)]));
        world.once(name, "waits", |pod| waits(pod, "CreateContainerError", words));
    }
    let absent = json!([volume("absent", "holdfast.test/absent:1")]);
    world.write("absent.yaml", &mounts("absent", absent, &[("absent", "/v", "")]));
    world.once("absent", "waits", |pod| {
        waits(pod, "ErrImagePull", "volume \"absent\": image holdfast.test/absent:1")
    });
    let words = "Back-off pulling image \"holdfast.test/absent:1\"";
    world.once("absent", "still waits", |pod| waits(pod, "ImagePullBackOff", words));
    let mut never = json!([volume("model", "holdfast.test/absent:1")]);
    never[0]["image"]["pullPolicy"] = json!("Never");
    world.write("never.yaml", &mounts("never", never, &[("model", "/v", "")]));
    world.once("never", "waits", |pod| waits(pod, "ErrImageNeverPull", "absent:1"));
    for name in ["missing", "out", "up", "absent", "never"] {
        world.remove(&format!("{name}.yaml"));
        world.gone(name);
    }
    // It waits for its image, and starts when that comes.
    let late = json!([volume("late", "shop.test/model:1")]);
    world.write("late.yaml", &mounts("late", late, &[("late", "/v", "data")]));
    world.once("late", "waits", |pod| waits(pod, "ErrImagePull", ""));
    let archive = world.archives().join("model.tar");
    world.says(&["image", "import", "--name", "shop.test/model:1", archive.to_str().unwrap()]);
    world.running("late");
    assert_eq!(cat(&world, "late", "/v/file"), "of the image");
}

fn push(origin: &Origin, archive: &Path, name: &str) {
    origin.push(tool("skopeo"), &format!("docker-archive:{}", archive.display()), name);
}

/// Each is compared with the registry, and all of them are there at once in the end; then nothing is needed for a restart.
#[test]
fn volumes_that_are_always_pulled_come_from_a_registry() {
    let (origin, _folder) = nothing();
    let mut world = World::without_agent();
    world.kubelet_config =
        Some("fileCheckFrequency: 1s\nimageMinimumGCAge: 1ms\nimageMaximumGCAge: 1s\n".to_owned());
    let archive = model(&world);
    push(&origin, &archive, "model:1");
    push(&origin, &crate::harness::image::archives()[0], "app:1");
    push(&origin, &crate::harness::image::archives()[1], "programs:1");
    for archive in crate::harness::image::archives() {
        fs::remove_file(world.archives().join(archive.file_name().unwrap())).unwrap();
    }
    knows(&world, &format!("127.0.0.1:{}", origin.port));
    world.start_agent();
    let mut volumes =
        json!([volume("model", "shop.test/model:1"), volume("programs", "shop.test/programs:1")]);
    for volume in volumes.as_array_mut().unwrap() {
        volume["image"]["pullPolicy"] = json!("Always");
    }
    let web = mounts("web", volumes, &[("model", "/model", ""), ("programs", "/programs", "")]);
    world
        .write("web.yaml", &with_main(web, json!({"image": "shop.test/app:1", "imagePullPolicy": "Always"})));
    world.running("web");
    assert_eq!(cat(&world, "web", "/model/data/file"), "of the image");
    // They are in use.
    let here = |world: &World| {
        ["app:1", "model:1", "programs:1"]
            .iter()
            .all(|name| crate::collection::has(world, &format!("shop.test/{name}")))
    };
    stays_true_for(A_WHILE, "none of them is collected", || here(&world));
    drop(origin);
    world.says(&["restart", &world.pod_name("web")]);
    world.once("web", "was started anew", |pod| pod.restarts() == 1 && pod.is("Ready"));
    assert_eq!(cat(&world, "web", "/model/data/file"), "of the image");
}

/// Threat 9, CVE-2022-23648: what an image declares as a volume is nothing here, be it a link to the node's: nothing is
/// copied, made or mounted, and nobody gets a directory for it.
#[test]
fn volumes_that_an_image_declares_touch_nothing() {
    let mut world = World::without_agent();
    let precious = world.dir.join("precious");
    fs::create_dir_all(precious.join("inner")).unwrap();
    fs::write(precious.join("inner/file"), "precious").unwrap();
    let layout = world.dir.join("layout").display().to_string();
    let image = format!("{layout}:1");
    let from = format!("docker-archive:{}", world.archives().join("workload-1.tar").display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &format!("oci:{image}")]));
    let links = world.dir.join("links");
    fs::create_dir(&links).unwrap();
    symlink(&precious, links.join("absolute")).unwrap();
    symlink(format!("{}{}", "../".repeat(20), precious.display()), links.join("up")).unwrap();
    for name in ["absolute", "up"] {
        run(tool("umoci").args(["insert", "--image", &image]).arg(links.join(name)).arg(format!("/{name}")));
        run(tool("umoci").args(["config", "--image", &image, "--config.volume", &format!("/{name}")]));
    }
    run(tool("umoci").args([
        "config",
        "--image",
        &image,
        "--config.volume",
        "/absolute/inner",
        "--config.volume",
        "/new",
    ]));
    let archive = format!("docker-archive:{}:declares:1", world.archives().join("declares.tar").display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &format!("oci:{image}"), &archive]));
    let declared = run(tool("skopeo").args(["inspect", "--config", &format!("oci:{image}")]));
    assert!(declared.contains("/absolute/inner"), "{declared}");
    let before = fs::metadata(&precious).unwrap().modified().unwrap();
    world.start_agent();
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    world.write("web.yaml", &with_main(pod("web", &["trap-term"]), json!({"image": "declares:1"})));
    let uid = world.running("web").uid();
    assert!(
        !world.exec("web", &["cat", "/absolute/inner/file"]).status.success(),
        "the link leads nowhere inside"
    );
    let table = cat(&world, "web", "/proc/self/mountinfo");
    let places: Vec<_> = table.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    for place in ["/absolute", "/up", "/new"] {
        assert!(!places.iter().any(|mounted| mounted.starts_with(place)), "{place}: {table}");
    }
    let here = world.data().join("agent/holdfast/pods").join(&uid);
    assert_eq!(names(&here), ["containers", "etc"], "no volume was made for it");
    assert_eq!(
        fs::read_dir(here.join("containers/main-0/upper"))
            .unwrap()
            .flatten()
            .filter(|entry| { ["absolute", "up", "new"].contains(&entry.file_name().to_str().unwrap()) })
            .count(),
        0,
        "nothing was copied"
    );
    world.remove("web.yaml");
    world.gone("web");
    assert_eq!(
        (names(&precious), names(&precious.join("inner"))),
        (vec!["inner".into()], vec!["file".into()])
    );
    assert_eq!(fs::read_to_string(precious.join("inner/file")).unwrap(), "precious");
    assert_eq!(fs::metadata(&precious).unwrap().modified().unwrap(), before);
}
