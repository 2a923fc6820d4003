//! Security contexts (the API server's `ValidateSecurityContext` and `validatePodSpecSecurityContext`).

use std::collections::HashSet;

use k8s_openapi::api::core::v1 as core;

use super::{one_of, without_nul};
use crate::manifest::problems::Problems;
use crate::manifest::security::{self, APPARMOR, apparmor_annotation, capability};
use crate::spec::{ALL_CAPABILITIES, CAPABILITIES, SysctlNamespace, sysctl_name};
use crate::yaml::tree::Path;

/// Largest ID of a user or group (`IsValidUserID`).
const MAX_ID: i64 = i32::MAX as i64;

/// Checks the pod's own.
pub fn pod(spec: &core::PodSpec, problems: &mut Problems<'_>) {
    let root = Path::of("spec.securityContext");
    let Some(context) = &spec.security_context else { return };
    for (field, written) in [
        ("fsGroup", context.fs_group),
        ("runAsGroup", context.run_as_group),
        ("runAsUser", context.run_as_user),
    ] {
        id(&root.key(field), written, problems);
    }
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        id(&root.key("supplementalGroups").index(index), Some(*group), problems);
    }
    let policy = context.supplemental_groups_policy.as_deref();
    one_of(&root.key("supplementalGroupsPolicy"), policy, &["Merge", "Strict"], problems);
    let policy = context.fs_group_change_policy.as_deref();
    one_of(&root.key("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"], problems);
    seccomp(&root.key("seccompProfile"), context.seccomp_profile.as_ref(), problems);
    apparmor(&root.key("appArmorProfile"), context.app_armor_profile.as_ref(), problems);
    sysctls(spec, &root.key("sysctls"), problems);
}

/// `validateHostUsers`. Volumes that are devices are refused of every pod.
pub fn users(spec: &core::PodSpec, problems: &mut Problems<'_>) {
    if spec.host_users != Some(false) {
        return;
    }
    let root = Path::of("spec");
    for (field, of_node) in
        [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)]
    {
        if of_node == Some(true) {
            problems.error(
                &root.key(field),
                "must not be true when `hostUsers` is false",
                "remove one of them",
            );
        }
    }
}

/// Checks that of `container`.
pub fn container(container: &core::Container, host_users: bool, path: &Path, problems: &mut Problems<'_>) {
    let root = path.key("securityContext");
    let Some(context) = &container.security_context else { return };
    id(&root.key("runAsUser"), context.run_as_user, problems);
    id(&root.key("runAsGroup"), context.run_as_group, problems);
    match context.proc_mount.as_deref() {
        Some("Unmasked") if host_users => problems.error(
            &root.key("procMount"),
            "`hostUsers` must be false to use `Unmasked`",
            "set hostUsers: false",
        ),
        kind => one_of(&root.key("procMount"), kind, &["Default", "Unmasked"], problems),
    }
    seccomp(&root.key("seccompProfile"), context.seccomp_profile.as_ref(), problems);
    apparmor(&root.key("appArmorProfile"), context.app_armor_profile.as_ref(), problems);
    let capabilities = context.capabilities.clone().unwrap_or_default();
    let added = capabilities.add.unwrap_or_default();
    known(&root.key("capabilities").key("add"), &added, problems);
    known(&root.key("capabilities").key("drop"), &capabilities.drop.unwrap_or_default(), problems);
    if context.allow_privilege_escalation == Some(false) {
        let message = "cannot set `allowPrivilegeEscalation` to false and";
        if context.privileged == Some(true) {
            problems.error(&root, format!("{message} `privileged` to true"), "remove one of them");
        }
        if added.iter().any(|name| capability(name) == "SYS_ADMIN") {
            problems.error(
                &root,
                format!("{message} `capabilities.Add` CAP_SYS_ADMIN"),
                "remove one of them",
            );
        }
    }
}

fn id(path: &Path, written: Option<i64>, problems: &mut Problems<'_>) {
    if written.is_some_and(|id| !(0..=MAX_ID).contains(&id)) {
        problems.error(path, format!("must be between 0 and {MAX_ID}, inclusive"), "");
    }
}

/// Longest name of a setting of the kernel, in characters (`SysctlMaxLength`).
const MAX_SYSCTL: usize = 253;

/// `validateSysctls`.
fn sysctls(spec: &core::PodSpec, root: &Path, problems: &mut Problems<'_>) {
    let mut seen = HashSet::new();
    let all = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    for (index, sysctl) in all.enumerate() {
        let (path, name) = (root.index(index).key("name"), sysctl_name(&sysctl.name));
        without_nul(&root.index(index).key("value"), &sysctl.value, problems);
        if sysctl.name.is_empty() {
            problems.error(&path, "must not be empty", "");
            continue;
        }
        if MAX_SYSCTL < sysctl.name.len() || !sysctl.name.split(['.', '/']).all(is_segment) {
            let rule = "and be parts of lower case letters, digits, '-' and '_' with '.' or '/' between them";
            problems.error(&path, format!("must have at most {MAX_SYSCTL} characters {rule}"), "");
        }
        if !seen.insert(name.clone()) {
            problems.error(&path, format!("{name:?} is set already"), "");
        }
        let of_node = match SysctlNamespace::of(&name) {
            Some(SysctlNamespace::Network) if spec.host_network == Some(true) => "hostNetwork",
            Some(SysctlNamespace::Ipc) if spec.host_ipc == Some(true) => "hostIPC",
            _ => continue,
        };
        problems.error(&path, format!("may not be specified when '{of_node}' is true"), "set it on the node");
    }
}

