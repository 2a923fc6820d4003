//! Settings of the kernel that a pod has for itself (reference D.5).

use serde::{Deserialize, Serialize};

/// One of `spec.securityContext.sysctls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Its name, with dots between its parts and slashes for dots in them, as [`sysctl_name`] makes it.
    pub name: String,
    /// What is written to it.
    pub value: String,
}

/// In which of a pod's namespaces a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SysctlNamespace {
    /// The one of networks.
    Network,
    /// The one of shared memory and queues.
    Ipc,
}

impl SysctlNamespace {
    /// Of the setting called `name`; `None` for one that is the whole machine's (kubelet's `GetNamespace`).
    pub fn of(name: &str) -> Option<SysctlNamespace> {
        let begins = |prefix: &&str| name.starts_with(prefix);
        match () {
            () if name == "kernel.sem" => Some(SysctlNamespace::Ipc),
            () if ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(begins) => Some(SysctlNamespace::Ipc),
            () if name.starts_with("net.") => Some(SysctlNamespace::Network),
            () => None,
        }
    }
}

/// `written` with dots between its parts: some write slashes, and then dots are what they are (kubelet's `NormalizeName`).
pub fn sysctl_name(written: &str) -> String {
    match written.find(['.', '/']).and_then(|at| written.as_bytes().get(at)) {
        Some(b'/') => swapped(written),
        _ => written.to_owned(),
    }
}

impl Sysctl {
    /// Its file, below `/proc/sys`.
    pub fn path(&self) -> String {
        swapped(&self.name)
    }
}

fn swapped(text: &str) -> String {
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    text.chars().map(swap).collect()
}
