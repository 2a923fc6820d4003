//! Stories of what is published: conditions, reasons, messages, numbers.

use super::order::of;
use super::*;
use crate::lifecycle::container_id;
use crate::spec::{Check, Hook, Probe, RestartAction, RestartRule};
use crate::status::Condition;

pub(super) fn tick(at: u64) -> (u64, Told) {
    (at, Happens(Event::Tick))
}

pub(super) fn set(pod: Pod) -> Event {
    Event::ManifestSet(Arc::new(pod))
}

/// Asked at once, then every ten seconds; the first bad answer counts.
pub(super) fn probe() -> Option<Probe> {
    Some(Probe {
        check: Check::Tcp { host: None, port: 1 },
        initial_delay: Duration::ZERO,
        timeout: Duration::from_secs(1),
        period: Duration::from_secs(10),
        success_threshold: 1,
        failure_threshold: 1,
        grace: None,
    })
}

pub(super) fn end_of(at: u64, container: &str, attempt: u32, code: i32) -> Event {
    let end = RunEnd { container: container.into(), ..end(at, attempt, code, 1) };
    Event::Exited { uid: Uid("web".into()), sandbox: 0, end }
}

pub(super) fn ends(at: u64, container: &str, attempt: u32, code: i32) -> (u64, Told) {
    (at, Happens(end_of(at, container, attempt, code)))
}

/// Its conditions, in their order, and since when each is as it is.
fn conditions(facts: &Facts) -> Vec<String> {
    let all = status(facts, &BackOff::default(), None).conditions;
    let condition = |it: Condition| {
        let (not, since) = (if it.holds { "" } else { "not " }, it.since.0 / 1_000_000_000);
        let reason = it.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let message = if it.message.is_empty() { String::new() } else { format!(": {}", it.message) };
        format!("{not}{:?} since {since}s{reason}{message}", it.kind)
    };
    all.into_iter().map(condition).collect()
}

#[test]
fn conditions_say_since_when_they_are_as_they_are() {
    check(
        vec![
            (1, Hangs(set(of(ALWAYS, &["i1", "c"])), &["start pod"])),
            (2, Seen(conditions)),
            (3, Ends("start pod", Ok(()))),
            (4, Seen(conditions)),
            ends(5, "i1", 0, 0),
            tick(6),
            (7, Seen(conditions)),
            ends(8, "c", 0, 1),
            ends(9, "c", 1, 1),
            (10, Seen(conditions)),
            (11, Hangs(lost(0), &["start pod '"])),
            (12, Seen(conditions)),
        ],
        "1s: start pod
         2s: not PodReadyToStartContainers since 1s, not Initialized since 1s (ContainersNotInitialized): containers with incomplete status: [i1], not Ready since 1s (ContainersNotReady): containers with unready status: [c], not ContainersReady since 1s (ContainersNotReady): containers with unready status: [c], PodScheduled since 1s
         3s: pull, start i1#0
         4s: PodReadyToStartContainers since 3s, not Initialized since 1s (ContainersNotInitialized): containers with incomplete status: [i1], not Ready since 1s (ContainersNotReady): containers with unready status: [c], not ContainersReady since 1s (ContainersNotReady): containers with unready status: [c], PodScheduled since 1s
         5s: pull, start c#0
         6s:
         7s: PodReadyToStartContainers since 3s, Initialized since 5s, Ready since 5s, ContainersReady since 5s, PodScheduled since 1s
         8s: pull, start c#1
         9s: [wake at 19s]
         10s: PodReadyToStartContainers since 3s, Initialized since 5s, not Ready since 9s (ContainersNotReady): containers with unready status: [c], not ContainersReady since 9s (ContainersNotReady): containers with unready status: [c], PodScheduled since 1s, [wake at 19s]
         11s: clean pod, start pod '
         12s: not PodReadyToStartContainers since 11s, not Initialized since 11s (ContainersNotInitialized): containers with incomplete status: [i1], not Ready since 9s (ContainersNotReady): containers with unready status: [c], not ContainersReady since 9s (ContainersNotReady): containers with unready status: [c], PodScheduled since 1s",
    );
}

#[test]
fn conditions_of_a_pod_that_is_over_say_how() {
    check(
        vec![(0, Happens(web(RestartPolicy::Never))), exited(5, 0, 0), (6, Seen(conditions))],
        "0s: start pod, pull, start c#0
         5s: release pod
         6s: not PodReadyToStartContainers since 5s, Initialized since 0s (PodCompleted), not Ready since 5s (PodCompleted), not ContainersReady since 5s (PodCompleted), PodScheduled since 0s",
    );
    check(
        vec![(0, Happens(web(RestartPolicy::Never))), exited(5, 0, 1), (6, Seen(conditions))],
        "0s: start pod, pull, start c#0
         5s: release pod
         6s: not PodReadyToStartContainers since 5s, Initialized since 0s, not Ready since 5s (PodFailed), not ContainersReady since 5s (PodFailed), PodScheduled since 0s",
    );
}

