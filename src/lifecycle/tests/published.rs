//! Stories of what is published: conditions, reasons, messages, numbers.

use super::order::of;
use super::*;
use crate::lifecycle::{container_id, next};
use crate::spec::{Check, Hook, Probe, RestartAction, RestartRule};
use crate::status::Condition;

fn tick(at: u64) -> (u64, Told) {
    (at, Happens(Event::Tick))
}

fn set(pod: Pod) -> Event {
    Event::ManifestSet(Arc::new(pod))
}

/// Asked at once, then every ten seconds; the first bad answer counts.
fn probe() -> Option<Probe> {
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

fn end_of(at: u64, container: &str, attempt: u32, code: i32) -> Event {
    let end = RunEnd { container: container.into(), ..end(at, attempt, code, 1) };
    Event::Exited { uid: Uid("web".into()), sandbox: 0, end }
}

fn ends(at: u64, container: &str, attempt: u32, code: i32) -> (u64, Told) {
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
         5s:
         6s: PodReadyToStartContainers since 0s, Initialized since 0s (PodCompleted), not Ready since 5s (PodCompleted), not ContainersReady since 5s (PodCompleted), PodScheduled since 0s",
    );
    check(
        vec![(0, Happens(web(RestartPolicy::Never))), exited(5, 0, 1), (6, Seen(conditions))],
        "0s: start pod, pull, start c#0
         5s:
         6s: PodReadyToStartContainers since 0s, Initialized since 0s, not Ready since 5s (PodFailed), not ContainersReady since 5s (PodFailed), PodScheduled since 0s",
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
         61s: clean pod
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
         3s: Running: s1 terminated Error 42 restarts 0; s2 terminated Error 1 restarts 0; c terminated Error 137 restarts 0
         4s: stop s2#1 until 0s
         5s: pull, start s1#1, pull, start s2#2, pull, start c#1
         6s: Running: s1 running after Error 42 ready restarts 1; s2 running after Error 137 ready restarts 2; c running after Error 137 ready restarts 1",
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

/// What it waits for, as `describe` tells it.
fn waits(facts: &Facts) -> Vec<String> {
    next(facts).into_iter().map(|(at, what)| format!("{}s: {what}", at.as_secs())).collect()
}

#[test]
fn what_a_pod_waits_for_is_told_and_until_when() {
    // A crash loop, and another container's, of which the earlier is told; a removal then.
    check(
        vec![
            (0, Happens(set(of(ALWAYS, &["c", "d"])))),
            (1, Seen(waits)),
            ends(1, "c", 0, 1),
            ends(2, "d", 0, 1),
            ends(3, "d", 1, 1),
            ends(4, "c", 1, 1),
            (5, Seen(waits)),
            tick(13),
            (13, Seen(waits)),
            (13, Happens(gone("web"))),
            (13, Seen(waits)),
        ],
        "0s: start pod, pull, pull, start c#0, start d#0
         1s:
         1s: pull, start c#1
         2s: pull, start d#1
         3s: [wake at 13s]
         4s: [wake at 13s]
         5s: 13s: container d is restarted, [wake at 13s]
         13s: pull, start d#2, [wake at 14s]
         13s: 14s: container c is restarted, [wake at 14s]
         13s: stop d#2 until 43s, [wake at 53s]
         13s: 43s: whatever still runs is killed, [wake at 53s]",
    );
    // An image, and a sandbox.
    check(
        vec![
            (1, Fails(web(ALWAYS), &[("start pod", Reason::FailedMount)])),
            (1, Seen(waits)),
            (2, Fails(Event::Tick, &[("pull", Reason::ErrImagePull)])),
            (2, Seen(waits)),
        ],
        "1s: start pod, [wake at 2s]
         1s: 2s: the pod is started again, [wake at 2s]
         2s: start pod, pull, [wake at 12s]
         2s: 12s: container c is tried again, [wake at 12s]",
    );
    // Nothing at all, since it waits for another.
    check(
        vec![
            (1, Happens(web(ALWAYS))),
            (1, Happens(Event::ManifestSet(pod("a2", "web", ALWAYS)))),
            (1, Seen(waits)),
        ],
        "1s: start pod, pull, start c#0
         1s:
         1s:",
    );
}

#[test]
fn what_does_not_come_is_not_told_as_what_is_waited_for() {
    // It is done, while the other runs.
    check(
        vec![
            (0, Happens(set(of(RestartPolicy::OnFailure, &["c", "d"])))),
            ends(1, "c", 0, 1),
            ends(2, "c", 1, 0),
            (2, Seen(waits)),
        ],
        "0s: start pod, pull, pull, start c#0, start d#0
         1s: pull, start c#1
         2s:
         2s:",
    );
    // Its init container is first, in another sandbox.
    check(
        vec![
            (0, Happens(set(of(ALWAYS, &["i1", "c"])))),
            ends(1, "i1", 0, 0),
            ends(2, "c", 0, 1),
            ends(3, "c", 1, 1),
            (3, Seen(waits)),
            (4, Happens(lost(0))),
            (4, Seen(waits)),
        ],
        "0s: start pod, pull, start i1#0
         1s: pull, start c#0
         2s: pull, start c#1
         3s: [wake at 13s]
         3s: 13s: container c is restarted, [wake at 13s]
         4s: clean pod, start pod ', pull ', start 'i1#1
         4s:",
    );
    // Its time is up: while something runs, and then.
    let mut late = of(ALWAYS, &["c", "d"]);
    late.active_deadline = Some(Duration::from_secs(60));
    check(
        vec![
            (0, Happens(set(late))),
            ends(50, "c", 0, 1),
            ends(59, "c", 1, 1),
            tick(60),
            (60, Seen(waits)),
            ends(61, "d", 0, 143),
            (61, Seen(waits)),
        ],
        "0s: start pod, pull, pull, start c#0, start d#0, [wake at 60s]
         50s: pull, start c#1, [wake at 60s]
         59s: [wake at 60s]
         60s: stop d#0 until 90s, [wake at 100s]
         60s: 90s: whatever still runs is killed, [wake at 100s]
         61s:
         61s:",
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
         14s:
         14s: run #2, ended #2, last #1",
    );
}

/// Why each container waits.
fn whys(facts: &Facts) -> Vec<String> {
    let why = |container| match container {
        ContainerState::Waiting { message, .. } => message,
        other => panic!("{other:?}"),
    };
    status(facts, &BackOff::default(), None).containers.into_iter().map(|it| why(it.state)).collect()
}

#[test]
fn a_crash_loop_tells_its_delay_as_the_kubelet_does() {
    let mut told = vec![(0, Happens(web(ALWAYS))), exited(0, 0, 1)];
    for (attempt, at) in [0, 10, 30, 70, 150, 310].into_iter().enumerate() {
        told.extend([tick(at), exited(at, 1 + attempt as u32, 1), (at, Seen(whys))]);
    }
    check(
        told,
        "0s: start pod, pull, start c#0
         0s: pull, start c#1
         0s:
         0s: [wake at 10s]
         0s: back-off 10s restarting failed container=c pod=web_default(web), [wake at 10s]
         10s: pull, start c#2
         10s: [wake at 30s]
         10s: back-off 20s restarting failed container=c pod=web_default(web), [wake at 30s]
         30s: pull, start c#3
         30s: [wake at 70s]
         30s: back-off 40s restarting failed container=c pod=web_default(web), [wake at 70s]
         70s: pull, start c#4
         70s: [wake at 150s]
         70s: back-off 1m20s restarting failed container=c pod=web_default(web), [wake at 150s]
         150s: pull, start c#5
         150s: [wake at 310s]
         150s: back-off 2m40s restarting failed container=c pod=web_default(web), [wake at 310s]
         310s: pull, start c#6
         310s: [wake at 610s]
         310s: back-off 5m0s restarting failed container=c pod=web_default(web), [wake at 610s]",
    );
}

#[test]
fn a_run_of_less_than_twice_the_longest_delay_is_one_of_a_crash_loop() {
    for (ran, then) in [(599, "[wake at 610s]"), (600, "pull, start c#2")] {
        check(
            vec![(0, Happens(web(ALWAYS))), exited(1, 0, 1), (600, Happens(exit_in(0, 600, 1, 1, ran)))],
            &format!("{BEGUN}\n1s: pull, start c#1\n600s: {then}"),
        );
    }
}
