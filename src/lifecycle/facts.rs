//! What is known about the world. Only ever learned from events, never guessed.
//!
//! [`Facts`] is also what is written to `facts.json`: whatever an adopting agent cannot ask a process.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::history::History;
use super::order::Over;
use super::probes::Probed;
use super::restart::BackOff;
use super::{Now, Running, Time};
use crate::spec::{self, Role};
use crate::status::{Exit, Failure, Reason, Wall};

/// Exit code of a run whose end nobody saw, as the kubelet reports it.
pub const EXIT_UNKNOWN: i32 = 137;
/// Exit code of a run whose process could not be started.
pub const EXIT_NOT_STARTED: i32 = 128;

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
    /// All containers are being killed, to begin anew.
    #[serde(default)]
    pub restarting_all: bool,
    /// Its sandbox.
    pub sandbox: Sandbox,
    /// In the order of the spec.
    pub containers: Vec<Container>,
    /// What happened.
    pub history: History,
    /// When Ready and ContainersReady last changed, and PodReadyToStartContainers.
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
    /// The pod's address.
    pub ip: Option<String>,
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

/// What is known about one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: State,
    /// An init container that is done, or a sidecar that came up, in this sandbox: it holds nobody back any more.
    #[serde(default)]
    pub passed: bool,
    /// Number of the latest run; of the coming one while it has never run.
    pub attempt: u32,
    /// Short runs in a row. Drives the back-off.
    pub streak: u32,
    /// The image found for the coming run.
    pub image: Option<String>,
    /// The image of the latest run.
    pub image_id: String,
    /// Why the coming run does not come about.
    pub failure: Option<Failure>,
    /// Failures of that kind in a row.
    pub failures: u32,
    /// How the run before the latest ended; the latest once another is being prepared.
    pub last: Option<Exit>,
    /// What probes say of the latest run.
    #[serde(default)]
    pub probed: Probed,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// Has not run yet; may be tried from `due` on.
    Waiting {
        /// When.
        due: Time,
    },
    /// Runs.
    Running {
        /// Since when, for people.
        started: Wall,
        /// Whether its stop signal was sent.
        stopping: bool,
    },
    /// Ended; if the policy wants another run, it may begin at `due`.
    Terminated {
        /// How.
        exit: Exit,
        /// When the next run may begin.
        due: Time,
    },
}

/// The end of a run, as the pod process tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// The container's name.
    pub container: String,
    /// Number of the run.
    pub attempt: u32,
    /// How it ended.
    pub exit: Exit,
    /// When, for decisions.
    pub finished: Time,
    /// How long it ran.
    pub ran: Duration,
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
            restarting_all: false,
            sandbox: Sandbox::new(0),
            containers,
            history: History::default(),
            since: Since::default(),
        }
    }

    /// The same pod once more, after its former life: runs are numbered on, and nothing else is remembered.
    pub fn reborn(&self, now: Now) -> Facts {
        let mut facts = Facts::new(self.pod.clone(), now.wall);
        facts.sandbox.number = self.sandbox.number + 1;
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
            container.lost(now);
        }
    }

    /// What was lost is cleaned up: the next sandbox may come, or the pod be removed.
    pub fn cleaned(&mut self, now: Now, back_off: &BackOff) {
        if self.wants_any() {
            self.begin_with_inits();
        }
        let streak = self.sandbox.streak;
        self.sandbox = Sandbox { streak, ..Sandbox::new(self.sandbox.number + 1) };
        if self.wanted {
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
        for (was, is) in
            [(&mut since.up, up), (&mut since.ready, ready), (&mut since.initialized, initialized)]
        {
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
            ip: None,
        }
    }
}

