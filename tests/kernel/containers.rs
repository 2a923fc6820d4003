//! What a container is given: command, environment, volumes, files.

use std::io::Read;

use serde_json::{Value, json};

use crate::harness::image::{IMAGE, IMAGE_2, run, tool};
use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, World, eventually};

/// The log of a pod that runs once, with `fields` laid over its container.
fn printed(world: &World, name: &str, fields: Value) -> String {
    let once = with(pod(name, &[]), json!({"restartPolicy": "Never"}));
    world.write(&format!("{name}.yaml"), &with_main(once, fields));
    world.once(name, "has ended", |pod| pod.exit_code().is_some());
    world.log(name)
}

/// 9.01
#[test]
fn command_and_args_replace_entrypoint_and_cmd() {
    let world = World::new();
    let none = Value::Null;
    let cases = [
        ("image", none.clone(), none.clone(), "the default\n"),
        ("args", none.clone(), json!(["other", "words"]), "other words\n"),
        ("command", json!(["/workload", "echo"]), none, "\n"),
        ("both", json!(["/workload", "echo", "said"]), json!(["by", "both"]), "said by both\n"),
    ];
    for (name, command, args, expected) in cases {
        assert_eq!(printed(&world, name, json!({"command": command, "args": args})), expected, "{name}");
    }
}

