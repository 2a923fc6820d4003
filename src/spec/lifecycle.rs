//! What happens to a container besides running: its hooks, and what it says at its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::HttpGet;

/// What a container says at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TerminationMessage {
    /// `terminationMessagePath`: a file of its own in the container; empty for none.
    pub path: String,
    /// `terminationMessagePolicy: FallbackToLogsOnError`: where that file is empty and the run went wrong, the end of its log.
    pub or_log: bool,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// Beside the container's program, from its start on. Until it is over, nothing else of the pod is started.
    PostStart,
    /// Before the stop signal, and within the grace period.
    PreStop,
}

/// The hooks of a container, each where it has one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hooks {
    /// `lifecycle.postStart`.
    pub post_start: Option<Hook>,
    /// `lifecycle.preStop`.
    pub pre_stop: Option<Hook>,
}

impl Hooks {
    /// The hook of `kind`.
    pub fn get(&self, kind: HookKind) -> Option<&Hook> {
        match kind {
            HookKind::PostStart => self.post_start.as_ref(),
            HookKind::PreStop => self.pre_stop.as_ref(),
        }
    }
}

/// What a hook does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Hook {
    /// Runs a command in the container, as it is written.
    Exec(Vec<String>),
    /// Gets a page over HTTP, whose status is of no interest.
    Http(HttpGet),
    /// Waits.
    Sleep(Duration),
}
