//! Pods of every kind in a world with bad luck: effects fail, agents and pod processes die, and what happens is told late,
//! twice or not at all. Whatever comes, the rules of [`rules`] hold; then luck turns, and every pod comes to what it wants.

mod pods;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{end, learnt, now};
use crate::lifecycle::{Action, BackOff, Event, Facts, Found, Learnt, Node, Outcome, RunEnd, Running, Usage};
use crate::spec::{Hook, HookKind, Pod, ProbeKind, Role, Uid};
use crate::status::{Failure, Reason};
use pods::Dice;
use rules::Rules;

/// Until then luck is bad.
const LUCK_TURNS: u64 = 4 * 3600;
/// By then all is settled: the longest back-offs take five minutes, the longest grace period one.
const END: u64 = LUCK_TURNS + 3 * 3600;
const DOWN: u64 = END + 1200;

/// What will happen, told or not.
enum Coming {
    /// Somebody gives an order.
    Told(Event),
    /// What happened to a pod in one of its lives is told. The link that tells ends with that life.
    Heard(Uid, u32, Event),
    /// An action of this agent, counted from the first, comes to its end.
    Done(u32, Action, Result<Learnt, Failure>),
    /// A run ends.
    Ends(Uid, u32, RunEnd),
    /// A pod process dies.
    Dies(Uid, u32),
    /// The agent dies, and another takes over.
    AgentDies,
    /// A manifest is written, or removed.
    Manifest(String, Option<Arc<Pod>>),
}

/// What a pod process knows.
struct Sandbox {
    number: u32,
    /// What runs: number, since when, whether it was told to stop.
    running: BTreeMap<String, (u32, u64, bool)>,
    /// Ends, as they came.
    journal: Vec<RunEnd>,
    /// Those that let others on.
    passed: BTreeSet<String>,
}

/// The true state of everything, and a node that learns of it what it is told.
struct World {
    node: Node,
    /// Number of the agent.
    agent: u32,
    under_way: BTreeSet<Action>,
    coming: BTreeMap<(u64, u64), Coming>,
    serial: u64,
    wanted: BTreeMap<String, Arc<Pod>>,
    sandboxes: BTreeMap<Uid, Sandbox>,
    /// The highest number of a run, as logs tell.
    highest: BTreeMap<(Uid, String), u32>,
    /// How often a pod was removed with all that is left of it.
    lives: BTreeMap<Uid, u32>,
    rules: Rules,
    dice: Dice,
}

#[test]
fn whatever_happens_pods_of_every_kind_come_to_what_they_want() {
    for seed in 1..=40 {
        let mut world = World::new(seed);
        world.plan_the_day();
        world.play(END);
        world.all_is_as_wanted(seed);
        world.later(END, Coming::Told(Event::Down));
        world.play(DOWN);
        assert!(world.node.is_down() && world.sandboxes.is_empty(), "seed {seed}: something is left");
        let left = world.under_way.iter().filter(|action| action.is_waited_for()).count();
        assert_eq!(left, 0, "seed {seed}: something is under way for ever");
    }
}

impl World {
    fn new(seed: u64) -> World {
        World {
            node: Node::new(BackOff::default(), 3),
            agent: 0,
            under_way: BTreeSet::new(),
            coming: BTreeMap::new(),
            serial: 0,
            wanted: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            highest: BTreeMap::new(),
            lives: BTreeMap::new(),
            rules: Rules::default(),
            dice: Dice::new(seed),
        }
    }

