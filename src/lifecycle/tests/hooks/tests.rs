//! The stories.

use super::*;

/// 6.09, reference B.6
#[test]
fn others_start_once_the_hook_is_over() {
    let two = |hook| set(hooked(Some(hook), None, &["d"]));
    check(
        vec![
            (0, Hangs(two(EXEC), START)),
            (0, Shown),
            (50, Happens(Event::Tick)),
            (60, Ends("PostStart c#0", Ok(()))),
            (60, Shown),
        ],
        "0s: start pod, pull, pull, start c#0, PostStart c#0
         0s: Pending: c running restarts 0; d waiting ContainerCreating restarts 0
         50s:
         60s: start d#0
         60s: Running: c running ready restarts 0; d running ready restarts 0",
    );
    check(
        vec![(0, Happens(two(sleep(7)))), (6, Happens(Event::Tick)), (7, Happens(Event::Tick)), (7, Shown)],
        "0s: start pod, pull, pull, start c#0, [wake at 7s]
         6s: [wake at 7s]
         7s: start d#0
         7s: Running: c running ready restarts 0; d running ready restarts 0",
    );
    // One that is about to start holds them back too, and one that cannot start does not.
    check(
        vec![(0, Hangs(two(EXEC), &["start c#0"])), (1, Ends("start c#0", Ok(())))],
        "0s: start pod, pull, pull, start c#0
         1s: PostStart c#0, start d#0",
    );
    check(
        vec![(0, Fails(two(EXEC), &[("start c#0", Reason::CreateContainerError)]))],
        "0s: start pod, pull, pull, start c#0, start d#0, [wake at 1s]",
    );
}

#[test]
fn what_comes_before_the_hook_does_not_wait() {
    let mut pod = hooked(None, None, &["d"]);
    pod.containers[1].hooks.post_start = Some(EXEC);
    check(
        vec![(0, Hangs(set(pod), &["PostStart d#0"])), ends_at(20, 0, 1)],
        "0s: start pod, pull, pull, start c#0, start d#0, PostStart d#0
         20s: pull, start c#1",
    );
}

#[test]
fn a_sleep_of_nothing_is_no_delay_6_07() {
    check(
        vec![(0, Happens(after(sleep(0)))), (0, Shown), (1, Happens(gone("web")))],
        "0s: start pod, pull, start c#0
         0s: Running: c running ready restarts 0
         1s: stop c#0 until 31s, [wake at 41s]",
    );
    check(
        vec![(0, Happens(before(sleep(0)))), (1, Happens(gone("web")))],
        "0s: start pod, pull, start c#0
         1s: stop c#0 until 31s, [wake at 41s]",
    );
}

/// Reference B.8: the container is killed, and restarted by its policy.
#[test]
fn a_container_whose_hook_failed_is_ended() {
    check(
        vec![
            (0, Hangs(after(EXEC), START)),
            (5, Ends("PostStart c#0", Err(Reason::FailedPostStartHook))),
            (5, Shown),
            ends_at(6, 0, 143),
            (6, Shown),
        ],
        "0s: start pod, pull, start c#0, PostStart c#0
         5s: stop c#0 until 35s
         5s: Running: c running restarts 0
         6s: pull, start c#1, PostStart c#1
         6s: Running: c running after Error 143 ready restarts 1",
    );
    // Its preStop hook runs for it.
    check(
        vec![
            (0, Hangs(set(hooked(Some(EXEC), Some(EXEC), &[])), &["PostStart c#0", "PreStop c#0"])),
            (5, Hangs(Event::Tick, STOP)),
        ],
        "0s: start pod, pull, start c#0, PostStart c#0
         5s:",
    );
    let mut never = hooked(Some(EXEC), None, &[]);
    never.restart_policy = RestartPolicy::Never;
    check(
        vec![
            (0, Fails(set(never), &[("PostStart c#0", Reason::FailedPostStartHook)])),
            ends_at(1, 0, 143),
            (1, Shown),
        ],
        "0s: start pod, pull, start c#0, PostStart c#0, stop c#0 until 30s
         1s: release pod
         1s: Failed: c terminated Error 143 restarts 0",
    );
}

