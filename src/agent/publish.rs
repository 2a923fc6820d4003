//! Writes down what was learnt, and publishes what is the case and what happened; only what changed, and only on tmpfs.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};
use serde::Serialize;

use super::news;
use super::node::{Look, NodeFile};
use super::ring::Ring;
use super::world::World;
use crate::api::{self, Amounts, Pressure, published};
use crate::lifecycle::{self, BackOff, Facts, Node, Now, RunEnd};
use crate::manifest::verdict::Verdict;
use crate::spec::Uid;
use crate::status::{Event, EventKind, Phase, PodStatus, Reason, Wall};
use crate::sys::{atomic, clock};

/// The one writer of published files.
pub struct Publisher {
    world: Arc<World>,
    back_off: BackOff,
    node: NodeFile,
    ring: Ring,
    /// By how much the wall clock was ahead of the time since boot, when it was last looked at.
    offset: i64,
    /// What was last written of each pod, by hash: its status, and its facts.
    written: BTreeMap<Uid, (u64, u64)>,
    /// What was told of each pod.
    told: BTreeMap<Uid, Told>,
    /// What was last written of the manifests, and told to the log.
    verdict: Option<Verdict>,
}

/// What was told of a pod.
struct Told {
    full_name: String,
    /// Its phase is Running.
    runs: bool,
    /// The events that the log was told, by hash, and how often the ring was told that they happened.
    events: BTreeMap<u64, u32>,
}

/// The wall clock jumped if it moved by this much against the time since boot.
const JUMP: i64 = 5_000_000_000;

