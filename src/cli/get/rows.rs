//! The columns of each kind, and what stands in them: Kubernetes' printers, and for what Kubernetes has not, ours.

use jiff::Timestamp;
use serde_json::Value;

use super::kind::Kind;
use crate::cli::age::since;
use crate::cli::colour::{self, Ink};
use crate::cli::field::{list, number, pairs, text};
use crate::cli::row::{gates, row};

/// Which columns a table has besides the usual ones.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// NAMESPACE, first.
    pub namespace: bool,
    /// What only a wide terminal has room for.
    pub wide: bool,
    /// Names as `pod/NAME`.
    pub kind: bool,
    /// A column a label.
    pub labels: Vec<String>,
    /// LABELS, last.
    pub all_labels: bool,
    /// Events as the verb `events` has them: how often is beside how long ago.
    pub counted: bool,
}

/// The names of the columns.
pub fn head(kind: Kind, columns: &Columns) -> Vec<String> {
    let (usual, wide): (&[&str], &[&str]) = match kind {
        Kind::Pods => (
            &["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
            &["IP", "NODE", "NOMINATED NODE", "READINESS GATES"],
        ),
        Kind::Nodes => (
            &["NAME", "STATUS", "ROLES", "AGE", "VERSION"],
            &["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"],
        ),
        Kind::Events if columns.wide => (
            &[
                "LAST SEEN",
                "TYPE",
                "REASON",
                "OBJECT",
                "SUBOBJECT",
                "SOURCE",
                "MESSAGE",
                "FIRST SEEN",
                "COUNT",
                "NAME",
            ],
            &[],
        ),
        Kind::Events => (&["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"], &[]),
        Kind::Images => (&["NAME", "IMAGE ID", "SIZE"], &["LAYERS", "PLATFORM", "DIGEST"]),
        Kind::Manifests => (&["NAME", "STATE", "OBJECTS", "MESSAGE"], &[]),
    };
    let mut head: Vec<String> = Vec::new();
    if columns.namespace && kind.is_namespaced() {
        head.push("NAMESPACE".to_string());
    }
    head.extend(usual.iter().map(ToString::to_string));
    if columns.wide {
        head.extend(wide.iter().map(ToString::to_string));
    }
    // As kubectl has it: what is behind the last slash.
    head.extend(columns.labels.iter().map(|label| label.rsplit('/').next().unwrap_or(label).to_uppercase()));
    if columns.all_labels {
        head.push("LABELS".to_string());
    }
    head
}

/// The lines of one object: mostly one.
pub fn rows(kind: Kind, object: &Value, columns: &Columns, now: Timestamp) -> Vec<Vec<String>> {
    let mut rows = match kind {
        Kind::Pods => vec![pod(object, columns, now)],
        Kind::Nodes => vec![node(object, columns, now)],
        Kind::Events => vec![event(object, columns, now)],
        Kind::Images => images(object, columns),
        Kind::Manifests => manifest(object),
    };
    for cells in &mut rows {
        if columns.kind && kind != Kind::Events && !cells[0].is_empty() {
            cells[0] = format!("{}/{}", kind.singular(), cells[0]);
        }
        if columns.namespace && kind.is_namespaced() {
            cells.insert(0, text(object, "/metadata/namespace").to_string());
        }
    }
    if let Some(first) = rows.first_mut() {
        let labels = pairs(object, "/metadata/labels");
        for label in &columns.labels {
            let value = labels.iter().find(|(key, _)| key == label).map(|(_, value)| value.clone());
            first.push(value.unwrap_or_default());
        }
        if columns.all_labels {
            let all: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            first.push(or_none(&all.join(",")));
        }
    }
    rows
}

fn pod(object: &Value, columns: &Columns, now: Timestamp) -> Vec<String> {
    let row = row(object, now);
    let mut cells = vec![Kind::Pods.name(object).to_string(), row.ready, row.status, row.restarts, row.age];
    if columns.wide {
        let ip = match text(object, "/status/podIPs/0/ip") {
            "" => text(object, "/status/podIP"),
            ip => ip,
        };
        let nominated = text(object, "/status/nominatedNodeName");
        cells.extend([ip, text(object, "/spec/nodeName"), nominated].map(or_none));
        cells.push(gates(object));
    }
    cells
}

fn node(object: &Value, columns: &Columns, now: Timestamp) -> Vec<String> {
    let ready = list(object, "/status/conditions").iter().find(|one| text(one, "/type") == "Ready");
    let mut status = match ready.map(|ready| text(ready, "/status")) {
        Some("True") => "Ready".to_string(),
        Some(_) => "NotReady".to_string(),
        None => "Unknown".to_string(),
    };
    if object.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = pairs(object, "/metadata/labels");
    let mut roles: Vec<&str> = labels
        .iter()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => Some(role),
            _ if *key == "kubernetes.io/role" && !value.is_empty() => Some(value.as_str()),
            _ => None,
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    let information = |name: &str| text(object, &format!("/status/nodeInfo/{name}")).to_string();
    let mut cells = vec![
        Kind::Nodes.name(object).to_string(),
        status,
        or_none(&roles.join(",")),
        since(text(object, "/metadata/creationTimestamp"), now),
        information("kubeletVersion"),
    ];
    if columns.wide {
        let address = |kind: &str| {
            let mut all = list(object, "/status/addresses").iter();
            or_none(
                all.find(|one| text(one, "/type") == kind)
                    .map(|one| text(one, "/address"))
                    .unwrap_or_default(),
            )
        };
        cells.extend([address("InternalIP"), address("ExternalIP")]);
        cells.extend(["osImage", "kernelVersion", "containerRuntimeVersion"].map(|name| {
            let told = information(name);
            if told.is_empty() { "<unknown>".to_string() } else { told }
        }));
    }
    cells
}

fn event(object: &Value, columns: &Columns, now: Timestamp) -> Vec<String> {
    let first = match text(object, "/firstTimestamp") {
        "" => text(object, "/eventTime"),
        first => first,
    };
    let last = match (text(object, "/series/lastObservedTime"), text(object, "/lastTimestamp")) {
        ("", "") => first,
        ("", last) | (last, _) => last,
    };
    let series = object.pointer("/series/count").and_then(Value::as_i64);
    let count = series.unwrap_or_else(|| number(object, "/count")).max(1);
    let (kind, name) = (text(object, "/involvedObject/kind"), text(object, "/involvedObject/name"));
    let (seen, kind) = match columns.counted {
        true if count > 1 => {
            (format!("{} (x{count} over {})", since(last, now), since(first, now)), kind.to_string())
        }
        true => (since(first, now), kind.to_string()),
        false => (since(last, now), kind.to_lowercase()),
    };
    let target = if name.is_empty() { kind } else { format!("{kind}/{name}") };
    let mut cells =
        vec![seen, text(object, "/type").to_string(), text(object, "/reason").to_string(), target];
    if !columns.wide {
        cells.push(message(object));
        return cells;
    }
    let source = [text(object, "/source/component"), text(object, "/source/host")];
    let source: Vec<&str> = source.into_iter().filter(|part| !part.is_empty()).collect();
    cells.push(text(object, "/involvedObject/fieldPath").to_string());
    cells.push(source.join(", "));
    cells.extend([message(object), since(first, now), count.to_string()]);
    cells.push(Kind::Events.name(object).to_string());
    cells
}

/// The first line of what happened, and a sign where there are more.
fn message(object: &Value) -> String {
    let whole = text(object, "/message").trim();
    match whole.split_once(['\n', '\r', '\u{c}']) {
        Some((first, _)) => format!("{first}..."),
        None => whole.to_string(),
    }
}

/// A line a name.
fn images(object: &Value, columns: &Columns) -> Vec<Vec<String>> {
    /// How many digits of an id are shown, as by crictl.
    const DIGITS: usize = 13;
    let id: String = text(object, "/id").trim_start_matches("sha256:").chars().take(DIGITS).collect();
    let bytes = object.pointer("/size").and_then(Value::as_u64).unwrap_or_default();
    let digest =
        text(object, "/repoDigests/0").rsplit_once('@').map(|(_, digest)| digest).unwrap_or_default();
    let names: Vec<&str> = list(object, "/repoTags").iter().filter_map(Value::as_str).collect();
    let row = |name: &str| {
        let mut cells = vec![or_none(name), id.clone(), super::images::size(bytes)];
        if columns.wide {
            cells.push(number(object, "/layers").to_string());
            cells.extend([text(object, "/platform"), digest].map(or_none));
        }
        cells
    };
    if names.is_empty() { vec![row("")] } else { names.into_iter().map(row).collect() }
}

/// A line, and one more for each further problem of the file.
fn manifest(file: &Value) -> Vec<Vec<String>> {
    // A Pod needs no word for what it is: most are.
    let objects = list(file, "/pods").iter().chain(list(file, "/documents")).map(|object| {
        let old = if object["last_good"] == true { " (as it was)" } else { "" };
        let kind = text(object, "/kind");
        let space = if kind.is_empty() { "" } else { " " };
        format!("{kind}{space}{}/{}{old}", text(object, "/namespace"), text(object, "/name"))
    });
    let objects = objects.collect::<Vec<_>>().join(", ");
    let mut first = vec![text(file, "/name").to_string(), state(file), or_none(&objects)];
    let mut messages: Vec<String> = list(file, "/problems").iter().map(problem).collect();
    let ignored = text(file, "/ignored");
    if !ignored.is_empty() || messages.is_empty() {
        messages.insert(0, ignored.to_string());
    }
    let mut rows = Vec::new();
    for message in messages {
        first.push(message);
        rows.push(std::mem::replace(&mut first, vec![String::new(); 3]));
    }
    rows
}

/// `last-good` as one word: `LastGood`.
fn state(file: &Value) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    text(file, "/state").split('-').map(upper).collect()
}

