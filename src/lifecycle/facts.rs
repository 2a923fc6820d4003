//! What is known about the world. Only ever learned from events, never guessed.
//!
//! [`Facts`] is also what is written to `facts.json`: whatever an adopting agent cannot ask a process.

use core::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::claims::Claimed;
use super::container::{Container, State};
use super::history::History;
use super::order::Over;
use super::restart::BackOff;
use super::{Now, Time};
use crate::spec::{self, Role};
use crate::status::{Failure, Reason, Wall};

/// What is known about one pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The pod; written beside, in `spec.json`.
    #[serde(skip)]
    pub pod: Arc<spec::Pod>,
    /// Whether its manifest is there, and no order says otherwise.
    pub wanted: bool,
    /// Put back, or ordered to restart, while it ends: begins a new life when the old one is over.
    pub again: bool,
    /// When its end began.
    pub deletion: Option<Stamp>,
    /// When its manifest was first seen.
    pub seen: Wall,
    /// When it was first acted upon.
    pub start: Option<Wall>,
    /// The same, for decisions.
    #[serde(default)]
    pub began: Option<Time>,
    /// Why it came to its end by itself, and when.
    #[serde(default)]
    pub over: Option<(Over, Stamp)>,
    /// That came about: nothing of it runs or is being started, and its phase is final.
    #[serde(default)]
    pub ended: bool,
    /// Why it was evicted, if it was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evicted: String,
    /// It ended, and holds neither sandbox nor volumes any more.
    #[serde(default)]
    pub released: bool,
    /// All containers are being killed, to begin anew.
    #[serde(default)]
    pub restarting_all: bool,
    /// Its sandbox.
    pub sandbox: Sandbox,
    /// In the order of the spec.
    pub containers: Vec<Container>,
    /// What happened.
    pub history: History,
    /// What it takes of the node.
    #[serde(default)]
    pub claimed: Claimed,
    /// When conditions last changed.
    pub since: Since,
}

/// A point in time on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// For decisions.
    pub boot: Time,
    /// For people.
    pub wall: Wall,
}

/// When conditions last changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// Whether the sandbox was up, and since when that is so.
    pub up: (bool, Wall),
    /// Whether all containers were ready, and since when that is so.
    pub ready: (bool, Wall),
    /// Whether init containers were done, and since when that is so.
    #[serde(default)]
    pub initialized: (bool, Wall),
    /// Whether all containers were being ended to begin anew, and since when that is so.
    #[serde(default)]
    pub restarting_all: (bool, Wall),
}

/// What is known about a pod's sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Number of the present or coming one, from 0.
    pub number: u32,
    /// Whether it is there.
    pub state: SandboxState,
    /// When it came up.
    pub up_since: Time,
    /// Short lives and failed starts in a row.
    pub streak: u32,
    /// Not before this may it be started, cleaned or removed again.
    pub due: Time,
    /// Why it is not there.
    pub failure: Option<Failure>,
    /// The pod's addresses, of IPv4 first.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// Whether a sandbox is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxState {
    /// Not yet, or cleaned up.
    Absent,
    /// Its process answers.
    Up,
    /// Its process is gone and what it left must be cleaned up.
    Lost,
}

impl Facts {
    /// Nothing is known yet but that `pod` is wanted.
    pub fn new(pod: Arc<spec::Pod>, seen: Wall) -> Facts {
        let containers = pod.containers.iter().map(|container| Container::new(&container.name, 0)).collect();
        Facts {
            pod,
            wanted: true,
            again: false,
            deletion: None,
            seen,
            start: None,
            began: None,
            over: None,
            ended: false,
            evicted: String::new(),
            released: false,
            restarting_all: false,
            sandbox: Sandbox::new(0),
            containers,
            history: History::default(),
            claimed: Claimed::default(),
            since: Since::default(),
        }
    }

