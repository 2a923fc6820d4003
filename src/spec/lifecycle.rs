//! What happens to a container besides running: how it is asked to stop, and what it says at its end.

use serde::{Deserialize, Serialize};

/// What a container says at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TerminationMessage {
    /// `terminationMessagePath`: a file of its own in the container; empty for none.
    pub path: String,
    /// `terminationMessagePolicy: FallbackToLogsOnError`: where that file is empty and the run went wrong, the end of its log.
    pub or_log: bool,
}
