//! The order of a pod's containers (reference B.6, B.7): init containers one after the other, sidecars beside them, then
//! the others; and when all of it is over.
//!
//! Invariant: an init container or sidecar holds back those behind it once in each sandbox; what it does afterwards is its
//! own affair.
//! Invariant: what ends a pod of its own accord is final: it is not left again but by another life of the pod.

use serde::{Deserialize, Serialize};

use super::container::{Container, RunEnd, State};
use super::facts::{Facts, Stamp};
use super::report::container_id;
use super::restart::BackOff;
use super::{Now, Time};
use crate::spec::{self, RestartAction, RestartPolicy, Role};
use crate::status::Exit;

/// Why a pod that is still wanted has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// No regular container runs or will run again: sidecars have nobody to serve.
    Done,
    /// It took longer than its `activeDeadlineSeconds`.
    Deadline,
    /// It asks for what this node gives to nobody.
    Rejected,
    /// It takes more of the disk than it may.
    Evicted,
}

impl Facts {
    /// What follows from what was learnt, now. `starting`: the start of some run is under way.
    pub(super) fn advance(&mut self, now: Now, starting: bool) {
        let pod = self.pod.clone();
        if self.restarting_all && !starting && !self.containers.iter().any(Container::is_running) {
            self.restarting_all = false;
            self.containers.iter_mut().for_each(Container::begin_anew_with_all);
        }
        for (known, spec) in self.containers.iter_mut().zip(&pod.containers) {
            known.passed |= match spec.role {
                Role::Init => matches!(&known.state, State::Terminated { exit, .. } if exit.code == 0),
                Role::Sidecar => {
                    known.is_running()
                        && known.hooked.is_started(&spec.hooks)
                        && known.probed.is_started(&spec.probes)
                }
                Role::Regular => false,
            };
        }
        if self.over.is_none() && self.wanted {
            let late = self.deadline().is_some_and(|deadline| deadline <= now.boot);
            let over = if late { Some(Over::Deadline) } else { self.is_done().then_some(Over::Done) };
            self.over = over.map(|over| (over, now.stamp()));
        }
        // A start that is under way may still bring a run, which is stopped then.
        self.ended |= self.over.is_some() && !starting && !self.containers.iter().any(Container::is_running);
    }

    /// Until when it must be done.
    pub(super) fn deadline(&self) -> Option<Time> {
        Some(self.began? + self.pod.active_deadline?)
    }

    /// Whether every init container is done and every sidecar came up, in this sandbox.
    pub fn is_initialized(&self) -> bool {
        self.front().is_none()
    }

    /// The init container or sidecar whose turn it is.
    pub(super) fn front(&self) -> Option<&Container> {
        self.containers.iter().find(|known| self.role(known) != Role::Regular && !known.passed)
    }

    /// Whether it is the turn of `known`, or has been.
    pub(super) fn has_turn(&self, known: &Container) -> bool {
        known.passed || self.front().is_none_or(|front| front.name == known.name)
    }

    /// What `known`, one of its containers, is there for.
    pub fn role(&self, known: &Container) -> Role {
        self.pod.container(&known.name).map(|spec| spec.role).unwrap_or_default()
    }

    /// Whether anything is left for a sandbox to run.
    pub(super) fn wants_any(&self) -> bool {
        self.over.is_none() && !self.is_done()
    }

    /// Whether nothing is left to be done but to end what still runs.
    fn is_done(&self) -> bool {
        let ended = |known: &Container| match self.role(known) {
            Role::Regular => !known.is_running() && !self.will_run(known),
            Role::Init | Role::Sidecar => true,
        };
        !self.restarting_all && (self.has_failed_init() || self.containers.iter().all(ended))
    }

    /// Whether an init container failed that does not run again.
    pub(super) fn has_failed_init(&self) -> bool {
        self.containers.iter().any(|known| {
            let failed = matches!(&known.state, State::Terminated { exit, .. } if exit.code != 0);
            failed && self.role(known) == Role::Init && !known.passed && !self.will_run(known)
        })
    }

