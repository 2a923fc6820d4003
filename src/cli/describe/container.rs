//! One container of a description.

use serde_json::Value;

use super::page::Page;
use super::{environment, probe};
use crate::cli::age::long;
use crate::cli::colour::{self, Ink};
use crate::cli::field::{holds, list, named, number, pairs, text};

/// Writes what is wanted of a container of the pod `object` and, out of `statuses`, what is the case.
pub fn container(page: &mut Page, object: &Value, wanted: &Value, statuses: &[Value]) {
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
    seccomp(page, 2, wanted.get("securityContext"));
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
    resources(page, 2, wanted.get("resources").unwrap_or(&Value::Null));
    for (label, pointer) in
        [("Liveness", "/livenessProbe"), ("Readiness", "/readinessProbe"), ("Startup", "/startupProbe")]
    {
        if let Some(wanted) = wanted.pointer(pointer).filter(|probe| probe.is_object()) {
            page.row(2, label, &probe::line(wanted));
        }
    }
    environment::from(page, wanted);
    environment::variables(page, object, wanted);
    mounts(page, wanted);
}

/// Limits and requests.
pub fn resources(page: &mut Page, level: usize, resources: &Value) {
    for (label, pointer) in [("Limits", "/limits"), ("Requests", "/requests")] {
        let amounts = pairs(resources, pointer);
        if !amounts.is_empty() {
            page.line(level, &format!("{label}:"));
            amounts.iter().for_each(|(name, amount)| page.row(level + 1, name, amount));
        }
    }
}

/// The seccomp profile of a security context, of a pod at level 0.
pub fn seccomp(page: &mut Page, level: usize, context: Option<&Value>) {
    let Some(profile) = context.and_then(|context| context.get("seccompProfile")) else { return };
    page.row(level, "SeccompProfile", text(profile, "/type"));
    if text(profile, "/type") == "Localhost" {
        let below = if level == 0 { 0 } else { level + 1 };
        page.row(below, "LocalhostProfile", text(profile, "/localhostProfile"));
    }
}

fn ports(page: &mut Page, wanted: &Value) {
    let ports = list(wanted, "/ports");
    let show = |pointer: &str| {
        let one = |port: &Value| {
            let protocol = match text(port, "/protocol") {
                "" => "TCP",
                protocol => protocol,
            };
            let name = match text(port, "/name") {
                "" => String::new(),
                name => format!(" ({name})"),
            };
            format!("{}/{protocol}{name}", number(port, pointer))
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
        reason(page, text(exit, "/reason"));
        page.row_unless_empty(3, "Message", text(exit, "/message"));
        let ink = (number(exit, "/exitCode") != 0).then_some(Ink::Bad);
        page.painted_row(3, "Exit Code", ink, &number(exit, "/exitCode").to_string());
        if number(exit, "/signal") > 0 {
            page.row(3, "Signal", &number(exit, "/signal").to_string());
        }
        page.row(3, "Started", &long(text(exit, "/startedAt")));
        page.row(3, "Finished", &long(text(exit, "/finishedAt")));
    } else {
        page.row(2, label, "Waiting");
        reason(page, text(state, "/waiting/reason"));
        page.row_unless_empty(3, "Message", text(state, "/waiting/message"));
    }
}

fn reason(page: &mut Page, reason: &str) {
    if !reason.is_empty() {
        page.painted_row(3, "Reason", colour::of_status(reason), reason);
    }
}

fn mounts(page: &mut Page, wanted: &Value) {
    let mut mounts: Vec<&Value> = list(wanted, "/volumeMounts").iter().collect();
    mounts.sort_by_key(|mount| text(mount, "/mountPath"));
    let none = mounts.is_empty();
    match none {
        true => page.row(2, "Mounts", "<none>"),
        false => page.line(2, "Mounts:"),
    }
    for mount in mounts {
        let mode = if holds(mount, "/readOnly") { "ro" } else { "rw" };
        let sub = match text(mount, "/subPath") {
            "" => String::new(),
            path => format!(",path={path:?}"),
        };
        page.line(3, &format!("{} from {} ({mode}{sub})", text(mount, "/mountPath"), text(mount, "/name")));
    }
    let mut devices: Vec<&Value> = list(wanted, "/volumeDevices").iter().collect();
    if !devices.is_empty() {
        devices.sort_by_key(|device| text(device, "/devicePath"));
        page.line(2, "Devices:");
    }
    for device in devices {
        page.line(3, &format!("{} from {}", text(device, "/devicePath"), text(device, "/name")));
    }
}
