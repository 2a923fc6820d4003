//! Everything that can happen.

use std::sync::Arc;

use super::{Action, Facts, Learnt, RunEnd, Time, Usage};
use crate::api::Amounts;
use crate::spec::{Pod, Uid};
use crate::status::{Failure, Wall};

/// Everything that can happen to the node. Closed on purpose: to add a cause, add a variant.
#[derive(Debug, Clone)]
pub enum Event {
    /// A pod was found on disk at the agent's start.
    Found(Box<Found>),
    /// All pods that were found, and with them the order to end all: they end in the same order as without a restart.
    FoundAndDown(Vec<Found>),
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
    /// A run ended. Runs that ended before are ignored.
    Exited {
        /// The pod.
        uid: Uid,
        /// Number of the sandbox.
        sandbox: u32,
        /// How.
        end: RunEnd,
    },
    /// What a pod has on the disk was measured.
    Used {
        /// The pod.
        uid: Uid,
        /// Number of the sandbox that was up when that began.
        sandbox: u32,
        /// How much it is.
        usage: Usage,
    },
    /// What the node has for pods.
    Allocatable(Amounts),
    /// Images came: whoever waits for one looks again.
    ImagesChanged,
    /// The pull of an image ended, well or not: whoever waits for that looks again.
    PullEnded,
    /// ConfigMaps or Secrets changed: whoever waits for one looks again.
    DocumentsChanged,
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
    /// Any number: what is asked regularly is not asked of all pods at once.
    pub jitter: u64,
}

/// A run that goes on.
#[derive(Debug, Clone)]
pub struct Running {
    /// The container.
    pub container: String,
    /// Number of the run.
    pub attempt: u32,
    /// Since when, for people.
    pub started: Wall,
    /// Since when, for decisions.
    pub since: Time,
    /// Whether its stop signal was sent.
    pub stopping: bool,
}
