//! Stories of pods that want the same port, and of nodes that are too small.

use std::sync::Arc;
use std::time::Duration;

use super::{ALWAYS, Ends, Fails, Hangs, Happens, Shown, Told, check, end, gone, now, pod, settle};
use crate::api::Amounts;
use crate::lifecycle::{Action, BackOff, Event, Facts, Found, Node, status};
use crate::spec::{Bytes, HostPort, Millicores, Pod, Protocol, Resources, RestartPolicy, Uid};
use crate::status::{Event as Happened, Phase, Reason};

/// A pod that wants TCP 80 of the node.
fn on_80(uid: &str, name: &str, priority: i32) -> Arc<Pod> {
    let port = HostPort { address: None, protocol: Protocol::Tcp, port: 80, container: 80 };
    Arc::new(Pod { host_ports: vec![port], priority, ..(*pod(uid, name, ALWAYS)).clone() })
}

fn set(uid: &str, name: &str, priority: i32) -> Told {
    Happens(Event::ManifestSet(on_80(uid, name, priority)))
}

fn exit_of(uid: &str, at: u64) -> Told {
    Happens(Event::Exited { uid: Uid(uid.into()), sandbox: 0, end: end(at, 0, 0, at) })
}

#[test]
fn acceptance_1_28_who_wants_a_port_that_is_taken_waits_and_starts_when_it_is_free() {
    check(
        vec![
            (0, set("web", "web", 0)),
            (1, set("b", "b", 0)),
            (2, Shown),
            (100, Happens(Event::Tick)),
            (105, Happens(gone("web"))),
            (106, exit_of("web", 106)),
        ],
        "0s: start pod, pull, start c#0
         1s:
         2s: Pending (NodePorts): c waiting NodePorts restarts 0, Running: c running ready restarts 0
         100s:
         105s: stop c#0 until 135s, [wake at 145s]
         106s: remove pod, start pod b, pull b, start b c#0",
    );
}

#[test]
fn acceptance_1_14_an_edited_pod_gets_its_own_port_before_all_who_wait_for_it() {
    check(
        vec![
            (0, set("web", "web", 0)),
            (1, set("a", "a", 1000)),
            (5, Happens(gone("web"))),
            (5, set("web2", "web", 0)),
            (9, exit_of("web", 9)),
            (10, Happens(gone("web2"))),
            (11, exit_of("web2", 11)),
        ],
        "0s: start pod, pull, start c#0
         1s:
         5s: stop c#0 until 35s, [wake at 45s]
         5s: [wake at 45s]
         9s: remove pod, start pod web2, pull web2, start web2 c#0
         10s: stop web2 c#0 until 40s, [wake at 50s]
         11s: remove pod web2, start pod a, pull a, start a c#0",
    );
}

#[test]
fn an_edit_that_wants_another_pods_port_comes_before_nobody() {
    let moved = |uid: &str, port: u16| {
        let port = HostPort { address: None, protocol: Protocol::Tcp, port, container: 80 };
        let pod = Pod { host_ports: vec![port], ..(*pod(uid, "a", ALWAYS)).clone() };
        Happens(Event::ManifestSet(Arc::new(pod)))
    };
    check(
        vec![
            (0, set("web", "web", 0)),
            (0, moved("a", 81)),
            (1, set("z", "z", 5)),
            (2, Happens(gone("a"))),
            (2, moved("a2", 80)),
            (3, exit_of("a", 3)),
            (4, Happens(gone("web"))),
            (5, exit_of("web", 5)),
        ],
        "0s: start pod, pull, start c#0
         0s: start pod a, pull a, start a c#0
         1s:
         2s: stop a c#0 until 32s, [wake at 42s]
         2s: [wake at 42s]
         3s: remove pod a
         4s: stop c#0 until 34s, [wake at 44s]
         5s: remove pod, start pod z, pull z, start z c#0",
    );
}

/// Its process may come up yet, and would find another on its port.
#[test]
fn a_pod_that_is_over_has_its_ports_while_a_start_of_it_is_under_way() {
    let mut late = Pod::clone(&on_80("web", "web", 0));
    late.active_deadline = Some(Duration::from_secs(60));
    check(
        vec![
            (0, Hangs(Event::ManifestSet(Arc::new(late)), &["start c#0"])),
            (1, set("b", "b", 0)),
            (60, Happens(Event::Tick)),
            (61, Ends("start c#0", Ok(()))),
            (62, exit_of("web", 62)),
        ],
        "0s: start pod, pull, start c#0, [wake at 60s]
         1s: [wake at 60s]
         60s:
         61s: stop c#0 until 90s, [wake at 100s]
         62s: release pod, start pod b, pull b, start b c#0",
    );
}

