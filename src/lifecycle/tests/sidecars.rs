//! Sidecars with probes and hooks, and how pods with them end, in virtual time: acceptance section 5.

use super::order::{NEVER, ON_FAILURE, exited, of, set, tick};
use super::waits::waits;
use super::*;
use crate::spec::{Check, Hook, Hooks, Probe, Probes};

/// Every ten seconds, and the first bad answer counts.
fn probe() -> Probe {
    Probe {
        check: Check::Tcp { host: None, port: 1 },
        initial_delay: Duration::ZERO,
        timeout: Duration::from_secs(1),
        period: Duration::from_secs(10),
        success_threshold: 1,
        failure_threshold: 1,
        grace: None,
    }
}

/// With a preStop hook for each of `names`.
fn hooked(mut pod: Pod, names: &[&str]) -> Pod {
    for container in pod.containers.iter_mut().filter(|container| names.contains(&container.name.as_str())) {
        container.hooks = Hooks { pre_stop: Some(Hook::Exec(Vec::new())), ..Hooks::default() };
    }
    pod
}

/// `s1`, asked by this, and `c` behind it, which is asked nothing.
fn probed(policy: RestartPolicy, probes: Probes) -> Pod {
    let mut pod = of(policy, &["s1", "c"]);
    pod.containers[0].probes = probes;
    hooked(pod, &["s1"])
}

/// What is under way at the end of a pod is not shown when it is gone: its removal takes time.
const REMOVAL: &[&str] = &["remove pod"];

#[test]
fn acceptance_5_09_a_startup_that_fails_first_is_asked_of_the_next_run_too() {
    let startup = Probes { startup: Some(probe()), ..Probes::default() };
    let mut pod = probed(ALWAYS, startup);
    pod.containers[0].hooks = Hooks::default();
    check(
        vec![
            (0, Unwell(Event::ManifestSet(Arc::new(pod)), &["probe startup s1#0"], &[])),
            (5, Hangs(exit_of("s1", 5, 0, 143), &["probe startup s1#1"])),
            (6, Seen(waits)),
            (14, Ends("probe startup s1#1", Ok(()))),
            (15, Shown),
        ],
        "0s: start pod, pull, start s1#0, probe startup s1#0, stop s1#0 until 30s
         5s: pull, start s1#1, probe startup s1#1
         6s: container s1 has started once its startup probe succeeds, which is asked every 10s
         14s: pull, start c#0
         15s: Running: s1 running after Error 143 ready restarts 1; c running ready restarts 0",
    );
}

fn exit_of(container: &str, at: u64, attempt: u32, code: i32) -> Event {
    let end = RunEnd { container: container.into(), ..end(at, attempt, code, 1) };
    Event::Exited { uid: Uid("web".into()), sandbox: 0, end }
}

/// Ends well, late, and never; the grace counts, and nobody else begins meanwhile.
#[test]
fn acceptance_5_10_a_startup_that_fails_runs_the_hook_and_holds_the_next_back() {
    let startup = Probes { startup: Some(probe()), ..Probes::default() };
    let begun = |hangs| {
        let pod = probed(ALWAYS, startup.clone());
        (0, Unwell(Event::ManifestSet(Arc::new(pod)), &["probe startup s1#0"], hangs))
    };
    check(
        vec![begun(&[]), (3, Happens(exit_of("s1", 3, 0, 0))), (4, Shown)],
        "0s: start pod, pull, start s1#0, probe startup s1#0, PreStop s1#0, stop s1#0 until 30s
         3s: pull, start s1#1, probe startup s1#1, pull, start c#0
         4s: Running: s1 running after Completed 0 ready restarts 1; c running ready restarts 0",
    );
    check(
        vec![begun(HOOK), (20, Shown), (29, Ends("PreStop s1#0", Ok(()))), (30, Happens(Event::Tick))],
        "0s: start pod, pull, start s1#0, probe startup s1#0, PreStop s1#0, [wake at 30s]
         20s: Pending: s1 running restarts 0; c waiting PodInitializing restarts 0, [wake at 30s]
         29s: stop s1#0 until 30s
         30s:",
    );
    check(
        vec![begun(HOOK), (30, Happens(Event::Tick)), (32, Happens(exit_of("s1", 32, 0, 137)))],
        "0s: start pod, pull, start s1#0, probe startup s1#0, PreStop s1#0, [wake at 30s]
         30s: stop s1#0 until 30s
         32s: pull, start s1#1, probe startup s1#1, pull, start c#0",
    );
}

const HOOK: &[&str] = &["PreStop s1#0"];

