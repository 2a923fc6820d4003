//! What a pod tells of itself: `fieldRef` and `resourceFieldRef` (reference D.1).
//!
//! Works on the pod as defaulted and named. What is known by then becomes text; addresses and what the node has are looked up
//! when a container starts.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use super::problems::Problems;
use super::quantity::Quantity;
use crate::spec::{Address, Allocatable, Resource, ValueSource};
use crate::yaml::tree::Path;

/// Fields that variables may take.
const OF_VARIABLES: &str = "metadata.name, metadata.namespace, metadata.uid, metadata.labels['key'], \
     metadata.annotations['key'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, \
     status.podIPs";

/// Fields that files in volumes may hold.
const OF_FILES: &str = "metadata.name, metadata.namespace, metadata.uid, metadata.labels, metadata.annotations, \
     metadata.labels['key'], metadata.annotations['key']";

/// Divisors of everything but CPU (`validateContainerResourceDivisor`).
const DIVISORS: &[&str] =
    &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// The field of `pod` that a variable takes; `None` where a problem refuses it.
pub fn variable(
    pod: &core::Pod,
    field: &core::ObjectFieldSelector,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Option<ValueSource> {
    let spec = pod.spec.as_ref();
    let of_spec = |value: Option<&String>| Some(ValueSource::Text(value.cloned().unwrap_or_default()));
    let found = match field.field_path.as_str() {
        "spec.nodeName" => of_spec(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => of_spec(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.hostIP" => Some(ValueSource::Address(Address::HostIp)),
        "status.hostIPs" => Some(ValueSource::Address(Address::HostIps)),
        "status.podIP" => Some(ValueSource::Address(Address::PodIp)),
        "status.podIPs" => Some(ValueSource::Address(Address::PodIps)),
        other => metadata(pod, other),
    };
    checked(field, found, OF_VARIABLES, path, problems)
}

/// The field of `pod` that a file in a volume holds; `None` where a problem refuses it.
pub fn file(
    pod: &core::Pod,
    field: &core::ObjectFieldSelector,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Option<ValueSource> {
    let found = match field.field_path.as_str() {
        "metadata.labels" => Some(ValueSource::Text(lines(pod.metadata.labels.as_ref()))),
        "metadata.annotations" => Some(ValueSource::Text(lines(pod.metadata.annotations.as_ref()))),
        other => metadata(pod, other),
    };
    checked(field, found, OF_FILES, path, problems)
}

fn checked(
    field: &core::ObjectFieldSelector,
    found: Option<ValueSource>,
    known: &str,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Option<ValueSource> {
    if field.api_version.as_deref().is_some_and(|version| !version.is_empty() && version != "v1") {
        problems.error(&path.key("apiVersion"), "must be v1", "remove it");
    }
    if found.is_none() {
        problems.error(&path.key("fieldPath"), format!("must be one of {known}"), "");
    }
    found
}

/// A field of the metadata, or one key of its labels or annotations; an absent key is empty.
fn metadata(pod: &core::Pod, path: &str) -> Option<ValueSource> {
    let metadata = &pod.metadata;
    let text = |value: Option<&String>| Some(ValueSource::Text(value.cloned().unwrap_or_default()));
    let key = |map: &str| path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']");
    match path {
        "metadata.name" => text(metadata.name.as_ref()),
        "metadata.namespace" => text(metadata.namespace.as_ref()),
        "metadata.uid" => text(metadata.uid.as_ref()),
        _ => match (key("metadata.labels"), key("metadata.annotations")) {
            (Some(key), _) => text(metadata.labels.as_ref().and_then(|labels| labels.get(key))),
            (None, Some(key)) => text(metadata.annotations.as_ref().and_then(|all| all.get(key))),
            (None, None) => None,
        },
    }
}

/// `key="value"`, a line each, by key: kubelet's `FormatMap`.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={}", quoted(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// As Go's `%q`.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..' ' | '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ if letter.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

/// An amount of the resources of a container of `pod`, of `own` where none is named; `None` where a problem refuses it.
pub fn amount(
    pod: &core::Pod,
    own: Option<&core::Container>,
    selector: &core::ResourceFieldSelector,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Option<ValueSource> {
    let name = selector.container_name.as_deref().filter(|name| !name.is_empty());
    let containers =
        pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let container = match name {
        Some(name) => containers.into_iter().find(|container| container.name == name),
        None => own,
    };
    let divisor = divisor(selector, path, problems);
    let known = kind(&selector.resource);
    if known.is_none() {
        let message = "must be limits or requests of cpu, memory, ephemeral-storage or hugepages-<size>";
        problems.error(&path.key("resource"), message, "write one like limits.memory");
    }
    let Some(container) = container else {
        let message = match name {
            Some(name) => format!("no container of the pod is called {name:?}"),
            None => "is missing: a volume must say whose resources".to_owned(),
        };
        problems.error(&path.key("containerName"), message, "");
        return None;
    };
    let (is_limit, resource) = known?;
    let name = selector.resource.split_once('.')?.1;
    let of = |resources: Option<&core::ResourceRequirements>| {
        let all = resources?;
        let amounts = if is_limit { all.limits.as_ref() } else { all.requests.as_ref() };
        Quantity::parse(&amounts?.get(name)?.0).filter(|amount| amount.milli() != 0)
    };
    // What binds a container without a limit is its pod's.
    let own = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()).filter(|_| is_limit);
    let written = of(container.resources.as_ref()).or_else(|| of(own)).unwrap_or(Quantity::ZERO);
    let divisor = in_units(resource, divisor?).max(1);
    Some(match (resource, in_units(resource, written)) {
        (Some(resource), 0) if is_limit => ValueSource::Allocatable(Allocatable { resource, divisor }),
        (_, amount) => ValueSource::Text(amount.div_ceil(divisor).to_string()),
    })
}

/// Whether it is a limit, and of what; the latter is absent for huge pages, of which a node gives none unasked.
fn kind(resource: &str) -> Option<(bool, Option<Resource>)> {
    let (kind, resource) = resource.split_once('.')?;
    let is_limit = match kind {
        "limits" => true,
        "requests" => false,
        _ => return None,
    };
    let resource = match resource {
        "cpu" => Some(Resource::Cpu),
        "memory" => Some(Resource::Memory),
        "ephemeral-storage" => Some(Resource::EphemeralStorage),
        _ if resource.starts_with("hugepages-") => None,
        _ => return None,
    };
    Some((is_limit, resource))
}

/// Thousandths of a CPU, else whole ones, rounded up.
fn in_units(resource: Option<Resource>, quantity: Quantity) -> u64 {
    match resource {
        Some(Resource::Cpu) => quantity.millicores().0,
        _ => quantity.bytes().0,
    }
}

fn divisor(
    selector: &core::ResourceFieldSelector,
    path: &Path,
    problems: &mut Problems<'_>,
) -> Option<Quantity> {
    let written = selector.divisor.as_ref().map_or("1", |divisor| divisor.0.as_str());
    let read = Quantity::parse(written);
    let is = |known: &&str| read.map(Quantity::milli) == Quantity::parse(known).map(Quantity::milli);
    let of_cpu = selector.resource.ends_with(".cpu");
    let known: &[&str] = if of_cpu { &["1", "1m"] } else { DIVISORS };
    if read.map(Quantity::milli) == Some(0) {
        return Quantity::parse("1");
    }
    if !known.iter().any(is) {
        problems.error(&path.key("divisor"), format!("must be one of {}", known.join(", ")), "");
        return None;
    }
    read
}

#[cfg(test)]
mod tests;
