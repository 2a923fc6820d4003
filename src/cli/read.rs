//! Reads what the agent published, whether or not it still runs.
//!
//! Invariant: one file that cannot be read hides no other; it is named on stderr.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::field::text;
use super::{PATIENCE, live, say};
use crate::agent::Client;
use crate::api::published;
use crate::host::{PodDir, Runtime};
use crate::protocol::Request;
use crate::sys::lock;

/// A published pod.
#[derive(Debug)]
pub struct Found {
    /// Its directory's name.
    pub uid: String,
    /// What was published, corrected where no agent runs.
    pub pod: published::Pod,
}

impl Found {
    /// `metadata.namespace`.
    pub fn namespace(&self) -> &str {
        text(&self.pod.object, "/metadata/namespace")
    }

    /// `metadata.name`, with the node's name in it.
    pub fn name(&self) -> &str {
        text(&self.pod.object, "/metadata/name")
    }

    /// Whether a person who types `name` means this pod: with the node's name appended or without.
    pub fn is_called(&self, name: &str) -> bool {
        let node = text(&self.pod.object, "/spec/nodeName");
        let own = self.name();
        own == name || own.strip_suffix(node).and_then(|own| own.strip_suffix('-')) == Some(name)
    }

    fn ends(&self) -> bool {
        self.pod.object.pointer("/metadata/deletionTimestamp").is_some()
    }
}

/// Which pods are meant.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// A namespace; all where absent.
    pub namespace: Option<String>,
    /// A pod's name; all where absent.
    pub name: Option<String>,
}

/// Whether an agent runs on `runtime`.
///
/// The agent holds the lock.
pub fn agent_runs(runtime: &Runtime) -> Result<bool> {
    lock::is_held(&runtime.lock()).with_context(|| format!("look at {}", runtime.lock().display()))
}

/// As [`agent_runs`], and where none does, says on stderr what to think of what follows.
pub fn agent_runs_or_say(runtime: &Runtime) -> Result<bool> {
    if !runtime.root().exists() {
        let at = runtime.root().display();
        bail!(
            "no agent has run here: there is no {at}; start one with `holdfast agent`, or name its --runtime-dir"
        );
    }
    let runs = agent_runs(runtime)?;
    if !runs {
        say("the agent is not running: this is what it last published");
    }
    Ok(runs)
}

/// The pods that are meant, by namespace and name. Files that cannot be read are named on stderr.
///
/// Fails where a name was given and no pod has it.
pub fn pods(runtime: &Runtime, selection: &Selection) -> Result<Vec<Found>> {
    let corrected = !agent_runs_or_say(runtime)?;
    let mut found: Vec<Found> = all(runtime)?;
    found.retain(|pod| selection.namespace.as_ref().is_none_or(|namespace| pod.namespace() == namespace));
    if let Some(name) = &selection.name {
        found.retain(|pod| pod.is_called(name));
        if found.is_empty() {
            bail!("pod {name:?} not found{}", nowhere(selection));
        }
    }
    if corrected {
        correct(runtime, &mut found);
    }
    Ok(found)
}

/// The one pod that is called `name`. Of two, one after the other, the one that does not end yet.
pub fn pod(runtime: &Runtime, namespace: &str, name: &str) -> Result<Found> {
    let selection = Selection { namespace: Some(namespace.to_string()), name: Some(name.to_string()) };
    let mut found = pods(runtime, &selection)?;
    found.sort_by_key(Found::ends);
    found.into_iter().next().with_context(|| format!("pod {name:?} not found"))
}

fn nowhere(selection: &Selection) -> String {
    match &selection.namespace {
        Some(namespace) => format!(" in namespace {namespace:?}; `holdfast get pods -A` lists all"),
        None => "; `holdfast get pods -A` lists all".to_string(),
    }
}

/// Every published pod, as it was published.
pub fn all(runtime: &Runtime) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for uid in uids(runtime)? {
        let path = runtime.pod(&uid).status();
        match file::<published::Pod>(&path) {
            Ok(Some(pod)) => found.push(Found { uid, pod }),
            Ok(None) => {}
            Err(error) => say(&format!("warning: {error:#}")),
        }
    }
    found.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(found)
}

/// By namespace and name, and of two the older first.
fn key(found: &Found) -> (&str, &str, &str) {
    (found.namespace(), found.name(), text(&found.pod.object, "/metadata/creationTimestamp"))
}

/// The names of all directories of pods.
pub fn uids(runtime: &Runtime) -> Result<BTreeSet<String>> {
    let path = runtime.pods();
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other.with_context(|| format!("read {}{}", path.display(), perhaps_root()))?,
    };
    let mut uids = BTreeSet::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", path.display()))?;
        if entry.path().is_dir() {
            uids.extend(entry.file_name().into_string());
        }
    }
    Ok(uids)
}

fn perhaps_root() -> &'static str {
    if nix::unistd::geteuid().is_root() { "" } else { " (only root may)" }
}

/// A published file; `None` where it is not there (any more).
pub fn file<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => {
            let bytes = other.with_context(|| format!("read {}", path.display()))?;
            published::read(&bytes).map(Some).with_context(|| path.display().to_string())
        }
    }
}

/// Asks the pod processes, where nobody else does any more: all at once, so that those that hang cost no more than one.
pub fn correct(runtime: &Runtime, found: &mut [Found]) {
    let ask = |found: &Found| {
        let directory = runtime.pod(&found.uid);
        match Client::connect(&directory.socket()) {
            Err(_) if !alive(&directory) => None,
            connected => Some(connected.and_then(|client| {
                client.send(&Request::State, &[])?;
                Ok(client)
            })),
        }
    };
    let asked: Vec<_> = found.iter().map(ask).collect();
    let deadline = Instant::now() + PATIENCE;
    for (found, asked) in found.iter_mut().zip(asked) {
        let state = match asked.map(|asked| asked.and_then(|client| client.state_by(deadline))).transpose() {
            Ok(state) => state,
            Err(error) => {
                say(&format!("warning: pod {}/{}: {error:#}", found.namespace(), found.name()));
                continue;
            }
        };
        live::correct(&mut found.pod.object, state.as_ref());
        found.pod.next = Some("nothing before the agent runs again".to_string());
    }
}

/// Whether the pod process lives, by the lock that it holds from before its birth until its death.
fn alive(directory: &PodDir) -> bool {
    lock::is_held(&directory.lock()).unwrap_or(false)
}
