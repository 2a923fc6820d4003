//! What is the case: plain data that the core reports and `api` turns into core/v1.
//!
//! Invariant: wall-clock times are for display; nothing is decided by them.

mod event;
mod pod;
mod reason;

pub use event::{Event, EventKind};
pub use pod::{Condition, ConditionKind, ContainerState, ContainerStatus, Exit, Phase, PodStatus};
pub use reason::{Failure, Reason};

use serde::{Deserialize, Serialize};

/// Wall-clock time in nanoseconds since 1970, for display only: edge boxes boot in 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Wall(pub i64);