    /// Whether its policy wants another run of `known`, once its turn has come.
    pub fn will_run(&self, known: &Container) -> bool {
        match &known.state {
            State::Waiting { .. } => true,
            State::Running { .. } => false,
            State::Terminated { .. } if self.restarting_all => true,
            State::Terminated { exit, .. } => {
                let failed = exit.code != 0 || known.probed.failed.is_some();
                self.pod.container(&known.name).is_none_or(|spec| again(&self.pod, spec, exit, failed))
            }
        }
    }

    /// A run ended. Told twice or too late it counts once; whether it counted.
    pub(super) fn exited(&mut self, end: &RunEnd, back_off: &BackOff) -> bool {
        let goes_on = self.goes_on();
        let rule = self.pod.container(&end.container).and_then(|spec| rule(spec, &end.exit));
        let killed = self.restarting_all;
        // The pod process knows no pods.
        let container_id = container_id(&self.pod, &end.container, end.attempt);
        let end = &RunEnd { exit: Exit { container_id, ..end.exit.clone() }, ..end.clone() };
        let Some(known) = self.container(&end.container) else { return false };
        let streak = known.streak;
        if !known.exited(end, back_off) {
            return false;
        }
        if killed {
            // It was no doing of its own.
            known.was_killed(streak);
        }
        self.restarting_all |= goes_on && rule == Some(RestartAction::RestartAllContainers);
        true
    }

    /// Whether what ended may run again, and probes decide.
    pub fn goes_on(&self) -> bool {
        self.wanted && self.over.is_none() && !self.restarting_all
    }

    /// Whether a probe that fails brings another run of `known`.
    pub(super) fn runs_after_failure(&self, known: &Container) -> bool {
        let spec = self.pod.container(&known.name);
        let policy = spec.and_then(|spec| spec.restart_policy).unwrap_or(self.pod.restart_policy);
        self.role(known) == Role::Sidecar || policy != RestartPolicy::Never
    }

    /// Another sandbox: init containers and sidecars run again before anything else does.
    pub(super) fn begin_with_inits(&mut self) {
        let pod = self.pod.clone();
        for (known, _) in
            self.containers.iter_mut().zip(&pod.containers).filter(|(_, spec)| spec.role != Role::Regular)
        {
            known.begin_anew();
        }
    }

    /// When it began to end, if it does, whether it is wanted or not.
    pub(super) fn ending(&self) -> Option<Stamp> {
        self.deletion.or(self.over.map(|(_, at)| at))
    }

    /// Whether `known`, which runs while the pod ends, is to be stopped now: a sidecar serves those that began after it to
    /// their end. No other init container runs beside it that it comes after: that one was done before.
    pub(super) fn may_stop(&self, known: &Container) -> bool {
        if self.role(known) != Role::Sidecar {
            return true;
        }
        let behind = self.containers.iter().skip_while(|other| other.name != known.name).skip(1);
        !behind.into_iter().any(Container::is_running)
    }
}

/// Whether `spec` runs again after a run that ended with `exit`.
fn again(pod: &spec::Pod, spec: &spec::Container, exit: &Exit, failed: bool) -> bool {
    // Whoever is done before the others begin is done.
    if spec.role == Role::Init && !failed {
        return false;
    }
    if rule(spec, exit).is_some() {
        return true;
    }
    let policy = spec.restart_policy.unwrap_or(pod.restart_policy);
    match (spec.role, policy) {
        (Role::Sidecar, _) | (_, RestartPolicy::Always) => true,
        (_, RestartPolicy::OnFailure) => failed,
        (_, RestartPolicy::Never) => false,
    }
}

/// What the first rule says that is about `exit`.
fn rule(spec: &spec::Container, exit: &Exit) -> Option<RestartAction> {
    spec.restart_rules.iter().find(|rule| rule.matches(exit.code)).map(|rule| rule.action)
}
