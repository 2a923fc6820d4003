//! What happened, in a ring of two files on tmpfs: of pods, of those that are gone too, and of the node itself.
//!
//! Nothing that happens a thousand times a second is written a thousand times: what waits to be written is one line for
//! each event, the latest, and lines are few a second and in one write. An agent that dies loses the last quarter of a
//! second; what of it is a living pod's the next agent adds from what it knows of that pod.
//!
//! Invariant: `events` and `events.1` have at most [`MAX_BYTES`] each, and a disk that is full ends nobody.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::{debug, warn};
use serde_json::{Value, json};

use crate::api::{self, NodeEvent};
use crate::host::Runtime;
use crate::spec::Pod;
use crate::status::{Event, EventKind, Wall};

/// Of each of the two files.
pub const MAX_BYTES: u64 = 256 << 10;
/// Shortest time between two writes: a burst becomes one.
const PAUSE: Duration = Duration::from_millis(250);
/// Lines that may be written at once after a while of silence, and how many more each second.
const BURST: u32 = 100;
const PER_SECOND: u32 = 10;
/// Lines that may wait to be written; beyond it the oldest is dropped and counted.
const MAX_WAITING: usize = 1000;
/// core/v1's own limit of a message.
const MAX_MESSAGE: usize = 1024;
/// Events of the node that are counted on.
const MAX_KNOWN: usize = 200;

/// The writer of the ring.
pub struct Ring {
    path: PathBuf,
    older: PathBuf,
    node: String,
    file: Option<File>,
    length: u64,
    /// A write failed: the next one begins a line of its own, and its failure is no news.
    broken: bool,
    /// What is to be written, the latest of each event, by [`key`].
    waiting: VecDeque<(u64, String)>,
    dropped: u64,
    /// How many lines may be written, as of when; and when the last was.
    tokens: u32,
    counted: Duration,
    written: Duration,
    /// Events of the node, by reason and message, to count on.
    known: BTreeMap<(String, String), NodeEvent>,
    found: Found,
}

/// What an earlier agent left.
#[derive(Default)]
struct Found {
    /// How often each event was told, by [`key`].
    counts: HashMap<u64, u32>,
    /// Lines older than this are lost.
    oldest: Option<String>,
    /// The last word of the node on its agent.
    last_agent: Option<String>,
}

/// Reasons that tell of the agent's own life.
const STARTING: &str = "Starting";
const STOPPING: &str = "Stopping";

impl Ring {
    /// The ring of `runtime`, with what an earlier agent wrote.
    pub fn open(runtime: &Runtime, node: &str) -> Ring {
        let mut ring = Ring {
            path: runtime.events(),
            older: runtime.older_events(),
            node: node.to_owned(),
            file: None,
            length: 0,
            broken: false,
            waiting: VecDeque::new(),
            dropped: 0,
            tokens: BURST,
            counted: Duration::ZERO,
            written: Duration::ZERO,
            known: BTreeMap::new(),
            found: Found::default(),
        };
        for path in [&ring.older, &ring.path] {
            for line in lines(path) {
                ring.found.learn(&line);
                if let Some(event) = of_node(&line, node) {
                    ring.known.insert((event.reason.clone(), event.message.clone()), event);
                }
            }
        }
        if !ring.older.exists() {
            ring.found.oldest = None;
        }
        ring
    }

    /// The agent began.
    pub fn begin(&mut self, now: Wall) {
        if self.found.last_agent.as_deref() == Some(STARTING) {
            let message = "the agent before this one ended without a word: it crashed or was killed";
            self.note(now, EventKind::Warning, "AgentDied", message);
        }
        let message = format!("Starting holdfast v{}", env!("CARGO_PKG_VERSION"));
        self.note(now, EventKind::Normal, STARTING, &message);
    }

    /// The agent is about to end.
    pub fn end(&mut self, now: Wall, why: &str) {
        self.note(now, EventKind::Normal, STOPPING, why);
    }

    /// Something happened to the node.
    pub fn note(&mut self, now: Wall, kind: EventKind, reason: &str, message: &str) {
        let message = cut(message);
        let id = (reason.to_owned(), message.to_owned());
        if !self.known.contains_key(&id) && MAX_KNOWN <= self.known.len() {
            let oldest = self.known.iter().min_by_key(|(_, event)| event.last).map(|(id, _)| id.clone());
            oldest.map(|id| self.known.remove(&id));
        }
        let event = self.known.entry(id).or_insert_with(|| NodeEvent {
            kind,
            reason: reason.to_owned(),
            message: message.to_owned(),
            first: now,
            last: now,
            count: 0,
        });
        (event.last, event.count) = (now, event.count.saturating_add(1));
        let object = api::node_event(&self.node, event);
        self.push(&object);
    }

    /// Something happened to a pod.
    pub fn pod(&mut self, pod: &Pod, event: &Event) {
        let mut object = api::event(pod, event);
        if MAX_MESSAGE < event.message.len() {
            object["message"] = json!(cut(&event.message));
        }
        self.push(&object);
    }

    /// How often an event of an adopted pod was told: as often as it happened where it is too long ago to be here.
    pub fn told(&self, pod: &Pod, event: &Event) -> u32 {
        let object = api::event(pod, event);
        let lost = || self.found.oldest.as_deref().is_some_and(|oldest| *api::seconds(event.last) < *oldest);
        match self.found.counts.get(&key(&object)) {
            Some(count) => *count,
            None if lost() => event.count,
            None => 0,
        }
    }

    /// When the next lines may be written; `None` when none waits.
    pub fn due(&self) -> Option<Duration> {
        let next = if self.tokens == 0 { Duration::from_secs(1) } else { PAUSE };
        (!self.waiting.is_empty()).then(|| self.written + next)
    }

