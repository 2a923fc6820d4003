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

mod action;
mod claims;
mod container;
mod done;
mod event;
mod eviction;
mod facts;
mod history;
mod hooks;
mod next;
mod order;
mod plan;
mod probes;
mod report;
mod restart;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::api::Amounts;
use crate::spec::{Pod, Uid};
use crate::status::{EventKind, Reason, Wall};

pub use action::{Action, Learnt, Outcome};
pub use container::RunEnd;
pub use event::{Event, Found, Running};
pub use eviction::{Usage, storage_limit, volume_limit};
pub use facts::{Facts, Stamp};
pub use next::{Next, next};
pub use report::{container_id, status};
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
    /// What there is for pods; unknown at first.
    allocatable: Option<Amounts>,
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
        self.end_sleeps(now);
        self.advance(now);
        self.share_out(now);
        self.begin_endings(now);
        let actions = self.plan(now);
        for uid in &self.changed {
            if let Some(facts) = self.pods.get_mut(uid) {
                facts.settle(now);
            }
        }
        let (changed, gone) = (std::mem::take(&mut self.changed), std::mem::take(&mut self.gone));
        Step { actions, changed, gone }
    }

    /// Draws the conclusions from what was learnt, and from the time.
    fn advance(&mut self, now: Now) {
        let late = |facts: &&Facts| {
            facts.over.is_none() && facts.deadline().is_some_and(|deadline| deadline <= now.boot)
        };
        let late = self.pods.values().filter(late).map(|facts| facts.pod.uid.clone());
        self.changed.extend(late);
        for uid in &self.changed {
            let starting = self.under_way.iter().any(|action| action.is_start() && action.uid() == uid);
            if let Some(facts) = self.pods.get_mut(uid) {
                facts.advance(now, starting);
            }
        }
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

    /// Whether all pods are to end.
    pub fn is_going_down(&self) -> bool {
        self.going_down
    }

    /// Whether the order to end all pods was carried out.
    pub fn is_down(&self) -> bool {
        self.going_down && self.pods.is_empty()
    }

    fn plan(&mut self, now: Now) -> Vec<Action> {
        let order = self.in_order();
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
                // Only a sandbox that is to come asks: with hundreds of pods the question is dear.
                name_taken: facts.sandbox.state == facts::SandboxState::Absent && self.name_is_taken(facts),
                port_taken: facts.waits_for_port(),
                busy: self.under_way.iter().any(|action| action.is_waited_for() && action.uid() == uid),
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
            self.begins(now, action);
        }
        begin
    }

    fn begins(&mut self, now: Now, action: &Action) {
        self.under_way.insert(action.clone());
        let Some(facts) = self.pods.get_mut(action.uid()) else { return };
        if let Action::Probe { container, kind, .. } = action {
            let pod = facts.pod.clone();
            let probe = pod.container(container).and_then(|spec| spec.probes.get(*kind));
            if let (Some(probe), Some(known)) = (probe, facts.container(container)) {
                known.probed.asked(*kind, probe, now);
            }
            return;
        }
        if let Action::Hook { .. } = action {
            // What is to be known of it is known already.
            return;
        }
        self.changed.insert(action.uid().clone());
        facts.start.get_or_insert(now.wall);
        facts.began.get_or_insert(now.boot);
        if let Action::StopContainer { container, .. } = action {
            let known = facts.containers.iter().find(|known| known.name == *container);
            if known.is_some_and(|known| known.hooked.ending.is_some()) {
                // It was told when its hook began.
                return;
            }
            let message = known.map(|known| probes::killing(facts, known)).unwrap_or_default();
            facts.history.note(now.wall, EventKind::Normal, Reason::Killing, Some(container), message);
        }
    }

    /// The important first; else by name.
    fn in_order(&self) -> Vec<&Facts> {
        let mut order: Vec<&Facts> = self.pods.values().collect();
        order.sort_by(|one, other| by_rank(&one.pod, &other.pod));
        order
    }

    /// Whether another incarnation of the same namespace/name is still there, and was there first.
    fn name_is_taken(&self, facts: &Facts) -> bool {
        let mut same = self.pods.values().filter(|other| claims::same_name(&other.pod, &facts.pod));
        same.any(|other| other.start.is_some())
    }

    fn end_the_least_important(&mut self, now: Now) {
        let least = self.pods.values().map(|facts| facts.pod.priority).min();
        for facts in self.pods.values_mut().filter(|facts| Some(facts.pod.priority) == least) {
            if facts.deletion.is_none() {
                facts.ends(now);
                self.changed.insert(facts.pod.uid.clone());
            }
        }
    }

    fn learn(&mut self, now: Now, event: Event) {
        match event {
            Event::Found(found) => self.found(now, *found),
            Event::FoundAndDown(all) => {
                self.going_down = true;
                all.into_iter().for_each(|found| self.found(now, Found { wanted: true, ..found }));
            }
            Event::ManifestSet(pod) => self.manifest_set(now, pod),
            Event::ManifestGone(uid) => self.manifest_gone(now, &uid),
            Event::PodLost { uid, sandbox } => self.pod_lost(now, &uid, sandbox),
            Event::Exited { uid, sandbox, end } => self.exited(now, &uid, sandbox, &end),
            Event::Used { uid, sandbox, usage } => self.used(now, &uid, sandbox, &usage),
            Event::Allocatable(amounts) => self.allocatable = Some(amounts),
            Event::ImagesChanged => self.look_now_after(&[
                Reason::ContainerCreating,
                Reason::ErrImagePull,
                Reason::ErrImageNeverPull,
            ]),
            Event::PullEnded => self.look_now_after(&[Reason::ContainerCreating]),
            Event::DocumentsChanged => {
                self.look_now_after(&[Reason::FailedMount, Reason::CreateContainerConfigError]);
            }
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
            facts.exited(end, &back_off);
        }
        for run in found.running.iter().filter(|_| alive) {
            if let Some(known) = facts.container(&run.container) {
                known.adopt(run);
            }
        }
        // Who waited for a port was never acted upon, and left nothing.
        let untouched = facts.start.is_none() && facts.waits_for_port() && found.alive.is_none();
        match alive {
            true => facts.resume_probes(found.jitter, now),
            false if untouched || facts.released => (),
            false => facts.lost(now, &back_off),
        }
        facts.again = facts.deletion.is_some() && found.wanted;
        match found.wanted && facts.deletion.is_none() {
            true => facts.wanted = true,
            false => facts.ends(now),
        }
        self.changed.insert(facts.pod.uid.clone());
        self.pods.insert(facts.pod.uid.clone(), facts);
    }

    fn manifest_set(&mut self, now: Now, pod: Arc<Pod>) {
        if self.going_down {
            return;
        }
        self.changed.insert(pod.uid.clone());
        match self.pods.get_mut(&pod.uid) {
            Some(facts) => facts.again |= facts.deletion.is_some(),
            None => {
                let mut facts = Facts::new(pod.clone(), now.wall);
                facts.claimed.inherits = self.inheritance(&pod);
                self.pods.insert(pod.uid.clone(), facts);
            }
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
        // Whoever is being removed is expected to go.
        let leaving = |action: &Action| action.is_end() && action.uid() == uid;
        if self.under_way.iter().any(leaving) {
            return;
        }
        let back_off = self.back_off;
        self.of(uid, |facts| {
            if facts.is_up(sandbox) {
                facts.lost(now, &back_off);
                let message = "Pod sandbox changed, it will be killed and re-created.".to_owned();
                facts.history.note(now.wall, EventKind::Warning, Reason::SandboxChanged, None, message);
            }
        });
    }

    fn exited(&mut self, now: Now, uid: &Uid, sandbox: u32, end: &RunEnd) {
        let back_off = self.back_off;
        self.of(uid, |facts| {
            if !facts.is_up(sandbox) {
                return;
            }
            if !facts.exited(end, &back_off) {
                return;
            }
            let Some(known) = facts.containers.iter().find(|known| known.name == end.container) else {
                return;
            };
            if 1 < known.streak && facts.goes_on() && facts.will_run(known) {
                let (name, pod) = (&end.container, &facts.pod);
                let message = format!(
                    "Back-off restarting failed container {name} in pod {}_{}({})",
                    pod.name, pod.namespace, pod.uid
                );
                facts.history.note(now.wall, EventKind::Warning, Reason::BackOff, Some(name), message);
            }
        });
    }

    fn look_now_after(&mut self, reasons: &[Reason]) {
        self.pods.values_mut().for_each(|facts| facts.look_now_after(reasons));
    }

    /// Lets `change` at what is known about `uid`; a pod already forgotten is left forgotten.
    fn of(&mut self, uid: &Uid, change: impl FnOnce(&mut Facts)) {
        if let Some(facts) = self.pods.get_mut(uid) {
            self.changed.insert(uid.clone());
            change(facts);
        }
    }
}

/// The important first; else by name.
pub fn by_rank(one: &Pod, other: &Pod) -> Ordering {
    other.priority.cmp(&one.priority).then_with(|| one.name.cmp(&other.name))
}

impl Now {
    /// Both clocks, to be kept.
    pub fn stamp(self) -> Stamp {
        Stamp { boot: self.boot, wall: self.wall }
    }
}
