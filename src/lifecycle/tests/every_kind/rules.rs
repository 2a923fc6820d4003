//! What must be so whatever happens, and what must be so in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{World, pods};
use crate::lifecycle::container::State;
use crate::lifecycle::{Action, BackOff, Facts, Node, Step, status};
use crate::spec::{Pod, RestartAction, RestartPolicy, Role, Uid};
use crate::status::{ContainerState, Phase};

/// More actions of one pod in one second are a loop: it has at most six containers, each of which is pulled, started, probed
/// in three ways and stopped, and begins once more at once.
const MOST_AT_ONCE: u32 = 150;

/// What was seen so far.
#[derive(Default)]
pub struct Rules {
    pods: BTreeMap<Uid, Arc<Pod>>,
    /// Restart counts, as published.
    counts: BTreeMap<(Uid, String), u32>,
    /// Phases that are not left again.
    final_phases: BTreeMap<Uid, Phase>,
    /// Actions of one pod in one second.
    begun: BTreeMap<Uid, (u64, u32)>,
}

impl Rules {
    /// The pod of `uid`, known since it was first seen.
    pub fn pod(&self, uid: &Uid) -> Arc<Pod> {
        self.pods[uid].clone()
    }

    /// An agent died, and what it did not write down is forgotten.
    pub fn forget_all_but(&mut self, written: BTreeSet<&Uid>) {
        self.counts.retain(|(uid, _), _| written.contains(uid));
        self.final_phases.retain(|uid, _| written.contains(uid));
    }

    /// After each step: what is published never goes back.
    pub fn after(&mut self, at: u64, node: &Node, step: &Step) {
        for uid in &step.gone {
            self.counts.retain(|(of, _), _| of != uid);
            self.final_phases.remove(uid);
        }
        for facts in step.changed.iter().filter_map(|uid| node.facts(uid)) {
            let uid = &facts.pod.uid;
            self.pods.insert(uid.clone(), facts.pod.clone());
            let status = status(facts, &BackOff::default(), None);
            let all = || status.init_containers.iter().chain(&status.containers);
            for container in all() {
                let count = container.restart_count;
                let before = self.counts.insert((uid.clone(), container.name.clone()), count);
                let shrinks = before.is_some_and(|before| count < before);
                assert!(
                    !shrinks,
                    "{at}s: {uid}: {} was restarted {before:?} times, now {count}",
                    container.name
                );
            }
            let is_final = matches!(status.phase, Phase::Succeeded | Phase::Failed);
            let before = match facts.deletion {
                None if is_final => self.final_phases.insert(uid.clone(), status.phase),
                None => self.final_phases.get(uid).copied(),
                Some(_) => self.final_phases.remove(uid).and(None),
            };
            assert!(
                before.is_none_or(|before| before == status.phase),
                "{at}s: {uid} was {before:?}: {status:?}"
            );
            let runs = |state: &ContainerState| matches!(state, ContainerState::Running { .. });
            let any = all().any(|container| runs(&container.state));
            assert!(!(is_final && any), "{at}s: {uid} is over and runs: {status:?}");
        }
    }

    /// Before each action.
    pub fn begins(&mut self, at: u64, node: &Node, action: &Action) {
        let uid = action.uid();
        let (second, count) = self.begun.entry(uid.clone()).or_insert((at, 0));
        *count = if *second == at { *count + 1 } else { 1 };
        *second = at;
        assert!(*count < MOST_AT_ONCE, "{at}s: {uid}: no end of {action:?}");
        let Some(facts) = node.facts(uid) else { panic!("{at}s: {action:?} of a pod that nobody knows") };
        if action.is_start() {
            assert!(facts.wanted && facts.over.is_none(), "{at}s: {action:?} of a pod that ends");
        }
        if let Action::StopContainer { container, .. } = action {
            stops_in_order(at, facts, container);
        }
    }
}

/// A sidecar of a pod that ends serves the others, and those that began after it, until the time is used up.
fn stops_in_order(at: u64, facts: &Facts, name: &str) {
    let pod = &facts.pod;
    let Some(ending) = facts.ending().filter(|_| role(pod, name) == Role::Sidecar) else { return };
    if (ending.boot + facts.grace()).as_secs() <= at {
        return;
    }
    let place = |name: &str| pod.containers.iter().position(|container| container.name == name);
    let served = |other: &str| role(pod, other) != Role::Sidecar || place(name) < place(other);
    let running = facts.containers.iter().filter(|known| known.is_running());
    let left: Vec<_> = running.filter(|known| served(&known.name)).map(|known| &known.name).collect();
    assert!(left.is_empty(), "{at}s: {}: {name} is stopped before {left:?}", pod.uid);
}

