//! `describe node`: kubectl's page, and before its events what only this node knows of itself.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;

use super::events::events;
use super::page::Page;
use crate::api::seconds;
use crate::cli::age::{long, since};
use crate::cli::colour::Ink;
use crate::cli::field::{list, pairs, text};
use crate::cli::node::{self, Node};
use crate::cli::read;
use crate::host::Runtime;
use crate::manifest::Quantity;

/// The page, if the node is meant by one of `names`: by its name or the beginning of it; or by none.
pub fn pages(
    runtime: &Runtime,
    names: &[&str],
    missing: &mut Vec<String>,
    show_events: bool,
    now: Timestamp,
) -> Result<Vec<String>> {
    let node = node::node_or_fail(runtime)?;
    let meant = |name: &&&str| node.published.name.starts_with(**name);
    for name in names.iter().filter(|name| !meant(name)) {
        missing.push(format!("node {name:?} not found; this one is called {:?}", node.published.name));
    }
    if !names.is_empty() && !names.iter().any(|name| meant(&name)) {
        return Ok(Vec::new());
    }
    let pods = read::all(runtime)?.into_iter().map(|found| found.pod.object).collect::<Vec<_>>();
    let happened = show_events.then(|| node::events_or_say(runtime));
    let told = Told { node: &node, pods: &pods, events: happened.as_deref(), runtime, now };
    Ok(vec![page(&told)])
}

/// What a page tells of.
pub struct Told<'a> {
    /// The node.
    pub node: &'a Node,
    /// core/v1 Pods on it.
    pub pods: &'a [Value],
    /// Everything in the ring; `None` where no events are wanted.
    pub events: Option<&'a [Value]>,
    /// Where all this was read.
    pub runtime: &'a Runtime,
    /// The wall clock.
    pub now: Timestamp,
}

/// The description.
pub fn page(told: &Told<'_>) -> String {
    let object = &told.node.published.object;
    let mut page = Page::default();
    head(&mut page, object);
    conditions(&mut page, object);
    table(
        &mut page,
        "Addresses",
        list(object, "/status/addresses").iter().map(|it| (text(it, "/type"), text(it, "/address"))),
    );
    for (title, pointer) in [("Capacity", "/status/capacity"), ("Allocatable", "/status/allocatable")] {
        let pairs = pairs(object, pointer);
        table(&mut page, title, pairs.iter().map(|(key, value)| (*key, value.as_str())));
    }
    system(&mut page, object);
    let running: Vec<&Value> = told.pods.iter().filter(|pod| !is_over(pod)).collect();
    let allocatable = amounts(object, "/status/allocatable");
    pods(&mut page, &running, &allocatable, told.now);
    allocated(&mut page, &running, &allocatable);
    ours(&mut page, told);
    if let Some(all) = told.events {
        let of_node = |event: &&Value| text(event, "/involvedObject/kind") == "Node";
        events(&mut page, &all.iter().filter(of_node).cloned().collect::<Vec<_>>(), told.now);
    }
    page.finish()
}

fn head(page: &mut Page, object: &Value) {
    page.row(0, "Name", text(object, "/metadata/name"));
    let labels = pairs(object, "/metadata/labels");
    let roles = labels.iter().filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) if !role.is_empty() => Some(role),
        _ => (*key == "kubernetes.io/role").then_some(value.as_str()),
    });
    let roles = roles.collect::<Vec<_>>().join(",");
    page.row(0, "Roles", if roles.is_empty() { "<none>" } else { &roles });
    page.rows(0, "Labels", labels.iter().map(|(key, value)| format!("{key}={value}")).collect());
    let annotations = pairs(object, "/metadata/annotations");
    page.rows(0, "Annotations", annotations.iter().map(|(key, value)| format!("{key}: {value}")).collect());
    page.row(0, "CreationTimestamp", &long(text(object, "/metadata/creationTimestamp")));
    // Manifests are orders: nothing keeps a pod from this node.
    page.row(0, "Taints", "<none>");
    page.row(0, "Unschedulable", "false");
}

fn conditions(page: &mut Page, object: &Value) {
    page.line(0, "Conditions:");
    let head = ["Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"];
    page.cells(1, &head);
    page.cells(1, &head.map(|word| "-".repeat(word.len())).each_ref().map(String::as_str));
    for condition in list(object, "/status/conditions") {
        let time = |pointer: &str| match text(condition, pointer) {
            "" => "<none>".to_string(),
            time => long(time),
        };
        let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
        let well = if kind == "Ready" { "True" } else { "False" };
        let cells = [
            kind,
            status,
            &time("/lastHeartbeatTime"),
            &time("/lastTransitionTime"),
            text(condition, "/reason"),
            text(condition, "/message"),
        ];
        // kubectl has a blank after each, but not below the head.
        let cells = cells.map(|cell| format!("{cell} "));
        let cells = cells.each_ref().map(String::as_str);
        page.painted_cells(1, (status != well).then_some(Ink::Bad), &cells);
    }
}

fn table<'a>(page: &mut Page, title: &str, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    page.line(0, &format!("{title}:"));
    rows.for_each(|(key, value)| page.row(1, key, value));
}

