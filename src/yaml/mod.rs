//! Text to trees: every document of a file, YAML or JSON, read as `sigs.k8s.io/yaml` (go-yaml 2, YAML 1.1) reads it.
//!
//! Duplicate keys, which Go lets pass, are errors here: the first or the last being meant is anybody's guess.
//!
//! Invariant: hostile text (bombs, deep nesting, cut or damaged bytes) ends in an [`Invalid`] within milliseconds.

mod events;
mod json;
mod map;
mod scalar;
#[cfg(test)]
mod tests;
pub mod tree;

use std::rc::Rc;

use tree::{MAX_BYTES, Node, Position};

/// Why a text cannot be read: nothing of the file can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub fix: String,
    /// A limit was met: reading it in another way would only cost more.
    hostile: bool,
}

impl Invalid {
    fn new(at: Position, message: impl Into<String>) -> Invalid {
        Invalid::with_fix(at, message, "")
    }

    fn with_fix(at: Position, message: impl Into<String>, fix: impl Into<String>) -> Invalid {
        Invalid { at, message: message.into(), fix: fix.into(), hostile: false }
    }

    fn hostile(at: Position, message: String) -> Invalid {
        Invalid { at, message, fix: "write it out, or in several files".to_owned(), hostile: true }
    }
}

/// All documents of `bytes` that hold something, in order.
pub fn documents(bytes: &[u8]) -> Result<Vec<Rc<Node>>, Invalid> {
    if bytes.len() > MAX_BYTES {
        return Err(Invalid::new(Position::START, format!("longer than {MAX_BYTES} bytes")));
    }
    let text = utf8(bytes)?;
    let found = if text.trim_start().starts_with('{') {
        // What is no JSON may still be YAML in flow style; if it is neither, JSON was meant.
        match json::documents(text) {
            Err(wrong) if !wrong.hostile => events::documents(text).map_err(|_| wrong),
            read => read,
        }
    } else {
        events::documents(text)
    }?;
    Ok(found.into_iter().filter(|node| !node.is_null()).collect())
}

/// The text of `bytes`, without a byte order mark.
fn utf8(bytes: &[u8]) -> Result<&str, Invalid> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let (before, _) = bytes.split_at(error.valid_up_to());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Invalid::with_fix(position(line, column), "not UTF-8 text", "save the file as UTF-8")
    })
}

fn position(line: usize, column: usize) -> Position {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Position { line: number(line), column: number(column) }
}
