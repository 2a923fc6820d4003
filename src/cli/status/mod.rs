//! `status`: the whole node on one screen, and by its exit code whether somebody should look.
//!
//! What is the case is gathered here as one JSON value, which `-o json` prints; [`judge`] and [`page`] are functions of it.
//!
//! Invariant: exit code 0 where all is well, 1 where something needs a person or the node cannot be looked at.

mod judge;
mod page;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::{Report, Status};
use super::field::{list, text};
use super::node::{self, Node};
use super::read::{self, Found, Selection};
use super::trust::Trust;
use super::{now, print, report, space};
use crate::api::seconds;
use crate::cgroup::Hierarchy;
use crate::host::machine;
use crate::host::{Data, Runtime};
use crate::image::Store;
use crate::sys::clock;

/// For how long each directory may be counted: a screen that comes late is not looked at.
const PATIENCE: Duration = Duration::from_millis(300);
/// Warnings of the ring that are shown: those of the last day.
const RECENT: i64 = 86_400;

/// Shows the node.
pub fn status(runtime: &Runtime, asked: &Status) -> Result<ExitCode> {
    let told = gather(runtime, now())?;
    match asked.output {
        Some(Report::Json) => print(&report::json(&told)?)?,
        None => print(&page::page(&told, now()))?,
    }
    Ok(ExitCode::from(u8::from(!list(&told, "/needs").is_empty())))
}

fn gather(runtime: &Runtime, now: Timestamp) -> Result<Value> {
    // Reading the pods says where no agent runs.
    let found = read::pods(runtime, &Selection::default())?;
    let node = node::known(runtime)?;
    let data = Data::new(&node.published.data_dir);
    let trust = Trust::at(now, &[data.node_name(), PathBuf::from("/proc/self/exe")]);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let (total, available) = machine::memory(&meminfo);
    let manifests = read::file::<Value>(&runtime.manifests())?.unwrap_or_default();
    let mut told = json!({
        "version": 1,
        "node": node.published.name,
        "holdfast": version(&node.published.object),
        "uptime": clock::boottime().as_secs(),
        "agent": agent(&node),
        "clock": {"now": now.to_string(), "trust": trust.word(), "message": trust.sentence()},
        "load": load(),
        "processors": text(&node.published.object, "/status/capacity/cpu").parse::<u64>().unwrap_or(0),
        "memory": {"total": total, "available": available},
        "pods": pods(&found, now),
        "manifests": files(&manifests),
        "images": images(&data),
        "disks": disks(&node, runtime, &data),
        "written": written(&node),
        "pressures": pressures(&node.published.object),
        "warnings": node.published.warnings,
        "events": events(&node::events_or_say(runtime), now),
    });
    told["needs"] = json!(judge::needs(&told));
    Ok(told)
}

/// The version of the agent, which need not be this program's.
fn version(object: &Value) -> String {
    let version = text(object, "/status/nodeInfo/kubeletVersion").trim_start_matches('v');
    version.split('+').next().unwrap_or_default().to_string()
}

fn agent(node: &Node) -> Value {
    let mut agent = json!({"running": node.agent_runs, "started": seconds(node.published.started)});
    if node.agent_runs {
        agent["pid"] = json!(node.published.pid);
        agent["seconds"] = json!(machine::age_of_process(node.published.pid).map(|age| age.as_secs()));
    }
    agent
}

