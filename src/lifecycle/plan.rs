//! From what is wanted and what is known to what should be done now.
//!
//! Level-triggered: the plan is worked out afresh from the facts each time, so it does not matter which event brought us
//! here, nor whether the agent was restarted in between.

use std::time::Duration;

use super::facts::{Container, Facts, SandboxState, State};
use super::{Action, Time, probes};
use crate::spec::RestartPolicy;

/// A stop that brought no exit is given up this long after the grace period: the whole cgroup is killed instead.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// Some action of this pod is under way.
    pub busy: bool,
    /// Too many pods are being started already.
    pub queued: bool,
    /// Its logs are to outlive it.
    pub keep_logs: bool,
}

pub fn plan(facts: &Facts, circumstances: Circumstances, now: Time) -> Plan {
    let mut plan = Plan::default();
    let (uid, sandbox) = (facts.pod.uid.clone(), facts.sandbox.number);
    if facts.sandbox.state == SandboxState::Lost {
        if !circumstances.busy {
            plan.at(facts.sandbox.due, now, Action::CleanPod { uid, sandbox });
        }
    } else if !facts.wanted {
        plan.terminate(facts, circumstances, now);
    } else if facts.sandbox.state == SandboxState::Up {
        for known in &facts.containers {
            plan.container(facts, known, circumstances, now);
        }
    } else if !circumstances.name_taken && !circumstances.queued && wants_any(facts) {
        plan.at(facts.sandbox.due, now, Action::StartPod { uid, sandbox });
    }
    plan
}

/// Whether the pod's policy wants another run of `known`.
pub fn will_run(policy: RestartPolicy, known: &Container) -> bool {
    match (&known.state, policy) {
        (State::Waiting { .. }, _) => true,
        (State::Running { .. }, _) | (State::Terminated { .. }, RestartPolicy::Never) => false,
        (State::Terminated { exit, .. }, RestartPolicy::OnFailure) => {
            exit.code != 0 || known.probed.failed.is_some()
        }
        (State::Terminated { .. }, RestartPolicy::Always) => true,
    }
}

pub fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    a.into_iter().chain(b).min()
}

fn wants_any(facts: &Facts) -> bool {
    facts.containers.iter().any(|known| will_run(facts.pod.restart_policy, known))
}

impl Plan {
    fn terminate(&mut self, facts: &Facts, circumstances: Circumstances, now: Time) {
        let sandbox = facts.sandbox.number;
        let begun = facts.deletion.map_or(now, |deletion| deletion.boot);
        let given_up = begun + facts.pod.grace + PATIENCE;
        let mut waiting = false;
        for known in facts.containers.iter().filter(|known| known.is_running()) {
            waiting = now < given_up;
            self.look_again = earliest(self.look_again, waiting.then_some(given_up));
            if waiting {
                self.ask(facts, known, now);
            }
            if let State::Running { stopping: false, .. } = known.state {
                let (uid, container, attempt) = (facts.pod.uid.clone(), known.name.clone(), known.attempt);
                let until = begun + facts.pod.grace;
                let action = Action::StopContainer { uid, sandbox, container, attempt, until };
                self.at(facts.sandbox.due, now, action);
            }
        }
        if !waiting && !circumstances.busy {
            let (uid, keep_logs) = (facts.pod.uid.clone(), circumstances.keep_logs);
            self.at(facts.sandbox.due, now, Action::RemovePod { uid, sandbox, keep_logs });
        }
    }

    fn container(&mut self, facts: &Facts, known: &Container, circumstances: Circumstances, now: Time) {
        let due = match &known.state {
            State::Waiting { due } | State::Terminated { due, .. } => *due,
            State::Running { stopping, .. } => return self.running(facts, known, *stopping, now),
        };
        if circumstances.queued || !will_run(facts.pod.restart_policy, known) {
            return;
        }
        let (uid, sandbox, container) = (facts.pod.uid.clone(), facts.sandbox.number, known.name.clone());
        let attempt = known.next_attempt();
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
        if let Some(until) = probes::wanted(facts, known).ends.filter(|_| !stopping) {
            let (uid, sandbox, container) = (facts.pod.uid.clone(), facts.sandbox.number, known.name.clone());
            let action = Action::StopContainer { uid, sandbox, container, attempt: known.attempt, until };
            self.at(facts.sandbox.due, now, action);
        }
    }

    fn ask(&mut self, facts: &Facts, known: &Container, now: Time) {
        if facts.sandbox.state != SandboxState::Up {
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
