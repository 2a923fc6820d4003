//! ConfigMaps and Secrets that lie beside the pods.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What keeps values for pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the kind of its name")]
pub enum Kind {
    ConfigMap,
    Secret,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Kind {
    /// As the kubelet writes it: small letters only.
    pub fn lower(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmap",
            Kind::Secret => "secret",
        }
    }
}

/// A value, which may be secret: it has no `Display`, and its `Debug` tells its length only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value(pub Vec<u8>);

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// One ConfigMap or Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which of them.
    pub kind: Kind,
    /// `metadata.namespace`, `default` where there is none.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Path of the manifest file that it is in.
    pub origin: String,
    /// Values by key: `data`, and what a Secret has under `stringData`.
    pub data: BTreeMap<String, Value>,
    /// `binaryData` of a ConfigMap: for files, never for variables.
    pub binary: BTreeMap<String, Value>,
}

/// Kind, namespace, name: what there is only one of.
pub type DocumentName = (Kind, String, String);

impl Document {
    /// What there is only one of.
    pub fn full_name(&self) -> DocumentName {
        (self.kind, self.namespace.clone(), self.name.clone())
    }
}

#[cfg(test)]
impl Document {
    /// For tests: one of namespace `default`, in the file `/m/NAME.yaml`.
    pub fn example(kind: Kind, name: &str, data: &[(&str, &[u8])]) -> Document {
        let value = |(key, value): &(&str, &[u8])| ((*key).to_owned(), Value(value.to_vec()));
        Document {
            kind,
            namespace: "default".into(),
            name: name.into(),
            origin: format!("/m/{name}.yaml"),
            data: data.iter().map(value).collect(),
            binary: BTreeMap::new(),
        }
    }
}

/// All ConfigMaps and Secrets of the manifests directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents(BTreeMap<DocumentName, Arc<Document>>);

impl FromIterator<Arc<Document>> for Documents {
    /// Of two with the same name the first counts.
    fn from_iter<I: IntoIterator<Item = Arc<Document>>>(all: I) -> Documents {
        let mut found = BTreeMap::new();
        for document in all {
            found.entry(document.full_name()).or_insert(document);
        }
        Documents(found)
    }
}

impl Documents {
    /// The one of this kind, namespace and name.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Document> {
        self.0.get(&(kind, namespace.to_owned(), name.to_owned())).map(|found| &**found)
    }

    /// Every one, by kind, namespace and name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.0.values()
    }

    /// As [`Documents::get`], for a pod whose file is `origin`; `None` only where it is `optional`.
    ///
    /// # Errors
    /// In the kubelet's words, that there is none, and which file would cure that.
    pub fn find(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        optional: bool,
        origin: &str,
    ) -> Result<Option<&Document>, String> {
        let found = self.get(kind, namespace, name);
        if found.is_some() || optional {
            return Ok(found);
        }
        let directory = origin.rsplit_once('/').map_or(".", |(directory, _)| directory);
        let elsewhere = self.0.values().find(|other| other.kind == kind && other.name == name);
        let cure = match elsewhere {
            Some(other) => format!(
                "{} holds one of namespace {}, and the pod is of namespace {namespace}",
                other.origin, other.namespace
            ),
            None => format!(
                "write the {kind} {name} of namespace {namespace} into {origin}, or into a file of its own in {directory}"
            ),
        };
        Err(format!("{} {name:?} not found; {cure}", kind.lower()))
    }
}