/// `3:7: error: spec.containers[1].image: must not be empty; name an image`
fn problem(problem: &Value) -> String {
    let mut out = format!("{}:{}: ", number(problem, "/line"), number(problem, "/column"));
    for part in [text(problem, "/severity"), text(problem, "/path")] {
        if !part.is_empty() {
            out.push_str(part);
            out.push_str(": ");
        }
    }
    out.push_str(text(problem, "/message"));
    let fix = text(problem, "/fix");
    if fix.is_empty() { out } else { format!("{out}; {fix}") }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>".to_string() } else { text.to_string() }
}

/// Which columns are painted, by their place.
pub struct Inks {
    state: Option<usize>,
    kind: Option<usize>,
}

/// The inks of a table with these columns.
pub fn inks(head: &[String]) -> Inks {
    let at = |names: &[&str]| head.iter().position(|name| names.contains(&name.as_str()));
    Inks { state: at(&["STATUS", "STATE"]), kind: at(&["TYPE"]) }
}

impl Inks {
    /// A cell, which is harmless, in its ink.
    pub fn paint(&self, at: usize, cell: &str) -> String {
        match cell {
            "Warning" if self.kind == Some(at) => Ink::Warning.paint(cell),
            _ if self.state != Some(at) => cell.to_string(),
            "" | "Ready" | "Accepted" | "Ignored" => cell.to_string(),
            "LastGood" => Ink::Warning.paint(cell),
            _ => colour::status(cell),
        }
    }
}