    /// The same pod once more, after its former life: runs are numbered on, and nothing else is remembered.
    pub fn reborn(&self, now: Now) -> Facts {
        let mut facts = Facts::new(self.pod.clone(), now.wall);
        facts.sandbox.number = self.sandbox.number + 1;
        facts.claimed.inherits = self.claims().to_vec();
        for (new, old) in facts.containers.iter_mut().zip(&self.containers) {
            new.attempt = match old.state {
                State::Waiting { .. } => old.attempt,
                _ => old.attempt + 1,
            };
        }
        facts
    }

    /// The container called `name`.
    pub fn container(&mut self, name: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|container| container.name == name)
    }

    /// Whether sandbox `number` is the one that is there.
    pub fn is_up(&self, number: u32) -> bool {
        self.sandbox.state == SandboxState::Up && self.sandbox.number == number
    }

    /// Its end begins, and waits for no back-off of its starts.
    pub fn ends(&mut self, now: Now) {
        self.wanted = false;
        if self.deletion.is_none() {
            self.deletion = Some(now.stamp());
            self.sandbox.due = Time::ZERO;
        }
    }

    /// The sandbox's process is gone: whatever ran in it ended unseen. One that never came up had no short life: its
    /// agent died.
    pub fn lost(&mut self, now: Now, back_off: &BackOff) {
        if self.sandbox.state == SandboxState::Up {
            let lived = now.boot.saturating_sub(self.sandbox.up_since);
            self.sandbox.streak = if back_off.reset_after() <= lived { 0 } else { self.sandbox.streak + 1 };
        }
        self.sandbox.state = SandboxState::Lost;
        self.sandbox.due = Time::ZERO;
        for container in &mut self.containers {
            container.lost(&self.pod, now);
        }
    }

    /// What was lost is cleaned up: the next sandbox may come, or the pod be removed.
    pub fn cleaned(&mut self, now: Now, back_off: &BackOff) {
        let goes_on = self.wants_any();
        if goes_on {
            self.begin_with_inits();
        }
        let streak = self.sandbox.streak;
        // Why nothing of it ever ran is still to be told.
        let rejected = matches!(self.over, Some((Over::Rejected, _)));
        let failure = self.sandbox.failure.take().filter(|_| rejected);
        self.sandbox = Sandbox { streak, failure, ..Sandbox::new(self.sandbox.number + 1) };
        if self.wanted && goes_on {
            self.sandbox.due = now.boot + back_off.delay(streak);
        }
    }

    /// What waits for one of `reasons` waits no more.
    pub fn look_now_after(&mut self, reasons: &[Reason]) {
        if self.sandbox.failure.as_ref().is_some_and(|failure| reasons.contains(&failure.reason)) {
            self.sandbox.due = Time::ZERO;
        }
        self.containers.iter_mut().for_each(|container| container.look_now_after(reasons));
    }

    /// An effect on the whole pod failed: pause.
    pub fn hold(&mut self, failure: Failure, now: Now, back_off: &BackOff) {
        self.sandbox.streak += 1;
        self.sandbox.due = now.boot + back_off.hold(self.sandbox.streak);
        self.sandbox.failure = Some(failure);
    }

    /// Brings the times of conditions up to date.
    pub fn settle(&mut self, now: Now) {
        let up = self.sandbox.state == SandboxState::Up;
        let counts = |known: &&Container| self.role(known) != Role::Init;
        let ready = self.containers.iter().filter(counts).all(|container| self.is_ready(container));
        let initialized = self.is_initialized();
        let since = &mut self.since;
        for (was, is) in [
            (&mut since.up, up),
            (&mut since.ready, ready),
            (&mut since.initialized, initialized),
            (&mut since.restarting_all, self.restarting_all),
        ] {
            if was.0 != is || was.1 == Wall::default() {
                *was = (is, now.wall);
            }
        }
    }
}

impl Sandbox {
    fn new(number: u32) -> Sandbox {
        Sandbox {
            number,
            state: SandboxState::Absent,
            up_since: Time::ZERO,
            streak: 0,
            due: Time::ZERO,
            failure: None,
            addresses: Vec::new(),
        }
    }
}
