//! Limits of a pod, and of all together, and how they are written.

use std::collections::BTreeMap;
use std::fs;

use super::{Hierarchy, write};
use crate::bundle::{CPU_PERIOD_US, MemoryQos, cpu_quota_us, cpu_shares, page_name};
use crate::spec::{Bytes, Millicores, Pod, Qos};

/// The least `cpu.shares` there are.
pub const LEAST_SHARES: u64 = 2;

/// What all containers of a pod may use together (reference D.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodLimits {
    /// Weight against other pods, as `cpu.shares`.
    pub shares: u64,
    /// CPU time in each [`CPU_PERIOD_US`], in microseconds.
    pub quota_us: Option<u64>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Memory that is kept for it, and the file that says so; cgroup v2 alone.
    pub kept: Option<(&'static str, Bytes)>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Huge pages, by the size of one; of others none.
    pub huge_pages: BTreeMap<u64, Bytes>,
}

/// What a node says of all its pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Most processes and threads of a pod.
    pub pids: Option<u64>,
    /// Whether CPU limits hold.
    pub cpu_quota: bool,
    /// Whether memory that pods ask for is kept for them.
    pub reserves: bool,
}

impl PodLimits {
    /// What `pod` asks for and may use as a whole.
    pub fn of(pod: &Pod, policy: Policy) -> PodLimits {
        let together = pod.together();
        let kept = MemoryQos::keeps(pod.qos).zip(together.memory_request);
        let mut limits = PodLimits {
            shares: LEAST_SHARES,
            pids: policy.pids,
            kept: kept.filter(|(_, request)| policy.reserves && 0 < request.0),
            huge_pages: together.huge_pages,
            ..PodLimits::default()
        };
        if pod.qos != Qos::BestEffort {
            limits.shares = cpu_shares(together.cpu_request.unwrap_or(Millicores(0)));
            limits.quota_us = together.cpu_limit.filter(|_| policy.cpu_quota).map(cpu_quota_us);
            limits.memory = together.memory_limit;
        }
        limits
    }
}

/// What all pods of the node may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Weight against what else the node does.
    pub cpu: Millicores,
    /// Memory; as much as there is where absent.
    pub memory: Option<Bytes>,
}

/// What the pods of each class ask for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// CPU of the burstable ones, which is their weight against guaranteed pods.
    pub burstable_cpu: Millicores,
    /// Memory of the burstable ones.
    pub burstable_memory: Bytes,
    /// Memory of the guaranteed ones.
    pub guaranteed_memory: Bytes,
}

impl Asked {
    /// What `pods` ask for.
    pub fn by<'p>(pods: impl Iterator<Item = &'p Pod>) -> Asked {
        let (mut cpu, mut memory) = (0_u64, [0_u64; 2]);
        for pod in pods {
            let asked = pod.together();
            let bytes = asked.memory_request.map_or(0, |bytes| bytes.0);
            match pod.qos {
                Qos::Guaranteed => memory[1] = memory[1].saturating_add(bytes),
                Qos::Burstable => {
                    cpu = cpu.saturating_add(asked.cpu_request.map_or(0, |cpu| cpu.0));
                    memory[0] = memory[0].saturating_add(bytes);
                }
                Qos::BestEffort => {}
            }
        }
        Asked {
            burstable_cpu: Millicores(cpu),
            burstable_memory: Bytes(memory[0]),
            guaranteed_memory: Bytes(memory[1]),
        }
    }
}

impl Hierarchy {
    /// Limits all pods together. Gives warnings.
    pub fn limit_all(&self, limits: NodeLimits) -> Vec<String> {
        let all = self.tree("");
        let (file, none) = if self.unified { ("memory.max", "max") } else { ("memory.limit_in_bytes", "-1") };
        let memory = limits.memory.map_or(none.to_owned(), |bytes| bytes.0.to_string());
        let written =
            [self.write_shares(&all, cpu_shares(limits.cpu)), self.write("memory", &all, file, &memory)];
        written.into_iter().flatten().collect()
    }

    /// Weighs the classes against each other; where the node keeps memory for pods, keeps it for them all together, since no group
    /// has more of that than the ones above it. Gives warnings.
    pub fn weigh(&self, asked: Asked, policy: Policy) -> Vec<String> {
        let (all, burstable) = (self.tree(""), self.tree("burstable"));
        let mut warnings = Vec::from_iter(self.write_shares(&burstable, cpu_shares(asked.burstable_cpu)));
        if self.unified && policy.reserves {
            for (path, file, bytes) in [
                (&all, "memory.min", asked.guaranteed_memory),
                (&all, "memory.low", asked.burstable_memory),
                (&burstable, "memory.low", asked.burstable_memory),
            ] {
                warnings.extend(self.write("memory", path, file, &bytes.0.to_string()));
            }
        }
        warnings
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
        if let Some((file, Bytes(memory))) = limits.kept.filter(|_| self.unified) {
            warnings.extend(self.write("memory", path, file, &memory.to_string()));
        }
        if let Some(pids) = limits.pids {
            warnings.extend(self.write("pids", path, "pids.max", &pids.to_string()));
        }
        let sizes = self.page_sizes();
        if sizes.is_empty() && !limits.huge_pages.is_empty() {
            let how = "use a kernel with CONFIG_CGROUP_HUGETLB; on cgroup v1 mount hugetlb at /sys/fs/cgroup/hugetlb";
            warnings.push(format!("huge pages are not limited, there is no hugetlb controller: {how}"));
        }
        for size in sizes {
            let bytes = limits.huge_pages.get(&size).map_or(0, |bytes| bytes.0).to_string();
            // What is mapped counts from its first use on, or, where the kernel can, from the mapping on.
            for what in ["", "rsvd."] {
                let file = format!("hugetlb.{}.{what}{}", page_name(size), self.huge_file());
                warnings.extend(self.write("hugetlb", path, &file, &bytes));
            }
        }
        warnings
    }

    /// Sizes of huge pages that can be limited, in bytes. Known once [`Hierarchy::ensure_tree`] was called.
    pub fn page_sizes(&self) -> Vec<u64> {
        let dir = self.dir_of("hugetlb", &self.tree("besteffort"));
        let entries = dir.into_iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
        let size = |name: String| {
            let name =
                name.strip_prefix("hugetlb.")?.strip_suffix(self.huge_file())?.strip_suffix('.')?.to_owned();
            let units = [("KB", 10), ("MB", 20), ("GB", 30)];
            units.iter().find_map(|(unit, bits)| Some(name.strip_suffix(unit)?.parse::<u64>().ok()? << bits))
        };
        let mut sizes: Vec<u64> =
            entries.filter_map(|entry| size(entry.file_name().into_string().ok()?)).collect();
        sizes.sort_unstable();
        sizes
    }

    fn huge_file(&self) -> &'static str {
        if self.unified { "max" } else { "limit_in_bytes" }
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
