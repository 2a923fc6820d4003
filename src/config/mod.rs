//! Flags and files to one plain configuration.
//!
//! Every source is read into a list of [`Given`]s: a name that means something here, its value as text, and where it was
//! said. The names are in tables ([`kubelet`], [`k3s`]), what a value must look like in one place ([`set`]), and
//! [`effective`] lays the sources over each other: command line over drop-ins over file over default.
//!
//! Invariant: every path in an [`Agent`] is absolute, without `.`, `..` and trailing slashes, so that two ways to write
//! one directory are one directory.
//! Invariant: of what is not known, or means nothing here, the name is told and never the value: it may be a token.

pub mod effective;
mod file;
pub mod given;
mod k3s;
mod kubelet;
mod set;
#[cfg(test)]
mod tests;
mod text;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::{Amounts, Machine};
pub use crate::host::RUNTIME_DIR;
use crate::spec::Range;
pub use given::{Given, Key, Origin, Problem};
pub use text::{cgroup, directory, node_name};
pub use values::{Threshold, Thresholds};

/// Where k3s keeps its things, and so do we.
pub const DATA_DIR: &str = "/var/lib/rancher/k3s";
/// Where logs of pods are on every Kubernetes node.
pub const LOG_DIR: &str = "/var/log/pods";
/// Where k3s reads what is to be known of registries.
pub const PRIVATE_REGISTRY: &str = "/etc/rancher/k3s/registries.yaml";

/// Everything an agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Images, volumes, the node's name: what outlives the power.
    pub data_dir: PathBuf,
    /// The directory with the manifests.
    pub pod_manifest_path: PathBuf,
    /// The node's name; the remembered one, or else the host's, where absent.
    pub node_name: Option<String>,
    /// Labels of the node, beside those that tell what machine it is.
    pub node_labels: BTreeMap<String, String>,
    /// Logs of containers; the `containers` links are in its neighbour.
    pub log_dir: PathBuf,
    /// The cgroup below which `kubepods` is, as a path in each hierarchy: `/` or `/edge`.
    pub cgroup_root: String,
    /// State that dies with the boot, published files, sockets.
    pub runtime_dir: PathBuf,
    /// Start although another supervisor reads the same manifests.
    pub force: bool,
    /// How much the agent tells in its log.
    pub log: log::LevelFilter,
    /// What pods get as `/etc/resolv.conf`; `None` where they are to ask the node itself.
    pub resolv_conf: Option<PathBuf>,
    /// Name servers of pods that ask for the cluster's; where empty, these get the node's too.
    pub cluster_dns: Vec<String>,
    /// The domain that names are looked for in, with [`cluster_dns`](Agent::cluster_dns); may be empty.
    pub cluster_domain: String,
    /// Where pods get their addresses from: of each family one range at most, any that is free where empty; `None` where they
    /// are to have their loopback alone.
    pub pod_ranges: Option<Vec<Range>>,
    /// A container's log is begun anew at this many bytes.
    pub log_max_bytes: u64,
    /// Files of a container's log, the one that is written to included.
    pub log_max_files: u32,
    /// How often everything in the manifests directory is looked at, whatever inotify tells.
    pub file_check_frequency: Duration,
    /// Longest delay between restarts.
    pub max_restart_period: Duration,
    /// For how long a node that was short of something is still said to be.
    pub pressure_transition: Duration,
    /// Images that nobody uses go when so many percent of their file system are used; at 100 never for that.
    pub image_gc_high: u64,
    /// Until no more than so many percent are.
    pub image_gc_low: u64,
    /// No image goes that came more recently than this.
    pub image_min_age: Duration,
    /// Images that nobody used for longer than this go, however much room there is; never where zero.
    pub image_max_age: Duration,
    /// Pods that the node is said to have room for.
    pub max_pods: u64,
    /// Most processes and threads of a pod.
    pub pod_pids_limit: Option<u64>,
    /// How many IDs of users and groups a pod with a user namespace of its own has: a multiple of 65536.
    pub ids_per_pod: u32,
    /// Whether containers that say nothing of it have the profile `RuntimeDefault`.
    pub seccomp_default: bool,
    /// Whether containers have labels of SELinux, where the kernel has it.
    pub selinux: bool,
    /// Whether a container that is out of memory loses one process only; otherwise all of them, where cgroup v2 can do that.
    pub single_process_oom_kill: bool,
    /// Settings of the kernel that pods may have besides the safe ones; with `*` at the end all that begin so.
    pub unsafe_sysctls: Vec<String>,
    /// Kept back for the system.
    pub system_reserved: Amounts,
    /// Kept back for the agent and pod processes.
    pub kube_reserved: Amounts,
    /// Below what a kubelet would evict.
    pub eviction_hard: Thresholds,
    /// Whether all pods together get no more memory than the node has for them.
    pub enforce_allocatable: bool,
    /// Whether CPU limits hold.
    pub cpu_cfs_quota: bool,
    /// Whether the agent refuses a node that swaps.
    pub fail_swap_on: bool,
    /// Whether containers are slowed down before they reach their limit of memory; cgroup v2 alone.
    pub memory_qos: bool,
    /// Whether, with that, memory that pods ask for is kept for them.
    pub memory_reserves: bool,
    /// Where between request and limit they are slowed down, in thousandths.
    pub memory_throttling: u64,
    /// What is to be known of registries: k3s' `registries.yaml`.
    pub private_registry: PathBuf,
    /// Registries that this file names mirrors for are not asked themselves.
    pub only_mirrors: bool,
    /// One pull at a time.
    pub serialize_pulls: bool,
    /// Most pulls at the same time, where not one at a time.
    pub max_parallel_pulls: u32,
    /// How many pulls may begin in a second, over a longer time; 0 where there is no limit.
    pub pull_qps: u32,
    /// How many pulls may begin at once after a while without.
    pub pull_burst: u32,
    /// What a person should know of the configuration, a sentence each.
    pub notes: Vec<String>,
}

