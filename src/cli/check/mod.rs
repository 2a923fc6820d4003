//! `check`: the agent's own verdict on manifests, with no agent, no node and no rights.
//!
//! What is judged is [`crate::manifest`], the same code on the same listing; here are only the reading of what was named
//! and the printing. Files that are named one by one are judged as if they lay in one directory, so that two that ask for
//! one pod are told of each other.
//!
//! Invariant: exit code 2 beats 1: what could not be judged may be right, so nobody may take the rest for all.

mod given;

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::args::{Check, CheckOutput};
use super::colour::Ink;
use super::harmless::line;
use super::{print, say};
use crate::api::published;
use crate::manifest::verdict::{FileState, FileVerdict, Problem, Severity};
use given::Given;

/// Stands for a node whose name nobody told.
const ANY_NODE: &str = "node";

/// What became of one file.
struct Judged {
    /// As it was named, or found in a directory that was.
    path: String,
    verdict: FileVerdict,
}

/// Judges what is named; see [`Check`] for the exit code.
pub fn check(check: &Check) -> Result<ExitCode> {
    // Values of Secrets come into its memory.
    nix::sys::prctl::set_dumpable(false).context("set not dumpable")?;
    let node = check.node_name.as_deref().unwrap_or(ANY_NODE);
    let mut given = Given::new(node);
    for path in &check.paths {
        given.add(path);
    }
    let (mut judged, unjudged) = given.judge();
    for file in &mut judged {
        let told = |problem: &Problem| {
            // The placeholder is no name that a manifest could name wrongly.
            let of_node = problem.path == "spec.nodeName" && problem.severity == Severity::Warning;
            (check.node_name.is_some() || !of_node) && (!check.quiet || problem.severity == Severity::Error)
        };
        file.verdict.problems.retain(told);
    }
    unjudged.iter().for_each(|why| say(why));
    match check.output {
        Some(CheckOutput::Json) => print(&(serde_json::to_string_pretty(&json(node, &judged))? + "\n"))?,
        None => {
            print(&lines(&judged, check.quiet))?;
            if !check.quiet {
                say(&summary(&judged));
            }
        }
    }
    Ok(ExitCode::from(code(&judged, !unjudged.is_empty())))
}

fn code(judged: &[Judged], unjudged: bool) -> u8 {
    match unjudged {
        true => 2,
        false => u8::from(judged.iter().any(|file| is_refused(&file.verdict))),
    }
}

fn is_refused(verdict: &FileVerdict) -> bool {
    matches!(verdict.state, FileState::Refused | FileState::Partial)
}

/// A line for each thing to tell: `manifests/web.yaml:3:7: error: spec.containers[0].image: must not be empty; name one`.
fn lines(judged: &[Judged], quiet: bool) -> String {
    let mut out = String::new();
    for file in judged {
        let path = line(&file.path);
        for problem in &file.verdict.problems {
            out.push_str(&told(&path, problem));
        }
        if let Some(reason) = file.verdict.ignored.as_ref().filter(|_| !quiet) {
            out.push_str(&format!("{path}: {}: not read: {}\n", Ink::Faint.paint("note"), line(reason)));
        }
    }
    out
}

fn told(path: &str, problem: &Problem) -> String {
    let ink = match problem.severity {
        Severity::Error => Ink::Bad,
        Severity::Warning => Ink::Warning,
    };
    let (at, severity) = (format!("{}:{}", problem.line, problem.column), problem.severity.to_string());
    // The severity is the first word after the place in the verdict's own wording.
    let text = line(&problem.to_string());
    let rest = text.strip_prefix(&format!("{at}: {severity}: ")).unwrap_or(&text);
    format!("{path}:{at}: {}: {rest}\n", ink.paint(&severity))
}

fn summary(judged: &[Judged]) -> String {
    let files =
        |wanted: &dyn Fn(&FileVerdict) -> bool| judged.iter().filter(|file| wanted(&file.verdict)).count();
    let count = |severity: Severity| {
        let all = judged.iter().flat_map(|file| &file.verdict.problems);
        all.filter(|problem| problem.severity == severity).count()
    };
    let pods: usize = judged.iter().map(|file| file.verdict.pods.len()).sum();
    let ignored = files(&|verdict| verdict.state == FileState::Ignored);
    let mut out = format!(
        "{} judged: {} accepted, {} refused",
        number(judged.len() - ignored, "file"),
        files(&|verdict| verdict.state == FileState::Accepted),
        files(&is_refused)
    );
    if 0 < ignored {
        out.push_str(&format!(", {ignored} not read"));
    }
    let documents: usize = judged.iter().map(|file| file.verdict.documents.len()).sum();
    if 0 < documents {
        out.push_str(&format!(", with {documents} of ConfigMap and Secret"));
    }
    out.push_str(&format!(
        "; {} would run; {}, {}",
        number(pods, "pod"),
        number(count(Severity::Error), "error"),
        number(count(Severity::Warning), "warning")
    ));
    out
}

fn number(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// `{version, nodeName, files: [{path, …}]}`, each file with the fields that `manifests.json` has of it.
fn json(node: &str, judged: &[Judged]) -> Value {
    let files = judged.iter().map(|file| {
        let mut value = json!(file.verdict);
        value["path"] = json!(file.path);
        value
    });
    json!({"version": published::VERSION, "nodeName": node, "files": files.collect::<Vec<_>>()})
}
