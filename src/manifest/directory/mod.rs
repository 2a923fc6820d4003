//! The state of the manifests directory: what runs, and what became of each file.
//!
//! Only a name that is no longer there is an order to end its pods. What is broken, unreadable or has become something
//! else keeps running as it was last right; a directory that vanishes keeps everything. Of a file with several
//! documents, those that are right are taken, and those that are refused go on as they were; what has left the file ends,
//! unless it may be what is refused, under a new name.
//!
//! Invariant: of two pods of the same namespace and name, the first runs, by file name, then by order in the file.
//! Invariant: bytes are not kept, only their hash, so that what did not change is not read again.

mod entry;
mod judge;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::problems::Problems;
use super::{Context, pod, read, uses};
use crate::spec::{self, Documents};
use crate::yaml::tree::{MAX_BYTES, Node, Position, Scalar};
use entry::Entry;

/// What is found under a name in the directory; a symbolic link is what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A regular file, whole.
    Bytes(Vec<u8>),
    /// A directory.
    Directory,
    /// A Unix socket.
    Socket,
    /// A FIFO.
    Fifo,
    /// A character or block device.
    Device,
    /// A regular file of this many bytes, more than [`MAX_BYTES`](super::MAX_BYTES): not read.
    TooLarge(u64),
    /// Something that cannot be read, and why.
    Unreadable(String),
}

