//! From what is wanted and what is known to what should be done now.
//!
//! Level-triggered: the plan is worked out afresh from the facts each time, so it does not matter which event brought us
//! here, nor whether the agent was restarted in between.

use std::time::Duration;

use super::container::{Container, State};
use super::facts::{Facts, SandboxState};
use super::hooks::{self, Wanted};
use super::{Action, Time, probes};
use crate::spec::{HookKind, Role};

/// A stop that brought no exit is given up this long after the grace period: the whole cgroup is killed instead.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a sidecar has left between its stop signal and SIGKILL when the grace period is used up (reference B.7).
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// What to do now, and when to look again.
#[derive(Default)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub look_again: Option<Time>,
}

/// What the rest of the node says about a pod.
#[derive(Clone, Copy)]
pub struct Circumstances {
    /// Another incarnation of the same namespace/name has not ended yet.
    pub name_taken: bool,
    /// A port that it wants is another's.
    pub port_taken: bool,
    /// Some action of this pod is under way.
    pub busy: bool,
    /// Too many pods are being started already.
    pub queued: bool,
    /// Its logs are to outlive it.
    pub keep_logs: bool,
}

impl Circumstances {
    fn may_begin(self) -> bool {
        !self.name_taken && !self.port_taken && !self.queued
    }
}

pub fn plan(facts: &Facts, circumstances: Circumstances, now: Time) -> Plan {
    let mut plan = Plan::default();
    let (uid, sandbox) = (facts.pod.uid.clone(), facts.sandbox.number);
    if facts.wanted && facts.ended && !facts.released {
        if !circumstances.busy {
            plan.at(facts.sandbox.due, now, Action::ReleasePod { uid, sandbox });
        }
    } else if facts.sandbox.state == SandboxState::Lost {
        if !circumstances.busy {
            plan.at(facts.sandbox.due, now, Action::CleanPod { uid, sandbox });
        }
    } else if !facts.wanted {
        plan.terminate(facts, circumstances, now);
    } else if facts.sandbox.state == SandboxState::Up {
        plan.go_on(facts, circumstances, now);
    } else if circumstances.may_begin() && facts.wants_any() {
        plan.at(facts.sandbox.due, now, Action::StartPod { uid, sandbox });
    }
    plan
}

pub fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    a.into_iter().chain(b).min()
}

impl Plan {
    /// The pod is wanted and its sandbox is up.
    fn go_on(&mut self, facts: &Facts, circumstances: Circumstances, now: Time) {
        if let Some(begun) = facts.ending() {
            self.stop(facts, begun.boot, now);
            return;
        }
        self.look_again = earliest(self.look_again, facts.deadline());
        if facts.restarting_all {
            let runs = |known: &&Container| matches!(known.state, State::Running { stopping: false, .. });
            facts
                .containers
                .iter()
                .filter(runs)
                .for_each(|known| self.stop_one(facts, known, Time::ZERO, now));
            return;
        }
        for known in facts.containers.iter().filter(|known| facts.has_turn(known)) {
            self.container(facts, known, circumstances, now);
        }
    }

    fn terminate(&mut self, facts: &Facts, circumstances: Circumstances, now: Time) {
        let sandbox = facts.sandbox.number;
        let begun = facts.deletion.map_or(now, |deletion| deletion.boot);
        if !self.stop(facts, begun, now) && !circumstances.busy {
            let (uid, keep_logs) = (facts.pod.uid.clone(), circumstances.keep_logs);
            self.at(facts.sandbox.due, now, Action::RemovePod { uid, sandbox, keep_logs });
        }
    }

    /// Stops whatever still runs, sidecars behind those they serve, since the pod's end `begun`. Whether that is to be
    /// waited for.
    fn stop(&mut self, facts: &Facts, begun: Time, now: Time) -> bool {
        let ends = begun + facts.grace();
        let given_up = ends + PATIENCE;
        let mut waiting = false;
        for known in facts.containers.iter().filter(|known| known.is_running()) {
            waiting = now < given_up;
            self.look_again = earliest(self.look_again, waiting.then_some(given_up));
            if waiting {
                self.ask(facts, known, now);
            }
            if !matches!(known.state, State::Running { stopping: false, .. }) {
                continue;
            }
            if facts.role(known) == Role::Sidecar && ends <= now {
                // All the time was spent on others: a moment is left for whoever is careful.
                self.stop_now(facts, known, ends + LAST_MOMENT, now);
            } else if facts.may_stop(known) {
                self.stop_one(facts, known, ends, now);
            } else {
                // Its hook, as the kubelet's, does not wait for the others.
                self.is_hooked(facts, known, ends, now);
                self.look_again = earliest(self.look_again, Some(ends));
            }
        }
        waiting
    }

