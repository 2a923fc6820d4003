//! The screen: 80 columns and, on a small node, 24 lines.

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::age::{human, since};
use crate::cli::colour::{self, Ink};
use crate::cli::field::{holds, list, number, text};
use crate::cli::{harmless, space};

/// Columns of a terminal, less one: what ends in the last one wraps on some.
const WIDTH: usize = 79;
/// Where values begin.
const INDENT: usize = 11;
/// Lines of each list; what is beyond is counted.
const PODS: usize = 5;
const FILES: usize = 3;
const LINES: usize = 2;

/// The screen for what was `told`.
pub fn page(told: &Value, now: Timestamp) -> String {
    let mut page = Screen::default();
    head(&mut page, told);
    pods(&mut page, told);
    manifests(&mut page, told);
    images_and_disks(&mut page, told);
    written(&mut page, told);
    let warnings = list(told, "/warnings")
        .iter()
        .filter_map(Value::as_str)
        .map(|it| (it.to_string(), Some(Ink::Warning)));
    page.some("Warnings", warnings.collect(), LINES, "`holdfast describe node`");
    let mut events: Vec<String> = list(told, "/events").iter().map(|event| happened(event, now)).collect();
    // The latest are told, and the latest of them last, as in every list of events.
    let more = events.len().saturating_sub(LINES);
    events.drain(..more);
    for (at, event) in events.iter().enumerate() {
        page.row(if at == 0 { "Happened" } else { "" }, None, event);
    }
    let needs: Vec<_> = list(told, "/needs")
        .iter()
        .filter_map(Value::as_str)
        .map(|it| (it.to_string(), Some(Ink::Bad)))
        .collect();
    match needs.is_empty() {
        true => page.row("Verdict", Some(Ink::Bold), "all is well"),
        false => page.some("Needs you", needs, FILES, "`holdfast status -o json`"),
    }
    page.0
}

fn head(page: &mut Screen, told: &Value) {
    let name = text(told, "/node");
    let uptime = human(number(told, "/uptime"));
    page.row("Node", Some(Ink::Bold), &format!("{name}, up for {uptime}"));
    let version = text(told, "/holdfast");
    if holds(told, "/agent/running") {
        let age = match told.pointer("/agent/seconds").and_then(Value::as_i64) {
            Some(seconds) => format!("for {}", human(seconds)),
            None => "now".to_string(),
        };
        page.row("Agent", None, &format!("v{version}, runs {age} as process {}", number(told, "/agent/pid")));
    } else {
        page.row(
            "Agent",
            Some(Ink::Bad),
            &format!("v{version} is not running: nothing is started, kept up or updated"),
        );
    }
    let ink = match text(told, "/clock/trust") {
        "wrong" => Some(Ink::Bad),
        "free" => Some(Ink::Warning),
        _ => None,
    };
    let clock = text(told, "/clock/now").split('.').next().unwrap_or_default().trim_end_matches('Z');
    page.row("Clock", ink, &format!("{clock}Z, {}", text(told, "/clock/message")));
    let load: Vec<&str> = list(told, "/load").iter().filter_map(Value::as_str).collect();
    let processors = number(told, "/processors");
    page.row("Load", None, &format!("{} on {processors} processor{}", load.join(" "), plural(processors)));
    let (free, all) = (bytes(told, "/memory/available"), bytes(told, "/memory/total"));
    let pressures = list(told, "/pressures");
    let short = |kind: &str| pressures.iter().any(|it| text(it, "/type") == kind).then_some(Ink::Bad);
    let memory = format!("{} of {} available ({})", space::human(free), space::human(all), share(free, all));
    page.row("Memory", short("MemoryPressure"), &memory);
}

fn pods(page: &mut Screen, told: &Value) {
    let phases = told["pods"]["phases"].as_object().into_iter().flatten();
    let phases: Vec<String> = phases.map(|(phase, count)| format!("{count} {phase}")).collect();
    let counts = if phases.is_empty() { "none".to_string() } else { phases.join(", ") };
    page.row("Pods", None, &counts);
    let pods = list(told, "/pods/unwell");
    for pod in pods.iter().take(PODS) {
        let ink = if holds(pod, "/underWay") {
            Some(Ink::Warning)
        } else {
            colour::of_status(text(pod, "/status"))
        };
        let (name, status) =
            (format!("{}/{}", text(pod, "/namespace"), text(pod, "/name")), text(pod, "/status"));
        let ready =
            if status == "Running" { format!(" {} ready", text(pod, "/ready")) } else { String::new() };
        page.row(
            "",
            ink.or(Some(Ink::Warning)),
            &format!("{name}: {status}{ready}: {}", text(pod, "/message")),
        );
    }
    page.more(pods.len(), PODS, "`holdfast get pods -A`");
}

