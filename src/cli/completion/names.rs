//! What is there to be named: pods, containers, namespaces, files of the manifests directory.
//!
//! Errors are silence: somebody is in the middle of a line.

use std::collections::BTreeSet;

use serde_json::Value;

use super::grammar::Asked;
use crate::cli::field::{self, list, text};
use crate::cli::read::{self, Found};
use crate::config;
use crate::host::Runtime;

/// The names that fit what is asked for.
pub fn names(asked: &Asked) -> BTreeSet<String> {
    let given = |name: &str| asked.given.get(name).map(String::as_str);
    let runtime = Runtime::new(given("runtime-dir").unwrap_or(config::RUNTIME_DIR));
    let kind = match asked.name.as_deref() {
        Some("NAME") => given("KIND").unwrap_or_default(),
        Some(name) => name,
        None => return BTreeSet::new(),
    };
    match kind {
        "POD" | "pod" | "pods" | "po" => {
            // `logs` takes `pod/web` too.
            let slashed = asked.before.is_empty().then(|| asked.word.split_once('/')).flatten();
            let before = slashed.map(|(kind, _)| format!("{kind}/")).unwrap_or_default();
            let pods = pods(&runtime, given("NAMESPACE"));
            pods.iter().map(|pod| format!("{before}{}", pod.name())).collect()
        }
        "CONTAINER" => containers(&pods(&runtime, given("NAMESPACE")), given("POD")),
        "NAMESPACE" => {
            let pods = read::all(&runtime).unwrap_or_default();
            pods.iter().map(|pod| pod.namespace().to_string()).collect()
        }
        "manifest" | "manifests" => manifests(&runtime),
        "node" | "nodes" | "no" => read::file::<Value>(&runtime.node())
            .ok()
            .flatten()
            .map(|node| text(&node, "/name").to_string())
            .into_iter()
            .collect(),
        _ => BTreeSet::new(),
    }
}

fn pods(runtime: &Runtime, namespace: Option<&str>) -> Vec<Found> {
    let mut pods = read::all(runtime).unwrap_or_default();
    pods.retain(|pod| pod.namespace() == namespace.unwrap_or("default"));
    pods
}

fn containers(pods: &[Found], pod: Option<&str>) -> BTreeSet<String> {
    let pod = pod.map(|pod| pod.split_once('/').map_or(pod, |(_, name)| name));
    let meant = pods.iter().filter(|found| pod.is_none_or(|pod| found.is_called(pod)));
    let named = |found: &Found| {
        let all = field::containers(&found.pod.object);
        all.map(|container| text(container, "/name").to_string()).collect::<Vec<_>>()
    };
    meant.flat_map(named).collect()
}

fn manifests(runtime: &Runtime) -> BTreeSet<String> {
    let verdict = read::file::<Value>(&runtime.manifests()).ok().flatten().unwrap_or_default();
    list(&verdict, "/files").iter().map(|file| text(file, "/name").to_string()).collect()
}