impl Agent {
    /// The agent that is told nothing but where it may leave what dies with the boot.
    pub fn new(runtime_dir: &Path) -> Agent {
        let mut agent = Agent {
            data_dir: PathBuf::new(),
            pod_manifest_path: PathBuf::new(),
            node_name: None,
            node_labels: BTreeMap::new(),
            log_dir: PathBuf::new(),
            cgroup_root: String::new(),
            runtime_dir: runtime_dir.to_path_buf(),
            force: false,
            log: log::LevelFilter::Info,
            resolv_conf: None,
            cluster_dns: Vec::new(),
            cluster_domain: String::new(),
            pod_ranges: None,
            log_max_bytes: 0,
            log_max_files: 0,
            file_check_frequency: Duration::ZERO,
            max_restart_period: Duration::ZERO,
            pressure_transition: Duration::ZERO,
            image_gc_high: 0,
            image_gc_low: 0,
            image_min_age: Duration::ZERO,
            image_max_age: Duration::ZERO,
            max_pods: 0,
            pod_pids_limit: None,
            ids_per_pod: 0,
            seccomp_default: false,
            selinux: false,
            single_process_oom_kill: false,
            unsafe_sysctls: Vec::new(),
            system_reserved: Amounts::default(),
            kube_reserved: Amounts::default(),
            eviction_hard: Thresholds::default(),
            enforce_allocatable: false,
            cpu_cfs_quota: false,
            fail_swap_on: false,
            memory_qos: false,
            memory_reserves: false,
            memory_throttling: 0,
            private_registry: PathBuf::new(),
            only_mirrors: false,
            serialize_pulls: false,
            max_parallel_pulls: 0,
            pull_qps: 0,
            pull_burst: 0,
            notes: Vec::new(),
        };
        for key in Key::ALL {
            let values: Vec<String> = key.default().iter().map(|value| (*value).to_owned()).collect();
            set::set(&mut agent, key, &values).expect("defaults are what they must be, which a test shows");
        }
        agent
    }

    /// How many images are pulled at the same time.
    pub fn pulls_at_once(&self) -> usize {
        if self.serialize_pulls { 1 } else { self.max_parallel_pulls.try_into().unwrap_or(usize::MAX) }
    }

    /// What of the node is not for pods: what is kept back, and what a kubelet would evict before it lets pods have it.
    pub fn reserved(&self, machine: &Machine) -> Amounts {
        let thresholds = Amounts {
            cpu_milli: 0,
            memory: self.eviction_hard.memory.map_or(0, |threshold| threshold.of(machine.memory)),
            storage: self.eviction_hard.storage.map_or(0, |threshold| threshold.of(machine.storage)),
        };
        self.system_reserved.plus(self.kube_reserved).plus(thresholds)
    }

    /// What the node has for pods.
    pub fn allocatable(&self, machine: &Machine) -> Amounts {
        machine.allocatable(self.reserved(machine))
    }
}
