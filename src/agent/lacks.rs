//! What containers are not confined by on this node, though nothing of their pods says that they need not be.
//!
//! Invariant: it is said, as a condition of the node and in the log; what a pod itself asks for fails the pod instead.

use crate::api::Lack;

/// The node takes no seccomp programs, and would have a profile for all.
pub const SECCOMP: Lack = Lack {
    condition: "SeccompUnavailable",
    reason: "NoSeccompFilters",
    message: "this kernel has no seccomp filters: containers that name no profile may make every system call; use a kernel \
              with CONFIG_SECCOMP_FILTER, or say seccompDefault: false",
};

/// The node takes no programs that decide about devices.
pub const DEVICE_RULES: Lack = Lack {
    condition: "DeviceRulesUnavailable",
    reason: "NoDevicePrograms",
    message: "this kernel cannot restrict devices on cgroup v2: containers that are not privileged get no CAP_MKNOD, and device \
              nodes of images do not work; use a kernel with CONFIG_CGROUP_BPF",
};

/// The kernel has AppArmor, and not the profile for those who name none.
pub const APPARMOR: Lack = Lack {
    condition: "AppArmorUnavailable",
    reason: "ProfileNotLoaded",
    message: "the AppArmor profile holdfast-default is not loaded: AppArmor does not confine containers that name no profile; \
              load it by apparmor_parser --replace FILE, from apparmor/holdfast-default of this program's sources, and start \
              the agent again",
};
