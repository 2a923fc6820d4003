//! Where a pod stands, as it is published: conditions and their times, reasons, and what it waits for. Acceptance section 8
//! and reference B.3, B.4.

use super::order::{NEVER, exited, of, set, tick};
use super::waits::waits;
use super::*;
use crate::spec::{Check, Hook, Hooks, Probe, Probes, RestartAction, RestartRule};

/// `Kind@second`, and `!Kind@second reason message` for those that do not hold, the earliest first.
fn conditions(facts: &Facts) -> Vec<String> {
    let mut all = status(facts, &BackOff::default(), None).conditions;
    all.sort_by_key(|condition| (condition.since, condition.kind as u8));
    let words = all.iter().map(|condition| {
        let not = if condition.holds { "" } else { "!" };
        let why = condition.reason.map(|reason| format!(" {reason} {}", condition.message));
        let why = why.filter(|_| !condition.holds).unwrap_or_default();
        format!("{not}{:?}@{}{}", condition.kind, condition.since.0 / 1_000_000_000, why.trim_end())
    });
    vec![words.collect::<Vec<_>>().join("; ")]
}

const UNREADY: &str = "ContainersNotReady containers with unready status: [c]";

/// 8.01: each at a second of its own, where it can be.
#[test]
fn acceptance_8_01_the_conditions_of_a_pod_without_init_containers_come_in_order() {
    check(
        vec![
            (1, Hangs(web(ALWAYS), &["start pod"])),
            (2, Seen(conditions)),
            (4, Ends("start pod", Ok(()))),
            (5, Seen(conditions)),
            exited(6, "c", 0, 1),
            (7, Seen(conditions)),
        ],
        &format!(
            "1s: start pod
             2s: PodScheduled@1; !PodReadyToStartContainers@1; Initialized@1; !ContainersReady@1 {UNREADY}; !Ready@1 {UNREADY}
             4s: pull, start c#0
             5s: PodScheduled@1; Initialized@1; PodReadyToStartContainers@4; ContainersReady@4; Ready@4
             6s: pull, start c#1
             7s: PodScheduled@1; Initialized@1; PodReadyToStartContainers@4; ContainersReady@6; Ready@6"
        ),
    );
}

#[test]
fn acceptance_8_02_with_init_containers_the_sandbox_comes_before_initialized() {
    check(
        vec![
            (1, Hangs(Event::ManifestSet(Arc::new(of(NEVER, &["i1", "c"]))), &["start pod"])),
            (2, Ends("start pod", Ok(()))),
            (3, Seen(conditions)),
            (3, Seen(waits)),
            exited(4, "i1", 0, 0),
            (5, Seen(conditions)),
            exited(6, "c", 0, 0),
            (7, Seen(conditions)),
        ],
        &format!(
            "1s: start pod
             2s: pull, start i1#0
             3s: PodScheduled@1; !Initialized@1 ContainersNotInitialized containers with incomplete status: [i1]; !ContainersReady@1 {UNREADY}; !Ready@1 {UNREADY}; PodReadyToStartContainers@2
             3s: container c is started once init container i1 is done
             4s: pull, start c#0
             5s: PodScheduled@1; PodReadyToStartContainers@2; Initialized@4; ContainersReady@4; Ready@4
             6s: release pod
             7s: PodScheduled@1; Initialized@4; !PodReadyToStartContainers@6; !ContainersReady@6 PodCompleted; !Ready@6 PodCompleted"
        ),
    );
}

#[test]
fn acceptance_8_03_and_8_04_a_volume_that_is_not_to_be_had_leaves_the_sandbox_unready() {
    for (names, initialized) in [
        (&["c"][..], "Initialized@1"),
        (&["i1", "c"], "!Initialized@1 ContainersNotInitialized containers with incomplete status: [i1]"),
    ] {
        let told = Event::ManifestSet(Arc::new(of(ALWAYS, names)));
        check(
            vec![(1, Fails(told, &[("start pod", Reason::FailedMount)])), (2, Seen(conditions)), (3, Seen(waits))],
            &format!(
                "1s: start pod, [wake at 2s]
                 2s: PodScheduled@1; !PodReadyToStartContainers@1; {initialized}; !ContainersReady@1 {UNREADY}; !Ready@1 {UNREADY}, [wake at 2s]
                 3s: 2s: the pod is started again, [wake at 2s]"
            ),
        );
    }
    let mut node = Node::new(BackOff::default(), 0);
    let action = node.step(now(1), web(ALWAYS)).actions.remove(0);
    node.step(now(1), Event::Done { action, result: Err(Failure::new(Reason::FailedMount, "no disk")) });
    let event = node.all().next().unwrap().history.all().last().unwrap().clone();
    assert_eq!((event.reason, event.message.as_str()), (Reason::FailedMount, "no disk"));
    // The cause goes, and it becomes ready.
    let again = node.step(now(1), Event::DocumentsChanged).actions;
    assert_eq!(again.iter().map(show).collect::<Vec<_>>(), ["start pod"]);
}

