//! Volumes, in kubectl's words.

use serde_json::Value;

use super::page::Page;
use crate::cli::field::{holds, list, pairs, text};

/// What kubectl says of a kind of volume: its type, and the labels and places of its fields, in order.
type Words = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Kinds whose fields are shown as they stand. Those that Kubernetes gave up, and that no node can mount any more, are
/// told by their name alone.
const KINDS: &[Words] = &[
    (
        "hostPath",
        "HostPath (bare host directory volume)",
        &[("Path", "path"), ("HostPathType", "type?<none>")],
    ),
    (
        "emptyDir",
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        &[("Medium", "medium"), ("SizeLimit", "sizeLimit?<unset>")],
    ),
    (
        "secret",
        "Secret (a volume populated by a Secret)",
        &[("SecretName", "secretName"), ("Optional", "optional?false")],
    ),
    (
        "configMap",
        "ConfigMap (a volume populated by a ConfigMap)",
        &[("Name", "name"), ("Optional", "optional?false")],
    ),
    (
        "nfs",
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        &[("Server", "server"), ("Path", "path"), ("ReadOnly", "readOnly?false")],
    ),
    (
        "persistentVolumeClaim",
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        &[("ClaimName", "claimName"), ("ReadOnly", "readOnly?false")],
    ),
    (
        "csi",
        "CSI (a Container Storage Interface (CSI) volume source)",
        &[("Driver", "driver"), ("FSType", "fsType"), ("ReadOnly", "readOnly?false")],
    ),
    (
        "image",
        "Image (a container image or OCI artifact)",
        &[("Reference", "reference"), ("PullPolicy", "pullPolicy")],
    ),
    ("projected", "Projected (a volume that contains injected data from multiple sources)", &[]),
    ("downwardAPI", "DownwardAPI (a volume populated by information about the pod)", &[]),
    (
        "ephemeral",
        "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
        &[],
    ),
];

/// Writes the volumes of the pod `object`.
pub fn volumes(page: &mut Page, object: &Value) {
    let volumes = list(object, "/spec/volumes");
    if volumes.is_empty() {
        page.row(0, "Volumes", "<none>");
        return;
    }
    page.line(0, "Volumes:");
    volumes.iter().for_each(|one| volume(page, one));
}

fn volume(page: &mut Page, volume: &Value) {
    page.line(1, &format!("{}:", text(volume, "/name")));
    let known = KINDS.iter().find(|(kind, _, _)| volume.get(kind).is_some_and(Value::is_object));
    let Some((kind, words, fields)) = known else {
        let kinds = volume.as_object().into_iter().flat_map(|volume| volume.keys());
        let kind = kinds.map(String::as_str).find(|kind| *kind != "name");
        return page.row(2, "Type", kind.unwrap_or("<unknown>"));
    };
    let source = &volume[kind];
    page.row(2, "Type", words);
    for (label, field) in *fields {
        page.row(2, label, &shown(source, field));
    }
    match *kind {
        "csi" => {
            let attributes = pairs(source, "/volumeAttributes");
            let lines = attributes.iter().map(|(key, value)| format!("{key}={value}"));
            page.rows(2, "VolumeAttributes", lines.collect());
        }
        "downwardAPI" => {
            page.line(2, "Items:");
            list(source, "/items").iter().for_each(|item| downward(page, item));
        }
        "projected" => list(source, "/sources").iter().for_each(|source| projected(page, source)),
        _ => {}
    }
}

/// The field, or what follows its `?` where it is not there.
fn shown(source: &Value, field: &str) -> String {
    let (name, otherwise) = field.split_once('?').unwrap_or((field, ""));
    match source.get(name) {
        None | Some(Value::Null) => otherwise.to_string(),
        // No limit at all, to Kubernetes.
        Some(Value::String(none)) if name == "sizeLimit" && none == "0" => otherwise.to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn downward(page: &mut Page, item: &Value) {
    let from = match text(item, "/fieldRef/fieldPath") {
        "" => text(item, "/resourceFieldRef/resource"),
        path => path,
    };
    page.line(3, &format!("{from} -> {}", text(item, "/path")));
}

fn projected(page: &mut Page, source: &Value) {
    let optional = |reference: &Value| holds(reference, "/optional").to_string();
    if let Some(secret) = source.get("secret") {
        page.row(2, "SecretName", text(secret, "/name"));
        page.row(2, "Optional", &optional(secret));
    } else if source.get("downwardAPI").is_some() {
        page.row(2, "DownwardAPI", "true");
    } else if let Some(map) = source.get("configMap") {
        page.row(2, "ConfigMapName", text(map, "/name"));
        page.row(2, "Optional", &optional(map));
    } else if let Some(token) = source.get("serviceAccountToken") {
        page.row(2, "TokenExpirationSeconds", &shown(token, "expirationSeconds?3600"));
    }
}
