//! The pod lifecycle, as a function.
//!
//! [`Node::step`] folds one [`Event`] into what is known, asks `plan` what should be done about it, and returns the actions
//! that are not under way yet. Nothing here reads a clock, a file or a socket, so every test is a story told in virtual
//! time.
//!
//! Invariant: every [`Action`] handed out comes back once, in an [`Event::Done`].
//! Invariant: its `Done`, good or bad, changes a fact, so that the next plan differs; else the agent would spin.
//! Invariant: `step` depends only on its arguments and on earlier calls.
//! Invariant: what belongs to an older sandbox or an older run changes nothing.

mod done;
mod events;
mod facts;
mod plan;
mod report;
mod restart;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::spec::{Pod, Uid};
use crate::status::{EventKind, Failure, Reason, Wall};

pub use facts::{Facts, RunEnd, Stamp};
pub use report::{container_id, next, status};
pub use restart::BackOff;

/// CLOCK_BOOTTIME: since the boot, without jumps, the same for every process. Supplied by the caller, never read.
pub type Time = Duration;

/// The present, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For decisions.
    pub boot: Time,
    /// For people.
    pub wall: Wall,
}

/// Everything that can happen to the node. Closed on purpose: to add a cause, add a variant.
#[derive(Debug, Clone)]
pub enum Event {
    /// A pod was found on disk at the agent's start.
    Found(Box<Found>),
    /// A manifest asks for this pod.
    ManifestSet(Arc<Pod>),
    /// No manifest asks for it any more.
    ManifestGone(Uid),
    /// An action came to its end.
    Done {
        /// Which.
        action: Action,
        /// What was learnt by it, or why it failed.
        result: Result<Learnt, Failure>,
    },
    /// The pod process died, and with it the sandbox.
    PodLost {
        /// The pod.
        uid: Uid,
        /// Number of the sandbox.
        sandbox: u32,
    },
    /// A run began; told by the pod process where the asking agent is no more.
    Started {
        /// The pod.
        uid: Uid,
        /// Number of the sandbox.
        sandbox: u32,
        /// The container.
        container: String,
        /// Number of the run.
        attempt: u32,
        /// When.
        started: Wall,
    },
    /// A run ended. Runs that ended before are ignored.
    Exited {
        /// The pod.
        uid: Uid,
        /// Number of the sandbox.
        sandbox: u32,
        /// How.
        end: RunEnd,
    },
    /// Images came: whoever waits for one looks again.
    ImagesChanged,
    /// Somebody ordered this pod to be started anew.
    Restart(Uid),
    /// Somebody ordered all pods to end; those of lower priority first.
    Down,
    /// Nothing happened, except that [`Node::next_deadline`] came.
    Tick,
}

/// A pod found on disk.
#[derive(Debug, Clone)]
pub struct Found {
    /// As they were written down; [`Facts::new`] where they were not.
    pub facts: Facts,
    /// Number of the sandbox whose process answers, if one does.
    pub alive: Option<u32>,
    /// What runs, by that process.
    pub running: Vec<Running>,
    /// Ends that it wrote down.
    pub ended: Vec<RunEnd>,
    /// Whether the manifests still ask for it.
    pub wanted: bool,
}

/// A run that goes on.
#[derive(Debug, Clone)]
pub struct Running {
    /// The container.
    pub container: String,
    /// Number of the run.
    pub attempt: u32,
    /// Since when.
    pub started: Wall,
    /// Whether its stop signal was sent.
    pub stopping: bool,
}

/// Everything the node can do to the world. Each names the sandbox it was meant for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the same few fields each time: pod, sandbox number, container, run number")]
pub enum Action {
    /// Make directories, cgroup, pod process.
    StartPod { uid: Uid, sandbox: u32 },
    /// See to it that the image of the coming run is here.
    PullImage { uid: Uid, sandbox: u32, container: String, attempt: u32 },
    /// Begin a run.
    StartContainer { uid: Uid, sandbox: u32, container: String, attempt: u32 },
    /// Send the stop signal, and SIGKILL at `until`. Done when that is arranged; the exit is told by itself.
    StopContainer { uid: Uid, sandbox: u32, container: String, attempt: u32, until: Time },
    /// Kill and remove what a lost sandbox left; keep the pod's volumes.
    CleanPod { uid: Uid, sandbox: u32 },
    /// Remove everything of the pod.
    RemovePod { uid: Uid, sandbox: u32, keep_logs: bool },
}

impl Action {
    /// The pod that it is about.
    pub fn uid(&self) -> &Uid {
        match self {
            Action::StartPod { uid, .. }
            | Action::PullImage { uid, .. }
            | Action::StartContainer { uid, .. }
            | Action::StopContainer { uid, .. }
            | Action::CleanPod { uid, .. }
            | Action::RemovePod { uid, .. } => uid,
        }
    }

    fn is_start(&self) -> bool {
        matches!(self, Action::StartPod { .. } | Action::PullImage { .. } | Action::StartContainer { .. })
    }
}

