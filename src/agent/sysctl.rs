//! Which settings of the kernel a pod may have, and which it has.

use crate::spec::{Pod, Sysctl, SysctlNamespace};

/// What harms nobody else (kubelet's `safe_sysctls.go`).
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// What containerd lets pods of a network of their own do without rights (`enable_unprivileged_ports`, `…_icmp`): listen at
/// ports below 1024, and ping.
const UNPRIVILEGED: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// Why `pod` may not have what it asks for, in the kubelet's words. `allowed` are further names; one that ends with `*` is all
/// that begin so.
pub fn forbidden(pod: &Pod, allowed: &[String]) -> Option<String> {
    let matches = |pattern: &String, name: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    };
    let fine = |name: &str| {
        let listed = SAFE.contains(&name) || allowed.iter().any(|pattern| matches(pattern, name));
        // What is the whole machine's is nobody's to set.
        listed && SysctlNamespace::of(name).is_some()
    };
    let other = pod.sysctls.iter().find(|sysctl| !fine(&sysctl.name))?;
    Some(format!("forbidden sysctl: \"{}\" not allowlisted", other.name))
}

/// What a pod has without asking for it: nothing with a user namespace, whose root may do this anyway. It goes without where the kernel has no such setting.
pub fn defaults(pod: &Pod) -> Vec<Sysctl> {
    let asked = |name: &str| pod.sysctls.iter().any(|sysctl| sysctl.name == name);
    let none = pod.host_network || pod.user_namespace;
    let defaults = UNPRIVILEGED.iter().filter(|(name, _)| !none && !asked(name));
    defaults.map(|(name, value)| Sysctl { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(names: &[&str]) -> Pod {
        let sysctl = |name: &&str| Sysctl { name: (*name).to_owned(), value: "1".to_owned() };
        Pod { sysctls: names.iter().map(sysctl).collect(), ..Pod::default() }
    }

    #[test]
    fn what_is_not_safe_must_be_allowed_11_11() {
        let check = |names: &[&str], allowed: &[&str], expected: Option<&str>| {
            let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
            let told = expected.map(|name| format!("forbidden sysctl: \"{name}\" not allowlisted"));
            assert_eq!(forbidden(&pod(names), &allowed), told, "{names:?} {allowed:?}");
        };
        check(&[], &[], None);
        check(&["kernel.shm_rmid_forced", "net.ipv4.tcp_rmem"], &[], None);
        check(&["kernel.shm_rmid_forced", "kernel.msgmax"], &[], Some("kernel.msgmax"));
        check(&["kernel.msgmax"], &["kernel.msg*"], None);
        check(&["kernel.msgmax"], &["kernel.msgmax"], None);
        check(&["net.core.somaxconn"], &["net.core.somaxconn1", "net.ipv4.*"], Some("net.core.somaxconn"));
        // Threat 16: what is everybody's, also where somebody allows it.
        check(&["kernel.core_pattern"], &["kernel.*", "kernel.core_pattern"], Some("kernel.core_pattern"));
    }

    #[test]
    fn ports_and_pings_need_no_rights_in_a_network_of_its_own() {
        let names = |pod: &Pod| defaults(pod).into_iter().map(|sysctl| sysctl.name).collect::<Vec<_>>();
        let both = UNPRIVILEGED.map(|(name, _)| name);
        assert_eq!(names(&pod(&[])), both);
        assert_eq!(names(&pod(&[both[0]])), [both[1]]);
        assert_eq!(names(&Pod { host_network: true, ..Pod::default() }), [""; 0]);
    }
}
