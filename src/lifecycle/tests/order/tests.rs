use std::collections::BTreeMap;

use super::*;
use crate::lifecycle::tests::{learnt, settle_as, show};
use crate::lifecycle::{Action, BackOff, Found, Learnt, Node};

#[test]
fn acceptance_4_01_and_4_05_init_containers_run_one_after_the_other_and_the_others_last() {
    check(
        vec![
            set(of(NEVER, &["i1", "i2", "c"])),
            (1, Shown),
            exited(2, "i1", 0, 0),
            (3, Shown),
            exited(4, "i2", 0, 0),
            (5, Shown),
            exited(6, "c", 0, 0),
            (7, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: Pending: i1 running restarts 0; i2 waiting PodInitializing restarts 0; c waiting PodInitializing restarts 0
         2s: pull, start i2#0
         3s: Pending: i1 terminated Completed 0 ready restarts 0; i2 running restarts 0; c waiting PodInitializing restarts 0
         4s: pull, start c#0
         5s: Running: i1 terminated Completed 0 ready restarts 0; i2 terminated Completed 0 ready restarts 0; c running ready restarts 0
         6s: release pod
         7s: Succeeded: i1 terminated Completed 0 ready restarts 0; i2 terminated Completed 0 ready restarts 0; c terminated Completed 0 restarts 0",
    );
}

#[test]
fn acceptance_4_03_an_init_container_that_fails_is_tried_again_and_holds_the_others_back() {
    check(
        vec![
            set(of(ALWAYS, &["i1", "i2", "c"])),
            exited(1, "i1", 0, 1),
            exited(2, "i1", 1, 1),
            (3, Shown),
            tick(12),
            exited(13, "i1", 2, 0),
            exited(14, "i2", 0, 0),
            (15, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, start i1#1
         2s: [wake at 12s]
         3s: Pending: i1 waiting CrashLoopBackOff after Error 1 restarts 1; i2 waiting PodInitializing restarts 0; c waiting PodInitializing restarts 0, [wake at 12s]
         12s: pull, start i1#2
         13s: pull, start i2#0
         14s: pull, start c#0
         15s: Running: i1 terminated Completed 0 after Error 1 ready restarts 2; i2 terminated Completed 0 ready restarts 0; c running ready restarts 0",
    );
}

#[test]
fn acceptance_4_04_and_4_06_a_failed_init_container_of_a_pod_that_never_restarts_fails_it() {
    check(
        vec![set(of(NEVER, &["i1", "i2", "c"])), exited(1, "i1", 0, 0), exited(2, "i2", 0, 1), (3, Shown), tick(60)],
        "0s: start pod, pull, start i1#0
         1s: pull, start i2#0
         2s: release pod
         3s: Failed: i1 terminated Completed 0 ready restarts 0; i2 terminated Error 1 restarts 0; c waiting PodInitializing restarts 0
         60s:",
    );
}

#[test]
fn acceptance_4_07_an_init_container_without_its_image_holds_the_others_back() {
    let told = Event::ManifestSet(Arc::new(of(NEVER, &["i1", "c"])));
    check(vec![(0, Fails(told, &[("pull", Reason::ErrImagePull)])), (1, Shown)], "0s: start pod, pull, [wake at 10s]
         1s: Pending: i1 waiting ErrImagePull restarts 0; c waiting PodInitializing restarts 0, [wake at 10s]");
}

#[test]
fn acceptance_4_08_a_crash_of_the_others_runs_no_init_container_again() {
    check(
        vec![set(of(ALWAYS, &["i1", "c"])), exited(1, "i1", 0, 0), exited(2, "c", 0, 1), (3, Shown)],
        "0s: start pod, pull, start i1#0
         1s: pull, start c#0
         2s: pull, start c#1
         3s: Running: i1 terminated Completed 0 ready restarts 0; c running after Error 1 ready restarts 1",
    );
}

#[test]
fn acceptance_4_14_and_5_23_another_sandbox_runs_them_again_in_order() {
    check(
        vec![
            set(of(ALWAYS, &["i1", "s1", "c"])),
            exited(1, "i1", 0, 0),
            (2, Happens(lost(0))),
            (3, Shown),
            exited_in(1, 4, "i1", 1, 0),
            (5, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, start s1#0, pull, start c#0
         2s: clean pod, start pod ', pull ', start 'i1#1
         3s: Pending: i1 running after Completed 0 restarts 1; s1 waiting PodInitializing after ContainerStatusUnknown 137 restarts 1; c terminated ContainerStatusUnknown 137 restarts 0
         4s: pull ', start 's1#1, pull ', start 'c#1
         5s: Running: i1 terminated Completed 0 after Completed 0 ready restarts 1; s1 running after ContainerStatusUnknown 137 ready restarts 1; c running after ContainerStatusUnknown 137 ready restarts 1",
    );
}

#[test]
fn a_pod_that_is_done_runs_no_init_container_in_another_sandbox() {
    check(
        vec![
            set(of(ON_FAILURE, &["i1", "c"])),
            exited(1, "i1", 0, 0),
            exited(2, "c", 0, 0),
            (3, Happens(lost(0))),
            (4, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, start c#0
         2s: release pod
         3s:
         4s: Succeeded: i1 terminated Completed 0 ready restarts 0; c terminated Completed 0 restarts 0",
    );
}

#[test]
fn an_exit_of_an_init_container_that_is_told_twice_or_late_counts_once() {
    check(
        vec![
            set(of(ALWAYS, &["i1", "i2", "c"])),
            exited(1, "i1", 0, 0),
            exited(1, "i1", 0, 0),
            exited(2, "i1", 0, 1),
            exited(3, "i2", 0, 0),
            exited(4, "i1", 0, 1),
            (5, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, start i2#0
         1s:
         2s:
         3s: pull, start c#0
         4s:
         5s: Running: i1 terminated Completed 0 ready restarts 0; i2 terminated Completed 0 ready restarts 0; c running ready restarts 0",
    );
}

#[test]
fn acceptance_5_01_each_sidecar_starts_in_its_place_and_keeps_no_pod_alive() {
    check(
        vec![
            set(of(NEVER, &["i1", "s1", "i2", "s2", "c"])),
            exited(1, "i1", 0, 0),
            exited(2, "i2", 0, 0),
            (3, Shown),
            exited(4, "c", 0, 0),
            (4, Shown),
            exited(5, "s2", 0, 143),
            exited(6, "s1", 0, 0),
            (7, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, start s1#0, pull, start i2#0
         2s: pull, start s2#0, pull, start c#0
         3s: Running: i1 terminated Completed 0 ready restarts 0; s1 running ready restarts 0; i2 terminated Completed 0 ready restarts 0; s2 running ready restarts 0; c running ready restarts 0
         4s: stop s2#0 until 34s, [wake at 34s]
         4s: Running: i1 terminated Completed 0 ready restarts 0; s1 running ready restarts 0; i2 terminated Completed 0 ready restarts 0; s2 running ready restarts 0; c terminated Completed 0 restarts 0, [wake at 34s]
         5s: stop s1#0 until 34s, [wake at 44s]
         6s: release pod
         7s: Succeeded: i1 terminated Completed 0 ready restarts 0; s1 terminated Completed 0 restarts 0; i2 terminated Completed 0 ready restarts 0; s2 terminated Error 143 restarts 0; c terminated Completed 0 restarts 0",
    );
}

#[test]
fn acceptance_5_02_and_5_03_a_sidecar_goes_on_while_the_others_do() {
    check(vec![set(of(ON_FAILURE, &["s1", "c"])), exited(2, "c", 0, 1), exited(3, "c", 1, 0), (3, Shown)], "0s: start pod, pull, start s1#0, pull, start c#0
         2s: pull, start c#1
         3s: stop s1#0 until 33s, [wake at 43s]
         3s: Running: s1 running ready restarts 0; c terminated Completed 0 after Error 1 restarts 1, [wake at 43s]");
    check(
        vec![set(of(ALWAYS, &["s1", "c"])), exited(2, "c", 0, 0), (3, Shown)],
        "0s: start pod, pull, start s1#0, pull, start c#0
         2s: pull, start c#1
         3s: Running: s1 running ready restarts 0; c running after Completed 0 ready restarts 1",
    );
}

#[test]
fn acceptance_5_04_a_sidecar_without_its_image_holds_the_others_back() {
    let told = Event::ManifestSet(Arc::new(of(NEVER, &["s1", "c"])));
    check(vec![(0, Fails(told, &[("pull", Reason::ErrImagePull)])), (1, Shown)], "0s: start pod, pull, [wake at 10s]
         1s: Pending: s1 waiting ErrImagePull restarts 0; c waiting PodInitializing restarts 0, [wake at 10s]");
}

#[test]
fn acceptance_5_05_a_sidecar_that_ends_is_started_again_whatever_the_pods_policy() {
    check(
        vec![
            set(of(NEVER, &["s1", "i1", "c"])),
            exited(1, "s1", 0, 0),
            exited(2, "i1", 0, 0),
            exited(3, "s1", 1, 1),
            (3, Shown),
            tick(13),
            exited(14, "c", 0, 0),
            exited(15, "s1", 2, 1),
            (16, Shown),
        ],
        "0s: start pod, pull, start s1#0, pull, start i1#0
         1s: pull, start s1#1
         2s: pull, start c#0
         3s: [wake at 13s]
         3s: Running: s1 waiting CrashLoopBackOff after Error 1 restarts 1; i1 terminated Completed 0 ready restarts 0; c running ready restarts 0, [wake at 13s]
         13s: pull, start s1#2
         14s: stop s1#2 until 44s, [wake at 54s]
         15s: release pod
         16s: Succeeded: s1 terminated Error 1 after Error 1 restarts 2; i1 terminated Completed 0 ready restarts 0; c terminated Completed 0 restarts 0",
    );
}

#[test]
fn acceptance_5_06_and_5_07_an_init_container_fails_before_or_after_a_sidecar() {
    check(vec![set(of(NEVER, &["i1", "s1", "c"])), exited(1, "i1", 0, 1), (2, Shown)], "0s: start pod, pull, start i1#0
         1s: release pod
         2s: Failed: i1 terminated Error 1 restarts 0; s1 waiting PodInitializing restarts 0; c waiting PodInitializing restarts 0");
    check(vec![set(of(NEVER, &["s1", "i1", "c"])), exited(1, "i1", 0, 1), exited(2, "s1", 0, 143), (3, Shown)], "0s: start pod, pull, start s1#0, pull, start i1#0
         1s: stop s1#0 until 31s, [wake at 41s]
         2s: release pod
         3s: Failed: s1 terminated Error 143 restarts 0; i1 terminated Error 1 restarts 0; c waiting PodInitializing restarts 0");
    check(vec![set(of(ALWAYS, &["s1", "i1", "c"])), exited(1, "i1", 0, 1), (2, Shown)], "0s: start pod, pull, start s1#0, pull, start i1#0
         1s: pull, start i1#1
         2s: Pending: s1 running ready restarts 0; i1 running after Error 1 restarts 1; c waiting PodInitializing restarts 0");
}

#[test]
fn acceptance_5_08_and_5_09_a_startup_probe_of_a_sidecar_holds_the_next_back() {
    let mut pod = of(ALWAYS, &["s1", "c"]);
    let startup = Probe {
        check: Check::Tcp { host: None, port: 1 },
        initial_delay: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        period: Duration::from_secs(10),
        success_threshold: 1,
        failure_threshold: 1,
        grace: None,
    };
    pod.containers[0].probes = Probes { startup: Some(startup), ..Probes::default() };
    check(
        vec![
            set(pod),
            (1, Shown),
            (5, Hangs(Event::Tick, &["probe startup s1#0"])),
            exited(6, "s1", 0, 1),
            (6, Ends("probe startup s1#0", Ok(()))),
            (7, Shown),
            tick(11),
            (12, Shown),
        ],
        "0s: start pod, pull, start s1#0, [wake at 5s]
         1s: Pending: s1 running restarts 0; c waiting PodInitializing restarts 0, [wake at 5s]
         5s: probe startup s1#0
         6s: pull, start s1#1, [wake at 11s]
         6s: [wake at 11s]
         7s: Pending: s1 running after Error 1 restarts 1; c waiting PodInitializing restarts 0, [wake at 11s]
         11s: probe startup s1#1, pull, start c#0
         12s: Running: s1 running after Error 1 ready restarts 1; c running ready restarts 0",
    );
}

#[test]
fn acceptance_5_13_and_5_19_sidecars_end_after_the_others_in_reverse_order() {
    check(
        vec![
            set(of(ALWAYS, &["s1", "s2", "s3", "c"])),
            (10, Happens(gone("web"))),
            exited(12, "c", 0, 0),
            exited(13, "s3", 0, 0),
            tick(40),
            exited(42, "s2", 0, 137),
            exited(42, "s1", 0, 137),
        ],
        "0s: start pod, pull, start s1#0, pull, start s2#0, pull, start s3#0, pull, start c#0
         10s: stop c#0 until 40s, [wake at 40s]
         12s: stop s3#0 until 40s, [wake at 40s]
         13s: stop s2#0 until 40s, [wake at 40s]
         40s: stop s1#0 until 42s, [wake at 50s]
         42s: [wake at 50s]
         42s: remove pod",
    );
}

#[test]
fn acceptance_5_16_and_5_17_a_removal_while_init_containers_run_waits_for_nobody_who_did_not_start() {
    check(
        vec![
            set(of(ALWAYS, &["s1", "i1", "s2", "c"])),
            (1, Happens(gone("web"))),
            exited(2, "i1", 0, 143),
            exited(3, "s1", 0, 1),
        ],
        "0s: start pod, pull, start s1#0, pull, start i1#0
         1s: stop i1#0 until 31s, [wake at 31s]
         2s: stop s1#0 until 31s, [wake at 41s]
         3s: remove pod",
    );
}

fn rule(code: i32, action: RestartAction) -> RestartRule {
    RestartRule { exit_codes: vec![code], not: false, action }
}

#[test]
fn acceptance_3_11_and_3_12_a_rule_restarts_before_the_policy_is_asked() {
    let mut pod = of(NEVER, &["c"]);
    pod.containers[0].restart_policy = Some(NEVER);
    pod.containers[0].restart_rules = vec![rule(42, RestartAction::Restart)];
    check(
        vec![set(pod), exited(1, "c", 0, 42), exited(2, "c", 1, 1), (3, Shown)],
        "0s: start pod, pull, start c#0
         1s: pull, start c#1
         2s: release pod
         3s: Failed: c terminated Error 1 after Error 42 restarts 1",
    );
}

#[test]
fn acceptance_3_13_to_3_15_a_containers_own_policy_counts_before_the_pods() {
    let mut pod = of(ALWAYS, &["c", "d"]);
    pod.containers[0].restart_policy = Some(NEVER);
    check(
        vec![set(pod), exited(1, "c", 0, 1), exited(1, "d", 0, 1), (2, Shown)],
        "0s: start pod, pull, pull, start c#0, start d#0
         1s:
         1s: pull, start d#1
         2s: Running: c terminated Error 1 restarts 0; d running after Error 1 ready restarts 1",
    );
    let mut pod = of(NEVER, &["c", "d"]);
    pod.containers[0].restart_policy = Some(ALWAYS);
    check(
        vec![set(pod), exited(1, "c", 0, 1), exited(1, "d", 0, 1), (2, Shown)],
        "0s: start pod, pull, pull, start c#0, start d#0
         1s: pull, start c#1
         1s:
         2s: Running: c running after Error 1 ready restarts 1; d terminated Error 1 restarts 0",
    );
}

#[test]
fn acceptance_1_16_3_16_and_3_17_a_rule_restarts_all_containers_in_one_round() {
    let all =
        vec![rule(42, RestartAction::RestartAllContainers), rule(137, RestartAction::RestartAllContainers)];
    let mut pod = of(NEVER, &["i1", "s1", "c", "d"]);
    for container in &mut pod.containers {
        container.restart_policy = Some(NEVER);
        container.restart_rules = all.clone();
    }
    check(
        vec![
            set(pod),
            exited(1, "i1", 0, 0),
            exited(2, "c", 0, 42),
            (2, Shown),
            exited(3, "d", 0, 137),
            exited(3, "s1", 0, 137),
            (4, Shown),
            exited(5, "i1", 1, 0),
            (6, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, start s1#0, pull, pull, start c#0, start d#0
         2s: stop s1#0 until 0s, stop d#0 until 0s
         2s: Running: i1 terminated Completed 0 ready restarts 0; s1 running ready restarts 0; c terminated Error 42 restarts 0; d running ready restarts 0
         3s:
         3s: pull, start i1#1
         4s: Pending: i1 running after Completed 0 restarts 1; s1 waiting RestartingAllContainers after RestartingAllContainers 137 restarts 1; c waiting RestartingAllContainers after Error 42 restarts 1; d waiting RestartingAllContainers after RestartingAllContainers 137 restarts 1
         5s: pull, start s1#1, pull, pull, start c#1, start d#1
         6s: Running: i1 terminated Completed 0 after Completed 0 ready restarts 1; s1 running after RestartingAllContainers 137 ready restarts 1; c running after Error 42 ready restarts 1; d running after RestartingAllContainers 137 ready restarts 1",
    );
}

#[test]
fn an_init_container_that_asks_for_a_round_begins_it() {
    let mut pod = of(NEVER, &["i1", "i2", "c"]);
    pod.containers[1].restart_policy = Some(NEVER);
    pod.containers[1].restart_rules = vec![rule(42, RestartAction::RestartAllContainers)];
    check(
        vec![
            set(pod),
            exited(1, "i1", 0, 0),
            exited(2, "i2", 0, 42),
            exited(3, "i1", 1, 0),
            exited(4, "i2", 1, 0),
            (5, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, start i2#0
         2s: pull, start i1#1
         3s: pull, start i2#1
         4s: pull, start c#0
         5s: Running: i1 terminated Completed 0 after Completed 0 ready restarts 1; i2 terminated Completed 0 after Error 42 ready restarts 1; c running ready restarts 0",
    );
}

#[test]
fn a_start_that_is_under_way_when_all_are_to_begin_anew_is_waited_for() {
    let mut pod = of(ALWAYS, &["i1", "c", "d"]);
    pod.containers[1].restart_policy = Some(ALWAYS);
    pod.containers[1].restart_rules = vec![rule(42, RestartAction::RestartAllContainers)];
    let (at, Happens(begun)) = exited(1, "i1", 0, 0) else { unreachable!() };
    check(
        vec![
            set(pod),
            (at, Hangs(begun, &["start d#0"])),
            exited(2, "c", 0, 42),
            (3, Ends("start d#0", Ok(()))),
            exited(4, "d", 0, 137),
            (5, Shown),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, pull, start c#0, start d#0
         2s:
         3s: stop d#0 until 0s
         4s: pull, start i1#1
         5s: Pending: i1 running after Completed 0 restarts 1; c waiting RestartingAllContainers after Error 42 restarts 1; d waiting RestartingAllContainers after RestartingAllContainers 137 restarts 1",
    );
}

#[test]
fn acceptance_3_18_a_pod_that_takes_too_long_fails() {
    let mut pod = of(ALWAYS, &["s1", "c"]);
    pod.active_deadline = Some(Duration::from_secs(60));
    check(
        vec![
            set(pod),
            exited(10, "c", 0, 1),
            tick(60),
            (60, Shown),
            exited(61, "c", 1, 143),
            exited(62, "s1", 0, 143),
            (63, Shown),
            tick(600),
            (601, Happens(gone("web"))),
        ],
        "0s: start pod, pull, start s1#0, pull, start c#0, [wake at 60s]
         10s: pull, start c#1, [wake at 60s]
         60s: stop c#1 until 90s, [wake at 90s]
         60s: Running: s1 running ready restarts 0; c running after Error 1 ready restarts 1, [wake at 90s]
         61s: stop s1#0 until 90s, [wake at 100s]
         62s: release pod
         63s: Failed (DeadlineExceeded): s1 terminated Error 143 restarts 0; c terminated Error 143 after Error 1 restarts 1
         600s:
         601s: remove pod '",
    );
}

#[test]
fn a_pod_is_not_called_over_while_a_start_of_it_is_under_way() {
    let mut pod = of(NEVER, &["c"]);
    pod.active_deadline = Some(Duration::from_secs(60));
    let (at, Happens(begun)) = set(pod) else { unreachable!() };
    check(
        vec![
            (at, Hangs(begun, &["start c#0"])),
            tick(60),
            (60, Shown),
            (61, Ends("start c#0", Ok(()))),
            (61, Shown),
            exited(62, "c", 0, 0),
            (62, Shown),
        ],
        "0s: start pod, pull, start c#0, [wake at 60s]
         60s:
         60s: Pending: c waiting ContainerCreating restarts 0
         61s: stop c#0 until 90s, [wake at 100s]
         61s: Running: c running ready restarts 0, [wake at 100s]
         62s: release pod
         62s: Failed (DeadlineExceeded): c terminated Completed 0 restarts 0",
    );
}

/// Both agent and pod process died while run 1 was being started: only its log tells of it.
#[test]
fn the_number_of_a_run_that_nobody_heard_of_is_spent() {
    let play = |node: &mut Node, at: u64, event: Event| {
        let begun = settle_as(node, at, event, |action| match action {
            Action::StartContainer { attempt: 1, .. } => None,
            Action::StartPod { sandbox: 1, .. } => Some(Ok(Learnt::Pod {
                addresses: Vec::new(),
                attempts: BTreeMap::from([("c".to_owned(), 2)]),
            })),
            _ => Some(Ok(learnt(action, at))),
        });
        begun.iter().map(show).collect::<Vec<_>>()
    };
    let mut node = Node::new(BackOff::default(), 0);
    play(&mut node, 0, Event::ManifestSet(Arc::new(of(ALWAYS, &["c"]))));
    let (at, Happens(exit)) = exited(1, "c", 0, 1) else { unreachable!() };
    assert_eq!(play(&mut node, at, exit), ["pull", "start c#1"]);
    let facts = node.all().next().cloned().unwrap();
    let (running, ended) = (Vec::new(), Vec::new());
    let found = Found { facts, alive: None, running, ended, wanted: true, jitter: 0 };
    let mut next = Node::new(BackOff::default(), 0);
    let begun = play(&mut next, 2, Event::Found(Box::new(found)));
    assert_eq!(begun, ["clean pod", "start pod '", "pull '", "start 'c#2"]);
    let last = next.all().next().and_then(|facts| facts.containers[0].last.clone());
    assert_eq!(last.map(|exit| exit.reason), Some(Reason::ContainerStatusUnknown));
}
