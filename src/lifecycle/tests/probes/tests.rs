//! The stories.

use super::*;

#[test]
fn acceptance_7_01_not_ready_before_the_initial_delay() {
    check(
        readiness(probe(30, 10, 3)),
        vec![(29, Tick), (29, Shown), (30, Tick), (31, Good(Readiness)), (31, Shown), (40, Tick)],
        &format!(
            "0s: {BEGUN}, written, [wake at 30s]
             29s: [wake at 30s]
             29s: Running: c running restarts 0, [wake at 30s]
             30s: probe readiness c#0
             31s: written, [wake at 40s]
             31s: Running: c running ready restarts 0, [wake at 40s]
             40s: probe readiness c#0"
        ),
    );
}

#[test]
fn acceptance_7_02_a_readiness_that_always_fails_is_never_ready_and_restarts_nothing() {
    let mut told = Vec::new();
    let mut expected = format!("0s: {BEGUN}, written, probe readiness c#0\n");
    for n in 0..6 {
        told.extend([(n * 10, Bad(Readiness)), (n * 10 + 10, Tick)]);
        // The first three are told, then each time that they have doubled.
        let written = if n < 4 { "written, " } else { "" };
        writeln!(expected, "{}s: {written}[wake at {}s]", n * 10, n * 10 + 10).unwrap();
        writeln!(expected, "{}s: probe readiness c#0", n * 10 + 10).unwrap();
    }
    told.extend([(60, Shown), (60, Events)]);
    expected += "60s: Running: c running restarts 0
                 60s: Unhealthy Readiness probe failed: so x4";
    check(readiness(probe(0, 10, 3)), told, &expected.replace(", written, probe", ", probe"));
}

#[test]
fn acceptance_7_03_a_liveness_that_fails_ends_the_run_and_the_next_begins() {
    check(
        liveness(ALWAYS, probe(15, 10, 2)),
        vec![
            (15, Tick),
            (15, Bad(Liveness)),
            (25, Tick),
            (26, Bad(Liveness)),
            (30, Tick),
            exits(31, 0, 143),
            (31, Shown),
            (31, Events),
        ],
        &format!(
            "0s: {BEGUN}, written, [wake at 15s]
             15s: probe liveness c#0
             15s: written, [wake at 25s]
             25s: probe liveness c#0
             26s: stop c#0 until 56s, written
             30s:
             31s: pull, start c#1, written, [wake at 46s]
             31s: Running: c running after Error 143 ready restarts 1, [wake at 46s]
             31s: Unhealthy Liveness probe failed: so x2, Killing Container c failed liveness probe, will be restarted x1, [wake at 46s]"
        ),
    );
}

#[test]
fn acceptance_7_04_a_liveness_that_succeeds_writes_nothing() {
    check(
        liveness(ALWAYS, probe(0, 10, 1)),
        vec![(1, Good(Liveness)), (10, Tick), (11, Good(Liveness)), (20, Tick)],
        &format!(
            "0s: {BEGUN}, probe liveness c#0
             1s: [wake at 10s]
             10s: probe liveness c#0
             11s: [wake at 20s]
             20s: probe liveness c#0"
        ),
    );
}

#[test]
fn failures_count_in_a_row_only() {
    check(
        liveness(ALWAYS, probe(0, 10, 2)),
        vec![
            (0, Bad(Liveness)),
            (10, Tick),
            (10, Good(Liveness)),
            (20, Tick),
            (20, Bad(Liveness)),
            (30, Tick),
            (30, Error(Liveness)),
            (40, Tick),
            (40, Shown),
        ],
        &format!(
            "0s: {BEGUN}, probe liveness c#0
             0s: written, [wake at 10s]
             10s: probe liveness c#0
             10s: [wake at 20s]
             20s: probe liveness c#0
             20s: written, [wake at 30s]
             30s: probe liveness c#0
             30s: written, [wake at 40s]
             40s: probe liveness c#0
             40s: Running: c running ready restarts 0"
        ),
    );
}

