//! When a container that ended runs again.

use serde::{Deserialize, Serialize};

/// `restartPolicy` of a pod, or of one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Restart whatever the exit code; the default.
    #[default]
    Always,
    /// Restart after a non-zero exit code.
    OnFailure,
    /// Run once.
    Never,
}

/// One of `restartPolicyRules`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestartRule {
    /// `exitCodes.values`.
    pub exit_codes: Vec<i32>,
    /// Whether it matches the codes that are *not* among these: operator `NotIn`.
    pub not: bool,
    /// What is done.
    pub action: RestartAction,
}

impl RestartRule {
    /// Whether it is about a run that ended with `code`.
    pub fn matches(&self, code: i32) -> bool {
        self.exit_codes.contains(&code) != self.not
    }
}

/// What a [`RestartRule`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartAction {
    /// Another run of the container.
    Restart,
    /// Another run of every container of the pod, init containers first.
    RestartAllContainers,
}
