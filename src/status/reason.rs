//! The closed list of reasons, in the kubelet's words (reference B.4).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why something is as it is. Shown to people and decided upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the word itself; reference B.4 tells when")]
pub enum Reason {
    // Waiting
    ContainerCreating,
    PodInitializing,
    CrashLoopBackOff,
    PostStartHookError,
    RestartingAllContainers,
    ErrImagePull,
    ImagePullBackOff,
    ErrImageNeverPull,
    InvalidImageName,
    CreateContainerConfigError,
    CreateContainerError,
    RunContainerError,
    CreatePodSandboxError,
    FailedMount,
    NodePorts,
    SysctlForbidden,
    OutOfhugepages,
    AppArmor,
    // Terminated
    Completed,
    Error,
    OOMKilled,
    StartError,
    ContainerStatusUnknown,
    // Pods
    DeadlineExceeded,
    Evicted,
    // Conditions
    ContainersNotInitialized,
    ContainersNotReady,
    PodCompleted,
    PodFailed,
    // Events
    Pulling,
    Pulled,
    Created,
    Started,
    Killing,
    BackOff,
    Failed,
    Unhealthy,
    ProbeWarning,
    SandboxChanged,
    FailedKillPod,
    FailedPostStartHook,
    FailedPreStopHook,
    LifecycleHTTPFallback,
    FailedCreatePodSandBox,
    OutOfcpu,
    OutOfmemory,
}

impl fmt::Display for Reason {
    /// The word itself, as kubelet writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Why an action failed: `reason` is decided upon and shown, `message` is only shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One word.
    pub reason: Reason,
    /// A sentence: the thing, the cause, what to do.
    pub message: String,
}

impl Failure {
    /// A failure of `reason`, told by `message`.
    pub fn new(reason: Reason, message: impl Into<String>) -> Failure {
        Failure { reason, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
