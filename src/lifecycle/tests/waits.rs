//! Stories of what a pod waits for, and until when.

use super::order::of;
use super::published::{ends, set, tick};
use super::*;
use crate::lifecycle::{Time, next};

/// What it waits for, as `describe` tells it.
pub(super) fn waits(facts: &Facts) -> Vec<String> {
    let due = |due: Time| format!("{}s: ", due.as_secs());
    next(facts).map(|next| next.due.map(due).unwrap_or_default() + &next.what).into_iter().collect()
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
    // Nothing that has a time: what is under way, another pod.
    check(
        vec![(1, Hangs(web(ALWAYS), &["pull"])), (1, Seen(waits))],
        "1s: start pod, pull
         1s:",
    );
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
         4s: container c is started once init container i1 is done",
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
         61s: release pod
         61s:",
    );
}

/// Why each container waits.
pub(super) fn whys(facts: &Facts) -> Vec<String> {
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
