//! `-w`: shows each change, for as long as somebody reads it. Nothing is looked at again without a reason.
//!
//! The reasons are three. The agent publishes: inotify tells. The agent dies, which no file tells of: a thread waits for
//! its lock, and a published node tells of the next one. And while no agent runs, pod processes tell of their containers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use inotify::WatchMask;
use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::format::{self, Format};
use super::images;
use super::kind::Kind;
use super::query::Query;
use super::{Request, rows, write};
use crate::agent::Client;
use crate::cli::table::Table;
use crate::cli::wait::{self, Wait};
use crate::cli::{PATIENCE, print, read, say};
use crate::host::Runtime;

/// Shows what there is, and then what changes.
pub fn watch(runtime: &Runtime, request: &Request, query: &Query) -> Result<ExitCode> {
    let mut wait = Wait::new()?;
    let mut agent = Agent::new(runtime)?;
    let mut processes = Processes::default();
    let mut shown = Shown::new(request, query.target.kind);
    let mut first = true;
    loop {
        // Watched before it is read, so that no change falls between.
        add(runtime, query.target.kind, &mut wait)?;
        agent.look(runtime, !first)?;
        match (agent.runs(), query.target.kind) {
            (false, Kind::Pods) => processes.follow(runtime)?,
            _ => processes = Processes::default(),
        }
        let mut found = query.find(runtime, agent.runs())?;
        if first {
            request.sort(&mut found)?;
            if let (Some(name), false) = (found.missing.first(), request.ignore_missing) {
                bail!("{}", query.not_found(name));
            }
        }
        shown.show(found.objects)?;
        first = false;
        let mut others: Vec<BorrowedFd<'_>> = processes.clients.values().map(AsFd::as_fd).collect();
        others.extend(agent.end.as_ref().map(AsFd::as_fd));
        if !wait.change_while_read(&others, io::stdout().as_fd())? {
            return Ok(ExitCode::SUCCESS);
        }
        ensure!(
            runtime.root().exists(),
            "{} is gone, and with it all there was to watch",
            runtime.root().display()
        );
    }
}

/// Everything by which a kind changes.
fn add(runtime: &Runtime, kind: Kind, wait: &mut Wait) -> Result<()> {
    // An event is written behind the others.
    let inside = if kind == Kind::Events { WatchMask::MODIFY } else { WatchMask::empty() };
    wait.add(runtime.root(), wait::entries() | inside)?;
    match kind {
        Kind::Pods => {
            wait.add(&runtime.pods(), wait::entries())?;
            for uid in read::uids(runtime)? {
                wait.add(runtime.pod(&uid).root(), wait::entries())?;
            }
        }
        Kind::Images => {
            let data = images::data(runtime)?;
            for directory in [data.own(), data.store()] {
                wait.add(&directory, wait::entries())?;
            }
        }
        Kind::Events | Kind::Nodes | Kind::Manifests => {}
    }
    Ok(())
}

/// The agent, and a descriptor that can be read when it is gone.
struct Agent {
    end: Option<PipeReader>,
}

impl Agent {
    fn new(runtime: &Runtime) -> Result<Agent> {
        let mut agent = Agent { end: None };
        agent.look(runtime, false)?;
        Ok(agent)
    }

    fn runs(&self) -> bool {
        self.end.is_some()
    }

    /// Whether it runs now; says so where that has changed and `tell`.
    fn look(&mut self, runtime: &Runtime, tell: bool) -> Result<()> {
        let before = self.runs();
        let runs = read::agent_runs(runtime)?;
        if let Some(end) = &mut self.end
            && (readable(end.as_fd())? || !runs)
        {
            self.end = None;
        }
        if self.end.is_none() && runs {
            self.end = Some(end(runtime)?);
        }
        match (before, self.runs()) {
            (true, false) if tell => say("the agent has ended: what follows is what its pods say"),
            (false, true) if tell => say("the agent runs again"),
            _ => {}
        }
        Ok(())
    }
}

