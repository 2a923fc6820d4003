//! One name in the directory: whether it is read, and what of it runs.

use std::sync::Arc;

use serde_json::Value as Json;

use super::Seen;
use crate::manifest::uses::Use;
use crate::manifest::verdict::{Problem, Severity};
use crate::manifest::{Beside, Reading, Refused, problems};
use crate::spec;
use crate::yaml::tree::Path;
use crate::yaml::tree::Position;

/// What is known of one name.
#[derive(Debug, Default)]
pub struct Entry {
    /// What was seen last; `None` while nothing was.
    pub seen: Option<Seen>,
    /// What runs of it, in order.
    pub pods: Vec<Held>,
    /// The ConfigMaps and Secrets of it, in order.
    pub documents: Vec<HeldDocument>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Whether nothing of it was refused when it was last looked at.
    pub right: bool,
}

/// A pod of a file.
#[derive(Debug)]
pub struct Held {
    /// The pod.
    pub pod: Arc<spec::Pod>,
    /// Where its name stands.
    pub at: Position,
    /// Whether it is what the file held before it went wrong.
    pub last_good: bool,
    /// What it names.
    pub uses: Vec<Use>,
    /// Its document, where it is another pod each time that what it names has other content.
    pub document: Option<Arc<Json>>,
    /// The content that it is made for.
    pub content: Option<[u8; 32]>,
}

/// A ConfigMap or Secret of a file.
#[derive(Debug)]
pub struct HeldDocument {
    /// The document.
    pub document: Arc<spec::Document>,
    /// Where its name stands.
    pub at: Position,
    /// Whether it is what the file held before it went wrong.
    pub last_good: bool,
}

impl Entry {
    /// Takes `pod` as what the file held when it was last right.
    pub fn remember(&mut self, pod: Arc<spec::Pod>) {
        self.pods.push(Held {
            pod,
            at: Position::START,
            last_good: true,
            uses: Vec::new(),
            document: None,
            content: None,
        });
    }

    /// Takes what the file held when all of it was last right; what is known of it already is newer.
    pub fn recall(&mut self, reading: Reading) {
        for recalled in held(reading.pods, reading.beside, true) {
            if !self.pods.iter().any(|known| known.pod.full_name() == recalled.pod.full_name()) {
                self.pods.push(recalled);
            }
        }
        for (document, at) in reading.documents.into_iter().zip(reading.places) {
            if !self.documents.iter().any(|known| known.document.full_name() == document.full_name()) {
                self.documents.push(HeldDocument { document, at, last_good: true });
            }
        }
    }

    /// Takes what the file holds now. What is refused of it goes on as it was last right.
    pub fn take(&mut self, reading: Reading) {
        let old = std::mem::take(&mut self.pods);
        let ran: Vec<_> = old.iter().map(|held| held.pod.full_name()).collect();
        let replaced = |name: &String| reading.pods.iter().any(|new| new.full_name() == *name);
        let keeps = |refused: &Refused, name: &String| match refused {
            // What did not run before may be any of those that did, renamed.
            Refused::Pod(refused) => refused == name || !ran.contains(refused),
            Refused::Other(refused) => refused == name,
            Refused::Unknown => true,
        };
        let goes_on =
            |name: &String| !replaced(name) && reading.refused.iter().any(|refused| keeps(refused, name));
        let kept = old.into_iter().zip(&ran).filter(|(_, name)| goes_on(name));
        let kept: Vec<_> = kept.map(|(held, _)| Held { last_good: true, ..held }).collect();
        let right = reading.refused.is_empty();
        self.pods = held(reading.pods, reading.beside, false).chain(kept).collect();
        self.renew(reading.documents, reading.places, right);
        self.right = right;
        self.problems = reading.problems;
    }

