//! Pulls under way: each image once, however many pods wait for it, in threads of their own.
//!
//! Whoever wants an image asks, is told how far it is, and asks again in a moment; what nobody asks for any more is given up.
//! So a pull may take an hour, and no pod's removal waits for it.
//!
//! Invariant: a pull that ended is told to everybody who waited for it, and the next who asks begins another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use smol::channel::Sender;

use super::Message;
use super::rate::Bucket;
use super::world::World;
use crate::config::Agent;
use crate::http::Proxies;
use crate::image::Reference;
use crate::lifecycle::Event;
use crate::registry::{self, Far, Order, Progress, Pulled};
use crate::sys::clock::boottime;

/// What nobody has asked for in this time, many times that between two asks, is given up.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// For so long an end is kept for those who waited for it.
const TOLD: Duration = Duration::from_secs(5);
/// How long the registry is waited for where the image is here and need only be compared.
const PATIENCE: Duration = Duration::from_secs(10);
/// A handshake, buffers on the heap.
const STACK: usize = 1024 * 1024;

/// All pulls of the agent.
#[derive(Default)]
pub struct Pulls {
    all: Mutex<BTreeMap<String, Pull>>,
    rate: Mutex<Bucket>,
    tell: OnceLock<Sender<Message>>,
    /// Images whose last pull failed: the first failure is news.
    failing: Mutex<BTreeSet<String>>,
}

struct Pull {
    progress: Arc<Progress>,
    asked: Instant,
    waiting: BTreeSet<String>,
    end: Option<(Instant, Outcome)>,
}

/// How a pull ended: what came and how long it took, or why nothing did.
pub type Outcome = Result<(Pulled, Duration), String>;

/// What is the case with a pull.
pub enum State {
    /// It goes on: what can be said behind its name, if anything.
    UnderWay(String),
    /// It is over.
    Over(Outcome),
}

impl Pulls {
    /// Whoever waits is told by `sender`.
    pub fn tells(&self, sender: Sender<Message>) {
        // The agent is made once.
        let _ = self.tell.set(sender);
    }

    /// What is the case with the pull of `reference` that `who` waits for, where the image is here: it brought it, or is just about
    /// to end. `None` where `who` waits for none, or the image came otherwise while it is on its way.
    pub fn brought(&self, who: &str, reference: &Reference) -> Option<State> {
        let mut all = self.all();
        let pull = all.get_mut(&reference.to_string())?;
        match &pull.end {
            Some((_, outcome)) => pull.waiting.remove(who).then(|| State::Over(outcome.clone())),
            None => {
                let Far { unpacked, of, .. } = pull.progress.look();
                let is_about_to = 0 < of && unpacked == of && pull.waiting.contains(who);
                is_about_to.then(|| State::UnderWay(how_far(&pull.progress)))
            }
        }
    }

    /// What is the case with the pull of `reference` that `who` waits for, which begins if there is none. `is_here` says that the
    /// image need only be compared.
    ///
    /// Of those that the limits let wait any is the next. A kubelet says `pull QPS exceeded` and counts a failure; here it is none.
    pub fn ask(&self, world: &Arc<World>, who: &str, reference: &Reference, is_here: bool) -> State {
        let name = reference.to_string();
        let mut all = self.all();
        all.retain(|_, pull| pull.end.as_ref().is_none_or(|(at, _)| at.elapsed() < TOLD));
        if let Some(pull) = all.get_mut(&name) {
            match &pull.end {
                None => {
                    pull.asked = Instant::now();
                    pull.waiting.insert(who.to_owned());
                    return State::UnderWay(how_far(&pull.progress));
                }
                Some((_, outcome)) if pull.waiting.remove(who) => return State::Over(outcome.clone()),
                Some(_) => {}
            }
        }
        if world.config.pulls_at_once() <= all.values().filter(|pull| pull.end.is_none()).count() {
            return State::UnderWay(": others come first".to_owned());
        }
        if !self.may_begin(&world.config) {
            return State::UnderWay(": registryPullQPS holds it back".to_owned());
        }
        let progress = Arc::<Progress>::default();
        let thread = std::thread::Builder::new().name("pull".to_owned()).stack_size(STACK);
        let (of_world, of_reference, of_progress) = (world.clone(), reference.clone(), progress.clone());
        let begun = Instant::now();
        let work = move || {
            let pulled = run(&of_world, &of_reference, &of_progress, is_here);
            let outcome =
                pulled.map(|pulled| (pulled, begun.elapsed())).map_err(|error| format!("{error:#}"));
            of_world.pulls.ended(&of_reference, outcome);
        };
        match thread.spawn(work) {
            Ok(_) => {
                let waiting = BTreeSet::from([who.to_owned()]);
                all.insert(name, Pull { progress, asked: begun, waiting, end: None });
                State::UnderWay(String::new())
            }
            Err(error) => State::Over(Err(format!("start a thread for it: {error}"))),
        }
    }

    fn may_begin(&self, config: &Agent) -> bool {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.takes(boottime(), config.pull_qps, config.pull_burst)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Pull>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody has asked for `name` of late.
    fn is_wanted(&self, name: &str) -> bool {
        self.all().get(name).is_some_and(|pull| pull.asked.elapsed() < FORGOTTEN)
    }

    fn ended(&self, reference: &Reference, outcome: Outcome) {
        let name = reference.to_string();
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = if outcome.is_ok() { failing.remove(&name) } else { failing.insert(name.clone()) };
        drop(failing);
        match &outcome {
            Ok((pulled, took)) if pulled.was_here => {
                info!("image {name}: is the one that is here ({took:.1?})")
            }
            Ok((pulled, took)) => info!("image {name}: pulled in {took:.1?}, {} bytes", pulled.bytes),
            Err(why) if is_news => warn!("image {name}: {why}"),
            Err(why) => debug!("image {name}: {why}"),
        }
        if let Some(pull) = self.all().get_mut(&name) {
            pull.end = Some((Instant::now(), outcome));
        }
        if let Some(sender) = self.tell.get() {
            // Nobody is there to hear it once the agent ends.
            let _ = sender.try_send(Message::Event(Event::PullEnded));
        }
    }
}

fn run(world: &World, reference: &Reference, progress: &Progress, is_here: bool) -> anyhow::Result<Pulled> {
    let name = reference.to_string();
    let wanted = || world.pulls.is_wanted(&name);
    registry::pull(&Order {
        store: &world.store,
        reference,
        settings: &world.registries().read()?,
        proxies: Proxies::of(|name| std::env::var(name).ok())?,
        patience: is_here.then_some(PATIENCE),
        wanted: &wanted,
        progress,
    })
}

/// To stand behind what is said of it.
fn how_far(progress: &Progress) -> String {
    let Far { here, unpacked, of } = progress.look();
    let mib = |bytes: u64| format!("{}.{}", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20);
    match of {
        0 => String::new(),
        _ if here < of => format!(": {} of {} MiB are here", mib(here), mib(of)),
        _ => format!(": {} MiB are here, unpacking: {} MiB of them are done", mib(of), mib(unpacked)),
    }
}
