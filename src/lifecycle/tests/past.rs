//! Stories of what is late, of another sandbox, of an earlier run or of a dead agent; and of what is told of all that.

use super::published::probe;
use super::*;
use crate::spec::{Probe, RestartAction, RestartRule};

fn tick(at: u64) -> (u64, Told) {
    (at, Happens(Event::Tick))
}

fn named(uid: &str, policy: RestartPolicy) -> Event {
    Event::ManifestSet(pod(uid, uid, policy))
}

/// Two containers, of which `c` asks with 42 that both begin anew.
fn in_rounds() -> Event {
    let mut pod = Pod::clone(&pod("web", "web", ALWAYS));
    pod.containers.push(Container { name: "d".into(), ..pod.containers[0].clone() });
    let action = RestartAction::RestartAllContainers;
    pod.containers[0].restart_rules = vec![RestartRule { exit_codes: vec![42], not: false, action }];
    Event::ManifestSet(Arc::new(pod))
}

fn d_exited(at: u64, attempt: u32) -> (u64, Told) {
    let end = RunEnd { container: "d".into(), ..end(at, attempt, 137, 1) };
    (at, Happens(Event::Exited { uid: Uid("web".into()), sandbox: 0, end }))
}

#[test]
fn a_pod_is_over_though_another_is_just_being_started() {
    check(
        vec![
            (0, Happens(web(RestartPolicy::Never))),
            (1, Hangs(named("b", ALWAYS), &["pull b"])),
            exited(2, 0, 0),
            (3, Shown),
        ],
        "0s: start pod, pull, start c#0
         1s: start pod b, pull b
         2s: release pod
         3s: Pending: c waiting ContainerCreating restarts 0, Succeeded: c terminated Completed 0 restarts 0",
    );
}

#[test]
fn who_is_killed_for_a_round_has_no_back_off_of_it() {
    check(
        vec![
            (0, Happens(in_rounds())),
            exited(1, 0, 42),
            d_exited(2, 0),
            exited(3, 1, 42),
            d_exited(4, 1),
            tick(13),
            exited(14, 2, 42),
            d_exited(15, 2),
            d_exited(16, 3),
        ],
        "0s: start pod, pull, pull, start c#0, start d#0
         1s: stop d#0 until 0s
         2s: pull, pull, start c#1, start d#1
         3s: stop d#1 until 0s
         4s: pull, start d#2, [wake at 13s]
         13s: pull, start c#2
         14s: stop d#2 until 0s
         15s: pull, start d#3, [wake at 34s]
         16s: pull, start d#4, [wake at 34s]",
    );
}

#[test]
fn the_late_end_of_a_stop_says_nothing_of_the_next_run() {
    check(
        vec![
            (0, Happens(in_rounds())),
            (1, Hangs(exit_in(0, 1, 0, 42, 1), &["stop d#0 until 0s"])),
            d_exited(2, 0),
            (3, Ends("stop d#0 until 0s", Ok(()))),
            (4, Happens(gone("web"))),
        ],
        "0s: start pod, pull, pull, start c#0, start d#0
         1s: stop d#0 until 0s
         2s: pull, pull, start c#1, start d#1
         3s:
         4s: stop c#1 until 34s, stop d#1 until 34s, [wake at 44s]",
    );
}

#[test]
fn an_order_to_go_down_is_carried_out_when_the_last_pod_is_gone() {
    let mut node = Node::new(BackOff::default(), 0);
    assert!(!node.is_going_down() && !node.is_down(), "an empty node is not down");
    settle(&mut node, 0, web(ALWAYS));
    settle(&mut node, 1, Event::Down);
    assert!(node.is_going_down() && !node.is_down(), "something is there");
    settle(&mut node, 2, exit_in(0, 2, 0, 143, 2));
    assert!(node.is_going_down() && node.is_down());
}