/// 6.02, 6.04
#[test]
fn the_signal_waits_for_the_hook_and_the_grace_does_not() {
    check(
        vec![
            (0, Happens(before(EXEC))),
            (10, Hangs(gone("web"), STOP)),
            (22, Ends("PreStop c#0", Ok(()))),
            ends_at(23, 0, 0),
        ],
        "0s: start pod, pull, start c#0
         10s: PreStop c#0, [wake at 40s]
         22s: stop c#0 until 40s, [wake at 50s]
         23s: remove pod",
    );
    check(
        vec![(0, Happens(before(sleep(20)))), (10, Happens(gone("web"))), (30, Happens(Event::Tick))],
        "0s: start pod, pull, start c#0
         10s: [wake at 30s]
         30s: stop c#0 until 40s, [wake at 50s]",
    );
    // One that failed is over too.
    check(
        vec![
            (0, Happens(before(EXEC))),
            (10, Fails(gone("web"), &[("PreStop c#0", Reason::FailedPreStopHook)])),
        ],
        "0s: start pod, pull, start c#0
         10s: PreStop c#0, stop c#0 until 40s, [wake at 50s]",
    );
}

/// 6.11: what is left of the grace then, two seconds at least, is the effect's.
#[test]
fn an_endless_hook_is_given_up_at_the_end_of_the_grace() {
    check(
        vec![
            (0, Happens(before(EXEC))),
            (10, Hangs(gone("web"), STOP)),
            (40, Happens(Event::Tick)),
            ends_at(42, 0, 137),
            (42, Ends("PreStop c#0", Err(Reason::FailedPreStopHook))),
        ],
        "0s: start pod, pull, start c#0
         10s: PreStop c#0, [wake at 40s]
         40s: stop c#0 until 40s, [wake at 50s]
         42s: remove pod
         42s:",
    );
    check(
        vec![(0, Happens(before(sleep(100)))), (10, Happens(gone("web"))), (40, Happens(Event::Tick))],
        "0s: start pod, pull, start c#0
         10s: [wake at 40s]
         40s: stop c#0 until 40s, [wake at 50s]",
    );
}

/// 6.06, and reference B.7: no hook for a container that ends by itself.
#[test]
fn a_container_that_is_gone_is_not_waited_for() {
    check(
        vec![(0, Happens(before(EXEC))), (10, Hangs(gone("web"), STOP)), ends_at(12, 0, 0)],
        "0s: start pod, pull, start c#0
         10s: PreStop c#0, [wake at 40s]
         12s: remove pod",
    );
    check(
        vec![(0, Happens(before(sleep(20)))), (10, Happens(gone("web"))), ends_at(12, 0, 0)],
        "0s: start pod, pull, start c#0
         10s: [wake at 30s]
         12s: remove pod",
    );
    check(
        vec![(0, Happens(before(EXEC))), ends_at(12, 0, 0)],
        "0s: start pod, pull, start c#0
         12s: pull, start c#1",
    );
}

#[test]
fn without_grace_there_is_no_hook() {
    let mut pod = hooked(None, Some(EXEC), &[]);
    pod.grace = Duration::ZERO;
    check(
        vec![(0, Happens(set(pod))), (10, Happens(gone("web")))],
        "0s: start pod, pull, start c#0
         10s: stop c#0 until 10s, [wake at 20s]",
    );
}

/// A restart, the end of all pods: each is an end. A hook that has begun does not begin again with another.
#[test]
fn a_hook_runs_once_however_often_the_end_is_asked_for() {
    let restart = || Event::Restart(Uid("web".into()));
    check(
        vec![
            (0, Happens(before(EXEC))),
            (10, Hangs(restart(), STOP)),
            (12, Happens(gone("web"))),
            (13, Happens(Event::Down)),
            (15, Ends("PreStop c#0", Ok(()))),
        ],
        "0s: start pod, pull, start c#0
         10s: PreStop c#0, [wake at 40s]
         12s: [wake at 40s]
         13s: [wake at 40s]
         15s: stop c#0 until 40s, [wake at 50s]",
    );
}