/// What a good end of an action taught.
#[derive(Debug, Clone)]
pub enum Learnt {
    /// That it is done.
    Done,
    /// Of [`Action::StartPod`].
    Pod {
        /// The pod's address.
        ip: Option<String>,
        /// For each container with logs from before: a number no log has yet.
        attempts: BTreeMap<String, u32>,
    },
    /// Of [`Action::PullImage`].
    Image {
        /// `sha256:…`.
        id: String,
        /// A sentence for the Pulled event.
        message: String,
    },
    /// Of [`Action::StartContainer`].
    Started {
        /// When.
        at: Wall,
    },
}

/// What one step decided.
#[derive(Debug, Default)]
pub struct Step {
    /// In the order they may begin.
    pub actions: Vec<Action>,
    /// Pods of which something became known: to be saved and published.
    pub changed: BTreeSet<Uid>,
    /// Pods that are gone.
    pub gone: Vec<Uid>,
}

/// All pods of the node: what is wanted, what is known, what is under way.
#[derive(Default)]
pub struct Node {
    pods: BTreeMap<Uid, Facts>,
    under_way: BTreeSet<Action>,
    back_off: BackOff,
    /// Most pods to be started at once; 0 means no limit.
    max_starting: usize,
    going_down: bool,
    deadline: Option<Time>,
    changed: BTreeSet<Uid>,
    gone: Vec<Uid>,
}

impl Node {
    /// An empty node that starts at most `max_starting` pods at once.
    pub fn new(back_off: BackOff, max_starting: usize) -> Node {
        Node { back_off, max_starting, ..Node::default() }
    }

    /// Takes in one event and returns the actions it calls for.
    pub fn step(&mut self, now: Now, event: Event) -> Step {
        self.learn(now, event);
        if self.going_down {
            self.end_the_least_important(now);
        }
        let actions = self.plan(now);
        for uid in &self.changed {
            if let Some(facts) = self.pods.get_mut(uid) {
                facts.settle(now);
            }
        }
        let (changed, gone) = (std::mem::take(&mut self.changed), std::mem::take(&mut self.gone));
        Step { actions, changed, gone }
    }

    /// When to call [`Node::step`] with [`Event::Tick`] if nothing else happens first.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// What is known about `uid`.
    pub fn facts(&self, uid: &Uid) -> Option<&Facts> {
        self.pods.get(uid)
    }

    /// Everything that is known.
    pub fn all(&self) -> impl Iterator<Item = &Facts> {
        self.pods.values()
    }

    /// Whether the order to end all pods was carried out.
    pub fn is_down(&self) -> bool {
        self.going_down && self.pods.is_empty()
    }

    fn plan(&mut self, now: Now) -> Vec<Action> {
        let mut order: Vec<&Facts> = self.pods.values().collect();
        order.sort_by(|a, b| b.pod.priority.cmp(&a.pod.priority).then_with(|| a.pod.name.cmp(&b.pod.name)));
        let mut starting: BTreeSet<Uid> = self
            .under_way
            .iter()
            .filter(|action| action.is_start())
            .map(|action| action.uid().clone())
            .collect();
        let mut begin = Vec::new();
        let mut deadline = None;
        for facts in order {
            let uid = &facts.pod.uid;
            let room = self.max_starting == 0 || starting.len() < self.max_starting || starting.contains(uid);
            let circumstances = plan::Circumstances {
                name_taken: self.name_is_taken(facts),
                busy: self.under_way.iter().any(|action| action.uid() == uid),
                queued: !room,
                keep_logs: facts.again || self.going_down,
            };
            let plan = plan::plan(facts, circumstances, now.boot);
            deadline = plan::earliest(deadline, plan.look_again);
            for action in plan.actions {
                if !self.under_way.contains(&action) {
                    if action.is_start() {
                        starting.insert(uid.clone());
                    }
                    begin.push(action);
                }
            }
        }
        self.deadline = deadline;
        for action in &begin {
            self.under_way.insert(action.clone());
            self.changed.insert(action.uid().clone());
            if let Some(facts) = self.pods.get_mut(action.uid()) {
                facts.start.get_or_insert(now.wall);
                if let Action::StopContainer { container, .. } = action {
                    let message = format!("Stopping container {container}");
                    facts.events.note(now.wall, EventKind::Normal, Reason::Killing, Some(container), message);
                }
            }
        }
        begin
    }

    /// Whether another incarnation of the same namespace/name is still there, and was there first.
    fn name_is_taken(&self, facts: &Facts) -> bool {
        let same = |other: &&Facts| {
            other.pod.uid != facts.pod.uid
                && other.pod.name == facts.pod.name
                && other.pod.namespace == facts.pod.namespace
        };
        self.pods.values().filter(same).any(|other| !other.wanted || other.start.is_some())
    }

    fn end_the_least_important(&mut self, now: Now) {
        let least = self.pods.values().map(|facts| facts.pod.priority).min();
        for facts in self.pods.values_mut().filter(|facts| Some(facts.pod.priority) == least) {
            facts.again = false;
            if facts.deletion.is_none() {
                facts.ends(now);
                self.changed.insert(facts.pod.uid.clone());
            }
        }
    }

