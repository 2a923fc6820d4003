//! From what is known to what is published, by the kubelet's rules (reference B.2–B.4).
//!
//! Invariant: the report depends on the facts alone, not on the time, so that nothing is published while nothing happens.

use std::fmt::Write;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Time;
use super::facts::{Container, Facts, SandboxState, State};
use super::plan::will_run;
use super::restart::BackOff;
use crate::spec::Pod;
use crate::status::{
    Condition, ConditionKind, ContainerState, ContainerStatus, Exit, Phase, PodStatus, Reason, Wall,
};

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
    PodStatus {
        phase,
        reason: None,
        message: String::new(),
        conditions: conditions(facts, phase),
        start_time: facts.start,
        deletion: facts.deletion.map(|deletion| deletion.wall),
        pod_ip: if facts.pod.host_network { host_ip.clone() } else { facts.sandbox.ip.clone() },
        host_ip,
        containers: facts.containers.iter().map(|known| container(facts, known, back_off)).collect(),
        events: facts.history.all().to_vec(),
    }
}

/// What the pod waits for and until when, the earliest first of all; for people.
pub fn next(facts: &Facts) -> Option<(Time, String)> {
    let pod = &facts.pod;
    if let Some(deletion) = facts.deletion {
        let until = deletion.boot + pod.grace;
        return Some((until, "whatever still runs is killed".to_owned()));
    }
    if facts.sandbox.state != SandboxState::Up {
        return (Time::ZERO < facts.sandbox.due)
            .then(|| (facts.sandbox.due, "the pod is started again".to_owned()));
    }
    let waits = facts.containers.iter().filter(|known| will_run(pod.restart_policy, known));
    let wait = |known: &Container| {
        let what = match known.failure {
            Some(_) => "is tried again",
            None => "is restarted",
        };
        match known.state {
            State::Waiting { due } | State::Terminated { due, .. } if Time::ZERO < due => {
                Some((due, format!("container {} {what}", known.name)))
            }
            _ => None,
        }
    };
    waits.filter_map(wait).min()
}

fn phase(facts: &Facts) -> Phase {
    let policy = facts.pod.restart_policy;
    let any = |is: fn(&State) -> bool| facts.containers.iter().any(|known| is(&known.state));
    if any(|state| matches!(state, State::Waiting { .. })) {
        Phase::Pending
    } else if any(|state| matches!(state, State::Running { .. }))
        || facts.containers.iter().any(|known| will_run(policy, known))
    {
        Phase::Running
    } else if any(|state| matches!(state, State::Terminated { exit, .. } if exit.code != 0)) {
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
    vec![
        condition(ConditionKind::PodReadyToStartContainers, up, &None, up_since),
        condition(ConditionKind::Initialized, true, &completed, begun),
        condition(ConditionKind::Ready, ready, &unready, since),
        condition(ConditionKind::ContainersReady, ready, &unready, since),
        condition(ConditionKind::PodScheduled, true, &None, begun),
    ]
}

fn unready(facts: &Facts) -> String {
    let names: Vec<&str> = facts
        .containers
        .iter()
        .filter(|known| !facts.is_ready(known))
        .map(|known| known.name.as_str())
        .collect();
    format!("containers with unready status: [{}]", names.join(" "))
}

fn container(facts: &Facts, known: &Container, back_off: &BackOff) -> ContainerStatus {
    let spec = facts.pod.container(&known.name);
    let ran = !matches!(known.state, State::Waiting { .. });
    let mut last_state = known.last.clone();
    let state = match &known.state {
        State::Running { started, .. } => ContainerState::Running { started: *started },
        State::Waiting { .. } => waiting(facts, known),
        State::Terminated { exit, .. } => {
            let exit =
                Exit { container_id: container_id(&facts.pod, &known.name, known.attempt), ..exit.clone() };
            let again = facts.wanted && will_run(facts.pod.restart_policy, known);
            if again && known.failure.is_some() {
                last_state = Some(exit);
                waiting(facts, known)
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
        container_id: if ran { container_id(&facts.pod, &known.name, known.attempt) } else { String::new() },
        ready: facts.is_ready(known),
        started: facts.is_started(known),
        restart_count: known.attempt,
        stop_signal: spec.and_then(|spec| spec.stop_signal.clone()),
        state,
        last_state,
    }
}

fn waiting(facts: &Facts, known: &Container) -> ContainerState {
    let image = facts.pod.container(&known.name).map(|spec| spec.image.as_str()).unwrap_or_default();
    let (reason, message) = match &known.failure {
        Some(failure) if failure.reason == Reason::ErrImagePull && 1 < known.failures => {
            let message = format!("Back-off pulling image \"{image}\": {}", failure.message);
            (Reason::ImagePullBackOff, message)
        }
        Some(failure) => (failure.reason, failure.message.clone()),
        None => {
            let message = facts.sandbox.failure.as_ref().map(ToString::to_string);
            (Reason::ContainerCreating, message.unwrap_or_default())
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