    /// Writes what may be written at `now` (since boot).
    pub fn flush(&mut self, now: Duration) {
        if self.waiting.is_empty() || now < self.written + PAUSE {
            return;
        }
        let more = now.saturating_sub(self.counted).as_millis() as u64 * u64::from(PER_SECOND) / 1000;
        if 0 < more {
            self.tokens = u64::from(self.tokens).saturating_add(more).min(BURST.into()) as u32;
            self.counted = now;
        }
        if self.dropped != 0 && self.tokens != 0 {
            warn!("{} events were left out of the ring: more happened than it takes", self.dropped);
            self.dropped = 0;
        }
        let count = self.waiting.len().min(self.tokens as usize);
        self.write_now(count, now);
    }

    /// Writes all that waits, since the agent is about to end.
    pub fn flush_all(&mut self) {
        self.write_now(self.waiting.len(), self.written);
    }

    fn write_now(&mut self, count: usize, now: Duration) {
        if count == 0 {
            return;
        }
        let batch: String = self.waiting.drain(..count).map(|(_, line)| line).collect();
        self.tokens = self.tokens.saturating_sub(count as u32);
        self.written = now;
        match self.write(&batch) {
            Ok(()) if self.broken => {
                warn!("{} is written again", self.path.display());
                self.broken = false;
            }
            Ok(()) => {}
            Err(error) if self.broken => debug!("write {}: {error}", self.path.display()),
            Err(error) => {
                warn!("write {}: {error}; what happens meanwhile is not kept", self.path.display());
                self.broken = true;
            }
        }
    }

    fn write(&mut self, batch: &str) -> io::Result<()> {
        if self.file.is_none() || MAX_BYTES < self.length + batch.len() as u64 {
            self.turn(batch.len() as u64)?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(batch.as_bytes());
        if written.is_err() {
            // Half a line stays for nobody; where not even this can be done, the next file begins.
            if file.set_len(self.length).is_err() {
                self.file = None;
            }
            return written;
        }
        self.length += batch.len() as u64;
        Ok(())
    }

    /// Opens the file, a new one where this one cannot take `more` bytes.
    fn turn(&mut self, more: u64) -> io::Result<()> {
        let (file, length) = open(&self.path)?;
        if length + more <= MAX_BYTES {
            (self.file, self.length) = (Some(file), length);
            return Ok(());
        }
        self.file = None;
        fs::rename(&self.path, &self.older)?;
        let (file, length) = open(&self.path)?;
        (self.file, self.length) = (Some(file), length);
        Ok(())
    }

    /// Puts an event in the queue: in the place of the same one that waits already.
    fn push(&mut self, object: &Value) {
        let key = key(object);
        let line = format!("{object}\n");
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == key) {
            Some((_, waiting)) => *waiting = line,
            None => {
                if MAX_WAITING <= self.waiting.len() {
                    self.waiting.pop_front();
                    self.dropped += 1;
                }
                self.waiting.push_back((key, line));
            }
        }
    }
}

impl Found {
    fn learn(&mut self, line: &Value) {
        let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let count = line["count"].as_u64().and_then(|count| count.try_into().ok()).unwrap_or(1);
        self.counts.insert(key(line), count);
        let last = text("/lastTimestamp");
        if self.oldest.as_deref().is_none_or(|oldest| last < oldest) {
            self.oldest = Some(last.to_owned());
        }
        let reason = text("/reason");
        if text("/involvedObject/kind") == "Node" && [STARTING, STOPPING].contains(&reason) {
            self.last_agent = Some(reason.to_owned());
        }
    }
}

/// An event of the node as an earlier agent wrote it.
fn of_node(line: &Value, node: &str) -> Option<NodeEvent> {
    let involved = &line["involvedObject"];
    let time = |field: &str| {
        let at: jiff::Timestamp = line[field].as_str()?.parse().ok()?;
        Some(Wall(i64::try_from(at.as_nanosecond()).ok()?))
    };
    if involved["kind"] != "Node" || involved["name"] != node {
        return None;
    }
    // The name keeps the nanoseconds of the first time: it has to stay the same.
    let name = line.pointer("/metadata/name")?.as_str()?;
    let first = name.strip_prefix(node)?.strip_prefix('.')?.split('-').next()?;
    Some(NodeEvent {
        kind: if line["type"] == "Warning" { EventKind::Warning } else { EventKind::Normal },
        reason: line["reason"].as_str()?.to_owned(),
        message: line["message"].as_str()?.to_owned(),
        first: Wall(i64::from_str_radix(first, 16).ok()?),
        last: time("lastTimestamp")?,
        count: line["count"].as_u64()?.try_into().ok()?,
    })
}

/// Which event a line is about: namespace and name.
fn key(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    let part = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    (part("/metadata/namespace"), part("/metadata/name")).hash(&mut hasher);
    hasher.finish()
}

/// The whole lines of a file of the ring; none where it cannot be read.
fn lines(path: &Path) -> Vec<Value> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(2 * MAX_BYTES).read_to_end(&mut text));
    if let Err(error) = read
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!("read {}: {error}", path.display());
    }
    let whole = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    whole.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Opens a file of the ring to append to, and its length. Half a line at its end, of an agent that died over it, is cut off.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let flags = nix::libc::O_NOFOLLOW;
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let length = file.metadata()?.len();
    if length == 0 || MAX_BYTES < length {
        return Ok((file, length));
    }
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end as u64 + 1);
    if whole != length {
        file.set_len(whole)?;
    }
    Ok((file, whole))
}

/// As much of a message as core/v1 takes.
fn cut(message: &str) -> &str {
    match message.len() {
        ..=MAX_MESSAGE => message,
        _ => &message[..message.floor_char_boundary(MAX_MESSAGE)],
    }
}

#[cfg(test)]
mod tests;
