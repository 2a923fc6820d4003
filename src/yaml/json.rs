//! JSON, as Go reads it: a parser of our own, for positions, and since YAML knows no surrogate pairs (`\ud83d\ude00`).

use std::rc::Rc;

use serde_json::Number;

use super::map::{Key, KeyKind};
use super::tree::{MAX_DEPTH, Node, Position, Scalar, Size};
use super::{Invalid, map, position};

/// All values of `text`, one after the other.
pub fn documents(text: &str) -> Result<Vec<Rc<Node>>, Invalid> {
    let mut reader = Reader { rest: text, line: 1, column: 1, depth: 0, size: Size::default() };
    let mut found = Vec::new();
    reader.space();
    while !reader.rest.is_empty() {
        found.push(reader.value()?);
        reader.space();
    }
    Ok(found)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
    depth: usize,
    size: Size,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Rc<Node>, Invalid> {
        let at = self.at();
        let node = match self.peek() {
            Some('{') => self.nested(Self::map)?,
            Some('[') => self.nested(Self::list)?,
            Some('"') => Node::scalar(at, Scalar::String(self.string()?)),
            Some(_) => Node::scalar(at, self.word()?),
            None => return Err(self.wrong("it ends too early")),
        };
        // Collections count their own node only: what is inside has been counted.
        let own = if node.text().is_some() { node.size } else { Size::one(0) };
        self.size = self.size.plus(own);
        match self.size.excess() {
            Some(message) => Err(Invalid::hostile(at, message)),
            None => Ok(Rc::new(node)),
        }
    }

    fn nested(&mut self, inside: fn(&mut Self, Position) -> Result<Node, Invalid>) -> Result<Node, Invalid> {
        if self.depth >= MAX_DEPTH {
            return Err(Invalid::hostile(self.at(), format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.depth += 1;
        let at = self.at();
        self.skip(1);
        let node = inside(self, at);
        self.depth -= 1;
        node
    }

    fn map(&mut self, at: Position) -> Result<Node, Invalid> {
        let mut pairs = Vec::new();
        while self.another('}', pairs.is_empty())? {
            let key = Key { at: self.at(), kind: KeyKind::Name(self.string()?) };
            self.space();
            self.expect(':')?;
            self.space();
            pairs.push((key, self.value()?));
        }
        map::build(at, pairs)
    }

    fn list(&mut self, at: Position) -> Result<Node, Invalid> {
        let mut items = Vec::new();
        while self.another(']', items.is_empty())? {
            items.push(self.value()?);
        }
        Ok(Node::list(at, items))
    }

    /// Whether another item follows; takes the comma before it, or the `end`.
    fn another(&mut self, end: char, first: bool) -> Result<bool, Invalid> {
        self.space();
        if self.peek() == Some(end) {
            self.skip(1);
            return Ok(false);
        }
        if !first {
            self.expect(',')?;
            self.space();
        }
        Ok(true)
    }

    fn word(&mut self) -> Result<Scalar, Invalid> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let word = self.rest.split(|c| !is_part(c)).next().unwrap_or_default();
        let scalar = match word {
            "true" => Scalar::Bool(true),
            "false" => Scalar::Bool(false),
            "null" => Scalar::Null,
            _ => Scalar::Number(word.parse::<Number>().map_err(|_| self.wrong("a value is expected here"))?),
        };
        self.skip(word.len());
        Ok(scalar)
    }

    fn string(&mut self) -> Result<String, Invalid> {
        if self.peek() != Some('"') {
            return Err(self.wrong("a string in double quotes is expected here"));
        }
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let end = end.ok_or_else(|| self.wrong("this string has no end"))? + 2;
        let text = serde_json::from_str(&self.rest[..end]);
        let text = text
            .map_err(|_| self.wrong("this string holds a line break, a control character or a bad escape"))?;
        self.skip(end);
        Ok(text)
    }

    fn expect(&mut self, wanted: char) -> Result<(), Invalid> {
        if self.peek() != Some(wanted) {
            return Err(self.wrong(&format!("a {wanted:?} is expected here")));
        }
        self.skip(1);
        Ok(())
    }

    fn space(&mut self) {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.skip(self.rest.len() - trimmed.len());
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Passes over `bytes`, which end at a character's end.
    fn skip(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        let lines = passed.bytes().filter(|byte| *byte == b'\n').count();
        self.line += lines;
        let tail = passed.rsplit('\n').next().unwrap_or_default();
        self.column = if lines > 0 { 1 } else { self.column } + tail.chars().count();
    }

    fn at(&self) -> Position {
        position(self.line, self.column)
    }

    fn wrong(&self, what: &str) -> Invalid {
        Invalid::new(self.at(), format!("not JSON: {what}"))
    }
}
