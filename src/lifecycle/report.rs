//! From what is known to what is published, by the kubelet's rules (reference B.2–B.4).
//!
//! Invariant: the report depends on the facts alone, not on the time, so that nothing is published while nothing happens.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::container::{ANEW_WITH_ALL, Container, State};
use super::facts::Facts;
use super::order::Over;
use super::restart::BackOff;
use crate::spec::{Pod, Role};
use crate::status::{
    Condition, ConditionKind, ContainerState, ContainerStatus, Failure, Phase, PodStatus, Reason, Wall,
};

/// The kubelet's sentence (reference B.9).
const LATE: &str = "Pod was active on the node longer than the specified deadline";

/// The identity of one run, as shown in `containerID`: unlike any other, also of other nodes and boots.
pub fn container_id(pod: &Pod, container: &str, attempt: u32) -> String {
    let digest = Sha256::digest(format!("{}/{container}/{attempt}", pod.uid));
    let mut id = String::from("holdfast://");
    for byte in digest {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// What is the case with a pod. `host_ip` is the node's address, where it has one.
pub fn status(facts: &Facts, back_off: &BackOff, host_ip: Option<&str>) -> PodStatus {
    let phase = phase(facts);
    let host_ip = host_ip.map(str::to_owned);
    let late = matches!(facts.over, Some((Over::Deadline, _))) && phase == Phase::Failed;
    let late = late.then(|| (Reason::DeadlineExceeded, LATE.to_owned()));
    let evicted = !facts.evicted.is_empty() && phase == Phase::Failed;
    let evicted = evicted.then(|| (Reason::Evicted, facts.evicted.clone()));
    let is_rejected = matches!(facts.over, Some((Over::Rejected, _)));
    let waits = |failure: &Failure| facts.waits_for_port() || failure.reason == Reason::OutOfhugepages;
    let rejected = facts.sandbox.failure.as_ref().filter(|failure| is_rejected || waits(failure));
    let why = late.or(evicted).or(rejected.map(|failure| (failure.reason, failure.message.clone()))).unzip();
    let containers = |inits: bool| {
        let known =
            facts.containers.iter().filter(move |known| (facts.role(known) != Role::Regular) == inits);
        known.map(|known| container(facts, known, back_off)).collect()
    };
    PodStatus {
        phase,
        reason: why.0,
        message: why.1.unwrap_or_default(),
        conditions: conditions(facts, phase),
        start_time: facts.start,
        deletion: facts.deletion.map(|deletion| deletion.wall),
        pod_ips: match facts.pod.host_network {
            true => host_ip.iter().cloned().collect(),
            false => facts.sandbox.addresses.iter().map(ToString::to_string).collect(),
        },
        host_ip,
        init_containers: containers(true),
        containers: containers(false),
        events: facts.history.all().to_vec(),
    }
}

fn phase(facts: &Facts) -> Phase {
    let regular = || facts.containers.iter().filter(|known| facts.role(known) == Role::Regular);
    // Whoever ran before counts as stopped, though it waits (`getPhase`).
    let waits = |known: &Container| matches!(known.state, State::Waiting { .. }) && known.last.is_none();
    let failed = |known: &Container| matches!(&known.state, State::Terminated { exit, .. } if exit.code != 0);
    let runs = facts.containers.iter().any(Container::is_running);
    let over = facts.over.map(|(over, _)| over);
    let cut_off = matches!(over, Some(Over::Deadline | Over::Rejected | Over::Evicted));
    if facts.ended && (cut_off || facts.has_failed_init()) {
        Phase::Failed
    } else if !facts.is_initialized() || regular().any(waits) {
        Phase::Pending
    } else if runs
        || over.is_some() && !facts.ended
        || over.is_none() && regular().any(|it| facts.will_run(it))
    {
        // Also where it is over but for what is still being stopped (`mergePodStatus`).
        Phase::Running
    } else if regular().any(failed) {
        Phase::Failed
    } else {
        Phase::Succeeded
    }
}

fn conditions(facts: &Facts, phase: Phase) -> Vec<Condition> {
    let begun = facts.start.unwrap_or_default();
    let condition = |kind, holds, why: &Option<(Reason, String)>, since: Wall| {
        let why = why.clone().unzip();
        Condition { kind, holds, reason: why.0, message: why.1.unwrap_or_default(), since: since.max(begun) }
    };
    let completed = (phase == Phase::Succeeded).then_some((Reason::PodCompleted, String::new()));
    let (ready, since) = facts.since.ready;
    let unready = match phase {
        _ if ready => None,
        Phase::Succeeded => completed.clone(),
        Phase::Failed => Some((Reason::PodFailed, String::new())),
        Phase::Pending | Phase::Running => Some((Reason::ContainersNotReady, unready(facts))),
    };
    let (up, up_since) = facts.since.up;
    let initialized = facts.is_initialized();
    let uninitialized =
        if initialized { completed } else { Some((Reason::ContainersNotInitialized, incomplete(facts))) };
    // A pod without init containers is initialized from the first.
    let initialized_since = if facts.pod.has_inits() { facts.since.initialized.1 } else { begun };
    let mut all = vec![
        condition(ConditionKind::PodReadyToStartContainers, up, &None, up_since),
        condition(ConditionKind::Initialized, initialized, &uninitialized, initialized_since),
        condition(ConditionKind::Ready, ready, &unready, since),
        condition(ConditionKind::ContainersReady, ready, &unready, since),
        condition(ConditionKind::PodScheduled, true, &None, begun),
    ];
    if facts.pod.may_restart_all() {
        let (restarting, since) = facts.since.restarting_all;
        all.push(condition(ConditionKind::AllContainersRestarting, restarting, &None, since));
    }
    all
}

fn unready(facts: &Facts) -> String {
    let counts = |known: &&Container| facts.role(known) != Role::Init && !facts.is_ready(known);
    format!("containers with unready status: [{}]", names(facts, counts))
}

fn incomplete(facts: &Facts) -> String {
    let counts = |known: &&Container| facts.role(known) != Role::Regular && !known.passed;
    format!("containers with incomplete status: [{}]", names(facts, counts))
}

fn names(facts: &Facts, counts: impl Fn(&&Container) -> bool) -> String {
    facts.containers.iter().filter(counts).map(|known| known.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn container(facts: &Facts, known: &Container, back_off: &BackOff) -> ContainerStatus {
    let spec = facts.pod.container(&known.name);
    let ran = !matches!(known.state, State::Waiting { .. });
    let mut last_state = known.last.clone();
    let state = match &known.state {
        State::Running { started, .. } => ContainerState::Running { started: *started },
        State::Waiting { .. } => waiting(facts, known),
        State::Terminated { exit, .. } => {
            let exit = exit.clone();
            let again = facts.goes_on() && facts.will_run(known);
            if again && known.failure.is_some() {
                last_state = Some(exit);
                waiting(facts, known)
            } else if again && known.hooked.failed.is_some() && back_off.delay(known.streak).is_zero() {
                last_state = Some(exit);
                let message = format!("PostStartHook failed: {}", known.hooked.why);
                ContainerState::Waiting { reason: Reason::PostStartHookError, message }
            } else if again && !back_off.delay(known.streak).is_zero() {
                last_state = Some(exit);
                crash_loop(facts, known, back_off)
            } else {
                ContainerState::Terminated(exit)
            }
        }
    };
    ContainerStatus {
        name: known.name.clone(),
        image: spec.map(|spec| spec.image.clone()).unwrap_or_default(),
        image_id: known.image_id.clone(),
        volume_images: if ran { known.volume_images.clone() } else { BTreeMap::new() },
        container_id: if ran { container_id(&facts.pod, &known.name, known.attempt) } else { String::new() },
        ready: if facts.role(known) == Role::Init { known.passed } else { facts.is_ready(known) },
        started: facts.is_started(known),
        restart_count: known.attempt,
        stop_signal: spec.and_then(|spec| spec.stop_signal.clone()),
        state,
        last_state,
    }
}

/// The image that could not be pulled: the container's, or that of the volume that `message` begins with.
fn pulled<'f>(facts: &'f Facts, known: &Container, message: &str) -> &'f str {
    let Some(spec) = facts.pod.container(&known.name) else { return "" };
    let begins = |name: &str| {
        message.strip_prefix("volume ").is_some_and(|rest| rest.starts_with(&format!("{name:?}: ")))
    };
    let volume = facts.pod.volume_images(spec).find(|(name, ..)| begins(name));
    volume.map_or(&spec.image, |(_, reference, _)| reference)
}

fn waiting(facts: &Facts, known: &Container) -> ContainerState {
    let (reason, message) = match &known.failure {
        Some(failure) if failure.reason == Reason::ErrImagePull && 1 < known.failures => {
            let image = pulled(facts, known, &failure.message);
            let message = format!("Back-off pulling image \"{image}\": {}", failure.message);
            (Reason::ImagePullBackOff, message)
        }
        Some(failure) => (failure.reason, failure.message.clone()),
        None if known.anew_with_all => (Reason::RestartingAllContainers, ANEW_WITH_ALL.to_owned()),
        None if facts.waits_for_port() => {
            let message = facts.sandbox.failure.as_ref().map(|failure| failure.message.clone());
            (Reason::NodePorts, message.unwrap_or_default())
        }
        None => {
            let message = facts.sandbox.failure.as_ref().map(ToString::to_string);
            let reason =
                if facts.pod.has_inits() { Reason::PodInitializing } else { Reason::ContainerCreating };
            (reason, message.unwrap_or_default())
        }
    };
    ContainerState::Waiting { reason, message }
}

fn crash_loop(facts: &Facts, known: &Container, back_off: &BackOff) -> ContainerState {
    let (pod, delay) = (&facts.pod, go_duration(back_off.delay(known.streak)));
    let message = format!(
        "back-off {delay} restarting failed container={} pod={}_{}({})",
        known.name, pod.name, pod.namespace, pod.uid
    );
    ContainerState::Waiting { reason: Reason::CrashLoopBackOff, message }
}

/// As Go prints whole seconds: `40s`, `1m20s`, `5m0s`.
fn go_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}
