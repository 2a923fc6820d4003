//! cgroups: where they are, what they limit, that they go.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{SOON, World, eventually};

const MIB: u64 = 1 << 20;

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
    limit_of(world, &format!("pod{uid}"), names)
}

/// Of the group of this world whose path ends so.
fn limit_of(world: &World, group: &str, names: [&str; 2]) -> String {
    let folders = world.place().cgroups().into_iter().filter(|folder| folder.ends_with(group));
    let files = folders.flat_map(|folder| names.map(|name| folder.join(name)));
    let text = files.filter_map(|file| fs::read_to_string(file).ok()).next();
    text.unwrap_or_else(|| panic!("no cgroup {group} has {names:?}")).trim().to_owned()
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

/// 12.08: neither container may use more than the pod, and both together may not either.
#[test]
fn a_pod_with_resources_of_its_own_is_limited_by_them_and_its_containers_within() {
    let world = World::new();
    let own = json!({"limits": {"cpu": "500m", "memory": "64Mi"}});
    let mut manifest = with(pod("whole", &["eat-memory", "40"]), json!({"resources": own}));
    manifest = with(manifest, json!({"restartPolicy": "Never"}));
    world.write("whole.yaml", &manifest);
    let seen = world.running("whole");
    let uid = seen.uid();
    assert_eq!(
        seen.0["status"]["qosClass"], "Guaranteed",
        "as the pod says, though its container says nothing"
    );
    let cgroup = world.place().pod_cgroup(&uid).expect("a running pod has a cgroup");
    assert!(cgroup.ends_with(format!("kubepods/pod{uid}")), "{}", cgroup.display());
    let memory = ["memory.limit_in_bytes", "memory.max"];
    let quota = ["cpu.cfs_quota_us", "cpu.max"];
    for group in [format!("pod{uid}"), format!("pod{uid}/main-0")] {
        assert_eq!(limit_of(&world, &group, memory), (64 * MIB).to_string(), "{group}");
        assert_eq!(limit_of(&world, &group, quota).split(' ').next(), Some("50000"), "{group}");
    }
    let told = world.says(&["describe", "pod", &world.pod_name("whole")]);
    let resources = told.split("Resources:").nth(1).expect("describe shows them");
    assert!(resources.trim_start().starts_with("Limits:"), "{told}");
    assert!(told.contains("memory:  64Mi"), "{told}");

    // The first has 40 MiB, so that there is no room for another 40.
    let mut other = container("other", &["eat-memory", "40"]);
    other["env"] =
        json!([{"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}]);
    manifest["metadata"]["name"] = json!("two");
    manifest["spec"]["containers"].as_array_mut().unwrap().push(other);
    world.write("two.yaml", &manifest);
    let seen = world.once("two", "one of its containers was killed", |pod| {
        ["main", "other"]
            .iter()
            .any(|name| pod.container(name)["state"]["terminated"]["reason"] == "OOMKilled")
    });
    let uid = seen.uid();
    assert_eq!(limit_of(&world, &format!("pod{uid}"), memory), (64 * MIB).to_string());
}

#[test]
fn a_pod_that_says_less_than_its_containers_is_told_its_line() {
    let world = World::new();
    let own = json!({"requests": {"memory": "16Mi"}});
    let asks = json!({"resources": {"requests": {"memory": "32Mi"}}});
    let manifest = with(with_main(pod("less", &["trap-term"]), asks), json!({"resources": own}));
    world.write("less.yaml", &manifest);
    world.reported(&["less.yaml", "spec.resources.requests.memory", "which are 32Mi"]);
}

#[test]
fn burstable_pods_weigh_what_they_ask_for_together() {
    let world = World::new();
    let shares = || limit_of(&world, "kubepods/burstable", ["cpu.shares", "cpu.weight"]);
    eventually(SOON, "the weight of none", || ["2", "1"].contains(&shares().as_str()).then_some(()));
    for name in ["a", "b"] {
        let asks = json!({"resources": {"requests": {"cpu": "500m"}}});
        world.write(&format!("{name}.yaml"), &with_main(pod(name, &["trap-term"]), asks));
        world.running(name);
    }
    assert!(["1024", "39"].contains(&shares().as_str()), "{}", shares());
    world.remove("a.yaml");
    world.gone("a");
    eventually(SOON, "the weight of one", || ["512", "20"].contains(&shares().as_str()).then_some(()));
}

/// 12.07
#[test]
fn all_pods_together_get_what_the_node_has_for_them() {
    let mut world = World::without_agent();
    world.kubelet_config = Some(
        "systemReserved: {cpu: 100m, memory: 512Mi}\nkubeReserved: {memory: 256Mi}\n\
         evictionHard: {memory.available: 100Mi, nodefs.available: 10%}\n"
            .to_owned(),
    );
    world.start_agent();
    let node: Value = serde_json::from_slice(&fs::read(world.runtime.join("node.json")).unwrap()).unwrap();
    let amount = |kind: &str, of: &str| {
        let text = node["object"]["status"][kind][of].as_str().unwrap();
        text.strip_suffix("Ki").unwrap().parse::<u64>().unwrap()
    };
    let memory = amount("allocatable", "memory");
    assert_eq!(amount("capacity", "memory") - memory, (512 + 256 + 100) * 1024);
    let disk = amount("capacity", "ephemeral-storage");
    assert!(disk / 10 <= disk - amount("allocatable", "ephemeral-storage") + 1, "a tenth of {disk}");
    let of_all = |world: &World| limit_of(world, "kubepods", ["memory.limit_in_bytes", "memory.max"]);
    // The kernel counts in pages.
    assert_eq!(of_all(&world).parse::<u64>().unwrap() / 4096, memory * 1024 / 4096);

    // Another agent is told otherwise: neither of all pods nor of their processors.
    world.stop_agent();
    world.kubelet_config = Some("enforceNodeAllocatable: []\ncpuCFSQuota: false\n".to_owned());
    world.start_agent();
    let without = of_all(&world);
    assert!(without == "max" || without.parse::<u64>().unwrap() > 1 << 50, "{without}");
    let limits = json!({"resources": {"limits": {"cpu": "100m", "memory": "32Mi"}}});
    world.write("free.yaml", &with_main(pod("free", &["trap-term"]), limits));
    let uid = world.running("free").uid();
    for group in [format!("pod{uid}"), format!("pod{uid}/main-0")] {
        let quota = limit_of(&world, &group, ["cpu.cfs_quota_us", "cpu.max"]);
        assert!(["-1", "max 100000"].contains(&quota.as_str()), "{group}: {quota}");
    }
}

/// The figures are the kernel's own: they are there without a file of ours, and outlive the run that wrote.
#[test]
fn what_a_pod_writes_to_the_disk_is_known_by_day() {
    let world = World::new();
    let volumes = json!([{"name": "data", "emptyDir": {}}]);
    let main = json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    world.write(
        "writer.yaml",
        &with(with_main(pod("writer", &["write-mib", "/data/a", "16"]), main), json!({"volumes": volumes})),
    );
    world.running("writer");
    eventually(SOON, "it has written", || world.log("writer").contains("written").then_some(()));
    let column = |flags: &[&str], at: usize| -> u64 {
        let told = world.says(&[&["top", "pods", "--wide", "--no-headers"], flags].concat());
        let cell = told.split_whitespace().nth(at).unwrap_or_else(|| panic!("{told}")).to_owned();
        cell.strip_suffix("Mi").unwrap().parse().unwrap()
    };
    let written = column(&[], 5);
    assert!((16..32).contains(&written), "{written}");
    assert_eq!(column(&["--containers"], 6), written, "the one container wrote it");
    // For less than an hour counts as an hour.
    assert!((16 * 24..32 * 24).contains(&column(&[], 6)));

    // What a run that is over wrote is no other run's, and still the pod's.
    let pid = super::lifecycle::main_process(&world, &world.running("writer").uid(), "main");
    crate::harness::kernel::signal(pid, nix::sys::signal::Signal::SIGKILL);
    world.once("writer", "runs again", |pod| pod.container("main")["restartCount"] == 1 && pod.is("Ready"));
    eventually(SOON, "it has written again", || world.log("writer").contains("written").then_some(()));
    let both = column(&[], 5);
    assert!((32..64).contains(&both), "{both}");
    assert!((16..32).contains(&column(&["--containers"], 6)));

    let status: Value = serde_json::from_str(&world.says(&["status", "-o", "json"])).unwrap();
    let told = &status["written"];
    let pods = told["pods"]["bytes"].as_u64().unwrap();
    assert!((32 * MIB..64 * MIB).contains(&pods), "{told}");
    let disk = told["disk"]["bytes"].as_u64().expect("these directories are on a disk");
    assert!(pods <= disk, "{told}");
    assert!(told["agent"]["seconds"].is_u64(), "{told}");
    assert!(world.says(&["status"]).contains(" a day to "));
    let node = world.says(&["top", "node", "--wide"]);
    assert!(node.contains("WRITTEN/DAY") && node.contains(told["disk"]["name"].as_str().unwrap()), "{node}");
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
