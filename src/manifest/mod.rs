//! Bytes of manifest files in; wanted pods, kept objects and problems out. Pure.
//!
//! The way of a file: [`crate::yaml`] makes a tree that knows positions, [`object`] tells what each document is, [`pod`] takes a
//! Pod through `decode`, `fields` (what is refused or warned about), `identity`, `defaults` and `validate` to plain data.
//! [`Directory`] holds what became of each file of the manifests directory.
//!
//! Invariant: no input makes it fail: whatever is wrong is a [`Problem`](verdict::Problem) with a place.
//! Invariant: a pod's [`Uid`](crate::spec::Uid) depends on the file's name, the node's name and its own document alone.
//! Invariant: no value of a manifest is in a problem's message but names: values may be secret.

mod decode;
mod defaults;
mod directory;
mod documents;
mod downward;
pub mod fields;
mod identity;
mod image_name;
mod lifecycle;
mod names;
mod object;
mod pod;
mod probe;
mod problems;
mod projected;
pub mod quantity;
mod restart;
mod security;
mod sources;
#[cfg(test)]
mod tests;
mod totals;
mod tracked;
mod uses;
mod validate;
pub mod verdict;

pub use crate::yaml::tree::{MAX_BYTES, Position};
pub use directory::{Directory, FileContent};
pub use identity::node_uid;
pub use quantity::Quantity;

use std::sync::Arc;

use crate::spec;
use crate::yaml::{self, tree::Path};
use verdict::{Problem, Severity};

/// What the reading of a manifest depends on beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Name of the node; lower case is made of it, as the kubelet does.
    pub node_name: String,
    /// Path of the manifests directory, for [`spec::Pod::origin`].
    pub directory: String,
}

impl Context {
    fn node(&self) -> String {
        self.node_name.to_lowercase()
    }

    fn path_of(&self, file: &str) -> String {
        format!("{}/{file}", self.directory.trim_end_matches('/'))
    }
}

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The pods that are right, in order, no two of the same namespace and name.
    pub pods: Vec<Arc<spec::Pod>>,
    /// What is known of each of `pods` beside itself.
    beside: Vec<Beside>,
    /// The ConfigMaps and Secrets that are right, in order, no two of the same kind, namespace and name.
    pub documents: Vec<Arc<spec::Document>>,
    /// Where the name of each of `documents` stands.
    places: Vec<Position>,
    /// What is wrong, by position; a bounded number.
    pub problems: Vec<Problem>,
    /// What is refused of it.
    pub refused: Vec<Refused>,
}

/// What is known of a pod beside itself.
#[derive(Debug, Clone)]
struct Beside {
    /// Where its name stands.
    at: Position,
    /// What it names.
    uses: Vec<uses::Use>,
    /// Its document, where it is another pod each time that what it names has other content.
    document: Option<Arc<serde_json::Value>>,
}

/// An object that is refused, as far as it matters to what ran of the file before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A pod, by `namespace/name`.
    Pod(String),
    /// Something else, by the `namespace/name` that a pod of its name would have.
    Other(String),
    /// Something without a name; the whole file, where it cannot be read.
    Unknown,
}

/// Reads one manifest file. `file` is its name in the directory.
pub fn read(file: &str, bytes: &[u8], context: &Context) -> Reading {
    let mut reader = object::Reader { file, context, reading: Reading::default() };
    match yaml::documents(bytes) {
        Ok(documents) if documents.is_empty() => {
            let fix = "write a Pod into it, or remove the file";
            reader.reading.whole(Position::START, "holds no object".to_owned(), fix.to_owned());
        }
        Ok(documents) => documents.iter().for_each(|node| reader.document(node)),
        Err(invalid) => reader.reading.whole(invalid.at, invalid.message, invalid.fix),
    }
    let mut reading = reader.reading;
    reading.problems = problems::bounded(reading.problems);
    reading
}

impl Reading {
    /// A problem of the whole file.
    fn whole(&mut self, at: Position, message: String, fix: String) {
        self.problems.push(problems::problem(Severity::Error, at, &Path::root(), message, fix));
        self.refused.push(Refused::Unknown);
    }
}
