//! A world with bad luck: random answers, deaths and edits, for a day; then luck turns, and everything must be right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{end, learnt, now, pod};
use crate::lifecycle::{Action, BackOff, Event, Facts, Learnt, Node, Outcome};
use crate::spec::{Check, Hook, Hooks, Pod, Probe, Probes, RestartPolicy, Uid};
use crate::status::{Failure, Reason};

const DAY: u64 = 24 * 3600;

/// A make-believe kernel, registry and pod process. Checks that it is asked sensible things.
struct World {
    node: Node,
    coming: BTreeMap<(u64, u64), Event>,
    /// Pods that have a sandbox, and its number.
    up: BTreeMap<Uid, u32>,
    /// What runs, and its number.
    running: BTreeMap<Uid, u32>,
    /// The highest number ever begun.
    highest: BTreeMap<Uid, u32>,
    stopping: BTreeSet<Uid>,
    wanted: BTreeMap<String, Arc<Pod>>,
    serial: u64,
    dice: u64,
    steps: u64,
}

#[test]
fn after_a_day_of_bad_luck_exactly_what_is_wanted_runs() {
    for seed in 1..=20 {
        let mut world = World::new(seed);
        for edit in 0..60 {
            world.edit(edit * 1200, &format!("pod-{}", edit % 10));
        }
        world.play();
        let all = world.node.all();
        let settled = |facts: &Facts| facts.containers.iter().all(|known| facts.is_ready(known));
        assert!(all.into_iter().all(settled), "seed {seed}: all are ready");
        let wanted: BTreeSet<&Uid> = world.wanted.values().map(|pod| &pod.uid).collect();
        assert_eq!(world.running.keys().collect::<BTreeSet<_>>(), wanted, "seed {seed}");
        assert_eq!(world.up.keys().collect::<BTreeSet<_>>(), wanted, "seed {seed}");
        assert!(world.steps < 200_000, "seed {seed}: {} steps", world.steps);
    }
}

impl World {
    fn new(seed: u64) -> World {
        World {
            node: Node::new(BackOff::default(), 4),
            coming: BTreeMap::new(),
            up: BTreeMap::new(),
            running: BTreeMap::new(),
            highest: BTreeMap::new(),
            stopping: BTreeSet::new(),
            wanted: BTreeMap::new(),
            serial: 0,
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            steps: 0,
        }
    }

    /// The manifest of `name` is written, rewritten, removed, or put back as it was.
    fn edit(&mut self, at: u64, name: &str) {
        let old = self.wanted.remove(name);
        if let Some(old) = &old {
            self.tell(at, Event::ManifestGone(old.uid.clone()));
        }
        let again = self.roll(3) == 0;
        let pod = match old {
            Some(old) if again => old,
            _ => self.probed(&pod(&format!("{name}-at-{at}"), name, RestartPolicy::Always)),
        };
        let back = at + self.roll(20);
        self.tell(back, Event::ManifestSet(pod.clone()));
        self.wanted.insert(name.to_owned(), pod);
    }

    /// With probes, whichever.
    fn probed(&mut self, pod: &Pod) -> Arc<Pod> {
        let mut pod = pod.clone();
        let mut probe = || {
            let (delay, period) = (self.roll(100), 300 + self.roll(300));
            (self.roll(2) == 0).then(|| Probe {
                check: Check::Exec(Vec::new()),
                initial_delay: Duration::from_secs(delay),
                timeout: Duration::from_secs(1),
                period: Duration::from_secs(period),
                success_threshold: 1,
                failure_threshold: 2,
                grace: None,
            })
        };
        pod.containers[0].probes = Probes { startup: probe(), liveness: probe(), readiness: probe() };
        let mut hook = || match self.roll(4) {
            0 => Some(Hook::Exec(Vec::new())),
            1 => Some(Hook::Sleep(Duration::from_secs(self.roll(30)))),
            _ => None,
        };
        pod.containers[0].hooks = Hooks { post_start: hook(), pre_stop: hook() };
        Arc::new(pod)
    }

    fn play(&mut self) {
        // Probes go on for ever.
        while let Some((at, event)) = self.next().filter(|(at, _)| *at < 2 * DAY) {
            self.steps += 1;
            if let Event::Exited { uid, sandbox, end } = &event {
                if self.up.get(uid) != Some(sandbox) || self.running.get(uid) != Some(&end.attempt) {
                    continue; // It died otherwise in the meantime.
                }
                self.running.remove(uid);
            }
            if let Event::PodLost { uid, sandbox } = &event {
                if self.up.get(uid) != Some(sandbox) {
                    continue;
                }
                self.running.remove(uid);
            }
            for action in self.node.step(now(at), event).actions {
                self.perform(at, action, DAY < at);
            }
        }
    }

