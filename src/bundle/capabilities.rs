//! What a container may do beyond an ordinary user: containerd's default and what its security context adds and drops.

use super::Inputs;
use crate::spec::{ALL_CAPABILITIES, CAPABILITIES};
use crate::status::{Failure, Reason};

/// What containers may do by default: containerd's list (`pkg/oci/spec.go`).
pub const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    MKNOD,
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Left out where device rules cannot be made to hold: who makes the node of a disk could read it.
const MKNOD: &str = "MKNOD";

/// The names, as OCI has them. `ALL` counts first, then what is added, then what is dropped; a privileged container has all
/// that the node has. What an unprivileged one is given by default, or with `ALL`, is less what the node lacks.
///
/// Fails with `CreateContainerConfigError` where it asks by name for one that cannot be had here.
pub fn capabilities(inputs: &Inputs<'_>) -> Result<Vec<String>, Failure> {
    let security = &inputs.container.security;
    let of_node = |name: &str| {
        let number = CAPABILITIES.iter().position(|known| *known == name);
        number.is_some_and(|number| inputs.node.capabilities & (1 << number) != 0)
    };
    let can = |name: &str| of_node(name) && (name != MKNOD || security.privileged || inputs.device_rules);
    let all = |list: &[String]| list.iter().any(|name| name == ALL_CAPABILITIES);
    let by_name = |list: &[String], name: &str| list.iter().any(|listed| listed == name);
    let wanted = |name: &str| {
        let base = match () {
            () if security.privileged => return true,
            () if all(&security.drop) => false,
            () if all(&security.add) => true,
            () => DEFAULT.contains(&name),
        };
        (base || by_name(&security.add, name)) && !by_name(&security.drop, name)
    };
    if let Some(name) =
        security.add.iter().find(|name| *name != ALL_CAPABILITIES && wanted(name) && !can(name))
    {
        let why = match of_node(name) {
            true => "this kernel cannot restrict devices on cgroup v2, for which it needs CONFIG_CGROUP_BPF",
            false => "this machine does not give it to the agent",
        };
        let message = format!("container {}: capability {name} cannot be had: {why}", inputs.container.name);
        return Err(Failure::new(Reason::CreateContainerConfigError, message));
    }
    let had = CAPABILITIES.into_iter().filter(|name| wanted(name) && can(name));
    Ok(had.map(|name| format!("CAP_{name}")).collect())
}