/// A part of such a name: it begins and ends with a letter or digit.
fn is_segment(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    ends.iter().all(|byte| byte.is_some_and(letter))
        && text.bytes().all(|byte| letter(byte) || b"-_".contains(&byte))
}

/// `validateSeccompProfileField`.
fn seccomp(root: &Path, profile: Option<&core::SeccompProfile>, problems: &mut Problems<'_>) {
    let Some(profile) = profile else { return };
    let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
    one_of(&root.key("type"), Some(&profile.type_), &kinds, problems);
    let path = root.key("localhostProfile");
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", None | Some("")) => {
            problems.error(
                &path,
                "must be set when seccomp type is Localhost",
                "name a file of the node's profiles",
            );
        }
        ("Localhost", Some(name)) => {
            if name.starts_with('/') {
                problems.error(&path, "must be a relative path", "name it below the directory of profiles");
            }
            if name.split('/').any(|part| part == "..") {
                problems.error(&path, "must not contain '..'", "");
            }
            without_nul(&path, name, problems);
        }
        (_, Some(_)) => problems.error(&path, "can only be set when seccomp type is Localhost", "remove it"),
        (_, None) => {}
    }
}

/// Longest name of an AppArmor profile, in bytes (`maxLocalhostProfileLength`).
const MAX_PROFILE: usize = 4095;

/// `validateAppArmorProfileField`.
fn apparmor(root: &Path, profile: Option<&core::AppArmorProfile>, problems: &mut Problems<'_>) {
    let Some(profile) = profile else { return };
    one_of(&root.key("type"), Some(&profile.type_), &["Localhost", "RuntimeDefault", "Unconfined"], problems);
    let path = root.key("localhostProfile");
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", name) => profile_name(&path, name.unwrap_or_default(), problems),
        (_, Some(_)) => problems.error(&path, "can only be set when AppArmor type is Localhost", "remove it"),
        (_, None) => {}
    }
}

fn profile_name(path: &Path, name: &str, problems: &mut Problems<'_>) {
    if name.trim().is_empty() {
        problems.error(
            path,
            "must be set when AppArmor type is Localhost",
            "name a profile that is loaded on the node",
        );
    } else if name.trim() != name {
        problems.error(path, "must not be padded with whitespace", "");
    }
    if MAX_PROFILE < name.len() {
        problems.error(path, format!("must have at most {MAX_PROFILE} bytes"), "");
    }
    without_nul(path, name, problems);
}

/// `ValidateAppArmorPodAnnotations`, and that nothing else is said by a field: of the two one would be passed over in silence.
pub fn apparmor_annotations(pod: &core::Pod, problems: &mut Problems<'_>) {
    let Some(spec) = &pod.spec else { return };
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    for (key, value) in pod.metadata.annotations.iter().flatten() {
        let Some(name) = key.strip_prefix(APPARMOR) else { continue };
        let path = Path::of("metadata.annotations").key(key);
        let Some(container) = containers().find(|container| container.name == name) else {
            problems.error(&path, "container not found", "end it with the name of a container of the pod");
            continue;
        };
        let said = apparmor_annotation(value);
        match (&said, value.strip_prefix("localhost/")) {
            (_, Some(name)) => profile_name(&path, name, problems),
            (None, None) if !value.is_empty() => problems.error(
                &path,
                format!("invalid AppArmor profile name: {value:?}"),
                "write runtime/default, unconfined, or localhost/ and the name of a profile",
            ),
            _ => {}
        }
        let field = container.security_context.as_ref().and_then(|own| own.app_armor_profile.as_ref());
        if field.is_some_and(|field| said.is_some_and(|said| said != security::apparmor(field))) {
            problems.error(&path, "must match securityContext.appArmorProfile of its container", "remove it");
        }
    }
}

/// The API server takes any name, and containerd leaves out what it does not know: a container would lack what it needs, or
/// keep what it should not have.
fn known(root: &Path, names: &[String], problems: &mut Problems<'_>) {
    for (index, name) in names.iter().enumerate() {
        let called = capability(name);
        if called != ALL_CAPABILITIES && !CAPABILITIES.contains(&called.as_str()) {
            problems.error(
                &root.index(index),
                "is no capability of Linux",
                "write it like NET_ADMIN, or ALL",
            );
        }
    }
}
