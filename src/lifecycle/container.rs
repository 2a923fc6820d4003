//! What is known about one container, and how its runs follow each other.
//!
//! Invariant: an end that is told twice or too late counts once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hooks::Hooked;
use super::probes::Probed;
use super::report::container_id;
use super::restart::BackOff;
use super::{Now, Running, Time};
use crate::spec::Pod;
use crate::status::{Exit, Failure, Reason, Wall};

/// Exit code of a run whose end nobody saw, or was to see, as the kubelet reports it.
pub const EXIT_UNKNOWN: i32 = 137;
/// The kubelet's sentence (reference B.4).
pub const ANEW_WITH_ALL: &str = "The container is removed because RestartAllContainers in place";
/// Exit code of a run whose process could not be started.
pub const EXIT_NOT_STARTED: i32 = 128;

/// Between two looks at an image that is on its way: what it says of that is for people.
const PULL_LOOK: Duration = Duration::from_secs(2);

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
    /// What volumes of images had that were found with it, by their names.
    #[serde(default)]
    pub volume_images: BTreeMap<String, String>,
    /// Why the coming run does not come about.
    pub failure: Option<Failure>,
    /// Failures of that kind in a row.
    pub failures: u32,
    /// Pulls in a row that failed before the one that is under way.
    #[serde(default)]
    pub failed_pulls: u32,
    /// How the run before the latest ended; the latest once another is being prepared.
    pub last: Option<Exit>,
    /// What probes say of the latest run.
    #[serde(default)]
    pub probed: Probed,
    /// What hooks say of it.
    #[serde(default)]
    pub hooked: Hooked,
    /// All containers were ended, and it has not run again since.
    #[serde(default)]
    pub anew_with_all: bool,
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

impl Container {
    /// Nothing ran yet.
    pub fn new(name: &str, attempt: u32) -> Container {
        Container {
            name: name.to_owned(),
            state: State::Waiting { due: Time::ZERO },
            passed: false,
            attempt,
            streak: 0,
            image: None,
            image_id: String::new(),
            volume_images: BTreeMap::new(),
            failure: None,
            failures: 0,
            failed_pulls: 0,
            last: None,
            probed: Probed::default(),
            hooked: Hooked::default(),
            anew_with_all: false,
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
        if let State::Terminated { exit, due } = &mut self.state {
            *due = Time::ZERO;
            // However it took it: the kubelet tells the same of all of them (reference B.4).
            (exit.code, exit.reason) = (EXIT_UNKNOWN, Reason::RestartingAllContainers);
            exit.message = ANEW_WITH_ALL.to_owned();
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

    /// The same, since all containers of its pod begin anew.
    pub fn begin_anew_with_all(&mut self) {
        let ran = matches!(self.state, State::Terminated { .. });
        self.begin_anew();
        self.anew_with_all = ran;
    }

    /// The coming run did not come about: pause as long as `delay` says after so many failures of that kind in a row, and
    /// tell why.
    pub fn hold(&mut self, failure: Failure, delay: impl Fn(u32) -> Duration, now: Now) {
        let again = self.failure.as_ref().is_some_and(|before| before.reason == failure.reason);
        let before = match failure.reason {
            _ if again => self.failures,
            Reason::ErrImagePull => self.failed_pulls,
            _ => 0,
        };
        (self.failures, self.failed_pulls) = (before + 1, 0);
        let delay = delay(self.failures);
        self.failure = Some(failure);
        self.image = None;
        match &mut self.state {
            State::Waiting { due } | State::Terminated { due, .. } => *due = now.boot + delay,
            State::Running { .. } => (),
        }
    }

    /// The image of the coming run is on its way: it is asked for again in a moment, and a failure before this one counts on.
    pub fn pulls(&mut self, message: String, now: Now) {
        let failed = match &self.failure {
            Some(failure) if failure.reason == Reason::ErrImagePull => self.failures,
            _ => self.failed_pulls,
        };
        self.hold(Failure::new(Reason::ContainerCreating, message), |_| PULL_LOOK, now);
        self.failed_pulls = failed;
    }

    /// Waits no more, if it waits for one of `reasons`.
    pub fn look_now_after(&mut self, reasons: &[Reason]) {
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
        (self.failures, self.failed_pulls) = (0, 0);
        self.probed = Probed::default();
        self.hooked = Hooked::default();
        self.anew_with_all = false;
    }

    /// The log of run `attempt` is there. Where nobody heard of that one, both its agent and its pod process died while it was
    /// being started: its number is spent.
    pub fn ran_unseen(&mut self, pod: &Pod, attempt: u32, now: Now) {
        if self.attempt < attempt && !self.is_running() {
            self.prepare_next(attempt);
            self.state = State::Running { started: now.wall, stopping: false };
            self.lost(pod, now);
        }
    }

    /// Its sandbox, of `pod`, is gone: if it ran, it ended unseen.
    pub fn lost(&mut self, pod: &Pod, now: Now) {
        if let State::Running { started, .. } = self.state {
            let exit = Exit {
                code: EXIT_UNKNOWN,
                signal: None,
                reason: Reason::ContainerStatusUnknown,
                message: "The pod process was lost, and with it the end of the container.".to_owned(),
                started,
                finished: now.wall,
                container_id: container_id(pod, &self.name, self.attempt),
            };
            self.state = State::Terminated { exit, due: Time::ZERO };
        }
        self.image = None;
    }
}
