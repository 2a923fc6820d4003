//! What pods have on the node's disk: looked at with the re-list, so that an idle node is not woken once more, and told to
//! the core, which decides.
//!
//! Invariant: what has no limit is not measured. A tree that takes long is looked at so much the seldomer.
//! Invariant: whoever walks through what containers made is a thread of its own, which may take as long as it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use log::{debug, warn};
use smol::channel::Sender;

use super::Message;
use super::world::World;
use crate::lifecycle::{self, Facts, Node, Time, Usage};
use crate::spec::{Pod, Uid, VolumeSource};
use crate::sys::clock;
use crate::volume;

/// Between two looks at files of ours: a kubelet's monitoring period of evictions.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Pods that are measured at once.
const AT_ONCE: usize = 4;
/// Between two looks at a tree are so many times what a look takes, but no more than a kubelet's `volumeStatsAggPeriod`.
const REST: u32 = 10;
const LONGEST_REST: Duration = Duration::from_secs(60);

/// A pod that was measured.
pub struct Measured {
    uid: Uid,
    sandbox: u32,
    /// How long that took.
    took: Duration,
    usage: Result<Usage>,
}

/// When each pod is to be measured, and files of ours are to be cut.
#[derive(Default)]
pub struct Meter {
    pods: BTreeMap<Uid, Look>,
    /// Not before this are files looked at again.
    due: Time,
    /// Pods of which that was told. Held while files are looked at.
    cut: Arc<Mutex<BTreeSet<Uid>>>,
}

/// A look at what a pod has.
#[derive(Clone, Copy)]
struct Look {
    /// Not before this; [`Time::MAX`] while it is being measured.
    due: Time,
    /// The latest could not be had.
    failed: bool,
}

impl Meter {
    /// Begins what is due with a re-list.
    pub fn begin(&mut self, world: &Arc<World>, node: &Node, sender: &Sender<Message>) {
        let now = clock::boottime();
        if self.due <= now {
            self.due = now + world.config.file_check_frequency.min(LONGEST_PAUSE);
            self.cut(world, unlimited(node));
        }
        self.measure(world, node, sender, now);
    }

    /// Measures the pods of `node` that are due, those that have waited longest first.
    fn measure(&mut self, world: &Arc<World>, node: &Node, sender: &Sender<Message>, now: Time) {
        self.pods.retain(|uid, look| look.due == Time::MAX || node.facts(uid).is_some());
        let under_way = self.pods.values().filter(|look| look.due == Time::MAX).count();
        let due = |facts: &Facts| self.pods.get(&facts.pod.uid).map_or(Time::ZERO, |look| look.due);
        let mut all: Vec<_> =
            node.all().filter(|facts| facts.is_measured()).map(|facts| (due(facts), facts)).collect();
        all.retain(|(due, _)| *due <= now);
        all.sort_by_key(|(due, _)| *due);
        for (_, facts) in all.into_iter().take(AT_ONCE.saturating_sub(under_way)) {
            let (world, pod, sandbox) = (world.clone(), facts.pod.clone(), facts.sandbox.number);
            let (uid, sender) = (pod.uid.clone(), sender.clone());
            let measure = move || {
                let begun = clock::boottime();
                let usage = measure(&world, &pod);
                let took = clock::boottime().saturating_sub(begun);
                debug!("pod {}: measured in {took:?}: {usage:?}", pod.full_name());
                let measured = Measured { uid: pod.uid.clone(), sandbox, took, usage };
                let _ = sender.send_blocking(Message::Measured(measured));
            };
            if spawn(measure) {
                self.pods.entry(uid).or_insert(Look { due: now, failed: false }).due = Time::MAX;
            }
        }
    }

    /// Cuts the files of ours that containers may write to and made too long: a node's disk is not filled by them where nobody
    /// limits them, not even by a container that may write to nothing else.
    fn cut(&self, world: &Arc<World>, running: Vec<Runs>) {
        if running.is_empty() {
            return;
        }
        let (world, told) = (world.clone(), self.cut.clone());
        spawn(move || {
            // Else the last look still waits for its disk.
            let Ok(mut told) = told.try_lock() else { return };
            for (pod, runs) in running {
                for path in files(&world, &pod, &runs) {
                    match volume::cut(&path) {
                        Ok(true) if told.insert(pod.uid.clone()) => {
                            let path = path.display();
                            warn!("pod {}: a container fills {path}, which is cut", pod.full_name());
                        }
                        Ok(_) => {}
                        Err(error) => debug!("pod {}: cut {}: {error}", pod.full_name(), path.display()),
                    }
                }
            }
        });
    }

