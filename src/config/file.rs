//! A configuration file: read, told by its contents, and taken apart.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::given::{Given, Key, Means, Origin, Problem, Wrong};
use super::{k3s, kubelet};
use crate::yaml;
use crate::yaml::tree::{Content, MAX_BYTES, Node, Position, Scalar};

/// What was read in one place.
#[derive(Debug, Default)]
pub struct Read {
    /// What means something here.
    pub givens: Vec<Given>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Names that mean nothing, and why.
    nothing: Vec<(String, &'static str)>,
    /// Names of what is not built yet.
    not_yet: Vec<(String, &'static str)>,
    /// Names that nobody knows.
    unknown: Vec<String>,
}

/// A name of another program's, and what was said of it.
pub struct Said {
    /// As it was written, for people.
    pub name: String,
    /// The value.
    pub values: Vec<String>,
    /// Where.
    pub origin: Origin,
}

/// A name in a sentence is cut here: a line that is no configuration at all makes a long one.
const NAME_LENGTH: usize = 80;
/// So many names are told; the first will do where all are wrong.
const NAMES: usize = 40;

impl Read {
    /// Takes in what `said` means.
    pub fn take(&mut self, said: Said, means: Option<Means>) {
        let Said { name, values, origin } = said;
        match means {
            Some(Means::Is(key)) => self.given(Given { key, name, values, origin }),
            Some(Means::NotYet(what)) => self.not_yet.push((name, what)),
            Some(Means::Nothing(why)) => self.nothing.push((name, why)),
            None => self.unknown.push(name),
        }
    }

    /// One argument for the kubelet, `name=value`; such a flag alone is `true`. Lists grow with each of the same name.
    pub fn kubelet_arg(&mut self, text: &str, origin: Origin) {
        let text = text.trim_start_matches('-');
        let (flag, value) = text.split_once('=').unwrap_or((text, "true"));
        // What is no flag at all may be anything, such as what was to be kept.
        let end = flag.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(flag.len());
        let dashes = if origin == Origin::CommandLine { "--" } else { "" };
        let (name, means) = (format!("{dashes}kubelet-arg {}", &flag[..end]), kubelet::flag(flag));
        let known = self.givens.iter_mut().find(|known| known.name == name);
        match (means, known) {
            (Some(Means::Is(key)), Some(known)) if is_list(key) => known.values.push(value.to_owned()),
            _ => self.take(Said { name, values: vec![value.to_owned()], origin }, means),
        }
    }

    fn given(&mut self, given: Given) {
        self.givens.push(given);
    }

    /// Notes that `name`, at `origin`, is wrong.
    pub fn problem(&mut self, name: impl Into<String>, origin: Origin, wrong: Wrong) {
        self.problems.push(Problem { origin, name: name.into(), wrong });
    }

    /// What of `source` is not known, or means nothing here, a sentence each.
    pub fn notes(&self, source: &str) -> Vec<String> {
        let because = |names: &[(String, &'static str)]| {
            let mut whys: Vec<&str> = Vec::new();
            for (_, why) in names {
                if !whys.contains(why) {
                    whys.push(why);
                }
            }
            let of = |why| {
                let names = names.iter().filter(|name| name.1 == why).map(|(name, _)| short(name));
                format!("{} ({why})", listed(&names.collect::<Vec<_>>()))
            };
            whys.into_iter().map(of).collect::<Vec<_>>()
        };
        let unknown = self.unknown.iter().map(|name| short(name)).collect();
        let kinds = [
            ("is not known and does nothing", unknown),
            ("is not built yet and does nothing", because(&self.not_yet)),
            ("means nothing here", because(&self.nothing)),
        ];
        let told = kinds.into_iter().filter(|(_, names)| !names.is_empty());
        told.map(|(what, names)| format!("configuration, {source}: what {what}: {}", listed(&names)))
            .collect()
    }
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES);
    let told = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { told } else { format!("{told} and {more} more") }
}

fn short(name: &str) -> String {
    name.chars().take(NAME_LENGTH).collect()
}

fn is_list(key: Key) -> bool {
    matches!(key, Key::NodeLabel | Key::ClusterDns | Key::SystemReserved | Key::KubeReserved)
}

/// Reads `path`, and beside a k3s configuration its drop-ins. `kubelet_args` of k3s' are left out where the command line
/// has its own, as k3s has it with all that can be given several times.
pub fn read(path: &Path, kubelet_args: bool) -> Read {
    let mut read = Read::default();
    let drop_ins = match drop_ins(path) {
        Ok(drop_ins) => drop_ins,
        Err((place, error)) => {
            read.problem("", Origin::file(&place, Position::START), unreadable(&error));
            return read;
        }
    };
    let main = match document(path) {
        Err(Fault::Absent(_)) if !drop_ins.is_empty() => None,
        Err(Fault::Absent(problem) | Fault::Wrong(problem)) => {
            read.problems.push(problem);
            return read;
        }
        Ok(main) => main,
    };
    if let Some(main) = &main {
        match kind(main) {
            Ok(Kind::Kubelet) => {
                kubelet::read(path, main, &mut read);
                return read;
            }
            Ok(Kind::K3s) => {}
            Err((at, wrong)) => {
                read.problem("", Origin::file(path, at), wrong);
                return read;
            }
        }
    }
    let mut documents: Vec<(PathBuf, Rc<Node>)> =
        main.map(|main| (path.to_owned(), main)).into_iter().collect();
    for drop_in in drop_ins {
        match document(&drop_in) {
            Ok(found) => documents.extend(found.map(|found| (drop_in, found))),
            Err(Fault::Absent(problem) | Fault::Wrong(problem)) => read.problems.push(problem),
        }
    }
    k3s::read(&documents, kubelet_args, &mut read);
    read
}

/// Reads all files `*.conf` below `folder`, by their paths, as a kubelet reads its drop-ins: what a later one says is laid over
/// what an earlier one said.
pub fn read_parts(folder: &Path) -> Read {
    let mut read = Read::default();
    let mut parts = Vec::new();
    if let Err(error) = conf_files(folder, &mut parts) {
        read.problem("", Origin::file(folder, Position::START), unreadable(&error));
        return read;
    }
    for path in parts {
        let document = match document(&path) {
            Ok(Some(document)) => document,
            Ok(None) => continue,
            Err(Fault::Absent(problem) | Fault::Wrong(problem)) => {
                read.problems.push(problem);
                continue;
            }
        };
        match kind(&document) {
            Ok(Kind::Kubelet) => kubelet::read(&path, &document, &mut read),
            Ok(Kind::K3s) => {
                let fix = "begin it with `apiVersion: kubelet.config.k8s.io/v1beta1` and `kind: KubeletConfiguration`";
                let wrong = Wrong::new("no part of a KubeletConfiguration", fix);
                read.problem("", Origin::file(&path, document.at), wrong);
            }
            Err((at, wrong)) => read.problem("", Origin::file(&path, at), wrong),
        }
    }
    read
}

/// Walks `folder` in the order of names, into directories but not through links to them.
fn conf_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        match entry.file_type()?.is_dir() {
            true => conf_files(&path, found)?,
            false if path.extension().is_some_and(|end| end == "conf") => found.push(path),
            false => {}
        }
    }
    Ok(())
}

