//! `image rm`.
//!
//! A name is a name: of several, only the one that was typed goes, as in docker and podman. (The CRI takes all names with
//! one, as the kubelet's collection of garbage wants it.) By its id or digest an image goes with all its names.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::users::{User, of, users};
use super::{open, targets};
use crate::cli::args::ImageRm;
use crate::cli::{print, read, say};
use crate::host::{Data, Runtime};
use crate::image::{Removed, Store, Target};

/// Removes each that is meant; one that cannot be removed keeps no other.
pub fn remove(runtime: &Runtime, data: &Data, rm: &ImageRm) -> Result<ExitCode> {
    let store = open(data)?;
    let mut failed = false;
    for name in &rm.images {
        // One after the other: what the first removes, the next one's name must not mean any more.
        let (targets, missing) = targets(&store, std::slice::from_ref(name))?;
        failed |= missing;
        for target in targets {
            let users = users(runtime, &store)?;
            if let Err(error) = one(runtime, data, &store, &target, &of(&users, &target), rm.force) {
                say(&format!("error: {error:#}"));
                failed = true;
            }
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

fn one(
    runtime: &Runtime,
    data: &Data,
    store: &Store,
    target: &Target,
    users: &[&User],
    force: bool,
) -> Result<()> {
    let shown = target.name.as_ref().unwrap_or(&target.image.id);
    let pods = pods(users);
    if !users.is_empty() && !force {
        bail!(
            "image {shown} is used by {pods}: remove the manifest first; or say --force, which leaves alone what runs, but \
             not its next start"
        );
    }
    let removed = store.remove(&target.image.id, target.name.as_deref())?;
    match &removed {
        Removed::Nothing => say(&format!("image {shown} went away meanwhile")),
        Removed::Name => print(&format!("untagged {shown}\n"))?,
        Removed::Image { archives, runs } => {
            let names = match target.image.names.is_empty() {
                true => String::new(),
                false => format!("{} ", target.image.names.join(", ")),
            };
            print(&format!("removed {names}{}\n", target.image.id))?;
            if *runs {
                say(
                    "a container runs on layers of it: they stay until it ends, and go with the next import or removal",
                );
            }
            warn_of_return(runtime, data, archives)?;
        }
    }
    if !users.is_empty() {
        say(&format!("warning: {pods} cannot start a container by that name any more"));
    }
    Ok(())
}

/// Each pod once, as a part of a sentence.
fn pods(users: &[&User]) -> String {
    let mut pods: Vec<&str> = users.iter().map(|user| user.pod.as_str()).collect();
    pods.dedup();
    let word = if pods.len() == 1 { "pod" } else { "pods" };
    format!("{word} {}", pods.join(", "))
}

/// An archive in the agent's directory brings the image back.
fn warn_of_return(runtime: &Runtime, data: &Data, archives: &[PathBuf]) -> Result<()> {
    let directory = data.archives();
    let within = |path: &&PathBuf| path.parent() == Some(directory.as_path());
    for archive in archives.iter().filter(within) {
        let when = match read::agent_runs(runtime)? {
            true => format!("when a file comes into {}, and at the agent's next start", directory.display()),
            false => "at its next start".to_string(),
        };
        say(&format!("warning: the agent brings it back {when}: {}", prevent(archive)));
    }
    Ok(())
}

fn prevent(archive: &Path) -> String {
    format!("to prevent that, remove {}", archive.display())
}
