//! core/v1 Pods: the accepted object and, in it, the status as a kubelet would write it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{nanoseconds, seconds};
use crate::spec::{Pod, Qos};
use crate::status::{
    Condition, ConditionKind, ContainerState, ContainerStatus, Exit, Phase, PodStatus, Wall,
};

/// The annotation that tells since when the agent knows the pod.
const SEEN: &str = "kubernetes.io/config.seen";

/// The core/v1 Pod that `get -o json` shows: the object of `pod` with `status` in it.
///
/// `seen` is when an agent first saw this incarnation: its `creationTimestamp`, which kubectl counts AGE from.
/// Fails where `pod.object` is not a JSON object, which only a damaged `spec.json` brings.
pub fn pod(pod: &Pod, status: &PodStatus, seen: Wall) -> serde_json::Result<Value> {
    let mut object: Map<String, Value> = serde_json::from_str(&pod.object)?;
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    if let Value::Object(metadata) = metadata {
        write_metadata(metadata, pod, status, seen);
    }
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let status = status_of(pod, spec, status);
    object.insert("status".to_string(), status);
    let mut object = Value::Object(object);
    object.sort_all_objects();
    Ok(object)
}

fn write_metadata(metadata: &mut Map<String, Value>, pod: &Pod, status: &PodStatus, seen: Wall) {
    metadata.insert("creationTimestamp".to_string(), json!(seconds(seen)));
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if let Value::Object(annotations) = annotations {
        annotations.insert(SEEN.to_string(), json!(nanoseconds(seen)));
    }
    if let Some(deletion) = status.deletion {
        // As the API server writes it: not when deletion began, but when it must be over.
        let nanoseconds = i64::try_from(pod.grace.as_nanos()).unwrap_or(i64::MAX);
        let over = Wall(deletion.0.saturating_add(nanoseconds));
        metadata.insert("deletionTimestamp".to_string(), json!(seconds(over)));
        metadata.insert("deletionGracePeriodSeconds".to_string(), json!(pod.grace.as_secs()));
    }
}

fn status_of(pod: &Pod, spec: &Value, status: &PodStatus) -> Value {
    let mut conditions: Vec<&Condition> = status.conditions.iter().collect();
    conditions.sort_by_key(|condition| place(condition.kind));
    let statuses = |containers: &[ContainerStatus]| {
        containers.iter().map(|container| container_status(spec, container)).collect::<Vec<Value>>()
    };
    let mut object = json!({
        "phase": phase(status.phase),
        "qosClass": qos(pod.qos),
        "resources": spec.get("resources").cloned().unwrap_or_else(|| json!({})),
        "conditions": conditions.into_iter().map(condition).collect::<Vec<Value>>(),
        "containerStatuses": statuses(&status.containers),
    });
    let inits = statuses(&status.init_containers);
    put(&mut object, "initContainerStatuses", (!inits.is_empty()).then_some(json!(inits)));
    put(&mut object, "startTime", status.start_time.map(|at| json!(seconds(at))));
    put(&mut object, "reason", status.reason.map(|reason| json!(reason.to_string())));
    put_text(&mut object, "message", &status.message);
    let addresses = [("hostIP", "hostIPs", status.host_ip.as_slice()), ("podIP", "podIPs", &status.pod_ips)];
    for (one, many, addresses) in addresses {
        put(&mut object, one, addresses.first().map(|address| json!(address)));
        let all = addresses.iter().map(|address| json!({"ip": address})).collect::<Vec<Value>>();
        put(&mut object, many, (!all.is_empty()).then_some(json!(all)));
    }
    object
}

/// Where a kubelet lists a condition.
fn place(kind: ConditionKind) -> u8 {
    match kind {
        ConditionKind::PodReadyToStartContainers => 0,
        ConditionKind::Initialized => 1,
        ConditionKind::Ready => 2,
        ConditionKind::ContainersReady => 3,
        ConditionKind::PodScheduled => 4,
        ConditionKind::AllContainersRestarting => 5,
    }
}

