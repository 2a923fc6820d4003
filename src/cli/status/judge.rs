//! What is well, and what needs a person.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::field::{holds, list, number, text};
use crate::cli::row::row;

/// For how long a pod may be on its way before somebody should look: an image from a slow card takes a while.
const UNDER_WAY: i64 = 120;

/// What is the matter with a pod; `None` where it is well.
///
/// One that is on its way, up or down, is named, and counts as a matter only once it takes long.
pub fn unwell(object: &Value, now: Timestamp) -> Option<Value> {
    let row = row(object, now);
    let (ready, all) = row.ready.split_once('/')?;
    let status = row.status.as_str();
    if matches!(status, "Completed" | "Succeeded") || (status == "Running" && ready == all) {
        return None;
    }
    let since = match text(object, "/metadata/deletionTimestamp") {
        "" => text(object, "/metadata/creationTimestamp"),
        deletion => deletion,
    };
    let age = since
        .parse::<Timestamp>()
        .map_or(i64::MAX, |since| now.as_second().saturating_sub(since.as_second()));
    let moving =
        matches!(status, "Pending" | "ContainerCreating" | "PodInitializing" | "Terminating" | "Running")
            || status.strip_prefix("Init:").is_some_and(|rest| rest.contains('/'));
    Some(json!({
        "namespace": text(object, "/metadata/namespace"),
        "name": text(object, "/metadata/name"),
        "status": status,
        "ready": row.ready,
        "restarts": row.restarts,
        "message": message(object),
        "underWay": moving && age < UNDER_WAY,
    }))
}

/// What the first container that is not well says.
fn message(object: &Value) -> String {
    let kinds = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = kinds.iter().flat_map(|pointer| list(object, pointer));
    for status in statuses.filter(|status| !holds(status, "/ready")) {
        let waits = text(status, "/state/waiting/message");
        if !waits.is_empty() {
            return waits.to_string();
        }
        if let Some(exit) = status.pointer("/state/terminated") {
            return match text(exit, "/message") {
                "" => {
                    format!("container {} exited with {}", text(status, "/name"), number(exit, "/exitCode"))
                }
                message => message.to_string(),
            };
        }
    }
    text(object, "/status/message").to_string()
}

/// What is the matter with a file of the manifests directory; `None` where nothing is.
pub fn wrong(file: &Value) -> Option<Value> {
    let state = text(file, "/state");
    if !matches!(state, "refused" | "partial" | "last-good") {
        return None;
    }
    let first = list(file, "/problems").first().map(|problem| {
        let (line, column) = (number(problem, "/line"), number(problem, "/column"));
        let path = match text(problem, "/path") {
            "" => String::new(),
            path => format!("{path}: "),
        };
        format!("{line}:{column}: {path}{}", text(problem, "/message"))
    });
    Some(json!({"name": text(file, "/name"), "state": state, "message": first.unwrap_or_default()}))
}

/// Everything that needs a person, a sentence each.
pub fn needs(told: &Value) -> Vec<String> {
    let mut needs = Vec::new();
    let mut need = |it: bool, sentence: String| needs.extend(it.then_some(sentence));
    need(!holds(told, "/agent/running"), "the agent is not running: start it".to_string());
    let unwell = list(told, "/pods/unwell").iter().filter(|pod| !holds(pod, "/underWay")).count();
    need(
        unwell != 0,
        format!("{} not well: `holdfast describe pod -A`", counted(unwell, "pod is", "pods are")),
    );
    let problem = text(told, "/manifests/problem");
    need(!problem.is_empty(), format!("{}: {problem}", text(told, "/manifests/directory")));
    let wrong = list(told, "/manifests/wrong").len();
    need(
        wrong != 0,
        format!("{} wrong: `holdfast get manifests`", counted(wrong, "manifest is", "manifests are")),
    );
    for pressure in list(told, "/pressures") {
        need(true, text(pressure, "/message").to_string());
    }
    let problem = text(told, "/images/problem");
    need(!problem.is_empty(), format!("images: {problem}"));
    need(text(told, "/clock/trust") == "wrong", format!("the clock is {}", text(told, "/clock/message")));
    for disk in list(told, "/disks").iter().filter(|disk| holds(disk, "/readOnly")) {
        need(true, format!("{} is read-only", text(disk, "/path")));
    }
    needs
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
