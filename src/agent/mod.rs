//! The agent: one loop around the core.
//!
//! Facts come in as messages (the manifests directory, orders, pod processes, ends of effects), [`crate::lifecycle`]
//! decides, and what it decides is done in threads that may block. There is no request path into the agent, and it never
//! calls libcontainer.
//!
//! Invariant: what was learnt is on disk before it is acted upon, so that the agent may be killed between any two
//! instructions.
//! Invariant: an effect ends, by its own deadline if need be, and its end is told once.
//! Invariant: stopping the agent stops no pod. Whoever wants the pods to end says `holdfast down`.

mod adopt;
mod apparmor;
mod client;
mod command;
mod devices;
pub mod entries;
mod gc;
mod hook;
mod image_lists;
mod images;
mod lacks;
mod last_good;
mod last_words;
mod link;
mod listing;
mod neighbours;
mod news;
mod node;
mod notify;
mod perform;
mod preflight;
mod probe;
mod publish;
mod pull_image;
mod pulls;
mod rate;
mod remake;
mod remove_pod;
mod ring;
pub mod rival;
mod sandboxes;
mod seccomp;
mod selinux;
mod start_container;
mod start_pod;
mod stop;
mod sysctl;
mod tally;
mod usage;
mod user_namespaces;
mod values;
mod volume_images;
mod watch;
mod watches;
mod weigh;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use log::info;
use nix::sys::signal::Signal;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::future::FutureExt;
use smol::{LocalExecutor, Timer};

pub use client::Client;

use crate::config;
use crate::lifecycle::{Action, BackOff, Event, Found, Learnt, Node, Now};
use crate::spec::{Pod, Uid};
use crate::status::Failure;
use crate::sys::clock;
use node::Look;
use notify::Manager;
use publish::{Note, Publisher};
use stop::Signals;
use usage::{Measured, Meter};
use weigh::Weighed;
use world::World;

/// Something the loop is told.
enum Message {
    /// The manifests directory asks for these pods.
    Wanted(watch::Listing),
    /// An event for the core.
    Event(Event),
    /// An effect ended; a started pod comes with a connection that watches it.
    Done { action: Action, result: Result<Learnt, Failure>, link: Option<OwnedFd> },
    /// What a pod has on the disk.
    Measured(Measured),
    /// Something a person should know, once.
    Warning(String),
    /// Something happened to the node.
    Note(Note),
    /// A signal asks the agent to end.
    Signal(Signal),
    /// The image archives that lie there and were not taken in, a sentence each.
    RefusedArchives(Vec<String>),
    /// What is wrong with lists of images that lie there, a sentence each.
    RefusedLists(Vec<String>),
}

/// Runs the agent until the order to go down was carried out, or for ever.
///
/// Fails where it may not or cannot run, with a sentence that says what to do.
pub fn run(config: config::Agent) -> Result<()> {
    let world = preflight::prepare(config)?;
    let signals = Signals::take().context("take signals")?;
    let executor = Rc::new(LocalExecutor::new());
    let agent = Agent::new(executor.clone(), Arc::new(world), Manager::of_this_process());
    smol::block_on(executor.run(agent.run(signals)))
}

/// Ends all pods of an agent that is not running, as the order `down` would.
///
/// Fails as [`run`] does.
pub fn down(config: config::Agent) -> Result<()> {
    let world = preflight::prepare(config)?;
    let signals = Signals::take().context("take signals")?;
    let executor = Rc::new(LocalExecutor::new());
    let mut agent = Agent::new(executor.clone(), Arc::new(world), Manager::none());
    agent.down_at_once = true;
    smol::block_on(executor.run(agent.run(signals)))
}

struct Agent {
    executor: Rc<LocalExecutor<'static>>,
    world: Arc<World>,
    node: Node,
    publisher: Publisher,
    manager: Manager,
    meter: Meter,
    /// What the manifests ask for, as far as the core was told.
    wanted: BTreeMap<Uid, Arc<Pod>>,
    /// The manifests directory was read at least once, without anything wrong in it.
    listed: bool,
    down_at_once: bool,
    weighed: Weighed,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
}

impl Agent {
    fn new(executor: Rc<LocalExecutor<'static>>, world: Arc<World>, manager: Manager) -> Agent {
        let (sender, receiver) = unbounded();
        world.pulls.tells(sender.clone());
        let back_off = BackOff { max: world.config.max_restart_period };
        Agent {
            executor,
            node: Node::new(back_off, 2 * world.cpus),
            publisher: Publisher::new(world.clone(), back_off, Look::at(&world.config.data_dir)),
            manager,
            meter: Meter::default(),
            world,
            wanted: BTreeMap::new(),
            listed: false,
            down_at_once: false,
            weighed: Weighed::default(),
            sender,
            receiver,
        }
    }