/// The directory has no two; this is the net below it.
#[test]
fn a_second_pod_of_one_name_waits_until_the_first_is_gone() {
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            (1, Happens(Event::ManifestSet(pod("web2", "web", ALWAYS)))),
            (2, Happens(gone("web"))),
            exited(3, 0, 0),
        ],
        "0s: start pod, pull, start c#0
         1s:
         2s: stop c#0 until 32s, [wake at 42s]
         3s: remove pod, start pod web2, pull web2, start web2 c#0",
    );
}

#[test]
fn a_pod_that_ends_when_the_agent_dies_is_removed_by_the_next() {
    check(
        vec![(0, Happens(web(ALWAYS))), (1, Happens(gone("web"))), (2, Dies(|_| ())), exited(3, 0, 143)],
        "0s: start pod, pull, start c#0
         1s: stop c#0 until 31s, [wake at 41s]
         2s: [wake at 41s]
         3s: remove pod",
    );
    // Put back while nobody was there.
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            (1, Happens(gone("web"))),
            (2, Dies(|found| found.wanted = true)),
            exited(3, 0, 143),
        ],
        "0s: start pod, pull, start c#0
         1s: stop c#0 until 31s, [wake at 41s]
         2s: [wake at 41s]
         3s: remove pod but logs, start pod ', pull ', start 'c#1",
    );
}

#[test]
fn back_off_is_told_of_a_crash_loop_and_of_nothing_else() {
    let told = "Pulled: present xN, Created: Created container c xN, Started: Started container c xN";
    let told = |n: u32| told.replace('N', &n.to_string());
    let back_off = "BackOff: Back-off restarting failed container c in pod web_default(web)";
    let both = told(2);
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            exited(1, 0, 1),
            (1, Seen(events)),
            exited(2, 1, 1),
            (2, Seen(events)),
        ],
        &format!(
            "{BEGUN}
             1s: pull, start c#1
             1s: {both}
             2s: [wake at 12s]
             2s: {both}, {back_off}, [wake at 12s]"
        ),
    );
    // Told twice it counts once.
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            exited(1, 0, 1),
            exited(2, 1, 1),
            exited(2, 1, 1),
            tick(12),
            exited(13, 2, 1),
            (13, Seen(events)),
        ],
        &format!(
            "{BEGUN}
             1s: pull, start c#1
             2s: [wake at 12s]
             2s: [wake at 12s]
             12s: pull, start c#2
             13s: [wake at 33s]
             13s: {}, {back_off} x2, [wake at 33s]",
            told(3)
        ),
    );
    // It does not run again, by its policy.
    check(
        vec![
            (0, Happens(web(RestartPolicy::OnFailure))),
            exited(1, 0, 1),
            exited(2, 1, 0),
            (2, Seen(events)),
        ],
        &format!("{BEGUN}\n1s: pull, start c#1\n2s: release pod\n2s: {both}"),
    );
    // Nor does a pod that ends.
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            exited(1, 0, 1),
            (2, Happens(gone("web"))),
            (3, Hangs(exit_in(0, 3, 1, 1, 1), &["remove pod"])),
            (3, Seen(events)),
        ],
        &format!(
            "{BEGUN}
             1s: pull, start c#1
             2s: stop c#1 until 32s, [wake at 42s]
             3s: remove pod
             3s: {both}, Killing: Stopping container c"
        ),
    );
    // After a long run it is none.
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            exited(1, 0, 1),
            (700, Happens(exit_in(0, 700, 1, 1, 699))),
            (700, Seen(events)),
        ],
        &format!("{BEGUN}\n1s: pull, start c#1\n700s: pull, start c#2\n700s: {}", told(3)),
    );
}