    fn next(&mut self) -> Option<(u64, Event)> {
        let deadline = self.node.next_deadline().map(|deadline| deadline.as_secs());
        let first = self.coming.first_key_value().map(|((at, _), _)| *at);
        match (first, deadline) {
            (Some(first), Some(deadline)) if deadline < first => Some((deadline, Event::Tick)),
            (None, Some(deadline)) => Some((deadline, Event::Tick)),
            _ => self.coming.pop_first().map(|((at, _), event)| (at, event)),
        }
    }

    fn perform(&mut self, at: u64, action: Action, luck_turned: bool) {
        let bad = !luck_turned && self.roll(3) == 0;
        let done = at + self.roll(5);
        let uid = action.uid().clone();
        match &action {
            Action::StartPod { sandbox, .. } => {
                assert!(!self.up.contains_key(&uid), "{uid} is up already");
                if !bad {
                    let same = |other: &&Uid| other.0.split("-at-").next() == uid.0.split("-at-").next();
                    assert_eq!(self.up.keys().find(same), None, "the name of {uid} is taken");
                    self.up.insert(uid.clone(), *sandbox);
                    if !luck_turned && self.roll(10) == 0 {
                        let dies = done + 1 + self.roll(2000);
                        self.tell(dies, Event::PodLost { uid, sandbox: *sandbox });
                    }
                }
            }
            Action::StartContainer { sandbox, attempt, .. } if !bad && self.up.get(&uid) == Some(sandbox) => {
                assert_eq!(self.running.insert(uid.clone(), *attempt), None, "{uid} runs already");
                let highest = self.highest.insert(uid.clone(), *attempt);
                assert!(highest.is_none_or(|highest| highest < *attempt), "{uid}: number {attempt} again");
                if !luck_turned {
                    let ran = self.roll(900);
                    let end = end(at + ran, *attempt, 1, ran);
                    self.tell(at + ran, Event::Exited { uid, sandbox: *sandbox, end });
                }
            }
            Action::StopContainer { sandbox, attempt, until, .. } => {
                if self.stopping.insert(uid.clone()) && !bad {
                    let dies = at + self.roll(until.as_secs().saturating_sub(at).max(1));
                    let end = end(dies, *attempt, 143, 1);
                    self.tell(dies, Event::Exited { uid, sandbox: *sandbox, end });
                } else {
                    self.stopping.remove(&uid);
                }
            }
            Action::CleanPod { .. } | Action::ReleasePod { .. } | Action::RemovePod { .. } if !bad => {
                self.up.remove(&uid);
                self.running.remove(&uid);
                self.stopping.remove(&uid);
                if let Action::RemovePod { keep_logs: false, .. } = action {
                    self.highest.remove(&uid);
                }
            }
            Action::Probe { sandbox, attempt, .. } => {
                let what = format!("{uid} {sandbox} {attempt}");
                if self.up.get(&uid) == Some(sandbox) && luck_turned {
                    assert_eq!(self.running.get(&uid), Some(attempt), "{what} is asked and does not run");
                }
                let outcome = if bad { Outcome::Failure } else { Outcome::Success };
                let answer = Learnt::Probed { outcome, message: String::new() };
                let failure = Failure::new(Reason::Unhealthy, "no luck");
                let result = if bad && self.roll(4) == 0 { Err(failure) } else { Ok(answer) };
                return self.tell(done, Event::Done { action, result });
            }
            Action::Hook { sandbox, attempt, .. } if self.up.get(&uid) == Some(sandbox) && luck_turned => {
                assert_eq!(
                    self.running.get(&uid),
                    Some(attempt),
                    "{uid} {sandbox} {attempt} has a hook and does not run"
                );
            }
            _ => (),
        }
        let result = match bad {
            true => Err(Failure::new(Reason::CreateContainerError, "no luck")),
            false => Ok(learnt(&action, done)),
        };
        self.tell(done, Event::Done { action, result });
    }

    fn tell(&mut self, at: u64, event: Event) {
        self.serial += 1;
        self.coming.insert((at, self.serial), event);
    }

    /// Xorshift: the same story every time.
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }
}
