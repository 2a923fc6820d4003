//! Spec and image configuration to an OCI runtime configuration; pure.
//!
//! [`config`] gives what libcontainer 0.7 is run with. Two things are left to the worker, which alone sees the mounted
//! root file system: it looks up the user there and writes `process.user`, and it resolves the program's path.
//! `linux.seccomp` says no more than that there is a program beside it, in [`SECCOMP`], and forbids everything to whoever takes
//! it at its word: libcontainer, which is built without a C library, does not look at it.
//!
//! Invariant: every field is set by us or absent. The builders of `oci_spec` have defaults of their own (no_new_privs,
//! 1024 open files, six namespaces, a host name), so the configuration is written as JSON and read back as its type.
//! Invariant: nothing from a manifest reaches an annotation, and no annotation is read.
//! Invariant: the network, IPC and UTS namespaces are inherited from the pod process, never made or joined here.

mod capabilities;
mod devices;
mod env;
mod env_file;
mod etc;
mod expansion;
mod linux;
mod mounts;
mod names;
mod process;
mod resolv_conf;
mod resources;
mod signal;
mod sub_path;
#[cfg(test)]
mod tests;
mod user;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use capabilities::{DEFAULT as CAPABILITIES, capabilities};
pub use devices::device_program;
pub use env::{Surroundings, Variables, divided, own as own_variables};
pub use etc::{hostname, hosts, kernel_hostname, node_hosts};
pub use expansion::expand_static;
pub use names::{Found, Names, names, with_names};
pub use resolv_conf::{ASK_THE_NODE, Cluster, resolv_conf};
pub use resources::{CPU_PERIOD_US, MemoryQos, cpu_quota_us, cpu_shares, oom_score_adj, page_name};
pub use signal::stop_signal;
pub use sub_path::sub_path;
pub use user::user;

use crate::spec::{Bytes, Container, IdMapping, Pod};
use crate::status::{Failure, Reason};

/// What an image says about running it (OCI image config, `config` object).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// ENV, as `NAME=value`.
    pub env: Vec<String>,
    /// USER as written: a name or number, with an optional group after a colon; empty for root.
    pub user: String,
    /// WORKDIR; empty for `/`.
    pub working_dir: String,
    /// STOPSIGNAL as written (`SIGQUIT`, `3`); empty for SIGTERM.
    pub stop_signal: String,
}

/// The file of a bundle that has its seccomp program, as the kernel takes it.
pub const SECCOMP: &str = "seccomp";

/// Everything that decides what one run of a container looks like.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// One of its containers.
    pub container: &'a Container,
    /// What the kernel calls its host ([`kernel_hostname`]).
    pub hostname: &'a str,
    /// The manifest's variables ([`own_variables`]).
    pub variables: Variables,
    /// What its image says.
    pub image: &'a ImageConfig,
    /// What the node is and permits.
    pub node: &'a Node,
    /// The run's cgroup relative to each hierarchy's root: `/kubepods/…/pod<uid>/<container>-<attempt>`.
    pub cgroup: String,
    /// Files and directories of the pod that every container gets.
    pub files: Files,
    /// The file of the node that the container says its last words in, where its spec has a place for them.
    pub last_words: String,
    /// The container's volumes, as paths of the node.
    pub binds: Vec<Bind>,
    /// Whether a seccomp program lies beside the configuration, in [`SECCOMP`].
    pub seccomp: bool,
    /// Whether the rules of its devices will be made to hold.
    pub device_rules: bool,
    /// The AppArmor profile that it is confined by, if it is.
    pub apparmor: Option<String>,
    /// Its labels of SELinux, if it has any.
    pub selinux: Option<Labels>,
    /// The IDs of the pod's user namespace, where it has one of its own.
    pub users: Option<IdMapping>,
    /// Devices of the node, for a privileged container only.
    pub devices: Vec<Device>,
    /// The process that holds the pod's PID namespace; needed with `shareProcessNamespace` only.
    pub pause_pid: Option<i32>,
}

/// Labels of SELinux.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// That of its processes; none for a privileged one, which no label confines.
    pub process: Option<String>,
    /// That of the files that are its own.
    pub file: String,
}

