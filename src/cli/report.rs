//! What is told to programs and is no Kubernetes object.

use anyhow::Result;
use serde_json::Value;

/// As JSON that steers no terminal.
pub fn json(value: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        match c {
            // JSON escapes C0 alone; outside of strings there is none of these.
            '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            _ => out.push(c),
        }
    }
    out.push('\n');
    Ok(out)
}