#[test]
fn errors_in_a_row_are_told_each_time_that_they_have_doubled() {
    let (mut told, mut expected) = (Vec::new(), format!("0s: {BEGUN}, probe liveness c#0\n"));
    for n in 0..5 {
        told.extend([(n * 10, Error(Liveness)), (n * 10 + 10, Tick)]);
        let written = if [0, 1, 3].contains(&n) { "written, " } else { "" };
        writeln!(expected, "{}s: {written}[wake at {}s]", n * 10, n * 10 + 10).unwrap();
        writeln!(expected, "{}s: probe liveness c#0", n * 10 + 10).unwrap();
    }
    check(liveness(ALWAYS, probe(0, 10, 1)), told, &expected);
}

/// The third in a row would not be told.
#[test]
fn errors_count_in_a_row_only() {
    for (between, told) in [(Good(Liveness), ""), (Bad(Liveness), "written, ")] {
        let error = || Error(Liveness);
        check(
            liveness(ALWAYS, probe(0, 10, 2)),
            vec![
                (0, error()),
                (10, Tick),
                (11, error()),
                (20, Tick),
                (21, between),
                (30, Tick),
                (31, error()),
            ],
            &format!(
                "0s: {BEGUN}, probe liveness c#0
                 0s: written, [wake at 10s]
                 10s: probe liveness c#0
                 11s: written, [wake at 20s]
                 20s: probe liveness c#0
                 21s: {told}[wake at 30s]
                 30s: probe liveness c#0
                 31s: written, [wake at 40s]"
            ),
        );
    }
}

#[test]
fn successes_count_in_a_row_only_and_readiness_flips_both_ways() {
    let two = probe(0, 10, 1).map(|probe| Probe { success_threshold: 2, ..probe });
    let tick = |at| (at, Tick);
    check(
        readiness(two),
        vec![
            (0, Good(Readiness)),
            tick(10),
            (10, Bad(Readiness)),
            tick(20),
            (20, Good(Readiness)),
            tick(30),
            (30, Good(Readiness)),
            (30, Shown),
            tick(40),
            (40, Bad(Readiness)),
            (40, Shown),
        ],
        &format!(
            "0s: {BEGUN}, probe readiness c#0
             0s: [wake at 10s]
             10s: probe readiness c#0
             10s: written, [wake at 20s]
             20s: probe readiness c#0
             20s: [wake at 30s]
             30s: probe readiness c#0
             30s: written, [wake at 40s]
             30s: Running: c running ready restarts 0, [wake at 40s]
             40s: probe readiness c#0
             40s: written, [wake at 50s]
             40s: Running: c running restarts 0, [wake at 50s]"
        ),
    );
}

#[test]
fn acceptance_7_11_a_warning_is_a_success_that_is_told_once() {
    check(
        liveness(ALWAYS, probe(0, 10, 1)),
        vec![(0, Warned(Liveness)), (10, Tick), (10, Warned(Liveness)), (10, Events)],
        &format!(
            "0s: {BEGUN}, probe liveness c#0
             0s: written, [wake at 10s]
             10s: probe liveness c#0
             10s: [wake at 20s]
             10s: ProbeWarning Liveness probe warning: so x1, [wake at 20s]"
        ),
    );
}

#[test]
fn acceptance_7_12_a_startup_that_fails_three_times_ends_the_run() {
    check(
        with(ALWAYS, Probes { startup: probe(0, 10, 3), liveness: probe(0, 10, 3), readiness: None }),
        vec![
            (0, Bad(Startup)),
            (10, Tick),
            (10, Bad(Startup)),
            (20, Tick),
            (20, Bad(Startup)),
            (21, Events),
            exits(22, 0, 0),
        ],
        &format!(
            "0s: {BEGUN}, probe startup c#0
             0s: written, [wake at 10s]
             10s: probe startup c#0
             10s: written, [wake at 20s]
             20s: probe startup c#0
             20s: stop c#0 until 50s, written
             21s: Unhealthy Startup probe failed: so x3, Killing Container c failed startup probe, will be restarted x1
             22s: pull, start c#1, probe startup c#1"
        ),
    );
}

