//! Tables of pods and of manifests.

use jiff::Timestamp;
use serde_json::Value;

use super::colour;
use super::field::{list, number, text};
use super::harmless::line;
use super::read::Found;
use super::row::row;
use super::tabs;

/// Which columns a table of pods has besides the usual ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Columns {
    /// NAMESPACE, first.
    pub namespace: bool,
    /// IP and NODE, last.
    pub wide: bool,
}

/// `get pods`.
pub fn pods(pods: &[Found], columns: Columns, now: Timestamp) -> String {
    let mut head = vec!["NAME", "READY", "STATUS", "RESTARTS", "AGE"];
    if columns.namespace {
        head.insert(0, "NAMESPACE");
    }
    if columns.wide {
        head.extend(["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]);
    }
    let mut out = head.join("\t") + "\n";
    for found in pods {
        out.push_str(&cells(found, columns, now).join("\t"));
        out.push('\n');
    }
    layout(&out)
}

fn cells(found: &Found, columns: Columns, now: Timestamp) -> Vec<String> {
    let object = &found.pod.object;
    let row = row(object, now);
    let mut cells =
        vec![line(found.name()), row.ready, colour::status(&line(&row.status)), row.restarts, row.age];
    if columns.namespace {
        cells.insert(0, line(found.namespace()));
    }
    if columns.wide {
        for pointer in ["/status/podIP", "/spec/nodeName"] {
            cells.push(or_none(text(object, pointer)));
        }
        cells.extend(["<none>".to_string(), "<none>".to_string()]);
    }
    cells
}

/// `get manifests`: a line a file, and one more for each further problem of it.
///
/// `verdict` is what the agent published as `manifests.json`.
pub fn manifests(verdict: &Value, name: Option<&str>) -> String {
    let mut out = "NAME\tSTATE\tPODS\tMESSAGE\n".to_string();
    let files = list(verdict, "/files").iter();
    for file in files.filter(|file| name.is_none_or(|name| text(file, "/name") == name)) {
        let pods = list(file, "/pods").iter().map(|pod| {
            let old = if pod["last_good"] == true { " (as it was)" } else { "" };
            format!("{}/{}{old}", text(pod, "/namespace"), text(pod, "/name"))
        });
        let pods = pods.collect::<Vec<_>>().join(", ");
        let mut first = format!("{}\t{}\t{}", line(text(file, "/name")), state(file), or_none(&pods));
        let mut messages: Vec<String> = list(file, "/problems").iter().map(problem).collect();
        let ignored = text(file, "/ignored");
        if !ignored.is_empty() || messages.is_empty() {
            messages.insert(0, ignored.to_string());
        }
        for message in messages {
            out.push_str(&format!("{first}\t{}\n", line(&message)));
            first = "\t\t".to_string();
        }
    }
    layout(&out)
}

/// kubectl's columns: at least 6 wide, 3 apart.
fn layout(table: &str) -> String {
    let aligned = tabs::align(table, 6, 3);
    aligned.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// `last-good` as one word: `LastGood`.
fn state(file: &Value) -> String {
    let words = text(file, "/state").split('-');
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    line(&words.map(upper).collect::<String>())
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
    if text.is_empty() { "<none>".to_string() } else { line(text) }
}
