//! Images whose configuration is made to hurt: who their process is to be, and what it does to our own program.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::image::{busybox, copy_program, run, tool};
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{SOON, World, binary, eventually};
use crate::isolation::parse;

/// Puts an archive of the test image in place that is called `name` and has these changes to its configuration.
fn changed(world: &World, name: &str, changes: &[&str]) {
    let image = format!("{}:1", world.dir.join(name).display());
    let from = format!("docker-archive:{}", world.archives().join("workload-1.tar").display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &format!("oci:{image}")]));
    run(tool("umoci").args(["config", "--image", &image]).args(changes));
    let staged = world.dir.join(format!("{name}.tar"));
    let to = format!("docker-archive:{}:{name}:1", staged.display());
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &format!("oci:{image}"), &to]));
    fs::rename(staged, world.archives().join(format!("{name}.tar"))).unwrap();
}

fn of_image(name: &str, fields: Value) -> Value {
    with_main(with_main(pod(name, &["trap-term"]), json!({"image": format!("{name}:1")})), fields)
}

/// Threat 18, GO-2025-3528: a number that is none of a user's or group's turns into nobody, and root least of all.
#[test]
fn a_user_whose_number_is_too_large_runs_nothing() {
    let world = World::new();
    let cases = [
        ("user", "4294967296"),
        ("group", "1234:4294967296"),
        ("all", "4294967295"),
        ("half", "2147483648"),
        ("less", "-1"),
    ];
    for (name, user) in cases {
        changed(&world, name, &["--config.user", user]);
        world.write(&format!("{name}.yaml"), &of_image(name, json!({})));
    }
    for (name, user) in cases {
        let seen = world.once(name, "is judged", |pod| {
            assert_ne!(pod.phase(), "Running", "{user} runs");
            pod.reason().ends_with("Error")
        });
        let told = seen.main()["state"]["waiting"]["message"].as_str().unwrap();
        let number = user.rsplit(':').next().unwrap();
        assert!(told.contains("an ID must be between 0 and 2147483647") && told.contains(number), "{told}");
    }
    for (file, context) in [("user", "runAsUser"), ("group", "runAsGroup")] {
        let fields = json!({"securityContext": {context: 4_294_967_296_u64}});
        world.write(&format!("{file}.yaml"), &of_image(file, fields));
        world.reported(&[&format!("{file}.yaml"), context, "must be between 0 and 2147483647"]);
    }
}

/// Threat 18, GO-2022-1206: what an image or a manifest has in HOME is a variable, and no line of anybody's file of users.
#[test]
fn a_home_of_several_lines_makes_no_users() {
    let world = World::new();
    let home = "/x\nintruder::0:0::/:/bin/sh";
    let of_node = fs::read("/etc/passwd").unwrap_or_default();
    changed(&world, "lines", &["--config.user", "4242", "--config.env", &format!("HOME={home}")]);
    world.write("lines.yaml", &of_image("lines", json!({})));
    let said = json!({"env": [{"name": "HOME", "value": home}], "securityContext": {"runAsUser": 4242}});
    world.write("said.yaml", &with_main(pod("said", &["trap-term"]), said));
    for name in ["lines", "said"] {
        let uid = world.running(name).uid();
        let of_image = "root:x:0:0::/:\nworker:x:1234:5678::/:\n";
        assert_eq!(world.exec(name, &["cat", "/etc/passwd"]).stdout, of_image.as_bytes(), "{name}");
        let status = String::from_utf8(world.exec(name, &["status"]).stdout).unwrap();
        assert!(status.contains(&format!("\nenv.HOME: {home}\n")), "{name}: {status}");
        let seen = parse(&status);
        assert_eq!([&*seen["uid"], &*seen["gid"], &*seen["groups"]], ["4242 4242", "0 0", "0"], "{name}");
        let written = world.data().join("agent/holdfast/pods").join(uid).join("containers/main-0/upper/etc");
        assert!(!written.join("passwd").exists() && !written.join("group").exists(), "{name}");
    }
    assert_eq!(fs::read("/etc/passwd").unwrap_or_default(), of_node);
}

/// Threat 5, CVE-2019-5736: an image whose entry point is `/proc/self/exe` runs our program, and may do what it likes to what it
/// finds there. The agent runs from a copy, so that nothing else is harmed.
#[test]
fn a_container_cannot_change_the_agents_binary() {
    let copy =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("holdfast-of-agent-{}", std::process::id()));
    copy_program(&binary(), &copy);
    let before = fs::read(&copy).unwrap();
    {
        let mut world = World::with_binary(&copy);
        copy_program(&busybox(), &world.shared().join("busybox"));
        // As a pod process it reads a file of the container's choice, here one that nobody ever writes.
        fs::create_dir(world.shared().join("x")).unwrap();
        nix::unistd::mkfifo(&world.shared().join("x/sandbox.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        world.start_agent();
        let volumes = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
        let fields = json!({
            "command": ["/proc/self/exe", "pod-process", "/shared/x"],
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        });
        let spec = json!({"volumes": volumes, "terminationGracePeriodSeconds": 1});
        world.write("exe.yaml", &with_main(with(pod("exe", &[]), spec), fields));
        world.running("exe");
        let script = "readlink /proc/1/exe; chmod 0 /proc/1/exe; echo harm > /proc/1/exe; touch /proc/1/exe";
        let name = world.pod_name("exe");
        let shell = ["exec", &name, "--", "/shared/busybox", "sh", "-c", script];
        let output = world.cli(&shell);
        let mode = fs::metadata(&copy).unwrap().mode() & 0o7777;
        // Whatever came of it, this story uses it once more.
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.starts_with("/\n"), "the entry point is our binary: {text}");
        assert_eq!((text.matches("Read-only file system").count(), mode & 0o111), (3, 0o111), "{text}");
        assert!(fs::read(&copy).unwrap() == before, "the binary is as before");
        eventually(SOON, "it still runs", || world.pod("exe").filter(|pod| pod.is("Ready")));
    }
    fs::remove_file(&copy).unwrap();
}