#[test]
fn acceptance_7_13_to_7_15_others_wait_for_the_startup_probe_and_then_begin_at_once() {
    check(
        with(
            ALWAYS,
            Probes { startup: probe(0, 10, 60), liveness: probe(0, 10, 1), readiness: probe(0, 30, 1) },
        ),
        vec![
            (0, Bad(Startup)),
            (10, Tick),
            (10, Shown),
            (12, Good(Startup)),
            (12, Shown),
            (12, Good(Readiness)),
            (12, Shown),
            (12, Bad(Liveness)),
        ],
        &format!(
            "0s: {BEGUN}, probe startup c#0
             0s: written, [wake at 10s]
             10s: probe startup c#0
             10s: Running: c running restarts 0
             12s: probe liveness c#0, probe readiness c#0
             12s: Running: c running restarts 0
             12s: written, [wake at 22s]
             12s: Running: c running ready restarts 0, [wake at 22s]
             12s: stop c#0 until 42s, written, [wake at 42s]"
        ),
    );
}

#[test]
fn acceptance_7_16_the_probes_own_grace_is_used_and_only_for_its_kill() {
    let own = probe(0, 10, 1).map(|probe| Probe { grace: Some(Duration::from_secs(5)), ..probe });
    check(
        liveness(ALWAYS, own.clone()),
        vec![(3, Bad(Liveness)), (4, Events)],
        &format!(
            "0s: {BEGUN}, probe liveness c#0
             3s: stop c#0 until 8s, written
             4s: Unhealthy Liveness probe failed: so x1, Killing Container c failed liveness probe, will be restarted x1"
        ),
    );
    check(
        liveness(ALWAYS, own),
        vec![removed(3)],
        &format!(
            "0s: {BEGUN}, probe liveness c#0
             3s: stop c#0 until 33s, written, [wake at 43s]"
        ),
    );
}

#[test]
fn acceptance_7_18_while_a_pod_ends_its_readiness_is_asked_and_its_liveness_is_not() {
    check(
        with(ALWAYS, Probes { startup: None, liveness: probe(0, 10, 1), readiness: probe(0, 10, 1) }),
        vec![
            (0, Good(Readiness)),
            (0, Good(Liveness)),
            removed(5),
            (10, Tick),
            (11, Bad(Readiness)),
            (11, Shown),
            exits(12, 0, 0),
        ],
        &format!(
            "0s: {BEGUN}, probe liveness c#0, probe readiness c#0
             0s: written, [wake at 10s]
             0s: [wake at 10s]
             5s: stop c#0 until 35s, written, [wake at 10s]
             10s: probe readiness c#0, [wake at 45s]
             11s: written, [wake at 20s]
             11s: Running: c running restarts 0, [wake at 20s]
             12s: remove pod"
        ),
    );
}

#[test]
fn a_late_liveness_of_a_pod_that_ends_counts_for_nothing() {
    check(
        liveness(ALWAYS, probe(0, 10, 1)),
        vec![removed(5), (6, Bad(Liveness)), (6, Events)],
        &format!(
            "0s: {BEGUN}, probe liveness c#0
             5s: stop c#0 until 35s, written, [wake at 45s]
             6s: [wake at 45s]
             6s: Killing Stopping container c x1, [wake at 45s]"
        ),
    );
}

