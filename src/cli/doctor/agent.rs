//! The agent: whether it is there, alone, and does what it is told; and whether each pod process answers.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Findings, Level, Place};
use crate::agent::{Client, rival};
use crate::cli::field::text;
use crate::cli::{PATIENCE, read};
use crate::protocol::Request;
use crate::sys::lock;

/// How long an order may lie there: the agent takes it as soon as it is told.
const TAKEN: Duration = Duration::from_secs(10);
/// Pods that are asked at once.
const AT_ONCE: usize = 32;

pub fn check(place: &Place) -> Findings {
    let mut findings = Findings::new("agent");
    others(&mut findings, place);
    match (&place.node, place.agent_runs) {
        (_, None) => findings.add(
            Level::Unseen,
            format!("{} may not be looked at", place.runtime.root().display()),
            "run this as root",
        ),
        (_, Some(false)) if place.node.is_none() => {
            findings.warning(
                "no agent has run since the boot",
                "start it: `systemctl start holdfast`, or `holdfast agent`",
            );
        }
        (_, Some(false)) => findings.problem(
            "the agent is not running: what ends is not started again",
            "start it: `systemctl start holdfast`, or `holdfast agent`; its log tells why it ended",
        ),
        (None, Some(true)) => findings.warning("the agent is only starting", "look again in a moment"),
        (Some(node), Some(true)) => {
            alive(&mut findings, node.published.pid);
            version(&mut findings, &node.published.object);
        }
    }
    let warnings = place.node.iter().flat_map(|node| &node.published.warnings);
    warnings.for_each(|warning| findings.warning(format!("it says: {warning}"), ""));
    orders(&mut findings, &place.runtime.orders());
    directory(&mut findings, place);
    processes(&mut findings, place);
    findings
}

/// Another supervisor on the same manifests.
fn others(findings: &mut Findings, place: &Place) {
    let ours = place.node.as_ref().filter(|node| node.agent_runs).map(|node| node.published.pid);
    match rival::find_but(&place.manifests, ours) {
        Some(rival) => findings.problem(
            format!("{rival} reads manifests from {} too: every pod runs twice", place.manifests.display()),
            "stop it, or give one of them another directory",
        ),
        None if nix::unistd::geteuid().is_root() => findings.ok("nobody else reads the manifests"),
        None => {
            findings.add(Level::Unseen, "whether another supervisor reads the manifests", "run this as root")
        }
    }
}

/// State letters of `/proc/<pid>/stat` in which a process does nothing.
fn alive(findings: &mut Findings, pid: u32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    match state {
        Some('T' | 't') => {
            findings.problem(
                format!("the agent (process {pid}) is stopped"),
                format!("let it go on: kill -CONT {pid}"),
            );
        }
        Some('D') => findings.warning(
            format!("the agent (process {pid}) waits for a disk"),
            "look at the kernel's messages (dmesg) if it stays so",
        ),
        Some(_) => findings.ok(format!("it runs as process {pid}")),
        None => findings.problem(
            format!("somebody holds the agent's lock, but process {pid} is not there"),
            "find the holder by `fuser` on the file lock in the runtime directory, and end it",
        ),
    }
}

/// Whether the agent is the program that this one is.
fn version(findings: &mut Findings, object: &Value) {
    let version = text(object, "/status/nodeInfo/kubeletVersion");
    let ours = format!("v{}+holdfast", env!("CARGO_PKG_VERSION"));
    if version != ours {
        let theirs = if version.is_empty() { "an older version" } else { version };
        findings.warning(
            format!("the agent is {theirs}, this program {ours}"),
            "restart the agent: no pod is restarted by that",
        );
    }
}

/// Orders that nobody takes.
fn orders(findings: &mut Findings, orders: &Path) {
    let entries = fs::read_dir(orders).into_iter().flatten().flatten();
    let old = entries.filter(|entry| {
        let modified = entry.metadata().and_then(|found| found.modified()).ok();
        let age = modified.and_then(|at| SystemTime::now().duration_since(at).ok());
        // The order to go down stays until it was carried out.
        entry.file_name() != "down" && age.is_some_and(|age| TAKEN < age)
    });
    for order in old {
        let what = format!("nobody takes the order {}", order.file_name().to_string_lossy());
        findings.problem(what, "restart the agent: it takes it as it starts");
    }
}

/// What the agent says of its manifests directory.
fn directory(findings: &mut Findings, place: &Place) {
    let verdict = read::file::<Value>(&place.runtime.manifests()).ok().flatten().unwrap_or_default();
    let problem = text(&verdict, "/problem");
    if !problem.is_empty() {
        let what = format!("{}: {problem}", text(&verdict, "/directory"));
        findings.problem(what, "what ran from it goes on; bring the directory back");
    }
    let wrong = verdict["files"].as_array().into_iter().flatten();
    let wrong =
        wrong.filter(|file| matches!(text(file, "/state"), "refused" | "partial" | "last-good")).count();
    if wrong != 0 {
        let what = format!("{wrong} manifest{} wrong", if wrong == 1 { " is" } else { "s are" });
        findings.problem(what, "`holdfast get manifests` tells where and what to do");
    }
}

/// Pod processes that do not answer, or are dead.
fn processes(findings: &mut Findings, place: &Place) {
    // Whoever may not read the directory was told so.
    let uids: Vec<String> =
        read::uids(&place.runtime).map(|uids| uids.into_iter().collect()).unwrap_or_default();
    let mut answering = 0;
    for some in uids.chunks(AT_ONCE) {
        let answers: Vec<(bool, Option<String>)> = std::thread::scope(|scope| {
            let each: Vec<_> = some.iter().map(|uid| scope.spawn(|| asked(place, uid))).collect();
            each.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        for (answers, matter) in answers {
            answering += usize::from(answers);
            if let Some(matter) = matter {
                findings.problem(matter, "if it stays so, restart the agent: it starts the pod anew");
            }
        }
    }
    if answering != 0 {
        findings.ok(format!("{answering} pod process{} answer", if answering == 1 { "" } else { "es" }));
    }
}

/// Whether a pod's process answers, and what is the matter with it. One that is dead is the agent's business where one runs.
fn asked(place: &Place, uid: &str) -> (bool, Option<String>) {
    let directory = place.runtime.pod(uid);
    if !lock::is_held(&directory.lock()).unwrap_or(false) {
        let started = directory.socket().exists();
        let alone = place.agent_runs == Some(false);
        return (
            false,
            (started && alone).then(|| format!("the process of pod {} is dead", named(place, uid))),
        );
    }
    let answer =
        Client::connect(&directory.socket()).and_then(|client| client.state(&Request::State, PATIENCE));
    match answer {
        Ok(_) => (true, None),
        Err(error) => {
            // It may have ended in order meanwhile.
            let there = lock::is_held(&directory.lock()).unwrap_or(false);
            (
                false,
                there.then(|| format!("the process of pod {} does not answer: {error:#}", named(place, uid))),
            )
        }
    }
}

fn named(place: &Place, uid: &str) -> String {
    let status = read::file::<Value>(&place.runtime.pod(uid).status()).ok().flatten().unwrap_or_default();
    match text(&status, "/object/metadata/name") {
        "" => uid.to_string(),
        name => format!("{}/{name}", text(&status, "/object/metadata/namespace")),
    }
}