fn load() -> Vec<String> {
    let load = machine::text("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).map(str::to_string).collect()
}

fn pods(found: &[Found], now: Timestamp) -> Value {
    let mut phases = json!({});
    for phase in found.iter().map(|found| text(&found.pod.object, "/status/phase")) {
        phases[phase] = json!(phases[phase].as_u64().unwrap_or(0) + 1);
    }
    let unwell: Vec<Value> = found.iter().filter_map(|found| judge::unwell(&found.pod.object, now)).collect();
    json!({"count": found.len(), "phases": phases, "unwell": unwell})
}

fn files(verdict: &Value) -> Value {
    let files = list(verdict, "/files");
    let mut states = json!({});
    for state in files.iter().map(|file| text(file, "/state")) {
        states[state] = json!(states[state].as_u64().unwrap_or(0) + 1);
    }
    let wrong: Vec<Value> = files.iter().filter_map(judge::wrong).collect();
    json!({
        "directory": verdict["directory"], "problem": verdict["problem"], "states": states, "wrong": wrong,
    })
}

fn images(data: &Data) -> Value {
    let images = Store::read(&data.store()).and_then(|store| store.list());
    match images {
        Ok(images) => {
            let bytes: u64 = images.iter().map(|image| image.size).sum();
            json!({"count": images.len(), "bytes": bytes})
        }
        Err(error) => json!({"problem": format!("{error:#}")}),
    }
}

/// The file systems that the node stands on, and what of each is its own.
fn disks(node: &Node, runtime: &Runtime, data: &Data) -> Vec<Value> {
    let logs = Path::new(&node.published.log_dir);
    let disks = [
        ("data", Path::new(&node.published.data_dir), data.own()),
        ("logs", logs, logs.to_path_buf()),
        ("runtime", runtime.root(), runtime.root().to_path_buf()),
    ];
    let disk = |(what, path, ours): (&str, &Path, PathBuf)| {
        let space = machine::space(path).unwrap_or_default();
        let (taken, all) = space::taken(&ours, PATIENCE);
        json!({
            "what": what, "path": path.display().to_string(), "total": space.total, "free": space.free,
            "inodes": space.inodes, "inodesFree": space.inodes_free, "readOnly": space.read_only,
            "taken": taken, "takenAll": all,
        })
    };
    disks.into_iter().map(disk).collect()
}

/// What goes to the disk of the data directory, and who writes it, each as long as it is there: flash wears out by that. Of pods
/// that are gone nobody knows.
fn written(node: &Node) -> Value {
    let told = |bytes: u64, age: Duration| {
        let per_day = space::per_day(bytes, age);
        json!({"bytes": bytes, "seconds": age.as_secs(), "bytesPerDay": per_day})
    };
    let mut all = json!({});
    if let Some((name, bytes)) = machine::written(Path::new(&node.published.data_dir)) {
        all["disk"] = told(bytes, clock::boottime());
        all["disk"]["name"] = json!(name);
    }
    let pid = node.published.pid;
    if let (true, Some((_, bytes)), Some(age)) =
        (node.agent_runs, machine::io_of_process(pid), machine::age_of_process(pid))
    {
        all["agent"] = told(bytes, age);
    }
    let groups = Hierarchy::detect(&node.published.cgroup_root).ok();
    let groups = groups.and_then(|cgroups| Some((cgroups.pods_present().ok()?, cgroups)));
    if let Some((pods, cgroups)) = groups {
        let of = |path: &String| Some((cgroups.usage(path).io?.1, cgroups.age(path)?));
        let looks: Vec<_> = pods.values().filter_map(of).collect();
        let bytes: u64 = looks.iter().map(|(bytes, _)| bytes).sum();
        let per_day: u64 = looks.iter().map(|(bytes, age)| space::per_day(*bytes, *age)).sum();
        all["pods"] = json!({"bytes": bytes, "bytesPerDay": per_day});
    }
    all
}

/// Conditions of the node that hold and should not.
fn pressures(object: &Value) -> Vec<Value> {
    let conditions = list(object, "/status/conditions").iter();
    let held = conditions.filter(|it| text(it, "/type") != "Ready" && text(it, "/status") == "True");
    held.map(|it| json!({"type": text(it, "/type"), "message": text(it, "/message")})).collect()
}

/// The warnings of the last day, the latest last.
fn events(events: &[Value], now: Timestamp) -> Vec<Value> {
    let recent = |event: &&Value| {
        let at = text(event, "/lastTimestamp").parse::<Timestamp>();
        at.is_ok_and(|at| now.as_second() - at.as_second() <= RECENT) && text(event, "/type") == "Warning"
    };
    let event = |event: &Value| {
        let of = |pointer: &str| text(event, pointer).to_string();
        json!({
            "last": of("/lastTimestamp"), "count": event["count"], "kind": of("/involvedObject/kind"),
            "name": of("/involvedObject/name"), "reason": of("/reason"), "message": of("/message"),
        })
    };
    events.iter().filter(recent).map(event).collect()
}
