//! kubectl's JSONPath: templates like `{range .items[*]}{.metadata.name}{"\n"}{end}`.
//!
//! It is a dialect of its own, older than RFC 9535: text around actions in braces, `range` and `end`, keys with `\.`, no
//! commas between paths. The crates that speak JSONPath speak the RFC, and bring engines for regular expressions along.
//! What is right here is what kubectl prints: `tests.rs` holds a table of its answers.
//!
//! Invariant: pure. The work and the text that one template gives are bounded ([`eval::MOST`], [`MOST_TEXT`]), whatever the
//! object is; nesting is bounded by that of the template, and by serde_json for the object.

mod compare;
mod eval;
mod parse;
mod print;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub use compare::numbers;
use eval::Eval;
use parse::Piece;

/// Most bytes that a template gives.
const MOST_TEXT: usize = 64 << 20;

/// A template, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

impl Template {
    /// Parses text with actions in braces. Fails with kubectl's words for what is wrong in it.
    pub fn parse(text: &str) -> Result<Template> {
        let pieces = parse::template(text).with_context(|| format!("jsonpath {text:?}"))?;
        Ok(Template { source: text.to_string(), pieces })
    }

    /// Parses one path, with or without braces and the first dot, as `--sort-by` and `custom-columns` take it.
    pub fn parse_path(text: &str) -> Result<Template> {
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let braces = inner.contains(['{', '}']);
        ensure!(!braces && !inner.is_empty(), "{text:?} is not one path; write it as .metadata.name");
        let dot = if inner.starts_with(['.', '[', '$', '@']) { "" } else { "." };
        Template::parse(&format!("{{{dot}{inner}}}"))
    }

    /// What the template gives of `object`, as text. Fields that are not there give nothing.
    pub fn text(&self, object: &Value) -> Result<String> {
        self.written(object, |values, out| {
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                print::text(value, out);
            }
        })
    }

    /// As [`Template::text`], the values of each action as a JSON array.
    pub fn json(&self, object: &Value) -> Result<String> {
        self.written(object, |values, out| {
            let array: Vec<Value> = values.iter().map(|value| value.clone().into_owned()).collect();
            print::indented(&Value::Array(array), 0, out);
            out.push('\n');
        })
    }

    /// The values of all actions.
    pub fn values<'v>(&self, object: &'v Value) -> Result<Vec<Cow<'v, Value>>> {
        let mut found = Vec::new();
        let mut each = |values: Vec<Cow<'v, Value>>| {
            found.extend(values);
            Ok(())
        };
        Eval::new(object).pieces(&self.pieces, &mut each).with_context(|| self.to_string())?;
        Ok(found)
    }

    fn written(&self, object: &Value, write: impl Fn(&[Cow<'_, Value>], &mut String)) -> Result<String> {
        let mut out = String::new();
        let mut each = |values: Vec<Cow<'_, Value>>| {
            write(&values, &mut out);
            ensure!(out.len() <= MOST_TEXT, "it gives more than {} MiB of text", MOST_TEXT >> 20);
            Ok(())
        };
        Eval::new(object).pieces(&self.pieces, &mut each).with_context(|| self.to_string())?;
        Ok(out)
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "jsonpath {:?}", self.source)
    }
}
