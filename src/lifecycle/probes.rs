//! What probes say about a run, by the kubelet's rules (reference C.3), and what follows from it.
//!
//! Invariant: an answer counts for the run and the sandbox that it was asked of, and for no other.
//! Invariant: an answer that says what was known already changes nothing that is published, so that nothing is written
//! while nothing happens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::Outcome;
use super::container::Container;
use super::facts::Facts;
use super::{Action, Learnt, Node, Now, Time};
use crate::spec::{Probe, ProbeKind, Probes};
use crate::status::{EventKind, Failure, Reason};

/// What is known of one run by its probes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// When the run began.
    pub began: Time,
    /// Whether its startup probe succeeded.
    pub started: bool,
    /// Whether its readiness probe says so.
    pub ready: bool,
    /// The probe that ends the run, and when it was found so.
    pub failed: Option<(ProbeKind, Time)>,
    /// By kind. The next agent begins to count anew, as a kubelet does.
    #[serde(skip)]
    watches: [Watch; 3],
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Watch {
    /// Not asked again before.
    due: Time,
    /// Good answers in a row.
    successes: u32,
    /// Bad answers in a row.
    failures: u32,
    /// Errors in a row.
    errors: u32,
}

impl Probed {
    /// Of a run that began at `began`, of which nothing was asked yet.
    pub fn since(began: Time) -> Probed {
        Probed { began, ..Probed::default() }
    }

    /// An agent took the run over. What is known already is asked again some time within the first period, so that not all
    /// is asked at once; `jitter` is any number.
    pub fn resume(&mut self, probes: &Probes, jitter: u64, now: Now) {
        for kind in ProbeKind::ALL {
            let known = match kind {
                ProbeKind::Startup => false,
                ProbeKind::Liveness => true,
                ProbeKind::Readiness => self.ready,
            };
            if let Some(probe) = probes.get(kind).filter(|_| known) {
                let dice = jitter.rotate_left(21 * kind as u32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
                let period = u64::try_from(probe.period.as_millis()).unwrap_or(u64::MAX).max(1);
                self.watch(kind).due = now.boot + Duration::from_millis(dice % period);
            }
        }
    }

    /// Whether its startup probe, where it has one, lets the others begin.
    pub fn is_started(&self, probes: &Probes) -> bool {
        self.started || probes.startup.is_none()
    }

    /// Whether it is ready, as long as it runs.
    pub fn is_ready(&self, probes: &Probes) -> bool {
        self.is_started(probes) && (self.ready || probes.readiness.is_none())
    }

    /// Whether `kind` was not asked yet, as far as this agent knows.
    pub fn is_unasked(&self, kind: ProbeKind) -> bool {
        self.watches.get(kind as usize).is_none_or(|watch| watch.due == Time::ZERO)
    }

    /// It is being asked: the next time is a period from now.
    pub fn asked(&mut self, kind: ProbeKind, probe: &Probe, now: Now) {
        self.watch(kind).due = now.boot + probe.period;
    }

    /// When to ask next; `None` while that answer is of no use. Of a pod that ends only its readiness is.
    fn due(&self, kind: ProbeKind, probes: &Probes, wanted: bool) -> Option<Time> {
        let probe = probes.get(kind)?;
        let decides = wanted && self.failed.is_none();
        let of_use = match kind {
            ProbeKind::Startup => decides && !self.started,
            ProbeKind::Liveness => decides && self.is_started(probes),
            ProbeKind::Readiness => self.is_started(probes),
        };
        let watch = self.watches.get(kind as usize)?;
        of_use.then(|| watch.due.max(self.began + probe.initial_delay))
    }

    fn watch(&mut self, kind: ProbeKind) -> &mut Watch {
        let [startup, liveness, readiness] = &mut self.watches;
        match kind {
            ProbeKind::Startup => startup,
            ProbeKind::Liveness => liveness,
            ProbeKind::Readiness => readiness,
        }
    }

    /// Takes in a good answer; whether something is different now.
    fn succeeds(&mut self, kind: ProbeKind, probe: &Probe) -> bool {
        let watch = self.watch(kind);
        watch.successes = watch.successes.saturating_add(1);
        (watch.failures, watch.errors) = (0, 0);
        if watch.successes < probe.success_threshold {
            return false;
        }
        match kind {
            ProbeKind::Startup => !std::mem::replace(&mut self.started, true),
            ProbeKind::Liveness => false,
            ProbeKind::Readiness => !std::mem::replace(&mut self.ready, true),
        }
    }

    /// Takes in a bad answer; how many came in a row.
    fn fails(&mut self, kind: ProbeKind, probe: &Probe, now: Now) -> u32 {
        let watch = self.watch(kind);
        watch.failures = watch.failures.saturating_add(1);
        (watch.successes, watch.errors) = (0, 0);
        let failures = watch.failures;
        if probe.failure_threshold <= failures {
            match kind {
                ProbeKind::Readiness => self.ready = false,
                ProbeKind::Startup | ProbeKind::Liveness => self.failed = Some((kind, now.boot)),
            }
        }
        failures
    }
}

/// What to ask of `known`, and when; and until when it is to end, where a probe ends it.
pub struct Wanted {
    /// What to ask.
    pub asks: Vec<(Time, ProbeKind)>,
    /// When it is killed.
    pub ends: Option<Time>,
}

/// What its probes want of the container `known`, which runs.
pub fn wanted(facts: &Facts, known: &Container) -> Wanted {
    let Some(spec) = facts.pod.container(&known.name) else { return Wanted { asks: Vec::new(), ends: None } };
    let asks = ProbeKind::ALL.into_iter();
    let asks = asks.filter_map(|kind| Some((known.probed.due(kind, &spec.probes, facts.goes_on())?, kind)));
    let ends = known.probed.failed.filter(|_| facts.goes_on()).map(|(kind, at)| {
        let grace = spec.probes.get(kind).and_then(|probe| probe.grace);
        at + grace.unwrap_or(facts.pod.grace)
    });
    Wanted { asks: asks.collect(), ends }
}

/// Why the container `known` is stopped, as an event says it.
pub fn killing(facts: &Facts, known: &Container) -> String {
    let name = &known.name;
    match known.probed.failed {
        Some((kind, _)) if facts.goes_on() => {
            let again = if facts.runs_after_failure(known) { ", will be restarted" } else { "" };
            format!("Container {name} failed {} probe{again}", kind.word())
        }
        None if facts.goes_on() && known.hooked.failed.is_some() => Reason::FailedPostStartHook.to_string(),
        _ => format!("Stopping container {name}"),
    }
}

impl Facts {
    /// Whether `known`, one of its containers, runs and its startup probe, where it has one, succeeded.
    pub fn is_started(&self, known: &Container) -> bool {
        let spec = self.pod.container(&known.name);
        known.is_running()
            && self.is_post_started(known)
            && spec.is_none_or(|spec| known.probed.is_started(&spec.probes))
    }