/// While all are being ended the pod says so; what they wait for then has its own word, until each has run again.
#[test]
fn a_pod_whose_containers_all_begin_anew_says_so() {
    let mut pod = of(NEVER, &["c", "d"]);
    pod.containers[0].restart_policy = Some(NEVER);
    pod.containers[0].restart_rules =
        vec![RestartRule { exit_codes: vec![42], not: false, action: RestartAction::RestartAllContainers }];
    check(
        vec![
            set(pod),
            (1, Seen(conditions)),
            exited(5, "c", 0, 42),
            (6, Seen(conditions)),
            (7, Hangs(exit(7, "d", 137), &["start c#1"])),
            (8, Seen(conditions)),
            (8, Shown),
            (9, Ends("start c#1", Ok(()))),
            (9, Shown),
        ],
        &format!(
            "0s: start pod, pull, pull, start c#0, start d#0
             1s: PodScheduled@0; PodReadyToStartContainers@0; Initialized@0; ContainersReady@0; Ready@0; !AllContainersRestarting@0
             5s: stop d#0 until 0s
             6s: PodScheduled@0; PodReadyToStartContainers@0; Initialized@0; !ContainersReady@5 {UNREADY}; !Ready@5 {UNREADY}; AllContainersRestarting@5
             7s: pull, pull, start c#1, start d#1
             8s: PodScheduled@0; PodReadyToStartContainers@0; Initialized@0; !ContainersReady@5 {UNREADY}; !Ready@5 {UNREADY}; !AllContainersRestarting@7
             8s: Running: c waiting RestartingAllContainers after Error 42 restarts 1; d running after RestartingAllContainers 137 ready restarts 1
             9s:
             9s: Running: c running after Error 42 ready restarts 1; d running after RestartingAllContainers 137 ready restarts 1"
        ),
    );
}

fn exit(at: u64, container: &str, code: i32) -> Event {
    let end = RunEnd { container: container.into(), ..end(at, 0, code, 1) };
    Event::Exited { uid: Uid("web".into()), sandbox: 0, end }
}

/// Reference B.4: while the run after it is prepared; then it is a crash loop like any other.
#[test]
fn a_run_that_its_post_start_hook_ended_says_so() {
    let mut hooked = Pod::clone(&pod("web", "web", ALWAYS));
    hooked.containers[0].hooks = Hooks { post_start: Some(Hook::Exec(Vec::new())), ..Hooks::default() };
    check(
        vec![
            (0, Hangs(Event::ManifestSet(Arc::new(hooked)), &["PostStart c#0"])),
            (1, Seen(waits)),
            (2, Ends("PostStart c#0", Err(Reason::FailedPostStartHook))),
            (3, Hangs(exit(3, "c", 143), &["pull"])),
            (4, Shown),
            (5, Ends("pull", Ok(()))),
        ],
        "0s: start pod, pull, start c#0, PostStart c#0
         1s: container c is ready once its postStart hook is over
         2s: stop c#0 until 32s
         3s: pull
         4s: Running: c waiting PostStartHookError after Error 143 restarts 0
         5s: start c#1, PostStart c#1",
    );
}

/// First what has a time, and else what holds the first one up that is not ready.
#[test]
fn a_pod_that_waits_for_a_probe_says_for_which() {
    let probe = |delay| {
        Some(Probe {
            check: Check::Tcp { host: None, port: 1 },
            initial_delay: Duration::from_secs(delay),
            timeout: Duration::from_secs(1),
            period: Duration::from_secs(10),
            success_threshold: 1,
            failure_threshold: 3,
            grace: None,
        })
    };
    let mut probed = Pod::clone(&pod("web", "web", ALWAYS));
    probed.containers[0].probes = Probes { startup: probe(5), readiness: probe(0), ..Probes::default() };
    check(
        vec![
            set(probed),
            (1, Seen(waits)),
            (5, Unwell(Event::Tick, &["probe startup c#0"], &[])),
            (6, Seen(waits)),
            (15, Hangs(Event::Tick, &["probe readiness c#0"])),
            (16, Seen(waits)),
            (17, Ends("probe readiness c#0", Ok(()))),
            (18, Seen(waits)),
            (19, Happens(gone("web"))),
            (19, Seen(waits)),
        ],
        "0s: start pod, pull, start c#0, [wake at 5s]
         1s: 5s: the startup probe of container c is asked first, [wake at 5s]
         5s: probe startup c#0, [wake at 15s]
         6s: container c has started once its startup probe succeeds, which is asked every 10s, [wake at 15s]
         15s: probe startup c#0, probe readiness c#0
         16s: container c is ready once its readiness probe succeeds, which is asked every 10s
         17s: [wake at 25s]
         18s: [wake at 25s]
         19s: stop c#0 until 49s, [wake at 25s]
         19s: 49s: whatever still runs is killed, [wake at 25s]",
    );
    check(
        vec![
            set(of(ALWAYS, &["c"])),
            exited(1, "c", 0, 1),
            exited(2, "c", 1, 1),
            (3, Seen(waits)),
            tick(12),
            (13, Seen(waits)),
        ],
        "0s: start pod, pull, start c#0
         1s: pull, start c#1
         2s: [wake at 12s]
         3s: 12s: container c is restarted, [wake at 12s]
         12s: pull, start c#2
         13s:",
    );
}
