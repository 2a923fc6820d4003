//! `doctor`: looks for whatever keeps pods from running well, and says what to do about each.
//!
//! It works before an agent ever ran, without an agent, and without root as far as it may look; what it may not look at it
//! names.
//!
//! Invariant: it changes nothing.
//! Invariant: exit code 0 where all is well, 1 with warnings, 2 with problems.

mod agent;
mod cgroups;
mod directories;
mod disk;
mod kernel;
mod leftovers;
mod limits;
mod mounts;
mod network;
mod store;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::args::{Agent, Doctor, Report};
use super::colour::Ink;
use super::node::Node;
use super::trust::Trust;
use super::{harmless, node, now, print, read, report, start};
use crate::host::{Data, Runtime};

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It may not be looked at.
    Unseen,
    /// Pods run, but somebody should look.
    Warning,
    /// Pods do not run, or not for long, or others can do what they must not.
    Problem,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Unseen => "unseen",
            Level::Warning => "warning",
            Level::Problem => "problem",
        }
    }
}

/// What was found in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub level: Level,
    /// Which part of the node.
    pub area: &'static str,
    /// What was seen.
    pub what: String,
    /// What to do; empty where nothing is.
    pub fix: String,
}

/// What was found in one part of the node.
pub struct Findings {
    area: &'static str,
    found: Vec<Finding>,
}

impl Findings {
    fn new(area: &'static str) -> Findings {
        Findings { area, found: Vec::new() }
    }

    fn add(&mut self, level: Level, what: impl Into<String>, fix: impl Into<String>) {
        self.found.push(Finding { level, area: self.area, what: what.into(), fix: fix.into() });
    }

    fn ok(&mut self, what: impl Into<String>) {
        self.add(Level::Ok, what, "");
    }

    fn warning(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Level::Warning, what, fix);
    }

    fn problem(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Level::Problem, what, fix);
    }

    /// What could not be looked at: for want of root, or for another reason, which is a warning.
    fn unseen(&mut self, what: &Path, error: &io::Error) {
        match error.kind() {
            ErrorKind::PermissionDenied => {
                self.add(
                    Level::Unseen,
                    format!("{} may not be looked at", what.display()),
                    "run this as root",
                );
            }
            _ => self.warning(format!("{} cannot be looked at: {error}", what.display()), ""),
        }
    }
}

/// Where the node is.
pub struct Place {
    runtime: Runtime,
    data: Data,
    data_dir: PathBuf,
    manifests: PathBuf,
    log_dir: PathBuf,
    cgroup_root: String,
    /// Whether pods are to have a network.
    connects_pods: bool,
    /// What an agent published since the boot.
    node: Option<Node>,
    /// Whether an agent runs; `None` where that may not be looked at.
    agent_runs: Option<bool>,
}

impl Place {
    fn new(runtime: &Runtime, asked: &Doctor) -> Result<Place> {
        let node = node::node(runtime).ok().flatten();
        let published = node.as_ref().map(|node| &node.published);
        let flags = Agent {
            config: asked.config.clone(),
            data_dir: asked.data_dir.clone(),
            pod_manifest_path: asked.pod_manifest_path.clone(),
            log_dir: asked.log_dir.clone(),
            cgroup_root: asked.cgroup_root.clone(),
            ..Agent::default()
        };
        // With a file it is all about the agent to be, else about the one that is or was.
        let flags = match published {
            Some(node) if asked.config.is_none() => {
                let here = |asked: Option<PathBuf>, there: &str| asked.or_else(|| Some(there.into()));
                Agent {
                    data_dir: here(flags.data_dir, &node.data_dir),
                    pod_manifest_path: here(flags.pod_manifest_path, &node.manifests_dir),
                    log_dir: here(flags.log_dir, &node.log_dir),
                    cgroup_root: flags.cgroup_root.or_else(|| Some(node.cgroup_root.clone())),
                    ..flags
                }
            }
            _ => flags,
        };
        let agent = start::would_be(flags, runtime)?;
        Ok(Place {
            runtime: runtime.clone(),
            manifests: agent.pod_manifest_path,
            data: Data::new(&agent.data_dir),
            data_dir: agent.data_dir,
            log_dir: agent.log_dir,
            cgroup_root: agent.cgroup_root,
            connects_pods: agent.pod_ranges.is_some(),
            node,
            agent_runs: read::agent_runs(runtime).ok(),
        })
    }
}

