//! YAML: the parser's events to trees.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::map::{Key, KeyKind};
use super::tree::{MAX_DEPTH, Node, Position, Size};
use super::{Invalid, map, position, scalar};

/// All documents of `text`, empty ones as null.
pub fn documents(text: &str) -> Result<Vec<Rc<Node>>, Invalid> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| wrong(text, error.marker(), error.info()))?;
        builder.take(event, place(&span.start))?;
    }
    Ok(builder.documents)
}

fn place(marker: &Marker) -> Position {
    position(marker.line(), marker.col() + 1)
}

/// The parser's error, with advice for the most common one.
fn wrong(text: &str, marker: &Marker, info: &str) -> Invalid {
    let line = text.lines().nth(marker.line().saturating_sub(1)).unwrap_or_default();
    let fix = if line.contains('\t') {
        "use spaces: YAML allows no tabs there"
    } else if info.contains("indentation in") {
        "indent each further line more than the key it belongs to"
    } else {
        "check indentation, quotes and colons here and in the line above"
    };
    Invalid::with_fix(place(marker), format!("not YAML: {info}"), fix)
}

/// What is being built: the open collections, innermost last.
#[derive(Default)]
struct Builder {
    documents: Vec<Rc<Node>>,
    open: Vec<Open>,
    /// Nodes by the parser's number of their anchor.
    anchors: HashMap<usize, Rc<Node>>,
    /// All that was built so far, aliases expanded.
    size: Size,
}

struct Open {
    at: Position,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Rc<Node>>),
    Map { pairs: Vec<(Key, Rc<Node>)>, key: Option<Key> },
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Invalid> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if plain && tag.is_none() && text == "<<" && self.expects_key() {
                    return self.key(Key { at, kind: KeyKind::Merge });
                }
                let value = scalar::resolve(&text, plain, tag.as_deref());
                let node = Node::scalar(at, value.map_err(|message| Invalid::new(at, message))?);
                self.count(node.size, at)?;
                self.add(Rc::new(node), anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(at, anchor, OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(at, anchor, OpenKind::Map { pairs: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let node =
                    known.ok_or_else(|| Invalid::new(at, "an alias must not stand inside what it names"))?;
                self.count(node.size, at)?;
                self.add(node, 0)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, at: Position, anchor: usize, kind: OpenKind) -> Result<(), Invalid> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Invalid::hostile(at, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.count(Size::one(0), at)?;
        self.open.push(Open { at, anchor, kind });
        Ok(())
    }

    fn close(&mut self, at: Position) -> Result<(), Invalid> {
        let Some(done) = self.open.pop() else {
            return Err(Invalid::new(at, "not YAML: unbalanced brackets"));
        };
        let node = match done.kind {
            OpenKind::List(items) => Node::list(done.at, items),
            OpenKind::Map { pairs, .. } => map::build(done.at, pairs)?,
        };
        self.add(Rc::new(node), done.anchor)
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: OpenKind::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, new: Key) -> Result<(), Invalid> {
        if let Some(Open { kind: OpenKind::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(new);
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), Invalid> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        if self.expects_key() {
            return self.key(Key::of(&node)?);
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.documents.push(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { pairs, key }) => pairs.extend(key.take().map(|key| (key, node))),
        }
        Ok(())
    }

    /// Counts what comes: a scalar, the opening of a collection, an alias with all that it names. What a merge key
    /// copies was counted with its alias, so a bomb is refused before anything is expanded.
    fn count(&mut self, size: Size, at: Position) -> Result<(), Invalid> {
        self.size = self.size.plus(size);
        match self.size.excess() {
            Some(message) => Err(Invalid::hostile(at, message)),
            None => Ok(()),
        }
    }
}