fn manifests(page: &mut Screen, told: &Value) {
    let states = told["manifests"]["states"].as_object().into_iter().flatten();
    let states: Vec<String> = states.map(|(state, count)| format!("{count} {state}")).collect();
    let counts = if states.is_empty() { "none".to_string() } else { states.join(", ") };
    page.row("Manifests", None, &format!("{counts} in {}", text(told, "/manifests/directory")));
    let wrong = list(told, "/manifests/wrong");
    for file in wrong.iter().take(FILES) {
        let line = format!("{}: {}: {}", text(file, "/name"), text(file, "/state"), text(file, "/message"));
        page.row("", Some(Ink::Bad), &line);
    }
    page.more(wrong.len(), FILES, "`holdfast get manifests`");
}

fn images_and_disks(page: &mut Screen, told: &Value) {
    if text(told, "/images/problem").is_empty() {
        let images = match number(told, "/images/count") {
            0 => "none".to_string(),
            count => format!("{count}, {}", space::human(bytes(told, "/images/bytes"))),
        };
        page.row("Images", None, &images);
    }
    for (at, disk) in list(told, "/disks").iter().enumerate() {
        let (free, all) = (bytes(disk, "/free"), bytes(disk, "/total"));
        let scarce = free < all / 20 || holds(disk, "/readOnly");
        let (path, part) = (text(disk, "/path"), share(free, all));
        let least = if holds(disk, "/takenAll") { "" } else { "more than " };
        let own = space::human(bytes(disk, "/taken"));
        let mut line = format!(
            "{path}: {} of {} free ({part}), {least}{own} ours",
            space::human(free),
            space::human(all)
        );
        if holds(disk, "/readOnly") {
            line += ", read-only";
        }
        let (inodes, inodes_free) = (bytes(disk, "/inodes"), bytes(disk, "/inodesFree"));
        let few = inodes != 0 && inodes_free < inodes / 20;
        if few {
            line += &format!(", {inodes_free} inodes free");
        }
        page.row(if at == 0 { "Disks" } else { "" }, (scarce || few).then_some(Ink::Bad), &line);
    }
}

/// `1.1G a day to vda over 3d, pods 20M, the agent 2.0M`; what is not known is left out.
fn written(page: &mut Screen, told: &Value) {
    let per_day = |who: &str| {
        let bytes = told["written"][who]["bytesPerDay"].as_u64()?;
        Some(space::human(bytes))
    };
    let disk = per_day("disk").map(|bytes| {
        let (name, age) = (text(told, "/written/disk/name"), human(number(told, "/written/disk/seconds")));
        format!("{bytes} a day to {name} over {age}")
    });
    let pods = per_day("pods").map(|bytes| format!("pods {bytes}"));
    let agent = per_day("agent").map(|bytes| format!("the agent {bytes}"));
    let parts: Vec<String> = [disk, pods, agent].into_iter().flatten().collect();
    if !parts.is_empty() {
        page.row("Written", None, &parts.join(", "));
    }
}

/// `3m ago (x4) Pod default/web: BackOff: message`.
fn happened(event: &Value, now: Timestamp) -> String {
    let count = match number(event, "/count") {
        ..=1 => String::new(),
        count => format!(" (x{count})"),
    };
    let whose = match text(event, "/kind") {
        "Node" => String::new(),
        _ => format!("{}: ", text(event, "/name")),
    };
    let (ago, reason) = (since(text(event, "/last"), now), text(event, "/reason"));
    format!("{ago} ago{count} {whose}{reason}: {}", text(event, "/message"))
}

fn bytes(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn share(part: u64, all: u64) -> String {
    if all == 0 { "unknown".to_string() } else { format!("{}%", u128::from(part) * 100 / u128::from(all)) }
}

fn plural(count: i64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Lines of at most [`WIDTH`] characters.
#[derive(Default)]
struct Screen(String);

impl Screen {
    /// A label and its value, in `ink`, cut where it does not fit; without a label it stands below the one above.
    fn row(&mut self, label: &str, ink: Option<Ink>, value: &str) {
        let value = harmless::line(value);
        let room = WIDTH - INDENT;
        let value = match value.chars().count() {
            length if length <= room => value,
            _ => value.chars().take(room - 1).chain(['…']).collect(),
        };
        let value = value.trim_end().trim_end_matches(':');
        let value = ink.map_or_else(|| value.to_string(), |ink| ink.paint(value));
        let label = if label.is_empty() { String::new() } else { format!("{label}:") };
        self.0.push_str(&format!("{label:INDENT$}{value}\n"));
    }

    /// A list of at most `most` lines.
    fn some(&mut self, label: &str, lines: Vec<(String, Option<Ink>)>, most: usize, all: &str) {
        let count = lines.len();
        for (at, (line, ink)) in lines.into_iter().take(most).enumerate() {
            self.row(if at == 0 { label } else { "" }, ink, &line);
        }
        self.more(count, most, all);
    }

    fn more(&mut self, count: usize, most: usize, all: &str) {
        if most < count {
            self.row("", Some(Ink::Faint), &format!("and {} more: {all}", count - most));
        }
    }
}
