//! `get` and `events`: what there is, in kubectl's tables and formats, once or for as long as it changes.
//!
//! Everything listed is an object ([`kind`]); which ones, and where they are read from, is a [`query`]; [`rows`] makes
//! lines of them and [`format`] everything else. [`watch`] shows again what has changed.
//!
//! Invariant: what is found is printed even where something else is not: each name that nothing has is an error of its own.

mod format;
pub mod images;
mod kind;
mod query;
pub mod rows;
mod sort;
mod watch;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Serializer, Value};

use super::args::{EventType, Events, Get};
use super::field::{list, text};
use super::harmless;
use super::jsonpath::Template;
use super::select::{Fields, Labels};
use super::sink::Sink;
use super::table::Table;
use super::{now, print, read, say};
use crate::host::Runtime;
use format::Format;
pub use kind::Kind;
use kind::targets;
use query::{Found, Query};
use rows::Columns;

/// Lists what `get` asks for. The exit code tells whether everything that was named is there.
pub fn get(runtime: &Runtime, get: &Get) -> Result<ExitCode> {
    let request = Request::of_get(get)?;
    request.answer(runtime)
}

/// Lists what `events` asks for.
pub fn events(runtime: &Runtime, events: &Events) -> Result<ExitCode> {
    let request = Request::of_events(events)?;
    request.answer(runtime)
}

/// What is asked for, and how it is to be shown.
struct Request {
    queries: Vec<Query>,
    format: Format,
    columns: Columns,
    /// A path, as it was written and as it was read.
    sort: Option<(String, Template)>,
    headless: bool,
    watch: bool,
    ignore_missing: bool,
}

impl Request {
    fn of_get(get: &Get) -> Result<Request> {
        let targets = targets(&get.what, &get.names)?;
        let format = Format::parse(get.output.as_deref())?;
        let named = targets.iter().any(|target| !target.names.is_empty());
        let selected = get.selector.is_some() || get.field_selector.is_some();
        ensure!(!(named && selected), "name cannot be provided when a selector is specified");
        let queries = targets.into_iter().map(|target| {
            let kind = target.kind;
            if get.selector.is_some() && !kind.is_core() {
                bail!("{}s have no labels: leave out -l", kind.singular());
            }
            let namespace = (!get.all_namespaces).then(|| get.namespace.namespace.clone());
            let labels = Labels::parse(get.selector.as_deref().unwrap_or_default())?;
            let fields =
                Fields::parse(get.field_selector.as_deref().unwrap_or_default(), query::fields(kind))?;
            Ok(Query { target, namespace, labels, fields, ..Query::all(kind) })
        });
        let queries: Vec<Query> = queries.collect::<Result<_>>()?;
        ensure!(
            !get.watch || queries.len() == 1,
            "watch is only supported on one kind - {} kinds were asked for",
            queries.len()
        );
        let path = |text: &String| Template::parse_path(text).map(|path| (text.clone(), path));
        let sort = get.sort_by.as_ref().map(path).transpose()?;
        let columns = Columns {
            namespace: get.all_namespaces,
            wide: format == Format::Table { wide: true },
            kind: get.show_kind || queries.len() > 1 || get.what == "all",
            labels: get.label_columns.clone(),
            all_labels: get.show_labels,
            counted: false,
        };
        let (headless, watch) = (get.no_headers, get.watch);
        Ok(Request { queries, format, columns, sort, headless, watch, ignore_missing: get.ignore_not_found })
    }

