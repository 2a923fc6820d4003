//! A document as a tree that still knows where each part stands in the file.
//!
//! Invariant: no tree is deeper than [`MAX_DEPTH`] or, with its aliases expanded, larger than [`MAX_NODES`] nodes and
//! [`MAX_BYTES`] of text, so that whatever walks it may recurse and copy.

use std::fmt;
use std::rc::Rc;

use serde_json::{Map, Number, Value};

/// Longest manifest file, in bytes: the kubelet's limit (reference A.2).
pub const MAX_BYTES: usize = 10 * 1024 * 1024;

/// Deepest nesting. A Pod needs about 15 levels.
pub const MAX_DEPTH: usize = 100;

/// Most nodes of one file, aliases expanded: some hundred Pods in one List.
pub const MAX_NODES: usize = 100_000;

/// Where something stands in its file; both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Position {
    /// The first character of a file: where problems of the whole file are reported.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// One node and where it begins.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub content: Content,
    /// How much of the limits it takes up, everything below it included.
    pub size: Size,
}

/// What a node is. Shared where an alias refers to it, so that an alias costs nothing here.
#[derive(Debug, Clone)]
pub enum Content {
    /// A scalar, resolved.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Rc<Node>>),
    /// A mapping, in order, without duplicates, merge keys resolved.
    Map(Vec<Entry>),
}

/// A scalar as go-yaml resolves it.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key, as JSON would have it.
    pub key: String,
    /// Where the key stands.
    pub at: Position,
    /// The value.
    pub value: Rc<Node>,
}

/// How large a tree is with its aliases expanded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Bytes of keys and strings.
    pub bytes: usize,
}

impl Size {
    /// The size of one node that holds `bytes` of text.
    pub fn one(bytes: usize) -> Size {
        Size { nodes: 1, bytes }
    }

    /// Both together.
    pub fn plus(self, other: Size) -> Size {
        Size { nodes: self.nodes.saturating_add(other.nodes), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// Why it is too large, if it is.
    pub fn excess(self) -> Option<String> {
        let too_many = self.nodes > MAX_NODES || self.bytes > MAX_BYTES;
        too_many.then(|| {
            format!("too large: more than {MAX_NODES} values or {MAX_BYTES} bytes, aliases expanded")
        })
    }
}

impl Node {
    /// A scalar.
    pub fn scalar(at: Position, scalar: Scalar) -> Node {
        let bytes = if let Scalar::String(text) = &scalar { text.len() } else { 0 };
        Node { at, content: Content::Scalar(scalar), size: Size::one(bytes) }
    }

    /// A sequence.
    pub fn list(at: Position, items: Vec<Rc<Node>>) -> Node {
        let size = items.iter().fold(Size::one(0), |size, item| size.plus(item.size));
        Node { at, content: Content::List(items), size }
    }

    /// A mapping whose keys are known to differ.
    pub fn map(at: Position, entries: Vec<Entry>) -> Node {
        let add = |size: Size, entry: &Entry| size.plus(entry.value.size).plus(Size::one(entry.key.len()));
        let size = entries.iter().fold(Size::one(0), add);
        Node { at, content: Content::Map(entries), size }
    }

    /// Whether it is null: what an empty document holds.
    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Scalar::Null))
    }

    /// The value of `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Rc<Node>> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text, where this is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Scalar::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The items, where this is a sequence.
    pub fn items(&self) -> Option<&[Rc<Node>]> {
        match &self.content {
            Content::List(items) => Some(items),
            _ => None,
        }
    }

    /// Where `path` stands: its key, or its item; the nearest part of it that is there.
    pub fn locate(&self, path: &Path) -> Position {
        let mut node = self;
        let mut at = self.at;
        for step in &path.0 {
            let next = match step {
                Step::Key(key) => node.entry(key).map(|entry| (entry.at, &entry.value)),
                Step::Index(index) => {
                    node.items().and_then(|items| items.get(*index)).map(|item| (item.at, item))
                }
            };
            let Some((found, below)) = next else { break };
            (at, node) = (found, below);
        }
        at
    }

    /// The same as JSON. A key without a value is as good as absent, as Go's decoder has it, except among free names
    /// (labels, annotations, data), where it is an empty string.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(Scalar::Null) => Value::Null,
            Content::Scalar(Scalar::Bool(truth)) => Value::Bool(*truth),
            Content::Scalar(Scalar::Number(number)) => Value::Number(number.clone()),
            Content::Scalar(Scalar::String(text)) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(|item| item.to_json()).collect(),
            Content::Map(entries) => {
                let kept = entries.iter().filter(|entry| !entry.value.is_null());
                let pairs = kept.map(|entry| (entry.key.clone(), entry.value.field_to_json(&entry.key)));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// As [`to_json`](Node::to_json), for the value of `field`.
    fn field_to_json(&self, field: &str) -> Value {
        let mut json = self.to_json();
        if let (true, Content::Map(entries), Value::Object(object)) =
            (is_free(field), &self.content, &mut json)
        {
            let empty = entries.iter().filter(|entry| entry.value.is_null());
            object.extend(empty.map(|entry| (entry.key.clone(), Value::String(String::new()))));
        }
        json
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// Whether the value of `field` is a mapping from free names to strings.
fn is_free(field: &str) -> bool {
    matches!(field, "labels" | "annotations" | "data" | "stringData" | "nodeSelector" | "matchLabels")
}

/// The way to a field: `spec.containers[1].image`, `metadata.labels[app.kubernetes.io/name]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The object itself.
    pub fn root() -> Path {
        Path::default()
    }

    /// `dotted` below the object; for names that hold no dot of their own.
    pub fn of(dotted: &str) -> Path {
        dotted.split('.').fold(Path::root(), |path, name| path.key(name))
    }

    /// The field or key `name` below this.
    pub fn key(&self, name: &str) -> Path {
        self.with(Step::Key(name.to_owned()))
    }

    /// The item at `index`, from 0, below this.
    pub fn index(&self, index: usize) -> Path {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Path {
        let mut steps = self.0.clone();
        steps.push(step);
        Path(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if key.is_empty() || key.contains(['.', '/', '[', ' ']) => {
                    write!(f, "[{key}]")?
                }
                Step::Key(key) if place == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}