enum Kind {
    K3s,
    Kubelet,
}

/// Which of the two a document is.
fn kind(node: &Node) -> Result<Kind, (Position, Wrong)> {
    let Content::Map(entries) = &node.content else {
        return Err((node.at, Wrong::new("no configuration", "write lines such as `node-name: edge-1`")));
    };
    let text = |key: &str| node.get(key).and_then(|value| value.text()).unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    let named = entries.iter().find(|entry| entry.key == "kind" || entry.key == "apiVersion");
    if let Some(named) = named {
        return match kind == "KubeletConfiguration" && version.starts_with("kubelet.config.k8s.io/") {
            true => Ok(Kind::Kubelet),
            false => Err((
                named.at,
                Wrong::new(
                    format!("kind {kind:?} of apiVersion {version:?} is no configuration of a node"),
                    "give a k3s config.yaml, or a KubeletConfiguration of kubelet.config.k8s.io/v1beta1",
                ),
            )),
        };
    }
    let field = entries.iter().find(|entry| k3s::flag(&entry.key).is_none() && kubelet::is_field(&entry.key));
    match field {
        None => Ok(Kind::K3s),
        Some(field) => Err((
            field.at,
            Wrong::new(
                format!(
                    "{} is a field of a KubeletConfiguration, and this file does not say that it is one",
                    field.key
                ),
                "add `apiVersion: kubelet.config.k8s.io/v1beta1` and `kind: KubeletConfiguration`",
            ),
        )),
    }
}