#[test]
fn what_happens_to_two_containers_is_counted_for_each() {
    check(
        vec![(0, Happens(set(of(ALWAYS, &["c", "d"])))), ends(1, "d", 0, 1), (2, Seen(events))],
        "0s: start pod, pull, pull, start c#0, start d#0
         1s: pull, start d#1
         2s: Pulled: present, Created: Created container c, Started: Started container c, Pulled: present x2, Created: Created container d x2, Started: Started container d x2",
    );
}

#[test]
fn a_pod_that_is_put_back_before_it_ran_begins_with_the_first_run() {
    check(
        vec![
            (0, Hangs(web(ALWAYS), &["pull"])),
            (1, Happens(gone("web"))),
            (2, Happens(web(ALWAYS))),
            (3, Ends("pull", Ok(()))),
            (4, Shown),
        ],
        "0s: start pod, pull
         1s:
         2s:
         3s: remove pod but logs, start pod ', pull ', start 'c#0
         4s: Running: c running ready restarts 0",
    );
}

#[test]
fn a_pod_that_took_too_long_is_not_begun_again_in_another_sandbox() {
    let mut pod = of(ALWAYS, &["c"]);
    pod.active_deadline = Some(Duration::from_secs(60));
    check(
        vec![(0, Happens(set(pod))), tick(60), (61, Happens(lost(0))), (62, Shown)],
        "0s: start pod, pull, start c#0, [wake at 60s]
         60s: stop c#0 until 90s, [wake at 100s]
         61s: release pod
         62s: Failed (DeadlineExceeded): c terminated ContainerStatusUnknown 137 restarts 0",
    );
}

/// It is for the one who asked to say so, and that one is no regular container.
#[test]
fn a_pod_whose_sidecar_asks_for_a_round_has_not_failed_though_nothing_runs() {
    let mut pod = of(RestartPolicy::Never, &["s1", "s2", "c"]);
    let action = RestartAction::RestartAllContainers;
    pod.containers[0].restart_rules = vec![RestartRule { exit_codes: vec![42], not: false, action }];
    check(
        vec![
            (0, Happens(set(pod))),
            (1, Hangs(end_of(1, "s2", 0, 1), &["start s2#1"])),
            ends(2, "s1", 0, 42),
            ends(3, "c", 0, 137),
            (3, Shown),
            (4, Ends("start s2#1", Ok(()))),
            ends(5, "s2", 1, 137),
            (6, Shown),
        ],
        "0s: start pod, pull, start s1#0, pull, start s2#0, pull, start c#0
         1s: pull, start s2#1
         2s: stop c#0 until 0s
         3s:
         3s: Running: s1 terminated Error 42 restarts 0; s2 terminated Error 1 restarts 0; c terminated RestartingAllContainers 137 restarts 0
         4s: stop s2#1 until 0s
         5s: pull, start s1#1, pull, start s2#2, pull, start c#1
         6s: Running: s1 running after Error 42 ready restarts 1; s2 running after RestartingAllContainers 137 ready restarts 2; c running after RestartingAllContainers 137 ready restarts 1",
    );
}

/// Who is `started`.
fn started(facts: &Facts) -> Vec<String> {
    let containers = status(facts, &BackOff::default(), None).containers;
    containers.into_iter().filter(|container| container.started).map(|container| container.name).collect()
}

#[test]
fn started_is_who_runs_and_has_its_hook_and_its_startup_probe_behind_it() {
    let mut pod = of(RestartPolicy::Never, &["c", "d", "e"]);
    pod.containers[0].probes.startup = probe();
    pod.containers[2].hooks.post_start = Some(Hook::Exec(Vec::new()));
    check(
        vec![
            (0, Hangs(set(pod), &["probe startup c#0", "PostStart e#0"])),
            (0, Seen(started)),
            (2, Ends("probe startup c#0", Ok(()))),
            (2, Seen(started)),
            (3, Ends("PostStart e#0", Ok(()))),
            (3, Seen(started)),
            ends(4, "c", 0, 0),
            (4, Seen(started)),
        ],
        "0s: start pod, pull, pull, pull, start c#0, start d#0, start e#0, probe startup c#0, PostStart e#0, [wake at 10s]
         0s: d, [wake at 10s]
         2s:
         2s: c, d
         3s:
         3s: c, d, e
         4s:
         4s: d, e",
    );
}

/// Two reasons at the same moment: that of the pod is told.
#[test]
fn whose_probe_or_hook_fails_when_the_pods_time_is_up_is_not_said_to_be_restarted() {
    let mut probed = of(ALWAYS, &["c"]);
    probed.active_deadline = Some(Duration::from_secs(60));
    let mut hooked = probed.clone();
    probed.containers[0].probes.liveness = probe();
    hooked.containers[0].hooks.post_start = Some(Hook::Exec(Vec::new()));
    let bad = Learnt::Probed { outcome: Outcome::Failure, message: "so".into() };
    check(
        vec![
            (0, Hangs(set(probed), &["probe liveness c#0"])),
            (60, Teaches("probe liveness c#0", bad)),
            (60, Seen(events)),
        ],
        "0s: start pod, pull, start c#0, probe liveness c#0, [wake at 60s]
         60s: stop c#0 until 90s, [wake at 100s]
         60s: Pulled: present, Created: Created container c, Started: Started container c, Unhealthy: Liveness probe failed: so, Killing: Stopping container c, [wake at 100s]",
    );
    check(
        vec![
            (0, Hangs(set(hooked), &["PostStart c#0"])),
            (60, Ends("PostStart c#0", Err(Reason::FailedPostStartHook))),
            (60, Seen(events)),
        ],
        "0s: start pod, pull, start c#0, PostStart c#0, [wake at 60s]
         60s: stop c#0 until 90s, [wake at 100s]
         60s: Pulled: present, Created: Created container c, Started: Started container c, FailedPostStartHook: PostStartHook failed: no luck, Killing: Stopping container c, [wake at 100s]",
    );
}