    /// Takes in what was measured, for the core.
    pub fn end(&mut self, measured: Measured) -> Option<lifecycle::Event> {
        let Measured { uid, sandbox, took, usage } = measured;
        let look = self.pods.get_mut(&uid)?;
        look.due = clock::boottime() + (took * REST).min(LONGEST_REST);
        let failed_before = std::mem::replace(&mut look.failed, usage.is_err());
        match usage {
            Ok(usage) => Some(lifecycle::Event::Used { uid, sandbox, usage }),
            Err(error) if failed_before => {
                debug!("pod {uid}: {error:#}");
                None
            }
            Err(error) => {
                warn!("pod {uid}: its limits are not looked after: {error:#}");
                None
            }
        }
    }
}

fn measure(world: &World, pod: &Pod) -> Result<Usage> {
    let (uid, total) = (&pod.uid.0, lifecycle::storage_limit(pod));
    let on_data = |path: PathBuf, limit: u64| {
        let pods = world.data.pods();
        volume::disk_usage(&pods, path.strip_prefix(&pods).unwrap_or(&path), limit)
    };
    let mut usage = Usage::default();
    for volume in pod.volumes.iter().filter(|volume| volume.source == VolumeSource::EmptyDir) {
        let limits = lifecycle::volume_limit(volume).into_iter().chain(total);
        if let Some(limit) = limits.min() {
            let used = on_data(world.data.volume(uid, &volume.name), limit.0)?;
            usage.volumes.insert(volume.name.clone(), used);
        }
    }
    let Some(total) = total else { return Ok(usage) };
    usage.pod = on_data(world.data.etc(uid), total.0)?;
    let containers = world.data.containers(uid);
    let listed = match fs::read_dir(&containers) {
        // Nothing of it ran yet.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        listed => Some(listed.with_context(|| format!("list {}", containers.display()))?),
    };
    for name in
        listed.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok())
    {
        if let Some((container, _)) = name.rsplit_once('-') {
            let used = on_data(containers.join(&name), total.0)?;
            add(&mut usage, container, used);
        }
    }
    let all_logs = &world.config.log_dir;
    let logs = world.logs(pod);
    let logs = logs.strip_prefix(all_logs).unwrap_or(Path::new("."));
    for container in &pod.containers {
        let used = volume::disk_usage(all_logs, &logs.join(&container.name), total.0)?;
        add(&mut usage, &container.name, used);
    }
    Ok(usage)
}

fn add(usage: &mut Usage, container: &str, used: u64) {
    let known = usage.containers.entry(container.to_owned()).or_default();
    *known = known.saturating_add(used);
}

/// A pod that runs something, and the runs: container and number.
type Runs = (Arc<Pod>, Vec<(String, u32)>);

/// Of pods without a limit: what others write there counts.
fn unlimited(node: &Node) -> Vec<Runs> {
    let runs = |facts: &Facts| {
        let running = facts.containers.iter().filter(|known| known.is_running());
        (facts.pod.clone(), running.map(|known| (known.name.clone(), known.attempt)).collect::<Vec<_>>())
    };
    let all = node.all().filter(|facts| lifecycle::storage_limit(&facts.pod).is_none());
    all.map(runs).filter(|(_, runs)| !runs.is_empty()).collect()
}

/// The files that are ours, and mounted into containers to be written to.
fn files(world: &World, pod: &Pod, runs: &[(String, u32)]) -> Vec<PathBuf> {
    let (data, uid) = (&world.data, &pod.uid.0);
    let etc = ["hosts", "resolv.conf", "hostname"].map(|name| data.etc(uid).join(name));
    let words = runs.iter().map(|(container, attempt)| data.last_words(uid, container, *attempt));
    etc.into_iter().chain(words).collect()
}

/// In a thread of its own. Whether there was one to be had: if not, it is tried again with the next re-list.
fn spawn(look: impl FnOnce() + Send + 'static) -> bool {
    let spawned = thread::Builder::new().name("usage".to_owned()).spawn(look);
    spawned.inspect_err(|error| debug!("start a thread that looks at disks: {error}")).is_ok()
}
