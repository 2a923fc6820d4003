//! `describe`: kubectl's layout, and at its end what only a node knows: the manifest, the logs, what happens next.
//!
//! Each kind has a file, which writes on a [`page::Page`]; this one finds what is meant.
//!
//! Invariant: what is written of an object is a function of the object, published files and a time: it asks nobody.

mod container;
mod environment;
mod events;
mod image;
mod manifest;
mod node;
mod page;
mod pod;
mod probe;
mod source;
mod volume;

use anyhow::{Result, bail};
use serde_json::Value;

use super::args::{Describe, DescribeKind, Target};
use super::read::{self, Found, Selection};
use super::select::Labels;
use super::{now, print, say};
use crate::host::Runtime;

#[cfg(test)]
mod tests;

/// Describes what `describe` asks for.
///
/// Fails where something that was named is not there, after what is there was described.
pub fn describe(runtime: &Runtime, describe: &Describe) -> Result<()> {
    let targets = describe.targets()?;
    let mut missing = Vec::new();
    let mut pages = Vec::new();
    for kind in [DescribeKind::Pod, DescribeKind::Manifest, DescribeKind::Image, DescribeKind::Node] {
        let targets: Vec<&Target> = targets.iter().filter(|target| target.kind == kind).collect();
        if targets.is_empty() {
            continue;
        }
        let names: Vec<&str> = targets.iter().filter_map(|target| target.name.as_deref()).collect();
        pages.extend(match kind {
            DescribeKind::Pod => pods(runtime, describe, &names, &mut missing)?,
            DescribeKind::Manifest => manifest::pages(runtime, &names, &mut missing)?,
            DescribeKind::Image => image::pages(runtime, &names, &mut missing)?,
            DescribeKind::Node => node::pages(runtime, &names, &mut missing, describe.show_events, now())?,
        });
    }
    print(&pages.join("\n\n"))?;
    match missing.pop() {
        None => Ok(()),
        Some(last) => {
            missing.iter().for_each(|missing| say(&format!("error: {missing}")));
            bail!(last)
        }
    }
}

/// A page for each pod that is meant: of all namespaces or one, by label, by name or by the beginning of it.
fn pods(
    runtime: &Runtime,
    describe: &Describe,
    names: &[&str],
    missing: &mut Vec<String>,
) -> Result<Vec<String>> {
    let namespace = (!describe.all_namespaces).then(|| describe.namespace.namespace.clone());
    let mut found = read::pods(runtime, &Selection { namespace: namespace.clone(), name: None })?;
    if let Some(selector) = &describe.selector {
        let selector = Labels::parse(selector)?;
        found.retain(|found| selector.holds(&found.pod.object));
    }
    let place = match &namespace {
        Some(namespace) => format!(" in namespace {namespace:?}"),
        None => String::new(),
    };
    if !names.is_empty() {
        found = named(found, names, |name| {
            missing.push(format!("pod {name:?} not found{place}; `holdfast get pods -A` lists all"));
        });
    } else if found.is_empty() {
        match &namespace {
            Some(namespace) => say(&format!("No resources found in {namespace} namespace.")),
            None => say("No resources found"),
        }
    }
    let verdict = manifest::verdict(runtime)?.unwrap_or(Value::Null);
    let show =
        |found| pod::page(&pod::Told { found, verdict: &verdict, now: now(), events: describe.show_events });
    Ok(found.iter().map(show).collect())
}

/// Those of `found` that are called so, in the order of `names`. As kubectl does, a name that nobody has is the beginning
/// of one; one that nobody has then is `missing`.
fn named(mut found: Vec<Found>, names: &[&str], mut missing: impl FnMut(&str)) -> Vec<Found> {
    let mut chosen = Vec::new();
    for name in names {
        let exact: fn(&Found, &str) -> bool = |found, name| found.is_called(name);
        let begins: fn(&Found, &str) -> bool = |found, name| found.name().starts_with(name);
        let known = |is: fn(&Found, &str) -> bool, found: &[Found]| found.iter().any(|found| is(found, name));
        let is = match [exact, begins].into_iter().find(|is| known(*is, &found)) {
            Some(is) => is,
            None if known(begins, &chosen) => continue,
            None => {
                missing(name);
                continue;
            }
        };
        chosen.extend(found.extract_if(.., |found| is(found, name)));
    }
    chosen
}