    /// Manifests are written, rewritten, removed and put back; agents die; somebody orders restarts.
    fn plan_the_day(&mut self) {
        let mut last: BTreeMap<String, Arc<Pod>> = BTreeMap::new();
        for edit in 0..48 {
            let (at, name) = (self.dice.roll(LUCK_TURNS), format!("pod-{}", edit % 6));
            let again = last.get(&name).filter(|_| self.dice.roll(3) == 0).cloned();
            let pod = again.unwrap_or_else(|| pods::any(&format!("{name}-at-{at}"), &name, &mut self.dice));
            last.insert(name.clone(), pod.clone());
            let gone = (self.dice.roll(4) == 0).then_some(at + 1 + self.dice.roll(900));
            self.later(at, Coming::Manifest(name.clone(), Some(pod.clone())));
            gone.into_iter().for_each(|at| self.later(at, Coming::Manifest(name.clone(), None)));
            if self.dice.roll(4) == 0 {
                let at = at + self.dice.roll(900);
                self.later(at, Coming::Told(Event::Restart(pod.uid.clone())));
            }
            if self.dice.roll(4) == 0 {
                let (at, sandbox) = (at + self.dice.roll(900), self.dice.roll(3) as u32);
                let usage = Usage { pod: 2, ..Usage::default() };
                self.later(at, Coming::Told(Event::Used { uid: pod.uid.clone(), sandbox, usage }));
            }
        }
        for _ in 0..6 {
            let at = self.dice.roll(LUCK_TURNS);
            self.later(at, Coming::AgentDies);
        }
        // Whoever was not told of something hears of it in the end, as the link that lost it is made anew.
        self.later(LUCK_TURNS, Coming::AgentDies);
    }

    fn later(&mut self, at: u64, coming: Coming) {
        self.serial += 1;
        self.coming.insert((at, self.serial), coming);
    }

    fn play(&mut self, until: u64) {
        loop {
            let deadline = self.node.next_deadline().map(|deadline| deadline.as_secs_f64().ceil() as u64);
            let first = self.coming.first_key_value().map(|((at, _), _)| *at);
            let at = first.into_iter().chain(deadline).min().unwrap_or(until);
            if until <= at {
                return;
            }
            if first != Some(at) {
                self.step(at, Event::Tick);
                let next = self.node.next_deadline();
                assert!(next.is_none_or(|next| now(at).boot < next), "it is woken again and again at {at}s");
            } else if let Some((_, coming)) = self.coming.pop_first() {
                self.happens(at, coming);
            }
        }
    }

    fn happens(&mut self, at: u64, coming: Coming) {
        match coming {
            Coming::Told(event) => self.step(at, event),
            Coming::Heard(uid, life, event) if life == self.life(&uid) => self.step(at, event),
            Coming::Heard(..) => (),
            Coming::Done(agent, action, result) if agent == self.agent => {
                self.under_way.remove(&action);
                self.step(at, Event::Done { action, result });
            }
            Coming::Done(..) => (),
            Coming::Ends(uid, number, end) => self.ends(at, uid, number, end),
            Coming::Dies(uid, number) => {
                if self.sandboxes.get(&uid).is_some_and(|sandbox| sandbox.number == number) {
                    self.sandboxes.remove(&uid);
                    self.tell(at, &uid.clone(), &Event::PodLost { uid, sandbox: number });
                }
            }
            Coming::AgentDies => self.agent_dies(at),
            Coming::Manifest(name, pod) => {
                if let Some(old) = self.wanted.remove(&name).filter(|old| pod.as_ref() != Some(old)) {
                    self.step(at, Event::ManifestGone(old.uid.clone()));
                }
                if let Some(pod) = pod {
                    self.wanted.insert(name, pod.clone());
                    self.step(at, Event::ManifestSet(pod));
                }
            }
        }
    }

    fn ends(&mut self, at: u64, uid: Uid, number: u32, end: RunEnd) {
        let Some(sandbox) = self.sandboxes.get_mut(&uid).filter(|sandbox| sandbox.number == number) else {
            return;
        };
        let Some((attempt, since, _)) = sandbox.running.get(&end.container).copied() else { return };
        if attempt != end.attempt {
            return;
        }
        sandbox.running.remove(&end.container);
        let pod = self.rules.pod(&uid);
        if end.exit.code == 0 && pod.container(&end.container).is_some_and(|it| it.role == Role::Init) {
            sandbox.passed.insert(end.container.clone());
        }
        let end = RunEnd { ran: Duration::from_secs(at - since), finished: now(at).boot, ..end };
        sandbox.journal.push(end.clone());
        self.tell(at, &uid.clone(), &Event::Exited { uid, sandbox: number, end });
    }

    fn life(&self, uid: &Uid) -> u32 {
        self.lives.get(uid).copied().unwrap_or_default()
    }

    /// What happened is told: at once, late, twice, or only by the next agent.
    fn tell(&mut self, at: u64, uid: &Uid, event: &Event) {
        let dice = if at < LUCK_TURNS { self.dice.roll(12) } else { 11 };
        let late = at + self.dice.roll(60);
        let times: &[u64] = match dice {
            0 => return self.later(late, Coming::AgentDies),
            1 | 2 => &[late],
            3 | 4 => &[at, late],
            _ => &[at],
        };
        for at in times {
            let heard = Coming::Heard(uid.clone(), self.life(uid), event.clone());
            self.later(*at, heard);
        }
    }