/// Of a run whose start the dead agent did not hear the end of.
#[test]
fn a_run_is_adopted_with_its_image_and_its_age() {
    let mut node = Node::new(BackOff::default(), 0);
    let mut asked = Pod::clone(&pod("web", "web", ALWAYS));
    asked.containers[0].probes.readiness =
        probe().map(|probe| Probe { initial_delay: Duration::from_secs(30), ..probe });
    let mut event = Event::ManifestSet(Arc::new(asked));
    for _ in ["start pod", "pull"] {
        let action = node.step(now(0), event).actions.remove(0);
        event = Event::Done { result: Ok(learnt(&action, 0)), action };
    }
    node.step(now(0), event);
    let mut found = adopted(node.all().next().unwrap(), |_| ());
    let started = now(1).wall;
    let since = now(1).boot;
    found.running = vec![Running { container: "c".into(), attempt: 0, started, since, stopping: false }];
    let mut next = Node::new(BackOff::default(), 0);
    next.step(now(2), Event::Found(Box::new(found)));
    assert_eq!(next.next_deadline(), Some(since + Duration::from_secs(30)), "it is asked in its time");
    let facts = next.all().next().unwrap();
    let status = status(facts, &BackOff::default(), None);
    assert_eq!(status.containers[0].image_id, "sha256:1");
    assert_eq!(status.containers[0].state, ContainerState::Running { started });
}

/// What the logs tell of runs when a sandbox comes up.
fn logs(next: u32) -> Learnt {
    Learnt::Pod { addresses: Vec::new(), attempts: BTreeMap::from([("c".to_owned(), next)]) }
}

#[test]
fn numbers_begin_above_the_logs_that_are_there_and_of_those_runs_nothing_is_told() {
    check(
        vec![(0, Hangs(web(ALWAYS), &["start pod"])), (1, Teaches("start pod", logs(6))), (2, Shown)],
        "0s: start pod
         1s: pull, start c#6
         2s: Running: c running ready restarts 6",
    );
}

#[test]
fn how_a_run_ended_is_still_told_in_another_sandbox() {
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            exited(1, 0, 1),
            exited(2, 1, 3),
            (3, Hangs(lost(0), &["start pod '"])),
            (4, Teaches("start pod '", logs(2))),
            (12, Happens(Event::Tick)),
            (12, Shown),
        ],
        "0s: start pod, pull, start c#0
         1s: pull, start c#1
         2s: [wake at 12s]
         3s: clean pod, start pod '
         4s: [wake at 12s]
         12s: pull ', start 'c#2
         12s: Running: c running after Error 3 ready restarts 2",
    );
}

#[test]
fn what_was_known_of_a_run_is_not_held_of_the_next() {
    let mut asked = Pod::clone(&pod("web", "web", ALWAYS));
    asked.containers[0].probes.readiness =
        probe().map(|probe| Probe { initial_delay: Duration::from_secs(30), ..probe });
    check(
        vec![
            (0, Happens(Event::ManifestSet(Arc::new(asked)))),
            (30, Happens(Event::Tick)),
            (31, Shown),
            (
                32,
                Dies(|found| {
                    (found.running[0].attempt, found.running[0].since) = (1, now(32).boot);
                    found.ended = vec![end(32, 0, 1, 1)];
                }),
            ),
            (32, Shown),
        ],
        "0s: start pod, pull, start c#0, [wake at 30s]
         30s: probe readiness c#0, [wake at 40s]
         31s: Running: c running ready restarts 0, [wake at 40s]
         32s: [wake at 62s]
         32s: Running: c running after Error 1 restarts 1, [wake at 62s]",
    );
}

#[test]
fn a_sandbox_that_lived_long_ends_the_back_off_of_its_pod() {
    check(
        vec![
            (1000, Happens(web(ALWAYS))),
            (1001, Happens(lost(0))),
            (1002, Happens(lost(1))),
            (1012, Happens(Event::Tick)),
            (1611, Happens(lost(2))),
            (1621, Happens(Event::Tick)),
            (2300, Happens(lost(3))),
        ],
        "1000s: start pod, pull, start c#0
         1001s: clean pod, start pod ', pull ', start 'c#1
         1002s: clean pod ', [wake at 1012s]
         1012s: start pod '', pull '', start ''c#2
         1611s: clean pod '', [wake at 1631s]
         1621s: [wake at 1631s]
         2300s: start pod ''', pull ''', start '''c#3",
    );
}
