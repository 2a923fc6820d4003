//! What was named on the command line, read and judged.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use super::Judged;
use crate::agent::entries;
use crate::manifest::verdict::{Problem, Severity};
use crate::manifest::{Context, Directory, FileContent, MAX_BYTES};

/// What stdin is called.
const STDIN: &str = "stdin";

/// What was named so far.
pub struct Given {
    node: String,
    places: Vec<Place>,
    /// The files among `places` that were named one by one.
    files: Vec<usize>,
    unjudged: Vec<String>,
}

/// Files that are judged together.
struct Place {
    directory: Directory,
    /// The path to show of each name.
    shown: BTreeMap<String, String>,
    /// Names that the agent would not read, and why: judged under another name.
    unread: BTreeMap<String, String>,
}

impl Given {
    /// Nothing yet, for a node of this name.
    pub fn new(node: &str) -> Given {
        Given { node: node.to_owned(), places: Vec::new(), files: Vec::new(), unjudged: Vec::new() }
    }

    /// Takes in a file, a directory, or stdin where it is called `-`.
    pub fn add(&mut self, path: &str) {
        if path == "-" {
            return self.named(STDIN, stdin());
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.directory(path),
            Ok(found) => self.named(path, entries::read(Path::new(path), &found)),
            Err(error) => self.unjudged.push(unjudged(path, &error.to_string())),
        }
    }

    fn named(&mut self, path: &str, content: FileContent) {
        let why = match &content {
            FileContent::Bytes(_) => {
                let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
                return self.file(name.unwrap_or_else(|| path.to_owned()), path, &content);
            }
            FileContent::Unreadable(reason) => reason.clone(),
            FileContent::TooLarge(size) => format!("{size} bytes, and at most {MAX_BYTES} are read"),
            FileContent::Directory | FileContent::Socket | FileContent::Fifo | FileContent::Device => {
                "it is not a file".to_owned()
            }
        };
        self.unjudged.push(unjudged(path, &why));
    }

    /// Every file's verdict, in the order of the agent, and what could not be judged, a sentence each.
    pub fn judge(self) -> (Vec<Judged>, Vec<String>) {
        let judged = self.places.into_iter().flat_map(Place::judge).collect();
        (judged, self.unjudged)
    }

    /// A file that was named. Two of one name cannot lie in one directory, and are judged apart.
    fn file(&mut self, name: String, shown: &str, content: &FileContent) {
        let free = |index: &&usize| !self.places[**index].shown.values().any(|known| same_name(known, &name));
        let index = match self.files.iter().find(free) {
            Some(index) => *index,
            None => {
                self.places.push(Place::new(&self.node, "."));
                self.files.push(self.places.len() - 1);
                self.places.len() - 1
            }
        };
        self.places[index].judge_file(name, shown, content);
    }

    fn directory(&mut self, path: &str) {
        let names = match entries::names(Path::new(path)) {
            Ok((_, names)) => names,
            Err(error) => return self.unjudged.push(unjudged(path, &error.to_string())),
        };
        if !names.iter().any(|name| Directory::reads(name)) {
            self.unjudged.push(unjudged(path, "there is no manifest in it"));
        }
        let mut place = Place::new(&self.node, path);
        for name in names {
            let at = Path::new(path).join(&name);
            let content = match Directory::reads(&name).then(|| fs::metadata(&at)) {
                Some(Ok(found)) => entries::read(&at, &found),
                Some(Err(error)) => FileContent::Unreadable(error.to_string()),
                // Its name says enough.
                None => FileContent::Bytes(Vec::new()),
            };
            if let FileContent::Unreadable(reason) = &content {
                self.unjudged.push(unjudged(&at.display().to_string(), reason));
                continue;
            }
            place.directory.set(&name, &content);
            place.shown.insert(name, at.display().to_string());
        }
        self.places.push(place);
    }
}

fn unjudged(path: &str, why: &str) -> String {
    format!("error: {path}: cannot be judged: {why}")
}

fn same_name(shown: &str, name: &str) -> bool {
    Path::new(shown).file_name().is_some_and(|known| known.to_string_lossy() == name)
}

impl Place {
    fn new(node: &str, path: &str) -> Place {
        let context = Context { node_name: node.to_owned(), directory: path.to_owned() };
        Place { directory: Directory::new(context), shown: BTreeMap::new(), unread: BTreeMap::new() }
    }

    /// Whoever names a file wants it judged, whatever the agent thinks of its name.
    fn judge_file(&mut self, mut name: String, shown: &str, content: &FileContent) {
        if let Some(reason) = Directory::ignores(&name) {
            name = format!("{}.yaml", name.trim_start_matches(['.', '#']));
            self.unread.insert(name.clone(), reason);
        }
        self.directory.set(&name, content);
        self.shown.insert(name, shown.to_owned());
    }

    fn judge(self) -> Vec<Judged> {
        let files = self.directory.verdict().files;
        let judge = |mut verdict: crate::manifest::verdict::FileVerdict| {
            if let Some(reason) = self.unread.get(&verdict.name) {
                verdict.problems.insert(0, unread(reason));
            }
            Judged { path: self.shown.get(&verdict.name).cloned().unwrap_or_default(), verdict }
        };
        files.into_iter().map(judge).collect()
    }
}

/// The file is judged, but the agent would not read it as it is called.
fn unread(reason: &str) -> Problem {
    Problem {
        severity: Severity::Warning,
        line: 1,
        column: 1,
        path: String::new(),
        message: format!("the agent does not read a file of this name ({reason})"),
        fix: "give it a name that ends with .yaml".to_owned(),
    }
}

/// All of stdin, if that is not too much.
fn stdin() -> FileContent {
    let mut bytes = Vec::new();
    match std::io::stdin().lock().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes) {
        Err(error) => FileContent::Unreadable(error.to_string()),
        Ok(_) if MAX_BYTES < bytes.len() => FileContent::TooLarge(bytes.len() as u64),
        Ok(_) => FileContent::Bytes(bytes),
    }
}
