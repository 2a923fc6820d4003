//! Everything that can be done.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::Time;
use crate::spec::{HookKind, ProbeKind, Uid};
use crate::status::Wall;

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
    /// Ask one of its probes, once. Errors are those of whoever asks; a bad answer is no error.
    Probe { uid: Uid, sandbox: u32, container: String, attempt: u32, kind: ProbeKind },
    /// Run one of its hooks, which may take as long as the run.
    Hook { uid: Uid, sandbox: u32, container: String, attempt: u32, kind: HookKind },
    /// Kill and remove what a lost sandbox left; keep the pod's volumes.
    CleanPod { uid: Uid, sandbox: u32 },
    /// Kill and remove what a pod that is over still has: its sandbox, and its volumes; keep its logs.
    ReleasePod { uid: Uid, sandbox: u32 },
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
            | Action::Probe { uid, .. }
            | Action::Hook { uid, .. }
            | Action::CleanPod { uid, .. }
            | Action::ReleasePod { uid, .. }
            | Action::RemovePod { uid, .. } => uid,
        }
    }

    /// Whether the end of a pod waits for its end. What belongs to a run goes with it.
    pub(super) fn is_waited_for(&self) -> bool {
        !matches!(self, Action::Probe { .. } | Action::Hook { .. })
    }

    /// Whether its pod's process is to end by it.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Action::ReleasePod { .. } | Action::RemovePod { .. })
    }

    /// Whether it belongs to starting a pod.
    pub(super) fn is_start(&self) -> bool {
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
        /// The pod's addresses; none for one in the node's network, or with its loopback alone.
        addresses: Vec<IpAddr>,
        /// For each container with logs from before: a number no log has yet.
        attempts: BTreeMap<String, u32>,
    },
    /// Of [`Action::PullImage`].
    Image {
        /// `sha256:…`.
        id: String,
        /// A sentence for the Pulled event.
        message: String,
        /// What volumes of images that the container mounts have, by their names: as `id`.
        volumes: BTreeMap<String, String>,
    },
    /// Of [`Action::PullImage`]: the image is on its way, and is asked for again in a moment.
    Pulling {
        /// How far it is, in a sentence.
        message: String,
    },
    /// Of [`Action::Probe`].
    Probed {
        /// What was answered.
        outcome: Outcome,
        /// A sentence, or what the probe printed.
        message: String,
    },
    /// Of [`Action::Hook`]: it was answered by HTTP, where HTTPS was wanted.
    FellBack {
        /// By whom: host and port.
        place: String,
    },
    /// Of [`Action::StartContainer`].
    Started {
        /// When.
        at: Wall,
    },
}

/// What a probe was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Success,
    /// All is well as far as was looked, and a person should know how far that is.
    Warning,
    /// It is not.
    Failure,
}
