//! What dies and what lives on: agent, pod process, worker, power.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::lifecycle::main_process;
use crate::harness::kernel::{lives, signal};
use crate::harness::pod::{pod, with};
use crate::harness::{A_WHILE, SOON, World, eventually, stays_true_for};

/// 1.10
#[test]
fn a_killed_agent_leaves_containers_alone_and_the_next_one_adopts_them() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.write(&format!("{name}.yaml"), &pod(name, &["trap-term"]));
    }
    let before = ["a", "b", "c"].map(|name| world.running(name));
    let processes = before.clone().map(|pod| world.place().container_processes(&pod.uid()));
    for graceful in [false, true] {
        if graceful {
            world.stop_agent()
        } else {
            world.kill_agent()
        }
        stays_true_for(Duration::from_secs(1), "containers run without an agent", || {
            processes.iter().flatten().all(|pid| lives(*pid))
        });
        let seen_meanwhile = world.pod("a").expect("get works without an agent");
        assert_eq!(seen_meanwhile.uid(), before[0].uid());
        let told = world.cli(&["get", "pods"]).stderr;
        assert!(
            String::from_utf8_lossy(&told).contains("agent"),
            "get tells that the agent is down: {told:?}"
        );
        assert_eq!(world.exec("a", &["echo", "alive"]).stdout, b"alive\n", "exec works without an agent");
        world.start_agent();
        for (old, name) in before.iter().zip(["a", "b", "c"]) {
            let now = world.running(name);
            assert_eq!(now.life(), old.life());
            assert_eq!(now.main()["state"], old.main()["state"]);
            assert_eq!(now.0["status"]["startTime"], old.0["status"]["startTime"]);
        }
        assert_eq!(before.clone().map(|pod| world.place().container_processes(&pod.uid())), processes);
    }
    assert_eq!(world.agent_log().matches("Started container").count(), 3, "the log tells each start once");
}

/// 1.09
#[test]
fn manifests_changed_while_the_agent_was_down_are_acted_upon() {
    let mut world = World::new();
    for name in ["stays", "goes", "changes"] {
        world.write(&format!("{name}.yaml"), &pod(name, &["trap-term"]));
    }
    let [stays, goes, changes] = ["stays", "goes", "changes"].map(|name| world.running(name));
    world.kill_agent();
    world.remove("goes.yaml");
    world.write("changes.yaml", &pod("changes", &["trap-term", "1"]));
    world.write("comes.yaml", &pod("comes", &["trap-term"]));
    world.start_agent();
    world.running("comes");
    world.gone("goes");
    assert_eq!(world.place().pod_cgroup(&goes.uid()), None);
    world.once("changes", "is another pod", |pod| pod.uid() != changes.uid() && pod.is("Ready"));
    assert_eq!(world.running("stays").life(), stays.life());
}

/// Exits while nobody looked: the code is known, the restart happens, and it is counted once.
#[test]
fn exits_without_an_agent_are_known_to_the_next_one() {
    let mut world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term", "7"]));
    world.write("once.yaml", &with(pod("once", &["trap-term", "8"]), json!({"restartPolicy": "Never"})));
    let (web, once) = (world.running("web"), world.running("once"));
    world.kill_agent();
    for seen in [&web, &once] {
        signal(main_process(&world, &seen.uid(), "main"), Signal::SIGTERM);
    }
    eventually(SOON, "both have ended", || {
        let left = [&web, &once].map(|pod| world.place().container_processes(&pod.uid()).len());
        (left == [0, 0]).then_some(())
    });
    world.start_agent();
    let web = world.once("web", "runs again", |pod| pod.restarts() == 1 && pod.is("Ready"));
    assert_eq!(web.main()["lastState"]["terminated"]["exitCode"], 7);
    let once = world.once("once", "has failed", |pod| pod.phase() == "Failed");
    assert_eq!((once.exit_code(), once.restarts()), (Some(8), 0));
    assert!(world.log("once").contains("ended by SIGTERM"), "its last words were kept");
}

/// The agent that dies in the middle of an ending leaves the rest to the next one.
#[test]
fn an_ending_goes_on_under_the_next_agent() {
    let mut world = World::new();
    world.write(
        "deaf.yaml",
        &with(pod("deaf", &["ignore-term"]), json!({"terminationGracePeriodSeconds": 3})),
    );
    world.running("deaf");
    world.remove("deaf.yaml");
    world.once("deaf", "is ending", crate::harness::Seen::is_terminating);
    world.kill_agent();
    world.start_agent();
    world.gone("deaf");
}

