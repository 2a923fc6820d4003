//! Mappings: keys as JSON has them, no key twice, merge keys resolved.

use std::collections::HashSet;
use std::rc::Rc;

use super::Invalid;
use super::tree::{Content, Entry, Node, Position, Scalar};

/// A key as it was read.
pub struct Key {
    pub at: Position,
    pub kind: KeyKind,
}

/// What a key is.
pub enum KeyKind {
    /// An ordinary one.
    Name(String),
    /// `<<`, plain: the mappings of its value are taken over.
    Merge,
}

impl Key {
    /// The key that `node` makes, in the words in which Go writes it into JSON.
    pub fn of(node: &Node) -> Result<Key, Invalid> {
        let name = match &node.content {
            Content::Scalar(Scalar::String(text)) => text.clone(),
            Content::Scalar(Scalar::Bool(truth)) => truth.to_string(),
            Content::Scalar(Scalar::Number(number)) => number.to_string(),
            Content::Scalar(Scalar::Null) => return Err(Invalid::new(node.at, "a key must not be null")),
            _ => return Err(Invalid::new(node.at, "a key must be a word, not a list or a mapping")),
        };
        Ok(Key { at: node.at, kind: KeyKind::Name(name) })
    }
}

/// The mapping of `pairs`: what is written beats what is merged, and what is merged first beats what is merged later.
pub fn build(at: Position, pairs: Vec<(Key, Rc<Node>)>) -> Result<Node, Invalid> {
    let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
    let mut merged = Vec::new();
    let mut names = HashSet::with_capacity(pairs.len());
    for (key, value) in pairs {
        match key.kind {
            KeyKind::Merge => sources(key.at, &value, &mut merged)?,
            KeyKind::Name(name) => {
                if !names.insert(name.clone()) {
                    let first = entries.iter().find(|entry| entry.key == name).map_or(at, |entry| entry.at);
                    let message = format!("the key {name:?} is there twice, first in line {}", first.line);
                    return Err(Invalid::with_fix(key.at, message, "remove one of them"));
                }
                entries.push(Entry { key: name, at: key.at, value });
            }
        }
    }
    for source in merged {
        let Content::Map(inherited) = &source.content else { continue };
        let new = inherited.iter().filter(|entry| names.insert(entry.key.clone()));
        entries.extend(new.cloned());
    }
    Ok(Node::map(at, entries))
}

/// The mappings that the value of a merge key names: one, or a list of them.
fn sources(at: Position, value: &Rc<Node>, into: &mut Vec<Rc<Node>>) -> Result<(), Invalid> {
    let wrong = || Invalid::new(at, "a merge key (<<) takes a mapping or a list of mappings");
    match &value.content {
        Content::Map(_) => into.push(Rc::clone(value)),
        Content::List(items) if items.iter().all(|item| matches!(item.content, Content::Map(_))) => {
            into.extend(items.iter().cloned());
        }
        _ => return Err(wrong()),
    }
    Ok(())
}
