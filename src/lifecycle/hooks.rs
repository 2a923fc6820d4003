//! What hooks say about a run, by the kubelet's rules (reference B.7, B.8), and what follows from it.
//!
//! What a sleep waits for is a time, so that it is no action: it goes on whatever dies.
//!
//! Invariant: a preStop hook is known to have begun before it begins, so that an agent that dies meanwhile leaves it to the
//! next one: it runs once, or once more where nobody heard of its end.
//! Invariant: what came of a hook counts for the run and the sandbox that it belongs to, and for no other.

use serde::{Deserialize, Serialize};

use super::container::{Container, State};
use super::facts::{Facts, SandboxState};
use super::{Action, Learnt, Node, Now, Time, probes};
use crate::spec::{self, Hook, HookKind, Hooks};
use crate::status::{EventKind, Failure, Reason};

/// What is known of one run by its hooks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hooked {
    /// Whether its postStart hook came to a good end.
    pub started: bool,
    /// When that failed: the run is to end.
    pub failed: Option<Time>,
    /// Why it failed.
    #[serde(default)]
    pub why: String,
    /// When it was found that the run is to end, and its preStop hook began.
    pub ending: Option<Time>,
    /// Whether that is over.
    pub over: bool,
}

impl Hooked {
    /// Whether the postStart hook, where there is one, lets others begin.
    pub fn is_started(&self, hooks: &Hooks) -> bool {
        self.started || hooks.post_start.is_none()
    }
}

/// What there is to be done, or to be waited for.
pub enum Wanted {
    /// Nothing.
    Nothing,
    /// A hook is to run, or runs.
    Run(HookKind),
    /// One that sleeps is over by then.
    Sleep(Time),
}

/// What is to be done while `known` goes on to run.
pub fn after_start(facts: &Facts, known: &Container) -> Wanted {
    let hook = facts.pod.container(&known.name).and_then(|spec| spec.hooks.post_start.as_ref());
    match hook.filter(|_| !known.hooked.started && known.hooked.failed.is_none()) {
        None => Wanted::Nothing,
        Some(Hook::Sleep(sleep)) => Wanted::Sleep(known.probed.began + *sleep),
        Some(Hook::Exec(_) | Hook::Http(_)) => Wanted::Run(HookKind::PostStart),
    }
}

/// What is to be done before `known` is stopped, which is killed at `until`.
pub fn before_stop(facts: &Facts, known: &Container, until: Time, now: Time) -> Wanted {
    let hook = facts.pod.container(&known.name).and_then(|spec| spec.hooks.pre_stop.as_ref());
    match (hook, known.hooked.ending.filter(|_| !known.hooked.over && now < until)) {
        (None, _) | (_, None) => Wanted::Nothing,
        (Some(Hook::Sleep(sleep)), Some(since)) if since + *sleep <= now => Wanted::Nothing,
        (Some(Hook::Sleep(sleep)), Some(since)) => Wanted::Sleep((since + *sleep).min(until)),
        (Some(Hook::Exec(_) | Hook::Http(_)), Some(_)) => Wanted::Run(HookKind::PreStop),
    }
}

/// When `known` is killed, if its postStart hook failed.
pub fn ends(facts: &Facts, known: &Container) -> Option<Time> {
    known.hooked.failed.filter(|_| facts.goes_on()).map(|at| at + facts.pod.grace)
}

/// Whether the start of `known` waits for the hook of one before it, be that about to start itself.
pub fn holds_back(facts: &Facts, known: &Container, now: Time) -> bool {
    let before = facts.containers.iter().zip(&facts.pod.containers);
    before.take_while(|(other, _)| other.name != known.name).any(|(other, spec)| {
        spec.hooks.post_start.is_some()
            && match other.state {
                State::Running { stopping, .. } => {
                    !stopping && !other.hooked.started && !facts.is_to_end(other)
                }
                State::Waiting { due } | State::Terminated { due, .. } => due <= now && facts.will_run(other),
            }
    })
}

impl Facts {
    /// Whether `known`, one of its containers that runs, is to end.
    fn is_to_end(&self, known: &Container) -> bool {
        self.ending().is_some() || known.probed.failed.is_some() || known.hooked.failed.is_some()
    }

