//! Who a static pod is: the kubelet's rules (reference A.4), but for the uid.
//!
//! The kubelet's uid hashes the file's path and Go's dump of the defaulted object, so an upgrade restarts every pod.
//! Ours hashes file name, node and the document as it was written, so it changes with what was written alone.

use std::fmt::Write;

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::names::MAX_LABEL;
use crate::spec::Uid;

/// Bytes of the hash that a uid shows: 128 bits, as kubelet's.
const UID_BYTES: usize = 16;

/// Length of a uid.
pub const UID_LENGTH: usize = 2 * UID_BYTES;

/// The uid of the pod that `document` describes: the same for the same file name, node and content, whatever the order
/// of its keys, its comments, or what else is in the file. Another one for each `content`, where that is part of the pod.
pub fn uid(file: &str, node: &str, document: &Value, content: Option<&[u8; 32]>) -> Uid {
    let mut canonical = String::new();
    write_canonical(document, &mut canonical);
    let mut hash = Sha256::new();
    for part in [file, node, &canonical] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(content.map_or(&[][..], |content| content));
    let mut digits = String::with_capacity(UID_LENGTH);
    for byte in hash.finalize().iter().take(UID_BYTES) {
        // Writing into a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    Uid(digits)
}

/// The uid of the node called `node`: the same for as long as it is called so.
pub fn node_uid(node: &str) -> Uid {
    uid("", node, &Value::Null, None)
}

/// JSON without white space, keys in order.
fn write_canonical(value: &Value, into: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            into.push('{');
            for (key, below) in fields {
                into.push_str(&Value::from(key.as_str()).to_string());
                into.push(':');
                write_canonical(below, into);
                into.push(',');
            }
            into.push('}');
        }
        Value::Array(items) => {
            into.push('[');
            for item in items {
                write_canonical(item, into);
                into.push(',');
            }
            into.push(']');
        }
        scalar => into.push_str(&scalar.to_string()),
    }
}

/// The name that a pod, called `name` in its manifest, has on `node`.
pub fn static_name(name: &str, node: &str) -> String {
    format!("{name}-{node}")
}

/// Makes `pod` the static pod of `node`: name, namespace, node, annotations, toleration. `metadata.uid` stays as it was
/// written, for show.
pub fn assign(pod: &mut core::Pod, uid: &Uid, node: &str) {
    let metadata = &mut pod.metadata;
    let name = metadata.name.take().unwrap_or_default();
    metadata.name = Some(static_name(&name, node));
    metadata.namespace.get_or_insert_with(|| "default".to_owned());
    metadata.uid.get_or_insert_with(|| uid.0.clone());
    // What a dump of a pod in a cluster says of its end and its writers is not this pod's.
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.managed_fields = None;
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert("kubernetes.io/config.hash".to_owned(), uid.0.clone());
    annotations.insert("kubernetes.io/config.source".to_owned(), "file".to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node.to_owned());
    let is_ours = |toleration: &core::Toleration| {
        let any_key = toleration.key.as_deref().unwrap_or_default().is_empty();
        any_key && toleration.effect.as_deref() == Some("NoExecute")
    };
    let tolerations = spec.tolerations.get_or_insert_default();
    tolerations.retain(|toleration| !is_ours(toleration));
    tolerations.push(core::Toleration {
        effect: Some("NoExecute".to_owned()),
        operator: Some("Exists".to_owned()),
        ..core::Toleration::default()
    });
}

/// The host name inside (reference D.6): `hostnameOverride`, else `hostname`, else the pod's name; cut to a label.
pub fn hostname(pod: &core::Pod, node: &str) -> String {
    let spec = pod.spec.as_ref();
    let given = |name: fn(&core::PodSpec) -> &Option<String>| {
        spec.and_then(|spec| name(spec).as_deref()).filter(|hostname| !hostname.is_empty())
    };
    let own = given(|spec| &spec.hostname_override).or(given(|spec| &spec.hostname));
    let on_host = spec.and_then(|spec| spec.host_network).unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let wanted = if on_host { node } else { own.unwrap_or(name) };
    let cut = wanted.get(..wanted.len().min(MAX_LABEL)).unwrap_or(wanted);
    cut.trim_end_matches(['-', '.']).to_owned()
}
