//! Requests and limits as the kernel's numbers (reference D.3, D.4).

use crate::spec::{Bytes, Container, Millicores, Pod, Qos, Role};

/// Length of the period over which a CPU quota counts, in microseconds (kubelet's `QuotaPeriod`).
pub const CPU_PERIOD_US: u64 = 100_000;

/// Weight of `request` as `cpu.shares`: 1024 a CPU, at least 2, at most 262144 (the kernel's range).
pub fn cpu_shares(request: Millicores) -> u64 {
    request.0.saturating_mul(1024).saturating_div(1000).clamp(2, 262_144)
}

/// CPU time that `limit` permits in each [`CPU_PERIOD_US`], in microseconds: at least 1000, less than which the kernel
/// refuses.
pub fn cpu_quota_us(limit: Millicores) -> u64 {
    limit.0.saturating_mul(CPU_PERIOD_US).saturating_div(1000).max(1000)
}

/// What the kernel calls huge pages of `size` bytes in the names of its files: `2MB`, `1GB`.
pub fn page_name(size: u64) -> String {
    let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    let unit = units.iter().find(|(unit, _)| 0 < size && size.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{size}B"), |(unit, word)| format!("{}{word}", size / unit))
}

/// How much of a container's memory is kept for it, and from where on it is slowed down: kubelet's MemoryQoS, of cgroup v2 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryQos {
    /// Where between its request and its limit it is slowed down, in thousandths.
    pub throttling: u64,
    /// Whether what was asked for is kept: `memory.min` of guaranteed pods, `memory.low` of burstable ones.
    pub reserves: bool,
    /// What the node has for pods: the limit of containers without one.
    pub allocatable: Bytes,
    /// Size of a page of memory, in bytes.
    pub page: u64,
}

impl MemoryQos {
    /// `memory.high` of a container, in bytes; none for one that asks for all that it may have, and for one that asks for nothing.
    pub fn high(&self, request: u64, limit: Option<Bytes>) -> Option<u64> {
        let most = match limit {
            Some(limit) if limit.0 == request => return None,
            None if request == 0 => return None,
            limit => limit.unwrap_or(self.allocatable).0,
        };
        let between = u128::from(most.saturating_sub(request)) * u128::from(self.throttling) / 1000;
        let high = u64::try_from(u128::from(request) + between).unwrap_or(u64::MAX);
        let high = high / self.page.max(1) * self.page.max(1);
        (request < high).then_some(high)
    }

    /// The file of a group that keeps memory for pods of this class.
    pub fn keeps(qos: Qos) -> Option<&'static str> {
        match qos {
            Qos::Guaranteed => Some("memory.min"),
            Qos::Burstable => Some("memory.low"),
            Qos::BestEffort => None,
        }
    }
}

/// How willingly the kernel kills the container when the node is out of memory: 1000 first, -997 last.
///
/// `memory` is the node's; a burstable container that asks for more of it is killed later. What a pod asks for beyond its
/// containers counts for each of them alike. A sidecar is not killed before any of those that it serves.
pub fn oom_score_adj(pod: &Pod, container: &Container, memory: Bytes) -> i32 {
    if pod.priority_class == "system-node-critical" {
        return -997;
    }
    match pod.qos {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let request = |of: &Container| of.resources.memory_request.map_or(0, |bytes| bytes.0);
            let regular = pod.containers.iter().filter(|other| other.role == Role::Regular).map(request);
            let least = regular.min().filter(|_| container.role == Role::Sidecar).unwrap_or(0);
            let counts = u128::from(request(container).max(least)) + u128::from(shared(pod));
            let share = counts * 1000 / u128::from(memory.0.max(1));
            i32::try_from(share).map_or(3, |share| 1000_i32.saturating_sub(share).clamp(3, 999))
        }
    }
}

/// What each container has of the memory that its pod asks for beyond them, in bytes.
fn shared(pod: &Pod) -> u64 {
    let own = pod.resources.as_ref().and_then(|own| own.memory_request).map_or(0, |bytes| bytes.0);
    let theirs = pod.dearest(|of| Some(of.memory_request.map_or(0, |bytes| bytes.0))).unwrap_or(0);
    let containers = u64::try_from(pod.containers.len()).unwrap_or(u64::MAX);
    own.saturating_sub(theirs) / containers.max(1)
}