fn system(page: &mut Page, object: &Value) {
    let rows = [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ];
    let info = &object["status"]["nodeInfo"];
    table(
        page,
        "System Info",
        rows.iter().map(|(title, key)| (*title, info[*key].as_str().unwrap_or_default())),
    );
}

fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

fn pods(page: &mut Page, pods: &[&Value], allocatable: &Amounts, now: Timestamp) {
    page.row(0, "Non-terminated Pods", &format!("({} in total)", pods.len()));
    let head = ["Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age"];
    page.cells(1, &head);
    page.cells(1, &head.map(|word| "-".repeat(word.len())).each_ref().map(String::as_str));
    for pod in pods {
        let (requests, limits) = (asked(pod, "requests"), asked(pod, "limits"));
        let share = |of: &Amounts, what: &str| with_share(of, what, allocatable);
        page.cells(
            1,
            &[
                text(pod, "/metadata/namespace"),
                text(pod, "/metadata/name"),
                &share(&requests, "cpu"),
                &share(&limits, "cpu"),
                &share(&requests, "memory"),
                &share(&limits, "memory"),
                &since(text(pod, "/metadata/creationTimestamp"), now),
            ],
        );
    }
}

fn allocated(page: &mut Page, pods: &[&Value], allocatable: &Amounts) {
    let sum = |which: &str| {
        let mut sum = Amounts::new();
        pods.iter().for_each(|pod| add(&mut sum, &asked(pod, which)));
        sum
    };
    let (requests, limits) = (sum("requests"), sum("limits"));
    page.line(0, "Allocated resources:");
    page.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    page.cells(1, &["Resource", "Requests", "Limits"]);
    page.cells(1, &["--------", "--------", "------"]);
    let huge = allocatable.keys().filter(|key| key.starts_with("hugepages-")).map(String::as_str);
    for what in ["cpu", "memory", "ephemeral-storage"].into_iter().chain(huge) {
        page.cells(
            1,
            &[what, &with_share(&requests, what, allocatable), &with_share(&limits, what, allocatable)],
        );
    }
}

/// Amounts by the name of the resource.
type Amounts = BTreeMap<String, Quantity>;

fn amounts(value: &Value, pointer: &str) -> Amounts {
    let pairs = pairs(value, pointer).into_iter();
    pairs.filter_map(|(key, text)| Some((key.to_string(), Quantity::parse(&text)?))).collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (key, amount) in more {
        let known = sum.entry(key.clone()).or_insert(Quantity::ZERO);
        *known = known.plus(*amount);
    }
}

/// The requests or limits of a pod: of its containers together, or of an init container where that asks for more (kubectl's
/// `PodRequestsAndLimits`). An init container that goes on beside the others counts with them, and beside each later one.
fn asked(pod: &Value, which: &str) -> Amounts {
    let of = |container: &Value| amounts(container, &format!("/resources/{which}"));
    let mut sum = Amounts::new();
    list(pod, "/spec/containers").iter().for_each(|container| add(&mut sum, &of(container)));
    let (mut beside, mut most) = (Amounts::new(), Amounts::new());
    for container in list(pod, "/spec/initContainers") {
        let mut here = of(container);
        if text(container, "/restartPolicy") == "Always" {
            add(&mut sum, &here);
            add(&mut beside, &here);
            here = beside.clone();
        } else {
            add(&mut here, &beside);
        }
        raise(&mut most, here);
    }
    raise(&mut sum, most);
    sum
}

fn raise(most: &mut Amounts, amounts: Amounts) {
    for (key, amount) in amounts {
        let known = most.entry(key).or_insert(amount);
        if known.milli() < amount.milli() {
            *known = amount;
        }
    }
}

/// `500m (25%)`.
fn with_share(amounts: &Amounts, what: &str, allocatable: &Amounts) -> String {
    let of = |amounts: &Amounts| amounts.get(what).copied().unwrap_or(Quantity::ZERO);
    let (amount, all) = (of(amounts), of(allocatable).milli());
    let share = if all == 0 { 0 } else { amount.milli().saturating_mul(100) / all };
    format!("{amount} ({share}%)")
}

/// What no API server would know.
fn ours(page: &mut Page, told: &Told<'_>) {
    let node = &told.node.published;
    let started = seconds(node.started);
    page.line(0, "Agent:");
    let (ink, state) = match told.node.agent_runs {
        true => (
            None,
            format!("process {}, for {}, since {}", node.pid, since(&started, told.now), long(&started)),
        ),
        false => (Some(Ink::Bad), "not running; what runs goes on without it".to_string()),
    };
    page.painted_row(1, "Running", ink, &state);
    page.row(1, "Manifests", &node.manifests_dir);
    page.row(1, "Data", &node.data_dir);
    page.row(1, "Logs", &node.log_dir);
    page.row(1, "Runtime", &told.runtime.root().display().to_string());
    page.row(1, "Cgroups", &format!("{}/kubepods", node.cgroup_root.trim_end_matches('/')));
    match node.warnings.as_slice() {
        [] => page.row(0, "Warnings", "<none>"),
        warnings => {
            page.line(0, "Warnings:");
            warnings.iter().for_each(|warning| page.painted_line(1, Ink::Warning, warning));
        }
    }
}
