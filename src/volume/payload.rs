//! What files a volume of values has; nothing is written here.

use std::collections::BTreeMap;

use crate::api::Amounts;
use crate::bundle;
use crate::spec::{Document, Documents, DownwardFile, Item, Kind, Pod, Projection, Value, ValueSource};

/// Files by path, each with its mode. Of two with one path the later counts.
pub type Payload = BTreeMap<String, (u32, Value)>;

/// What volumes of values are made of.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// All ConfigMaps and Secrets.
    pub documents: &'a Documents,
    /// What the node has for pods.
    pub allocatable: Amounts,
    /// Whether what is written to the runtime directory stays in memory.
    pub in_memory: bool,
}

/// The files of a volume of `pod` that `sources` make.
///
/// # Errors
/// In the kubelet's words, what is not there and not optional, and which file would cure that.
pub fn payload(pod: &Pod, sources: &[Projection], contents: &Contents<'_>) -> Result<Payload, String> {
    let mut payload = Payload::new();
    for source in sources {
        match source {
            Projection::Downward(files) => {
                for file in files {
                    payload.insert(file.path.clone(), (file.mode, downward(file, contents)?));
                }
            }
            Projection::Document { kind, name, optional, items, mode } => {
                let found = contents.documents.find(*kind, &pod.namespace, name, *optional, &pod.origin)?;
                let Some(document) = found else { continue };
                match items.is_empty() {
                    true => {
                        let all = document.data.iter().chain(&document.binary);
                        payload.extend(all.map(|(key, value)| (key.clone(), (*mode, value.clone()))));
                    }
                    false => chosen(document, items, *optional, &mut payload)?,
                }
            }
        }
    }
    Ok(payload)
}

fn chosen(document: &Document, items: &[Item], optional: bool, payload: &mut Payload) -> Result<(), String> {
    for Item { key, path, mode } in items {
        match document.data.get(key).or_else(|| document.binary.get(key)) {
            Some(value) => drop(payload.insert(path.clone(), (*mode, value.clone()))),
            None if optional => {}
            None => {
                let Document { kind, namespace, name, origin, .. } = document;
                let word = if *kind == Kind::ConfigMap { "config" } else { "secret" };
                return Err(format!(
                    "references non-existent {word} key: {key}; add it to the {kind} {namespace}/{name} in {origin}"
                ));
            }
        }
    }
    Ok(())
}

fn downward(file: &DownwardFile, contents: &Contents<'_>) -> Result<Value, String> {
    match &file.source {
        ValueSource::Text(text) => Ok(Value(text.clone().into_bytes())),
        ValueSource::Allocatable(asked) => {
            Ok(Value(bundle::divided(contents.allocatable, *asked).into_bytes()))
        }
        other => Err(format!("file {:?} cannot hold {other:?}", file.path)),
    }
}

#[cfg(test)]
mod tests;