/// What a node is and permits; the same for all its containers.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Memory of the node, against which requests are weighed for `oom_score_adj`.
    pub memory: Bytes,
    /// What its cgroups can do.
    pub cgroup: Cgroup,
    /// Sizes of huge pages that its cgroups can limit, in bytes.
    pub huge_pages: Vec<u64>,
    /// What is done for the memory that containers ask for, where anything is.
    pub memory_qos: Option<MemoryQos>,
    /// Soft and hard limit of open files that containers get: what the agent was started with.
    pub nofile: (u64, u64),
    /// Highest limit of open files that may be set: `u64::MAX` with CAP_SYS_RESOURCE, else the hard limit in force.
    pub nofile_max: u64,
    /// Lowest `oom_score_adj` that may be set: -1000 with CAP_SYS_RESOURCE, else the agent's own; `None` if it cannot be
    /// set at all.
    pub oom_score_floor: Option<i32>,
    /// Capabilities that the agent has to give, by their numbers: bit n is capability n.
    pub capabilities: u64,
    /// Paths to mask beyond the fixed list: each existing `/sys/devices/system/cpu/cpu<N>/thermal_throttle`.
    pub masked: Vec<String>,
}

/// What the node's cgroups can do. A limit that cannot be applied is left out, since asking for it fails the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cgroup {
    /// One unified hierarchy (v2), rather than one per controller (v1, also in the hybrid layout).
    pub unified: bool,
    /// `cpu.shares` or `cpu.weight`.
    pub cpu: bool,
    /// `cpu.cfs_quota_us` or `cpu.max`: needs CONFIG_CFS_BANDWIDTH.
    pub cpu_quota: bool,
    /// `memory.limit_in_bytes` or `memory.max`: Raspberry Pi kernels have it switched off.
    pub memory: bool,
    /// `memory.memsw.limit_in_bytes` or `memory.swap.max`.
    pub swap: bool,
    /// `memory.oom.group`: v2 only.
    pub oom_group: bool,
    /// Rules of devices; v2 needs CONFIG_CGROUP_BPF.
    pub devices: bool,
}

/// Paths of the node that every container of a pod gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// For `/etc/hosts`.
    pub hosts: String,
    /// For `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// For `/etc/hostname`.
    pub hostname: String,
    /// For `/dev/shm`: the pod's own, or the node's with `hostIPC`.
    pub shm: String,
}

/// One volume in a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Bind {
    /// Path on the node.
    pub source: String,
    /// Path in the container, absolute.
    pub path: String,
    /// Whether the container may not write to it. What is mounted below the source stays writable, as in Kubernetes
    /// without `recursiveReadOnly`.
    pub read_only: bool,
    /// Whether it may not write to what is mounted below either.
    pub recursive_read_only: bool,
    /// Whether it is made of values: files of the runtime directory, whose mount may forbid to execute what a ConfigMap may
    /// have a script in.
    pub of_values: bool,
    /// Whether it is what is in an image, of which nothing can be executed.
    pub of_image: bool,
    /// Whether its owners are those of the node, and not the pod's already, as of what was mounted for the pod.
    pub of_node: bool,
}

/// A device of the node.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its path, below `/dev`.
    pub path: String,
    /// Whether it is a block device, else a character device.
    pub block: bool,
    /// Major and minor number.
    pub number: (u64, u64),
    /// Permissions, as in `chmod`.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
}

/// The OCI runtime configuration of one run.
///
/// Fails with `CreateContainerError` where there is no program to run, and with `CreateContainerConfigError` where a
/// volume is mounted over a path that the runtime itself needs, or a capability cannot be had.
pub fn config(inputs: &Inputs<'_>) -> Result<Spec, Failure> {
    let document = json!({
        "ociVersion": "1.1.0",
        "process": process::process(inputs)?,
        "root": { "path": "rootfs", "readonly": inputs.container.security.read_only_root },
        "mounts": mounts::mounts(inputs)?,
        "annotations": {
            "io.kubernetes.pod.name": inputs.pod.name,
            "io.kubernetes.pod.namespace": inputs.pod.namespace,
            "io.kubernetes.pod.uid": inputs.pod.uid.0,
            "io.kubernetes.container.name": inputs.container.name,
        },
        "linux": linux::linux(inputs)?,
    });
    serde_json::from_value(document).map_err(|cause| {
        let name = &inputs.container.name;
        Failure::new(
            Reason::CreateContainerError,
            format!("write the OCI configuration of container {name}: {cause}"),
        )
    })
}
