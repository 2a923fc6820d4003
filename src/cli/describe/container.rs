//! One container of a description.

use serde_json::Value;

use super::page::Page;
use crate::cli::age::long;
use crate::cli::field::{holds, list, named, number, pairs, text};

/// Writes what is wanted of a container and, out of `statuses`, what is the case.
pub fn container(page: &mut Page, wanted: &Value, statuses: &[Value]) {
    let status = named(statuses, text(wanted, "/name"));
    page.line(1, &format!("{}:", text(wanted, "/name")));
    if let Some(status) = status {
        page.row(2, "Container ID", text(status, "/containerID"));
    }
    page.row(2, "Image", text(wanted, "/image"));
    if let Some(status) = status {
        page.row(2, "Image ID", text(status, "/imageID"));
    }
    ports(page, wanted);
    lines(page, "Command", list(wanted, "/command"));
    lines(page, "Args", list(wanted, "/args"));
    if let Some(status) = status {
        state(page, "State", status.get("state").unwrap_or(&Value::Null));
        let last = status.get("lastState").unwrap_or(&Value::Null);
        if last.get("terminated").is_some() {
            state(page, "Last State", last);
        }
        page.row(2, "Ready", if holds(status, "/ready") { "True" } else { "False" });
        page.row(2, "Restart Count", &number(status, "/restartCount").to_string());
    }
    for (label, pointer) in [("Limits", "/resources/limits"), ("Requests", "/resources/requests")] {
        let amounts = pairs(wanted, pointer);
        if !amounts.is_empty() {
            page.line(2, &format!("{label}:"));
            amounts.iter().for_each(|(name, amount)| page.row(3, name, amount));
        }
    }
    environment(page, wanted);
    mounts(page, wanted);
}

fn ports(page: &mut Page, wanted: &Value) {
    let ports = list(wanted, "/ports");
    let show = |pointer: &str| {
        let one = |port: &Value| match text(port, "/protocol") {
            "" => format!("{}/TCP", number(port, pointer)),
            protocol => format!("{}/{protocol}", number(port, pointer)),
        };
        let all: Vec<String> = ports.iter().map(one).collect();
        if all.is_empty() { "<none>".to_string() } else { all.join(", ") }
    };
    let plural = if ports.len() > 1 { "s" } else { "" };
    page.row(2, &format!("Port{plural}"), &show("/containerPort"));
    page.row(2, &format!("Host Port{plural}"), &show("/hostPort"));
}

/// Words below each other, as a command's.
fn lines(page: &mut Page, label: &str, words: &[Value]) {
    if words.is_empty() {
        return;
    }
    page.line(2, &format!("{label}:"));
    for word in words {
        word.as_str().unwrap_or_default().split('\n').for_each(|line| page.line(3, line));
    }
}

fn state(page: &mut Page, label: &str, state: &Value) {
    if let Some(running) = state.get("running") {
        page.row(2, label, "Running");
        page.row(3, "Started", &long(text(running, "/startedAt")));
    } else if let Some(exit) = state.get("terminated") {
        page.row(2, label, "Terminated");
        page.row_unless_empty(3, "Reason", text(exit, "/reason"));
        page.row_unless_empty(3, "Message", text(exit, "/message"));
        page.row(3, "Exit Code", &number(exit, "/exitCode").to_string());
        if number(exit, "/signal") > 0 {
            page.row(3, "Signal", &number(exit, "/signal").to_string());
        }
        page.row(3, "Started", &long(text(exit, "/startedAt")));
        page.row(3, "Finished", &long(text(exit, "/finishedAt")));
    } else {
        page.row(2, label, "Waiting");
        page.row_unless_empty(3, "Reason", text(state, "/waiting/reason"));
        page.row_unless_empty(3, "Message", text(state, "/waiting/message"));
    }
}

fn environment(page: &mut Page, wanted: &Value) {
    let variables = list(wanted, "/env");
    if variables.is_empty() {
        page.row(2, "Environment", "<none>");
        return;
    }
    page.line(2, "Environment:");
    for variable in variables {
        page.row(3, text(variable, "/name"), text(variable, "/value"));
    }
}

fn mounts(page: &mut Page, wanted: &Value) {
    let mut mounts: Vec<&Value> = list(wanted, "/volumeMounts").iter().collect();
    if mounts.is_empty() {
        page.row(2, "Mounts", "<none>");
        return;
    }
    mounts.sort_by_key(|mount| text(mount, "/mountPath"));
    page.line(2, "Mounts:");
    for mount in mounts {
        let mode = if holds(mount, "/readOnly") { "ro" } else { "rw" };
        let sub = match text(mount, "/subPath") {
            "" => String::new(),
            path => format!(",path={path:?}"),
        };
        page.line(3, &format!("{} from {} ({mode}{sub})", text(mount, "/mountPath"), text(mount, "/name")));
    }
}
