//! How pods end: the signal, the grace, and everything that a program left behind.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::pod::{container, pod, with};
use crate::harness::{SOON, World, eventually};

/// 3.19, 6.10: the removed pod is gone, so the agent's log tells.
#[test]
fn a_deaf_container_is_killed_at_the_end_of_its_grace() {
    let world = World::new();
    let fields = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 2});
    world.write("deaf.yaml", &with(pod("deaf", &["ignore-term"]), fields));
    world.running("deaf");
    let start = Instant::now();
    world.remove("deaf.yaml");
    world.gone("deaf");
    assert!(start.elapsed() >= Duration::from_secs(2), "not before its grace: {:?}", start.elapsed());
    let log = world.agent_log();
    assert!(log.lines().any(|line| line.contains("container main exited with 137")), "{log}");
}

/// 3.20: seen while a second, deaf container holds the pod.
#[test]
fn a_careful_container_ends_at_once_and_well() {
    for policy in ["Never", "Always"] {
        let world = World::new();
        let mut both = with(pod("both", &["trap-term", "0"]), json!({"restartPolicy": policy}));
        both["spec"]["containers"].as_array_mut().unwrap().push(container("deaf", &["ignore-term"]));
        world.write("both.yaml", &both);
        world.running("both");
        world.remove("both.yaml");
        let seen = world.once("both", "main has ended", |pod| pod.exit_code().is_some());
        assert_eq!((seen.exit_code(), seen.reason(), seen.restarts()), (Some(0), "Completed".to_owned(), 0));
        world.gone("both");
    }
}

/// A careful pod does not sit out its grace, so no signal is masked (and PID 1 gets it).
#[test]
fn a_careful_pod_is_gone_long_before_its_grace_is_over() {
    let world = World::new();
    world.write("web.yaml", &with(pod("web", &["trap-term"]), json!({"terminationGracePeriodSeconds": 600})));
    world.running("web");
    world.remove("web.yaml");
    world.gone("web");
}

/// Children in sessions of their own, deaf, with no parent: the cgroup holds them.
#[test]
fn everything_a_container_started_ends_with_it() {
    let world = World::new();
    for pid_namespace in ["own", "shared"] {
        let shared =
            json!({"shareProcessNamespace": pid_namespace == "shared", "terminationGracePeriodSeconds": 1});
        world.write("tree.yaml", &with(pod("tree", &["fork-tree", "5"]), shared));
        let uid = world.running("tree").uid();
        eventually(SOON, "11 processes and their keeper", || {
            (world.place().container_processes(&uid).len() >= 11).then_some(())
        });
        let processes = world.place().container_processes(&uid);
        world.remove("tree.yaml");
        world.gone("tree");
        assert!(!processes.iter().any(|pid| crate::harness::kernel::lives(*pid)), "{pid_namespace}");
    }
}

/// A pod may be removed at any moment of its start.
#[test]
fn a_pod_removed_while_it_starts_leaves_nothing() {
    let mut world = World::new();
    for number in 0..20u64 {
        let name = format!("brief{number}");
        world.write("brief.yaml", &pod(&name, &["trap-term"]));
        crate::harness::stays_true_for(Duration::from_millis(number * 5), "the agent lives", || {
            world.agent_lives()
        });
        world.remove("brief.yaml");
    }
    eventually(SOON, "all are gone", || world.pods().is_empty().then_some(()));
    assert_eq!(world.place().pod_cgroups(), Vec::<std::path::PathBuf>::new());
    eventually(SOON, "only the agent runs", || (world.place().processes().len() == 1).then_some(()));
}

/// In the end nothing of the world is left but what belongs to the disk.
#[test]
fn down_ends_every_pod_and_the_agent() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.write(&format!("{name}.yaml"), &pod(name, &["trap-term"]));
        world.running(name);
    }
    world.down();
    assert_eq!(world.place().left(), Vec::<String>::new());
    world.start_agent();
    for name in ["a", "b", "c"] {
        assert_eq!(world.running(name).restarts(), 1, "a later agent takes the manifests up again");
    }
}
