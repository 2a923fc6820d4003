//! JSON values as YAML that every reader takes for the same values.
//!
//! Kubernetes reads YAML 1.1, in which `N`, `on` and `12:30` are no text, and `serde_yaml` writes 1.2, in which they are:
//! what it writes cannot be used as a manifest. Here, text is quoted unless nothing could take it for anything else.

use serde_json::Value;

/// The value as a block of YAML, in the layout of kubectl.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => block(&mut out, value, 0),
        _ => scalar(&mut out, value, 0),
    }
    out
}

/// A mapping or sequence that is not empty, each entry on a line of its own.
fn block(out: &mut String, value: &Value, level: usize) {
    if let Value::Object(fields) = value {
        for (index, (key, value)) in fields.iter().enumerate() {
            // The first stands beside the dash of the sequence it may be in.
            if index > 0 || out.is_empty() || out.ends_with('\n') {
                indent(out, level);
            }
            text(out, key);
            out.push(':');
            below(out, value, level);
        }
    } else if let Value::Array(items) = value {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || out.is_empty() || out.ends_with('\n') {
                indent(out, level);
            }
            out.push('-');
            if is_empty(item) || !(item.is_object() || item.is_array()) {
                out.push(' ');
                scalar(out, item, level + 1);
            } else {
                out.push(' ');
                block(out, item, level + 1);
            }
        }
    }
}

/// What follows a key: sequences stand below it at the same level, as kubectl has them.
fn below(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Object(_) if !is_empty(value) => {
            out.push('\n');
            block(out, value, level + 1);
        }
        Value::Array(_) if !is_empty(value) => {
            out.push('\n');
            block(out, value, level);
        }
        _ => {
            out.push(' ');
            scalar(out, value, level + 1);
        }
    }
}

fn scalar(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(string) if is_literal(string) => return literal(out, string, level),
        Value::String(string) => text(out, string),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
    out.push('\n');
}

fn text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        quote(out, text);
    }
}

/// In double quotes, where YAML has JSON's escapes; whatever steers a terminal or ends a line is escaped.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            '\u{2066}'..='\u{2069}' | '\u{feff}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Whether it is a word, in every version of YAML, whatever surrounds it.
fn is_plain(text: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let inside = |c: char| c.is_ascii_alphanumeric() || "_./:@+=-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(inside)
        && !text.ends_with(':')
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether it is several lines that can stand as they are.
fn is_literal(text: &str) -> bool {
    let shown = |c: char| c == '\n' || (' '..='~').contains(&c);
    let lines = text.strip_suffix('\n').unwrap_or(text);
    lines.contains('\n')
        && text.chars().all(shown)
        && !lines.ends_with('\n')
        && !lines.starts_with([' ', '\n'])
        && !lines.split('\n').any(|line| line.ends_with(' '))
}

fn literal(out: &mut String, text: &str, level: usize) {
    out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in text.lines() {
        if !line.is_empty() {
            indent(out, level);
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n("  ", level));
}
