//! The node and what happened on it, as the agent published both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::field::text;
use super::{read, say};
use crate::api::published;
use crate::host::Runtime;

/// As much of one file of the ring as is read: more than the agent lets it grow to.
const MAX_RING: u64 = 1 << 20;

/// A published node.
#[derive(Debug)]
pub struct Node {
    /// What the agent published, the object corrected where no agent runs.
    pub published: published::Node,
    /// Whether an agent runs.
    pub agent_runs: bool,
}

/// The published node; `None` where no agent has run since the boot.
pub fn node(runtime: &Runtime) -> Result<Option<Node>> {
    let agent_runs = read::agent_runs(runtime)?;
    let Some(mut published) = read::file::<published::Node>(&runtime.node())? else { return Ok(None) };
    if !agent_runs {
        correct(&mut published.object);
    }
    Ok(Some(Node { published, agent_runs }))
}

/// As [`node`], for what makes no sense without one.
pub fn node_or_fail(runtime: &Runtime) -> Result<Node> {
    read::agent_runs_or_say(runtime)?;
    known(runtime)
}

/// As [`node_or_fail`], where it was said already that no agent runs.
pub fn known(runtime: &Runtime) -> Result<Node> {
    let path = runtime.node();
    node(runtime)?
        .with_context(|| format!("there is no {}: start an agent with `holdfast agent`", path.display()))
}

/// Without an agent nobody knows: the word that a control plane has for a kubelet that is silent.
fn correct(object: &mut Value) {
    let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    let ready = conditions.into_iter().flatten().find(|condition| text(condition, "/type") == "Ready");
    if let Some(ready) = ready {
        ready["status"] = json!("Unknown");
        ready["reason"] = json!("NodeStatusUnknown");
        ready["message"] = json!("the agent is not running");
    }
}

/// Everything in the ring, of several lines about one event the last, by the time of the last word. What is no event is
/// passed over: a last line may be half.
pub fn events(runtime: &Runtime) -> Result<Vec<Value>> {
    let mut latest = BTreeMap::new();
    for path in [runtime.older_events(), runtime.events()] {
        for line in ring(&path)?.split(|byte| *byte == b'\n') {
            let Ok(event) = serde_json::from_slice::<Value>(line) else { continue };
            let part = |pointer: &str| text(&event, pointer).to_string();
            let key = (part("/metadata/namespace"), part("/metadata/name"));
            if !key.1.is_empty() {
                latest.insert(key, event);
            }
        }
    }
    let mut events: Vec<Value> = latest.into_values().collect();
    events.sort_by(|a, b| text(a, "/lastTimestamp").cmp(text(b, "/lastTimestamp")));
    Ok(events)
}

fn ring(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_RING).read_to_end(&mut bytes)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => drop(read.with_context(|| format!("read {}", path.display()))?),
    }
    Ok(bytes)
}

/// As [`events`], for pages that say other things too: without them, that is said.
pub fn events_or_say(runtime: &Runtime) -> Vec<Value> {
    events(runtime).unwrap_or_else(|error| {
        say(&format!("warning: {error:#}"));
        Vec::new()
    })
}