/// Looks at everything, and tells.
pub fn doctor(runtime: &Runtime, asked: &Doctor) -> Result<ExitCode> {
    let place = Place::new(runtime, asked)?;
    let checks: [fn(&Place) -> Findings; 10] = [
        kernel::check,
        cgroups::check,
        limits::check,
        network::check,
        disk::check,
        clock,
        directories::check,
        store::check,
        agent::check,
        leftovers::check,
    ];
    let found: Vec<Finding> = checks.iter().flat_map(|check| check(&place).found).collect();
    match asked.output {
        Some(Report::Json) => print(&report::json(&value(&found))?)?,
        None => print(&page(&found, asked.verbose))?,
    }
    Ok(ExitCode::from(match worst(&found) {
        Level::Ok | Level::Unseen => 0,
        Level::Warning => 1,
        Level::Problem => 2,
    }))
}

fn worst(found: &[Finding]) -> Level {
    found.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

fn clock(place: &Place) -> Findings {
    let mut findings = Findings::new("clock");
    let trust = Trust::at(now(), &[place.data.node_name(), PathBuf::from("/proc/self/exe")]);
    let fix = "pods run all the same; for right times start a time service, such as chrony or systemd-timesyncd, or set \
               the clock by `date`";
    match trust {
        Trust::Synchronised => findings.ok("the clock is synchronised"),
        Trust::Free | Trust::Wrong { .. } => {
            findings.warning(format!("the clock is {}", trust.sentence()), fix)
        }
    }
    findings
}

fn value(found: &[Finding]) -> Value {
    let finding =
        |it: &Finding| json!({"level": it.level.word(), "area": it.area, "what": it.what, "fix": it.fix});
    json!({
        "version": 1,
        "verdict": worst(found).word(),
        "findings": found.iter().map(finding).collect::<Vec<_>>(),
    })
}

/// A line for each finding, what to do below it; of each part that is well only that, unless `verbose`.
fn page(found: &[Finding], verbose: bool) -> String {
    let mut out = String::new();
    for group in found.chunk_by(|one, other| one.area == other.area) {
        let bad: Vec<&Finding> = group.iter().filter(|it| verbose || it.level != Level::Ok).collect();
        if let ([], Some(first)) = (bad.as_slice(), group.first()) {
            let what: Vec<&str> = group.iter().map(|it| it.what.as_str()).collect();
            out += &line(Level::Ok, first.area, &shortened(&what));
        }
        for finding in bad {
            out += &line(finding.level, finding.area, &finding.what);
            if !finding.fix.is_empty() {
                out += &format!("{:21} -> {}\n", "", harmless::line(&finding.fix));
            }
        }
    }
    out + &summary(found)
}

fn line(level: Level, area: &str, what: &str) -> String {
    let ink = match level {
        Level::Ok => None,
        Level::Unseen => Some(Ink::Faint),
        Level::Warning => Some(Ink::Warning),
        Level::Problem => Some(Ink::Bad),
    };
    let word = format!("{:<8}", level.word());
    let word = ink.map_or_else(|| word.clone(), |ink| ink.paint(&word));
    format!("{word} {area:<12} {}\n", harmless::line(what))
}

/// The first two things, and how many more.
fn shortened(what: &[&str]) -> String {
    match what {
        [] => String::new(),
        [one] => (*one).to_string(),
        [one, two] => format!("{one}; {two}"),
        [one, two, rest @ ..] => format!("{one}; {two}; and {} more", rest.len()),
    }
}

fn summary(found: &[Finding]) -> String {
    let count = |level: Level| found.iter().filter(|finding| finding.level == level).count();
    let counted = |level: Level, one: &str, many: &str| match count(level) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let parts = [
        counted(Level::Problem, "problem", "problems"),
        counted(Level::Warning, "warning", "warnings"),
        counted(Level::Unseen, "thing could not be looked at", "things could not be looked at"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "all is well\n".to_string() } else { format!("{}\n", parts.join(", ")) }
}
