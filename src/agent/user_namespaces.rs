//! Which of the node's IDs are whose pod's, where pods have user namespaces of their own.
//!
//! Invariant: no two pods have an ID in common for as long as the directory of either is there, whoever the agent is: what a pod has is
//! read from its `sandbox.json`.

use anyhow::{Context, Result};

use super::world::World;
use crate::protocol::Sandbox;
use crate::spec::{IdMapping, Pod};

/// Where the IDs of pods begin: below are those of the node (kubelet's `userns_manager.go`).
const FIRST: u32 = 65536;

/// The IDs for `pod`: those it had, or the first that none of `sandboxes` has. To be written into its `sandbox.json` before
/// another pod asks.
pub fn allot(world: &World, pod: &Pod, sandboxes: &[Sandbox]) -> Result<Option<IdMapping>> {
    if !pod.user_namespace {
        return Ok(None);
    }
    let length = world.config.ids_per_pod;
    let mut taken = Vec::new();
    for sandbox in sandboxes {
        let Some(ids) = sandbox.user_namespace else { continue };
        match sandbox.uid == pod.uid.0 {
            true if ids.length == length => return Ok(Some(ids)),
            true => {}
            false => taken.push(ids),
        }
    }
    first_free(&taken, length).map(Some).context("every ID of the node is another pod's; stop some of them")
}

/// The last ID there could be is nobody's: it says "as it is" to the kernel.
fn first_free(taken: &[IdMapping], length: u32) -> Option<IdMapping> {
    let mut host_id = FIRST;
    loop {
        host_id.checked_add(length)?;
        let wanted = IdMapping { host_id, length };
        let Some(other) = taken.iter().find(|other| other.overlaps(wanted)) else { return Some(wanted) };
        host_id = other.host_id.checked_add(other.length)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_first_that_nobody_has() {
        let check = |taken: &[(u32, u32)], length, expected: Option<u32>| {
            let taken: Vec<_> = taken
                .iter()
                .map(|(host_id, length)| IdMapping { host_id: *host_id, length: *length })
                .collect();
            let found = first_free(&taken, length).map(|ids| (ids.host_id, ids.length));
            assert_eq!(found, expected.map(|host_id| (host_id, length)), "{taken:?}");
        };
        check(&[], 65536, Some(65536));
        check(&[(131_072, 65536), (65536, 65536)], 65536, Some(196_608));
        check(&[(131_072, 65536)], 65536, Some(65536));
        // Others that were allotted under another length.
        check(&[(131_072, 65536)], 131_072, Some(196_608));
        check(&[(65536, 131_072)], 65536, Some(196_608));
        // The end.
        check(&[(65536, u32::MAX - 65536 - 65535)], 65536, None);
        check(&[(65536, u32::MAX - 65536 - 65536)], 65536, Some(u32::MAX - 65536));
    }
}
