//! The API server's validation, for every field that is used; and what the kernel will not take, told before a start.
//!
//! Works on the pod as defaulted and named, so that what is reported is what would have run.

mod container;
mod lifecycle;
mod network;
mod probe;
mod resources;
mod restart;
mod security;
mod volume;

use k8s_openapi::api::core::v1 as core;

use super::identity::UID_LENGTH;
use super::names;
use super::problems::Problems;
use super::sources::complain;
use crate::yaml::tree::Path;

/// Longest of all annotations together, in bytes (`TotalAnnotationSizeLimitB`).
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Longest grace period, in seconds: a year. The API server has no limit, but deadlines must not overflow.
const MAX_GRACE: i64 = 366 * 24 * 3600;

/// Most containers of a pod: what a pod process tells of all of them must fit into one packet
/// (128 KiB). The API server has no limit, and nobody comes near this one.
const MAX_CONTAINERS: usize = 100;

/// Longest name of a file (NAME_MAX). The API server does not ask, and a kubelet fails to start such a pod.
const MAX_FILE_NAME: usize = 255;

/// Checks `pod`, which was defaulted and named.
pub fn pod(pod: &core::Pod, problems: &mut Problems<'_>) {
    metadata(pod, problems);
    let root = Path::of("spec");
    let Some(spec) = &pod.spec else { return };
    if spec.containers.is_empty() {
        problems.error(&root.key("containers"), "must hold at least one container", "");
    }
    let containers = spec.containers.len() + spec.init_containers.iter().flatten().count();
    if MAX_CONTAINERS < containers {
        let message = format!(
            "holds {containers} containers, those of initContainers with them, and must hold no more than {MAX_CONTAINERS}"
        );
        problems.error(&root.key("containers"), message, "make several pods of it");
    }
    one_of(
        &root.key("restartPolicy"),
        spec.restart_policy.as_deref(),
        &["Always", "OnFailure", "Never"],
        problems,
    );
    if !(0..=MAX_GRACE).contains(&spec.termination_grace_period_seconds.unwrap_or_default()) {
        let message = format!("must be between 0 and {MAX_GRACE} seconds");
        problems.error(&root.key("terminationGracePeriodSeconds"), message, "");
    }
    let deadlines = 1..=i64::from(i32::MAX);
    if spec.active_deadline_seconds.is_some_and(|seconds| !deadlines.contains(&seconds)) {
        problems.error(&root.key("activeDeadlineSeconds"), format!("must be between 1 and {}", i32::MAX), "");
    }
    network::check(spec, problems);
    if let Some(class) = spec.priority_class_name.as_deref().filter(|class| !class.is_empty()) {
        complain(&root.key("priorityClassName"), names::dns_subdomain(class), problems);
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        problems.error(
            &root.key("shareProcessNamespace"),
            "must not be true together with hostPID",
            "remove one",
        );
    }
    security::pod(spec, problems);
    security::users(spec, problems);
    resources::of_pod(spec, problems);
    security::apparmor_annotations(pod, problems);
    volume::all(spec, problems);
    container::all(spec, problems);
}

fn metadata(pod: &core::Pod, problems: &mut Problems<'_>) {
    let root = Path::of("metadata");
    let metadata = &pod.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    if let Some(message) = names::dns_subdomain(name) {
        problems.error(
            &root.key("name"),
            message,
            "the node's name is appended to the pod's; choose another name",
        );
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    complain(&root.key("namespace"), names::dns_label(namespace), problems);
    let directory = namespace.len() + name.len() + UID_LENGTH + "__".len();
    if name.len() <= names::MAX_SUBDOMAIN && MAX_FILE_NAME < directory {
        let message = format!(
            "makes the name of the log directory, <namespace>_<name>-<node>_<uid>, {directory} bytes long, and file \
             systems take {MAX_FILE_NAME}"
        );
        let fix = format!("shorten it by {}", directory - MAX_FILE_NAME);
        problems.error(&root.key("name"), message, fix);
    }
    for (key, value) in metadata.labels.iter().flatten() {
        let path = root.key("labels").key(key);
        complain(&path, names::qualified(key), problems);
        complain(&path, names::label_value(value), problems);
    }
    let mut size = 0;
    for (key, value) in metadata.annotations.iter().flatten() {
        size += key.len() + value.len();
        complain(&root.key("annotations").key(key), names::qualified(&key.to_lowercase()), problems);
    }
    if size > MAX_ANNOTATIONS {
        let message = format!("are {size} bytes together, and must be no more than {MAX_ANNOTATIONS}");
        problems.error(&root.key("annotations"), message, "");
    }
}

/// Reports a `value` that is not among `known`.
fn one_of(path: &Path, value: Option<&str>, known: &[&str], problems: &mut Problems<'_>) {
    if value.is_some_and(|value| !known.contains(&value)) {
        let known: Vec<_> = known.iter().filter(|known| !known.is_empty()).copied().collect();
        problems.error(path, format!("must be one of {}", known.join(", ")), "");
    }
}

/// Reports text that no system call can carry.
fn without_nul(path: &Path, text: &str, problems: &mut Problems<'_>) {
    if text.contains('\0') {
        problems.error(path, "must not contain a NUL character", "");
    }
}