    /// Takes the documents that the file holds now; while it is not `right`, what is not in it any more stays.
    fn renew(&mut self, new: Vec<Arc<spec::Document>>, places: Vec<Position>, right: bool) {
        let is_new = |old: &spec::Document| new.iter().any(|new| new.full_name() == old.full_name());
        let mut kept = std::mem::take(&mut self.documents);
        kept.retain(|old| !right && !is_new(&old.document));
        kept.iter_mut().for_each(|held| held.last_good = true);
        let new = new.into_iter().zip(places);
        let new = new.map(|(document, at)| HeldDocument { document, at, last_good: false });
        self.documents = new.chain(kept).collect();
    }

    /// Whether nothing counts of it.
    fn is_idle(&self) -> bool {
        self.pods.is_empty() && self.documents.is_empty()
    }

    /// The file cannot be read, for `reason`; what runs of it goes on.
    pub fn spoil(&mut self, reason: &str) {
        self.right = false;
        self.pods.iter_mut().for_each(|held| held.last_good = true);
        self.documents.iter_mut().for_each(|held| held.last_good = true);
        let problem = problems::problem(
            Severity::Error,
            Position::START,
            &Path::root(),
            reason.to_owned(),
            "remove it to end its pods".to_owned(),
        );
        self.problems = vec![problem];
    }

    /// It is not read, for `reason`; unless something runs of it, that is no problem.
    pub fn ignore(&mut self, reason: &str) {
        if self.is_idle() {
            *self = Entry::default();
        } else {
            self.spoil(reason);
        }
    }

    /// Why it is not read, where it is not and nothing runs of it.
    pub fn ignored(&self) -> Option<String> {
        match &self.seen {
            Some(Seen::Ignored(reason)) if self.is_idle() => Some(reason.clone()),
            _ => None,
        }
    }
}

/// `pods`, each with what is known beside it.
fn held(pods: Vec<Arc<spec::Pod>>, beside: Vec<Beside>, last_good: bool) -> impl Iterator<Item = Held> {
    pods.into_iter().zip(beside).map(move |(pod, beside)| Held {
        pod,
        at: beside.at,
        last_good,
        uses: beside.uses,
        document: beside.document,
        content: None,
    })
}

/// Endings of what editors and package tools leave beside a file.
const BACKUPS: &[&str] = &[
    "bak",
    "backup",
    "old",
    "orig",
    "rej",
    "save",
    "swp",
    "swo",
    "swx",
    "tmp",
    "part",
    "dpkg-new",
    "dpkg-old",
    "dpkg-dist",
];

/// Why a file called `name` is not read; `None` where it is.
///
/// The kubelet reads all but dot files, and so runs backups and half-written copies (reference A.2).
pub fn ignored(name: &str) -> Option<String> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let because = |reason: &str| Some(reason.to_owned());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        _ if name.contains(char::REPLACEMENT_CHARACTER) => because("the name is not UTF-8: rename the file"),
        _ if name.starts_with('.') => because("hidden: the name begins with a dot"),
        _ if name.ends_with('~') => because("an editor's backup: the name ends with '~'"),
        _ if name.starts_with('#') => because("an editor's copy: the name begins with '#'"),
        None if is_vim_probe(name) => because("a file by which vim tries whether it may write"),
        None if is_sed_copy(name) => because("a temporary file of sed -i"),
        None | Some("yaml" | "yml" | "json") => None,
        Some(ending) if BACKUPS.contains(&ending) => {
            Some(format!("a backup or temporary file: the name ends with .{ending}"))
        }
        Some(_) => because("only names with .yaml, .yml, .json or without an extension are read"),
    }
}

/// vim tries 4913, then adds 123 until the name is free.
fn is_vim_probe(name: &str) -> bool {
    name.parse::<u32>().is_ok_and(|number| number >= 4913 && (number - 4913) % 123 == 0)
}

/// `sed` and six letters or digits, as mkstemp makes them; a word in small letters is a name.
fn is_sed_copy(name: &str) -> bool {
    let random = name.strip_prefix("sed").filter(|random| random.len() == 6);
    random.is_some_and(|random| {
        random.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !random.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}
