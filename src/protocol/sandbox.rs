//! What a pod process is given at its birth: `<runtime-dir>/pods/<uid>/sandbox.json`.

use serde::{Deserialize, Serialize};

use crate::spec::{IdMapping, Sysctl};

/// The sandbox to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The pod's UID.
    pub uid: String,
    /// Number of this sandbox, from 0: a pod whose process was lost gets the next.
    pub sandbox: u32,
    /// `namespace/name`, for `ps` and messages.
    pub full_name: String,
    /// The pod's directory below the runtime directory; the socket is `<directory>/sock`.
    pub directory: String,
    /// The pod's cgroup relative to each hierarchy's root; the pod process enters `<cgroup>/holdfast`.
    pub cgroup: String,
    /// Host name inside; unused with `host_network`.
    pub hostname: String,
    /// Keep the node's network and host name.
    pub host_network: bool,
    /// Keep the node's IPC namespace.
    pub host_ipc: bool,
    /// Keep one process in a PID namespace that all containers join.
    pub share_process_namespace: bool,
    /// The IDs of its user namespace, where it has one of its own. Since version 7.
    #[serde(default)]
    pub user_namespace: Option<IdMapping>,
    /// The level of its containers' labels of SELinux that no other pod's have, where they have labels. Since version 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selinux_level: Option<String>,
    /// Settings of the kernel for the pod's namespaces. Since version 4.
    #[serde(default)]
    pub sysctls: Vec<Sysctl>,
    /// Likewise, where the kernel has such.
    #[serde(default)]
    pub default_sysctls: Vec<Sysctl>,
    /// Mounted in the pod process's own mount namespace before it is ready.
    pub tmpfs: Vec<Tmpfs>,
    /// Desired `oom_score_adj` of the pod process itself.
    pub oom_score_adj: i32,
    /// Soft and hard limit of open files that containers get: the agent's original ones.
    pub nofile: (u64, u64),
}

/// A tmpfs of the pod: `/dev/shm`, and each emptyDir in memory; or a hugetlbfs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where; an existing directory.
    pub path: String,
    /// Mount options: `mode=1777,size=67108864`. `noswap` is left out where the kernel does not know it.
    pub options: String,
    /// Whether it is a hugetlbfs.
    #[serde(default)]
    pub huge: bool,
}
