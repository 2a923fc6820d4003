//! Volumes that are no files of values.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::image::{busybox, copy_program};
use crate::harness::kernel::{lives, signal};
use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, Seen, World, eventually};

/// What a shell script prints in a container, with its errors.
fn script(world: &World, pod: &str, container: &str, script: &str) -> String {
    let pod = world.pod_name(pod);
    let shell = ["exec", &pod, "-c", container, "--", "/shared/busybox", "sh", "-c", script];
    let output = world.cli(&shell);
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// How the file system at `path` is mounted: its kind and options, in container `main`.
fn mounted(world: &World, pod: &str, path: &str) -> String {
    let all = script(world, pod, "main", "/shared/busybox cat /proc/self/mountinfo");
    let line = all.lines().rfind(|line| line.split(' ').nth(4) == Some(path));
    let line = line.unwrap_or_else(|| panic!("nothing is mounted at {path}:\n{all}"));
    line.split_once(" - ").unwrap().1.to_owned()
}

/// 10.01 to 10.04: an emptyDir on the disk and three in memory, shared by the containers of a pod; what is in memory outlives
/// its containers and not its pod, and no node sees it.
#[test]
fn empty_dirs_are_shared_limited_and_end_with_their_pod() {
    let world = World::new();
    copy_program(&busybox(), &world.shared().join("busybox"));
    let in_memory = |name: &str, limit: Value| {
        let mut volume = json!({"name": name, "emptyDir": {"medium": "Memory"}});
        if !limit.is_null() {
            volume["emptyDir"]["sizeLimit"] = limit;
        }
        volume
    };
    let volumes = json!([
        {"name": "shared", "hostPath": {"path": world.shared()}},
        {"name": "disk", "emptyDir": {}},
        in_memory("small", json!("1Mi")),
        in_memory("large", json!("8Gi")),
        in_memory("open", Value::Null),
    ]);
    let names = ["shared", "disk", "small", "large", "open"];
    let mounts = names.map(|name| json!({"name": name, "mountPath": format!("/{name}")}));
    let with_volumes = |name: &str, args: &[&str]| {
        let mut container = container(name, args);
        container["volumeMounts"] = json!(mounts);
        container["resources"] = json!({"limits": {"memory": "32Mi"}});
        container
    };
    let (mut main, init) = (
        with_volumes("main", &["trap-term"]),
        with_volumes("init", &["say", "0", "/small/env", "A='of memory'\n"]),
    );
    let of_file = json!({"volumeName": "small", "path": "env", "key": "A"});
    main["env"] = json!([{"name": "A", "valueFrom": {"fileKeyRef": of_file}}]);
    let containers = json!([main, with_volumes("other", &["trap-term"])]);
    let fields = json!({"volumes": volumes, "containers": containers, "initContainers": [init]});
    world.write("web.yaml", &with(pod("web", &[]), fields));
    let uid = world.running("web").uid();
    let process = world.place().pod_process(&uid).expect("the pod has a process");

    // The larger ones are as large as what the pod may use.
    assert!(mounted(&world, "web", "/small").contains("size=1024k"), "{}", mounted(&world, "web", "/small"));
    for path in ["/large", "/open"] {
        let found = mounted(&world, "web", path);
        assert!(found.starts_with("tmpfs ") && found.contains("size=65536k"), "{path}: {found}");
    }
    assert!(!mounted(&world, "web", "/disk").starts_with("tmpfs "));
    let modes = "cd /shared; for d in /disk /small /open; do ./busybox stat -c %a $d; for m in 644 666 777; do \
                 echo $m >$d/$m; ./busybox chmod $m $d/$m; done; done";
    assert_eq!(script(&world, "web", "main", modes), "777\n777\n777\n");
    let shown = "cd /shared; for d in /disk /small; do for m in 644 666 777; do ./busybox stat -c %a $d/$m; \
                 ./busybox cat $d/$m; done; done; echo $A";
    let expected = "644\n644\n666\n666\n777\n777\n".repeat(2);
    assert_eq!(script(&world, "web", "other", shown), format!("{expected}\n"));
    assert_eq!(script(&world, "web", "main", "echo $A"), "of memory\n", "fileKeyRef reads it too");
    let full = script(&world, "web", "main", "/shared/busybox dd if=/dev/zero of=/small/full bs=1k count=2k");
    assert!(full.contains("No space left on device"), "{full}");

    let ended = world.place().container_processes(&uid);
    ended.into_iter().for_each(|container| signal(container, Signal::SIGKILL));
    let restarted = |pod: &Seen| pod.restarts() == 1 && pod.container("other")["restartCount"] == 1;
    world.once("web", "was started anew", |pod| restarted(pod) && pod.is("Ready"));
    assert_eq!(script(&world, "web", "other", "/shared/busybox cat /small/644 /disk/644"), "644\n644\n");
    let seen_here = world.runtime.join("pods").join(&uid).join("volumes/small");
    assert_eq!(fs::read_dir(&seen_here).unwrap().count(), 0, "the node sees the place and nothing in it");
    world.remove("web.yaml");
    world.gone("web");
    eventually(SOON, "its process is gone, and what it held", || (!lives(process)).then_some(()));
}

/// Unmounts when the story ends, however it ends.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let gone = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

/// 10.08: what is mounted below a volume is read-only too where a mount says so, and only there.
#[test]
fn a_recursive_read_only_mount_covers_what_is_mounted_below() {
    let world = World::new();
    let below = world.shared().join("below");
    fs::create_dir(&below).unwrap();
    nix::mount::mount(Some("tmpfs"), &below, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>)
        .unwrap();
    let _mounted = Mounted(below.clone());
    let mount = |path: &str, fields: Value| {
        let mut mount = json!({"name": "v", "mountPath": path, "readOnly": true});
        mount.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        mount
    };
    let mounts = json!([
        mount("/plain", json!({})),
        mount("/all", json!({"recursiveReadOnly": "Enabled"})),
        mount("/if", json!({"recursiveReadOnly": "IfPossible", "subPath": "below"})),
    ]);
    let volumes = json!([{"name": "v", "hostPath": {"path": world.shared()}}]);
    let web = with(pod("web", &["trap-term"]), json!({"volumes": volumes}));
    world.write("web.yaml", &with_main(web, json!({"volumeMounts": mounts})));
    let seen = world.running("web");
    for (path, writable) in [
        ("/plain/x", false),
        ("/plain/below/x", true),
        ("/all/x", false),
        ("/all/below/x", false),
        ("/if/x", false),
    ] {
        let wrote = world.exec("web", &["say", "0", path, "x"]);
        assert_eq!(wrote.status.success(), writable, "{path}: {wrote:?}");
        if !writable {
            let why = String::from_utf8_lossy(&wrote.stderr).into_owned();
            assert!(why.contains("Read-only file system"), "{path}: {why}");
        }
    }
    let told = seen.main()["volumeMounts"].as_array().unwrap();
    let told: Vec<_> = told.iter().map(|mount| mount["recursiveReadOnly"].as_str().unwrap()).collect();
    assert_eq!(told, ["Disabled", "Enabled", "Enabled"]);
    world.remove("web.yaml");
    world.gone("web");
}

/// 14.03: what the node mounts below a volume later is seen where a mount says so, and nowhere else; a volume that cannot tell
/// is refused, and so is what would pass mounts of containers on to the node.
#[test]
fn mounts_of_the_node_come_to_those_who_ask_for_them() {
    let world = World::new();
    let tmpfs = |path: &PathBuf, propagation| {
        fs::create_dir(path).unwrap();
        let none = None::<&str>;
        nix::mount::mount(Some("tmpfs"), path, Some("tmpfs"), nix::mount::MsFlags::empty(), none).unwrap();
        let mounted = Mounted(path.clone());
        nix::mount::mount(none, path, none, propagation, none).unwrap();
        mounted
    };
    let (media, private) = (world.shared().join("media"), world.shared().join("private"));
    let (shared, alone) = (nix::mount::MsFlags::MS_SHARED, nix::mount::MsFlags::MS_PRIVATE);
    let _media = tmpfs(&media, shared);
    let _private = tmpfs(&private, alone);
    let with_mounts = |name: &str, mounts: Value| {
        let volumes = json!([
            {"name": "media", "hostPath": {"path": media}},
            {"name": "private", "hostPath": {"path": private}},
        ]);
        let manifest = with(pod(name, &["trap-term"]), json!({"volumes": volumes}));
        world.write(&format!("{name}.yaml"), &with_main(manifest, json!({"volumeMounts": mounts})));
    };
    let to_container = "HostToContainer";
    with_mounts(
        "web",
        json!([
            {"name": "media", "mountPath": "/receives", "mountPropagation": to_container},
            {"name": "media", "mountPath": "/none"},
            {"name": "private", "mountPath": "/private", "mountPropagation": "None"},
        ]),
    );
    with_mounts("other", json!([{"name": "media", "mountPath": "/none"}]));
    with_mounts("deaf", json!([{"name": "private", "mountPath": "/m", "mountPropagation": to_container}]));
    with_mounts("both", json!([{"name": "media", "mountPath": "/m", "mountPropagation": "Bidirectional"}]));
    let uid = world.running("web").uid();
    world.running("other");
    let _stick = tmpfs(&media.join("stick"), alone);
    fs::write(media.join("stick/file"), "plugged in").unwrap();
    let cat = |pod: &str, path: &str| world.exec(pod, &["cat", path]);
    assert_eq!(String::from_utf8(cat("web", "/receives/stick/file").stdout).unwrap(), "plugged in");
    for (pod, path) in [("web", "/none/stick/file"), ("other", "/none/stick/file")] {
        assert!(!cat(pod, path).status.success(), "{pod} sees {path}");
    }
    let seen = world.once("deaf", "waits", |pod| pod.reason() == "CreateContainerConfigError");
    let why = seen.main()["state"]["waiting"]["message"].as_str().unwrap().to_owned();
    let expected = format!(
        "is mounted on {0}, which is no shared mount of the node; `mount --make-rshared {0}`",
        private.display()
    );
    assert!(why.contains(&expected), "{why}");
    world.reported(&["both.yaml", "Bidirectional would leave mounts of a container on the node"]);
    world.remove("web.yaml");
    world.gone("web");
    assert!(world.place().pod_process(&uid).is_none());
    ["other", "deaf"].iter().for_each(|name| world.remove(&format!("{name}.yaml")));
    ["other", "deaf"].iter().for_each(|name| world.gone(name));
}

/// 10.07: of a pod that is over nothing is left but what is known of it and its logs: neither what was in memory nor on the disk,
/// nor a process. So it stays under the next agent, and it begins anew with empty volumes.
#[test]
fn what_a_pod_had_goes_with_its_end_though_the_pod_is_still_there() {
    let mut world = World::new();
    let data = json!({"key": "aHVzaA=="});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data});
    world.write("secret.yaml", &secret);
    let volumes = json!([
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "disk", "emptyDir": {}},
        {"name": "secret", "secret": {"secretName": "s"}},
        {"name": "shared", "hostPath": {"path": world.shared()}},
    ]);
    let names = ["memory", "disk", "secret", "shared"];
    let mounts = names.map(|name| json!({"name": name, "mountPath": format!("/{name}")}));
    let fields = json!({"volumes": volumes, "restartPolicy": "Never"});
    copy_program(&busybox(), &world.shared().join("busybox"));
    let script = "cd /shared; ./busybox cat /secret/key; ./busybox ls /disk /memory; echo x >/disk/x; echo x >/memory/x; \
                  until [ -e go ]; do ./busybox sleep 0.1; done; ./busybox rm go; echo done";
    let command = json!(["/shared/busybox", "sh", "-c", script]);
    let job = with(pod("job", &[]), fields);
    world.write("job.yaml", &with_main(job, json!({"volumeMounts": mounts, "command": command})));
    let uid = world.running("job").uid();
    let process = world.place().pod_process(&uid).unwrap();
    let cgroup = world.place().pod_cgroup(&uid).unwrap();
    let on_disk = world.data().join("agent/holdfast/pods").join(&uid);
    let in_memory = world.runtime.join("pods").join(&uid).join("volumes");
    let held = |path: &std::path::Path| eventually(SOON, "it is there", || path.exists().then_some(()));
    [on_disk.join("volumes/disk/x"), in_memory.join("secret/key"), in_memory.join("memory")]
        .iter()
        .for_each(|it| held(it));

    let ends = |world: &World, restarts: u64| {
        fs::write(world.shared().join("go"), "").unwrap();
        world.once("job", "has ended", |pod| pod.phase() == "Succeeded" && pod.restarts() == restarts)
    };
    ends(&world, 0);
    let gone = || {
        let any = fs::read_dir(&on_disk).unwrap().count()
            + usize::from(in_memory.exists())
            + usize::from(cgroup.exists());
        (any == 0).then_some(())
    };
    eventually(SOON, "its volumes and its cgroup are gone", gone);
    eventually(SOON, "its process is gone, and what it held", || (!lives(process)).then_some(()));
    let said = "hush/disk:\n\n/memory:\ndone\n";
    assert_eq!(world.log("job"), said);
    let life = world.pod("job").unwrap().life();
    world.stop_agent();
    world.start_agent();
    let is_over = |pod: &Seen| pod.phase() == "Succeeded" && pod.life() == life;
    crate::harness::stays_true_for(crate::harness::A_WHILE, "it stays over", || {
        world.pod("job").is_some_and(|pod| is_over(&pod)) && gone().is_some()
    });
    assert!(!world.agent_log().contains("died while no agent was there"), "nothing is wrong");
    let refused = world.cli(&["exec", &world.pod_name("job"), "--", "/workload"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in a completed pod"), "{refused:?}");
    // What changes meanwhile is not written for it.
    let data = json!({"key": "bG91ZA=="});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data});
    world.write("secret.yaml", &secret);
    world.says(&["restart", &world.pod_name("job")]);
    world.once("job", "was started anew", |pod| pod.restarts() == 1 && pod.is("Ready"));
    ends(&world, 1);
    assert_eq!(world.log("job"), said.replace("hush", "loud"), "its volumes were empty");
    eventually(SOON, "nothing is left again", gone);
}