/// Those behind it begin while its hook runs.
#[test]
fn acceptance_5_11_a_liveness_that_fails_runs_the_hook_and_holds_nobody_back() {
    let mut pod = of(ALWAYS, &["s1", "i1", "c"]);
    pod.containers[0].probes = Probes { liveness: Some(probe()), ..Probes::default() };
    let told = Event::ManifestSet(Arc::new(hooked(pod, &["s1"])));
    check(
        vec![
            (0, Unwell(told, &["probe liveness s1#0"], HOOK)),
            exited(1, "i1", 0, 0),
            (2, Shown),
            (5, Ends("PreStop s1#0", Ok(()))),
            exited(6, "s1", 0, 0),
            (7, Shown),
        ],
        "0s: start pod, pull, start s1#0, probe liveness s1#0, pull, PreStop s1#0, start i1#0, [wake at 30s]
         1s: pull, start c#0, [wake at 30s]
         2s: Running: s1 running ready restarts 0; i1 terminated Completed 0 ready restarts 0; c running ready restarts 0, [wake at 30s]
         5s: stop s1#0 until 30s
         6s: pull, start s1#1, probe liveness s1#1, [wake at 16s]
         7s: Running: s1 running after Completed 0 ready restarts 1; i1 terminated Completed 0 ready restarts 0; c running ready restarts 0, [wake at 16s]",
    );
}

/// 5.12, 5.24: an edit of the file is another pod, of which nothing begins before all of the old one is gone; also where the
/// old one was about to restart its sidecar after a probe, and where the edit came while no agent was there.
#[test]
fn acceptance_5_12_and_5_24_an_edited_pod_begins_with_its_sidecar_once_the_old_one_is_gone() {
    let other = || {
        let mut pod = of(ALWAYS, &["s1", "c"]);
        (pod.uid, pod.containers[0].image) = (Uid("web2".into()), "nginx:2".into());
        (11, Happens(Event::ManifestSet(Arc::new(pod))))
    };
    for unwell in [&[][..], &["probe liveness s1#0"]] {
        let pod = probed(ALWAYS, Probes { liveness: Some(probe()), ..Probes::default() });
        let told = vec![
            (0, Happens(Event::ManifestSet(Arc::new(Pod::clone(&pod))))),
            (10, Unwell(Event::Tick, unwell, HOOK)),
            (11, Hangs(gone("web"), HOOK)),
            other(),
            exited(12, "c", 0, 0),
            (13, Ends("PreStop s1#0", Ok(()))),
            (14, Hangs(exit_of("s1", 14, 0, 0), REMOVAL)),
            (15, Ends("remove pod", Ok(()))),
            (16, Shown),
        ];
        let (asked, hook) = match unwell {
            [] => ("probe liveness s1#0, [wake at 20s]", "PreStop s1#0, "),
            _ => ("probe liveness s1#0, PreStop s1#0, [wake at 40s]", ""),
        };
        check(
            told,
            &format!(
                "0s: start pod, pull, start s1#0, probe liveness s1#0, pull, start c#0, [wake at 10s]
                 10s: {asked}
                 11s: {hook}stop c#0 until 41s, [wake at 41s]
                 11s: [wake at 41s]
                 12s: [wake at 41s]
                 13s: stop s1#0 until 41s, [wake at 51s]
                 14s: remove pod
                 15s: start pod web2, pull web2, start web2 s1#0, pull web2, start web2 c#0
                 16s: Running: s1 running ready restarts 0; c running ready restarts 0"
            ),
        );
    }
    check(
        vec![
            (10, Happens(super::found(ALWAYS, Some(0), &[0], &[], false))),
            other(),
            exited(12, "c", 0, 0),
            (16, Shown),
        ],
        "10s: stop c#0 until 40s, [wake at 50s]
         11s: [wake at 50s]
         12s: remove pod, start pod web2, pull web2, start web2 s1#0, pull web2, start web2 c#0
         16s: Running: s1 running ready restarts 0; c running ready restarts 0",
    );
}

/// When `c` ends by itself, all of them begin at once, and none of them ends.
#[test]
fn acceptance_5_14_hooks_that_never_end_die_together_two_seconds_after_the_grace() {
    let pod = hooked(of(NEVER, &["s1", "s2", "s3", "c"]), &["s1", "s2", "s3"]);
    let hooks: &[&str] = &["PreStop s1#0", "PreStop s2#0", "PreStop s3#0"];
    check(
        vec![
            set(pod),
            (10, Hangs(exit_of("c", 10, 0, 0), hooks)),
            (11, Seen(waits)),
            tick(40),
            exited(42, "s2", 0, 137),
            exited(42, "s3", 0, 137),
            exited(42, "s1", 0, 137),
            (42, Ends("PreStop s1#0", Err(Reason::FailedPreStopHook))),
            (43, Shown),
        ],
        "0s: start pod, pull, start s1#0, pull, start s2#0, pull, start s3#0, pull, start c#0
         10s: PreStop s1#0, PreStop s2#0, PreStop s3#0, [wake at 40s]
         11s: 40s: whatever still runs is killed, [wake at 40s]
         40s: stop s1#0 until 42s, stop s2#0 until 42s, stop s3#0 until 42s, [wake at 50s]
         42s: [wake at 50s]
         42s: [wake at 50s]
         42s: release pod
         42s:
         43s: Succeeded: s1 terminated Error 137 restarts 0; s2 terminated Error 137 restarts 0; s3 terminated Error 137 restarts 0; c terminated Completed 0 restarts 0",
    );
}

