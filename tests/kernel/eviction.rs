//! Pods that fill the node's disk: limits of emptyDirs and of containers, and files that nobody limits (threat 23).
//!
//! Nothing is filled here: a few MiB are too much already.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::image::{busybox, copy_program};
use crate::harness::kernel::lives;
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{A_WHILE, SOON, Seen, World, eventually, stays_true_for};

/// A world in which the disk is looked at every second, with a shell for containers.
fn world() -> World {
    let mut world = World::without_agent();
    world.kubelet_config = Some("fileCheckFrequency: 1s\n".to_owned());
    copy_program(&busybox(), &world.shared().join("busybox"));
    world.start_agent();
    world
}

/// A pod that does what `script` says and stays, with volumes at places of their names.
fn doing(world: &World, name: &str, script: &str, volumes: &[Value]) -> Value {
    let mut all = vec![json!({"name": "shared", "hostPath": {"path": world.shared()}})];
    all.extend_from_slice(volumes);
    let mount = |volume: &Value| json!({"name": volume["name"], "mountPath": format!("/{}", volume["name"].as_str().unwrap())});
    let mounts: Vec<_> = all.iter().map(mount).collect();
    let script = format!(
        "PATH=/shared; dd() {{ busybox dd if=/dev/zero bs=1M \"$@\"; }}; {script}; exec busybox sleep 1d"
    );
    let fields = json!({"volumeMounts": mounts, "command": ["/shared/busybox", "sh", "-c", script]});
    with_main(with(pod(name, &[]), json!({"volumes": all})), fields)
}

fn limited(mut pod: Value, limit: &str) -> Value {
    pod["spec"]["containers"][0]["resources"] = json!({"limits": {"ephemeral-storage": limit}});
    pod
}

