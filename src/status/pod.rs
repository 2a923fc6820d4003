//! A pod's status.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Event, Reason, Wall};

/// Everything that is reported of one pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodStatus {
    /// Where it is in its life.
    pub phase: Phase,
    /// Why, for the whole pod; rarely set.
    pub reason: Option<Reason>,
    /// The sentence to `reason`.
    pub message: String,
    /// In kubelet's order.
    pub conditions: Vec<Condition>,
    /// When this agent first acted on it.
    pub start_time: Option<Wall>,
    /// When its deletion began: kubectl shows `Terminating`.
    pub deletion: Option<Wall>,
    /// The pod's addresses, where it has any; the node's with hostNetwork.
    #[serde(default)]
    pub pod_ips: Vec<String>,
    /// The node's address, where it has one.
    pub host_ip: Option<String>,
    /// Of init containers and sidecars, in the order of the spec.
    #[serde(default)]
    pub init_containers: Vec<ContainerStatus>,
    /// Of the others, in the order of the spec.
    pub containers: Vec<ContainerStatus>,
    /// Oldest first, bounded.
    pub events: Vec<Event>,
}

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Something has not run yet.
    Pending,
    /// At least one container runs or will run again.
    Running,
    /// All ended well and none will run again.
    Succeeded,
    /// All ended, one badly, and none will run again.
    Failed,
}

/// One of `status.conditions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Which.
    pub kind: ConditionKind,
    /// Whether it holds.
    pub holds: bool,
    /// Why not, or why although.
    pub reason: Option<Reason>,
    /// The sentence to `reason`.
    pub message: String,
    /// When `holds` last changed.
    pub since: Wall,
}

/// The conditions of a pod (reference B.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionKind {
    /// Always true here: the manifest's place decides the node.
    PodScheduled,
    /// The sandbox and its network are there.
    PodReadyToStartContainers,
    /// Init containers are done.
    Initialized,
    /// Every container is ready.
    ContainersReady,
    /// So is the pod.
    Ready,
    /// All its containers are being ended, to begin anew; only pods with a rule that may ask for it have this one.
    AllContainersRestarting,
}

/// One of `status.containerStatuses`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// The container's name.
    pub name: String,
    /// The image as asked for.
    pub image: String,
    /// `sha256:…` of the image's configuration, empty while unknown.
    pub image_id: String,
    /// What volumes of images have that it mounts, by their names: as `image_id`.
    #[serde(default)]
    pub volume_images: BTreeMap<String, String>,
    /// `holdfast://…`, empty before the first start.
    pub container_id: String,
    /// `lifecycle.stopSignal`, where the manifest has one.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// What it does now.
    pub state: ContainerState,
    /// How its previous run ended.
    pub last_state: Option<Exit>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it runs and its startup probe, where it has one, succeeded.
    #[serde(default)]
    pub started: bool,
    /// Number of the latest run, from 0.
    pub restart_count: u32,
}

/// `state` of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Not running, and why.
    Waiting {
        /// One word.
        reason: Reason,
        /// A sentence; may be empty.
        message: String,
    },
    /// Running.
    Running {
        /// Since when.
        started: Wall,
    },
    /// Over.
    Terminated(Exit),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code; 128 + signal where a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Completed, Error, OOMKilled, StartError or ContainerStatusUnknown.
    pub reason: Reason,
    /// A sentence; mostly empty.
    pub message: String,
    /// When the run began.
    pub started: Wall,
    /// When it ended.
    pub finished: Wall,
    /// `holdfast://…` of that run.
    pub container_id: String,
}
