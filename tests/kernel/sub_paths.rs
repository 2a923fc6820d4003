//! Parts of volumes: `subPath` and `subPathExpr`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::json;

use crate::harness::World;
use crate::harness::pod::{pod, with, with_main};

/// 9.03, 10.05 (what is missing is made) and 10.06: directories, a file, a key of a ConfigMap, and what a restart sees of it.
#[test]
fn a_container_sees_the_part_of_a_volume_that_it_names() {
    let world = World::new();
    let shared = world.shared();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o750)).unwrap();
    fs::create_dir(shared.join("logs")).unwrap();
    fs::write(shared.join("one"), "of the node").unwrap();
    let settings = |text: &str| {
        let data = json!({"app.conf": text});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data})
    };
    world.write("settings.yaml", &settings("first"));
    let volumes = json!([
        {"name": "host", "hostPath": {"path": shared}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "conf", "configMap": {"name": "settings"}},
    ]);
    let mounts = json!([
        {"name": "host", "mountPath": "/logs", "subPathExpr": "logs/$(POD)/new"},
        {"name": "host", "mountPath": "/etc/one", "subPath": "one", "readOnly": true},
        {"name": "scratch", "mountPath": "/scratch", "subPath": "a/b"},
        {"name": "conf", "mountPath": "/etc/app.conf", "subPath": "app.conf"},
    ]);
    let env = json!([{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    let fields = json!({"env": env, "volumeMounts": mounts, "workingDir": "/logs/work"});
    let web = with(pod("web", &["trap-term"]), json!({"volumes": volumes}));
    world.write("web.yaml", &with_main(web, fields));
    let uid = world.running("web").uid();
    let cat = |file: &str| String::from_utf8(world.exec("web", &["cat", file]).stdout).unwrap();
    let write = |file: &str| world.exec("web", &["say", "0", file, "x"]).status.success();

    assert!(write("/logs/hello") && write("/scratch/hello"));
    assert!(!write("/etc/one") && !write("/etc/app.conf"), "they are read-only");
    assert_eq!((cat("/etc/one"), cat("/etc/app.conf")), ("of the node".into(), "first".into()));
    let part = shared.join("logs").join(world.pod_name("web")).join("new");
    assert_eq!(fs::read_to_string(part.join("hello")).unwrap(), "x");
    assert!(part.join("work").is_dir(), "the working directory is made in the volume");
    assert_eq!(part.metadata().unwrap().mode() & 0o7777, 0o750, "made with the mode of the volume");
    let scratch = world.data().join("agent/holdfast/pods").join(&uid).join("volumes/scratch/a/b");
    assert!(scratch.join("hello").is_file());
    assert_eq!(scratch.metadata().unwrap().mode() & 0o7777, 0o777);

    // As with a kubelet, a file that is mounted stays what it was, until the container starts again.
    world.write("settings.yaml", &settings("second"));
    world.reported(&["settings"]);
    assert_eq!(cat("/etc/app.conf"), "first");
    world.says(&["restart", &world.pod_name("web")]);
    world.once("web", "was started anew", |pod| pod.restarts() == 1 && pod.is("Ready"));
    assert_eq!(cat("/etc/app.conf"), "second");
    assert_eq!(fs::read_to_string(part.join("hello")).unwrap(), "x");
}

/// 9.04, and a key that is not there: the container waits, and nothing is made.
#[test]
fn a_part_that_leads_out_of_its_volume_is_not_mounted() {
    let world = World::new();
    let shared = world.shared();
    fs::create_dir(shared.join("volume")).unwrap();
    std::os::unix::fs::symlink("..", shared.join("volume/up")).unwrap();
    let data = json!({"there": ""});
    let settings =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data});
    world.write("settings.yaml", &settings);
    let volumes = json!([
        {"name": "v", "hostPath": {"path": shared.join("volume")}},
        {"name": "conf", "configMap": {"name": "settings"}},
    ]);
    let cases = [
        ("backsteps", "..", "v", "unable to provision SubPath `..`: must not contain '..'"),
        ("absolute", "/tmp", "v", "error SubPath `/tmp` must not be an absolute path"),
        ("empty", "", "v", "missing value for PART"),
        (
            "link",
            "up/new",
            "v",
            "failed to create subPath directory for volumeMount \"v\" of container \"main\": \"up\" leads out of \
             the volume",
        ),
        (
            "key",
            "missing",
            "conf",
            "failed to prepare subPath for volumeMount \"conf\" of container \"main\": the volume has no \
             \"missing\"; add that key to what it is made of",
        ),
    ];
    for (name, part, volume, _) in cases {
        let mounts = json!([{"name": volume, "mountPath": "/m", "subPathExpr": "$(PART)"}]);
        let fields = json!({"env": [{"name": "PART", "value": part}], "volumeMounts": mounts});
        let manifest = with(pod(name, &["trap-term"]), json!({"volumes": volumes}));
        world.write(&format!("{name}.yaml"), &with_main(manifest, fields));
    }
    for (name, _, _, message) in cases {
        let seen = world.once(name, "waits", |pod| pod.reason() == "CreateContainerConfigError");
        assert_eq!(seen.main()["state"]["waiting"]["message"], message, "{name}");
        assert_eq!(seen.phase(), "Pending");
    }
    let names =
        |folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(
        (names(shared.clone()), names(shared.join("volume"))),
        (vec!["volume".into()], vec!["up".into()])
    );
    // It is tried again.
    let data = json!({"there": "", "missing": ""});
    let settings =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data});
    world.write("settings.yaml", &settings);
    world.running("key");
}
