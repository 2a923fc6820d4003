//! Where pods stand: acceptance section 8. Every order of things is played in virtual time, in `lifecycle`'s own tests.

use serde_json::{Value, json};

use crate::harness::pod::{Seen, container, pod, with, with_main};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};

/// When each condition last changed, in the order of `kinds`.
fn times(pod: &Seen, kinds: &[&str]) -> Vec<jiff::Timestamp> {
    let conditions = pod.0["status"]["conditions"].as_array().unwrap();
    let of = |kind: &&str| conditions.iter().find(|condition| condition["type"] == **kind).unwrap();
    let times = kinds.iter().map(of).map(|condition| condition["lastTransitionTime"].as_str().unwrap());
    times.map(|text| text.parse().unwrap()).collect()
}

/// 8.01, 8.02: the one that lasts a second is between its neighbours.
#[test]
fn conditions_come_in_their_order() {
    let world = World::new();
    let init = container("init", &["exit", "0"]);
    world.write("plain.yaml", &pod("plain", &["trap-term"]));
    world.write("init.yaml", &with(pod("init", &["trap-term"]), json!({"initContainers": [init]})));
    for (name, second, third) in [
        ("plain", "Initialized", "PodReadyToStartContainers"),
        ("init", "PodReadyToStartContainers", "Initialized"),
    ] {
        let seen = world.running(name);
        let times = times(&seen, &["PodScheduled", second, third, "ContainersReady", "Ready"]);
        assert!(times.is_sorted(), "{name}: {times:?}");
    }
}

/// 8.03, 8.04: a volume that cannot be had, and then can.
#[test]
fn a_pod_whose_volume_is_missing_says_so_in_its_conditions() {
    let world = World::new();
    let volumes = json!([{"name": "v", "configMap": {"name": "settings"}}]);
    for name in ["plain", "init"] {
        let mut manifest = with(pod(name, &["trap-term"]), json!({"volumes": volumes}));
        if name == "init" {
            manifest["spec"]["initContainers"] = json!([container("first", &["exit", "0"])]);
        }
        world.write(&format!("{name}.yaml"), &manifest);
    }
    let is = |pod: &Seen| {
        let kinds = ["PodScheduled", "Initialized", "PodReadyToStartContainers", "ContainersReady", "Ready"];
        kinds.map(|kind| pod.is(kind))
    };
    for (name, initialized) in [("plain", true), ("init", false)] {
        world.once(name, "waits for its volume", |pod| is(pod) == [true, initialized, false, false, false]);
    }
    eventually(SOON, "an event FailedMount of each", || {
        let list: Value = serde_json::from_str(&world.says(&["get", "events", "-A", "-o", "json"])).unwrap();
        let items = list["items"].as_array().unwrap().iter();
        (2 <= items.filter(|event| event["reason"] == "FailedMount").count()).then_some(())
    });
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}});
    world.write("settings.yaml", &settings);
    for name in ["plain", "init"] {
        assert_eq!(is(&world.running(name)), [true; 5], "{name}");
    }
}

/// 8.10: of a pod with `Never`, in an init container; those behind it never run. 14.05 tells of a regular one.
#[test]
fn an_init_container_that_takes_too_much_memory_is_oom_killed() {
    let world = World::new();
    let mut init = container("init", &["eat-memory", "64"]);
    init["resources"] = json!({"limits": {"memory": "32Mi"}});
    let fields = json!({"restartPolicy": "Never", "initContainers": [init]});
    world.write("eat.yaml", &with(pod("eat", &["trap-term"]), fields));
    let seen = world.once("eat", "has failed", |pod| pod.phase() == "Failed");
    let ended = &seen.container("init")["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&json!(137), &json!("OOMKilled")));
    assert_eq!(seen.reason(), "PodInitializing");
    let table = world.says(&["get", "pods", "--no-headers"]);
    assert_eq!(table.split_whitespace().nth(2), Some("Init:OOMKilled"), "{table}");
}

/// 3.21, 3.22: what a pod waits for holds up nobody who removes it.
#[test]
fn a_pod_that_never_began_is_removed_at_once() {
    let world = World::new();
    let long = json!({"terminationGracePeriodSeconds": 600});
    let absent = with_main(pod("absent", &[]), json!({"image": "localhost/not-there:1"}));
    let volume =
        json!([{"name": "v", "hostPath": {"path": world.dir.join("not-there"), "type": "Directory"}}]);
    world.write("absent.yaml", &with(absent, long.clone()));
    world
        .write("lacking.yaml", &with(with(pod("lacking", &["trap-term"]), json!({"volumes": volume})), long));
    world.once("absent", "waits for its image", |pod| pod.reason().contains("Image"));
    world.once("lacking", "waits for its volume", |pod| {
        pod.main()["state"]["waiting"]["message"].to_string().contains("FailedMount")
    });
    for name in ["absent", "lacking"] {
        world.remove(&format!("{name}.yaml"));
        world.gone(name);
    }
    assert!(world.place().pod_cgroups().is_empty());
}

/// 3.23: what is finished stays so and takes no place; what runs is left alone.
#[test]
fn the_next_agent_leaves_finished_and_running_pods_as_they_are() {
    let mut world = World::new();
    let names = |kind: &str| -> Vec<String> { (0..4).map(|number| format!("{kind}{number}")).collect() };
    for name in names("done") {
        let never = json!({"restartPolicy": "Never"});
        world.write(&format!("{name}.yaml"), &with(pod(&name, &["exit", "0"]), never));
    }
    let done: Vec<Seen> = names("done")
        .iter()
        .map(|name| world.once(name, "has succeeded", |pod| pod.phase() == "Succeeded"))
        .collect();
    for name in names("on") {
        world.write(&format!("{name}.yaml"), &pod(&name, &["trap-term"]));
    }
    let on: Vec<Seen> = names("on").iter().map(|name| world.running(name)).collect();
    world.kill_agent();
    world.start_agent();
    stays_true_for(A_WHILE, "all is as it was", || {
        let now = world.pods();
        done.iter().chain(&on).all(|old| {
            let same = now.iter().find(|pod| pod.uid() == old.uid());
            same.is_some_and(|pod| pod.life() == old.life() && pod.phase() == old.phase())
        })
    });
}
