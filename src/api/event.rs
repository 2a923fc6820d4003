//! core/v1 Events.

use serde_json::{Value, json};

use super::seconds;
use crate::spec::Pod;
use crate::status::{Event, EventKind};

/// Who tells: `source.component` of every event.
const COMPONENT: &str = "holdfast";

/// The core/v1 Event for something that happened to `pod`.
pub fn event(pod: &Pod, event: &Event) -> Value {
    let (first, last) = (seconds(event.first), seconds(event.last));
    let mut involved = json!({
        "apiVersion": "v1", "kind": "Pod", "name": pod.name, "namespace": pod.namespace, "uid": pod.uid.0,
    });
    if let Some(container) = &event.container {
        involved["fieldPath"] = json!(format!("spec.containers{{{container}}}"));
    }
    let kind = match event.kind {
        EventKind::Normal => "Normal",
        EventKind::Warning => "Warning",
    };
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name(pod, event), "namespace": pod.namespace, "creationTimestamp": first},
        "involvedObject": involved,
        "reason": event.reason.to_string(),
        "message": event.message,
        "type": kind,
        "count": event.count,
        "firstTimestamp": first,
        "lastTimestamp": last,
        "eventTime": null,
        "source": {"component": COMPONENT, "host": pod.node_name},
        "reportingComponent": COMPONENT,
        "reportingInstance": pod.node_name,
    });
    object.sort_all_objects();
    object
}

/// Unique in the namespace: one instant may bring the same event for two containers.
fn name(pod: &Pod, event: &Event) -> String {
    let reason = event.reason.to_string().to_lowercase();
    let container = event.container.as_ref().map(|name| format!("-{name}")).unwrap_or_default();
    format!("{}.{:x}-{reason}{container}", pod.name, event.first.0)
}