/// The hooks end in an order of their own.
#[test]
fn acceptance_5_15_hooks_run_together_and_sidecars_end_in_reverse_order() {
    let pod = hooked(of(NEVER, &["s1", "s2", "s3", "c"]), &["s1", "s2", "s3"]);
    let hooks: &[&str] = &["PreStop s1#0", "PreStop s2#0", "PreStop s3#0"];
    check(
        vec![
            set(pod),
            (10, Hangs(exit_of("c", 10, 0, 0), hooks)),
            (11, Ends("PreStop s1#0", Ok(()))),
            (12, Ends("PreStop s2#0", Ok(()))),
            (15, Ends("PreStop s3#0", Ok(()))),
            exited(16, "s3", 0, 0),
            exited(17, "s2", 0, 0),
            exited(18, "s1", 0, 0),
        ],
        "0s: start pod, pull, start s1#0, pull, start s2#0, pull, start s3#0, pull, start c#0
         10s: PreStop s1#0, PreStop s2#0, PreStop s3#0, [wake at 40s]
         11s: [wake at 40s]
         12s: [wake at 40s]
         15s: stop s3#0 until 40s, [wake at 40s]
         16s: stop s2#0 until 40s, [wake at 40s]
         17s: stop s1#0 until 40s, [wake at 50s]
         18s: release pod",
    );
}

/// 5.18, 5.19, 5.20, 5.21: who was killed at the end of the grace, and what becomes of the pod by that.
#[test]
fn acceptance_5_18_to_5_21_the_phase_is_that_of_the_regular_containers() {
    for (hooks, hangs, codes, phase) in [
        (&[][..], &[][..], (0, 137), "Failed: s1 terminated Completed 0"),
        (&[], &[], (137, 0), "Succeeded: s1 terminated Error 137"),
        (&["c"], &["PreStop c#0"], (0, 137), "Failed: s1 terminated Completed 0"),
        (&["s1"], &["PreStop s1#0"], (137, 0), "Succeeded: s1 terminated Error 137"),
    ] {
        let pod = hooked(of(NEVER, &["s1", "c"]), hooks);
        let (sidecar, main) = codes;
        let mut node = Node::new(BackOff::default(), 0);
        let mut play = |at, event| {
            let mut queue = VecDeque::from([event]);
            while let Some(event) = queue.pop_front() {
                let actions = node.step(now(at), event).actions.into_iter();
                let actions = actions.filter(|action| {
                    let name = show(action);
                    !hangs.contains(&name.as_str()) && !REMOVAL.contains(&name.as_str())
                });
                queue.extend(actions.map(|action| Event::Done { result: Ok(learnt(&action, at)), action }));
            }
        };
        play(0, Event::ManifestSet(Arc::new(pod)));
        play(10, gone("web"));
        play(40, Event::Tick);
        play(42, exit_of("c", 42, 0, main));
        play(42, exit_of("s1", 42, 0, sidecar));
        let facts = node.all().next().unwrap();
        let seen = shown(facts, &BackOff::default());
        assert!(seen.starts_with(phase) && seen.contains(&format!(" {main} ")), "{seen}");
    }
}

/// And its late answer counts for nothing.
#[test]
fn acceptance_5_25_the_liveness_of_a_sidecar_is_not_asked_while_its_pod_ends() {
    let mut pod = of(ON_FAILURE, &["s1", "c"]);
    pod.containers[0].probes = Probes { liveness: Some(probe()), ..Probes::default() };
    let pod = hooked(pod, &["c"]);
    check(
        vec![
            (0, Hangs(Event::ManifestSet(Arc::new(pod)), &["probe liveness s1#0"])),
            (5, Hangs(gone("web"), &["PreStop c#0"])),
            (6, Ends("probe liveness s1#0", Err(Reason::Unhealthy))),
            tick(10),
            tick(20),
            (30, Ends("PreStop c#0", Ok(()))),
            exited(31, "c", 0, 0),
            exited(32, "s1", 0, 0),
        ],
        "0s: start pod, pull, start s1#0, probe liveness s1#0, pull, start c#0, [wake at 10s]
         5s: PreStop c#0, [wake at 35s]
         6s: [wake at 35s]
         10s: [wake at 35s]
         20s: [wake at 35s]
         30s: stop c#0 until 35s, [wake at 35s]
         31s: stop s1#0 until 35s, [wake at 45s]
         32s: remove pod",
    );
}