    fn of_events(events: &Events) -> Result<Request> {
        let about = |text: &String| match text.split_once('/') {
            Some((kind, name)) if !name.is_empty() => Ok((Kind::parse(kind)?, name.to_string())),
            _ => bail!("--for {text:?}: write KIND/NAME, such as pod/NAME"),
        };
        let types = events.types.iter().map(|kind| match kind {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        });
        let query = Query {
            namespace: (!events.all_namespaces).then(|| events.namespace.namespace.clone()),
            about: events.about.as_ref().map(about).transpose()?,
            types: types.collect(),
            ..Query::all(Kind::Events)
        };
        let format = Format::parse(events.output.as_deref())?;
        let wide = format == Format::Table { wide: true };
        let columns =
            Columns { namespace: events.all_namespaces, wide, counted: !wide, ..Columns::default() };
        let (headless, watch) = (events.no_headers, events.watch);
        let queries = vec![query];
        Ok(Request { queries, format, columns, sort: None, headless, watch, ignore_missing: false })
    }

    fn answer(&self, runtime: &Runtime) -> Result<ExitCode> {
        let needs_agent = self.queries.iter().any(|query| query.target.kind != Kind::Images);
        let agent_runs =
            if needs_agent { read::agent_runs_or_say(runtime)? } else { read::agent_runs(runtime)? };
        if self.watch {
            return watch::watch(runtime, self, &self.queries[0]);
        }
        let mut all = Vec::new();
        for query in &self.queries {
            let mut found = query.find(runtime, agent_runs)?;
            self.sort(&mut found)?;
            all.push((query, found));
        }
        let missing: Vec<String> = all
            .iter()
            .flat_map(|(query, found)| found.missing.iter().map(|name| query.not_found(name)))
            .collect();
        let any = all.iter().any(|(_, found)| !found.objects.is_empty());
        match &self.format {
            Format::Table { .. } | Format::Columns(_) => self.tables(runtime, &all)?,
            Format::Name => all.iter().try_for_each(|(query, found)| {
                let kind = query.target.kind;
                print(&found.objects.iter().map(|object| format::name(kind, object)).collect::<String>())
            })?,
            // Of nothing but what is not there, there is no document.
            _ if !any && !missing.is_empty() => {}
            _ => self.document(runtime, all)?,
        }
        if self.ignore_missing {
            return Ok(ExitCode::SUCCESS);
        }
        match missing.split_last() {
            None => Ok(ExitCode::SUCCESS),
            Some((last, others)) => {
                others.iter().for_each(|missing| say(&format!("error: {missing}")));
                bail!("{last}")
            }
        }
    }

    fn sort(&self, found: &mut Found) -> Result<()> {
        match &self.sort {
            Some((written, path)) => sort::sort(&mut found.objects, path, written),
            None => Ok(()),
        }
    }

    /// The table that objects of a kind go into.
    fn table(&self, kind: Kind) -> Table {
        match &self.format {
            Format::Columns(columns) => format::custom_table(columns, self.headless),
            _ if self.headless => Table::headless(),
            _ => Table::new(rows::head(kind, &self.columns)),
        }
    }

    /// The lines of objects.
    fn lines(&self, table: &mut Table, kind: Kind, objects: &[&Value]) -> Result<String> {
        if let Format::Columns(columns) = &self.format {
            let rows = objects.iter().map(|object| format::custom(columns, object));
            return Ok(table.lines(&rows.collect::<Result<Vec<_>>>()?, |_, cell| cell.to_string()));
        }
        let now = now();
        let rows: Vec<_> =
            objects.iter().flat_map(|object| rows::rows(kind, object, &self.columns, now)).collect();
        let inks = rows::inks(&rows::head(kind, &self.columns));
        Ok(table.lines(&rows, |at, cell| inks.paint(at, cell)))
    }