#[test]
fn an_answer_of_an_older_run_counts_for_nothing() {
    check(
        readiness(probe(5, 10, 1)),
        vec![
            (5, Tick),
            exits(6, 0, 1),
            (7, Good(Readiness)),
            (7, Shown),
            (11, Tick),
            (12, Good(Readiness)),
            (12, Again),
            (12, Shown),
        ],
        &format!(
            "0s: {BEGUN}, written, [wake at 5s]
             5s: probe readiness c#0
             6s: pull, start c#1, written, [wake at 11s]
             7s: [wake at 11s]
             7s: Running: c running after Error 1 restarts 1, [wake at 11s]
             11s: probe readiness c#1
             12s: written, [wake at 21s]
             12s: [wake at 21s]
             12s: Running: c running after Error 1 ready restarts 1, [wake at 21s]"
        ),
    );
}

#[test]
fn a_probe_that_is_never_answered_holds_nothing_up() {
    check(
        readiness(probe(0, 10, 1)),
        vec![(10, Tick), (100, Tick), removed(101), exits(102, 0, 0)],
        &format!(
            "0s: {BEGUN}, probe readiness c#0
             10s:
             100s:
             101s: stop c#0 until 131s, written, [wake at 141s]
             102s: remove pod"
        ),
    );
}

#[test]
fn an_answer_from_a_lost_sandbox_counts_for_nothing() {
    let lost = Event::PodLost { uid: Uid("web".into()), sandbox: 0 };
    check(
        liveness(ALWAYS, probe(3, 10, 1)),
        vec![(3, Tick), (5, Other(lost)), (6, Bad(Liveness)), (6, Shown)],
        &format!(
            "0s: {BEGUN}, written, [wake at 3s]
             3s: probe liveness c#0
             5s: clean pod, start pod ', pull ', start 'c#1, written, [wake at 8s]
             6s: [wake at 8s]
             6s: Running: c running after ContainerStatusUnknown 137 ready restarts 1, [wake at 8s]"
        ),
    );
}

/// Runs of a second, so that back-off comes between them.
#[test]
fn acceptance_7_07_a_liveness_that_fails_for_ever_restarts_again_and_again() {
    let (mut told, mut expected, mut at) = (Vec::new(), format!("0s: {BEGUN}, probe liveness c#0"), 0);
    for run in 0..5 {
        let delay = [0, 10, 20, 40, 80][run];
        told.extend([(at + 1, Bad(Liveness)), exits(at + 2, run as u32, 143)]);
        expected += &format!("\n{}s: stop c#{run} until {}s, written", at + 1, at + 31);
        let next = format!("pull, start c#{0}, probe liveness c#{0}", run + 1);
        if delay == 0 {
            expected += &format!("\n{}s: {next}", at + 2);
        } else {
            told.push((at + 2 + delay, Tick));
            expected += &format!(
                "\n{}s: written, [wake at {}s]\n{}s: {next}",
                at + 2,
                at + 2 + delay,
                at + 2 + delay
            );
        }
        at += 2 + delay;
    }
    told.push((at, Shown));
    expected += &format!("\n{at}s: Running: c running after Error 143 ready restarts 5");
    check(liveness(ALWAYS, probe(0, 10, 1)), told, &expected);
}

#[test]
fn who_fails_its_liveness_is_restarted_whatever_its_exit_code_but_not_with_never() {
    let (on_failure, never) = (RestartPolicy::OnFailure, RestartPolicy::Never);
    check(
        liveness(on_failure, probe(0, 10, 1)),
        vec![(1, Bad(Liveness)), exits(2, 0, 0), (3, Good(Liveness)), exits(4, 1, 0), (5, Shown)],
        &format!(
            "0s: {BEGUN}, probe liveness c#0
             1s: stop c#0 until 31s, written
             2s: pull, start c#1, probe liveness c#1
             3s: [wake at 12s]
             4s: release pod, written
             5s: Succeeded: c terminated Completed 0 after Completed 0 restarts 1"
        ),
    );
    check(
        liveness(never, probe(0, 10, 1)),
        vec![(1, Bad(Liveness)), (1, Events), exits(2, 0, 143), (3, Shown)],
        &format!(
            "0s: {BEGUN}, probe liveness c#0
             1s: stop c#0 until 31s, written
             1s: Unhealthy Liveness probe failed: so x1, Killing Container c failed liveness probe x1
             2s: release pod, written
             3s: Failed: c terminated Error 143 restarts 0"
        ),
    );
}

