//! Writes down what was learnt, and publishes what is the case; only what changed, and only on tmpfs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use log::{error, info, warn};
use serde::Serialize;

use super::world::World;
use crate::api::{self, published};
use crate::lifecycle::{self, BackOff, Facts, Node, Now, RunEnd};
use crate::manifest::verdict::{FileVerdict, Verdict};
use crate::spec::Uid;
use crate::status::{Event, EventKind, Reason, Wall};
use crate::sys::{atomic, clock};

/// The one writer of published files.
pub struct Publisher {
    world: Arc<World>,
    back_off: BackOff,
    started: Wall,
    warnings: Vec<String>,
    /// Of image archives; as long as they are there.
    refused_archives: Vec<String>,
    /// What was last written of each pod, by hash: its status, and its facts.
    written: BTreeMap<Uid, (u64, u64)>,
    /// The events of each pod that the log was told, by hash, and the pod's full name.
    logged: BTreeMap<Uid, (BTreeSet<u64>, String)>,
    /// What was last written of the manifests, and told to the log.
    verdict: Option<Verdict>,
}

impl Publisher {
    /// Publishes into the runtime directory of `world`.
    pub fn new(world: Arc<World>, back_off: BackOff) -> Publisher {
        Publisher {
            world,
            back_off,
            started: clock::wall(),
            warnings: Vec::new(),
            refused_archives: Vec::new(),
            written: BTreeMap::new(),
            logged: BTreeMap::new(),
            verdict: None,
        }
    }

    /// The agent itself, with what the node cannot do.
    pub fn node(&mut self, warnings: &[String]) {
        self.warnings = warnings.to_vec();
        self.write_node();
    }