/// A descriptor that can be read when the agent's lock is free.
fn end(runtime: &Runtime) -> Result<PipeReader> {
    let path = runtime.lock();
    let lock = File::open(&path).with_context(|| format!("open {}", path.display()))?;
    let (reader, writer) = io::pipe().context("make a pipe")?;
    // Ends with the lock, or with this program. The end of the pipe is all that it tells, whether it got the lock or not.
    std::thread::Builder::new()
        .name("agent's lock".to_string())
        .spawn(move || {
            let held = lock.lock_shared();
            drop((held, lock, writer));
        })
        .context("start a thread")?;
    Ok(reader)
}

fn readable(descriptor: BorrowedFd<'_>) -> Result<bool> {
    let mut descriptors = [PollFd::new(descriptor, PollFlags::POLLIN)];
    Ok(poll(&mut descriptors, PollTimeout::ZERO).context("look at a descriptor")? > 0)
}

/// Connections to pod processes, for as long as no agent listens to them.
#[derive(Default)]
struct Processes {
    clients: BTreeMap<String, Client>,
}

impl Processes {
    /// Takes out what they told, and listens to those that are new.
    fn follow(&mut self, runtime: &Runtime) -> Result<()> {
        let uids = read::uids(runtime)?;
        self.clients.retain(|uid, client| uids.contains(uid) && is_there(client));
        for uid in uids {
            if self.clients.contains_key(&uid) {
                continue;
            }
            // Where nobody listens, nothing will be told.
            let Ok(client) = Client::connect(&runtime.pod(&uid).socket()) else { continue };
            match client.state(&crate::protocol::Request::Watch, PATIENCE) {
                Ok(_) => drop(self.clients.insert(uid, client)),
                Err(error) => say(&format!("warning: pod {uid}: {error:#}")),
            }
        }
        Ok(())
    }
}

/// Whether a pod process is still there, once what it told is taken out.
fn is_there(client: &Client) -> bool {
    while readable(client.as_fd()).unwrap_or(false) {
        if !matches!(client.receive(), Ok(Some(_))) {
            return false;
        }
    }
    true
}

/// What was shown last of each object.
struct Shown<'r> {
    request: &'r Request,
    kind: Kind,
    table: Table,
    last: BTreeMap<(String, String, String), Value>,
    documents: usize,
}

impl<'r> Shown<'r> {
    fn new(request: &'r Request, kind: Kind) -> Shown<'r> {
        Shown { request, kind, table: request.table(kind), last: BTreeMap::new(), documents: 0 }
    }

    /// Shows objects that are new, that have changed, and that are gone, as they were last.
    fn show(&mut self, objects: Vec<Value>) -> Result<()> {
        let mut left = std::mem::take(&mut self.last);
        let mut changed = Vec::new();
        for object in objects {
            let identity = self.kind.identity(&object);
            let before = left.remove(&identity);
            if before.is_none_or(|before| self.differ(&before, &object)) {
                changed.push(object.clone());
            }
            self.last.insert(identity, object);
        }
        // Events go when the ring has no room for them any more: that is no news.
        if self.kind != Kind::Events {
            changed.extend(left.into_values());
        }
        self.write(changed)
    }

    /// Whether it shows that an object has changed. Ages grow without being news.
    fn differ(&self, before: &Value, after: &Value) -> bool {
        let Format::Table { .. } = self.request.format else { return before != after };
        let seen = |object| rows::rows(self.kind, object, &self.request.columns, Timestamp::UNIX_EPOCH);
        before != after && (self.kind == Kind::Events || seen(before) != seen(after))
    }

    fn write(&mut self, mut objects: Vec<Value>) -> Result<()> {
        match &self.request.format {
            Format::Table { .. } | Format::Columns(_) => {
                let objects: Vec<&Value> = objects.iter().collect();
                print(&self.request.lines(&mut self.table, self.kind, &objects)?)
            }
            Format::Name => {
                print(&objects.iter().map(|object| format::name(self.kind, object)).collect::<String>())
            }
            other => {
                objects.iter_mut().for_each(Value::sort_all_objects);
                for object in &objects {
                    if *other == Format::Yaml && self.documents > 0 {
                        write("---\n")?;
                    }
                    self.documents += 1;
                    write(&other.document(object)?)?;
                }
                Ok(())
            }
        }
    }
}