fn condition(condition: &Condition) -> Value {
    let mut object = json!({
        "type": format!("{:?}", condition.kind),
        "status": if condition.holds { "True" } else { "False" },
        "lastProbeTime": null,
        "lastTransitionTime": seconds(condition.since),
    });
    put(&mut object, "reason", condition.reason.map(|reason| json!(reason.to_string())));
    put_text(&mut object, "message", &condition.message);
    object
}

fn container_status(spec: &Value, status: &ContainerStatus) -> Value {
    let mut object = json!({
        "name": status.name,
        "image": status.image,
        "imageID": status.image_id,
        "ready": status.ready,
        "started": status.started,
        "restartCount": status.restart_count,
        "state": state(&status.state),
        "lastState": status.last_state.as_ref().map_or_else(|| json!({}), |exit| json!({"terminated": terminated(exit)})),
    });
    put_text(&mut object, "containerID", &status.container_id);
    put(&mut object, "stopSignal", status.stop_signal.as_ref().map(|signal| json!(signal)));
    let all =
        ["initContainers", "containers"].into_iter().filter_map(|field| spec[field].as_array()).flatten();
    let wanted = all.into_iter().find(|wanted| wanted["name"] == *status.name);
    let resources = wanted.and_then(|wanted| wanted.get("resources"));
    put(&mut object, "resources", Some(resources.cloned().unwrap_or_else(|| json!({}))));
    put(
        &mut object,
        "allocatedResources",
        resources.and_then(|resources| resources.get("requests")).cloned(),
    );
    let mounts = wanted.and_then(|wanted| wanted["volumeMounts"].as_array()).into_iter().flatten();
    let mounts: Vec<Value> = mounts.map(|wanted| mount(wanted, &status.volume_images)).collect();
    put(&mut object, "volumeMounts", (!mounts.is_empty()).then_some(Value::Array(mounts)));
    object
}

/// A mount as a kubelet repeats it in the status: where from, where to, how read-only it is, and which image.
fn mount(wanted: &Value, images: &BTreeMap<String, String>) -> Value {
    let mut object = json!({"name": wanted["name"], "mountPath": wanted["mountPath"]});
    if let Some(image) = wanted["name"].as_str().and_then(|name| images.get(name)) {
        object["volumeStatus"] = json!({"image": {"imageRef": image}});
    }
    if wanted["readOnly"] == true {
        object["readOnly"] = json!(true);
        let recursive = ["Enabled", "IfPossible"].iter().any(|word| wanted["recursiveReadOnly"] == *word);
        object["recursiveReadOnly"] = json!(if recursive { "Enabled" } else { "Disabled" });
    }
    object
}

fn state(state: &ContainerState) -> Value {
    match state {
        ContainerState::Waiting { reason, message } => {
            let mut object = json!({"reason": reason.to_string()});
            put_text(&mut object, "message", message);
            json!({"waiting": object})
        }
        ContainerState::Running { started } => json!({"running": {"startedAt": seconds(*started)}}),
        ContainerState::Terminated(exit) => json!({"terminated": terminated(exit)}),
    }
}

fn terminated(exit: &Exit) -> Value {
    let mut object = json!({
        "exitCode": exit.code,
        "reason": exit.reason.to_string(),
        "startedAt": seconds(exit.started),
        "finishedAt": seconds(exit.finished),
    });
    put(&mut object, "signal", exit.signal.map(|signal| json!(signal)));
    put_text(&mut object, "message", &exit.message);
    put_text(&mut object, "containerID", &exit.container_id);
    object
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    }
}

fn qos(qos: Qos) -> &'static str {
    match qos {
        Qos::Guaranteed => "Guaranteed",
        Qos::Burstable => "Burstable",
        Qos::BestEffort => "BestEffort",
    }
}

/// Writes `value` under `key`, unless there is none: core/v1 leaves out what is empty.
fn put(object: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[key] = value;
    }
}

fn put_text(object: &mut Value, key: &str, text: &str) {
    put(object, key, (!text.is_empty()).then(|| json!(text)));
}