fn with_probes(mut pod: Pod, grace: Option<u64>) -> Pod {
    let probe = Probe {
        check: Check::Tcp { host: None, port: 1 },
        initial_delay: Duration::ZERO,
        timeout: Duration::from_secs(1),
        period: Duration::from_secs(10),
        success_threshold: 1,
        failure_threshold: 1,
        grace: grace.map(Duration::from_secs),
    };
    let readiness = Some(Probe { grace: None, ..probe.clone() });
    pod.containers[0].probes = Probes { liveness: Some(probe), readiness, startup: None };
    pod
}

fn probed(kind: ProbeKind) -> Event {
    let action =
        Action::Probe { uid: Uid("web".into()), sandbox: 0, container: "c".into(), attempt: 0, kind };
    let answer = Learnt::Probed { outcome: Outcome::Failure, message: "so".into() };
    Event::Done { action, result: Ok(answer) }
}

/// 6.12, 6.13, 7.18
#[test]
fn a_probe_that_ends_the_container_runs_the_hook_and_readiness_goes_on() {
    let both = &["probe liveness c#0", "probe readiness c#0"];
    check(
        vec![
            (0, Hangs(set(with_probes(hooked(None, Some(sleep(15)), &[]), None)), both)),
            (1, Happens(probed(ProbeKind::Liveness))),
            (2, Happens(probed(ProbeKind::Readiness))),
            (10, Hangs(Event::Tick, both)),
            (16, Happens(Event::Tick)),
        ],
        "0s: start pod, pull, start c#0, probe liveness c#0, probe readiness c#0
         1s: [wake at 10s]
         2s: [wake at 10s]
         10s: probe readiness c#0, [wake at 16s]
         16s: stop c#0 until 31s, [wake at 20s]",
    );
    // Its own grace is shorter than the hook.
    check(
        vec![
            (0, Hangs(set(with_probes(hooked(None, Some(EXEC), &[]), Some(5))), both)),
            (1, Hangs(probed(ProbeKind::Liveness), STOP)),
            (6, Happens(Event::Tick)),
        ],
        "0s: start pod, pull, start c#0, probe liveness c#0, probe readiness c#0
         1s: PreStop c#0, [wake at 6s]
         6s: stop c#0 until 6s, [wake at 10s]",
    );
}

#[test]
fn nothing_is_asked_before_the_hook_is_over() {
    check(
        vec![
            (0, Hangs(set(with_probes(hooked(Some(EXEC), None, &[]), None)), START)),
            (30, Hangs(Event::Tick, &[])),
            (31, Ends("PostStart c#0", Ok(()))),
            (31, Shown),
        ],
        "0s: start pod, pull, start c#0, PostStart c#0
         30s:
         31s: probe liveness c#0, probe readiness c#0, [wake at 41s]
         31s: Running: c running ready restarts 0, [wake at 41s]",
    );
}

/// What a former agent left: `ending` is when a preStop hook of it began.
fn found(pod: Pod, wanted: bool, change: impl Fn(&mut Facts)) -> Event {
    let mut facts = Facts::new(Arc::new(pod), Wall(1));
    facts.sandbox.state = crate::lifecycle::facts::SandboxState::Up;
    let known = &mut facts.containers[0];
    known.started(0, Wall(1), Duration::ZERO);
    change(&mut facts);
    let running = |facts: &Facts| Running {
        container: facts.containers[0].name.clone(),
        attempt: 0,
        started: Wall(1),
        since: Duration::ZERO,
        stopping: false,
    };
    let running = vec![running(&facts)];
    Event::Found(Box::new(Found { facts, alive: Some(0), running, ended: Vec::new(), wanted, jitter: 0 }))
}

#[test]
fn the_next_agent_begins_a_hook_again_whose_end_nobody_heard() {
    let ended = |facts: &mut Facts| {
        facts.ends(now(90));
        facts.containers[0].hooked.ending = Some(Duration::from_secs(90));
    };
    check(
        vec![(100, Hangs(found(hooked(None, Some(EXEC), &[]), false, ended), STOP))],
        "100s: PreStop c#0, [wake at 120s]",
    );
    // A sleep goes on where it was.
    check(
        vec![(100, Happens(found(hooked(None, Some(sleep(15)), &[]), false, ended)))],
        "100s: [wake at 105s]",
    );
    check(
        vec![(100, Happens(found(hooked(None, Some(sleep(5)), &[]), false, ended)))],
        "100s: stop c#0 until 120s, [wake at 130s]",
    );
    // What is over is over.
    let over = |facts: &mut Facts| {
        ended(facts);
        facts.containers[0].hooked.over = true;
    };
    check(
        vec![(100, Happens(found(hooked(None, Some(EXEC), &[]), false, over)))],
        "100s: stop c#0 until 120s, [wake at 130s]",
    );
    let both = hooked(Some(EXEC), None, &[]);
    check(vec![(100, Hangs(found(both.clone(), true, |_| ()), START))], "100s: PostStart c#0");
    let started = |facts: &mut Facts| facts.containers[0].hooked.started = true;
    check(vec![(100, Hangs(found(both, true, started), START))], "100s:");
}

