//! A pod's limits and how they are written.

use super::{Hierarchy, write};
use crate::bundle::{CPU_PERIOD_US, cpu_quota_us, cpu_shares};
use crate::spec::{Bytes, Millicores, Pod, Qos};

/// The least `cpu.shares` there are.
pub const LEAST_SHARES: u64 = 2;

/// What all containers of a pod may use together (reference D.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodLimits {
    /// Weight against other pods, as `cpu.shares`.
    pub shares: u64,
    /// CPU time in each [`CPU_PERIOD_US`], in microseconds.
    pub quota_us: Option<u64>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl PodLimits {
    /// What `pod`'s containers ask for at the dearest moment of its life. There is a limit only where all containers have one: else the pod's limit would
    /// bind the container that has none. `pids` is each pod's, as the node is configured.
    pub fn of(pod: &Pod, pids: Option<u64>) -> PodLimits {
        if pod.qos == Qos::BestEffort {
            return PodLimits { shares: LEAST_SHARES, quota_us: None, memory: None, pids };
        }
        let request = pod
            .dearest(|wanted| Some(wanted.cpu_request.or(wanted.cpu_limit).map_or(0, |request| request.0)));
        let request = request.unwrap_or_default();
        let cpu = pod.dearest(|wanted| wanted.cpu_limit.map(|limit| limit.0));
        let memory = pod.dearest(|wanted| wanted.memory_limit.map(|limit| limit.0));
        PodLimits {
            shares: cpu_shares(Millicores(request)),
            quota_us: cpu.filter(|limit| *limit > 0).map(|limit| cpu_quota_us(Millicores(limit))),
            memory: memory.filter(|limit| *limit > 0).map(Bytes),
            pids,
        }
    }
}

impl Hierarchy {
    /// Weighs the burstable pods, all together, by the sum of their CPU requests. Gives warnings.
    pub fn weigh_burstable(&self, requests: Millicores) -> Vec<String> {
        self.write_shares(&self.tree("burstable"), cpu_shares(requests)).into_iter().collect()
    }

    /// Writes a pod's limits. Gives warnings.
    pub(super) fn apply(&self, path: &str, limits: &PodLimits) -> Vec<String> {
        let mut warnings = Vec::from_iter(self.write_shares(path, limits.shares));
        if let Some(quota) = limits.quota_us {
            if self.unified {
                warnings.extend(self.write("cpu", path, "cpu.max", &format!("{quota} {CPU_PERIOD_US}")));
            } else {
                warnings.extend(self.write("cpu", path, "cpu.cfs_period_us", &CPU_PERIOD_US.to_string()));
                warnings.extend(self.write("cpu", path, "cpu.cfs_quota_us", &quota.to_string()));
            }
        }
        if let Some(Bytes(memory)) = limits.memory {
            let file = if self.unified { "memory.max" } else { "memory.limit_in_bytes" };
            warnings.extend(self.write("memory", path, file, &memory.to_string()));
        }
        if let Some(pids) = limits.pids {
            warnings.extend(self.write("pids", path, "pids.max", &pids.to_string()));
        }
        warnings
    }

    pub(super) fn write_shares(&self, path: &str, shares: u64) -> Option<String> {
        if self.unified {
            self.write("cpu", path, "cpu.weight", &weight(shares).to_string())
        } else {
            self.write("cpu", path, "cpu.shares", &shares.to_string())
        }
    }

    /// Writes one limit. A warning where the kernel refuses it; silence where there is no such controller, since
    /// [`Hierarchy::missing`] says that once for all.
    fn write(&self, controller: &str, path: &str, file: &str, value: &str) -> Option<String> {
        let file = self.dir_of(controller, path)?.join(file);
        if !file.exists() {
            return None;
        }
        let error = write(&file, value).err()?;
        Some(format!("cgroup {}: set to {value}: {error}", file.display()))
    }
}

/// `cpu.weight` (1 to 10000) for `shares` (2 to 262144): the kubelet's line (`getCPUWeight`).
pub fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(LEAST_SHARES, 262_144) - LEAST_SHARES) * 9999 / 262_142
}