    fn agent_dies(&mut self, at: u64) {
        self.agent += 1;
        self.under_way.clear();
        let written: Vec<Facts> = self.node.all().filter(|facts| facts.start.is_some()).cloned().collect();
        self.rules.forget_all_but(written.iter().map(|facts| &facts.pod.uid).collect());
        self.node = Node::new(BackOff::default(), 3);
        for old in written {
            let text = serde_json::to_string(&old).unwrap();
            let facts = Facts { pod: old.pod, ..serde_json::from_str(&text).unwrap() };
            let sandbox = self.sandboxes.get(&facts.pod.uid);
            let running = sandbox.into_iter().flat_map(|sandbox| &sandbox.running);
            let running = running.map(|(container, (attempt, since, stopping))| Running {
                container: container.clone(),
                attempt: *attempt,
                started: now(*since).wall,
                since: now(*since).boot,
                stopping: *stopping,
            });
            let found = Found {
                alive: sandbox.map(|sandbox| sandbox.number),
                running: running.collect(),
                ended: sandbox.map(|sandbox| sandbox.journal.clone()).unwrap_or_default(),
                wanted: self.wanted.values().any(|pod| pod.uid == facts.pod.uid),
                jitter: self.dice.roll(1000),
                facts,
            };
            self.step(at, Event::Found(Box::new(found)));
        }
        for pod in self.wanted.values().cloned().collect::<Vec<_>>() {
            self.step(at, Event::ManifestSet(pod));
        }
    }

    fn step(&mut self, at: u64, event: Event) {
        let step = self.node.step(now(at), event);
        self.rules.after(at, &self.node, &step);
        for action in step.actions {
            assert!(self.under_way.insert(action.clone()), "{action:?} is under way already");
            self.rules.begins(at, &self.node, &action);
            self.perform(at, action);
        }
    }

    fn perform(&mut self, at: u64, action: Action) {
        let bad = at < LUCK_TURNS && self.dice.roll(5) == 0;
        let result = match bad {
            true => Err(self.failure(&action)),
            false => self.works(at, &action),
        };
        let slow = if at < LUCK_TURNS && self.dice.roll(6) == 0 { 90 } else { 5 };
        let done = at + self.dice.roll(slow);
        self.later(done, Coming::Done(self.agent, action, result));
    }

    fn failure(&mut self, action: &Action) -> Failure {
        let reason = match action {
            Action::PullImage { .. } => Reason::ErrImagePull,
            Action::StartContainer { .. } if self.dice.roll(2) == 0 => Reason::StartError,
            _ => Reason::CreateContainerError,
        };
        Failure::new(reason, "no luck")
    }

