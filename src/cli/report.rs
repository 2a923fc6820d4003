//! What is told to programs and is no Kubernetes object.

use anyhow::Result;
use serde_json::Value;

use super::harmless;

/// As JSON that steers no terminal.
pub fn json(value: &Value) -> Result<String> {
    Ok(harmless::json(serde_json::to_string_pretty(value)? + "\n"))
}