    fn learn(&mut self, now: Now, event: Event) {
        match event {
            Event::Found(found) => self.found(now, *found),
            Event::ManifestSet(pod) => self.manifest_set(pod),
            Event::ManifestGone(uid) => self.manifest_gone(now, &uid),
            Event::PodLost { uid, sandbox } => self.pod_lost(now, &uid, sandbox),
            Event::Started { uid, sandbox, container, attempt, started } => self.of(&uid, |facts| {
                if facts.is_up(sandbox) {
                    facts.container(&container).into_iter().for_each(|known| known.started(attempt, started));
                }
            }),
            Event::Exited { uid, sandbox, end } => self.exited(now, &uid, sandbox, &end),
            Event::ImagesChanged => self.images_changed(),
            Event::Restart(uid) => self.of(&uid, |facts| {
                facts.again = facts.wanted || facts.again;
                facts.ends(now);
            }),
            Event::Down => self.going_down = true,
            Event::Done { action, result } => {
                if self.under_way.remove(&action) {
                    self.done(now, action, result);
                }
            }
            Event::Tick => (),
        }
    }

    fn found(&mut self, now: Now, found: Found) {
        let mut facts = found.facts;
        let back_off = self.back_off;
        // A sandbox that was never seen to come up is begun anew: nothing ran in it, and what it lacks is unknown.
        let alive = found.alive.is_some_and(|number| facts.is_up(number));
        for end in &found.ended {
            if let Some(known) = facts.container(&end.container) {
                known.exited(end, &back_off);
            }
        }
        for run in found.running.iter().filter(|_| alive) {
            if let Some(known) = facts.container(&run.container) {
                known.adopt(run.attempt, run.started, run.stopping);
            }
        }
        if !alive {
            facts.lost(now, &back_off);
        }
        facts.again = facts.deletion.is_some() && found.wanted;
        match found.wanted && facts.deletion.is_none() {
            true => facts.wanted = true,
            false => facts.ends(now),
        }
        self.changed.insert(facts.pod.uid.clone());
        self.pods.insert(facts.pod.uid.clone(), facts);
    }

    fn manifest_set(&mut self, pod: Arc<Pod>) {
        if self.going_down {
            return;
        }
        self.changed.insert(pod.uid.clone());
        match self.pods.get_mut(&pod.uid) {
            Some(facts) if facts.deletion.is_some() => facts.again = true,
            Some(_) => (),
            None => drop(self.pods.insert(pod.uid.clone(), Facts::new(pod))),
        }
    }

    fn manifest_gone(&mut self, now: Now, uid: &Uid) {
        self.of(uid, |facts| {
            facts.again = false;
            facts.ends(now);
        });
        // Edits may come faster than pods end: what never began needs no end.
        if self.pods.get(uid).is_some_and(|facts| facts.start.is_none()) {
            self.pods.remove(uid);
            self.gone.push(uid.clone());
        }
    }

    fn pod_lost(&mut self, now: Now, uid: &Uid, sandbox: u32) {
        let back_off = self.back_off;
        self.of(uid, |facts| {
            if facts.is_up(sandbox) {
                facts.lost(now, &back_off);
                let message = "Pod sandbox changed, it will be killed and re-created.".to_owned();
                facts.events.note(now.wall, EventKind::Warning, Reason::SandboxChanged, None, message);
            }
        });
    }

    fn exited(&mut self, now: Now, uid: &Uid, sandbox: u32, end: &RunEnd) {
        let back_off = self.back_off;
        self.of(uid, |facts| {
            if !facts.is_up(sandbox) {
                return;
            }
            let policy = facts.pod.restart_policy;
            let Some(known) = facts.container(&end.container) else { return };
            if !known.exited(end, &back_off) {
                return;
            }
            let streak = known.streak;
            let will_run = plan::will_run(policy, known);
            if 1 < streak && will_run && facts.wanted {
                let (name, pod) = (&end.container, &facts.pod);
                let message = format!(
                    "Back-off restarting failed container {name} in pod {}_{}({})",
                    pod.name, pod.namespace, pod.uid
                );
                facts.events.note(now.wall, EventKind::Warning, Reason::BackOff, Some(name), message);
            }
        });
    }

    fn images_changed(&mut self) {
        for facts in self.pods.values_mut() {
            facts.containers.iter_mut().for_each(facts::Container::look_for_image_now);
        }
    }

    /// Lets `change` at what is known about `uid`; a pod already forgotten is left forgotten.
    fn of(&mut self, uid: &Uid, change: impl FnOnce(&mut Facts)) {
        if let Some(facts) = self.pods.get_mut(uid) {
            self.changed.insert(uid.clone());
            change(facts);
        }
    }
}

impl Now {
    /// Both clocks, to be kept.
    pub fn stamp(self) -> Stamp {
        Stamp { boot: self.boot, wall: self.wall }
    }
}
