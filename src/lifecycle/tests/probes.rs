//! Probes in virtual time. Answers come when the story says so; everything else is done at once.

mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::{ENDLESS, end, learnt, now, pod, settle_as, show, shown};
use crate::lifecycle::{Action, BackOff, Event, Facts, Found, Learnt, Node, Outcome, Running};
use crate::spec::{Check, Pod, Probe, ProbeKind, Probes, RestartPolicy, Uid};
use crate::status::{Failure, Reason};

/// What happens in a story.
enum Told {
    /// Nothing but that time passes.
    Tick,
    /// The probe that is under way is answered.
    Good(ProbeKind),
    Bad(ProbeKind),
    Warned(ProbeKind),
    /// It could not be asked.
    Error(ProbeKind),
    /// The latest answer comes once more.
    Again,
    /// Something else.
    Other(Event),
    /// The status of the pod, to be shown.
    Shown,
    /// All events that probes brought.
    Events,
}
use ProbeKind::{Liveness, Readiness, Startup};
use Told::{Again, Bad, Error, Events, Good, Other, Shown, Tick, Warned};

#[track_caller]
fn check(pod: Arc<Pod>, told: Vec<(u64, Told)>, expected: &str) {
    let first = (0, Other(Event::ManifestSet(pod)));
    check_from(std::iter::once(first).chain(told), expected);
}

#[track_caller]
fn check_from(told: impl IntoIterator<Item = (u64, Told)>, expected: &str) {
    let (mut node, mut story) = (Node::new(BackOff::default(), 0), String::new());
    let mut asked: BTreeMap<ProbeKind, Action> = BTreeMap::new();
    let mut latest = None;
    for (at, told) in told {
        let mut line = Vec::new();
        let answer =
            |kind: &ProbeKind, outcome| (*kind, Ok(Learnt::Probed { outcome, message: "so".into() }));
        let answer = match &told {
            Good(kind) => Some(answer(kind, Outcome::Success)),
            Bad(kind) => Some(answer(kind, Outcome::Failure)),
            Warned(kind) => Some(answer(kind, Outcome::Warning)),
            Error(kind) => Some((*kind, Err(Failure::new(Reason::Unhealthy, "no luck")))),
            _ => None,
        };
        let event = match (answer, told) {
            (Some((kind, result)), _) => {
                let action = asked.remove(&kind).unwrap_or_else(|| panic!("{at}s: {kind:?} is not asked"));
                latest = Some(Event::Done { action, result });
                latest.clone()
            }
            (_, Tick) => Some(Event::Tick),
            (_, Again) => latest.clone(),
            (_, Other(event)) => Some(event),
            (_, Shown) => {
                line.extend(node.all().map(|facts| shown(facts, &BackOff::default())));
                None
            }
            (_, _) => {
                line.extend(node.all().flat_map(told_by_probes));
                None
            }
        };
        let mut queue: VecDeque<Event> = event.into_iter().collect();
        let mut begun = BTreeSet::new();
        while let Some(event) = queue.pop_front() {
            let step = node.step(now(at), event);
            if !step.changed.is_empty() && step.actions.is_empty() {
                line.push("written".to_owned());
            }
            for action in step.actions {
                assert!(begun.insert(action.clone()) && begun.len() < ENDLESS, "no end of {action:?}");
                line.push(show(&action));
                match &action {
                    Action::Probe { kind, .. } => drop(asked.insert(*kind, action.clone())),
                    _ => {
                        let result = Ok(learnt(&action, at));
                        queue.push_back(Event::Done { action, result });
                    }
                }
            }
        }
        line.extend(node.next_deadline().map(|deadline| format!("[wake at {}s]", deadline.as_secs())));
        writeln!(story, "{at}s: {}", line.join(", ")).unwrap();
    }
    let story: Vec<&str> = story.lines().map(str::trim).collect();
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(story, expected);
}

fn told_by_probes(facts: &Facts) -> Vec<String> {
    let of_probes = [Reason::Unhealthy, Reason::ProbeWarning, Reason::Killing];
    let events = facts.history.all().iter().filter(|event| of_probes.contains(&event.reason));
    events.map(|event| format!("{} {} x{}", event.reason, event.message, event.count)).collect()
}

fn probe(delay: u64, period: u64, failures: u32) -> Option<Probe> {
    Some(Probe {
        check: Check::Tcp { host: None, port: 1 },
        initial_delay: Duration::from_secs(delay),
        timeout: Duration::from_secs(1),
        period: Duration::from_secs(period),
        success_threshold: 1,
        failure_threshold: failures,
        grace: None,
    })
}

fn with(policy: RestartPolicy, probes: Probes) -> Arc<Pod> {
    let mut pod = Arc::unwrap_or_clone(pod("web", "web", policy));
    pod.containers[0].probes = probes;
    Arc::new(pod)
}

fn readiness(probe: Option<Probe>) -> Arc<Pod> {
    with(ALWAYS, Probes { readiness: probe, ..Probes::default() })
}

fn liveness(policy: RestartPolicy, probe: Option<Probe>) -> Arc<Pod> {
    with(policy, Probes { liveness: probe, ..Probes::default() })
}

fn exits(at: u64, attempt: u32, code: i32) -> (u64, Told) {
    let end = end(at, attempt, code, 1);
    (at, Other(Event::Exited { uid: Uid("web".into()), sandbox: 0, end }))
}

fn removed(at: u64) -> (u64, Told) {
    (at, Other(Event::ManifestGone(Uid("web".into()))))
}

const ALWAYS: RestartPolicy = RestartPolicy::Always;
const BEGUN: &str = "start pod, pull, start c#0";
