//! `env` and `envFrom`: where values come from, or what is wrong with that.

use k8s_openapi::api::core::v1 as core;

use super::problems::Problems;
use super::{downward, names};
use crate::spec::{self, Kind, ValueSource};
use crate::yaml::tree::Path;

/// The variables of `container`; one that a problem refuses is left out.
pub fn env(
    pod: &core::Pod,
    container: &core::Container,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Vec<spec::EnvVar> {
    let mut variables = Vec::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let path = path.index(index);
        let value = variable.value.clone().unwrap_or_default();
        let from = match &variable.value_from {
            None => None,
            Some(_) if !value.is_empty() => {
                problems.error(&path.key("valueFrom"), "must not be there together with value", "keep one");
                continue;
            }
            Some(source) => match value_source(pod, container, source, &path.key("valueFrom"), problems) {
                None => continue,
                from => from,
            },
        };
        variables.push(spec::EnvVar { name: variable.name.clone(), value, from });
    }
    variables
}

fn value_source(
    pod: &core::Pod,
    container: &core::Container,
    source: &core::EnvVarSource,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Option<ValueSource> {
    let core::EnvVarSource {
        field_ref,
        resource_field_ref,
        config_map_key_ref,
        secret_key_ref,
        file_key_ref,
    } = source;
    let given = [
        field_ref.is_some(),
        resource_field_ref.is_some(),
        config_map_key_ref.is_some(),
        secret_key_ref.is_some(),
        file_key_ref.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        let one = "must have one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef";
        problems.error(path, one, "");
        return None;
    }
    if let Some(field) = field_ref {
        return downward::variable(pod, field, &path.key("fieldRef"), problems);
    }
    if let Some(selector) = resource_field_ref {
        return downward::amount(pod, Some(container), selector, &path.key("resourceFieldRef"), problems);
    }
    if let Some(file) = file_key_ref {
        return of_file(pod, file, &path.key("fileKeyRef"), problems);
    }
    let of_map = config_map_key_ref
        .as_ref()
        .map(|it| (Kind::ConfigMap, "configMapKeyRef", &it.name, &it.key, it.optional));
    let of_secret =
        secret_key_ref.as_ref().map(|it| (Kind::Secret, "secretKeyRef", &it.name, &it.key, it.optional));
    let (kind, field, name, key, optional) = of_map.or(of_secret)?;
    let path = path.key(field);
    document_name(kind, name, &path.key("name"), problems);
    complain(&path.key("key"), names::document_key(key), problems);
    let optional = optional.unwrap_or_default();
    Some(ValueSource::Key { kind, name: name.clone(), key: key.clone(), optional })
}

/// 9.12: a file of an emptyDir volume alone.
fn of_file(
    pod: &core::Pod,
    file: &core::FileKeySelector,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Option<ValueSource> {
    let mut volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    match volumes.find(|volume| volume.name == file.volume_name) {
        None => {
            let message = format!("no volume of the pod is called {:?}", file.volume_name);
            problems.error(&path.key("volumeName"), message, "add it under spec.volumes, or check the name");
        }
        Some(volume) if volume.empty_dir.is_none() => {
            problems.error(&path.key("volumeName"), "must name an emptyDir volume", "");
        }
        Some(_) => {}
    }
    complain(&path.key("path"), names::file_path(&file.path), problems);
    complain(&path.key("key"), names::env_name(&file.key), problems);
    Some(ValueSource::File {
        volume: file.volume_name.clone(),
        path: file.path.clone(),
        key: file.key.clone(),
        optional: file.optional.unwrap_or_default(),
    })
}

/// Whole ConfigMaps and Secrets as variables of `container`; one that a problem refuses is left out.
pub fn env_from(container: &core::Container, path: &Path, problems: &mut Problems<'_>) -> Vec<spec::EnvFrom> {
    let mut all = Vec::new();
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        let path = path.index(index);
        let prefix = source.prefix.clone().unwrap_or_default();
        if !prefix.is_empty() {
            complain(&path.key("prefix"), names::env_name(&prefix), problems);
        }
        let of_map = source.config_map_ref.as_ref().map(|it| (Kind::ConfigMap, &it.name, it.optional));
        let of_secret = source.secret_ref.as_ref().map(|it| (Kind::Secret, &it.name, it.optional));
        let (kind, name, optional) = match (of_map, of_secret) {
            (Some(found), None) | (None, Some(found)) => found,
            _ => {
                problems.error(&path, "must have one of configMapRef and secretRef", "");
                continue;
            }
        };
        let field = if kind == Kind::ConfigMap { "configMapRef" } else { "secretRef" };
        document_name(kind, name, &path.key(field).key("name"), problems);
        let optional = optional.unwrap_or_default();
        all.push(spec::EnvFrom { kind, name: name.clone(), prefix, optional });
    }
    all
}

/// Checks what is to be the name of a ConfigMap or Secret.
pub fn document_name(kind: Kind, name: &str, path: &Path, problems: &mut Problems<'_>) {
    match name {
        "" => problems.error(path, format!("must name a {kind}"), ""),
        name => complain(path, names::dns_subdomain(name), problems),
    }
}

/// Reports `complaint`, if there is one.
pub fn complain(path: &Path, complaint: names::Complaint, problems: &mut Problems<'_>) {
    if let Some(message) = complaint {
        problems.error(path, message, "");
    }
}