    /// Whether the postStart hook of `known`, where it has one, came to a good end.
    pub fn is_post_started(&self, known: &Container) -> bool {
        let spec = self.pod.container(&known.name);
        spec.is_none_or(|spec| known.hooked.is_started(&spec.hooks))
    }

    /// Ends postStart hooks that slept long enough; whether there were any.
    fn end_sleeps(&mut self, now: Now) -> bool {
        let slept = |known: &Container| {
            known.is_running() && matches!(after_start(self, known), Wanted::Sleep(over) if over <= now.boot)
        };
        let over: Vec<bool> = self.containers.iter().map(slept).collect();
        for (known, over) in self.containers.iter_mut().zip(&over) {
            known.hooked.started |= over;
        }
        over.contains(&true)
    }

    /// Begins the preStop hooks of those that are to end from now on; whether there were any.
    fn begin_endings(&mut self, now: Now) -> bool {
        let begins = |(known, spec): (&Container, &spec::Container)| {
            let runs = matches!(known.state, State::Running { stopping: false, .. });
            let begins = runs && spec.hooks.pre_stop.is_some() && known.hooked.ending.is_none();
            (begins && self.is_to_end(known)).then(|| (known.name.clone(), probes::killing(self, known)))
        };
        let begun: Vec<_> = self.containers.iter().zip(&self.pod.containers).filter_map(begins).collect();
        let any = !begun.is_empty();
        for (name, message) in begun {
            self.container(&name).into_iter().for_each(|known| known.hooked.ending = Some(now.boot));
            self.history.note(now.wall, EventKind::Normal, Reason::Killing, Some(&name), message);
        }
        any
    }
}

impl Node {
    /// What follows from the time.
    pub(super) fn end_sleeps(&mut self, now: Now) {
        let pods = self.pods.iter_mut().filter(|(_, facts)| facts.sandbox.state == SandboxState::Up);
        let changed = pods.filter_map(|(uid, facts)| facts.end_sleeps(now).then(|| uid.clone()));
        self.changed.extend(changed);
    }

    /// What follows from what was learnt.
    pub(super) fn begin_endings(&mut self, now: Now) {
        let pods = self.pods.iter_mut().filter(|(_, facts)| facts.sandbox.state == SandboxState::Up);
        let changed = pods.filter_map(|(uid, facts)| facts.begin_endings(now).then(|| uid.clone()));
        self.changed.extend(changed);
    }

    /// The end of an [`Action::Hook`].
    pub(super) fn hooked(&mut self, now: Now, action: Action, result: Result<Learnt, Failure>) {
        let Action::Hook { uid, sandbox, container, attempt, kind } = action else { return };
        let Some(facts) = self.pods.get_mut(&uid).filter(|facts| facts.is_up(sandbox)) else { return };
        let goes_on = facts.goes_on();
        let known = facts.container(&container);
        let Some(known) = known.filter(|known| known.is_running() && known.attempt == attempt) else {
            return;
        };
        let (failure, fell_back) = match result {
            Err(failure) => (Some(failure.message), None),
            Ok(Learnt::FellBack { place }) => (None, Some(place)),
            Ok(_) => (None, None),
        };
        let (reason, name) = match kind {
            HookKind::PostStart => {
                known.hooked.started = failure.is_none();
                // One that the end of its container cuts off did not bring it.
                known.hooked.failed = failure.is_some().then_some(now.boot).filter(|_| goes_on);
                known.hooked.why = failure.clone().unwrap_or_default();
                (Reason::FailedPostStartHook, "PostStartHook")
            }
            HookKind::PreStop => {
                known.hooked.over = true;
                (Reason::FailedPreStopHook, "PreStopHook")
            }
        };
        if let Some(why) = failure {
            let message = format!("{name} failed: {why}");
            facts.history.note(now.wall, EventKind::Warning, reason, Some(&container), message);
        }
        if let Some(place) = fell_back {
            let message = format!(
                "request to HTTPS lifecycle hook {place} got HTTP response, retry with HTTP succeeded"
            );
            let reason = Reason::LifecycleHTTPFallback;
            facts.history.note(now.wall, EventKind::Warning, reason, Some(&container), message);
        }
        self.changed.insert(uid);
    }
}
