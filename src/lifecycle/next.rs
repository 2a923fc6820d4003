//! What a pod waits for, in a sentence for people.

use super::Time;
use super::container::{Container, State};
use super::facts::{Facts, SandboxState};
use super::hooks;
use crate::spec::{ProbeKind, Role};

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Next {
    /// When; `None` where that is nobody's to say.
    pub due: Option<Time>,
    /// What, without the time.
    pub what: String,
}

/// What the pod waits for: of what is due, the earliest; else what holds back the first of its containers that is not ready.
pub fn next(facts: &Facts) -> Option<Next> {
    let runs = facts.containers.iter().any(Container::is_running);
    if let Some(ending) = facts.ending().filter(|_| facts.deletion.is_some() || runs) {
        return at(ending.boot + facts.grace(), "whatever still runs is killed".to_owned());
    }
    if facts.over.is_some() {
        return None;
    }
    if facts.waits_for_port() {
        return some_time("the pod is started once a port that it wants is free".to_owned());
    }
    if facts.sandbox.state != SandboxState::Up {
        return at(facts.sandbox.due, "the pod is started again".to_owned())
            .filter(|_| Time::ZERO < facts.sandbox.due);
    }
    let timed = facts.containers.iter().filter_map(|known| start(facts, known));
    let timed = timed.chain(facts.containers.iter().filter_map(|known| first_question(facts, known)));
    timed.min().or_else(|| facts.containers.iter().find_map(|known| held_up(facts, known)))
}

fn at(due: Time, what: String) -> Option<Next> {
    Some(Next { due: Some(due), what })
}

fn some_time(what: String) -> Option<Next> {
    Some(Next { due: None, what })
}

/// The coming start of `known`, if that waits for a time.
fn start(facts: &Facts, known: &Container) -> Option<Next> {
    let waits = facts.goes_on() && facts.has_turn(known) && facts.will_run(known);
    let what = match known.failure {
        Some(_) => "is tried again",
        None => "is restarted",
    };
    match known.state {
        State::Waiting { due } | State::Terminated { due, .. } if waits && Time::ZERO < due => {
            at(due, format!("container {} {what}", known.name))
        }
        _ => None,
    }
}

/// The probe that decides whether `known`, which runs, has started or is ready.
fn decides(facts: &Facts, known: &Container) -> Option<ProbeKind> {
    let spec = facts.pod.container(&known.name).filter(|_| facts.goes_on() && known.is_running())?;
    let kind = if facts.is_started(known) { ProbeKind::Readiness } else { ProbeKind::Startup };
    (!facts.is_ready(known) && facts.is_post_started(known) && spec.probes.get(kind).is_some())
        .then_some(kind)
}

fn first_question(facts: &Facts, known: &Container) -> Option<Next> {
    let kind = decides(facts, known)?;
    let delay = facts.pod.container(&known.name)?.probes.get(kind)?.initial_delay;
    (!delay.is_zero() && known.probed.is_unasked(kind)).then_some(())?;
    let what = format!("the {} probe of container {} is asked first", kind.word(), known.name);
    at(known.probed.began + delay, what)
}

/// What `known` waits for, where that has no time.
fn held_up(facts: &Facts, known: &Container) -> Option<Next> {
    let name = &known.name;
    if facts.goes_on() && known.is_running() && !facts.is_post_started(known) {
        let hook = hooks::after_start(facts, known);
        return match hook {
            hooks::Wanted::Sleep(over) => at(over, format!("the postStart hook of container {name} is over")),
            _ => some_time(format!("container {name} is ready once its postStart hook is over")),
        };
    }
    if let Some(kind) = decides(facts, known) {
        let period = facts.pod.container(name)?.probes.get(kind)?.period.as_secs();
        let what = if kind == ProbeKind::Startup { "has started" } else { "is ready" };
        let probe = kind.word();
        return some_time(format!(
            "container {name} {what} once its {probe} probe succeeds, which is asked every {period}s"
        ));
    }
    let done = facts.role(known) == Role::Init && known.is_running() && facts.goes_on();
    let behind = facts.containers.iter().skip_while(|other| other.name != *name).nth(1);
    let behind = behind.filter(|_| done)?;
    some_time(format!("container {} is started once init container {name} is done", behind.name))
}
