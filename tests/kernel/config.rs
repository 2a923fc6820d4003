//! What is configured by a KubeletConfiguration, and acts. Its `staticPodPath`, `podLogsDir` and `cgroupRoot` are where
//! each of these worlds has its manifests, logs and cgroups: no flag says so.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::pod::{pod, with};
use crate::harness::{SOON, World, eventually, stays_true_for};

/// A world whose agent was started with these fields.
fn configured(fields: &str) -> World {
    let mut world = World::without_agent();
    world.kubelet_config = Some(fields.to_owned());
    world.start_agent();
    world
}

/// 9.19 with other limits
#[test]
fn logs_are_rotated_at_the_size_and_to_the_count_that_are_configured() {
    let world = configured("containerLogMaxSize: 1Mi\ncontainerLogMaxFiles: 3\n");
    world.write("flood.yaml", &pod("flood", &["flood"]));
    let seen = world.running("flood");
    let folder = world.logs().join(format!("default_{}_{}", seen.name(), seen.uid())).join("main");
    let sizes = || -> Vec<u64> {
        let entries = fs::read_dir(&folder).unwrap().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).collect()
    };
    eventually(SOON + SOON, "three files", || (sizes().len() == 3).then_some(()));
    // A file may be longer by what one read of a pipe brings.
    stays_true_for(Duration::from_secs(3), "no file more, none longer", || {
        sizes().len() <= 3 && sizes().iter().all(|size| *size <= (1 << 20) + (128 << 10))
    });
    world.remove("flood.yaml");
    world.gone("flood");
}

#[test]
fn names_are_asked_of_the_servers_that_the_policy_and_the_configuration_name() {
    let mut world = World::without_agent();
    let of_node = world.shared().join("resolv.conf");
    fs::write(&of_node, "# the node's\nsearch plant.example\nnameserver 192.0.2.1\noptions rotate\n")
        .unwrap();
    world.kubelet_config = Some(format!(
        "resolvConf: {}\nclusterDNS: [10.43.0.10]\nclusterDomain: cluster.local\n",
        of_node.display()
    ));
    world.start_agent();
    let cluster = "search default.svc.cluster.local svc.cluster.local cluster.local plant.example\n\
                   nameserver 10.43.0.10\noptions ndots:5\n";
    let node = "search plant.example\nnameserver 192.0.2.1\noptions rotate\n";
    let cases = [
        ("cluster", json!({}), cluster),
        ("policy", json!({"dnsPolicy": "Default"}), node),
        ("hostnet", json!({"hostNetwork": true}), node),
        ("both", json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}), cluster),
    ];
    for (name, spec, _) in &cases {
        let manifest = with(pod(name, &["cat", "/etc/resolv.conf"]), json!({"restartPolicy": "Never"}));
        world.write(&format!("{name}.yaml"), &with(manifest, spec.clone()));
    }
    for (name, _, wanted) in cases {
        world.once(name, "has ended", |pod| pod.phase() == "Succeeded");
        assert_eq!(world.log(name), wanted, "{name}");
    }
}

/// 12.03
#[test]
fn a_pod_has_no_more_processes_than_is_configured() {
    let world = configured("podPidsLimit: 1024\n");
    world.write("pids.yaml", &pod("pids", &["trap-term"]));
    let uid = world.running("pids").uid();
    let folders = world.place().cgroups().into_iter().filter(|folder| folder.ends_with(format!("pod{uid}")));
    let limits: Vec<String> =
        folders.filter_map(|folder| fs::read_to_string(folder.join("pids.max")).ok()).collect();
    assert_eq!(limits, ["1024\n"], "of the one hierarchy that counts processes");
}

#[test]
fn the_node_tells_how_many_pods_it_is_for_and_what_is_kept_back_and_runs_all_the_same() {
    let world =
        configured("maxPods: 1\nsystemReserved: {cpu: 100m, memory: 64Mi}\nkubeReserved: {memory: 64Mi}\n");
    world.write("one.yaml", &pod("one", &["trap-term"]));
    world.running("one");
    let published =
        || -> Value { serde_json::from_slice(&fs::read(world.runtime.join("node.json")).unwrap()).unwrap() };
    let told = || -> Vec<String> {
        let warnings = published()["warnings"].as_array().unwrap().clone();
        let warnings = warnings.iter().filter_map(Value::as_str).map(str::to_owned);
        warnings.filter(|warning| warning.contains("maxPods")).collect()
    };
    assert_eq!(told(), Vec::<String>::new());
    world.write("two.yaml", &pod("two", &["trap-term"]));
    world.write("three.yaml", &pod("three", &["trap-term"]));
    world.running("two");
    world.running("three");
    assert_eq!(told(), ["there are manifests of more pods than the 1 of maxPods: all of them run"]);
    let status = published()["object"]["status"].clone();
    assert_eq!((&status["capacity"]["pods"], &status["allocatable"]["pods"]), (&json!("1"), &json!("1")));
    let kib = |of: &str| -> u64 {
        status[of]["memory"].as_str().unwrap().strip_suffix("Ki").unwrap().parse().unwrap()
    };
    assert_eq!(kib("capacity") - kib("allocatable"), 128 << 10);
    let cpus: u64 = status["capacity"]["cpu"].as_str().unwrap().parse().unwrap();
    assert_eq!(status["allocatable"]["cpu"], format!("{}m", cpus * 1000 - 100));
}

/// What inotify cannot see is seen by the look at everything: here the change of a link's target.
#[test]
fn manifests_are_looked_at_as_often_as_is_configured() {
    let world = configured("fileCheckFrequency: 1s\n");
    let target = world.shared().join("target.yaml");
    symlink(&target, world.manifests().join("link.yaml")).unwrap();
    world.reported(&["link.yaml"]);
    // The link is settled, so that no look is due but the regular one.
    stays_true_for(Duration::from_secs(3), "nothing runs", || world.pods().is_empty());
    let begun = Instant::now();
    fs::write(&target, pod("late", &["trap-term"]).to_string()).unwrap();
    world.running("late");
    assert!(begun.elapsed() < Duration::from_secs(15), "20 s by default: {:?}", begun.elapsed());
}

#[test]
fn what_does_nothing_is_a_warning_of_the_node_and_its_value_is_told_nowhere() {
    let mut world = configured("runOnce: true\nstaticPodURL: http://SECRET/\nnoField: SECRET\n");
    let published = fs::read_to_string(world.runtime.join("node.json")).unwrap();
    for name in ["runOnce (running pods once)", "staticPodURL (manifests", "does nothing: noField"] {
        assert_eq!(published.matches(name).count(), 1, "{name} in {published}");
    }
    assert!(!published.contains("SECRET") && !world.agent_log().contains("SECRET"));
    assert!(world.agent_log().contains("staticPodURL"));
    world.down();
}
