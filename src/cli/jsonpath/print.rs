//! Values as Go prints them.

use std::ops::Range;

use serde_json::{Number, Value};

/// A value of a template: text as it stands, lists and maps as JSON.
pub fn text(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(text),
        // Go has another notation for numbers as text than for numbers in JSON.
        Value::Number(number) => self::number(number, &(-4..6), out),
        _ => compact(value, out),
    }
}

/// As Go's `json.Marshal`: keys in order, and with what would mean something to a browser escaped.
fn compact(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            list(out, ('[', ']'), items.iter(), |out, item| compact(item, out));
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            list(out, ('{', '}'), fields.into_iter(), |out, (key, value)| {
                quoted(key, out);
                out.push(':');
                compact(value, out);
            });
        }
        _ => scalar(value, out),
    }
}

fn list<T>(
    out: &mut String,
    around: (char, char),
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push(around.0);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(around.1);
}

/// As Go's `json.MarshalIndent` with four blanks.
pub fn indented(value: &Value, level: usize, out: &mut String) {
    let line = |out: &mut String, level: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", level));
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            list(out, ('[', '\n'), items.iter(), |out, item| {
                line(out, level + 1);
                indented(item, level + 1, out);
            });
            out.extend(std::iter::repeat_n("    ", level));
            out.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            list(out, ('{', '\n'), fields.into_iter(), |out, (key, value)| {
                line(out, level + 1);
                quoted(key, out);
                out.push_str(": ");
                indented(value, level + 1, out);
            });
            out.extend(std::iter::repeat_n("    ", level));
            out.push('}');
        }
        _ => compact(value, out),
    }
}

fn scalar(value: &Value, out: &mut String) {
    match value {
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => self::number(number, &(-6..21), out),
        Value::String(text) => quoted(text, out),
        _ => out.push_str("null"),
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Whole numbers as they are; others with the fewest digits that tell them apart, with an exponent where it is outside of
/// `plain`.
fn number(number: &Number, plain: &Range<i32>, out: &mut String) {
    let Some(float) = number.as_f64().filter(|_| !number.is_i64()) else {
        return out.push_str(&number.to_string());
    };
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float == 0.0 || plain.contains(&exponent) {
        return out.push_str(&float.to_string());
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    // Two digits at least, but for small numbers in JSON.
    let width = if exponent < 0 && plain.end == 21 { 1 } else { 2 };
    out.push_str(&format!("{digits}e{sign}{:0width$}", exponent.abs()));
}