fn script(world: &World, pod: &str, script: &str) -> String {
    let pod = world.pod_name(pod);
    let output = world.cli(&["exec", &pod, "-c", "main", "--", "/shared/busybox", "sh", "-c", script]);
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn evicted(world: &World, name: &str) -> Seen {
    world.once(name, "is evicted", |pod| pod.phase() == "Failed" && pod.0["status"]["reason"] == "Evicted")
}

fn on_disk(world: &World, seen: &Seen) -> PathBuf {
    world.data().join("agent/holdfast/pods").join(seen.uid())
}

/// What is beyond the limit ends the pod, and is given back; what is not on the disk is not. It stays ended under the next agent,
/// and runs again when somebody says so.
#[test]
fn a_pod_whose_volume_is_larger_than_it_may_be_is_evicted() {
    let mut world = world();
    let volume = json!({"name": "data", "emptyDir": {"sizeLimit": "5Mi"}});
    world.write("full.yaml", &doing(&world, "full", ":", &[volume]));
    world.write("calm.yaml", &pod("calm", &["trap-term"]));
    let seen = world.running("full");
    let calm = world.running("calm").life();
    let process = world.place().pod_process(&seen.uid()).unwrap();
    let volumes = on_disk(&world, &seen).join("volumes");
    let shell = |commands: &str| script(&world, "full", &format!("cd /data; PATH=/shared; {commands}"));
    shell(
        "busybox dd if=/dev/zero of=four bs=1M count=4; busybox ln four again; busybox truncate -s 1G hole",
    );
    stays_true_for(A_WHILE, "it runs", || world.pod("full").is_some_and(|pod| pod.phase() == "Running"));
    assert!(volumes.join("data/hole").exists());
    shell("busybox dd if=/dev/zero of=more bs=1M count=2");
    let seen = evicted(&world, "full");
    let why = "Usage of EmptyDir volume \"data\" exceeds the limit \"5Mi\". ";
    assert_eq!(seen.0["status"]["message"], why);
    let described = world.says(&["describe", "pod", "full"]);
    assert!(described.lines().any(|line| line.split_whitespace().eq(["Reason:", "Evicted"])), "{described}");
    let events = world.says(&["events"]);
    assert!(events.lines().any(|line| line.contains("Evicted") && line.contains(why.trim())), "{events}");
    eventually(SOON, "its volumes are gone", || (!volumes.exists()).then_some(()));
    eventually(SOON, "its process is gone", || (!lives(process)).then_some(()));
    world.says(&["logs", &world.pod_name("full")]);

    world.stop_agent();
    world.start_agent();
    stays_true_for(A_WHILE, "it stays as it is", || {
        world.pod("full").is_some_and(|pod| pod.phase() == "Failed" && pod.life() == seen.life())
    });
    world.says(&["restart", &world.pod_name("full")]);
    world.once("full", "runs again", |pod| pod.is("Ready") && pod.restarts() == 1);
    assert_eq!(script(&world, "full", "cd /data; echo *"), "*\n", "its volume is new");
    assert_eq!(world.running("calm").life(), calm, "nobody else noticed");
}

/// Threat 23: whatever a container writes on the node's disk counts.
#[test]
fn a_pod_that_takes_more_of_the_disk_than_its_containers_may_is_evicted() {
    let world = world();
    let total = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ";
    let volume = json!({"name": "data", "emptyDir": {}});
    let cases = [
        ("root", "dd of=/file count=3"),
        (
            "deep",
            "mkdir() { busybox mkdir $1; }; cd /data; for i in 1 2 3 4 5; do mkdir d; cd d; dd of=f count=1; done",
        ),
        ("volume", "dd of=/data/file count=3"),
        // It is written anew as pods come.
        ("hosts", "while dd of=/etc/hosts count=3; do busybox sleep 1; done"),
        ("resolv", "dd of=/etc/resolv.conf count=3"),
        ("words", "dd of=/dev/termination-log count=3"),
        ("log", "busybox yes | busybox head -c 3000000"),
    ];
    for (name, script) in cases {
        let manifest = limited(doing(&world, name, script, std::slice::from_ref(&volume)), "2Mi");
        world.write(&format!("{name}.yaml"), &manifest);
    }
    // What is in memory is not on the disk.
    let memory = json!({"name": "memory", "emptyDir": {"medium": "Memory"}});
    let calm = "dd of=/memory/file count=3; dd of=/dev/shm/file count=3; dd of=/data/file count=1";
    world.write("calm.yaml", &limited(doing(&world, "calm", calm, &[volume.clone(), memory]), "2Mi"));
    // One of two, of which both together may have more.
    let mut two = limited(doing(&world, "two", "dd of=/file count=3", &[volume]), "2Mi");
    let mut other = two["spec"]["containers"][0].clone();
    other["name"] = json!("other");
    other["command"] = json!(["/shared/busybox", "sleep", "1d"]);
    other["resources"]["limits"]["ephemeral-storage"] = json!("8Mi");
    two["spec"]["containers"].as_array_mut().unwrap().push(other);
    world.write("two.yaml", &two);
    for (name, _) in cases {
        assert_eq!(evicted(&world, name).0["status"]["message"], total, "{name}");
    }
    let seen = evicted(&world, "two");
    assert_eq!(
        seen.0["status"]["message"],
        "Container main exceeded its local ephemeral storage limit \"2Mi\". "
    );
    stays_true_for(A_WHILE, "who may have what he has runs", || {
        world.pod("calm").is_some_and(|pod| pod.phase() == "Running" && pod.restarts() == 0)
    });
}

/// Threat 23: who has no limit may fill neither the node's memory by `/dev/shm`, nor its disk by files that are ours, though the
/// root be read-only. The pod runs on.
#[test]
fn files_of_ours_stay_short_whoever_writes_to_them() {
    let world = world();
    let fill = "dd of=/etc/hosts count=3; dd of=/etc/resolv.conf count=3; dd of=/etc/hostname count=3; \
                dd of=/dev/termination-log count=3; dd of=/dev/shm/file count=80 || busybox true";
    let mut manifest = doing(&world, "fills", fill, &[]);
    manifest["spec"]["containers"][0]["securityContext"] = json!({"readOnlyRootFilesystem": true});
    world.write("fills.yaml", &manifest);
    let seen = world.running("fills");
    let log = || world.log("fills");
    eventually(SOON, "/dev/shm is full", || log().contains("'/dev/shm/file': No space left").then_some(()));
    assert!(log().contains("can't open '/etc/resolv.conf': Read-only file system"), "{}", log());
    let here = on_disk(&world, &seen);
    let length = |path: &str| fs::metadata(here.join(path)).unwrap().len();
    for path in ["etc/hosts", "containers/main-0/last-words"] {
        eventually(SOON, "it is cut", || (length(path) == 1 << 20).then_some(()));
    }
    eventually(SOON, "it is told", || world.agent_log().contains("a container fills").then_some(()));
    stays_true_for(A_WHILE, "it runs on", || {
        world.pod("fills").is_some_and(|pod| pod.is("Ready") && pod.restarts() == 0)
    });
}
