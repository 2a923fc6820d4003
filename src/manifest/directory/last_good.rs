//! ConfigMaps and Secrets as they last were when they were right, for the next agent.
//!
//! Pods have theirs with each of them (`spec.json`). These have values, so whoever keeps this keeps secrets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Directory;
use crate::manifest::documents;
use crate::manifest::problems::Problems;
use crate::spec::Kind;
use crate::yaml::tree::{Node, Position, Scalar};

/// A document and the file that it was in.
#[derive(Serialize, Deserialize)]
struct Copy {
    file: String,
    object: Json,
}

impl Directory {
    /// A copy of the ConfigMaps and Secrets that `keep` is true of, for [`Directory::remember_documents`].
    pub fn last_good(&self, keep: impl Fn(Kind) -> bool) -> Vec<u8> {
        let all = self.files.iter();
        let all =
            all.flat_map(|(file, entry)| entry.documents.iter().map(move |held| (file, &held.document)));
        let kept = all.filter(|(_, document)| keep(document.kind));
        let copies = kept.map(|(file, it)| Copy { file: file.clone(), object: documents::write(it) });
        serde_json::to_vec(&copies.collect::<Vec<_>>()).expect("plain data, with strings for keys")
    }

    /// Takes what an earlier agent's directory held as what its files last held when they were right. To be told before the
    /// first [`set`](Directory::set).
    ///
    /// # Errors
    /// What cannot be read of it is left out, and the first such is told.
    pub fn remember_documents(&mut self, copy: &[u8]) -> Result<(), String> {
        // An error of serde may quote what it found, which may be secret.
        let copies: Vec<Copy> =
            serde_json::from_slice(copy).map_err(|_| "is no list of documents".to_owned())?;
        let nowhere = Node::scalar(Position::START, Scalar::Null);
        let mut wrong = Ok(());
        for Copy { file, object } in copies {
            let kind = if object["kind"] == "Secret" { Kind::Secret } else { Kind::ConfigMap };
            let mut problems = Problems::new(&nowhere);
            match documents::read(&object, kind, &self.context.path_of(&file), &mut problems) {
                Some(document) => {
                    self.files.entry(file).or_default().remember_document(Arc::new(document));
                }
                None => wrong = wrong.and(Err(format!("what it holds of {file} is wrong"))),
            }
        }
        wrong
    }
}
