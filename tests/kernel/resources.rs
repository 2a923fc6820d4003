//! cgroups: where they are, what they limit, that they go.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, World, eventually};

/// 12.01
#[test]
fn the_frame_of_cgroups_is_kubelets() {
    let world = World::new();
    let root = world.cgroup_root();
    eventually(SOON, "kubepods, burstable, besteffort", || {
        let there = world.place().cgroups();
        let ends = |tail: &str| there.iter().any(|folder| folder.ends_with(format!("{}/{tail}", &root[1..])));
        ["kubepods", "kubepods/burstable", "kubepods/besteffort"].iter().all(|tail| ends(tail)).then_some(())
    });
}

/// 12.02
#[test]
fn a_pods_cgroup_is_where_its_quality_of_service_puts_it_and_goes_with_it() {
    let world = World::new();
    let whole = json!({"limits": {"cpu": "100m", "memory": "64Mi"}});
    let some = json!({"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}});
    let cases = [
        ("guaranteed", whole, "Guaranteed", "kubepods"),
        ("burstable", some, "Burstable", "kubepods/burstable"),
        ("besteffort", json!({}), "BestEffort", "kubepods/besteffort"),
    ];
    for (name, resources, class, place) in cases {
        world.write(
            &format!("{name}.yaml"),
            &with_main(pod(name, &["trap-term"]), json!({"resources": resources})),
        );
        let seen = world.running(name);
        assert_eq!(seen.0["status"]["qosClass"], class);
        let cgroup = world.place().pod_cgroup(&seen.uid()).expect("a running pod has a cgroup");
        assert!(
            cgroup.ends_with(format!("{}/{place}/pod{}", world.name, seen.uid())),
            "{}",
            cgroup.display()
        );
        world.remove(&format!("{name}.yaml"));
        world.gone(name);
        assert_eq!(world.place().pod_cgroups(), Vec::<PathBuf>::new());
    }
}

/// A file of the pod's cgroup in whichever hierarchy has it, v1 or v2.
fn limit(world: &World, uid: &str, names: [&str; 2]) -> String {
    let folders = world.place().cgroups().into_iter().filter(|folder| folder.ends_with(format!("pod{uid}")));
    let files = folders.flat_map(|folder| names.map(|name| folder.join(name)));
    let text = files.filter_map(|file| fs::read_to_string(file).ok()).next();
    text.unwrap_or_else(|| panic!("no cgroup has {names:?}")).trim().to_owned()
}

#[test]
fn limits_of_the_pod_are_those_of_its_containers_together() {
    let world = World::new();
    let resources = json!({"requests": {"cpu": "250m"}, "limits": {"cpu": "500m", "memory": "64Mi"}});
    let mut manifest = with_main(pod("limits", &["trap-term"]), json!({"resources": resources}));
    let mut other = container("other", &["trap-term"]);
    other["resources"] = resources;
    manifest["spec"]["containers"].as_array_mut().unwrap().push(other);
    world.write("limits.yaml", &manifest);
    let uid = world.running("limits").uid();
    assert_eq!(limit(&world, &uid, ["memory.limit_in_bytes", "memory.max"]), (128 << 20).to_string());
    let quota = limit(&world, &uid, ["cpu.cfs_quota_us", "cpu.max"]);
    assert_eq!(quota.split(' ').next(), Some("100000"), "two halves of a CPU in 100 ms");
    let shares = limit(&world, &uid, ["cpu.shares", "cpu.weight"]);
    assert!(["512", "20"].contains(&shares.as_str()), "{shares}");
}

/// 8.10, 14.05
#[test]
fn too_much_memory_is_oom_killed_and_only_that_container() {
    let world = World::new();
    let limits = json!({"limits": {"memory": "32Mi"}});
    let mut manifest = with(pod("eat", &["eat-memory", "64"]), json!({"restartPolicy": "Never"}));
    manifest = with_main(manifest, json!({"resources": limits}));
    manifest["spec"]["containers"].as_array_mut().unwrap().push(container("calm", &["trap-term"]));
    world.write("eat.yaml", &manifest);
    let seen = world.once("eat", "main was killed", |pod| pod.exit_code().is_some());
    assert_eq!((seen.exit_code(), seen.reason()), (Some(137), "OOMKilled".to_owned()));
    assert_ne!(seen.container("calm")["state"]["running"], Value::Null);
}

/// A pod whose class is lowest dies first, as kubelet has it; raising scores needs no privilege.
#[test]
fn oom_scores_are_kubelets_where_the_node_may_set_them() {
    let world = World::new();
    world.write("best.yaml", &pod("best", &["trap-term"]));
    let uid = world.running("best").uid();
    let pid = super::lifecycle::main_process(&world, &uid, "main");
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000");
}

/// Containers get the limit of open files that the agent was given, not the one it raised for itself.
#[test]
fn the_agents_own_limit_of_open_files_is_not_handed_on() {
    let world = World::new();
    world.write("files.yaml", &pod("files", &["trap-term"]));
    world.running("files");
    let line = |text: &str| {
        text.lines()
            .find(|line| line.contains("Max open files"))
            .unwrap()
            .split_whitespace()
            .rev()
            .nth(2)
            .unwrap()
            .to_owned()
    };
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let inside = String::from_utf8(world.exec("files", &["status"]).stdout).unwrap();
    assert_eq!(line(&inside), line(&own));
}

/// A machine that may not raise limits runs its pods all the same, and hears of it once.
#[test]
fn what_a_node_cannot_do_is_said_once() {
    const SYS_RESOURCE: u64 = 1 << 24;
    let world = World::new();
    for name in ["a", "b"] {
        let whole = json!({"resources": {"limits": {"cpu": "100m", "memory": "64Mi"}}});
        world.write(&format!("{name}.yaml"), &with_main(pod(name, &["trap-term"]), whole));
        world.running(name);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    let may = u64::from_str_radix(capabilities, 16).unwrap() & SYS_RESOURCE != 0;
    let said = world.agent_log().matches("CAP_SYS_RESOURCE").count();
    assert_eq!(said, usize::from(!may));
}
