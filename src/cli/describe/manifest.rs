//! `describe manifest`: what became of a file, what is wrong with it and where, and what to do.

use anyhow::{Context, Result};
use serde_json::Value;

use super::page::Page;
use super::source::Source;
use crate::cli::colour::Ink;
use crate::cli::field::{list, number, text};
use crate::cli::{get, read, say};
use crate::host::Runtime;

/// What the agent published of the manifests directory; `None` where it published nothing yet.
pub fn verdict(runtime: &Runtime) -> Result<Option<Value>> {
    read::file(&runtime.manifests())
}

/// A page for each file that is meant: by name, by path, or by the beginning of a name.
pub fn pages(runtime: &Runtime, names: &[&str], missing: &mut Vec<String>) -> Result<Vec<String>> {
    read::agent_runs_or_say(runtime)?;
    let path = runtime.manifests();
    let verdict = verdict(runtime)?.with_context(|| format!("there is no {}", path.display()))?;
    let directory = text(&verdict, "/directory");
    get::say_problem(&verdict);
    let files = list(&verdict, "/files");
    if files.is_empty() && names.is_empty() {
        say(&format!("No files found in {directory}."));
    }
    let mut chosen: Vec<&Value> = Vec::new();
    if names.is_empty() {
        chosen.extend(files);
    }
    for name in names {
        let exact = |file: &&Value| text(file, "/name") == *name;
        let begins = |file: &&Value| text(file, "/name").starts_with(name);
        let meant: Vec<&Value> = match files.iter().find(exact) {
            Some(file) => vec![file],
            None => files.iter().filter(begins).collect(),
        };
        if meant.is_empty() {
            missing.push(format!("manifest {name:?} not found; `holdfast get manifests` lists all"));
        }
        let is_new = |file: &&Value| !chosen.iter().any(|known| std::ptr::eq(*known, *file));
        let new: Vec<&Value> = meant.into_iter().filter(is_new).collect();
        chosen.extend(new);
    }
    Ok(chosen.into_iter().map(|file| page(directory, file)).collect())
}

/// The description of one file of `directory`.
pub fn page(directory: &str, file: &Value) -> String {
    let mut page = Page::default();
    let (name, state) = (text(file, "/name"), text(file, "/state"));
    page.row(0, "Name", name);
    page.row(0, "Path", &format!("{directory}/{name}"));
    page.painted_row(0, "State", ink_of(state), &capital(state));
    page.row_unless_empty(0, "Meaning", meaning(state));
    page.row_unless_empty(0, "Ignored", text(file, "/ignored"));
    let pods = list(file, "/pods").iter().map(|pod| {
        let old = if pod["last_good"] == true { " (as it was when the file was last right)" } else { "" };
        format!("{}/{}{old}", text(pod, "/namespace"), text(pod, "/name"))
    });
    page.rows(0, "Pods", pods.collect());
    let problems = list(file, "/problems");
    match problems.is_empty() {
        true => page.row(0, "Problems", "<none>"),
        false => page.line(0, "Problems:"),
    }
    let source =
        if problems.is_empty() { Source::Hidden(String::new()) } else { Source::read(directory, name) };
    for problem in problems {
        one(&mut page, problem, &source);
    }
    if let (Source::Hidden(why), false) = (&source, problems.is_empty()) {
        page.painted_line(1, Ink::Faint, &format!("the lines themselves are not shown: {why}"));
    }
    page.row(0, "Next", next(state));
    page.finish()
}

/// The problem, its line with a mark below, and what to do.
fn one(page: &mut Page, problem: &Value, source: &Source) {
    let ink = if text(problem, "/severity") == "error" { Ink::Bad } else { Ink::Warning };
    page.painted_line(1, ink, &words(problem));
    let (line, column) = (number(problem, "/line"), number(problem, "/column"));
    if let Some((shown, mark)) = source.line(line, column) {
        let margin = line.to_string();
        page.line(2, &format!("{margin} | {shown}"));
        page.line(2, &format!("{} | {}^", " ".repeat(margin.len()), " ".repeat(mark)));
    }
    let fix = text(problem, "/fix");
    if !fix.is_empty() {
        page.line(2, &format!("do: {fix}"));
    }
}

/// `3:7: error: spec.containers[1].image: must not be empty`
fn words(problem: &Value) -> String {
    let mut out = format!("{}:{}: ", number(problem, "/line"), number(problem, "/column"));
    for part in [text(problem, "/severity"), text(problem, "/path")] {
        if !part.is_empty() {
            out.push_str(part);
            out.push_str(": ");
        }
    }
    out + text(problem, "/message")
}

/// Below the row `Manifest` of the pod `uid`: what is the matter with the file that it came from, if anything is.
pub fn below_its_pod(page: &mut Page, verdict: &Value, manifest: &str, uid: &str) {
    if verdict.is_null() {
        return;
    }
    let directory = text(verdict, "/directory");
    let name = manifest.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
    let file = list(verdict, "/files").iter().find(|file| Some(text(file, "/name")) == name);
    let mut say = |ink: Ink, words: &str| {
        page.painted_row_below(0, ink, words);
    };
    let Some(file) = file else {
        return say(Ink::Warning, "the file is gone, and so the pod ends");
    };
    let own = list(file, "/pods").iter().find(|pod| text(pod, "/uid") == uid);
    match own {
        Some(pod) if pod["last_good"] == true => {
            say(Ink::Bad, "the file is wrong; the pod goes on as it was when the file was last right");
        }
        Some(_) => {}
        None => say(Ink::Warning, "the file no longer asks for this pod, and so it ends"),
    }
    for problem in list(file, "/problems") {
        let ink = if text(problem, "/severity") == "error" { Ink::Bad } else { Ink::Warning };
        let fix = match text(problem, "/fix") {
            "" => String::new(),
            fix => format!("; {fix}"),
        };
        say(ink, &format!("{}{fix}", words(problem)));
    }
}

/// `last-good` as one word: `LastGood`.
fn capital(state: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    state.split('-').map(upper).collect()
}

fn ink_of(state: &str) -> Option<Ink> {
    match state {
        "refused" | "last-good" | "partial" => Some(Ink::Bad),
        "ignored" => Some(Ink::Faint),
        _ => None,
    }
}

fn meaning(state: &str) -> &'static str {
    match state {
        "accepted" => "all that it holds is accepted",
        "partial" => "some of what it holds is accepted, some is refused",
        "last-good" => "it is wrong, and what runs is what it held when it was last right",
        "refused" => "it is wrong, and nothing runs from it",
        "ignored" => "it is not read",
        _ => "",
    }
}

fn next(state: &str) -> &'static str {
    match state {
        "accepted" => "nothing: change the file to change its pods, remove it to end them",
        "partial" => "mend what is wrong; what is accepted runs meanwhile",
        "last-good" => "mend the file, and its pods follow it; remove it, and they end",
        "refused" => "mend the file; it is read again when it changes",
        "ignored" => "rename it, if it is meant to be read",
        _ => "<unknown>",
    }
}