#[test]
fn a_lost_pod_process_is_started_anew_and_its_containers_with_it() {
    let world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.write("other.yaml", &pod("other", &["trap-term"]));
    let (web, other) = (world.running("web"), world.running("other"));
    let processes = world.place().container_processes(&web.uid());
    let pod_process = world.place().pod_process(&web.uid()).expect("a running pod has a pod process");
    signal(pod_process, Signal::SIGKILL);
    let again = world.once("web", "runs anew", |pod| pod.is("Ready") && pod.life() != web.life());
    assert_eq!((again.uid(), again.restarts()), (web.uid(), 1));
    let last = &again.main()["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(137), &json!("ContainerStatusUnknown")));
    assert!(!processes.iter().any(|pid| lives(*pid)));
    assert_eq!(world.running("other").life(), other.life(), "others are untouched");
}

/// Agent and pod process at once, in both orders of coming back.
#[test]
fn a_pod_process_lost_without_an_agent_is_started_anew_by_the_next_one() {
    let mut world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let web = world.running("web");
    let pod_process = world.place().pod_process(&web.uid()).expect("a running pod has a pod process");
    world.kill_agent();
    signal(pod_process, Signal::SIGKILL);
    world.start_agent();
    let again = world.once("web", "runs anew", |pod| pod.is("Ready") && pod.life() != web.life());
    assert_eq!((again.uid(), again.restarts()), (web.uid(), 1));
}

/// Every process of the pod's start, worker and all, killed as soon as it is seen.
#[test]
fn a_worker_killed_at_any_step_costs_a_start_not_the_pod() {
    let world = World::new();
    let mut killed = 0;
    for number in 0..10 {
        let name = format!("web{number}");
        world.write(&format!("{name}.yaml"), &pod(&name, &["trap-term"]));
        let deadline = Instant::now() + Duration::from_millis(500);
        while Instant::now() < deadline {
            let mut workers = world.place().processes();
            workers.retain(|(_, command)| command.contains("worker"));
            for (pid, _) in &workers {
                signal(*pid, Signal::SIGKILL);
            }
            if !workers.is_empty() {
                killed += 1;
                break;
            }
        }
        world.running(&name);
    }
    assert!(killed > 0, "no worker was ever seen");
}

/// 1.29: power comes back, the runtime directory is empty, there is no network: every pod runs, its logs go on counting.
#[test]
fn after_a_reboot_every_pod_runs_and_no_log_is_overwritten() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.write(&format!("{name}.yaml"), &pod(name, &["write-lines", "1", "30"]));
    }
    let before = ["a", "b"].map(|name| world.running(name));
    let log =
        world.logs().join(format!("default_{}_{}", before[0].name(), before[0].uid())).join("main/0.log");
    let first =
        eventually(SOON, "a has said something", || fs::read(&log).ok().filter(|text| !text.is_empty()));
    imitate_power_cut(&mut world);
    world.start_agent();
    for (old, name) in before.iter().zip(["a", "b"]) {
        let now = world.running(name);
        assert_eq!((now.uid(), now.restarts()), (old.uid(), 1), "attempts go on after a reboot");
    }
    assert_eq!(fs::read(&log).unwrap(), first);
    assert!(log.with_file_name("1.log").exists());
}

/// Everything of the world dies at once; what is not on a disk is gone.
pub fn imitate_power_cut(world: &mut World) {
    world.kill_agent();
    for (pid, _) in world.place().processes() {
        signal(pid, Signal::SIGKILL);
    }
    eventually(SOON, "all processes are gone", || world.place().processes().is_empty().then_some(()));
    eventually(SOON, "cgroups are gone", || {
        world.place().cgroups().iter().all(|folder| fs::remove_dir(folder).is_ok()).then_some(())
    });
    fs::remove_dir_all(&world.runtime).unwrap();
}

/// cgroups that nobody owns, with processes in them: from an agent whose runtime directory was lost.
#[test]
fn orphans_without_a_directory_are_killed() {
    let mut world = World::new();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let old = world.running("web");
    let processes = world.place().container_processes(&old.uid());
    world.kill_agent();
    fs::remove_dir_all(&world.runtime).unwrap();
    world.start_agent();
    world.running("web");
    assert!(!processes.iter().any(|pid| lives(*pid)), "the orphans are gone");
    let uid = world.running("web").uid();
    assert_eq!(world.place().container_processes(&uid).len(), 1);
}

/// Half-written images and bundles of an interrupted start are thrown away, not trusted.
#[test]
fn an_agent_killed_while_it_imports_starts_over() {
    let mut world = World::without_agent();
    for _ in 0..5 {
        world.start_agent();
        world.kill_agent();
    }
    world.start_agent();
    world.write("web.yaml", &pod("web", &["trap-term"]));
    let seen = world.running("web");
    stays_true_for(A_WHILE, "it runs", || world.pod("web").is_some_and(|pod| pod.life() == seen.life()));
}
