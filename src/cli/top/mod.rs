//! `top`: what pods and the node use, read from the kernel's own counts; the agent is not asked.
//!
//! Processor time is what was used between two looks that are [`INTERVAL`] apart; memory is that of the second look. A
//! kubelet's figures are the mean of ten seconds and more, and late by as much.

mod probes;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::args::{Top, TopNode, TopPods};
use super::field::{called, containers, number, statuses, text};
use super::read::{self, Found, Selection};
use super::select::Labels;
use super::{node, print, say, space};
use crate::cgroup::{self, Hierarchy, Usage};
use crate::host::Runtime;
use crate::host::machine::{self, kib};
use crate::manifest::Quantity;
use crate::sys::clock;

/// Between the two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Shows what `top` asks for.
pub fn top(runtime: &Runtime, top: &Top) -> Result<()> {
    match top {
        Top::Pods(asked) => pods(runtime, asked),
        Top::Node(asked) => node_use(runtime, asked),
        Top::Probes(asked) => probes::probes(runtime, asked),
    }
}

/// What one container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `metadata.namespace` of its pod.
    pub namespace: String,
    /// `metadata.name` of its pod.
    pub pod: String,
    /// Its name.
    pub container: String,
    /// What it uses.
    pub used: Used,
    /// What its whole pod has read and written, with runs that are over and the pod's own process.
    pub of_pod: Io,
}

/// What went over a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Io {
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Bytes written a day, as long as it is there.
    pub per_day: u64,
}

impl Io {
    /// Both together.
    pub fn plus(self, other: Io) -> Io {
        Io {
            read: self.read + other.read,
            written: self.written + other.written,
            per_day: self.per_day + other.per_day,
        }
    }

    /// Of the group at `path`.
    fn of(hierarchy: &Hierarchy, path: &str, usage: Usage) -> Io {
        let (read, written) = usage.io.unwrap_or_default();
        let age = hierarchy.age(path);
        Io { read, written, per_day: age.map_or(0, |age| space::per_day(written, age)) }
    }
}

/// Amounts; what the kernel does not count is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Thousandths of a processor, rounded up.
    pub millicores: u64,
    /// Bytes.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
    /// What it has read and written.
    pub io: Io,
}

impl Used {
    /// Both together.
    pub fn plus(self, other: Used) -> Used {
        Used {
            millicores: self.millicores + other.millicores,
            memory: self.memory + other.memory,
            pids: self.pids + other.pids,
            io: self.io.plus(other.io),
        }
    }

    /// Of two looks that were `apart`; `None` where the second found nothing any more.
    fn between(first: Usage, second: Usage, apart: Duration) -> Option<Used> {
        if second == Usage::default() {
            return None;
        }
        let cpu = second.cpu.unwrap_or_default().saturating_sub(first.cpu.unwrap_or_default());
        let millicores = (cpu.as_nanos() * 1000).div_ceil(apart.as_nanos().max(1));
        Some(Used {
            millicores: u64::try_from(millicores).unwrap_or(u64::MAX),
            memory: second.memory.unwrap_or(0),
            pids: second.pids.unwrap_or(0),
            io: Io::default(),
        })
    }
}

fn pods(runtime: &Runtime, asked: &TopPods) -> Result<()> {
    let namespace = (!asked.all_namespaces).then(|| asked.namespace.namespace.clone());
    let selection = Selection { namespace: namespace.clone(), name: asked.name.clone() };
    let mut found = read::pods(runtime, &selection)?;
    if let Some(selector) = &asked.selector {
        let wanted = Labels::parse(selector)?;
        found.retain(|found| wanted.holds(&found.pod.object));
    }
    let root = node::known(runtime)?.published.cgroup_root;
    let rows = measure(&found, &Hierarchy::detect(&root)?)?;
    if rows.is_empty() {
        if let Some(name) = &asked.name {
            bail!("nothing of pod {name:?} runs that could be measured; `holdfast describe pod` tells why");
        }
        match namespace {
            Some(namespace) => say(&format!("No resources found in {namespace} namespace.")),
            None => say("No resources found"),
        }
        return Ok(());
    }
    print(&table::pods(rows, asked))
}