    fn tables(&self, runtime: &Runtime, all: &[(&Query, Found)]) -> Result<()> {
        let mut tables = Vec::new();
        for (query, found) in all {
            let kind = query.target.kind;
            if kind == Kind::Manifests && found.missing.is_empty() {
                say_problem(&query::verdict(runtime)?);
            }
            let objects: Vec<&Value> = found.objects.iter().collect();
            let text = self.lines(&mut self.table(kind), kind, &objects)?;
            if !text.is_empty() {
                tables.push(text);
            } else if found.missing.is_empty() && all.len() == 1 {
                say(&self.nothing(runtime, query)?);
            }
            if kind == Kind::Pods {
                let verdict: Option<Value> = read::file(&runtime.manifests())?;
                old_versions(&verdict.unwrap_or_default(), &objects).iter().for_each(|line| say(line));
            }
        }
        if tables.is_empty() && all.len() > 1 && all.iter().all(|(_, found)| found.missing.is_empty()) {
            say("No resources found");
        }
        print(&tables.join("\n"))
    }

    /// What to say where there is nothing.
    fn nothing(&self, runtime: &Runtime, query: &Query) -> Result<String> {
        let selected = query.fields != Fields::default() || query.labels != Labels::default();
        Ok(match (query.target.kind, &query.namespace) {
            (Kind::Manifests, _) if !selected => {
                format!(
                    "No files found in {}.",
                    query::verdict(runtime)?["directory"].as_str().unwrap_or_default()
                )
            }
            (Kind::Images, _) if !selected => {
                format!(
                    "No images found; put an archive into {}",
                    images::data(runtime)?.archives().display()
                )
            }
            (Kind::Events, Some(namespace)) if self.columns.counted => {
                format!("No events found in {namespace} namespace.")
            }
            (Kind::Events, None) if self.columns.counted => "No events found.".to_string(),
            (kind, Some(namespace)) if kind.is_namespaced() => {
                format!("No resources found in {namespace} namespace.")
            }
            _ => "No resources found".to_string(),
        })
    }

    fn document(&self, runtime: &Runtime, all: Vec<(&Query, Found)>) -> Result<()> {
        let alone = all.len() == 1;
        let own = all.iter().map(|(query, _)| query.target.kind).find(|kind| !kind.is_core());
        if let (Some(kind), false) = (own, alone) {
            bail!("{}s are no objects of core/v1: ask for them alone", kind.singular());
        }
        let named = alone && all.iter().all(|(query, _)| query.target.names.len() == 1);
        let objects = all.into_iter().flat_map(|(_, found)| found.objects).collect();
        let document = query::document(runtime, own, objects, named)?;
        write(&self.format.document(&document)?)
    }
}

/// Says what is wrong with the manifests directory itself, where `verdict` tells of something.
pub fn say_problem(verdict: &Value) {
    let (directory, problem) = (text(verdict, "/directory"), text(verdict, "/problem"));
    if !problem.is_empty() {
        say(&format!("warning: {directory}: {problem}; what ran from it goes on: bring the directory back"));
    }
}

/// Of the pods listed, which are not what their file holds now: whoever looks only at pods must not miss it.
fn old_versions(verdict: &Value, pods: &[&Value]) -> Vec<String> {
    let listed = |pod: &Value| {
        pods.iter().any(|known| {
            let metadata = &known["metadata"];
            metadata["name"] == pod["name"] && metadata["namespace"] == pod["namespace"]
        })
    };
    let mut lines = Vec::new();
    for file in list(verdict, "/files") {
        for pod in list(file, "/pods").iter().filter(|pod| pod["last_good"] == true && listed(pod)) {
            let (file, pod) = (text(file, "/name"), text(pod, "/name"));
            lines.push(format!(
                "warning: {file} is wrong, and {pod} runs as the file was when it was last right: \
                 `holdfast describe manifest {file}` says why"
            ));
        }
    }
    lines
}

/// Writes what a template gave: to a terminal harmless, into a file or pipe as it is.
fn write(text: &str) -> Result<()> {
    let mut sink = Sink::stdout();
    sink.write(text.as_bytes())?;
    sink.finish().map(drop)
}

/// As kubectl indents it.
pub fn json(value: &Value) -> Result<String> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"    ")))?;
    out.push(b'\n');
    Ok(harmless::json(String::from_utf8(out)?))
}
