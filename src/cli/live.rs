//! What was last published, corrected by what a pod process says: for as long as no agent keeps it up to date.
//!
//! Nothing restarts meanwhile, so this is about ends: a container that was published as running may have ended, with its
//! pod process or alone.

use serde_json::{Value, json};

use super::field::{containers, holds, named, number, text};
use crate::api::seconds;
use crate::protocol::{Exited, RunState, State};

/// Corrects the core/v1 Pod `object` by what its pod process says; `None` is a pod process that is gone.
pub fn correct(object: &mut Value, state: Option<&State>) {
    let wanted: Vec<Value> = containers(object).cloned().collect();
    let mut ready = true;
    let Some(all) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
    let lists = all
        .iter_mut()
        .filter(|(key, _)| matches!(key.as_str(), "initContainerStatuses" | "containerStatuses"));
    for status in lists.filter_map(|(_, list)| list.as_array_mut()).flatten() {
        // One that came to its good end before the others began did not end with them.
        if status.pointer("/state/terminated").is_some() && holds(status, "/ready") {
            continue;
        }
        match state {
            None => lose(status),
            Some(state) => {
                let run = state.runs.iter().find(|run| name(run) == text(status, "/name"));
                let probed = named(&wanted, text(status, "/name"));
                let has = |probe| probed.is_some_and(|container| container.get(probe).is_some());
                let gated = Gated { started: has("startupProbe"), ready: has("readinessProbe") };
                run.into_iter().for_each(|run| follow(status, run, &gated));
            }
        }
        ready &= holds(status, "/ready");
    }
    let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let holds = match text(condition, "/type") {
            "Ready" | "ContainersReady" => ready,
            "PodReadyToStartContainers" => state.is_some(),
            _ => continue,
        };
        condition["status"] = json!(if holds { "True" } else { "False" });
    }
}

/// The pod process is gone, and with it what ran: a kubelet's words for a container whose end nobody saw.
fn lose(status: &mut Value) {
    let running = status.pointer("/state/running/startedAt").cloned();
    if let Some(started) = running {
        status["state"] = json!({"terminated": {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "the pod process is gone, and with it all that ran in the pod",
            "startedAt": started,
            "finishedAt": null,
        }});
    }
    (status["ready"], status["started"]) = (json!(false), json!(false));
}

/// What is not so by running alone: probes tell, and nobody asks them now.
struct Gated {
    started: bool,
    ready: bool,
}

/// Takes over what the pod process says of the latest run.
fn follow(status: &mut Value, run: &RunState, gated: &Gated) {
    let (was_ready, was_started) = (holds(status, "/ready"), holds(status, "/started"));
    let mut runs = false;
    let attempt = match run {
        RunState::Starting { attempt, .. } => {
            status["state"] = json!({"waiting": {"reason": "ContainerCreating"}});
            *attempt
        }
        RunState::Running { attempt, started, .. } => {
            runs = true;
            status["state"] = json!({"running": {"startedAt": seconds(*started)}});
            *attempt
        }
        RunState::Exited(exited) => {
            // A published wait for the next start says more, and tells of the same end.
            let known = i64::from(exited.attempt) == number(status, "/restartCount");
            if !(known && status.pointer("/state/waiting").is_some()) {
                status["state"] = json!({"terminated": terminated(exited)});
            }
            exited.attempt
        }
        RunState::Failed { attempt, failure, .. } => {
            status["state"] =
                json!({"waiting": {"reason": failure.reason.to_string(), "message": failure.message}});
            *attempt
        }
    };
    let same = i64::from(attempt) == number(status, "/restartCount");
    let started = runs && (!gated.started || was_started && same);
    status["ready"] = json!(started && (!gated.ready || was_ready && same));
    status["started"] = json!(started);
    status["restartCount"] = json!(attempt);
}

fn terminated(exited: &Exited) -> Value {
    let reason = match exited.code {
        0 => "Completed",
        _ if exited.oom_killed => "OOMKilled",
        _ => "Error",
    };
    let mut exit = json!({
        "exitCode": exited.code,
        "reason": reason,
        "startedAt": seconds(exited.started),
        "finishedAt": seconds(exited.finished),
    });
    if let Some(signal) = exited.signal {
        exit["signal"] = json!(signal);
    }
    exit
}

/// Which container a run is of.
pub fn name(run: &RunState) -> &str {
    match run {
        RunState::Starting { name, .. } | RunState::Running { name, .. } | RunState::Failed { name, .. } => {
            name
        }
        RunState::Exited(exited) => &exited.name,
    }
}