#[test]
fn a_port_that_comes_free_goes_to_the_most_important_and_else_by_name() {
    for (least, expected) in [(0, "a"), (-1, "b")] {
        let end = format!("106s: remove pod, start pod {expected}, pull {expected}, start {expected} c#0");
        check(
            vec![
                (0, set("web", "web", 0)),
                (1, set("c", "c", 0)),
                (1, set("b", "b", 0)),
                (1, set("a", "a", least)),
                (105, Happens(gone("web"))),
                (106, exit_of("web", 106)),
            ],
            &format!("{}\n1s:\n1s:\n1s:\n105s: stop c#0 until 135s, [wake at 145s]\n{end}", super::BEGUN),
        );
    }
}

#[test]
fn a_port_of_another_protocol_or_of_a_pod_that_is_over_is_free() {
    let udp = HostPort { address: None, protocol: Protocol::Udp, port: 80, container: 80 };
    let once = Pod { restart_policy: RestartPolicy::Never, ..(*on_80("web", "web", 0)).clone() };
    let other = Pod { host_ports: vec![udp], ..(*on_80("u", "u", 0)).clone() };
    check(
        vec![
            (0, Happens(Event::ManifestSet(Arc::new(once)))),
            (1, Happens(Event::ManifestSet(Arc::new(other)))),
            (2, set("b", "b", 0)),
            (3, exit_of("web", 3)),
        ],
        "0s: start pod, pull, start c#0
         1s: start pod u, pull u, start u c#0
         2s:
         3s: release pod, start pod b, pull b, start b c#0",
    );
}

#[test]
fn orders_to_restart_give_nobody_a_port_and_take_none_away() {
    let restart = |uid: &str| Happens(Event::Restart(Uid(uid.into())));
    check(
        vec![
            (0, set("web", "web", 0)),
            (1, set("b", "b", 0)),
            (2, set("a", "a", 7)),
            (3, restart("b")),
            (4, restart("web")),
            (5, exit_of("web", 5)),
            (6, Happens(gone("web"))),
            (7, Happens(Event::Exited { uid: Uid("web".into()), sandbox: 1, end: end(7, 1, 0, 1) })),
        ],
        "0s: start pod, pull, start c#0
         1s:
         2s:
         3s: remove pod b but logs
         4s: stop c#0 until 34s, [wake at 44s]
         5s: remove pod but logs, start pod ', pull ', start 'c#1
         6s: stop 'c#1 until 36s, [wake at 46s]
         7s: remove pod ', start pod a, pull a, start a c#0",
    );
}

/// Whoever has its port keeps the reason why it does not come up, and looks again when that is cured.
#[test]
fn a_pod_that_has_its_port_and_lacks_a_volume_waits_for_the_volume() {
    let event = Event::ManifestSet(on_80("web", "web", 0));
    check(
        vec![(0, Fails(event, &[("start pod", Reason::FailedMount)])), (0, Happens(Event::DocumentsChanged))],
        "0s: start pod, [wake at 1s]
         0s: start pod, pull, start c#0",
    );
}

/// What a node knows after `pods` were asked for, one after the other.
fn after(allocatable: Option<Amounts>, pods: &[Arc<Pod>]) -> Node {
    let mut node = Node::new(BackOff::default(), 0);
    let sets = pods.iter().map(|pod| Event::ManifestSet(pod.clone()));
    for event in allocatable.map(Event::Allocatable).into_iter().chain(sets) {
        settle(&mut node, 0, event);
    }
    node
}

fn warnings(node: &Node, uid: &str) -> Vec<Happened> {
    let all = node.facts(&Uid(uid.into())).unwrap().history.all().to_vec();
    all.into_iter().filter(|event| event.kind == crate::status::EventKind::Warning).collect()
}

#[test]
fn who_waits_for_a_port_is_told_which_and_whose_once() {
    let mut node = after(None, &[on_80("web", "web", 0), on_80("b", "b", 0)]);
    for at in 1..5 {
        assert!(
            node.step(now(at), Event::Tick).changed.is_empty(),
            "nothing is written while nothing happens"
        );
    }
    let facts = node.facts(&Uid("b".into())).unwrap();
    let status = status(facts, &BackOff::default(), None);
    assert_eq!((status.phase, status.reason), (Phase::Pending, Some(Reason::NodePorts)));
    let why = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports: TCP 80 is taken by \
               pod default/web";
    assert_eq!(status.message, why);
    let events = warnings(&node, "b");
    assert_eq!(
        (events.len(), events[0].reason, &*events[0].message, events[0].count),
        (1, Reason::NodePorts, why, 1)
    );
    node.step(now(6), gone("web"));
    assert!(warnings(&node, "web").is_empty());
}