/// Something that happened to the node.
#[derive(Debug)]
pub struct Note {
    /// Whether a person should look.
    pub kind: EventKind,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl Publisher {
    /// Publishes into the runtime directory of `world`.
    pub fn new(world: Arc<World>, back_off: BackOff, look: Look) -> Publisher {
        let now = Now { boot: clock::boottime(), wall: clock::wall() };
        let mut node = NodeFile::new(&world, look, now);
        let mut ring = Ring::open(&world.runtime, &world.node_name);
        ring.begin(now.wall);
        node.warnings = world.warnings.clone();
        let mut publisher = Publisher {
            world,
            back_off,
            node,
            ring,
            offset: offset(now),
            written: BTreeMap::new(),
            told: BTreeMap::new(),
            verdict: None,
        };
        for warning in publisher.node.warnings.clone() {
            publisher.ring.note(now.wall, EventKind::Warning, "NodeWarning", &warning);
        }
        for kind in publisher.node.strained().collect::<Vec<_>>() {
            publisher.strain(kind, true, now);
        }
        publisher.write_node();
        publisher
    }

    /// Another look at the machine.
    pub fn look(&mut self, look: Look) {
        let now = Now { boot: clock::boottime(), wall: clock::wall() };
        self.clock(now);
        let (turned, changed) = self.node.look(look, now);
        for (kind, short) in turned {
            self.strain(kind, short, now);
        }
        if changed {
            self.write_node();
        }
    }

    /// What the node has for pods, as of the last look.
    pub fn allocatable(&self) -> Amounts {
        self.node.allocatable(&self.world)
    }

    /// Something that happened to the node.
    pub fn note(&mut self, note: &Note) {
        self.ring.note(clock::wall(), note.kind, note.reason, &note.message);
    }

    /// So many pods of an earlier agent go on.
    pub fn took_over(&mut self, pods: usize) {
        if pods != 0 {
            let message = format!("took over {pods} pod{}", if pods == 1 { "" } else { "s" });
            self.ring.note(clock::wall(), EventKind::Normal, "Adopted", &message);
        }
    }

    /// The agent is about to end.
    pub fn end(&mut self, why: &str) {
        self.ring.end(clock::wall(), why);
        self.ring.flush_all();
    }

    /// When what happened is to be written; `None` where nothing waits.
    pub fn due(&self) -> Option<Duration> {
        self.ring.due()
    }

    /// Writes what happened.
    pub fn flush(&mut self) {
        self.ring.flush(clock::boottime());
    }

    /// One more thing that a person should know; each is told once.
    pub fn warn(&mut self, warning: String) {
        if !self.node.warnings.contains(&warning) {
            warn!("{warning}");
            self.ring.note(clock::wall(), EventKind::Warning, "NodeWarning", &warning);
            self.node.warnings.push(warning);
            self.write_node();
        }
    }

    /// Another supervisor that reads the same manifests, or that there is none any more. Pods go on: which of the two is
    /// to end is for a person to say.
    pub fn rival(&mut self, rival: Option<String>) {
        let directory = self.world.config.pod_manifest_path.display();
        let warning = rival.map(|rival| {
            format!(
                "{rival} reads manifests from {directory} too: every pod runs twice on the same data; stop it, or give \
                 one of them another directory"
            )
        });
        if warning == self.node.rival {
            return;
        }
        match &warning {
            Some(warning) => {
                warn!("{warning}");
                self.ring.note(clock::wall(), EventKind::Warning, "NodeWarning", warning);
            }
            None => info!("nobody else reads manifests from {directory} any more"),
        }
        self.node.rival = warning;
        self.write_node();
    }

    /// The image archives that were not taken in, in place of those told before.
    pub fn refused_archives(&mut self, refused: Vec<String>) {
        let known = std::mem::replace(&mut self.node.refused_archives, refused.clone());
        self.refused(&known, &refused);
    }

    /// What is wrong with lists of images, in place of what was told before.
    pub fn refused_lists(&mut self, refused: Vec<String>) {
        let known = std::mem::replace(&mut self.node.refused_lists, refused.clone());
        self.refused(&known, &refused);
    }

    fn refused(&mut self, known: &[String], refused: &[String]) {
        if known != refused {
            for warning in refused.iter().filter(|warning| !known.contains(warning)) {
                warn!("{warning}");
                self.ring.note(clock::wall(), EventKind::Warning, "ImageRefused", warning);
            }
            self.write_node();
        }
    }

    /// What became of the manifests directory.
    pub fn verdict(&mut self, verdict: &Verdict) {
        if self.verdict.as_ref() == Some(verdict) {
            return;
        }
        news::log(self.verdict.as_ref(), verdict);
        for note in news::notes(self.verdict.as_ref(), verdict) {
            self.note(&note);
        }
        write(&self.world.runtime.manifests(), &words(verdict));
        self.verdict = Some(verdict.clone());
    }

    /// A pod of an earlier agent, whose log was told what had happened to it.
    pub fn adopted(&mut self, facts: &Facts) {
        let events = facts.history.all().iter();
        let events = events.map(|event| (identity(event), self.ring.told(&facts.pod, event))).collect();
        self.told
            .insert(facts.pod.uid.clone(), Told { full_name: facts.pod.full_name(), runs: false, events });
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
        self.clock(now);
        let status = lifecycle::status(facts, &self.back_off, self.node.address());
        self.tell(facts, &status);
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
            next: lifecycle::next(facts).map(|next| match next.due {
                Some(due) => {
                    let wait = due.saturating_sub(now.boot);
                    format!("{} at {}", next.what, api::seconds(Wall(now.wall.0 + wait.as_nanos() as i64)))
                }
                None => next.what,
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

    /// All pods in one line, for a service manager.
    pub fn sentence(&self, going_down: bool) -> String {
        let pods = self.told.len();
        let count = format!("{pods} pod{}", if pods == 1 { "" } else { "s" });
        match going_down {
            true => format!("going down, {count} left"),
            false => format!("{count}, {} running", self.told.values().filter(|told| told.runs).count()),
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
        let name = self.told.remove(uid).map_or_else(|| uid.to_string(), |told| told.full_name);
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

    /// A pod's life: in the log each event once, its repetitions not at all; in the ring all that is new.
    fn tell(&mut self, facts: &Facts, status: &PodStatus) {
        let (pod, events) = (&facts.pod, &status.events);
        let first = || Told { full_name: pod.full_name(), runs: false, events: BTreeMap::new() };
        let told = self.told.entry(pod.uid.clone()).or_insert_with(first);
        told.runs = status.phase == Phase::Running;
        for event in events {
            let known = told.events.get(&identity(event)).copied();
            if known != Some(event.count) {
                self.ring.pod(pod, event);
            }
            if event.count != 1 || known.is_some() {
                continue;
            }
            let of = event.container.as_deref().map(|name| format!("container {name}: ")).unwrap_or_default();
            let (name, message) = (&told.full_name, &event.message);
            match event.kind {
                EventKind::Normal => info!("pod {name}: {of}{message}"),
                EventKind::Warning => warn!("pod {name}: {of}{}: {message}", event.reason),
            }
        }
        told.events = events.iter().map(|event| (identity(event), event.count)).collect();
    }

    /// The node is short of something, or no longer, in the kubelet's words.
    fn strain(&mut self, kind: Pressure, short: bool, now: Now) {
        let message = format!("Node {} status is now: Node{}", self.world.node_name, kind.reason(short));
        let (event, reason) = match short {
            true => (EventKind::Warning, format!("Node{}", kind.reason(true))),
            false => (EventKind::Normal, format!("Node{}", kind.reason(false))),
        };
        if short {
            warn!("{message}");
        }
        self.ring.note(now.wall, event, &reason, &message);
    }

    /// Notices that the wall clock was set.
    fn clock(&mut self, now: Now) {
        let offset = offset(now);
        if JUMP < offset.saturating_sub(self.offset).saturating_abs() {
            let before = Wall(self.offset.saturating_add(boot_nanos(now)));
            let message = format!(
                "the clock was set from {} to {}: times and ages of what happened before are off by as much",
                api::seconds(before),
                api::seconds(now.wall)
            );
            info!("{message}");
            self.ring.note(now.wall, EventKind::Warning, "ClockJumped", &message);
            self.offset = offset;
        }
    }

    fn write_node(&self) {
        write(&self.world.runtime.node(), &words(&self.node.published(&self.world)));
    }
}

fn offset(now: Now) -> i64 {
    now.wall.0.saturating_sub(boot_nanos(now))
}

fn boot_nanos(now: Now) -> i64 {
    i64::try_from(now.boot.as_nanos()).unwrap_or(i64::MAX)
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
