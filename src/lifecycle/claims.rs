//! What pods take of the node: ports, of which each is one pod's, and amounts, of which there may be too little.
//!
//! A kubelet rejects a pod whose port is taken, for good. Here it waits. What has begun keeps its ports; else the important
//! come first, then the names. An edited pod inherits: its ports are nobody's while the old one ends.
//!
//! Invariant: a pod that has begun never asks again, so that no two pods wait for each other.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::{Node, Now};
use crate::api::Amounts;
use crate::spec::{HostPort, Pod, Uid};
use crate::status::{EventKind, Failure, Reason};

/// What is known of a pod's claims.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// Ports that an earlier pod of its name had: nobody else gets them first.
    pub inherits: Vec<HostPort>,
    /// Of what the node has too little for it, which was told.
    pub short_of: Vec<Reason>,
}

/// Whether `one` and `other` are incarnations of one namespace/name.
pub fn same_name(one: &Pod, other: &Pod) -> bool {
    one.uid != other.uid && one.name == other.name && one.namespace == other.namespace
}

impl Facts {
    /// Whether it waits for a port that another pod has.
    pub fn waits_for_port(&self) -> bool {
        self.sandbox.failure.as_ref().is_some_and(|failure| failure.reason == Reason::NodePorts)
    }

    /// The ports that are its own: all that it takes, from when it begins until it is over and has given them back; before
    /// that those that it inherits. What ends has them until it is gone.
    pub(super) fn claims(&self) -> &[HostPort] {
        match self.start {
            Some(_) if self.wanted && self.released => &[],
            // What never got them may be ended too.
            Some(_) if !self.waits_for_port() => &self.pod.host_ports,
            _ => &self.claimed.inherits,
        }
    }

    /// Whether it has not begun and wants to, with ports of the node.
    fn asks(&self) -> bool {
        self.start.is_none() && self.wanted && !self.pod.host_ports.is_empty()
    }
}

impl Node {
    /// Tells who has to wait for a port, and who runs though the node has too little for it.
    pub(super) fn share_out(&mut self, now: Now) {
        let rejected = self.rejected();
        for (uid, message) in rejected {
            let Some(facts) = self.pods.get_mut(&uid) else { continue };
            let failure = message.map(|message| Failure::new(Reason::NodePorts, message));
            if facts.sandbox.failure == failure {
                continue;
            }
            if let Some(failure) = &failure {
                let (reason, message) = (failure.reason, failure.message.clone());
                facts.history.note(now.wall, EventKind::Warning, reason, None, message);
            }
            facts.sandbox.failure = failure;
            self.changed.insert(uid);
        }
        for (uid, reason, message) in self.too_much() {
            let Some(facts) = self.pods.get_mut(&uid) else { continue };
            facts.claimed.short_of.push(reason);
            facts.history.note(now.wall, EventKind::Warning, reason, None, message);
            self.changed.insert(uid);
        }
    }

    /// Of each pod that asks: why it has to wait, if it has.
    fn rejected(&self) -> Vec<(Uid, Option<String>)> {
        if !self.pods.values().any(Facts::asks) {
            return Vec::new();
        }
        let holders = self.pods.values();
        let mut taken: Vec<(HostPort, &Pod)> =
            holders.flat_map(|facts| facts.claims().iter().map(|port| (*port, &*facts.pod))).collect();
        let mut told = Vec::new();
        for facts in self.in_order().into_iter().filter(|facts| facts.asks()) {
            let pod = &*facts.pod;
            let others = |port: &HostPort| {
                let meets = |(other, holder): &&(HostPort, &Pod)| {
                    port.conflicts(other) && holder.uid != pod.uid && !same_name(holder, pod)
                };
                taken.iter().find(meets).map(|(_, holder)| (*port, holder.full_name()))
            };
            let why = pod.host_ports.iter().find_map(others).map(|(port, holder)| {
                format!(
                    "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports: {port} is \
                     taken by pod {holder}"
                )
            });
            if why.is_none() {
                taken.extend(pod.host_ports.iter().map(|port| (*port, pod)));
            }
            told.push((pod.uid.clone(), why));
        }
        told
    }

    /// The ports of `pod` that an earlier incarnation of it has.
    pub(super) fn inheritance(&self, pod: &Pod) -> Vec<HostPort> {
        let earlier: Vec<&Facts> = self.pods.values().filter(|facts| same_name(&facts.pod, pod)).collect();
        let theirs = |port: &&HostPort| {
            earlier.iter().any(|facts| facts.claims().iter().any(|other| port.conflicts(other)))
        };
        pod.host_ports.iter().filter(theirs).copied().collect()
    }

    /// Pods for which the node has too little, if the important are served first; each is told once. All run: a kubelet
    /// makes room for static pods too, by ending others, which are not here.
    fn too_much(&self) -> Vec<(Uid, Reason, String)> {
        let Some(allocatable) = self.allocatable else { return Vec::new() };
        let mut used = Amounts::default();
        let mut told = Vec::new();
        for facts in self.in_order().into_iter().filter(|facts| facts.wanted && !facts.ended) {
            let asked = requests(&facts.pod);
            for (reason, resource, asked, used, capacity) in [
                (Reason::OutOfcpu, "cpu", asked.cpu_milli, used.cpu_milli, allocatable.cpu_milli),
                (Reason::OutOfmemory, "memory", asked.memory, used.memory, allocatable.memory),
            ] {
                let fits = asked == 0 || used.saturating_add(asked) <= capacity;
                if !fits && !facts.claimed.short_of.contains(&reason) {
                    let message = format!(
                        "Node didn't have enough resource: {resource}, requested: {asked}, used: {used}, capacity: \
                         {capacity}; a static pod runs all the same"
                    );
                    told.push((facts.pod.uid.clone(), reason, message));
                }
            }
            used = used.plus(asked);
        }
        told
    }
}

/// What a pod asks for.
fn requests(pod: &Pod) -> Amounts {
    let asked = pod.together();
    Amounts {
        cpu_milli: asked.cpu_request.map_or(0, |cpu| cpu.0),
        memory: asked.memory_request.map_or(0, |memory| memory.0),
        storage: 0,
    }
}