/// Told late, it says nothing of the run that is there by then.
#[test]
fn a_hook_counts_for_its_own_run_only() {
    check(
        vec![
            (0, Hangs(after(EXEC), START)),
            (5, Hangs(exit_in(0, 5, 0, 1, 1), &["PostStart c#1"])),
            (6, Ends("PostStart c#0", Err(Reason::FailedPostStartHook))),
            (6, Shown),
            (7, Ends("PostStart c#1", Ok(()))),
            (7, Shown),
        ],
        "0s: start pod, pull, start c#0, PostStart c#0
         5s: pull, start c#1, PostStart c#1
         6s:
         6s: Running: c running after Error 1 restarts 1
         7s:
         7s: Running: c running after Error 1 ready restarts 1",
    );
}

fn events(pod: Pod, told: Vec<(u64, Event)>, fails: &[Reason]) -> Vec<String> {
    let mut node = Node::new(BackOff::default(), 0);
    let ends = |action: &Action| match action {
        Action::Hook { kind, .. } => {
            match fails.iter().find(|it| it.to_string().contains(&format!("{kind:?}"))) {
                Some(reason) => Some(Err(Failure::new(*reason, "exit code 3"))),
                None if fails.contains(&Reason::LifecycleHTTPFallback) => {
                    Some(Ok(Learnt::FellBack { place: "127.0.0.1:8443".to_owned() }))
                }
                None => Some(Ok(Learnt::Done)),
            }
        }
        _ => Some(Ok(learnt(action, 0))),
    };
    for (at, event) in std::iter::once((0, set(pod))).chain(told) {
        settle_as(&mut node, at, event, ends);
    }
    let known = node.all().next().unwrap();
    let of_interest = [
        Reason::Killing,
        Reason::FailedPostStartHook,
        Reason::FailedPreStopHook,
        Reason::LifecycleHTTPFallback,
    ];
    let events = known.history.all().iter().filter(|event| of_interest.contains(&event.reason));
    events.map(|event| format!("{} {} x{}", event.reason, event.message, event.count)).collect()
}

#[test]
fn events_are_the_kubelets() {
    let both = || hooked(Some(EXEC), Some(EXEC), &[]);
    assert_eq!(events(both(), vec![(9, gone("web"))], &[]), ["Killing Stopping container c x1"]);
    assert_eq!(
        events(both(), vec![(9, gone("web"))], &[Reason::FailedPreStopHook]),
        ["Killing Stopping container c x1", "FailedPreStopHook PreStopHook failed: exit code 3 x1"]
    );
    assert_eq!(
        events(both(), vec![], &[Reason::FailedPostStartHook]),
        ["FailedPostStartHook PostStartHook failed: exit code 3 x1", "Killing FailedPostStartHook x1"]
    );
    assert_eq!(
        events(hooked(Some(EXEC), None, &[]), vec![], &[Reason::FailedPostStartHook]),
        ["FailedPostStartHook PostStartHook failed: exit code 3 x1", "Killing FailedPostStartHook x1"]
    );
    // All is well, and somebody should know how.
    assert_eq!(
        events(both(), vec![], &[Reason::LifecycleHTTPFallback]),
        [
            "LifecycleHTTPFallback request to HTTPS lifecycle hook 127.0.0.1:8443 got HTTP response, retry with HTTP \
          succeeded x1"
        ]
    );
}