/// Whether a run of `name` may begin where those in `passed` have let others on, in the same sandbox.
pub fn may_begin(pod: &Pod, name: &str, passed: &BTreeSet<String>) {
    let before = pod.containers.iter().take_while(|container| container.name != name);
    let waits =
        before.filter(|container| container.role != Role::Regular && !passed.contains(&container.name));
    let waits: Vec<_> = waits.map(|container| &container.name).collect();
    assert!(waits.is_empty(), "{}: {name} begins before {waits:?} let it", pod.uid);
    let rules = pod.containers.iter().flat_map(|container| &container.restart_rules);
    let rounds = rules.into_iter().any(|rule| rule.action == RestartAction::RestartAllContainers);
    let again = role(pod, name) == Role::Init && passed.contains(name);
    assert!(rounds || !again, "{}: {name} is done and begins again", pod.uid);
}

fn role(pod: &Pod, name: &str) -> Role {
    pod.container(name).map(|container| container.role).unwrap_or_default()
}

impl World {
    /// Luck has turned some time ago.
    pub fn all_is_as_wanted(&self, seed: u64) {
        let wanted: BTreeSet<&Uid> = self.wanted.values().map(|pod| &pod.uid).collect();
        let known: BTreeSet<&Uid> = self.node.all().map(|facts| &facts.pod.uid).collect();
        assert_eq!(known, wanted, "seed {seed}");
        let up: BTreeSet<&Uid> = self.sandboxes.keys().collect();
        assert!(up.is_subset(&wanted), "seed {seed}: {up:?} are up, {wanted:?} are wanted");
        for pod in self.wanted.values() {
            self.is_as_wanted(seed, pod);
        }
        let left: Vec<_> = self.under_way.iter().filter(|action| action.is_waited_for()).collect();
        assert!(left.is_empty(), "seed {seed}: {left:?} never end");
    }

    fn is_as_wanted(&self, seed: u64, pod: &Pod) {
        let facts = self.node.facts(&pod.uid).unwrap();
        let sandbox = self.sandboxes.get(&pod.uid);
        let running = sandbox.into_iter().flat_map(|sandbox| sandbox.running.keys());
        let running: BTreeSet<&str> = running.map(String::as_str).collect();
        let phase = status(facts, &BackOff::default(), None).phase;
        let tell = format!("seed {seed}: {pod:?}\n{phase:?}: {running:?} run\n{facts:?}");
        let servers =
            || pod.containers.iter().filter(|spec| spec.role == Role::Regular && pods::goes_on(pod, spec));
        if matches!(phase, Phase::Succeeded | Phase::Failed) {
            assert!(running.is_empty() && sandbox.is_none() && facts.released, "{tell}");
            let given_up = |spec: &&crate::spec::Container| {
                spec.role == Role::Init && pods::policy(pod, spec) == RestartPolicy::Never
            };
            let may = servers().next().is_none()
                || pod.active_deadline.is_some()
                || !facts.evicted.is_empty()
                || pod.containers.iter().any(|spec| given_up(&spec));
            assert!(may, "it should go on: {tell}");
            return;
        }
        assert!(servers().next().is_some() && phase == Phase::Running, "it should be over: {tell}");
        assert!(pod.active_deadline.is_none(), "it takes too long: {tell}");
        let expected = pod.containers.iter().filter(|spec| pods::goes_on(pod, spec));
        assert_eq!(running, expected.map(|spec| spec.name.as_str()).collect(), "{tell}");
        let known = facts.containers.iter().filter(|known| matches!(known.state, State::Running { .. }));
        let known: BTreeMap<&str, u32> = known.map(|known| (known.name.as_str(), known.attempt)).collect();
        let running = sandbox.into_iter().flat_map(|sandbox| &sandbox.running);
        let running = running.map(|(name, (attempt, ..))| (name.as_str(), *attempt));
        assert_eq!(known, running.collect(), "{tell}");
        assert!(facts.is_initialized(), "{tell}");
        assert!(
            facts.containers.iter().filter(|known| known.is_running()).all(|known| facts.is_ready(known)),
            "{tell}"
        );
    }
}
