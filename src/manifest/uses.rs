//! Which ConfigMaps and Secrets a pod names, and where.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::spec::{Documents, Kind, Pod, Projection, Role, ValueSource, VolumeSource};
use crate::yaml::tree::{Node, Path, Position};

/// A ConfigMap or Secret that a pod names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Which of them.
    pub kind: Kind,
    /// Its name; its namespace is the pod's.
    pub name: String,
    /// Keys of it that the pod names.
    pub keys: Vec<String>,
    /// Whether the pod does without it.
    pub optional: bool,
    /// Where the name stands.
    pub at: Position,
    /// The field with the name.
    pub path: Path,
}

/// The annotation of a Pod by which it is started anew when something that it names has other content.
pub const RESTART: &str = "holdfast.io/restart-on-config-change";

/// Every use in `pod`, which the document at `node` describes.
pub fn of(pod: &Pod, node: &Node) -> Vec<Use> {
    let mut found = Vec::new();
    let mut add = |kind, name: &str, keys: Vec<String>, optional, path: Path| {
        let at = node.locate(&path);
        found.push(Use { kind, name: name.to_owned(), keys, optional, at, path });
    };
    let inits = pod.containers.iter().filter(|container| container.role != Role::Regular).count();
    for (index, container) in pod.containers.iter().enumerate() {
        let path = match index.checked_sub(inits) {
            Some(index) => Path::of("spec.containers").index(index),
            None => Path::of("spec.initContainers").index(index),
        };
        for (index, from) in container.env_from.iter().enumerate() {
            let path = path.key("envFrom").index(index).key(field(from.kind, "configMapRef", "secretRef"));
            add(from.kind, &from.name, Vec::new(), from.optional, path.key("name"));
        }
        for (index, variable) in container.env.iter().enumerate() {
            let Some(ValueSource::Key { kind, name, key, optional }) = &variable.from else { continue };
            let path = path.key("env").index(index).key("valueFrom");
            let path = path.key(field(*kind, "configMapKeyRef", "secretKeyRef")).key("name");
            add(*kind, name, vec![key.clone()], *optional, path);
        }
    }
    let projected = |index: usize| {
        let volumes = node.get("spec").and_then(|spec| spec.get("volumes")?.items());
        volumes.and_then(|volumes| volumes.get(index)).is_some_and(|it| it.get("projected").is_some())
    };
    for (volume, index) in pod.volumes.iter().zip(0..) {
        let VolumeSource::Projected(sources) = &volume.source else { continue };
        let path = Path::of("spec.volumes").index(index);
        for (number, source) in sources.iter().enumerate() {
            let Projection::Document { kind, name, optional, items, .. } = source else { continue };
            let path = match projected(index) {
                true => {
                    let path = path.key("projected").key("sources").index(number);
                    path.key(field(*kind, "configMap", "secret")).key("name")
                }
                false => {
                    path.key(field(*kind, "configMap", "secret")).key(field(*kind, "name", "secretName"))
                }
            };
            add(*kind, name, items.iter().map(|item| item.key.clone()).collect(), *optional, path);
        }
    }
    found
}

fn field(kind: Kind, of_map: &'static str, of_secret: &'static str) -> &'static str {
    match kind {
        Kind::ConfigMap => of_map,
        Kind::Secret => of_secret,
    }
}

/// What the annotation [`RESTART`] of the Pod `document` says; `Err` for a word that says neither.
pub fn restarts(document: &Json) -> Result<bool, ()> {
    match &document["metadata"]["annotations"][RESTART] {
        Json::Null => Ok(false),
        value => match value.as_str() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(()),
        },
    }
}

/// What `uses` of a pod of `namespace` hold among `documents`, as a number.
pub fn digest(uses: &[Use], namespace: &str, documents: &Documents) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for wanted in uses {
        part(wanted.kind.lower().as_bytes());
        part(wanted.name.as_bytes());
        match documents.get(wanted.kind, namespace, &wanted.name) {
            None => part(b"absent"),
            Some(document) => {
                for (field, values) in [("data", &document.data), ("binary", &document.binary)] {
                    part(field.as_bytes());
                    for (key, value) in values {
                        part(key.as_bytes());
                        part(&value.0);
                    }
                }
            }
        }
    }
    hash.finalize().into()
}

impl Use {
    /// What is missing of it among `documents` for a pod of `namespace`, and what to do.
    pub fn missing(&self, namespace: &str, documents: &Documents) -> Option<(String, String)> {
        if self.optional {
            return None;
        }
        let Use { kind, name, .. } = self;
        let Some(document) = documents.get(*kind, namespace, name) else {
            let fix = format!(
                "write the {kind} into this file or another one beside it; until it is there, the pod waits"
            );
            return Some((format!("there is no {kind} {namespace}/{name}"), fix));
        };
        let has = |key: &&String| document.data.contains_key(*key) || document.binary.contains_key(*key);
        let key = self.keys.iter().find(|key| !has(key))?;
        let message = format!("the {kind} {namespace}/{name} has no key {key:?}");
        Some((message, format!("add it to {}; until it is there, the pod waits", document.origin)))
    }
}