/// What an agent wrote down of a pod that came up at 0 s, was asked, and answered well.
fn found(probes: Probes, answers: &[ProbeKind]) -> Found {
    let mut node = Node::new(BackOff::default(), 0);
    settle_as(&mut node, 0, Event::ManifestSet(with(ALWAYS, probes)), |action| match action {
        Action::Probe { kind, .. } if !answers.contains(kind) => None,
        _ => Some(Ok(learnt(action, 0))),
    });
    let facts = node.facts(&Uid("web".into())).unwrap().clone();
    let written = serde_json::to_string(&facts).unwrap();
    let facts = Facts { pod: facts.pod, ..serde_json::from_str(&written).unwrap() };
    let running = Running {
        container: "c".into(),
        attempt: 0,
        started: now(0).wall,
        since: Duration::ZERO,
        stopping: false,
    };
    Found { facts, alive: Some(0), running: vec![running], ended: Vec::new(), wanted: true, jitter: 7 }
}

#[test]
fn acceptance_7_19_the_next_agent_keeps_what_was_known_and_asks_some_time_later() {
    let all = Probes { startup: probe(0, 10, 1), liveness: probe(0, 10, 1), readiness: probe(0, 10, 1) };
    let found = Found { jitter: 7, ..found(all, &ProbeKind::ALL) };
    check_from(
        [(100, Other(Event::Found(Box::new(found)))), (100, Shown), (110, Tick)],
        "100s: written, [wake at 103s]
         100s: Running: c running ready restarts 0, [wake at 103s]
         110s: probe liveness c#0, probe readiness c#0",
    );
}

#[test]
fn acceptance_7_19_who_waits_for_an_answer_gets_it_from_the_next_agent_at_once() {
    let all = Probes { startup: probe(0, 10, 1), liveness: probe(0, 10, 1), readiness: probe(0, 10, 1) };
    let told = [
        (100, Other(Event::Found(Box::new(found(all, &[]))))),
        (100, Good(Startup)),
        (101, Good(Readiness)),
        (101, Shown),
    ];
    check_from(
        told,
        "100s: probe startup c#0
         100s: probe readiness c#0, [wake at 104s]
         101s: written, [wake at 104s]
         101s: Running: c running ready restarts 0, [wake at 104s]",
    );
}

/// A liveness that failed is not forgotten because the agent dies before the kill.
#[test]
fn a_kill_that_was_decided_is_carried_out_by_the_next_agent() {
    let mut found = found(Probes { liveness: probe(0, 10, 1), ..Probes::default() }, &[Liveness]);
    found.facts.containers[0].probed.failed = Some((Liveness, Duration::from_secs(90)));
    let written = serde_json::to_string(&found.facts).unwrap();
    found.facts = Facts { pod: found.facts.pod, ..serde_json::from_str(&written).unwrap() };
    check_from([(100, Other(Event::Found(Box::new(found))))], "100s: stop c#0 until 120s, written");
}

/// What an older agent wrote knows of no probes.
#[test]
fn facts_and_specs_from_before_probes_are_read() {
    let found = found(Probes::default(), &[]);
    let mut facts = serde_json::to_value(&found.facts).unwrap();
    facts["containers"][0].as_object_mut().unwrap().remove("probed").unwrap();
    let facts: Facts = serde_json::from_value(facts).unwrap();
    assert_eq!(facts.containers[0].probed, crate::lifecycle::probes::Probed::default());
    let mut spec = serde_json::to_value(&*found.facts.pod).unwrap();
    spec["containers"][0].as_object_mut().unwrap().remove("probes").unwrap();
    let spec: Pod = serde_json::from_value(spec).unwrap();
    assert_eq!(spec, *found.facts.pod);
}
