//! `describe image`: what it is called, what it runs, of what it is made, where it came from and who uses it.

use anyhow::Result;
use serde_json::Value;

use super::page::Page;
use crate::cli::age::long;
use crate::cli::field::{list, pairs, text};
use crate::cli::get::images::{data, size};
use crate::cli::image::{User, users};
use crate::host::Runtime;
use crate::image::{Details, Store};

/// A page for each image that is meant, all of them without `names`; those that are not here are `missing`.
pub fn pages(runtime: &Runtime, names: &[&str], missing: &mut Vec<String>) -> Result<Vec<String>> {
    let store = Store::read(&data(runtime)?.store())?;
    let users = users(runtime, &store)?;
    let mut ids = Vec::new();
    if names.is_empty() {
        ids.extend(store.list()?.into_iter().map(|image| image.id));
    }
    for name in names {
        match store.target(name)? {
            Some(target) => ids.push(target.image.id),
            None => missing.push(format!("image {name:?} not found; `holdfast image ls` lists all")),
        }
    }
    let mut pages = Vec::new();
    for id in ids {
        if let Some(details) = store.details(&id)? {
            let users: Vec<&User> = users.iter().filter(|user| user.id == id).collect();
            pages.push(image(&details, &users));
        }
    }
    Ok(pages)
}

/// The description of one image.
pub fn image(details: &Details, users: &[&User]) -> String {
    let image = &details.image;
    // What cannot be read is empty here, and for `image verify` to tell.
    let spec: Value = serde_json::from_slice(&details.configuration).unwrap_or_default();
    let mut page = Page::default();
    page.rows(0, "Names", image.names.clone());
    page.row(0, "ID", &image.id);
    page.rows(0, "Digests", image.digests.clone());
    page.row(0, "Platform", &format!("{}/{}", image.os, image.architecture));
    page.row(0, "Size", &format!("{} ({} bytes)", size(image.size), image.size));
    page.row_unless_empty(0, "Created", &long(text(&spec, "/created")));
    page.row_unless_empty(0, "Author", text(&spec, "/author"));
    run(&mut page, &spec);
    page.line(0, "Layers:");
    for (at, layer) in details.layers.iter().enumerate() {
        page.line(1, &format!("{}:", at + 1));
        page.row(2, "Digest", &layer.diff_id);
        page.row(2, "Size", &size(layer.size));
        page.row(2, "Path", &layer.path.display().to_string());
    }
    page.rows(0, "Archives", details.archives.iter().map(|path| path.display().to_string()).collect());
    let mut pods: Vec<String> = users.iter().map(|user| user.pod.clone()).collect();
    pods.dedup();
    page.rows(0, "Used By", pods);
    page.finish()
}

/// How it is run.
fn run(page: &mut Page, spec: &Value) {
    for (label, pointer) in [("Entrypoint", "/config/Entrypoint"), ("Cmd", "/config/Cmd")] {
        // As JSON, which tells where one argument ends.
        let words = list(spec, pointer);
        page.row(0, label, &if words.is_empty() { "<none>".into() } else { Value::from(words).to_string() });
    }
    let user = text(spec, "/config/User");
    page.row(0, "User", if user.is_empty() { "0" } else { user });
    let directory = text(spec, "/config/WorkingDir");
    page.row(0, "Working Dir", if directory.is_empty() { "/" } else { directory });
    page.row_unless_empty(0, "Stop Signal", text(spec, "/config/StopSignal"));
    let environment = list(spec, "/config/Env").iter().filter_map(Value::as_str);
    page.rows(0, "Environment", environment.map(str::to_string).collect());
    for (label, pointer) in [("Ports", "/config/ExposedPorts"), ("Volumes", "/config/Volumes")] {
        let names: Vec<String> = pairs(spec, pointer).into_iter().map(|(name, _)| name.to_string()).collect();
        if !names.is_empty() {
            page.rows(0, label, names);
        }
    }
    let labels = pairs(spec, "/config/Labels");
    page.rows(0, "Labels", labels.iter().map(|(key, value)| format!("{key}={value}")).collect());
}