    /// One more thing that a person should know; each is told once.
    pub fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            warn!("{warning}");
            self.warnings.push(warning);
            self.write_node();
        }
    }

    /// The image archives that were not taken in, in place of those told before.
    pub fn refused_archives(&mut self, refused: Vec<String>) {
        if refused != self.refused_archives {
            let new = refused.iter().filter(|warning| !self.refused_archives.contains(warning));
            new.for_each(|warning| warn!("{warning}"));
            self.refused_archives = refused;
            self.write_node();
        }
    }

    /// What became of the manifests directory.
    pub fn verdict(&mut self, verdict: &Verdict) {
        if self.verdict.as_ref() == Some(verdict) {
            return;
        }
        let told = |file: &&FileVerdict| self.verdict.iter().any(|last| last.files.contains(file));
        for file in verdict.files.iter().filter(|file| !told(file)) {
            for problem in &file.problems {
                warn!("{}/{}:{problem}", verdict.directory, file.name);
            }
        }
        if let Some(problem) = &verdict.problem {
            error!("{}: {problem}", verdict.directory);
        }
        write(&self.world.runtime.manifests(), &words(verdict));
        self.verdict = Some(verdict.clone());
    }

    /// A pod of an earlier agent, whose log was told what had happened to it.
    pub fn adopted(&mut self, facts: &Facts) {
        let told = facts.history.all().iter().map(identity).collect();
        self.logged.insert(facts.pod.uid.clone(), (told, facts.pod.full_name()));
    }

    /// What is known of a pod, and its status.
    pub fn pod(&mut self, facts: &Facts, now: Now) {
        let pod = &facts.pod;
        let directory = self.world.runtime.pod(&pod.uid.0);
        if !directory.spec().exists() {
            self.written.remove(&pod.uid);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory.root());
            if let Err(cause) = made {
                error!("make directory {}: {cause}", directory.root().display());
            }
            write(&directory.spec(), &words(&**pod));
        }
        let status = lifecycle::status(facts, &self.back_off, None);
        self.tell(facts, &status.events);
        let object = api::pod(pod, &status, facts.seen).unwrap_or_else(|cause| {
            error!("pod {}: its object is damaged: {cause}", pod.full_name());
            serde_json::Value::Null
        });
        let published = published::Pod {
            version: published::VERSION,
            object,
            events: status.events.iter().map(|event| api::event(pod, event)).collect(),
            manifest: pod.origin.clone(),
            log_directory: self.world.logs(pod).display().to_string(),
            next: lifecycle::next(facts).map(|(due, what)| {
                let wait = due.saturating_sub(now.boot);
                format!("{what} at {}", api::seconds(Wall(now.wall.0 + wait.as_nanos() as i64)))
            }),
        };
        // `next` is left out: its time is told anew by every step, to the second.
        let facts = words(facts);
        let hashes = (hash(&words(&(&published.object, &published.events))), hash(&facts));
        let last = self.written.insert(pod.uid.clone(), hashes);
        if last.is_none_or(|last| last.1 != hashes.1) {
            write(&directory.facts(), &facts);
        }
        if last.is_none_or(|last| last != hashes) {
            write(&directory.status(), &words(&published));
        }
    }

    /// The end of a run, for the log.
    pub fn exit(&self, uid: &Uid, end: &RunEnd, node: &Node) {
        let Some(facts) = node.facts(uid) else { return };
        let (name, container) = (facts.pod.full_name(), &end.container);
        let reason = match end.exit.reason {
            Reason::OOMKilled => " (OOMKilled)",
            _ => "",
        };
        info!(
            "pod {name}: container {container} exited with {}{reason} after {:.1?}",
            end.exit.code, end.ran
        );
    }

    /// A pod is gone: so is its place.
    pub fn gone(&mut self, uid: &Uid) {
        let name = self.logged.remove(uid).map_or_else(|| uid.to_string(), |(_, name)| name);
        if self.written.remove(uid).is_some() {
            let directory = self.world.runtime.pod(&uid.0);
            match fs::remove_dir_all(directory.root()) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    error!("remove {}: {cause}", directory.root().display());
                }
                _ => info!("pod {name}: gone"),
            }
        }
    }

    /// A pod's life in the log: each event once, its repetitions not at all.
    fn tell(&mut self, facts: &Facts, events: &[Event]) {
        let first = || (BTreeSet::new(), facts.pod.full_name());
        let told = self.logged.entry(facts.pod.uid.clone()).or_insert_with(first);
        for event in events.iter().filter(|event| event.count == 1 && !told.0.contains(&identity(event))) {
            let of = event.container.as_deref().map(|name| format!("container {name}: ")).unwrap_or_default();
            let (name, message) = (facts.pod.full_name(), &event.message);
            match event.kind {
                EventKind::Normal => info!("pod {name}: {of}{message}"),
                EventKind::Warning => warn!("pod {name}: {of}{}: {message}", event.reason),
            }
        }
        told.0 = events.iter().map(identity).collect();
    }

    fn write_node(&self) {
        let (world, config) = (&self.world, &self.world.config);
        let text = |path: &Path| path.display().to_string();
        let node = published::Node {
            version: published::VERSION,
            name: world.node_name.clone(),
            pid: std::process::id(),
            started: self.started,
            cgroup_root: config.cgroup_root.clone(),
            data_dir: text(&config.data_dir),
            manifests_dir: text(&config.pod_manifest_path),
            log_dir: text(&config.log_dir),
            warnings: [&self.warnings[..], &self.refused_archives].concat(),
        };
        write(&world.runtime.node(), &words(&node));
    }
}

/// What makes an event the same one again. Its time does not: the wall clock jumps.
fn identity(event: &Event) -> u64 {
    hash(&(event.reason, &event.container, &event.message))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// As it is written.
fn words(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data, with strings for keys and no number that JSON lacks")
}

/// A full tmpfs must not end the agent: what is published then is old, and the log says so.
fn write(path: &Path, words: &[u8]) {
    if let Err(cause) = atomic::replace(path, words, 0o600) {
        error!("write {}: {cause}", path.display());
    }
}