/// 9.02
#[test]
fn references_to_variables_are_expanded_and_unknown_ones_left() {
    let world = World::new();
    let env = json!([
        {"name": "FOO", "value": "foo"},
        {"name": "BOTH", "value": "$(FOO);;$(BAR);;$$(FOO)"},
        {"name": "COLOUR", "value": "of the pod"},
    ]);
    let said = printed(
        &world,
        "args",
        json!({"args": ["$(FOO)", "$(NONE)"], "command": ["/workload", "echo"], "env": env}),
    );
    assert_eq!(said, "foo $(NONE)\n");
    let status = printed(&world, "env", json!({"command": ["/workload", "status"], "env": env}));
    for line in ["env.BOTH: foo;;$(BAR);;$(FOO)", "env.COLOUR: of the pod", "env.IMAGE: 1", "cwd: /etc"] {
        assert!(status.lines().any(|found| found == line), "{line}: {status}");
    }
    assert!(status.contains(&format!("env.HOSTNAME: env-{}", world.name)), "{status}");
    assert!(
        status.contains("env.PATH: /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        "{status}"
    );
    assert!(!status.contains("env.RUST_LOG"), "the agent's own environment stays outside: {status}");
}

#[test]
fn the_working_directory_is_the_pods_and_made_if_missing() {
    let world = World::new();
    let status =
        printed(&world, "cwd", json!({"command": ["/workload", "status"], "workingDir": "/not/there/yet"}));
    assert!(status.contains("cwd: /not/there/yet\n"), "{status}");
}

#[test]
fn an_empty_dir_is_shared_by_containers_outlives_them_and_ends_with_the_pod() {
    let world = World::new();
    let mounts = json!([{"name": "data", "mountPath": "/data"}]);
    let mut writer = pod("share", &["write", "/data/file", "kept"]);
    let mut reader = container("reader", &["trap-term"]);
    reader["volumeMounts"] = mounts.clone();
    writer["spec"]["containers"].as_array_mut().unwrap().push(reader);
    let manifest = with_main(
        with(writer, json!({"volumes": [{"name": "data", "emptyDir": {}}]})),
        json!({"volumeMounts": mounts}),
    );
    world.write("share.yaml", &manifest);
    let uid = world.running("share").uid();
    let read = || {
        world
            .cli(&["exec", &world.pod_name("share"), "-c", "reader", "--", "/workload", "cat", "/data/file"])
            .stdout
    };
    eventually(SOON, "the reader sees the file", || (read() == b"kept").then_some(()));
    let pid = super::lifecycle::main_process(&world, &uid, "reader");
    crate::harness::kernel::signal(pid, nix::sys::signal::Signal::SIGKILL);
    world.once("share", "reader runs again", |pod| {
        pod.container("reader")["restartCount"] == 1 && pod.is("Ready")
    });
    assert_eq!(read(), b"kept");
    let volumes = world.data().join("agent/holdfast/pods").join(&uid);
    assert!(volumes.exists());
    world.remove("share.yaml");
    world.gone("share");
    assert!(!volumes.exists());
}

#[test]
fn a_host_path_is_the_hosts_and_may_be_read_only() {
    let world = World::new();
    std::fs::write(world.shared().join("of-host"), "seen").unwrap();
    let volumes = json!([{"name": "host", "hostPath": {"path": world.shared(), "type": "Directory"}}]);
    let mounts = json!([
        {"name": "host", "mountPath": "/rw"},
        {"name": "host", "mountPath": "/ro", "readOnly": true},
    ]);
    let manifest = with(pod("host", &["write", "/rw/of-pod", "written"]), json!({"volumes": volumes}));
    world.write("host.yaml", &with_main(manifest, json!({"volumeMounts": mounts})));
    world.running("host");
    eventually(SOON, "the host sees the file", || {
        std::fs::read(world.shared().join("of-pod")).ok().filter(|text| text == b"written")
    });
    assert_eq!(world.exec("host", &["cat", "/ro/of-host"]).stdout, b"seen");
    assert!(!world.exec("host", &["write", "/ro/of-host", "no"]).status.success());
    assert_eq!(std::fs::read(world.shared().join("of-host")).unwrap(), b"seen");
}

/// 1.28: the host's directory must be there; the pod waits, says what is missing, and starts when it comes.
#[test]
fn a_missing_host_path_is_waited_for() {
    let world = World::new();
    let path = world.dir.join("shared/later");
    let volumes = json!([{"name": "host", "hostPath": {"path": path, "type": "Directory"}}]);
    let mounts = json!([{"name": "host", "mountPath": "/data"}]);
    let manifest = with(pod("wait", &["trap-term"]), json!({"volumes": volumes}));
    world.write("wait.yaml", &with_main(manifest, json!({"volumeMounts": mounts})));
    world.once("wait", "is listed", |_| true);
    let description = || world.says(&["describe", "pod", &world.pod_name("wait")]);
    eventually(SOON, "describe names the path", || description().contains("shared/later").then_some(()));
    assert_eq!(world.pod("wait").unwrap().phase(), "Pending");
    std::fs::create_dir_all(&path).unwrap();
    world.running("wait");
}

/// Two images, and one that nobody has: which file to put where.
#[test]
fn an_absent_image_is_named_and_runs_when_its_archive_comes() {
    let world = World::without_agent();
    let archive = world.archives().join("workload-2.tar");
    let away = world.dir.join("workload-2.tar");
    std::fs::rename(&archive, &away).unwrap();
    let mut world = world;
    world.start_agent();
    world.write(
        "two.yaml",
        &with_main(pod("two", &["trap-term"]), json!({"image": IMAGE_2, "imagePullPolicy": "Never"})),
    );
    world.write(
        "one.yaml",
        &with_main(pod("one", &["trap-term"]), json!({"image": IMAGE, "imagePullPolicy": "IfNotPresent"})),
    );
    world.running("one");
    let waits = world.once("two", "has no image", |pod| pod.reason() == "ErrImageNeverPull");
    let message = waits.main()["state"]["waiting"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains(IMAGE_2), "{message}");
    std::fs::rename(&away, &archive).unwrap();
    world.running("two");
}

/// No writing and no rename tells of a link; and who deletes a refused archive has put it right.
#[test]
fn an_archive_that_is_linked_in_runs_and_one_that_was_deleted_is_blamed_no_more() {
    let mut world = World::without_agent();
    let archive = world.archives().join("workload-2.tar");
    let away = world.dir.join("workload-2.tar");
    std::fs::rename(&archive, &away).unwrap();
    let none = world.dir.join("workload-1.tar");
    std::fs::rename(world.archives().join("workload-1.tar"), &none).unwrap();
    std::fs::write(world.archives().join("broken.tar"), "broken").unwrap();
    std::fs::write(world.archives().join("moved.tar"), "broken too").unwrap();
    world.start_agent();
    for (name, image) in [("one", IMAGE), ("two", IMAGE_2)] {
        world.write(&format!("{name}.yaml"), &with_main(pod(name, &["trap-term"]), json!({"image": image})));
        world.once(name, "waits", |pod| pod.reason().contains("ImagePull"));
    }
    let blames = |file: &str| {
        let node = std::fs::read_to_string(world.runtime.join("node.json")).unwrap_or_default();
        node.contains(file) && world.says(&["describe", "pod", &world.pod_name("one")]).contains(file)
    };
    let nobody_blames = |file: &str| {
        let node = std::fs::read_to_string(world.runtime.join("node.json")).unwrap();
        let node: Value = serde_json::from_str(&node).unwrap();
        let pod = world.pod("one").unwrap();
        let waits = pod.main()["state"]["waiting"]["message"].as_str().unwrap_or_default().to_owned();
        !node["warnings"].to_string().contains(file) && !waits.contains(file)
    };
    eventually(SOON, "both are blamed", || (blames("broken.tar") && blames("moved.tar")).then_some(()));
    std::fs::remove_file(world.archives().join("broken.tar")).unwrap();
    eventually(SOON, "the deleted one is not", || nobody_blames("broken.tar").then_some(()));
    std::fs::rename(world.archives().join("moved.tar"), world.dir.join("moved.tar")).unwrap();
    eventually(SOON, "the moved one is not", || nobody_blames("moved.tar").then_some(()));
    std::fs::hard_link(&none, world.archives().join("linked.tar")).unwrap();
    world.running("one");
    std::os::unix::fs::symlink(&away, world.archives().join("symbolic.tar")).unwrap();
    world.running("two");
}

/// The disk was full when an archive came: nothing tells of the space that somebody makes.
#[test]
fn an_archive_that_found_the_disk_full_is_taken_in_when_there_is_space() {
    let mut world = World::without_agent();
    let disk = world.data();
    let staged = world.dir.join("staging");
    for file in ["workload-1.tar", "workload-2.tar"] {
        std::fs::copy(world.archives().join(file), staged.join(file)).unwrap();
    }
    std::fs::remove_dir_all(&disk).unwrap();
    std::fs::create_dir(&disk).unwrap();
    nix::mount::mount(Some("tmpfs"), &disk, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=64m"))
        .unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::fs::create_dir_all(world.archives()).unwrap();
        std::os::unix::fs::symlink(staged.join("workload-1.tar"), world.archives().join("one.tar")).unwrap();
        let ballast = disk.join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        std::io::copy(&mut std::io::repeat(1).take(63 << 20), &mut file).unwrap();
        drop(file);
        world.start_agent();
        world.write("one.yaml", &pod("one", &["trap-term"]));
        world.once("one", "finds the disk full", |pod| pod.reason().contains("ImagePull"));
        std::fs::remove_file(&ballast).unwrap();
        eventually(std::time::Duration::from_secs(60), "it runs", || {
            world.pod("one").filter(|pod| pod.is("Ready"))
        });
        world.down();
    }));
    nix::mount::umount2(&disk, nix::mount::MntFlags::MNT_DETACH).unwrap();
    result.unwrap_or_else(|error| std::panic::resume_unwind(error));
}

