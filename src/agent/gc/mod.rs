//! Collection of images that nobody uses, by a kubelet's thresholds: what is decided in [`plan`] is done here.
//!
//! What is in use is what accepted pods name and run, waiting ones and volumes of images included, and what lists in the
//! directory of archives name. What came in an archive is nobody's to remove but a person's: it may not come again. When an
//! image was last used is remembered in memory alone, as a kubelet does, so that an idle node writes nothing.
//!
//! Invariant: what is in use is looked up once more, with its lock, when an image goes; a pod whose manifest comes at that
//! instant either keeps its image or finds that it is gone, and never runs into its removal.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use log::{debug, info, warn};

use self::plan::{Candidate, Facts, Policy, Step, Why};
use super::publish::Note;
use super::world::World;
use crate::config;
use crate::http::Proxies;
use crate::image::{Image, Reference};
use crate::lifecycle::{self, Time};
use crate::registry;
use crate::spec::Pod;
use crate::status::EventKind;
use crate::sys::clock;

/// How often a kubelet looks (`ImageGCPeriod`).
const PERIOD: Duration = Duration::from_secs(300);
/// How long a registry has to say that it has an image.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of the use of images.
#[derive(Default)]
pub struct Collector {
    held: Mutex<Held>,
    memory: Mutex<Memory>,
}

/// Names, digests and ids of what must not go.
#[derive(Default)]
struct Held {
    of_pods: BTreeSet<String>,
    of_lists: BTreeSet<String>,
}

impl Held {
    fn has(&self, image: &Image) -> bool {
        let held = |key: &String| self.of_pods.contains(key) || self.of_lists.contains(key);
        keys(image).any(held)
    }
}

#[derive(Default)]
struct Memory {
    /// When a name, digest or id was last seen in use.
    used: BTreeMap<String, Time>,
    /// When each image was first seen.
    detected: BTreeMap<String, Time>,
    /// Not before this is the next round due; zero before the first.
    due: Time,
    /// The first round was: it only sees what there is, of which nothing is old enough.
    has_looked: bool,
    /// Rounds in a row that failed.
    failed: u32,
}

/// All that an image can be named by.
fn keys(image: &Image) -> impl Iterator<Item = &String> {
    image.names.iter().chain(&image.digests).chain([&image.id])
}

/// What finds the image that `written` names: its digest, or else its name.
pub fn key(written: &str) -> Option<String> {
    let reference = Reference::parse(written).ok()?;
    Some(reference.digest.as_ref().map_or_else(|| reference.to_string(), ToString::to_string))
}

