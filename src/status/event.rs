//! What happened to a pod, as `kubectl describe` lists it.

use serde::{Deserialize, Serialize};

use super::{Reason, Wall};

/// Something that happened; repetitions are counted, not repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Whether a person should look.
    pub kind: EventKind,
    /// One word: `Pulled`, `Created`, `Started`, `Killing`, `BackOff`, `Failed`, …
    pub reason: Reason,
    /// A sentence.
    pub message: String,
    /// The container concerned.
    pub container: Option<String>,
    /// When it happened first.
    pub first: Wall,
    /// When it happened last.
    pub last: Wall,
    /// How often.
    pub count: u32,
}

/// The type of an [`Event`], in core/v1's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}