    fn stop_now(&mut self, facts: &Facts, known: &Container, until: Time, now: Time) {
        let (uid, sandbox, container) = (facts.pod.uid.clone(), facts.sandbox.number, known.name.clone());
        let action = Action::StopContainer { uid, sandbox, container, attempt: known.attempt, until };
        self.at(facts.sandbox.due, now, action);
    }

    /// Stops `known` once its preStop hook is over, and in time.
    fn stop_one(&mut self, facts: &Facts, known: &Container, until: Time, now: Time) {
        if !self.is_hooked(facts, known, until, now) {
            self.stop_now(facts, known, until, now);
        }
    }

    /// Runs the preStop hook of `known`. Whether its end is to be waited for.
    fn is_hooked(&mut self, facts: &Facts, known: &Container, until: Time, now: Time) -> bool {
        let wanted = hooks::before_stop(facts, known, until, now);
        let over = match wanted {
            Wanted::Nothing => return false,
            Wanted::Sleep(over) => over,
            Wanted::Run(kind) => {
                self.hook(facts, known, kind);
                until
            }
        };
        self.look_again = earliest(self.look_again, Some(over));
        true
    }

    fn hook(&mut self, facts: &Facts, known: &Container, kind: HookKind) {
        let (uid, sandbox, container) = (facts.pod.uid.clone(), facts.sandbox.number, known.name.clone());
        self.actions.push(Action::Hook { uid, sandbox, container, attempt: known.attempt, kind });
    }

    fn container(&mut self, facts: &Facts, known: &Container, circumstances: Circumstances, now: Time) {
        let due = match &known.state {
            State::Waiting { due } | State::Terminated { due, .. } => *due,
            State::Running { stopping, .. } => return self.running(facts, known, *stopping, now),
        };
        if circumstances.queued || !facts.will_run(known) {
            return;
        }
        let (uid, sandbox, container) = (facts.pod.uid.clone(), facts.sandbox.number, known.name.clone());
        let attempt = known.next_attempt();
        if known.image.is_some() && hooks::holds_back(facts, known, now) {
            return;
        }
        self.at(
            due,
            now,
            match known.image {
                None => Action::PullImage { uid, sandbox, container, attempt },
                Some(_) => Action::StartContainer { uid, sandbox, container, attempt },
            },
        );
    }

    fn running(&mut self, facts: &Facts, known: &Container, stopping: bool, now: Time) {
        self.ask(facts, known, now);
        if stopping {
            return;
        }
        if let Some(until) = earliest(probes::wanted(facts, known).ends, hooks::ends(facts, known)) {
            return self.stop_one(facts, known, until, now);
        }
        match hooks::after_start(facts, known) {
            Wanted::Nothing => {}
            Wanted::Run(kind) => self.hook(facts, known, kind),
            Wanted::Sleep(over) => self.look_again = earliest(self.look_again, Some(over)),
        }
    }

    fn ask(&mut self, facts: &Facts, known: &Container, now: Time) {
        if facts.sandbox.state != SandboxState::Up || !facts.is_post_started(known) {
            return;
        }
        for (due, kind) in probes::wanted(facts, known).asks {
            let (uid, sandbox, container) = (facts.pod.uid.clone(), facts.sandbox.number, known.name.clone());
            self.at(due, now, Action::Probe { uid, sandbox, container, attempt: known.attempt, kind });
        }
    }

    /// Plans `action`, now if it is `due`, else for later.
    fn at(&mut self, due: Time, now: Time, action: Action) {
        if due <= now {
            self.actions.push(action);
        } else {
            self.look_again = earliest(self.look_again, Some(due));
        }
    }
}