#[test]
fn a_removed_pod_of_which_nothing_runs_any_more_has_come_to_its_end() {
    check(
        vec![
            (0, Happens(web(RestartPolicy::Never))),
            (1, Happens(gone("web"))),
            (2, Hangs(exit_in(0, 2, 0, 143, 2), &["remove pod"])),
            (2, Shown),
        ],
        "0s: start pod, pull, start c#0
         1s: stop c#0 until 31s, [wake at 41s]
         2s: remove pod
         2s: Failed: c terminated Error 143 restarts 0",
    );
}

#[test]
fn each_run_has_an_id_of_its_own() {
    let (web, other) = (pod("web", "web", ALWAYS), pod("b", "web", ALWAYS));
    let all = [(&web, "c", 0), (&web, "c", 1), (&web, "d", 0), (&other, "c", 0)];
    let ids: BTreeSet<String> =
        all.iter().map(|(pod, name, attempt)| container_id(pod, name, *attempt)).collect();
    assert_eq!(ids.len(), all.len());
    let hex = |id: &str| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(ids.iter().all(|id| id.strip_prefix("holdfast://").is_some_and(hex)), "{ids:?}");
}

/// Whose ids are told of `c`: of its run, of how it ended, of the one before.
fn ids(facts: &Facts) -> Vec<String> {
    let run = |id: &String| match (0..9).find(|run| *id == container_id(&facts.pod, "c", *run)) {
        Some(run) => format!("#{run}"),
        None => format!("{id:?}"),
    };
    let container = status(facts, &BackOff::default(), None).containers.remove(0);
    let ended = match &container.state {
        ContainerState::Terminated(exit) => Some(exit),
        _ => None,
    };
    let told =
        |what: &str, exit: Option<&Exit>| exit.map(|exit| format!("{what} {}", run(&exit.container_id)));
    let present = Some(format!("run {}", run(&container.container_id)));
    let (ended, last) = (told("ended", ended), told("last", container.last_state.as_ref()));
    present.into_iter().chain(ended).chain(last).collect()
}

#[test]
fn the_id_of_a_run_is_told_of_its_end_too_and_none_before_the_first() {
    check(
        vec![(0, Happens(web(ALWAYS))), (1, Happens(lost(0))), (2, Seen(ids))],
        "0s: start pod, pull, start c#0
         1s: clean pod, start pod ', pull ', start 'c#1
         2s: run #1, last #0",
    );
    check(
        vec![
            (0, Hangs(web(RestartPolicy::OnFailure), &["start pod"])),
            (0, Seen(ids)),
            (1, Ends("start pod", Ok(()))),
            (1, Seen(ids)),
            exited(2, 0, 1),
            (2, Seen(ids)),
            exited(3, 1, 1),
            (3, Seen(ids)),
            tick(13),
            exited(14, 2, 0),
            (14, Seen(ids)),
        ],
        "0s: start pod
         0s: run \"\"
         1s: pull, start c#0
         1s: run #0
         2s: pull, start c#1
         2s: run #1, last #0
         3s: [wake at 13s]
         3s: run #1, last #1, [wake at 13s]
         13s: pull, start c#2
         14s: release pod
         14s: run #2, ended #2, last #1",
    );
}

#[test]
fn a_pods_address_is_its_sandboxs() {
    let address =
        |facts: &Facts| vec![status(facts, &BackOff::default(), Some("10.0.0.1")).pod_ips.join(" ")];
    let up = || Learnt::Pod {
        addresses: vec!["10.1.0.7".parse().unwrap(), "fd42::7".parse().unwrap()],
        attempts: BTreeMap::new(),
    };
    check(
        vec![
            (0, Hangs(web(ALWAYS), &["start pod"])),
            (0, Seen(address)),
            (1, Teaches("start pod", up())),
            (1, Seen(address)),
            (2, Hangs(lost(0), &["start pod '"])),
            (2, Seen(address)),
        ],
        "0s: start pod
         0s:
         1s: pull, start c#0
         1s: 10.1.0.7 fd42::7
         2s: clean pod, start pod '
         2s:",
    );
    let of_node = Pod { host_network: true, ..(*pod("web", "web", ALWAYS)).clone() };
    check(
        vec![(0, Happens(set(of_node))), (0, Seen(address))],
        "0s: start pod, pull, start c#0
         0s: 10.0.0.1",
    );
}
