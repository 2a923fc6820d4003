//! `image`: images by hand, with the agent running or not.
//!
//! The store is shared with the agent under the store's own lock, and the agent sees a new index at once: there is nothing
//! to tell it.

mod bar;
mod import;
mod interrupt;
mod object;
mod pull;
mod remove;
mod repair;
mod save;
mod users;
mod verify;

#[cfg(test)]
mod tests;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use object::object;
pub use users::{User, of, users};

use super::args::{Image as Arguments, ImageInspect, ImageLs, ImageOutput, ImageVerb, InspectOutput};
use super::field::{list, text};
use super::get::rows::Columns;
use super::get::{self, Kind, images, json};
use super::yaml::yaml;
use super::{harmless, now, print, say, tabs};
use crate::host::{Data, Runtime};
use crate::image::{Store, Target};

/// Does what `image` asks for.
pub fn image(runtime: &Runtime, arguments: &Arguments) -> Result<ExitCode> {
    let data = data(runtime, arguments.data_dir.as_deref())?;
    match &arguments.verb {
        ImageVerb::Import(import) => return import::import(&data, import),
        ImageVerb::Pull(asked) => return pull::pull(&data, asked),
        ImageVerb::Ls(ls) => list_images(&Store::read(&data.store())?, ls)?,
        ImageVerb::Rm(rm) => return remove::remove(runtime, &data, rm),
        ImageVerb::Inspect(inspect) => return inspect_images(runtime, &data, inspect),
        ImageVerb::Save(asked) => return save::save(&data, asked),
        ImageVerb::Verify(verify) => return verify::verify(&data, verify),
    }
    Ok(ExitCode::SUCCESS)
}

/// The data directory: the one given, else that of the agent that runs or ran on `runtime`, else the default.
pub fn data(runtime: &Runtime, given: Option<&Path>) -> Result<Data> {
    given.map_or_else(|| images::data(runtime), |given| Ok(Data::new(given)))
}

/// The store, to write to: made where no agent has run yet.
fn open(data: &Data) -> Result<Store> {
    let archives = data.archives();
    // As the agent makes it, so that whoever comes first makes the same.
    let made = DirBuilder::new().recursive(true).mode(0o750).create(&archives);
    made.with_context(|| format!("make directory {}", archives.display()))?;
    Store::open(&data.store()).context("open the image store")
}

/// As `get images`.
fn list_images(store: &Store, ls: &ImageLs) -> Result<()> {
    let found = images::of(store)?;
    if ls.quiet {
        return print(&found.iter().map(|image| format!("{}\n", text(image, "/id"))).collect::<String>());
    }
    match ls.output {
        Some(ImageOutput::Json) => print(&json(&json!({ "images": found }))?),
        Some(ImageOutput::Yaml) => print(&yaml(&json!({ "images": found }))),
        Some(ImageOutput::Name) => print(&found.iter().map(names).collect::<String>()),
        _ if found.is_empty() => {
            say("No images found.");
            Ok(())
        }
        output => {
            let columns = Columns { wide: output == Some(ImageOutput::Wide), ..Columns::default() };
            let rows = found.iter().flat_map(|image| get::rows::rows(Kind::Images, image, &columns, now()));
            print(&table(std::iter::once(get::rows::head(Kind::Images, &columns)).chain(rows)))
        }
    }
}

/// What to type to mean an image, a line each.
fn names(image: &Value) -> String {
    let names = list(image, "/repoTags").iter().filter_map(Value::as_str);
    let names: String = names.map(|name| format!("{name}\n")).collect();
    if names.is_empty() { format!("{}\n", text(image, "/id")) } else { names }
}

/// A table of cells, made harmless, as kubectl lays them out.
fn table(rows: impl Iterator<Item = Vec<String>>) -> String {
    let cells = |row: Vec<String>| row.iter().map(|cell| harmless::line(cell)).collect::<Vec<_>>();
    let text: String = rows.map(|row| cells(row).join("\t") + "\n").collect();
    tabs::align(&text, 0, 3).lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// A list of one object for each image that is meant, as docker prints it, and an error for each that is not here.
fn inspect_images(runtime: &Runtime, data: &Data, inspect: &ImageInspect) -> Result<ExitCode> {
    let store = Store::read(&data.store())?;
    let users = users(runtime, &store)?;
    let (targets, missing) = targets(&store, &inspect.images)?;
    let mut objects = Vec::new();
    for target in targets {
        if let Some(details) = store.details(&target.image.id)? {
            objects.push(object(&details, &of(&users, &target)));
        }
    }
    let objects = Value::Array(objects);
    match inspect.output {
        InspectOutput::Json => print(&json(&objects)?)?,
        InspectOutput::Yaml => print(&yaml(&objects))?,
    }
    Ok(ExitCode::from(u8::from(missing)))
}

/// The images that are meant, and whether some are not here, which is told.
fn targets(store: &Store, names: &[String]) -> Result<(Vec<Target>, bool)> {
    let mut found = Vec::new();
    let mut missing = false;
    for name in names {
        match store.target(name) {
            Ok(Some(target)) => found.push(target),
            Ok(None) => {
                say(&format!("error: image {name:?} not found; `holdfast image ls` lists all"));
                missing = true;
            }
            Err(error) => {
                say(&format!("error: {error:#}"));
                missing = true;
            }
        }
    }
    Ok((found, missing))
}
