//! Stories of what is written down and published, and of events that are kept.

use super::published::set;
use super::*;
use crate::lifecycle::history::History;
use crate::spec::Hook;
use crate::status::EventKind;

/// Whose facts are to be written after `event`.
fn changed(node: &mut Node, at: u64, event: Event) -> Vec<String> {
    node.step(now(at), event).changed.into_iter().map(|uid| uid.0).collect()
}

#[test]
fn a_pod_is_gone_once_it_is_removed_and_changed_where_it_lives_again() {
    let remove = |node: &mut Node| {
        settle(node, 0, web(ALWAYS));
        settle(node, 1, gone("web"));
        let action = node.step(now(2), exit_in(0, 2, 0, 143, 2)).actions.remove(0);
        Event::Done { action, result: Ok(Learnt::Done) }
    };
    let web = || Uid("web".into());
    let mut node = Node::new(BackOff::default(), 0);
    let removed = remove(&mut node);
    assert_eq!(node.step(now(3), removed).gone, [web()]);
    assert!(node.step(now(4), Event::Tick).gone.is_empty(), "once");

    // Put back meanwhile, while no more pods may begin.
    let mut node = Node::new(BackOff::default(), 1);
    let removed = remove(&mut node);
    let first = Pod { priority: 1, ..(*pod("b", "b", ALWAYS)).clone() };
    node.step(now(2), set(first));
    node.step(now(2), super::web(ALWAYS));
    let step = node.step(now(3), removed);
    assert!(step.gone.is_empty() && step.changed.contains(&web()), "{step:?}");

    // Never begun.
    let mut node = Node::new(BackOff::default(), 1);
    node.step(now(0), Event::ManifestSet(pod("b", "b", ALWAYS)));
    let step = node.step(now(0), super::web(ALWAYS));
    assert!(step.actions.is_empty() && step.changed.contains(&web()), "who waits is published too: {step:?}");
    assert_eq!(node.step(now(1), gone("web")).gone, [web()]);
}

#[test]
fn what_an_agent_takes_over_and_what_is_to_end_is_written() {
    let mut node = Node::new(BackOff::default(), 0);
    assert_eq!(changed(&mut node, 100, found(ALWAYS, Some(0), &[0], &[], true)), ["web"]);
    assert!(changed(&mut node, 101, Event::Tick).is_empty());

    // It has nothing to stop yet.
    let mut node = Node::new(BackOff::default(), 0);
    node.step(now(0), web(ALWAYS));
    assert_eq!(changed(&mut node, 1, Event::Down), ["web"]);
}

#[test]
fn that_a_pod_begins_is_written_though_it_waited_for_another() {
    let mut node = Node::new(BackOff::default(), 1);
    let action = node.step(now(0), web(ALWAYS)).actions.remove(0);
    node.step(now(0), Event::ManifestSet(pod("b", "b", ALWAYS)));
    let step = node.step(now(1), Event::Done { result: Ok(learnt(&action, 1)), action });
    assert!(matches!(&*step.actions, [Action::StartPod { uid, .. }] if uid.0 == "b"), "{step:?}");
    assert!(step.changed.contains(&Uid("b".into())), "{step:?}");
}

#[test]
fn the_end_of_a_hook_is_written() {
    for hook in [Hook::Exec(Vec::new()), Hook::Sleep(Duration::from_secs(5))] {
        let mut pod = Pod::clone(&pod("web", "web", ALWAYS));
        pod.containers[0].hooks.post_start = Some(hook);
        let mut node = Node::new(BackOff::default(), 0);
        let begun = settle_as(&mut node, 0, set(pod), |action| match action {
            Action::Hook { .. } => None,
            _ => Some(Ok(learnt(action, 0))),
        });
        assert!(changed(&mut node, 4, Event::Tick).is_empty());
        let hook = begun.into_iter().find(|action| matches!(action, Action::Hook { .. }));
        let over = |action| Event::Done { action, result: Ok(Learnt::Done) };
        assert_eq!(changed(&mut node, 5, hook.map_or(Event::Tick, over)), ["web"]);
    }
}

#[test]
fn nothing_begins_any_more_where_all_is_to_end() {
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            (1, Happens(Event::Down)),
            (2, Happens(Event::ManifestSet(pod("b", "b", ALWAYS)))),
            exited(3, 0, 143),
        ],
        "0s: start pod, pull, start c#0
         1s: stop c#0 until 31s, [wake at 41s]
         2s: [wake at 41s]
         3s: remove pod but logs",
    );
}

#[test]
fn a_pod_process_that_dies_is_told_unless_it_is_being_removed() {
    check(
        vec![(0, Happens(web(ALWAYS))), (1, Hangs(lost(0), &["clean pod"])), (1, Seen(events))],
        "0s: start pod, pull, start c#0
         1s: clean pod
         1s: Pulled: present, Created: Created container c, Started: Started container c, SandboxChanged: Pod sandbox changed, it will be killed and re-created.",
    );
    check(
        vec![
            (0, Happens(web(ALWAYS))),
            (1, Happens(gone("web"))),
            (2, Hangs(exit_in(0, 2, 0, 143, 2), &["remove pod"])),
            (3, Happens(lost(0))),
            (3, Seen(events)),
            (4, Ends("remove pod", Err(Reason::Failed))),
            (5, Happens(Event::Tick)),
        ],
        "0s: start pod, pull, start c#0
         1s: stop c#0 until 31s, [wake at 41s]
         2s: remove pod
         3s:
         3s: Pulled: present, Created: Created container c, Started: Started container c, Killing: Stopping container c
         4s: [wake at 5s]
         5s: remove pod",
    );
}

#[test]
fn the_latest_48_events_are_kept_and_each_once() {
    let mut history = History::default();
    let mut note = |at: u64, message: u32| {
        history.note(now(at).wall, EventKind::Normal, Reason::Pulled, Some("c"), message.to_string());
    };
    (0..60).for_each(|message| note(100, message));
    note(200, 20);
    let all = history.all();
    assert_eq!((all.len(), &*all[0].message, &*all[46].message), (48, "12", "59"));
    let again = &all[47];
    assert_eq!((&*again.message, again.count), ("20", 2));
    assert_eq!((again.first, again.last), (now(100).wall, now(200).wall));
}
