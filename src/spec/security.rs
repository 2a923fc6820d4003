//! What the processes of a container are and may do, by the security contexts of pod and container (reference D.5).

use serde::{Deserialize, Serialize};

/// The security context that counts for one container: its own, else its pod's, field by field. The default says nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// `runAsUser`; the image's USER where absent.
    pub user: Option<u32>,
    /// `runAsGroup`; that of the user where absent.
    pub group: Option<u32>,
    /// `runAsNonRoot`: user 0 is refused.
    pub non_root: bool,
    /// The pod's `fsGroup` and `supplementalGroups`.
    pub groups: Vec<u32>,
    /// `supplementalGroupsPolicy: Strict`: what the image's /etc/group says of the user does not count.
    pub strict_groups: bool,
    /// `readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// `allowPrivilegeEscalation: false`: no program has more rights than the one that executes it.
    pub no_new_privileges: bool,
    /// `privileged`.
    pub privileged: bool,
    /// `procMount: Unmasked`: nothing of `/proc` is hidden or read-only.
    pub unmasked: bool,
    /// `seccompProfile`.
    pub seccomp: Seccomp,
    /// `appArmorProfile`.
    pub apparmor: AppArmor,
    /// `seLinuxOptions`.
    pub selinux_options: Option<SelinuxOptions>,
    /// `capabilities.add`: names as [`CAPABILITIES`] has them, or `ALL`.
    pub add: Vec<String>,
    /// `capabilities.drop`: likewise.
    pub drop: Vec<String>,
}

/// Which system calls may be made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Seccomp {
    /// As the node has it for those who say nothing.
    #[default]
    Unsaid,
    /// All.
    Unconfined,
    /// What is harmless.
    RuntimeDefault,
    /// What a profile of the node says: its path below the directory of profiles.
    Localhost(String),
}

/// By which AppArmor profile programs are confined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum AppArmor {
    /// As the node has it for those who say nothing.
    #[default]
    Unsaid,
    /// By none.
    Unconfined,
    /// By the one for containers.
    RuntimeDefault,
    /// By the one of this name, which is loaded on the node.
    Localhost(String),
}

/// What a label of SELinux is to say; what is absent is as the node has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SelinuxOptions {
    /// `user`.
    pub user: Option<String>,
    /// `role`.
    pub role: Option<String>,
    /// `type`.
    pub kind: Option<String>,
    /// `level`.
    pub level: Option<String>,
}

/// Linux' capabilities in the order of their numbers (`linux/capability.h`), without `CAP_`.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// In a list of capabilities: every one.
pub const ALL_CAPABILITIES: &str = "ALL";
