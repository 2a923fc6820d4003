//! What is ordered and no manifest: `restart POD` and `down`.
//!
//! An order is an empty file in `<runtime-dir>/orders`, put there whole by a rename. The agent removes it when it has
//! taken the order in; what came of it is seen in what the agent publishes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use inotify::WatchMask;
use log::LevelFilter;
use serde_json::Value;

use super::args::PodName;
use super::field::{list, number, text};
use super::read::{self, Found};
use super::wait::{self, Wait};
use super::{print, say, start};
use crate::api::published;
use crate::config;
use crate::host::Runtime;

/// How long an agent may take beyond the grace periods that it has to grant.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends a pod's containers and starts them anew; returns when they run again.
pub fn restart(runtime: &Runtime, pod: &PodName) -> Result<()> {
    let before = read::pod(runtime, &pod.namespace.namespace, &pod.name)?;
    ensure!(
        read::agent_runs(runtime)?,
        "no agent runs that could restart the pod: start one with `holdfast agent`"
    );
    let full_name = format!("{}/{}", before.namespace(), before.name());
    let directory = runtime.pod(&before.uid);
    let mut wait = Wait::new()?;
    wait.add(&runtime.pods(), wait::entries())?;
    let order = order(runtime, &format!("restart-{}", before.uid), &mut wait)?;
    let deadline = Instant::now() + grace(&before.pod.object) + PATIENCE;
    loop {
        // The pod's directory goes and comes back; the new one is watched before it is read.
        wait.add(directory.root(), wait::entries())?;
        let now = read::file::<published::Pod>(&directory.status())?;
        let left = match &now {
            Some(now) => not_restarted(&before.pod.object, &now.object),
            None => vec!["it has ended and not come back".to_string()],
        };
        if left.is_empty() && !order.exists() {
            return print(&format!("pod {full_name} restarted\n"));
        }
        ensure!(read::agent_runs(runtime)?, "the agent ended before pod {full_name} was restarted");
        if !wait.change(&[], Some(deadline))? {
            bail!(
                "pod {full_name} does not run again: {}; `holdfast describe pod` tells more",
                left.join(", ")
            );
        }
    }
}

/// What is missing: that the pod has ended, and each container that is not yet another run than before.
fn not_restarted(before: &Value, now: &Value) -> Vec<String> {
    if now.pointer("/metadata/deletionTimestamp").is_some() {
        return vec!["it has not ended".to_string()];
    }
    let run = |object: &Value, name: &str| {
        let status =
            list(object, "/status/containerStatuses").iter().find(|status| text(status, "/name") == name);
        status.map(|status| (text(status, "/containerID").to_string(), number(status, "/restartCount")))
    };
    let statuses = list(now, "/status/containerStatuses").iter();
    let left = statuses.filter(|status| {
        let name = text(status, "/name");
        run(before, name) == run(now, name) || status.pointer("/state/waiting").is_some()
    });
    let tell = |status: &Value| {
        let (name, reason) = (text(status, "/name"), text(status, "/state/waiting/reason"));
        format!("container {name} {}", if reason.is_empty() { "is the same as before" } else { reason })
    };
    left.map(tell).collect()
}

/// Ends all pods and then the agent; without an agent, what one left.
pub fn down(runtime: &Runtime) -> Result<()> {
    if !runtime.root().exists() {
        say("nothing runs: no agent has run here");
        return Ok(());
    }
    if !read::agent_runs(runtime)? {
        say("no agent runs: ending what it left");
        return down_alone(runtime);
    }
    let mut wait = Wait::new()?;
    wait.add(&runtime.pods(), wait::entries())?;
    let mut running: BTreeMap<String, Found> =
        read::all(runtime)?.into_iter().map(|found| (found.uid.clone(), found)).collect();
    order(runtime, "down", &mut wait)?;
    let deadline = Instant::now() + graces(running.values().map(|found| &found.pod.object)) + PATIENCE;
    loop {
        let left = read::uids(runtime)?;
        for (_, found) in running.extract_if(.., |uid, _| !left.contains(uid)) {
            print(&format!("pod {}/{} ended\n", found.namespace(), found.name()))?;
        }
        if !read::agent_runs(runtime)? {
            if left.is_empty() {
                return Ok(());
            }
            say("the agent ended before its pods: ending what it left");
            return down_alone(runtime);
        }
        if !wait.change(&[], Some(deadline))? {
            let names = running.values().map(|found| format!("{}/{}", found.namespace(), found.name()));
            let names: Vec<String> = names.collect();
            ensure!(!names.is_empty(), "all pods have ended, but the agent has not");
            bail!("these pods have not ended: {}", names.join(", "));
        }
    }
}

/// Ends what an agent left, with the paths that it published.
fn down_alone(runtime: &Runtime) -> Result<()> {
    let Some(node) = read::file::<published::Node>(&runtime.node())? else {
        let left = read::uids(runtime)?;
        ensure!(left.is_empty(), "{} pods are left, but no {}", left.len(), runtime.node().display());
        return Ok(());
    };
    // Nobody else would tell what ends, and of what each pod makes the machine wait at power-off.
    start::log_to_stderr(LevelFilter::Info);
    crate::agent::down(config::Agent {
        data_dir: node.data_dir.into(),
        pod_manifest_path: node.manifests_dir.into(),
        node_name: Some(node.name),
        log_dir: node.log_dir.into(),
        cgroup_root: node.cgroup_root,
        log: LevelFilter::Info,
        ..config::Agent::new(runtime.root())
    })?;
    match fs::remove_file(runtime.order_down()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("remove the order"),
        _ => Ok(()),
    }
}

/// Writes an order, and waits from before for what may come of it: its removal, and the agent's end.
fn order(runtime: &Runtime, name: &str, wait: &mut Wait) -> Result<PathBuf> {
    let directory = runtime.orders();
    let there = wait.add(&directory, wait::entries())?;
    ensure!(there, "the agent takes no orders yet: there is no {}", directory.display());
    // A dying process closes its descriptors, the locked one too.
    wait.add(&runtime.lock(), WatchMask::CLOSE)?;
    let (beside, path) = (directory.join(format!(".{name}.{}", std::process::id())), directory.join(name));
    File::create(&beside).with_context(|| format!("write {}", beside.display()))?;
    fs::rename(&beside, &path).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// `spec.terminationGracePeriodSeconds`, up to a day.
fn grace(object: &Value) -> Duration {
    let seconds = number(object, "/spec/terminationGracePeriodSeconds").clamp(0, 86_400);
    Duration::from_secs(seconds.unsigned_abs())
}

/// How long pods may take that end one priority after the other.
fn graces<'a>(objects: impl Iterator<Item = &'a Value>) -> Duration {
    let mut longest = BTreeMap::new();
    for object in objects {
        let longest: &mut Duration = longest.entry(number(object, "/spec/priority")).or_default();
        *longest = grace(object).max(*longest);
    }
    longest.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_one_priority_end_together_and_priorities_one_after_the_other() {
        let pod = |priority, grace| serde_json::json!({"spec": {"priority": priority, "terminationGracePeriodSeconds": grace}});
        let pods = [pod(0, 30), pod(0, 20), pod(1_000, 40), pod(2_000_001_000, 5)];
        assert_eq!(graces(pods.iter()), Duration::from_secs(75));
        assert_eq!(graces([].iter()), Duration::ZERO);
    }
}
