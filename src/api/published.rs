//! The files that the agent writes and everybody reads, in the runtime directory: `pods/<uid>/status.json` ([`Pod`]) and
//! `node.json` ([`Node`]). `manifests.json` is the manifest area's, of the same versions.
//!
//! Beside them is `events`: one core/v1 Event a line, as it happened, of pods that are gone too and of the node itself. A
//! later line with the same namespace and name replaces the earlier one, since it happened again; a last line may be half.
//! Before it come the lines of `events.1`.
//!
//! They outlive the agent: a reader tells by the lock of the runtime directory whether they are still kept up to date.
//!
//! Invariant: fields are only added, with `#[serde(default)]`; what an older reader would misunderstand raises the
//! version, and an older reader then refuses the file by name instead of guessing.

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::status::Wall;

/// The version that this build writes, and the highest that it reads.
pub const VERSION: u32 = 1;

/// Everything published of one pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The core/v1 Pod with its status ([`super::pod`]).
    pub object: Value,
    /// core/v1 Events ([`super::event()`]), oldest first.
    pub events: Vec<Value>,
    /// Path of the manifest file it came from.
    pub manifest: String,
    /// `<log-dir>/<namespace>_<name>_<uid>`.
    pub log_directory: String,
    /// What happens next and when, a sentence; absent where nothing is due.
    #[serde(default)]
    pub next: Option<String>,
}

/// Everything published of the agent itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The node's name.
    pub name: String,
    /// The agent's process ID, for people.
    pub pid: u32,
    /// When the agent started.
    pub started: Wall,
    /// `--cgroup-root`.
    pub cgroup_root: String,
    /// `--data-dir`.
    pub data_dir: String,
    /// `--pod-manifest-path`.
    pub manifests_dir: String,
    /// `--log-dir`.
    pub log_dir: String,
    /// What this node cannot do and why, a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The core/v1 Node ([`super::node()`]); null in a file of an agent that wrote none.
    #[serde(default)]
    pub object: Value,
}

/// What probes were answered and what they cost, since the agent started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// In no order.
    pub probes: Vec<Probe>,
}

/// One probe of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The container's name.
    pub container: String,
    /// `startup`, `liveness` or `readiness`.
    pub kind: String,
    /// `periodSeconds`.
    pub period: u64,
    /// The latest answer: `success`, `warning`, `failure` or `error`.
    pub last: String,
    /// When that came.
    pub at: Wall,
    /// How often it was asked.
    pub runs: u64,
    /// How often the answer was bad, or there was none.
    pub failures: u64,
    /// Nanoseconds from question to answer, all together.
    pub wall_ns: u64,
    /// Nanoseconds of processor time, all together: of the agent's thread, and of what ran in the container.
    pub cpu_ns: u64,
}

/// Reads a published file.
///
/// Fails where it is no such file, and where its version is higher than [`VERSION`], with a sentence that says so.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> anyhow::Result<T> {
    let value: Value = serde_json::from_slice(text).context("read JSON")?;
    let version = value["version"].as_u64().context("it has no version")?;
    ensure!(
        version <= u64::from(VERSION),
        "it was written by a newer holdfast (version {version}, this one reads {VERSION}): use that one"
    );
    serde_json::from_value(value).context("read its fields")
}
