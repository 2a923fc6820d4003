//! `describe pod`: kubectl's layout, and at its end what only a node knows: the manifest, the logs, what happens next.

mod container;
mod image;
mod page;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::age::{long, since};
use super::args::{Describe, DescribeKind};
use super::field::{list, number, pairs, text};
use super::read::{self, Found, Selection};
use super::{now, print, say};
use crate::host::Runtime;
use page::Page;

#[cfg(test)]
mod tests;

/// Describes what `describe` asks for.
pub fn describe(runtime: &Runtime, describe: &Describe) -> Result<()> {
    if describe.kind == DescribeKind::Image {
        let mut missing = Vec::new();
        let names: Vec<&str> = describe.name.as_deref().into_iter().collect();
        print(&image::pages(runtime, &names, &mut missing)?.join("\n\n"))?;
        ensure!(missing.is_empty(), "{}", missing.join("; "));
        return Ok(());
    }
    let namespace = describe.namespace.namespace.clone();
    let selection = Selection { namespace: Some(namespace.clone()), name: describe.name.clone() };
    let found = read::pods(runtime, &selection)?;
    if found.is_empty() {
        say(&format!("No resources found in {namespace} namespace."));
    }
    let pages: Vec<String> = found.iter().map(|found| pod(found, now())).collect();
    print(&pages.join("\n\n"))
}

/// The description of one pod.
pub fn pod(found: &Found, now: Timestamp) -> String {
    let object = &found.pod.object;
    let mut page = Page::default();
    head(&mut page, object, now);
    page.line(0, "Containers:");
    let statuses = list(object, "/status/containerStatuses");
    for wanted in list(object, "/spec/containers") {
        container::container(&mut page, wanted, statuses);
    }
    conditions(&mut page, object);
    volumes(&mut page, object);
    page.row(0, "QoS Class", text(object, "/status/qosClass"));
    page.rows(0, "Node-Selectors", joined(&pairs(object, "/spec/nodeSelector"), "="));
    page.rows(0, "Tolerations", list(object, "/spec/tolerations").iter().map(toleration).collect());
    page.row(0, "Manifest", &found.pod.manifest);
    page.row(0, "Logs", &found.pod.log_directory);
    page.row(0, "Next", found.pod.next.as_deref().unwrap_or("<none>"));
    events(&mut page, &found.pod.events, now);
    page.finish()
}

fn head(page: &mut Page, object: &Value, now: Timestamp) {
    page.row(0, "Name", text(object, "/metadata/name"));
    page.row(0, "Namespace", text(object, "/metadata/namespace"));
    page.row(0, "Priority", &number(object, "/spec/priority").to_string());
    page.row_unless_empty(0, "Priority Class Name", text(object, "/spec/priorityClassName"));
    page.row(0, "Node", &format!("{}/{}", text(object, "/spec/nodeName"), text(object, "/status/hostIP")));
    page.row_unless_empty(0, "Start Time", &long(text(object, "/status/startTime")));
    page.rows(0, "Labels", joined(&pairs(object, "/metadata/labels"), "="));
    page.rows(0, "Annotations", joined(&pairs(object, "/metadata/annotations"), ": "));
    let phase = text(object, "/status/phase");
    let deletion = text(object, "/metadata/deletionTimestamp");
    if deletion.is_empty() || matches!(phase, "Succeeded" | "Failed") {
        page.row(0, "Status", phase);
    } else {
        // It begins in the future; kubectl then says `<invalid>`.
        let lasts = match since(deletion, now).as_str() {
            "<invalid>" => format!("until {}", long(deletion)),
            lasts => format!("lasts {lasts}"),
        };
        page.row(0, "Status", &format!("Terminating ({lasts})"));
        let grace = number(object, "/metadata/deletionGracePeriodSeconds");
        page.row(0, "Termination Grace Period", &format!("{grace}s"));
    }
    page.row_unless_empty(0, "Reason", text(object, "/status/reason"));
    page.row_unless_empty(0, "Message", text(object, "/status/message"));
    page.row(0, "IP", text(object, "/status/podIP"));
    let addresses = list(object, "/status/podIPs");
    if addresses.is_empty() {
        page.row(0, "IPs", "<none>");
    } else {
        page.line(0, "IPs:");
        addresses.iter().for_each(|address| page.row(1, "IP", text(address, "/ip")));
    }
}

/// Names and values as one text each; `<none>` where there are none.
fn joined(pairs: &[(&str, String)], between: &str) -> Vec<String> {
    pairs.iter().map(|(key, value)| format!("{key}{between}{value}")).collect()
}

fn conditions(page: &mut Page, object: &Value) {
    let conditions = list(object, "/status/conditions");
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.cells(1, &["Type", "Status"]);
    for condition in conditions {
        page.cells(1, &[&format!("{} ", text(condition, "/type")), text(condition, "/status")]);
    }
}

fn volumes(page: &mut Page, object: &Value) {
    let volumes = list(object, "/spec/volumes");
    if volumes.is_empty() {
        page.row(0, "Volumes", "<none>");
        return;
    }
    page.line(0, "Volumes:");
    for volume in volumes {
        page.line(1, &format!("{}:", text(volume, "/name")));
        if let Some(path) = volume.get("hostPath") {
            page.row(2, "Type", "HostPath (bare host directory volume)");
            page.row(2, "Path", text(path, "/path"));
            page.row(2, "HostPathType", text(path, "/type"));
        } else if let Some(directory) = volume.get("emptyDir") {
            page.row(2, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
            page.row(2, "Medium", text(directory, "/medium"));
            let limit = text(directory, "/sizeLimit");
            page.row(2, "SizeLimit", if limit.is_empty() { "<unset>" } else { limit });
        } else {
            let kinds = volume.as_object().into_iter().flat_map(|volume| volume.keys());
            page.row(2, "Type", kinds.map(String::as_str).find(|kind| *kind != "name").unwrap_or_default());
        }
    }
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
    if text(toleration, "/operator") == "Exists" {
        let all = text(toleration, "/key").is_empty() && effect.is_empty();
        out.push_str(if all { "op=Exists" } else { " op=Exists" });
    }
    if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
        out.push_str(&format!(" for {seconds}s"));
    }
    out
}

fn events(page: &mut Page, events: &[Value], now: Timestamp) {
    if events.is_empty() {
        page.row(0, "Events", "<none>");
        return;
    }
    let mut events: Vec<&Value> = events.iter().collect();
    events.sort_by_key(|event| text(event, "/lastTimestamp"));
    page.line(0, "Events:");
    page.cells(1, &["Type", "Reason", "Age", "From", "Message"]);
    page.cells(1, &["----", "------", "----", "----", "-------"]);
    for event in events {
        let (first, last) = (text(event, "/firstTimestamp"), text(event, "/lastTimestamp"));
        let age = match number(event, "/count") {
            ..=1 => since(first, now),
            count => format!("{} (x{count} over {})", since(last, now), since(first, now)),
        };
        let from = text(event, "/source/component");
        page.cells(1, &[text(event, "/type"), text(event, "/reason"), &age, from, text(event, "/message")]);
    }
}
