//! core/v1 Events.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::seconds;
use crate::spec::{Pod, Role};
use crate::status::{Event, EventKind, Wall};

/// Who tells: `source.component` of every event.
const COMPONENT: &str = "holdfast";

/// The core/v1 Event for something that happened to `pod`.
pub fn event(pod: &Pod, event: &Event) -> Value {
    let mut involved = json!({
        "apiVersion": "v1", "kind": "Pod", "name": pod.name, "namespace": pod.namespace, "uid": pod.uid.0,
    });
    if let Some(container) = &event.container {
        let init = pod.container(container).is_some_and(|container| container.role != Role::Regular);
        let field = if init { "initContainers" } else { "containers" };
        involved["fieldPath"] = json!(format!("spec.{field}{{{container}}}"));
    }
    let told = Told {
        name: name(pod, event),
        namespace: &pod.namespace,
        involved,
        kind: event.kind,
        reason: &event.reason.to_string(),
        message: &event.message,
        times: (event.first, event.last, event.count),
        node: &pod.node_name,
    };
    told.object()
}

/// The core/v1 Event for something that happened to the node called `node` and to no pod.
///
/// As a kubelet tells of its node: in namespace `default`, though nodes have none.
pub fn node_event(node: &str, event: &NodeEvent) -> Value {
    let mut hasher = DefaultHasher::new();
    event.message.hash(&mut hasher);
    let reason = event.reason.to_lowercase();
    let told = Told {
        // One instant may bring several of one reason.
        name: format!("{node}.{:x}-{reason}-{:08x}", event.first.0, hasher.finish() as u32),
        namespace: "default",
        involved: json!({"apiVersion": "v1", "kind": "Node", "name": node, "uid": node}),
        kind: event.kind,
        reason: &event.reason,
        message: &event.message,
        times: (event.first, event.last, event.count),
        node,
    };
    told.object()
}

/// Something that happened to the node and to no pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// Whether a person should look.
    pub kind: EventKind,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When it happened first.
    pub first: Wall,
    /// When it happened last.
    pub last: Wall,
    /// How often.
    pub count: u32,
}

/// What an Event is made of, whoever it is about.
struct Told<'a> {
    name: String,
    namespace: &'a str,
    involved: Value,
    kind: EventKind,
    reason: &'a str,
    message: &'a str,
    /// First, last, how often.
    times: (Wall, Wall, u32),
    node: &'a str,
}

impl Told<'_> {
    fn object(self) -> Value {
        let (first, last) = (seconds(self.times.0), seconds(self.times.1));
        let kind = match self.kind {
            EventKind::Normal => "Normal",
            EventKind::Warning => "Warning",
        };
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": self.namespace, "creationTimestamp": first},
            "involvedObject": self.involved,
            "reason": self.reason,
            "message": self.message,
            "type": kind,
            "count": self.times.2,
            "firstTimestamp": first,
            "lastTimestamp": last,
            "eventTime": null,
            "source": {"component": COMPONENT, "host": self.node},
            "reportingComponent": COMPONENT,
            "reportingInstance": self.node,
        });
        object.sort_all_objects();
        object
    }
}

/// The name of the core/v1 Event. Unique in the namespace: one instant may bring the same event for two containers.
fn name(pod: &Pod, event: &Event) -> String {
    let reason = event.reason.to_string().to_lowercase();
    let container = event.container.as_ref().map(|name| format!("-{name}")).unwrap_or_default();
    format!("{}.{:x}-{reason}{container}", pod.name, event.first.0)
}
