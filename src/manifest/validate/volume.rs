//! Volumes and where they are mounted.

use std::collections::HashSet;

use k8s_openapi::api::core::v1 as core;

use super::{complain, container, names, one_of, resources, without_nul};
use crate::manifest::problems::Problems;
use crate::manifest::totals;
use crate::yaml::tree::Path;

/// `hostPath.type` (reference D.7).
const HOST_PATH_TYPES: &[&str] =
    &["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

/// Checks the volumes of `spec`.
pub fn all(spec: &core::PodSpec, problems: &mut Problems<'_>) {
    let root = Path::of("spec.volumes");
    let mut seen = HashSet::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = root.index(index);
        complain(&path.key("name"), names::dns_label(&volume.name), problems);
        if !seen.insert(&volume.name) {
            let message = format!("another volume is called {:?} already", volume.name);
            problems.error(&path.key("name"), message, "give each its own name");
        }
        if let Some(empty) = &volume.empty_dir {
            let path = path.key("emptyDir");
            let huge = empty.medium.as_deref().filter(|medium| medium.starts_with(totals::MEDIUM));
            match huge {
                None => one_of(&path.key("medium"), empty.medium.as_deref(), &["", "Memory"], problems),
                Some(medium) if totals::page_of(medium, Some(spec)).is_none() => {
                    let message =
                        "must be of pages that the pod may use, and say of which where these are several";
                    let fix = "give a container a limit such as hugepages-2Mi, and write HugePages-2Mi";
                    problems.error(&path.key("medium"), message, fix);
                }
                Some(_) => {}
            }
            if let Some(limit) = &empty.size_limit {
                resources::amount(limit, &path.key("sizeLimit"), problems);
            }
        }
        if let Some(image) = &volume.image {
            let path = path.key("image");
            container::named(&path.key("reference"), image.reference.as_deref(), problems);
            container::policy(&path.key("pullPolicy"), image.pull_policy.as_deref(), problems);
        }
        if let Some(host) = &volume.host_path {
            let path = path.key("hostPath");
            if !host.path.starts_with('/') {
                problems.error(&path.key("path"), "must be an absolute path", "begin it with '/'");
            }
            if host.path.split('/').any(|part| part == "..") {
                problems.error(&path.key("path"), "must not contain '..'", "");
            }
            without_nul(&path.key("path"), &host.path, problems);
            one_of(&path.key("type"), host.type_.as_deref(), HOST_PATH_TYPES, problems);
        }
    }
}

/// Checks where `container` mounts volumes of `spec`.
pub fn mounts(container: &core::Container, spec: &core::PodSpec, root: &Path, problems: &mut Problems<'_>) {
    let volumes: HashSet<&str> = spec.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    let mut seen = HashSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = root.index(index);
        if !volumes.contains(mount.name.as_str()) {
            let message = format!("no volume of the pod is called {:?}", mount.name);
            problems.error(&path.key("name"), message, "add it under spec.volumes, or check the name");
        }
        let of_image = |volume: &&core::Volume| volume.name == mount.name && volume.image.is_some();
        if mount.read_only == Some(false) && spec.volumes.iter().flatten().any(|volume| of_image(&volume)) {
            let path = path.key("readOnly");
            problems.warning(&path, "has no effect: nobody writes to an image", "remove it");
        }
        sub_path(mount, &path, problems);
        propagation(mount, &path, problems);
        let (path, target) = (path.key("mountPath"), mount.mount_path.as_str());
        let place = target.trim_end_matches('/');
        if !target.starts_with('/') {
            problems.error(&path, "must be an absolute path", "begin it with '/'");
        } else if place.is_empty() {
            problems.error(&path, "must not be '/'", "mount it at a directory below");
        }
        if target.contains(':') {
            problems.error(&path, "must not contain ':'", "");
        }
        if !seen.insert(place) && !place.is_empty() {
            problems.error(&path, format!("another volume is mounted at {place:?} already"), "");
        }
        without_nul(&path, target, problems);
    }
}

/// Checks which part of its volume `mount` names.
fn sub_path(mount: &core::VolumeMount, root: &Path, problems: &mut Problems<'_>) {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (plain, expression) = (given(&mount.sub_path), given(&mount.sub_path_expr));
    if plain.is_some() && expression.is_some() {
        let path = root.key("subPathExpr");
        problems.error(&path, "must not be there together with subPath", "keep one of them");
    }
    for (field, text) in [("subPath", plain), ("subPathExpr", expression)] {
        let (path, text) = (root.key(field), text.unwrap_or_default());
        if text.starts_with('/') {
            problems.error(&path, "must be a relative path", "write it as seen from the volume");
        }
        if text.split('/').any(|part| part == "..") {
            problems.error(&path, "must not contain '..'", "");
        }
        without_nul(&path, &text, problems);
    }
}

/// Checks how `mount` behaves to mounts below it.
fn propagation(mount: &core::VolumeMount, root: &Path, problems: &mut Problems<'_>) {
    let path = root.key("mountPropagation");
    let propagation = mount.mount_propagation.as_deref();
    one_of(&path, propagation, &["None", "HostToContainer", "Bidirectional"], problems);
    let path = root.key("recursiveReadOnly");
    let recursive = mount.recursive_read_only.as_deref();
    one_of(&path, recursive, &["Disabled", "Enabled", "IfPossible"], problems);
    if recursive.is_none_or(|recursive| recursive == "Disabled") {
        return;
    }
    if mount.read_only != Some(true) {
        problems.error(&path, "may only be specified when readOnly is true", "set readOnly: true");
    }
    if propagation.is_some_and(|propagation| propagation != "None") {
        problems.error(&path, "may only be specified when mountPropagation is None or not specified", "");
    }
}
