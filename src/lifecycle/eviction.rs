//! What a pod may take of the node's disk, and what becomes of one that takes more (reference B.12).
//!
//! A kubelet says the same of pods that are not static, and ends none that are. Here a limit is one.
//!
//! Invariant: what was measured in an older sandbox changes nothing: in another life of the pod its volumes are new.

use std::collections::BTreeMap;

use super::facts::{Facts, SandboxState};
use super::order::Over;
use super::{Node, Now, Time};
use crate::spec::{Bytes, Pod, Uid, Volume, VolumeSource};
use crate::status::{EventKind, Reason};

/// What a pod that is evicted has between the stop signal and SIGKILL (`immediateEvictionGracePeriodSeconds`).
const GRACE: Time = Time::from_secs(1);

/// What a pod has on the disk, in bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// In emptyDirs, by their names.
    pub volumes: BTreeMap<String, u64>,
    /// What containers wrote elsewhere, by their names, with their logs.
    pub containers: BTreeMap<String, u64>,
    /// In files of the whole pod, such as `/etc/hosts`.
    pub pod: u64,
}

/// How much `pod` may have on the disk: what its containers may, all together. `None` where none of them says.
pub fn storage_limit(pod: &Pod) -> Option<Bytes> {
    pod.containers.iter().find_map(|container| container.resources.storage_limit)?;
    pod.dearest(|resources| Some(resources.storage_limit.map_or(0, |limit| limit.0))).map(Bytes)
}

/// How much may be in `volume`, if it is on the disk and has a limit.
pub fn volume_limit(volume: &Volume) -> Option<Bytes> {
    volume.size_limit.filter(|_| volume.source == VolumeSource::EmptyDir)
}

/// What `usage` is too much for, in the kubelet's words.
fn excess(pod: &Pod, usage: &Usage) -> Option<String> {
    let of = |all: &BTreeMap<String, u64>, name: &str| all.get(name).copied().unwrap_or_default();
    for volume in &pod.volumes {
        let name = &volume.name;
        if let Some(limit) = volume_limit(volume).filter(|limit| limit.0 < of(&usage.volumes, name)) {
            return Some(format!("Usage of EmptyDir volume {name:?} exceeds the limit \"{limit}\". "));
        }
    }
    let parts = usage.volumes.values().chain(usage.containers.values());
    let total = parts.fold(usage.pod, |total, part| total.saturating_add(*part));
    if let Some(limit) = storage_limit(pod).filter(|limit| limit.0 < total) {
        return Some(format!(
            "Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "
        ));
    }
    pod.containers.iter().find_map(|container| {
        let name = &container.name;
        let limit =
            container.resources.storage_limit.filter(|limit| limit.0 < of(&usage.containers, name))?;
        Some(format!("Container {name} exceeded its local ephemeral storage limit \"{limit}\". "))
    })
}

impl Facts {
    /// Whether what it has on the disk is to be measured: it may grow, and there is a limit to it.
    pub fn is_measured(&self) -> bool {
        let limited = self.pod.volumes.iter().any(|volume| volume_limit(volume).is_some());
        (limited || storage_limit(&self.pod).is_some())
            && self.goes_on()
            && self.sandbox.state == SandboxState::Up
    }

    /// Time between the stop signal and SIGKILL, once it ends.
    pub fn grace(&self) -> Time {
        let evicted = matches!(self.over, Some((Over::Evicted, _)));
        if evicted { self.pod.grace.min(GRACE) } else { self.pod.grace }
    }
}

impl Node {
    /// A pod was measured: one that has too much is evicted.
    pub(super) fn used(&mut self, now: Now, uid: &Uid, sandbox: u32, usage: &Usage) {
        let Some(facts) = self.pods.get_mut(uid) else { return };
        let counts = facts.sandbox.number == sandbox && facts.wanted && facts.over.is_none();
        let Some(message) = excess(&facts.pod, usage).filter(|_| counts) else { return };
        facts.history.note(now.wall, EventKind::Warning, Reason::Evicted, None, message.clone());
        facts.over = Some((Over::Evicted, now.stamp()));
        facts.evicted = message;
        self.changed.insert(uid.clone());
    }
}