impl FileContent {
    /// What was read; nothing of what is no file.
    pub fn bytes(&self) -> &[u8] {
        match self {
            FileContent::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}

/// The manifests directory.
#[derive(Debug)]
pub struct Directory {
    context: Context,
    files: BTreeMap<String, Entry>,
    problem: Option<String>,
}

impl Directory {
    /// An empty directory.
    pub fn new(context: Context) -> Directory {
        Directory { context, files: BTreeMap::new(), problem: None }
    }

    /// Takes `pod`, which runs from an earlier life of the agent, as what its file last held when it was right. To be
    /// told before the first [`set`](Directory::set); a pod whose file is not in the next listing ends.
    pub fn remember(&mut self, pod: Arc<spec::Pod>) {
        let name = pod.origin.rsplit('/').next().unwrap_or_default().to_owned();
        self.files.entry(name).or_default().remember(pod);
    }

    /// Takes `bytes` as what the file `name` held when all of it was last right, in an earlier life of the agent. To be
    /// told before the first [`set`](Directory::set) of that name, after what still runs was [remembered](Directory::remember).
    pub fn recall(&mut self, name: &str, bytes: &[u8]) {
        let reading = read(name, bytes, &self.context);
        self.files.entry(name.to_owned()).or_default().recall(reading);
    }

    /// Whether nothing was seen yet under `name`.
    pub fn is_new(&self, name: &str) -> bool {
        self.files.get(name).is_none_or(|entry| entry.seen.is_none())
    }

    /// Whether nothing of what is under `name` is refused.
    pub fn is_right(&self, name: &str) -> bool {
        self.files.get(name).is_some_and(|entry| entry.right)
    }

    /// Whether the content under `name` matters; where it does not, any [`FileContent`] lists the name with its reason.
    pub fn reads(name: &str) -> bool {
        entry::ignored(name).is_none()
    }

    /// Why what is called `name` is not read.
    pub fn ignores(name: &str) -> Option<String> {
        entry::ignored(name)
    }

    /// Takes in what is under `name` now. Says whether anything changed.
    pub fn set(&mut self, name: &str, content: &FileContent) -> bool {
        let seen = seen(name, content);
        let entry = self.files.entry(name.to_owned()).or_default();
        if entry.seen.as_ref() == Some(&seen) {
            return false;
        }
        match (&seen, content) {
            (Seen::Ignored(reason), _) => entry.ignore(reason),
            (Seen::Unreadable(reason), _) => entry.spoil(reason),
            (Seen::Hash(_), FileContent::Bytes(bytes)) => entry.take(read(name, bytes, &self.context)),
            (Seen::Hash(_), _) => {}
        }
        entry.seen = Some(seen);
        self.settle();
        true
    }

    /// `name` is gone: an order to end its pods. Says whether anything changed.
    pub fn gone(&mut self, name: &str) -> bool {
        let was = self.files.remove(name).is_some();
        self.settle();
        was
    }

    /// The directory cannot be read any more: everything goes on, and `reason` is told.
    pub fn vanished(&mut self, reason: &str) {
        self.problem = Some(reason.to_owned());
    }

    /// Whether the last that was heard of the directory is that it cannot be read.
    pub fn is_vanished(&self) -> bool {
        self.problem.is_some()
    }

    /// A full listing: the directory is there, and what is not among `names` is gone. Says whether anything changed.
    pub fn listed<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> bool {
        let names: BTreeSet<&str> = names.into_iter().collect();
        let before = self.files.len();
        self.files.retain(|name, _| names.contains(name.as_str()));
        let changed = self.files.len() != before;
        if changed {
            self.settle();
        }
        self.problem.take().is_some() || changed
    }

    /// The pods that are to run, in order.
    pub fn wanted(&self) -> Vec<Arc<spec::Pod>> {
        let owners = judge::owners(&self.files);
        let all = self.files.iter().flat_map(|(name, entry)| entry.pods.iter().map(move |held| (name, held)));
        let first = all.filter(|(name, held)| owners.get(&held.pod.full_name()) == Some(&name.as_str()));
        first.map(|(_, held)| Arc::clone(&held.pod)).collect()
    }

    /// The ConfigMaps and Secrets of all files; of two of the same kind, namespace and name the first counts.
    pub fn documents(&self) -> Documents {
        let all = self.files.values().flat_map(|entry| &entry.documents);
        all.map(|held| Arc::clone(&held.document)).collect()
    }

    /// Makes each pod that asks for it another one when what it names has other content.
    fn settle(&mut self) {
        let asks = |entry: &Entry| entry.pods.iter().any(|held| held.document.is_some());
        if !self.files.values().any(asks) {
            return;
        }
        let documents = self.documents();
        for (name, entry) in &mut self.files {
            for held in &mut entry.pods {
                let Some(document) = &held.document else { continue };
                let content = uses::digest(&held.uses, &held.pod.namespace, &documents);
                if held.content.replace(content) == Some(content) {
                    continue;
                }
                let nowhere = Node::scalar(Position::START, Scalar::Null);
                let mut problems = Problems::new(&nowhere);
                // It was right before, and is: its content is no part of its document.
                let pod = pod::read(document, name, &self.context, Some(&content), &mut problems);
                held.pod = pod.unwrap_or_else(|| Arc::clone(&held.pod));
            }
        }
    }
}

/// What was seen under a name, as far as a change of it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Not to be read, and why.
    Ignored(String),
    /// A manifest's bytes, by their SHA-256.
    Hash([u8; 32]),
    /// To be read, but it cannot be, and why.
    Unreadable(String),
}

fn seen(name: &str, content: &FileContent) -> Seen {
    if let Some(reason) = entry::ignored(name) {
        return Seen::Ignored(reason);
    }
    let ignored = |what: &str| Seen::Ignored(format!("{what}, not a file"));
    match content {
        FileContent::Bytes(bytes) => Seen::Hash(Sha256::digest(bytes).into()),
        FileContent::Directory => Seen::Ignored("a directory: what is in it is not read".to_owned()),
        FileContent::Socket => ignored("a socket"),
        FileContent::Fifo => ignored("a FIFO"),
        FileContent::Device => ignored("a device"),
        FileContent::TooLarge(size) => {
            Seen::Ignored(format!("too large: {size} bytes, and at most {MAX_BYTES} are read"))
        }
        FileContent::Unreadable(reason) => Seen::Unreadable(format!("cannot be read: {reason}")),
    }
}
