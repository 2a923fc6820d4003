//! What an agent finds at its start: pods that an earlier one left behind.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use log::{info, warn};
use serde::de::DeserializeOwned;

use super::client::{Client, PATIENCE};
use super::last_words;
use super::link::run_end;
use super::neighbours;
use super::world::World;
use crate::host::PodDir;
use crate::lifecycle::{self, Facts, RunEnd, Running};
use crate::protocol::{Exited, Request, RunState, State};
use crate::spec::Pod;
use crate::sys::{clock, lock};

/// How long a new agent waits for starts that an old one asked for.
const HASTE: Duration = Duration::from_millis(500);

/// Pods that are asked at once.
const AT_ONCE: usize = 64;

/// A pod that was there before.
pub struct Found {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What the core is told; whether it is wanted is not known here.
    pub found: lifecycle::Found,
    /// A connection that watches its process, and the sandbox's number.
    pub link: Option<(OwnedFd, u32)>,
}

/// Every pod in the runtime directory. A directory that holds no readable pod is told about, killed and removed.
///
/// A cgroup without a directory belongs to a pod whose directory was lost: whatever runs there is killed before another
/// pod of the same UID begins.
///
/// Fails where cgroups or directories cannot be listed: an agent that does not know what runs would run it twice.
pub fn find(world: &World) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let present = world.cgroups.pods_present().context("list the cgroups of pods")?;
    for uid in present.into_keys() {
        if !world.runtime.pod(&uid).spec().exists() {
            warn!("cgroup of pod {uid}, which nobody knows: killed");
            super::remove_pod::remnant(world, &uid);
        }
    }
    let pods = world.runtime.pods();
    let names = fs::read_dir(&pods).with_context(|| format!("list {}", pods.display()))?.flatten();
    let names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // Side by side: a pod process that does not answer, its disk being dead, must not cost each other one its time.
    for some in names.chunks(AT_ONCE) {
        found.extend(std::thread::scope(|scope| {
            let each: Vec<_> = some.iter().map(|name| scope.spawn(|| adopt_or_remove(world, name))).collect();
            each.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect::<Vec<_>>()
        }));
    }
    let with_addresses = found.iter().map(|it| (&*it.pod, &*it.found.facts.sandbox.addresses));
    let known: Vec<_> = with_addresses.filter(|(pod, _)| !pod.host_network).collect();
    if let Err(error) = world.network.adopt(&known) {
        warn!("take over the network of pods: {error:#}");
    }
    let up = found.iter().filter(|it| it.link.is_some());
    neighbours::join(world, up.map(|it| (it.pod.clone(), it.found.facts.sandbox.addresses.clone())));
    Ok(found)
}

fn adopt_or_remove(world: &World, name: &str) -> Option<Found> {
    let directory = world.runtime.pod(name);
    let found = adopt(world, &directory);
    found
        .inspect_err(|error| {
            warn!("what is left in {} is no pod and is removed: {error:#}", directory.root().display());
            super::remove_pod::remnant(world, name);
        })
        .ok()
}

fn adopt(world: &World, directory: &PodDir) -> Result<Found> {
    let pod: Arc<Pod> = Arc::new(read(&directory.spec())?);
    let facts = match read::<Facts>(&directory.facts()) {
        Ok(facts) => Facts { pod: pod.clone(), ..facts },
        // It died between writing the one and the other: nothing had been done yet.
        Err(_) => Facts::new(pod.clone(), clock::wall()),
    };
    let mut ended = journal(&directory.exits());
    let mut running = Vec::new();
    let mut link = None;
    match ask(directory) {
        Ok(Some((state, connection))) => {
            for run in state.runs {
                match run {
                    RunState::Running { name, attempt, started, started_boot, stopping, .. } => {
                        let (container, since) = (name, started_boot);
                        running.push(Running { container, attempt, started, since, stopping });
                    }
                    RunState::Exited(exited) => ended.push(run_end(exited)),
                    RunState::Starting { .. } | RunState::Failed { .. } => (),
                }
            }
            link = Some((connection, state.hello.sandbox));
        }
        Ok(None) if facts.released => {}
        Ok(None) => warn!("pod {}: its process died while no agent was there", pod.full_name()),
        Err(error) => warn!("pod {}: its process does not answer: {error:#}", pod.full_name()),
    }
    // Of what ended before, nothing is left to be read, and the core was told.
    let is_news = |end: &&mut RunEnd| {
        facts.containers.iter().any(|it| it.name == end.container && it.attempt <= end.attempt)
    };
    ended.iter_mut().filter(is_news).for_each(|end| last_words::add(world, &pod, end));
    let alive = link.as_ref().map(|(_, sandbox)| *sandbox);
    if alive.is_some() {
        info!("pod {}: adopted, {} of its containers run", pod.full_name(), running.len());
    }
    Ok(Found {
        pod,
        found: lifecycle::Found { facts, alive, running, ended, wanted: false, jitter: jitter() },
        link,
    })
}

/// Unlike that of any other pod or agent. The standard library's hash tables are keyed by chance, which is all that is
/// needed here.
fn jitter() -> u64 {
    RandomState::new().hash_one(0)
}

/// What the pod process knows, mostly once none of its containers is between two states; `None` if it is dead.
fn ask(directory: &PodDir) -> Result<Option<(State, OwnedFd)>> {
    let begun = Instant::now();
    loop {
        if !lock::is_held(&directory.lock()).context("look at the lock")? {
            return Ok(None);
        }
        let client = Client::connect(&directory.socket())?;
        let state = client.state(&Request::Watch, PATIENCE)?;
        let starting = state.runs.iter().any(|run| matches!(run, RunState::Starting { .. }));
        // What takes longer hangs: whoever starts it again joins in the wait, and nobody else has to.
        if !starting || HASTE < begun.elapsed() {
            return Ok(Some((state, client.into())));
        }
        // A start takes some ten milliseconds, and the agent that asked for it is gone.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The exits that the pod process wrote down; a line that was cut off by its death is not one.
fn journal(path: &Path) -> Vec<RunEnd> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Exited>(line).ok());
    lines.map(run_end).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
}
