//! `describe pod`.

use jiff::Timestamp;
use serde_json::Value;

use super::page::Page;
use super::{container, events, manifest, volume};
use crate::cli::age::{human, long, since};
use crate::cli::colour::{self, Ink};
use crate::cli::field::{list, number, pairs, text};
use crate::cli::read::Found;

/// How long a line of an annotation may be (kubectl's `maxAnnotationLen`).
const MAX_ANNOTATION: usize = 140;

/// Everything that a page tells.
pub struct Told<'a> {
    /// The pod.
    pub found: &'a Found,
    /// What became of the manifests; null where nothing was published.
    pub verdict: &'a Value,
    /// For ages.
    pub now: Timestamp,
    /// Whether events are told.
    pub events: bool,
}

/// The description of one pod.
pub fn page(told: &Told) -> String {
    let object = &told.found.pod.object;
    let mut page = Page::default();
    identity(&mut page, object);
    state(&mut page, object, told.now);
    addresses(&mut page, object);
    if let Some(resources) = object.pointer("/spec/resources").filter(|value| value.is_object()) {
        page.line(0, "Resources:");
        container::resources(&mut page, 1, resources);
    }
    for (label, wanted, statuses) in [
        ("Init Containers", "/spec/initContainers", "/status/initContainerStatuses"),
        ("Containers", "/spec/containers", "/status/containerStatuses"),
        ("Ephemeral Containers", "/spec/ephemeralContainers", "/status/ephemeralContainerStatuses"),
    ] {
        let containers = list(object, wanted);
        if !containers.is_empty() {
            page.line(0, &format!("{label}:"));
        } else if label == "Containers" {
            page.line(0, "Containers: <none>");
        }
        for wanted in containers {
            container::container(&mut page, object, wanted, list(object, statuses));
        }
    }
    conditions(&mut page, object);
    volume::volumes(&mut page, object);
    page.row(0, "QoS Class", text(object, "/status/qosClass"));
    page.rows(0, "Node-Selectors", joined(&pairs(object, "/spec/nodeSelector"), "="));
    tolerations(&mut page, object);
    topology(&mut page, object);
    ours(&mut page, told);
    if told.events {
        events::events(&mut page, &told.found.pod.events, told.now);
    }
    page.finish()
}

fn identity(page: &mut Page, object: &Value) {
    page.row(0, "Name", text(object, "/metadata/name"));
    page.row(0, "Namespace", text(object, "/metadata/namespace"));
    if object.pointer("/spec/priority").is_some_and(Value::is_number) {
        page.row(0, "Priority", &number(object, "/spec/priority").to_string());
    }
    page.row_unless_empty(0, "Priority Class Name", text(object, "/spec/priorityClassName"));
    page.row_unless_empty(0, "Runtime Class Name", text(object, "/spec/runtimeClassName"));
    page.row_unless_empty(0, "Service Account", text(object, "/spec/serviceAccountName"));
    match text(object, "/spec/nodeName") {
        "" => page.row(0, "Node", "<none>"),
        node => page.row(0, "Node", &format!("{node}/{}", text(object, "/status/hostIP"))),
    }
    page.row_unless_empty(0, "Start Time", &long(text(object, "/status/startTime")));
    page.rows(0, "Labels", joined(&pairs(object, "/metadata/labels"), "="));
    annotations(page, object);
}

/// kubectl gives a long one, and one of several lines, lines of its own and cuts them.
fn annotations(page: &mut Page, object: &Value) {
    let mut lines = Vec::new();
    for (key, value) in pairs(object, "/metadata/annotations") {
        let value = value.strip_suffix('\n').unwrap_or(&value);
        if key.len() + value.len() + 2 <= MAX_ANNOTATION && !value.contains('\n') {
            lines.push(format!("{key}: {value}"));
            continue;
        }
        lines.push(format!("{key}:"));
        for line in value.split('\n') {
            let end = line.floor_char_boundary(MAX_ANNOTATION - 2);
            let dots = if end < line.len() { "..." } else { "" };
            lines.push(format!("  {}{dots}", &line[..end]));
        }
    }
    page.rows(0, "Annotations", lines);
}

fn state(page: &mut Page, object: &Value, now: Timestamp) {
    let phase = text(object, "/status/phase");
    let deletion = text(object, "/metadata/deletionTimestamp");
    if deletion.is_empty() || matches!(phase, "Succeeded" | "Failed") {
        page.painted_row(0, "Status", colour::of_status(phase), phase);
    } else {
        // It begins in the future; kubectl then says `<invalid>`.
        let lasts = match since(deletion, now).as_str() {
            "<invalid>" => format!("until {}", long(deletion)),
            lasts => format!("lasts {lasts}"),
        };
        page.painted_row(0, "Status", Some(Ink::Warning), &format!("Terminating ({lasts})"));
        let grace = number(object, "/metadata/deletionGracePeriodSeconds");
        page.row(0, "Termination Grace Period", &format!("{grace}s"));
    }
    page.row_unless_empty(0, "Reason", text(object, "/status/reason"));
    page.row_unless_empty(0, "Message", text(object, "/status/message"));
    container::seccomp(page, 0, object.pointer("/spec/securityContext"));
}

