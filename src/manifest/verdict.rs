//! What became of each file of the manifests directory: what the agent publishes and the command line prints.
//!
//! Invariant: no value out of a manifest is in here but names of objects, fields and files: values may be secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The manifests directory: what became of it and of each of its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`crate::api::published::VERSION`] of the writer.
    pub version: u32,
    /// Path of the directory.
    pub directory: String,
    /// Why the directory cannot be read at present; what ran from it goes on.
    #[serde(default)]
    pub problem: Option<String>,
    /// Every entry, by name.
    pub files: Vec<FileVerdict>,
}

impl Verdict {
    /// Whether this tells of every pod that somebody may want. An empty directory may be one in which something is to be
    /// mounted yet, and what is wrong may be half of itself.
    pub fn is_complete(&self) -> bool {
        let state = |wanted: FileState| self.files.iter().filter(move |file| file.state == wanted);
        let (accepted, ignored) = (state(FileState::Accepted).count(), state(FileState::Ignored).count());
        self.problem.is_none() && 0 < accepted && accepted + ignored == self.files.len()
    }
}

/// What became of one entry of the manifests directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVerdict {
    /// Its name in the directory.
    pub name: String,
    /// What became of it.
    pub state: FileState,
    /// The pods that run from it, in order.
    #[serde(default)]
    pub pods: Vec<PodVerdict>,
    /// The ConfigMaps and Secrets that count of it, in order; without their values.
    #[serde(default)]
    pub documents: Vec<DocumentVerdict>,
    /// What is wrong with it, by line.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Why it is not read.
    #[serde(default)]
    pub ignored: Option<String>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// All that it holds is accepted.
    Accepted,
    /// Some of what it holds is accepted, some is refused.
    Partial,
    /// It is wrong, and some of it goes on as the file last had it when it was right.
    LastGood,
    /// It is wrong, and nothing runs from it.
    Refused,
    /// It is not read; `ignored` says why.
    Ignored,
}

/// A pod that runs from a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodVerdict {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`, with the node's name appended.
    pub name: String,
    /// Identity of the incarnation that is wanted.
    pub uid: String,
    /// Whether this is an older version than the file's, which is wrong.
    #[serde(default)]
    pub last_good: bool,
}

/// A ConfigMap or Secret of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentVerdict {
    /// `ConfigMap` or `Secret`.
    pub kind: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Whether this is what the file held before it went wrong.
    #[serde(default)]
    pub last_good: bool,
}

/// Something wrong in a manifest, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whether the object runs all the same.
    pub severity: Severity,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The field, such as `spec.containers[1].image`; empty for the whole object.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty where the message says it.
    #[serde(default)]
    pub fix: String,
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object is refused.
    Error,
    /// The object is accepted, though it may not do what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

impl fmt::Display for Problem {
    /// `3:7: error: spec.containers[1].image: must not be empty; name an image`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: ", self.line, self.column, self.severity)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if !self.fix.is_empty() {
            write!(f, "; {}", self.fix)?;
        }
        Ok(())
    }
}
