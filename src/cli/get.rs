//! `get pods` and `get manifests`.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Serializer, Value, json};

use super::args::{Get, Kind, Output};
use super::field::{list, text};
use super::read::{self, Found, Selection};
use super::table::{self, Columns};
use super::yaml::yaml;
use super::{now, print, say};
use crate::host::Runtime;

/// Lists what `get` asks for.
pub fn get(runtime: &Runtime, get: &Get) -> Result<()> {
    match get.kind {
        Kind::Pods => pods(runtime, get),
        Kind::Manifests => manifests(runtime, get),
    }
}

fn pods(runtime: &Runtime, get: &Get) -> Result<()> {
    let namespace = (!get.all_namespaces).then(|| get.namespace.namespace.clone());
    let found = read::pods(runtime, &Selection { namespace: namespace.clone(), name: get.name.clone() })?;
    match get.output {
        Some(Output::Json) => print(&json(&objects(found, get.name.is_some()))?),
        Some(Output::Yaml) => print(&yaml(&objects(found, get.name.is_some()))),
        _ if found.is_empty() => {
            match namespace {
                Some(namespace) => say(&format!("No resources found in {namespace} namespace.")),
                None => say("No resources found"),
            }
            Ok(())
        }
        output => {
            let columns = Columns { namespace: get.all_namespaces, wide: output == Some(Output::Wide) };
            print(&table::pods(&found, columns, now()))
        }
    }
}

/// One object if one was asked for by name, else a `v1` List.
fn objects(found: Vec<Found>, named: bool) -> Value {
    let mut objects: Vec<Value> = found.into_iter().map(|found| found.pod.object).collect();
    objects.iter_mut().for_each(Value::sort_all_objects);
    match (named, objects.len()) {
        (true, 1) => objects.remove(0),
        _ => {
            json!({"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}})
        }
    }
}

fn manifests(runtime: &Runtime, get: &Get) -> Result<()> {
    read::agent_runs_or_say(runtime)?;
    let path = runtime.manifests();
    let verdict: Value = read::file(&path)?.with_context(|| format!("there is no {}", path.display()))?;
    let files = list(&verdict, "/files");
    if let Some(name) = &get.name {
        ensure!(files.iter().any(|file| text(file, "/name") == name), "manifest {name:?} not found");
    }
    match get.output {
        Some(Output::Json) => print(&json(&verdict)?),
        Some(Output::Yaml) => print(&yaml(&verdict)),
        _ => {
            let directory = text(&verdict, "/directory");
            match text(&verdict, "/problem") {
                "" => {}
                problem => say(&format!("warning: {directory}: {problem}")),
            }
            if files.is_empty() {
                say(&format!("No files found in {directory}."));
                return Ok(());
            }
            print(&table::manifests(&verdict, get.name.as_deref()))
        }
    }
}

/// As kubectl indents it.
pub fn json(value: &Value) -> Result<String> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"    ")))?;
    out.push(b'\n');
    // JSON escapes C0 alone: what else steers a terminal is escaped here, where it can only be inside a string.
    let text = String::from_utf8(out)?;
    Ok(text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\u{7f}'..='\u{9f}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
        out
    }))
}
