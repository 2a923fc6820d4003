//! The IDs of users and groups of a pod that has a user namespace of its own.

use serde::{Deserialize, Serialize};

/// Which of the node's IDs are those from 0 on in the pod; the same for users and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    /// The node's ID that is 0 in the pod.
    pub host_id: u32,
    /// How many there are.
    pub length: u32,
}

impl IdMapping {
    /// What the node calls the pod's `id`, if the pod has it.
    pub fn on_host(self, id: u32) -> Option<u32> {
        if id < self.length { self.host_id.checked_add(id) } else { None }
    }

    /// Whether some of the node's IDs are in both.
    pub fn overlaps(self, other: IdMapping) -> bool {
        let end = |of: IdMapping| u64::from(of.host_id) + u64::from(of.length);
        u64::from(self.host_id) < end(other) && u64::from(other.host_id) < end(self)
    }
}
