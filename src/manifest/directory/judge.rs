//! What became of each file, as it is told.

use std::collections::{BTreeMap, HashMap};

use super::Directory;
use super::entry::Entry;
use crate::api::published;
use crate::manifest::problems;
use crate::manifest::verdict::{DocumentVerdict, FileState, FileVerdict, PodVerdict, Severity, Verdict};
use crate::spec::{DocumentName, Documents};
use crate::yaml::tree::{Path, Position};

impl Directory {
    /// What became of each file.
    pub fn verdict(&self) -> Verdict {
        let judge = Judge {
            pods: owners(&self.files),
            documents: document_owners(&self.files),
            all: self.documents(),
        };
        let files = self.files.iter().map(|(name, entry)| judge.file(name, entry));
        Verdict {
            version: published::VERSION,
            directory: self.context.directory.clone(),
            problem: self.problem.clone(),
            files: files.collect(),
        }
    }
}

/// The file whose pod runs, by `namespace/name`.
pub fn owners(files: &BTreeMap<String, Entry>) -> HashMap<String, &str> {
    let mut owners = HashMap::new();
    for (name, entry) in files {
        for held in &entry.pods {
            owners.entry(held.pod.full_name()).or_insert(name.as_str());
        }
    }
    owners
}

fn document_owners(files: &BTreeMap<String, Entry>) -> HashMap<DocumentName, &str> {
    let mut owners = HashMap::new();
    for (name, entry) in files {
        for held in &entry.documents {
            owners.entry(held.document.full_name()).or_insert(name.as_str());
        }
    }
    owners
}

struct Judge<'a> {
    pods: HashMap<String, &'a str>,
    documents: HashMap<DocumentName, &'a str>,
    all: Documents,
}

impl Judge<'_> {
    fn file(&self, name: &str, entry: &Entry) -> FileVerdict {
        let mut verdict = FileVerdict {
            name: name.to_owned(),
            state: FileState::Accepted,
            pods: Vec::new(),
            documents: Vec::new(),
            problems: entry.problems.clone(),
            ignored: entry.ignored(),
        };
        self.pods_of(name, entry, &mut verdict);
        self.documents_of(name, entry, &mut verdict);
        verdict.problems.sort_by_key(|problem| (problem.line, problem.column));
        let wrong = verdict.problems.iter().any(|problem| problem.severity == Severity::Error);
        let idle = verdict.pods.is_empty() && verdict.documents.is_empty();
        let of_documents = verdict.documents.iter().any(|document| document.last_good);
        verdict.state = match () {
            () if verdict.ignored.is_some() => FileState::Ignored,
            () if of_documents || verdict.pods.iter().any(|pod| pod.last_good) => FileState::LastGood,
            () if !wrong => FileState::Accepted,
            () if idle => FileState::Refused,
            () => FileState::Partial,
        };
        verdict
    }

    fn pods_of(&self, name: &str, entry: &Entry, verdict: &mut FileVerdict) {
        for held in &entry.pods {
            let owner = self.pods.get(&held.pod.full_name()).copied().unwrap_or_default();
            if owner != name {
                let message =
                    format!("the pod {} runs from {owner:?}, which comes first", held.pod.full_name());
                twice(verdict, held.at, message);
                continue;
            }
            verdict.pods.push(PodVerdict {
                namespace: held.pod.namespace.clone(),
                name: held.pod.name.clone(),
                uid: held.pod.uid.0.clone(),
                last_good: held.last_good,
            });
            for wanted in held.uses.iter().filter(|_| !held.last_good) {
                if let Some((message, fix)) = wanted.missing(&held.pod.namespace, &self.all) {
                    let problem = problems::problem(Severity::Warning, wanted.at, &wanted.path, message, fix);
                    verdict.problems.push(problem);
                }
            }
        }
    }

    fn documents_of(&self, name: &str, entry: &Entry, verdict: &mut FileVerdict) {
        for held in &entry.documents {
            let (kind, namespace, of) = held.document.full_name();
            let owner = self.documents.get(&held.document.full_name()).copied().unwrap_or_default();
            if owner != name {
                let message =
                    format!("the {kind} {namespace}/{of} is taken from {owner:?}, which comes first");
                twice(verdict, held.at, message);
                continue;
            }
            let (kind, last_good) = (kind.to_string(), held.last_good);
            verdict.documents.push(DocumentVerdict { kind, namespace, name: of, last_good });
        }
    }
}

/// Another file has something of this name already.
fn twice(verdict: &mut FileVerdict, at: Position, message: String) {
    let fix = "give it another name, or remove one of the files".to_owned();
    let path = Path::of("metadata.name");
    verdict.problems.push(problems::problem(Severity::Error, at, &path, message, fix));
}
