//! What a group and all below it use, by the kernel's own counts; cgroup v1 and v2.
//!
//! A controller that is not there counts nothing: its figure is absent, never 0.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Hierarchy;
use crate::host::machine;

/// What a group and all below it use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since the group was made.
    pub cpu: Option<Duration>,
    /// Memory that the kernel cannot take back at once: all that is charged, less the file cache that was not used lately.
    /// The kubelet's working set, in bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes read from and written to block devices since the group was made, as far as the kernel knows whose they are. On v1 it
    /// takes what is written back later for nobody's, so that there what processes read and made dirty counts: those that are
    /// in the group, and those that ended and whose parents are.
    pub io: Option<(u64, u64)>,
}

impl Hierarchy {
    /// What the group at `path` uses; nothing where it is not there.
    pub fn usage(&self, path: &str) -> Usage {
        let file = |controller: &str, name: &str| text(&self.dir_of(controller, path)?.join(name));
        let number = |controller: &str, name: &str| file(controller, name)?.trim().parse::<u64>().ok();
        let pids = number("pids", "pids.current");
        if self.unified {
            let stat = file("cpu", "cpu.stat");
            let cpu = stat.and_then(|stat| value(&stat, "usage_usec")).map(Duration::from_micros);
            let cache = file("memory", "memory.stat").and_then(|stat| value(&stat, "inactive_file"));
            let memory = number("memory", "memory.current").map(|all| all.saturating_sub(cache.unwrap_or(0)));
            return Usage { cpu, memory, pids, io: file("io", "io.stat").map(|stat| io_v2(&stat)) };
        }
        let cache = file("memory", "memory.stat").and_then(|stat| value(&stat, "total_inactive_file"));
        let memory =
            number("memory", "memory.usage_in_bytes").map(|all| all.saturating_sub(cache.unwrap_or(0)));
        let cpu = number("cpuacct", "cpuacct.usage").map(Duration::from_nanos);
        Usage { cpu, memory, pids, io: self.io_of_processes(path) }
    }

    /// How old the group's oldest process is: of a pod that is the pod's own. `None` where there is none.
    pub fn age(&self, path: &str) -> Option<Duration> {
        let pids = self.pids(path).ok()?;
        pids.iter().filter_map(|pid| machine::age_of_process(u32::try_from(*pid).ok()?)).max()
    }

    /// A process tells what its children have read and written too, once it waited for them.
    fn io_of_processes(&self, path: &str) -> Option<(u64, u64)> {
        let told = |pid: &i32| machine::io_of_process(u32::try_from(*pid).ok()?);
        let all = self.pids(path).ok()?.iter().filter_map(told).collect::<Vec<_>>();
        let sum = |of: fn(&(u64, u64)) -> u64| all.iter().map(of).fold(0, u64::saturating_add);
        (!all.is_empty()).then(|| (sum(|io| io.0), sum(|io| io.1)))
    }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The number beside `key`.
fn value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == key);
    line?.1.trim().parse().ok()
}

/// `8:0 rbytes=1 wbytes=2 rios=3 …`, a line a device.
fn io_v2(stat: &str) -> (u64, u64) {
    let sum = |key: &str| {
        let words = stat.split_whitespace().filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        words.filter_map(|number| number.parse::<u64>().ok()).fold(0, u64::saturating_add)
    };
    (sum("rbytes"), sum("wbytes"))
}

#[cfg(test)]
mod tests;