    fn works(&mut self, at: u64, action: &Action) -> Result<Learnt, Failure> {
        let uid = action.uid().clone();
        let gone = || Failure::new(Reason::CreateContainerError, "the pod process is gone");
        match action {
            Action::StartPod { sandbox, .. } => return Ok(self.start_pod(at, uid, *sandbox)),
            Action::StartContainer { sandbox, container, attempt, .. } => {
                let there = self.sandboxes.get(&uid).is_some_and(|it| it.number == *sandbox);
                return match there {
                    false => Err(gone()),
                    true => Ok(self.start_container(at, uid, action, container, *attempt)),
                };
            }
            Action::StopContainer { sandbox, container, attempt, until, .. } => {
                let found =
                    self.sandboxes.get_mut(&uid).filter(|it| it.number == *sandbox).ok_or_else(gone)?;
                let run = found.running.get_mut(container).filter(|(number, ..)| number == attempt);
                if let Some(run) = run {
                    run.2 = true;
                    let until = until.as_secs().max(at + 2);
                    let dies = at + self.dice.roll(until - at + 1);
                    let code = if dies == until { 137 } else { [0, 143][self.dice.roll(2) as usize] };
                    self.run_ends(dies, uid, *sandbox, container, *attempt, code);
                }
            }
            Action::Probe { sandbox, container, attempt, kind, .. } => {
                let bad = at < LUCK_TURNS && self.dice.roll(3) == 0;
                let outcome = if bad { Outcome::Failure } else { Outcome::Success };
                let found =
                    self.sandboxes.get_mut(&uid).filter(|it| it.number == *sandbox).ok_or_else(gone)?;
                let runs = found.running.get(container).is_some_and(|(number, ..)| number == attempt);
                if !runs {
                    return Err(gone());
                }
                if !bad && *kind == ProbeKind::Startup {
                    found.passed.insert(container.clone());
                }
                return Ok(Learnt::Probed { outcome, message: String::new() });
            }
            Action::Hook { sandbox, container, attempt, kind, .. } => {
                let found =
                    self.sandboxes.get_mut(&uid).filter(|it| it.number == *sandbox).ok_or_else(gone)?;
                let runs = found.running.get(container).is_some_and(|(number, ..)| number == attempt);
                let pod = self.rules.pod(&uid);
                let gated = pod.container(container).is_some_and(|spec| spec.probes.startup.is_some());
                if !runs {
                    return Err(gone());
                }
                if *kind == HookKind::PostStart && !gated {
                    found.passed.insert(container.clone());
                }
            }
            Action::CleanPod { .. } | Action::ReleasePod { .. } => drop(self.sandboxes.remove(&uid)),
            Action::RemovePod { keep_logs, .. } => {
                self.sandboxes.remove(&uid);
                if !keep_logs {
                    *self.lives.entry(uid.clone()).or_default() += 1;
                    self.highest.retain(|(of, _), _| *of != uid);
                }
            }
            Action::PullImage { .. } => (),
        }
        Ok(learnt(action, at))
    }

    fn start_pod(&mut self, at: u64, uid: Uid, number: u32) -> Learnt {
        assert!(!self.sandboxes.contains_key(&uid), "{uid} has a sandbox already");
        let same = |other: &&Uid| self.rules.pod(other).name == self.rules.pod(&uid).name;
        assert_eq!(self.sandboxes.keys().find(same), None, "the name of {uid} is taken");
        if at < LUCK_TURNS && self.dice.roll(4) == 0 {
            let dies = at + self.dice.roll(2000);
            self.later(dies, Coming::Dies(uid.clone(), number));
        }
        let logs = self.highest.iter().filter(|((of, _), _)| *of == uid);
        let attempts = logs.map(|((_, container), highest)| (container.clone(), highest + 1)).collect();
        let (running, journal, passed) = Default::default();
        self.sandboxes.insert(uid, Sandbox { number, running, journal, passed });
        Learnt::Pod { addresses: Vec::new(), attempts }
    }

    fn start_container(&mut self, at: u64, uid: Uid, action: &Action, name: &str, attempt: u32) -> Learnt {
        let pod = self.rules.pod(&uid);
        let spec = pod.container(name).unwrap();
        let sandbox = self.sandboxes.get_mut(&uid).unwrap();
        rules::may_begin(&pod, name, &sandbox.passed);
        let before = sandbox.running.insert(name.to_owned(), (attempt, at, false));
        assert_eq!(before, None, "{uid}: {name} runs already");
        let hooked = matches!(spec.hooks.post_start, Some(Hook::Exec(_)));
        if spec.role == Role::Sidecar && spec.probes.startup.is_none() && !hooked {
            sandbox.passed.insert(name.to_owned());
        }
        let number = sandbox.number;
        let highest = self.highest.insert((uid.clone(), name.to_owned()), attempt);
        assert!(highest.is_none_or(|highest| highest < attempt), "{uid}: {name}: number {attempt} again");
        let lasts = match at < LUCK_TURNS {
            true => Some((self.dice.roll(600), [0, 0, 1, 42][self.dice.roll(4) as usize])),
            false => (!pods::goes_on(&pod, spec)).then(|| (self.dice.roll(30), 0)),
        };
        if let Some((lasts, code)) = lasts {
            self.run_ends(at + lasts, uid, number, name, attempt, code);
        }
        learnt(action, at)
    }

    fn run_ends(&mut self, at: u64, uid: Uid, sandbox: u32, container: &str, attempt: u32, code: i32) {
        let end = RunEnd { container: container.to_owned(), ..end(at, attempt, code, 0) };
        self.later(at, Coming::Ends(uid, sandbox, end));
    }
}
