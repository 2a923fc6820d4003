//! kubectl and holdfast side by side, over the same published directory.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{SOON, eventually};
use crate::server::{Objects, Server};
use crate::terminal;
use crate::world::World;

/// Everything published below the runtime directory, as an API server would hold it.
pub fn published(runtime: &Path) -> Objects {
    let mut objects = Vec::new();
    for entry in fs::read_dir(runtime.join("pods")).unwrap() {
        let Ok(text) = fs::read(entry.unwrap().path().join("status.json")) else { continue };
        let pod: Value = serde_json::from_slice(&text).unwrap();
        objects.push(("pods", pod["object"].clone()));
        objects.extend(pod["events"].as_array().unwrap().iter().map(|event| ("events", event.clone())));
    }
    if let Ok(text) = fs::read(runtime.join("node.json")) {
        let node: Value = serde_json::from_slice(&text).unwrap();
        objects.push(("nodes", node["object"].clone()));
    }
    // Of the node's own events, which are in no pod's file; a later line of one name replaces the earlier one.
    let mut events = std::collections::BTreeMap::new();
    for line in fs::read_to_string(runtime.join("events")).unwrap_or_default().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["involvedObject"]["kind"] == "Node" {
            events.insert(event["metadata"]["name"].to_string(), event);
        }
    }
    objects.extend(events.into_values().map(|event| ("events", event)));
    objects.sort_by_key(|(_, object)| object["metadata"]["name"].to_string());
    objects
}

/// Publishes a pod with everything that belongs to it, as `text`.
pub fn publish(world: &World, uid: &str, text: &str) {
    fs::create_dir_all(world.pod(uid)).unwrap();
    fs::write(world.pod(uid).join("status.json"), text).unwrap();
}

/// A published directory, before both.
pub struct Judge<'w> {
    runtime: &'w Path,
    server: Server,
}

impl Judge<'_> {
    /// Shows kubectl what is published below `runtime` now.
    pub fn of(runtime: &Path) -> Judge<'_> {
        Judge { runtime, server: Server::start(published(runtime)) }
    }

    /// What kubectl says.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        // Removed with the directory.
        let home = self.runtime.join("kubectl");
        let mut command = Command::new(terminal::folder().join("kubectl"));
        command
            .args(["--server", &self.server.address, "--kubeconfig", "/dev/null", "--cache-dir"])
            .arg(&home);
        command.env_clear().env("HOME", &home).args(arguments);
        command.output().unwrap()
    }

    /// What holdfast says.
    pub fn holdfast(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(crate::harness::binary());
        command.arg("--runtime-dir").arg(self.runtime).args(arguments).env_remove("NO_COLOR");
        command.output().unwrap()
    }

    /// Asks both, until no second passed between what kubectl said before and what it says after.
    pub fn both(&self, arguments: &[&str]) -> (String, String) {
        eventually(SOON, &format!("both answer {arguments:?} within one second"), || {
            let before = said(&self.kubectl(arguments), "kubectl", arguments);
            let ours = said(&self.holdfast(arguments), "holdfast", arguments);
            let after = said(&self.kubectl(arguments), "kubectl", arguments);
            (before == after).then_some((before, ours))
        })
    }
}

fn said(output: &Output, who: &str, arguments: &[&str]) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(output.status.success(), "{who} {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}
