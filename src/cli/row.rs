//! One line of `get pods`: kubectl's summary of a pod (`printPod` in Kubernetes' pkg/printers/internalversion).

use jiff::Timestamp;
use serde_json::Value;

use super::age;
use super::field::{holds, list, named, number, text};

/// The cells, as shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Ready containers and all: `1/2`. Init containers that go on beside the others count.
    pub ready: String,
    /// One word, mostly of the container that is worst off.
    pub status: String,
    /// How often, and how long ago the last time: `2 (10s ago)`.
    pub restarts: String,
    /// Since it was first seen.
    pub age: String,
}

/// The summary of the core/v1 Pod `object`.
pub fn row(object: &Value, now: Timestamp) -> Row {
    let mut sum = Sum { status: whole(object), ..Sum::default() };
    let sidecars = sum.init(object);
    if let Some(sidecars) = sidecars {
        sum.restarts = sidecars;
        sum.containers(object);
    }
    let deleted = object.pointer("/metadata/deletionTimestamp").is_some();
    let over = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    if deleted && text(object, "/status/reason") == "NodeLost" {
        sum.status = "Unknown".to_string();
    } else if deleted && !over {
        sum.status = "Terminating".to_string();
    }
    let sidecars = list(object, "/spec/initContainers").iter().filter(|container| is_sidecar(container));
    let all = list(object, "/spec/containers").len() + sidecars.count();
    Row {
        ready: format!("{}/{all}", sum.ready),
        status: sum.status,
        restarts: sum.restarts.text(now),
        age: age::since(text(object, "/metadata/creationTimestamp"), now),
    }
}

/// What is to be said of the pod where no container has anything to say.
fn whole(object: &Value) -> String {
    let gated = |condition: &Value| {
        text(condition, "/type") == "PodScheduled" && text(condition, "/reason") == "SchedulingGated"
    };
    if list(object, "/status/conditions").iter().any(gated) {
        return "SchedulingGated".to_string();
    }
    let reason = text(object, "/status/reason");
    if reason.is_empty() { text(object, "/status/phase") } else { reason }.to_string()
}

/// What has been counted so far.
#[derive(Default)]
struct Sum {
    ready: usize,
    status: String,
    restarts: Restarts,
}

impl Sum {
    /// Counts the init containers, up to the first that is not done. Tells the restarts of those that go on beside the
    /// others where it is the others' turn.
    fn init(&mut self, object: &Value) -> Option<Restarts> {
        let wanted = list(object, "/spec/initContainers");
        let mut sidecars = Restarts::default();
        let mut initializing = false;
        for (index, status) in list(object, "/status/initContainerStatuses").iter().enumerate() {
            self.restarts.add(status);
            let sidecar = named(wanted, text(status, "/name")).is_some_and(is_sidecar);
            if sidecar {
                sidecars.add(status);
            }
            let exit = status.pointer("/state/terminated");
            if exit.is_some_and(|exit| number(exit, "/exitCode") == 0) {
                continue;
            }
            if sidecar && holds(status, "/started") {
                self.ready += usize::from(holds(status, "/ready"));
                continue;
            }
            let waiting = text(status, "/state/waiting/reason");
            self.status = match exit {
                Some(exit) => format!("Init:{}", ended(exit)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{index}/{}", wanted.len()),
            };
            initializing = true;
            break;
        }
        (!initializing || is_true(object, "Initialized")).then_some(sidecars)
    }

    /// Counts the containers. Of those that have something to say, the first is heard.
    fn containers(&mut self, object: &Value) {
        let (mut runs, mut wrong) = (false, None);
        for status in list(object, "/status/containerStatuses").iter().rev() {
            self.restarts.add(status);
            let waiting = text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                self.status = waiting.to_string();
            } else if let Some(exit) = status.pointer("/state/terminated") {
                self.status = ended(exit);
                if number(exit, "/exitCode") != 0 {
                    wrong = Some(self.status.clone());
                }
            } else if holds(status, "/ready") && status.pointer("/state/running").is_some() {
                runs = true;
                self.ready += 1;
            }
        }
        // One that is done says nothing of the others.
        if self.status == "Completed" {
            if runs && is_true(object, "Ready") {
                self.status = "Running".to_string();
            } else if let Some(wrong) = wrong {
                self.status = wrong;
            } else if runs {
                self.status = "NotReady".to_string();
            }
        }
    }
}

/// Whether an init container goes on beside the others.
fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

/// Whether a condition holds.
fn is_true(object: &Value, kind: &str) -> bool {
    let mut conditions = list(object, "/status/conditions").iter();
    conditions
        .find(|condition| text(condition, "/type") == kind)
        .is_some_and(|condition| text(condition, "/status") == "True")
}

/// How a container ended, in a word.
fn ended(exit: &Value) -> String {
    match (text(exit, "/reason"), number(exit, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number(exit, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_string(),
    }
}

/// How often, and when the last time.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: String,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count = self.count.saturating_add(number(status, "/restartCount"));
        // RFC 3339 in UTC and whole seconds: the greatest text is the latest time.
        let end = text(status, "/lastState/terminated/finishedAt");
        if end > self.last.as_str() {
            self.last = end.to_string();
        }
    }

    fn text(&self, now: Timestamp) -> String {
        match self.last.as_str() {
            last if self.count != 0 && !last.is_empty() => {
                format!("{} ({} ago)", self.count, age::since(last, now))
            }
            _ => self.count.to_string(),
        }
    }
}

/// Readiness gates that hold, and all: `1/2`; `<none>` where there are none.
pub fn gates(object: &Value) -> String {
    let gates = list(object, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_string();
    }
    let open = gates.iter().filter(|gate| is_true(object, text(gate, "/conditionType"))).count();
    format!("{open}/{}", gates.len())
}