/// Files in `<path>.d` that end as YAML does, by name; none where there is no such directory.
fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let end = path.extension().map(|end| end.to_string_lossy().to_lowercase());
            if matches!(end.as_deref(), Some("yaml" | "yml")) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    };
    match list() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err((folder.clone(), error)),
        Ok(found) => Ok(found),
    }
}

enum Fault {
    Absent(Problem),
    Wrong(Problem),
}

fn unreadable(error: &io::Error) -> Wrong {
    Wrong::new(format!("it cannot be read: {error}"), "give a file that can be")
}

/// The one document of a file, if it holds anything.
fn document(path: &Path) -> Result<Option<Rc<Node>>, Fault> {
    let problem =
        |at: Position, wrong: Wrong| Problem { origin: Origin::file(path, at), name: String::new(), wrong };
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let absent = error.kind() == io::ErrorKind::NotFound;
        let problem = problem(Position::START, unreadable(&error));
        return Err(if absent { Fault::Absent(problem) } else { Fault::Wrong(problem) });
    }
    let documents = yaml::documents(&bytes).map_err(|invalid| {
        Fault::Wrong(problem(invalid.at, Wrong { what: invalid.message, fix: invalid.fix }))
    })?;
    match documents.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        [_, second, ..] => Err(Fault::Wrong(problem(
            second.at,
            Wrong::new("a second document in one file", "leave one of them"),
        ))),
    }
}

/// A value as text: one, those of a list, or `name=value` each; none for what is empty.
pub fn values(node: &Node) -> Result<Vec<String>, (Position, Wrong)> {
    match &node.content {
        Content::Scalar(Scalar::Null) => Ok(Vec::new()),
        Content::Scalar(scalar) => Ok(vec![text(scalar)]),
        Content::List(items) => items.iter().map(|item| one(item)).collect(),
        Content::Map(entries) => {
            let pair = |key: &str, value: &Node| Ok(format!("{key}={}", one(value)?));
            entries.iter().map(|entry| pair(&entry.key, &entry.value)).collect()
        }
    }
}

fn one(node: &Node) -> Result<String, (Position, Wrong)> {
    match &node.content {
        Content::Scalar(scalar) => Ok(text(scalar)),
        _ => Err((node.at, Wrong::new("a list or mapping where there can be one value", "write one value"))),
    }
}

fn text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null => String::new(),
        Scalar::Bool(truth) => truth.to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::String(text) => text.clone(),
    }
}

/// Whether a value says nothing: what programs write for what nobody set.
pub fn is_nothing(node: &Node) -> bool {
    match &node.content {
        Content::Scalar(Scalar::Null) => true,
        Content::Scalar(Scalar::Bool(_)) => false,
        Content::Scalar(scalar) => matches!(text(scalar).as_str(), "" | "0" | "0s"),
        Content::List(items) => items.is_empty(),
        Content::Map(entries) => entries.iter().all(|entry| is_nothing(&entry.value)),
    }
}