impl Container {
    fn new(name: &str, attempt: u32) -> Container {
        Container {
            name: name.to_owned(),
            state: State::Waiting { due: Time::ZERO },
            passed: false,
            attempt,
            streak: 0,
            image: None,
            image_id: String::new(),
            failure: None,
            failures: 0,
            last: None,
            probed: Probed::default(),
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Number of the run to start next.
    pub fn next_attempt(&self) -> u32 {
        match self.state {
            State::Waiting { .. } => self.attempt,
            _ => self.attempt + 1,
        }
    }

    /// Run number `attempt` began, at `since` for decisions. Old news, and news of a run that already ended, change nothing.
    pub fn started(&mut self, attempt: u32, started: Wall, since: Time) {
        if attempt != self.next_attempt() || self.is_running() {
            return;
        }
        self.prepare_next(attempt);
        self.probed = Probed::since(since);
        self.state = State::Running { started, stopping: false };
    }

    /// A run goes on; the pod process says so.
    pub fn adopt(&mut self, run: &Running) {
        if !(self.is_running() && self.attempt == run.attempt) {
            self.prepare_next(run.attempt);
        }
        self.probed.began = run.since;
        self.state = State::Running { started: run.started, stopping: run.stopping };
    }

    /// The stop signal of run `attempt` is sent.
    pub fn stops(&mut self, attempt: u32) {
        match &mut self.state {
            State::Running { stopping, .. } if self.attempt == attempt => *stopping = true,
            _ => (),
        }
    }

    /// A run ended. Told twice or too late it counts once.
    pub fn exited(&mut self, end: &RunEnd, back_off: &BackOff) -> bool {
        let current = end.attempt == self.attempt && self.is_running();
        if !current && end.attempt < self.next_attempt() {
            return false;
        }
        if !current {
            // Its end may be told before the answer to its start.
            self.prepare_next(end.attempt);
        }
        self.streak = if back_off.reset_after() <= end.ran { 0 } else { self.streak + 1 };
        let due = end.finished + back_off.delay(self.streak);
        self.state = State::Terminated { exit: end.exit.clone(), due };
        true
    }

    /// Its end was none of its doing: it was killed with the others, after `before` short runs of its own.
    pub fn was_killed(&mut self, before: u32) {
        self.streak = before;
        if let State::Terminated { due, .. } = &mut self.state {
            *due = Time::ZERO;
        }
    }

    /// Its runs so far are over: the next is the first of another round.
    pub fn begin_anew(&mut self) {
        self.passed = false;
        if let State::Terminated { due, .. } = self.state {
            self.prepare_next(self.attempt + 1);
            self.state = State::Waiting { due };
        }
    }

    /// The coming run did not come about: pause, and tell why.
    pub fn hold(&mut self, failure: Failure, delay: Duration, now: Now) {
        self.failures += 1;
        self.failure = Some(failure);
        self.image = None;
        match &mut self.state {
            State::Waiting { due } | State::Terminated { due, .. } => *due = now.boot + delay,
            State::Running { .. } => (),
        }
    }

    /// Waits no more, if it waits for one of `reasons`.
    fn look_now_after(&mut self, reasons: &[Reason]) {
        let counts = |failure: &Failure| reasons.contains(&failure.reason);
        match &mut self.state {
            State::Waiting { due } | State::Terminated { due, .. }
                if self.failure.as_ref().is_some_and(counts) =>
            {
                *due = Time::ZERO;
            }
            _ => (),
        }
    }

    fn prepare_next(&mut self, attempt: u32) {
        if let State::Terminated { exit, .. } = &self.state {
            self.last = Some(exit.clone());
        }
        self.attempt = attempt;
        self.image_id = self.image.take().unwrap_or_else(|| std::mem::take(&mut self.image_id));
        self.failure = None;
        self.failures = 0;
        self.probed = Probed::default();
    }

    /// Its sandbox is gone: if it ran, it ended unseen.
    pub fn lost(&mut self, now: Now) {
        if let State::Running { started, .. } = self.state {
            let exit = Exit {
                code: EXIT_UNKNOWN,
                signal: None,
                reason: Reason::ContainerStatusUnknown,
                message: "The pod process was lost, and with it the end of the container.".to_owned(),
                started,
                finished: now.wall,
                container_id: String::new(),
            };
            self.state = State::Terminated { exit, due: Time::ZERO };
        }
        self.image = None;
    }
}
