//! What a document is: a Pod, a list of objects, something that is kept for pods, or something that is refused.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::names;
use super::problems::Problems;
use super::tree::{Node, Path};
use super::{Context, Reading, decode, identity, pod};

/// Adds what `node` holds to `reading`. `file` is the name of the file it came from.
pub fn read(node: &Node, file: &str, context: &Context, reading: &mut Reading) {
    read_as(node, None, file, context, reading);
}

/// As [`read`]; `of_list` says what an object is that leaves it out, as the items of a PodList do.
fn read_as(node: &Node, of_list: Option<&str>, file: &str, context: &Context, reading: &mut Reading) {
    let mut problems = Problems::new(node);
    let Some((version, kind)) = kind_of(node, of_list, &mut problems) else {
        return refuse(node, problems, context, reading);
    };
    match (version, kind) {
        ("v1", "List" | "PodList" | "ConfigMapList" | "SecretList") => {
            return list(node, kind, file, context, problems, reading);
        }
        ("v1", "Pod") => {
            let read = pod::read(&node.to_json(), file, context, &mut problems);
            match read {
                Some(pod) if reading.pods.iter().any(|other| other.full_name() == pod.full_name()) => {
                    let message =
                        format!("the pod {} is in this file already; the first one runs", pod.full_name());
                    problems.error(&Path::of("metadata.name"), message, "give each its own name");
                }
                Some(pod) => {
                    reading.pods.push(pod);
                    reading.places.push(node.locate(&Path::of("metadata.name")));
                }
                None => {}
            }
        }
        ("v1", "ConfigMap") => {
            let map: Option<core::ConfigMap> = kept(&node.to_json(), &mut problems);
            reading.config_maps.extend(map.map(Arc::new));
        }
        ("v1", "Secret") => {
            let secret: Option<core::Secret> = kept(&node.to_json(), &mut problems);
            reading.secrets.extend(secret.map(Arc::new));
        }
        _ => {
            let (message, fix) = other_kind(version, kind);
            problems.error(&Path::of("kind"), message, fix);
        }
    }
    if problems.refuse() {
        refuse(node, problems, context, reading);
    } else {
        reading.problems.extend(problems.finish());
    }
}

/// `apiVersion` and `kind` of `node`, or plain words about what is missing.
fn kind_of<'a>(
    node: &'a Node,
    of_list: Option<&'a str>,
    problems: &mut Problems<'_>,
) -> Option<(&'a str, &'a str)> {
    let field = |name: &str| node.get(name).and_then(|value| value.text()).filter(|text| !text.is_empty());
    if !matches!(node.content, super::tree::Content::Map(_)) {
        problems.error(&Path::root(), "is no Kubernetes object", "begin with apiVersion: v1 and kind: Pod");
        return None;
    }
    let version = field("apiVersion").or(of_list.map(|_| "v1"));
    let kind = field("kind").or(of_list);
    if version.is_none() {
        problems.error(&Path::of("apiVersion"), "is missing", "add apiVersion: v1");
    }
    if kind.is_none() {
        problems.error(&Path::of("kind"), "is missing", "add kind: Pod");
    }
    version.zip(kind)
}

fn list(
    node: &Node,
    kind: &str,
    file: &str,
    context: &Context,
    mut problems: Problems<'_>,
    reading: &mut Reading,
) {
    let of_list = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
    match node.get("items") {
        None => {}
        Some(items) if items.is_null() => {}
        Some(items) => match items.items() {
            Some(items) => items.iter().for_each(|item| read_as(item, of_list, file, context, reading)),
            None => problems.error(&Path::of("items"), "must be a list", "begin each item with '- '"),
        },
    }
    if problems.refuse() {
        return refuse(node, problems, context, reading);
    }
    reading.problems.extend(problems.finish());
}

/// A ConfigMap or Secret: decoded, and its name good for an object.
fn kept<T>(document: &Value, problems: &mut Problems<'_>) -> Option<T>
where
    T: serde::de::DeserializeOwned,
{
    let metadata = &document["metadata"];
    let path = Path::of("metadata.name");
    match metadata["name"].as_str() {
        None | Some("") => problems.error(&path, "is missing", "add one"),
        Some(name) => {
            if let Some(message) = names::dns_subdomain(name) {
                problems.error(&path, message, "");
            }
        }
    }
    if let Some(message) = metadata["namespace"].as_str().and_then(names::dns_label) {
        problems.error(&Path::of("metadata.namespace"), message, "");
    }
    decode::decode(document, problems).filter(|_| !problems.refuse())
}

/// Files the problems, and remembers whose they are, so that what ran of it before may go on.
fn refuse(node: &Node, problems: Problems<'_>, context: &Context, reading: &mut Reading) {
    reading.problems.extend(problems.finish());
    let metadata = |field: &str| node.get("metadata").and_then(|metadata| metadata.get(field)?.text());
    match metadata("name").filter(|name| !name.is_empty()) {
        Some(name) => {
            let namespace =
                metadata("namespace").filter(|namespace| !namespace.is_empty()).unwrap_or("default");
            let name = identity::static_name(name, &context.node());
            reading.refused.push(format!("{namespace}/{name}"));
        }
        None => reading.unknown_refused = true,
    }
}

/// Why another kind is refused, and what to do instead.
fn other_kind(version: &str, kind: &str) -> (String, String) {
    let template = "copy spec.template into a Pod: its metadata, with a name added, and its spec";
    let fix = match kind {
        "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" => {
            format!("{template}; for several replicas write several Pods")
        }
        "DaemonSet" | "PodTemplate" => template.to_owned(),
        "Job" => format!("{template}, with restartPolicy: OnFailure"),
        "CronJob" => {
            "copy spec.jobTemplate.spec.template into a Pod and start it by a timer of the host".to_owned()
        }
        "Service" => "use hostNetwork: true in the Pod and reach it at the node's address".to_owned(),
        "Ingress" => "run the proxy as a Pod of its own with hostNetwork: true".to_owned(),
        "Namespace" => "remove it: a namespace exists by being named in metadata.namespace".to_owned(),
        "PersistentVolume" | "PersistentVolumeClaim" => "use a hostPath volume in the Pod".to_owned(),
        "KubeletConfiguration" => {
            "move it to another directory: it configures the agent, it is no object".to_owned()
        }
        "Pod" | "ConfigMap" | "Secret" | "List" | "PodList" => {
            return (
                format!("is a {kind} of apiVersion {version:?}, which is unknown"),
                "write apiVersion: v1".to_owned(),
            );
        }
        _ => "remove it".to_owned(),
    };
    (format!("is {kind:?}: this agent runs Pods only"), fix)
}
