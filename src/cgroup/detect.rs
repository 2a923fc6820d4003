//! What is mounted and what it can do.

use anyhow::{Result, bail};

use super::{Hierarchy, Mount};
use crate::bundle;

/// Where libcontainer looks for cgroups.
const PLACE: &str = "/sys/fs/cgroup";

/// The hierarchies of `mountinfo` (`/proc/self/mountinfo`), with our part of them below `root`.
pub fn parse(mountinfo: &str, root: &str) -> Result<Hierarchy> {
    let root = root.trim_end_matches('/').to_owned();
    if !(root.is_empty() || root.starts_with('/')) || root.split('/').any(|part| matches!(part, "." | "..")) {
        bail!("--cgroup-root {root:?} must be an absolute path without \"..\"");
    }
    let (mut unified, mut mounts) = (None, Vec::<Mount>::new());
    for (kind, path, options) in mountinfo.lines().filter_map(line) {
        let below = path.strip_prefix(PLACE).is_some_and(|rest| rest.starts_with('/'));
        let controllers: Vec<_> =
            options.split(',').filter(|option| is_controller(option)).map(str::to_owned).collect();
        match kind {
            // A later mount hides an earlier one.
            "cgroup2" if path == PLACE => {
                unified = Some(Mount { path: path.into(), controllers: Vec::new() })
            }
            "tmpfs" if path == PLACE => (unified, mounts) = (None, Vec::new()),
            "cgroup" if below && !controllers.is_empty() => {
                let known = mounts.iter().any(|mount| mount.controllers == controllers);
                mounts.extend((!known).then(|| Mount { path: path.into(), controllers }));
            }
            _ => {}
        }
    }
    if let Some(mount) = unified {
        return Ok(Hierarchy { root, unified: true, mounts: vec![mount] });
    }
    if mounts.is_empty() {
        bail!("no cgroups are mounted at {PLACE}: mount them (mount -t cgroup2 none {PLACE})");
    }
    if !mounts.iter().any(|mount| mount.controllers.iter().any(|name| name == "devices")) {
        bail!(
            "cgroup v1 without the controller \"devices\" below {PLACE}: containers cannot be kept from the node's devices; \
             mount it, or use a kernel with CONFIG_CGROUP_DEVICE or with cgroup v2"
        );
    }
    Ok(Hierarchy { root, unified: false, mounts })
}

/// Type, mount point and file system options of a line of mountinfo (proc_pid_mountinfo(5)).
fn line(line: &str) -> Option<(&str, &str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    Some((kind, left.split(' ').nth(4)?, options))
}

/// Tells a v1 controller from the other options of its mount. Those that libcontainer makes groups for: with others a
/// container's processes would stay where its worker was.
fn is_controller(option: &str) -> bool {
    const KNOWN: [&str; 12] = [
        "cpu",
        "cpuacct",
        "cpuset",
        "memory",
        "devices",
        "freezer",
        "blkio",
        "pids",
        "hugetlb",
        "net_cls",
        "net_prio",
        "perf_event",
    ];
    KNOWN.contains(&option)
}

impl Hierarchy {
    /// What can be limited. Known once [`Hierarchy::ensure_tree`] was called: a controller shows by the files of a group.
    pub fn abilities(&self) -> bundle::Cgroup {
        let has = |controller: &str, file: &str| {
            self.dir_of(controller, &self.tree("besteffort")).is_some_and(|dir| dir.join(file).exists())
        };
        let [cpu, cpu_quota, memory, swap] = if self.unified {
            ["cpu.weight", "cpu.max", "memory.max", "memory.swap.max"]
        } else {
            ["cpu.shares", "cpu.cfs_quota_us", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        };
        bundle::Cgroup {
            unified: self.unified,
            cpu: has("cpu", cpu),
            cpu_quota: has("cpu", cpu_quota),
            memory: has("memory", memory),
            swap: has("memory", swap),
            oom_group: has("memory", "memory.oom.group"),
            devices: self.restricts_devices(),
        }
    }

    /// What cannot be limited, a sentence each, with what to do. For the operator, once.
    pub fn missing(&self) -> Vec<String> {
        missing(&self.abilities())
    }
}

pub fn missing(able: &bundle::Cgroup) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut say = |absent: bool, sentence: &str| sentences.extend(absent.then(|| sentence.to_owned()));
    say(
        !able.memory,
        "memory limits are not applied: the kernel's memory controller is off; on a Raspberry Pi add \
         \"cgroup_enable=memory cgroup_memory=1\" to the line in /boot/firmware/cmdline.txt and reboot",
    );
    say(
        !able.cpu,
        "CPU requests and limits are not applied: there is no cpu controller (CONFIG_CGROUP_SCHED)",
    );
    say(able.cpu && !able.cpu_quota, "CPU limits are not applied: the kernel lacks CONFIG_CFS_BANDWIDTH");
    sentences
}