/// 10.02 for users that are not root, and 10.05: the group of a volume is given when it is made and empty, as by a kubelet
/// (`emptyDirPlugin.SetUpAt`, which has no change policy), so that what containers change stays, whatever begins anew.
#[test]
fn the_group_of_a_volume_is_given_once_whatever_its_change_policy() {
    let world = World::new();
    copy_program(&busybox(), &world.shared().join("busybox"));
    for path in [world.shared(), world.shared().join("busybox")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for policy in ["Always", "OnRootMismatch"] {
        let name = policy.to_lowercase();
        let volumes = json!([
            {"name": "disk", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory"}},
            {"name": "shared", "hostPath": {"path": world.shared()}},
        ]);
        let names = ["disk", "memory", "shared"];
        let mounts = names.map(|name| json!({"name": name, "mountPath": format!("/{name}")}));
        let of = |name: &str, user: u32| {
            let mut container = container(name, &["trap-term"]);
            container["volumeMounts"] = json!(mounts);
            container["securityContext"] = json!({"runAsUser": user, "runAsGroup": user});
            container
        };
        let security = json!({"fsGroup": 4321, "fsGroupChangePolicy": policy});
        let fields = json!({
            "volumes": volumes,
            "securityContext": security,
            "containers": [of("main", 1001), of("root", 0)],
        });
        world.write(&format!("{name}.yaml"), &with(pod(&name, &[]), fields));
        let seen = world.running(&name);
        let stat = "cd /shared; for v in /disk /memory; do ./busybox stat -c '%a %u:%g' $v $v/*; ./busybox cat $v/*; done";
        let make = "cd /shared; umask 0; for v in /disk /memory; do for m in 644 666 777; do echo $m >$v/$m; ./busybox chmod \
                    $m $v/$m; done; done";
        assert_eq!(script(&world, &name, "main", make), "");
        let made = "2777 0:4321\n644 1001:4321\n666 1001:4321\n777 1001:4321\n644\n666\n777\n".repeat(2);
        assert_eq!(
            script(&world, &name, "root", stat),
            made,
            "{policy}: the mode is kept, the group handed on"
        );
        // Root of the pod changes everything, the volume itself too.
        let change = "cd /shared; for v in /disk /memory; do ./busybox chgrp 99 $v/644; ./busybox chmod 600 $v/644; \
                      ./busybox chmod 755 $v; ./busybox chgrp 99 $v; done";
        assert_eq!(script(&world, &name, "root", change), "");
        let changed = made.replace("2777 0:4321", "755 0:99").replace("644 1001:4321", "600 1001:99");
        assert_eq!(script(&world, &name, "root", stat), changed);
        let ended = world.place().container_processes(&seen.uid());
        ended.into_iter().for_each(|container| signal(container, Signal::SIGKILL));
        world.once(&name, "runs again", |pod| pod.restarts() == 1 && pod.is("Ready"));
        assert_eq!(script(&world, &name, "root", stat), changed, "{policy}: containers began anew");
        let process = world.place().pod_process(&seen.uid()).unwrap();
        signal(process, Signal::SIGKILL);
        eventually(SOON + SOON, "it has another sandbox", || {
            world.pod(&name).filter(|pod| pod.restarts() == 2 && pod.is("Ready"))
        });
        let on_disk = stat.replace("/disk /memory", "/disk");
        let half = &changed[..changed.len() / 2];
        assert_eq!(script(&world, &name, "root", &on_disk), half, "{policy}: the pod began anew");
        world.remove(&format!("{name}.yaml"));
        world.gone(&name);
    }
}