/// Every container of `found` that runs, with what it uses.
fn measure(found: &[Found], hierarchy: &Hierarchy) -> Result<Vec<Row>> {
    let groups = hierarchy.pods_present()?;
    let mut looks = Vec::new();
    for found in found {
        let Some(group) = groups.get(&found.uid) else { continue };
        let object = &found.pod.object;
        for container in containers(object) {
            let name = text(container, "/name");
            let Some(status) = called(statuses(object), name) else { continue };
            let attempt = u32::try_from(number(status, "/restartCount")).unwrap_or(0);
            let path = cgroup::container_path(group, name, attempt);
            let used = hierarchy.usage(&path);
            if status.pointer("/state/running").is_some() && used != Usage::default() {
                looks.push((found, name, group, path, used, Instant::now()));
            }
        }
    }
    if !looks.is_empty() {
        sleep(INTERVAL);
    }
    let mut pods: BTreeMap<&str, Io> = BTreeMap::new();
    let rows = looks.into_iter().filter_map(|(found, name, group, path, first, at)| {
        let second = hierarchy.usage(&path);
        let mut used = Used::between(first, second, at.elapsed())?;
        used.io = Io::of(hierarchy, &path, second);
        let whole = || Io::of(hierarchy, group, hierarchy.usage(group));
        let of_pod = *pods.entry(group.as_str()).or_insert_with(whole);
        let (namespace, pod) = (found.namespace().to_string(), found.name().to_string());
        Some(Row { namespace, pod, container: name.to_string(), used, of_pod })
    });
    Ok(rows.collect())
}

fn node_use(runtime: &Runtime, asked: &TopNode) -> Result<()> {
    let node = node::node_or_fail(runtime)?.published;
    if let Some(name) = &asked.name {
        ensure!(*name == node.name, "node {name:?} not found; this one is called {:?}", node.name);
    }
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("read {path}"));
    let first = busy(&read("/proc/stat")?);
    sleep(INTERVAL);
    let second = busy(&read("/proc/stat")?);
    let meminfo = read("/proc/meminfo")?;
    let allocatable = |what: &str| {
        let amount = Quantity::parse(text(&node.object, &format!("/status/allocatable/{what}")));
        amount.map_or(0, |amount| u64::try_from(amount.milli()).unwrap_or(0))
    };
    let (cpu, memory) = (allocatable("cpu"), allocatable("memory") / 1000);
    let written = machine::written(Path::new(&node.data_dir));
    let (disk, written) = written.map_or((None, 0), |(disk, bytes)| (Some(disk), bytes));
    let io = Io { read: 0, written, per_day: space::per_day(written, clock::boottime()) };
    let used = Used { millicores: share_of(first, second, cpu), memory: working_set(&meminfo), pids: 0, io };
    print(&table::node(&OfNode { name: node.name, used, cpu, memory, disk }, asked))
}

/// What a node uses.
pub struct OfNode {
    /// Its name.
    pub name: String,
    /// What of it is used; of its disk, what is written.
    pub used: Used,
    /// Thousandths of a processor that it has for pods.
    pub cpu: u64,
    /// Bytes of memory that it has for pods.
    pub memory: u64,
    /// The disk of its data directory, where the kernel knows one.
    pub disk: Option<String>,
}

/// Ticks that all processors together were busy, and ticks altogether, of `/proc/stat`.
fn busy(stat: &str) -> (u64, u64) {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
    let of = |places: &[usize]| places.iter().filter_map(|place| ticks.get(*place)).sum::<u64>();
    // user, nice, system, irq, softirq, steal; guests are counted in user, idle and iowait are rest.
    let busy = of(&[0, 1, 2, 5, 6, 7]);
    (busy, busy + of(&[3, 4]))
}

/// Thousandths of a processor that were used between two looks, of `all` that there are.
fn share_of(first: (u64, u64), second: (u64, u64), all: u64) -> u64 {
    let (busy, ticks) = (second.0.saturating_sub(first.0), second.1.saturating_sub(first.1));
    (busy * all).div_ceil(ticks.max(1))
}

/// Memory that the kernel cannot take back at once, as the kubelet counts a whole node (reference: cAdvisor's root group
/// on cgroup v2): all that is not free, less the file cache that was not used lately.
fn working_set(meminfo: &str) -> u64 {
    let of = |name: &str| kib(meminfo, name);
    of("MemTotal").saturating_sub(of("MemFree")).saturating_sub(of("Inactive(file)"))
}
