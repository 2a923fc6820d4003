//! One line of `get pods`: kubectl's summary of a pod (`printPod` in its printers).

use jiff::Timestamp;
use serde_json::Value;

use super::age;
use super::field::{holds, list, number, text};

/// The cells, as shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Ready containers and all: `1/2`.
    pub ready: String,
    /// One word, mostly of the container that is worst off.
    pub status: String,
    /// How often, and how long ago the last time: `2 (10s ago)`.
    pub restarts: String,
    /// Since it was first seen.
    pub age: String,
}

/// The summary of the core/v1 Pod `object`.
pub fn row(object: &Value, now: Timestamp) -> Row {
    let containers = list(object, "/status/containerStatuses");
    let ready = containers.iter().filter(|status| is_ready(status)).count();
    Row {
        ready: format!("{ready}/{}", list(object, "/spec/containers").len()),
        status: status(object, containers),
        restarts: restarts(containers, now),
        age: age::since(text(object, "/metadata/creationTimestamp"), now),
    }
}

fn is_ready(status: &Value) -> bool {
    holds(status, "/ready") && status.pointer("/state/running").is_some()
}

fn status(object: &Value, containers: &[Value]) -> String {
    let phase = text(object, "/status/phase");
    let deleted = object.pointer("/metadata/deletionTimestamp").is_some();
    if deleted && !matches!(phase, "Succeeded" | "Failed") {
        return "Terminating".to_string();
    }
    // The first container that has something to tell is heard.
    let told = containers.iter().find_map(told);
    let whole = match text(object, "/status/reason") {
        "" => phase,
        reason => reason,
    };
    let status = told.unwrap_or_else(|| whole.to_string());
    if status == "Completed" && containers.iter().any(is_ready) {
        let conditions = list(object, "/status/conditions");
        let ready =
            |condition: &Value| text(condition, "/type") == "Ready" && text(condition, "/status") == "True";
        return if conditions.iter().any(ready) { "Running" } else { "NotReady" }.to_string();
    }
    status
}

/// What a container that does not run gives as the reason.
fn told(status: &Value) -> Option<String> {
    let waiting = text(status, "/state/waiting/reason");
    if !waiting.is_empty() {
        return Some(waiting.to_string());
    }
    let exit = status.pointer("/state/terminated")?;
    Some(match (text(exit, "/reason"), number(exit, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number(exit, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_string(),
    })
}

fn restarts(containers: &[Value], now: Timestamp) -> String {
    let count: i64 = containers.iter().map(|status| number(status, "/restartCount")).sum();
    let ends = containers.iter().map(|status| text(status, "/lastState/terminated/finishedAt"));
    // RFC 3339 in UTC and whole seconds: the greatest text is the latest time.
    match ends.filter(|end| !end.is_empty()).max() {
        Some(last) if count != 0 => format!("{count} ({} ago)", age::since(last, now)),
        _ => count.to_string(),
    }
}
