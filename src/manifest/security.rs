//! Security contexts: a container's beats its pod's, field by field (reference D.5).

use k8s_openapi::api::core::v1 as core;

use crate::spec::{Seccomp, Security, Sysctl, sysctl_name};

/// What counts for a container that says `own`, in a pod that was validated.
pub fn of_container(pod: Option<&core::PodSpec>, own: Option<&core::SecurityContext>) -> Security {
    let nothing = (core::PodSecurityContext::default(), core::SecurityContext::default());
    let of_pod = pod.and_then(|pod| pod.security_context.as_ref()).unwrap_or(&nothing.0);
    let own = own.unwrap_or(&nothing.1);
    let groups = of_pod.fs_group.iter().chain(of_pod.supplemental_groups.iter().flatten());
    let capabilities = own.capabilities.clone().unwrap_or_default();
    Security {
        user: id(own.run_as_user.or(of_pod.run_as_user)),
        group: id(own.run_as_group.or(of_pod.run_as_group)),
        non_root: own.run_as_non_root.or(of_pod.run_as_non_root).unwrap_or_default(),
        groups: groups.filter_map(|group| id(Some(*group))).collect(),
        strict_groups: of_pod.supplemental_groups_policy.as_deref() == Some("Strict"),
        read_only_root: own.read_only_root_filesystem.unwrap_or_default(),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        privileged: own.privileged.unwrap_or_default(),
        seccomp: own
            .seccomp_profile
            .as_ref()
            .or(of_pod.seccomp_profile.as_ref())
            .map(seccomp)
            .unwrap_or_default(),
        add: names(capabilities.add),
        drop: names(capabilities.drop),
    }
}

fn seccomp(profile: &core::SeccompProfile) -> Seccomp {
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Unconfined", _) => Seccomp::Unconfined,
        ("Localhost", Some(path)) => Seccomp::Localhost(path.clone()),
        _ => Seccomp::RuntimeDefault,
    }
}

/// The group of a pod's volumes.
pub fn fs_group(pod: &core::PodSpec) -> Option<u32> {
    id(pod.security_context.as_ref()?.fs_group)
}

/// The pod's settings of the kernel.
pub fn sysctls(pod: &core::PodSpec) -> Vec<Sysctl> {
    let all = pod.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    all.map(|it| Sysctl { name: sysctl_name(&it.name), value: it.value.clone() }).collect()
}

fn id(written: Option<i64>) -> Option<u32> {
    u32::try_from(written?).ok()
}

fn names(written: Option<Vec<String>>) -> Vec<String> {
    written.unwrap_or_default().iter().map(|name| capability(name)).collect()
}

/// A capability as it is called: in capitals, without the prefix that some write.
pub fn capability(written: &str) -> String {
    let name = written.to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}