    async fn run(mut self, signals: Signals) -> Result<()> {
        self.spawn(signals.tell(self.sender.clone()));
        let order = self.world.runtime.order_down();
        self.down_at_once |= order.exists();
        let found = {
            let world = self.world.clone();
            smol::unblock(move || adopt::find(&world)).await?
        };
        self.publisher.took_over(found.len());
        self.event(Event::Allocatable(self.publisher.allocatable()));
        if self.down_at_once {
            let all = found.into_iter().map(|pod| self.follow(pod)).collect();
            self.event(Event::FoundAndDown(all));
        } else {
            let seeds = found.iter().map(|found| found.pod.clone()).collect();
            let directory = watch::Directory::open(&self.world, seeds);
            let (directory, first) = directory.first_listing().await;
            self.publisher.verdict(&first.verdict);
            let changed = self.documents(first.documents);
            self.adopt(found, &first.pods);
            self.wanted(first.pods, first.verdict);
            self.hand_out(changed);
            let (relisted, hear_relisted) = bounded(1);
            self.spawn(directory.watch(relisted, self.sender.clone()));
            let (listed, hear_listed) = bounded(1);
            self.spawn(images::watch(self.world.clone(), hear_relisted, listed, self.sender.clone()));
            self.spawn(image_lists::watch(self.world.clone(), hear_listed, self.sender.clone()));
        }
        self.weighed.again(&self.world, self.node.all());
        self.manager.ready();
        self.report();
        while !self.node.is_down() {
            match self.next().await {
                Some(Message::Signal(signal)) => {
                    info!("{signal}: the agent ends, its pods go on");
                    let why = format!("stopped by {signal}; pods go on");
                    self.manager.stopping(&why);
                    self.publisher.end(&why);
                    return stop::obey(signal).with_context(|| format!("end by {signal}"));
                }
                Some(message) => self.take(message),
                None => self.event(Event::Tick),
            }
            if let Some(warning) = self.world.network.warning() {
                self.publisher.warn(warning);
            }
            self.publisher.flush();
            self.report();
        }
        let disconnected = self.world.network.take_down();
        let why = "all pods are down, as was ordered";
        self.manager.stopping(why);
        self.publisher.end(why);
        info!("all pods are down");
        remove_pod::absent(fs::remove_file(&order)).with_context(|| format!("remove {}", order.display()))?;
        disconnected
    }

    /// Tells the service manager that the loop turns; and what it does, where nothing more is known already.
    fn report(&mut self) {
        self.manager.alive(clock::boottime());
        if self.receiver.is_empty() {
            self.manager.status(self.publisher.sentence(self.node.is_going_down()));
        }
    }

    /// The next message; `None` when a deadline came first: of the core, of what is to be written, of the watchdog.
    async fn next(&self) -> Option<Message> {
        let message = async { self.receiver.recv().await.ok() };
        let deadline =
            [self.node.next_deadline(), self.publisher.due(), self.manager.due()].into_iter().flatten().min();
        match deadline {
            None => message.await,
            Some(deadline) => {
                let wait = deadline.saturating_sub(clock::boottime());
                let timer = async {
                    Timer::after(wait).await;
                    None
                };
                message.or(timer).await
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Wanted(listing) => self.take_listing(listing),
            Message::Note(note) => self.publisher.note(&note),
            // The loop has seen to it.
            Message::Signal(_) => {}
            Message::Event(event) => self.event(event),
            Message::Measured(measured) => self.meter.end(measured).into_iter().for_each(|it| self.event(it)),
            Message::Warning(warning) => self.publisher.warn(warning),
            Message::RefusedArchives(refused) => self.publisher.refused_archives(refused),
            Message::RefusedLists(refused) => self.publisher.refused_lists(refused),
            Message::Done { action, result, link } => {
                if let (Some(link), Action::StartPod { uid, sandbox }) = (link, &action)
                    && let Some(facts) = self.node.facts(uid)
                {
                    let pod = facts.pod.clone();
                    self.spawn(link::follow(link, self.world.clone(), pod, *sandbox, self.sender.clone()));
                }
                self.event(Event::Done { action, result });
            }
        }
    }

    /// Tells the core about the pods that were there before this agent.
    fn adopt(&mut self, found: Vec<adopt::Found>, wanted: &[Arc<Pod>]) {
        // What has begun keeps its ports: the others ask when all of that is known.
        let mut found = found;
        found.sort_by_key(|pod| pod.found.facts.waits_for_port());
        for pod in found {
            let is_wanted = wanted.iter().any(|wanted| wanted.uid == pod.pod.uid);
            if is_wanted {
                self.wanted.insert(pod.pod.uid.clone(), pod.pod.clone());
            }
            let found = self.follow(pod);
            self.event(Event::Found(Box::new(Found { wanted: is_wanted, ..found })));
        }
    }

    /// Hears of a pod that was there before this agent, from now on.
    fn follow(&mut self, pod: adopt::Found) -> Found {
        if let Some((link, sandbox)) = pod.link {
            let (world, of) = (self.world.clone(), pod.pod.clone());
            self.spawn(link::follow(link, world, of, sandbox, self.sender.clone()));
        }
        self.publisher.adopted(&pod.found.facts);
        pod.found
    }

    fn event(&mut self, event: Event) {
        if let Event::Exited { uid, end, .. } = &event {
            self.publisher.exit(uid, end, &self.node);
        }
        let now = Now { boot: clock::boottime(), wall: clock::wall() };
        let step = self.node.step(now, event);
        for uid in &step.changed {
            if let Some(facts) = self.node.facts(uid) {
                self.publisher.pod(facts, now);
            }
        }
        for uid in &step.gone {
            self.publisher.gone(uid);
        }
        if !step.changed.is_empty() || !step.gone.is_empty() {
            self.weighed.again(&self.world, self.node.all());
        }
        for action in step.actions {
            self.begin(action);
        }
    }

    /// Begins an effect in a thread of its own; its end comes back as a message.
    fn begin(&mut self, action: Action) {
        let Some(facts) = self.node.facts(action.uid()) else { return };
        let job = perform::Job::new(self.world.clone(), action, facts);
        let sender = self.sender.clone();
        if job.is_hook() {
            return hook::spawn(job, sender);
        }
        self.spawn(async move {
            let (action, result, link) = smol::unblock(move || job.perform()).await;
            let _ = sender.send(Message::Done { action, result, link }).await;
        });
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(task).detach();
    }
}