#[test]
fn the_next_agent_knows_who_has_a_port_and_who_waits() {
    let node = after(None, &[on_80("web", "web", 0), on_80("b", "b", 5)]);
    let mut next = Node::new(BackOff::default(), 0);
    for uid in ["web", "b"] {
        let facts = node.facts(&Uid(uid.into())).unwrap();
        let written = serde_json::to_string(facts).unwrap();
        let facts = Facts { pod: facts.pod.clone(), ..serde_json::from_str(&written).unwrap() };
        let alive = (uid == "web").then_some(0);
        let found = Found { facts, alive, running: vec![], ended: vec![], wanted: true, jitter: 0 };
        let actions = next.step(now(9), Event::Found(Box::new(found))).actions;
        assert!(actions.is_empty(), "{actions:?}");
    }
    let waits = |node: &Node| node.facts(&Uid("b".into())).unwrap().waits_for_port();
    assert!(waits(&next));
    settle(&mut next, 9, gone("web"));
    assert!(waits(&next), "until the other is wholly gone");
    let actions = settle(&mut next, 50, Event::Tick);
    assert!(
        matches!(&actions[..2], [Action::RemovePod { .. }, Action::StartPod { uid, .. }] if uid.0 == "b"),
        "{actions:?}"
    );
}

/// A pod that asks for so much.
fn large(name: &str, priority: i32, cpu: u64, memory: u64) -> Arc<Pod> {
    let mut pod = (*pod(name, name, ALWAYS)).clone();
    pod.priority = priority;
    pod.containers[0].resources = Resources {
        cpu_request: Some(Millicores(cpu)),
        memory_request: Some(Bytes(memory)),
        ..Resources::default()
    };
    Arc::new(pod)
}

#[test]
fn of_what_does_not_fit_the_least_important_are_told_once_and_all_run() {
    let allocatable = Some(Amounts { cpu_milli: 1000, memory: 1000, storage: 0 });
    let pods = [large("a", 5, 600, 10), large("b", 0, 500, 0), large("c", 9, 400, 991), large("d", 0, 0, 0)];
    let mut node = after(allocatable, &pods);
    let told = |node: &Node| -> Vec<String> {
        let of =
            |name: &&str| warnings(node, name).into_iter().map(move |event| (event.reason, event.message));
        let told = ["a", "b", "c", "d"].into_iter().flat_map(|name| of(&name).map(move |it| (name, it)));
        told.map(|(name, (reason, message))| format!("{name} {reason}: {message}")).collect()
    };
    let expected = [
        "a OutOfmemory: Node didn't have enough resource: memory, requested: 10, used: 991, capacity: 1000; a static pod \
         runs all the same",
        "b OutOfcpu: Node didn't have enough resource: cpu, requested: 500, used: 600, capacity: 1000; a static pod runs all \
         the same",
    ];
    assert_eq!(told(&node), expected);
    assert!(node.all().all(|facts| facts.containers.iter().all(|known| known.is_running())));
    node.step(now(3), gone("c"));
    node.step(now(4), Event::ManifestSet(large("e", 9, 400, 991)));
    assert_eq!(told(&node), expected, "once");
    assert!(node.next_deadline().is_some_and(|at| Duration::from_secs(3) < at));
    assert!(warnings(&after(None, &pods), "b").is_empty(), "where nobody knows what there is");
}

#[test]
fn what_is_told_of_ports_and_amounts_is_published() {
    let mut node = after(None, &[on_80("web", "web", 0), on_80("a", "a", 7), on_80("b", "b", 0)]);
    let changed = |node: &mut Node, at: u64, event: Event| {
        node.step(now(at), event).changed.into_iter().map(|uid| uid.0).collect::<Vec<_>>()
    };
    let why = |node: &Node| warnings(node, "b").pop().unwrap().message;
    assert!(why(&node).ends_with("TCP 80 is taken by pod default/web"), "{}", why(&node));
    settle(&mut node, 1, gone("web"));
    let end = end(2, 0, 0, 2);
    let exited = Event::Exited { uid: Uid("web".into()), sandbox: 0, end };
    let action = node.step(now(2), exited).actions.remove(0);
    let removed = Event::Done { action, result: Ok(crate::lifecycle::Learnt::Done) };
    assert_eq!(changed(&mut node, 3, removed), ["a", "b"]);
    assert!(why(&node).ends_with("TCP 80 is taken by pod default/a"), "{}", why(&node));

    let mut node = after(None, &[large("a", 0, 500, 0), large("b", 0, 600, 0)]);
    let small = || Event::Allocatable(Amounts { cpu_milli: 1000, memory: 1000, storage: 0 });
    assert_eq!(changed(&mut node, 1, small()), ["b"]);
    assert!(changed(&mut node, 2, small()).is_empty());
}