/// With a sidecar `s` before the container `c`, which has this hook.
fn served(post_start: Option<Hook>, pre_stop: Option<Hook>) -> Event {
    let mut pod = Arc::unwrap_or_clone(pod("web", "web", RestartPolicy::Always));
    let hooks = Hooks { post_start, pre_stop };
    let sidecar = Container { name: "s".into(), role: Role::Sidecar, hooks, ..pod.containers[0].clone() };
    pod.containers.insert(0, sidecar);
    set(pod)
}

/// 4.09
#[test]
fn an_init_container_is_done_before_any_hook_of_the_others_runs() {
    let mut pod = hooked(Some(EXEC), None, &[]);
    pod.containers.insert(0, Container { name: "i".into(), role: Role::Init, ..Container::default() });
    let ended = RunEnd { container: "i".into(), ..end(5, 0, 0, 1) };
    check(
        vec![
            (0, Happens(set(pod))),
            (1, Happens(Event::Tick)),
            (5, Happens(Event::Exited { uid: Uid("web".into()), sandbox: 0, end: ended })),
        ],
        "0s: start pod, pull, start i#0
         1s:
         5s: pull, start c#0, PostStart c#0",
    );
}

/// Reference B.6: a sidecar is up once its hook is over.
#[test]
fn a_sidecar_with_a_hook_holds_back_those_behind_it() {
    check(
        vec![(0, Hangs(served(Some(EXEC), None), &["PostStart s#0"])), (9, Ends("PostStart s#0", Ok(())))],
        "0s: start pod, pull, start s#0, PostStart s#0
         9s: pull, start c#0",
    );
    check(
        vec![(0, Happens(served(Some(sleep(9)), None))), (9, Happens(Event::Tick))],
        "0s: start pod, pull, start s#0, [wake at 9s]
         9s: pull, start c#0",
    );
}

/// Reference B.7: its hook begins at once, beside the end of those it serves, and its stop signal waits for both.
#[test]
fn the_hook_of_a_sidecar_does_not_wait_for_the_others() {
    check(
        vec![
            (0, Happens(served(None, Some(EXEC)))),
            (10, Hangs(gone("web"), &["PreStop s#0"])),
            (12, Ends("PreStop s#0", Ok(()))),
            ends_at(15, 0, 0),
        ],
        "0s: start pod, pull, start s#0, pull, start c#0
         10s: PreStop s#0, stop c#0 until 40s, [wake at 40s]
         12s: [wake at 40s]
         15s: stop s#0 until 40s, [wake at 50s]",
    );
    check(
        vec![
            (0, Happens(served(None, Some(EXEC)))),
            (10, Hangs(gone("web"), &["PreStop s#0"])),
            ends_at(15, 0, 0),
            (40, Happens(Event::Tick)),
        ],
        "0s: start pod, pull, start s#0, pull, start c#0
         10s: PreStop s#0, stop c#0 until 40s, [wake at 40s]
         15s: [wake at 40s]
         40s: stop s#0 until 42s, [wake at 50s]",
    );
}

/// A pod that is done, or late, ends its containers as any other end does.
#[test]
fn an_end_of_its_own_accord_runs_hooks_too() {
    let mut late = hooked(None, Some(EXEC), &[]);
    late.active_deadline = Some(Duration::from_secs(20));
    check(
        vec![(0, Happens(set(late))), (20, Hangs(Event::Tick, STOP)), (25, Ends("PreStop c#0", Ok(())))],
        "0s: start pod, pull, start c#0, [wake at 20s]
         20s: PreStop c#0, [wake at 50s]
         25s: stop c#0 until 50s, [wake at 60s]",
    );
}

/// Reference B.5: all are killed without grace then.
#[test]
fn who_is_restarted_with_all_others_has_no_hook() {
    let mut pod = hooked(None, Some(EXEC), &["d"]);
    pod.containers[1].restart_policy = Some(RestartPolicy::Never);
    pod.containers[1].restart_rules =
        vec![RestartRule { exit_codes: vec![3], not: false, action: RestartAction::RestartAllContainers }];
    let end = RunEnd { container: "d".into(), ..end(10, 0, 3, 1) };
    check(
        vec![
            (0, Happens(set(pod))),
            (10, Happens(Event::Exited { uid: Uid("web".into()), sandbox: 0, end })),
        ],
        "0s: start pod, pull, pull, start c#0, start d#0
         10s: stop c#0 until 0s",
    );
}