fn addresses(page: &mut Page, object: &Value) {
    page.row(0, "IP", text(object, "/status/podIP"));
    let addresses = list(object, "/status/podIPs");
    if addresses.is_empty() {
        page.row(0, "IPs", "<none>");
    } else {
        page.line(0, "IPs:");
        addresses.iter().for_each(|address| page.row(1, "IP", text(address, "/ip")));
    }
    let owners = list(object, "/metadata/ownerReferences");
    if let Some(owner) = owners.iter().find(|owner| owner["controller"] == true) {
        page.row(0, "Controlled By", &format!("{}/{}", text(owner, "/kind"), text(owner, "/name")));
    }
    page.row_unless_empty(0, "NominatedNodeName", text(object, "/status/nominatedNodeName"));
}

/// Names and values as one text each.
fn joined(pairs: &[(&str, String)], between: &str) -> Vec<String> {
    pairs.iter().map(|(key, value)| format!("{key}{between}{value}")).collect()
}

fn conditions(page: &mut Page, object: &Value) {
    let conditions = list(object, "/status/conditions");
    let gates = list(object, "/spec/readinessGates");
    let row = |page: &mut Page, kind: &str, status: &str| page.cells(1, &[&format!("{kind} "), status]);
    if !gates.is_empty() {
        page.line(0, "Readiness Gates:");
        page.cells(1, &["Type", "Status"]);
        for gate in gates {
            let kind = text(gate, "/conditionType");
            let known = conditions.iter().find(|condition| text(condition, "/type") == kind);
            row(page, kind, known.map_or("<none>", |condition| text(condition, "/status")));
        }
    }
    if !conditions.is_empty() {
        page.line(0, "Conditions:");
        page.cells(1, &["Type", "Status"]);
        for condition in conditions {
            row(page, text(condition, "/type"), text(condition, "/status"));
        }
    }
}

fn tolerations(page: &mut Page, object: &Value) {
    let mut all: Vec<&Value> = list(object, "/spec/tolerations").iter().collect();
    all.sort_by_key(|toleration| text(toleration, "/key"));
    page.rows(0, "Tolerations", all.into_iter().map(toleration).collect());
}

/// `key=value:effect op=operator for seconds`, as far as it has them.
fn toleration(toleration: &Value) -> String {
    let mut out = text(toleration, "/key").to_string();
    let (value, effect) = (text(toleration, "/value"), text(toleration, "/effect"));
    if !value.is_empty() {
        out.push('=');
        out.push_str(value);
    }
    if !effect.is_empty() {
        out.push(':');
        out.push_str(effect);
    }
    if text(toleration, "/operator") == "Exists" && value.is_empty() {
        out.push_str(if out.is_empty() { "op=Exists" } else { " op=Exists" });
    }
    if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
        out.push_str(&format!(" for {seconds}s"));
    }
    out
}

fn topology(page: &mut Page, object: &Value) {
    let mut all: Vec<&Value> = list(object, "/spec/topologySpreadConstraints").iter().collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|one| text(one, "/topologyKey"));
    let show = |one: &Value| {
        let (key, otherwise) = (text(one, "/topologyKey"), text(one, "/whenUnsatisfiable"));
        let skew = format!("{key}:{otherwise} when max skew {} is exceeded", number(one, "/maxSkew"));
        match one.get("labelSelector").filter(|selector| selector.is_object()) {
            Some(wanted) => format!("{skew} for selector {}", selector(wanted)),
            None => skew,
        }
    };
    page.rows(0, "Topology Spread Constraints", all.into_iter().map(show).collect());
}

/// A label selector in one line: `app=web,tier in (a,b),!old`, requirements by key.
fn selector(wanted: &Value) -> String {
    let mut all: Vec<(&str, String)> = pairs(wanted, "/matchLabels");
    all.iter_mut().for_each(|(key, value)| *value = format!("{key}={value}"));
    for one in list(wanted, "/matchExpressions") {
        let key = text(one, "/key");
        let mut values: Vec<&str> = list(one, "/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let among = values.join(",");
        all.push((
            key,
            match text(one, "/operator") {
                "In" => format!("{key} in ({among})"),
                "NotIn" => format!("{key} notin ({among})"),
                "Exists" => key.to_string(),
                _ => format!("!{key}"),
            },
        ));
    }
    all.sort_by_key(|(key, _)| *key);
    match all.is_empty() {
        true => "<none>".to_string(),
        false => all.into_iter().map(|(_, one)| one).collect::<Vec<_>>().join(","),
    }
}

/// What kubectl cannot know.
fn ours(page: &mut Page, told: &Told) {
    let pod = &told.found.pod;
    page.row(0, "Manifest", &pod.manifest);
    manifest::below_its_pod(page, told.verdict, &pod.manifest, &told.found.uid);
    page.row(0, "Logs", &pod.log_directory);
    page.row(
        0,
        "Next",
        &pod.next.as_deref().map_or_else(|| "<none>".to_string(), |next| due(next, told.now)),
    );
}

/// `next` ends with ` at ` and a time (docs/published-files.md): how long until then is what a person wants to know.
fn due(next: &str, now: Timestamp) -> String {
    let Some((what, at)) = next.rsplit_once(" at ") else { return next.to_string() };
    let Ok(time) = at.parse::<Timestamp>() else { return next.to_string() };
    match time.as_second() - now.as_second() {
        left @ 1.. => format!("{what} in {} ({})", human(left), long(at)),
        over => format!("{what}, due {} ago", human(-over)),
    }
}