impl Collector {
    /// What pods name and run, from now on: `wanted` by manifests, and those whose facts are given. To be told before any of
    /// them is acted upon.
    pub fn pods<'f>(
        &self,
        wanted: impl Iterator<Item = &'f Pod>,
        known: impl Iterator<Item = &'f lifecycle::Facts>,
    ) {
        let mut keys = BTreeSet::new();
        for pod in wanted {
            keys.extend(pod.images().filter_map(key));
        }
        for facts in known {
            keys.extend(facts.pod.images().filter_map(key));
            // What runs, whoever has its name meanwhile; of one that was asked for by its digest that is known above.
            keys.extend(facts.containers.iter().map(|container| container.image_id.clone()));
            keys.extend(
                facts.containers.iter().flat_map(|container| container.volume_images.values().cloned()),
            );
        }
        let now = clock::boottime();
        let mut held = lock(&self.held);
        held.of_pods = keys;
        let keys = held.of_pods.iter().chain(&held.of_lists).map(|key| (key.clone(), now));
        lock(&self.memory).used.extend(keys);
    }

    /// What lists name, from now on.
    pub fn lists(&self, names: BTreeSet<String>) {
        lock(&self.held).of_lists = names;
    }

    /// Whether a round is to begin now; then that is noted. The second is due when what the first one saw is old enough, and
    /// images that go by a shorter age than a kubelet's period are looked at as often as that.
    pub fn begins(&self, config: &config::Agent) -> bool {
        let now = clock::boottime();
        let age = Some(config.image_max_age).filter(|age| !age.is_zero());
        let mut memory = lock(&self.memory);
        if now < memory.due {
            return false;
        }
        let next = if memory.due.is_zero() { PERIOD.min(config.image_min_age) } else { PERIOD };
        memory.due = now + age.map_or(next, |age| age.min(next));
        true
    }

    /// Removes what is to go. What a person should know of it, if anything.
    pub fn round(&self, world: &World) -> Vec<Note> {
        let outcome = self.collect(world);
        let mut memory = lock(&self.memory);
        let message = match outcome {
            Ok(None) => {
                memory.failed = 0;
                return Vec::new();
            }
            Ok(Some((wanted, freed))) if wanted <= freed => {
                "the disk is nearly out of inodes, and no image may go that would help".to_owned()
            }
            Ok(Some((wanted, freed))) => format!(
                "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} \
                 bytes eligible to free."
            ),
            Err(ref error) => format!("collect images that nobody uses: {error:#}"),
        };
        memory.failed = memory.failed.saturating_add(1);
        let warning = |reason| Note { kind: EventKind::Warning, reason, message: message.clone() };
        match (memory.failed, outcome.is_ok()) {
            (1, true) => {
                warn!("{message}");
                vec![warning("FreeDiskSpaceFailed")]
            }
            (1, false) => {
                warn!("{message}");
                Vec::new()
            }
            // A kubelet's event for what goes on.
            (2, _) => vec![warning("ImageGCFailed")],
            _ => {
                debug!("{message}");
                Vec::new()
            }
        }
    }

    /// Bytes that were to be freed, and that were, where that was not enough.
    fn collect(&self, world: &World) -> Result<Option<(u64, u64)>> {
        let store = &world.store;
        let images = store.replaceable()?;
        let config = &world.config;
        let policy = Policy {
            high: config.image_gc_high,
            low: config.image_gc_low,
            min_age: config.image_min_age,
            max_age: config.image_max_age,
            floor: store.floor_percent(),
        };
        let now = clock::boottime();
        let mut facts = Facts::new(now, policy, store.disk()?, self.candidates(&images, now));
        if !std::mem::replace(&mut lock(&self.memory).has_looked, true) {
            return Ok(None);
        }
        facts.partials = facts.at_floor() && store.has_partials();
        let mut registries = Registries::default();
        let mut failed = Ok(());
        loop {
            match facts.next() {
                Step::Over => return failed.map(|()| None),
                Step::Short(wanted, freed) => return failed.map(|()| Some((wanted, freed))),
                Step::Partials => {
                    let dropped = store.drop_partials().map(drop);
                    failed = failed.and(dropped.context("remove layers that came in part"));
                    (facts.partials, facts.disk) = (false, store.disk()?);
                }
                Step::Ask(id) => {
                    let image = images.iter().find(|image| image.id == id);
                    let has = image.is_some_and(|image| registries.has(world, image));
                    if let Some(candidate) = facts.image(&id) {
                        candidate.can_come_back = Some(has);
                    }
                }
                Step::Remove(id, why) => match self.remove(world, &id, why) {
                    Ok(Some(bytes)) => facts.removed(&id, bytes, store.disk()?),
                    other => {
                        failed = failed.and(other.map(drop).with_context(|| format!("remove image {id}")));
                        if let Some(candidate) = facts.image(&id) {
                            candidate.held = true;
                        }
                    }
                },
            }
        }
    }

    /// Of `images` what is remembered of them; all else is forgotten.
    fn candidates(&self, images: &[Image], now: Time) -> Vec<Candidate> {
        let held = lock(&self.held);
        let mut memory = lock(&self.memory);
        let Memory { used, detected, .. } = &mut *memory;
        detected.retain(|id, _| images.iter().any(|image| image.id == *id));
        used.retain(|name, _| {
            held.of_pods.contains(name)
                || held.of_lists.contains(name)
                || images.iter().any(|image| keys(image).any(|key| key == name))
        });
        let candidate = |image: &Image| Candidate {
            id: image.id.clone(),
            held: held.has(image),
            detected: *detected.entry(image.id.clone()).or_insert(now),
            used: keys(image).filter_map(|key| used.get(key)).max().copied(),
            can_come_back: None,
        };
        images.iter().map(candidate).collect()
    }

    fn remove(&self, world: &World, id: &str, why: Why) -> Result<Option<u64>> {
        let mut name = id.to_owned();
        let freed = world.store.collect(id, |image| {
            let held = lock(&self.held);
            name = image.names.first().unwrap_or(&name).clone();
            (!held.has(image)).then_some(held)
        })?;
        let from = "; it can be pulled again";
        let (because, but) = match why {
            Why::Unused(idle) => (format!("nobody used it for {idle:.0?}"), from),
            Why::Full => ("the disk is full".to_owned(), from),
            Why::Floor => {
                ("the disk is nearly full to the last".to_owned(), "; no registry says that it has it")
            }
        };
        if let Some(bytes) = freed {
            info!("image {name}: removed, since {because}; {bytes} bytes are free{but}");
        }
        Ok(freed)
    }
}

/// Registries, of which one that does not answer is asked once a round.
#[derive(Default)]
struct Registries {
    silent: BTreeSet<String>,
}

impl Registries {
    fn has(&mut self, world: &World, image: &Image) -> bool {
        let Some(repository) = &image.pulled_from else { return false };
        let registry = repository.split('/').next().unwrap_or_default();
        if self.silent.contains(registry) {
            return false;
        }
        let ask = || -> Result<bool> {
            let settings = world.registries().read()?;
            let proxies = Proxies::of(|name| std::env::var(name).ok())?;
            for digest in &image.digests {
                let reference = Reference::parse(&format!("{repository}@{digest}"))?;
                if registry::has(&settings, &proxies, &reference, PATIENCE)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        ask().unwrap_or_else(|error| {
            debug!("image {}: stays, since {registry} does not say that it has it: {error:#}", image.id);
            self.silent.insert(registry.to_owned());
            false
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