    /// Whether `known`, one of its containers, is ready.
    pub fn is_ready(&self, known: &Container) -> bool {
        let spec = self.pod.container(&known.name);
        known.is_running()
            && self.is_post_started(known)
            && spec.is_none_or(|spec| known.probed.is_ready(&spec.probes))
    }

    /// An agent took the pod over: probes go on.
    pub fn resume_probes(&mut self, jitter: u64, now: Now) {
        for (known, jitter) in self.containers.iter_mut().zip(jitter..) {
            if let Some(spec) = self.pod.container(&known.name) {
                known.probed.resume(&spec.probes, jitter, now);
            }
        }
    }
}

impl Node {
    /// The end of an [`Action::Probe`].
    pub(super) fn probed(&mut self, now: Now, action: Action, result: Result<Learnt, Failure>) {
        let Action::Probe { uid, sandbox, container, attempt, kind } = action else { return };
        let Some(facts) = self.pods.get_mut(&uid).filter(|facts| facts.is_up(sandbox)) else { return };
        let (pod, wanted) = (facts.pod.clone(), facts.goes_on());
        let Some(probes) = pod.container(&container).map(|spec| &spec.probes) else { return };
        let Some(probe) = probes.get(kind) else { return };
        let Some(known) = facts.container(&container) else { return };
        // What came of it is of no use any more: another run, another decision.
        if !known.is_running() || known.attempt != attempt || known.probed.due(kind, probes, wanted).is_none()
        {
            return;
        }
        let title = kind.title();
        let (changed, event) = match result {
            Ok(Learnt::Probed { outcome: Outcome::Failure, message }) => {
                let failures = known.probed.fails(kind, probe, now);
                let told = is_told(failures, probe.failure_threshold);
                (told, told.then(|| (Reason::Unhealthy, format!("{title} probe failed: {message}"))))
            }
            Ok(Learnt::Probed { outcome, message }) => {
                let first = known.probed.watch(kind).successes == 0;
                let changed = known.probed.succeeds(kind, probe);
                let warned = first && outcome == Outcome::Warning;
                let event =
                    warned.then(|| (Reason::ProbeWarning, format!("{title} probe warning: {message}")));
                (changed || warned, event)
            }
            Ok(_) => (false, None),
            Err(failure) => {
                let watch = known.probed.watch(kind);
                watch.errors = watch.errors.saturating_add(1);
                let told = is_told(watch.errors, 1);
                let message = failure.message;
                let message = format!("{title} probe errored and resulted in unknown state: {message}");
                (told, told.then_some((Reason::Unhealthy, message)))
            }
        };
        if let Some((reason, message)) = event {
            facts.history.note(now.wall, EventKind::Warning, reason, Some(&container), message);
        }
        if changed {
            self.changed.insert(uid);
        }
    }
}

/// Whether the last of `failures` in a row is told: each until something comes of it, then each time that they have
/// doubled. A kubelet tells all; here what goes on as it was is not written down each time.
fn is_told(failures: u32, threshold: u32) -> bool {
    failures <= threshold || failures.is_power_of_two()
}