/// The same image as other tools pack it: an OCI layout, gzip.
#[test]
fn archives_of_every_packing_run() {
    let world = World::new();
    let plain = world.archives().join("workload-1.tar");
    let from = format!("docker-archive:{}", plain.display());
    let staged = world.dir.join("oci.tar");
    let to = format!("oci-archive:{}:holdfast.test/oci:1", staged.display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]));
    std::fs::rename(&staged, world.archives().join("oci.tar")).unwrap();
    let to = format!("docker-archive:{}:holdfast.test/gzip:1", staged.display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]));
    run(std::process::Command::new("gzip").arg(&staged));
    std::fs::rename(world.dir.join("oci.tar.gz"), world.archives().join("zipped.tar")).unwrap();
    for kind in ["oci", "gzip"] {
        let image = json!({"image": format!("holdfast.test/{kind}:1"), "imagePullPolicy": "Never"});
        world.write(&format!("{kind}.yaml"), &with_main(pod(kind, &["trap-term"]), image));
    }
    world.running("oci");
    world.running("gzip");
}

/// `exec` gives the command's own exit code and both of its streams.
#[test]
fn exec_has_the_exit_code_and_the_output_of_its_command() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.running("web");
    let output = world.exec("web", &["echo", "from", "inside"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"from inside\n"[..]));
    assert_eq!(world.exec("web", &["exit", "42"]).status.code(), Some(42));
    let output = world.exec("web", &["no-such-command"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: workload"));
}
