//! Requests and limits as the kernel's numbers (reference D.3, D.4).

use crate::spec::{Bytes, Container, Millicores, Pod, Qos};

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

/// How willingly the kernel kills the container when the node is out of memory: 1000 first, -997 last.
///
/// `memory` is the node's; a burstable container that asks for more of it is killed later.
pub fn oom_score_adj(pod: &Pod, container: &Container, memory: Bytes) -> i32 {
    if pod.priority_class == "system-node-critical" {
        return -997;
    }
    match pod.qos {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let request = container.resources.memory_request.unwrap_or(Bytes(0));
            let share = u128::from(request.0) * 1000 / u128::from(memory.0.max(1));
            i32::try_from(share).map_or(3, |share| 1000_i32.saturating_sub(share).clamp(3, 999))
        }
    }
}
