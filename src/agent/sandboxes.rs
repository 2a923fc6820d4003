//! What each pod was given at its birth, by its `sandbox.json`, whoever the agent was.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use super::world::World;
use crate::protocol::Sandbox;
use crate::spec::Pod;

/// Those of all pods whose directories are there.
pub fn all(world: &World) -> Result<Vec<Sandbox>> {
    let pods = world.runtime.pods();
    let mut all = Vec::new();
    for entry in fs::read_dir(&pods).context("look for other pods")? {
        let uid = entry.context("look for other pods")?.file_name();
        all.extend(read(&pods.join(&uid).join("sandbox.json"))?);
    }
    Ok(all)
}

/// That of `pod`, if it has begun.
pub fn of(world: &World, pod: &Pod) -> Result<Option<Sandbox>> {
    read(&world.runtime.pod(&pod.uid.0).sandbox())
}

fn read(path: &Path) -> Result<Option<Sandbox>> {
    let text = match fs::read(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        other => other.with_context(|| format!("read {}", path.display()))?,
    };
    serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display())).map(Some)
}
