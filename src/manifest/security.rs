//! Security contexts: a container's beats its pod's, field by field (reference D.5).

use k8s_openapi::api::core::v1 as core;

use crate::spec::{AppArmor, Seccomp, Security, SelinuxOptions, Sysctl, sysctl_name};

/// What counts for `container` of `pod`, which was validated.
pub fn of_container(pod: &core::Pod, container: &core::Container) -> Security {
    let nothing = (core::PodSecurityContext::default(), core::SecurityContext::default());
    let spec = pod.spec.as_ref();
    let of_pod = spec.and_then(|spec| spec.security_context.as_ref()).unwrap_or(&nothing.0);
    let own = container.security_context.as_ref().unwrap_or(&nothing.1);
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
        unmasked: own.proc_mount.as_deref() == Some("Unmasked"),
        seccomp: own
            .seccomp_profile
            .as_ref()
            .or(of_pod.seccomp_profile.as_ref())
            .map(seccomp)
            .unwrap_or_default(),
        // An annotation is of the container, and beats what its pod says.
        apparmor: own
            .app_armor_profile
            .as_ref()
            .map(apparmor)
            .or_else(|| apparmor_annotation(apparmor_written(pod, &container.name)?))
            .or_else(|| of_pod.app_armor_profile.as_ref().map(apparmor))
            .unwrap_or_default(),
        selinux_options: own.se_linux_options.as_ref().or(of_pod.se_linux_options.as_ref()).map(selinux),
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

/// An empty one is none.
fn selinux(options: &core::SELinuxOptions) -> SelinuxOptions {
    let said = |option: &Option<String>| option.clone().filter(|option| !option.is_empty());
    SelinuxOptions {
        user: said(&options.user),
        role: said(&options.role),
        kind: said(&options.type_),
        level: said(&options.level),
    }
}

/// What the field means.
pub fn apparmor(profile: &core::AppArmorProfile) -> AppArmor {
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Unconfined", _) => AppArmor::Unconfined,
        ("Localhost", Some(name)) => AppArmor::Localhost(name.clone()),
        _ => AppArmor::RuntimeDefault,
    }
}

/// Before there was a field for it, an annotation said the AppArmor profile of the container whose name it ends with.
pub const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// What the annotation of `container` says.
pub fn apparmor_written<'p>(pod: &'p core::Pod, container: &str) -> Option<&'p str> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations.get(&format!("{APPARMOR}{container}")).map(String::as_str)
}

/// What such an annotation means; nothing where it says nothing, or nothing known.
pub fn apparmor_annotation(written: &str) -> Option<AppArmor> {
    match written {
        "runtime/default" => Some(AppArmor::RuntimeDefault),
        "unconfined" => Some(AppArmor::Unconfined),
        _ => written.strip_prefix("localhost/").map(|name| AppArmor::Localhost(name.to_owned())),
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
