//! Pods that nobody knows any more, whose logs still lie there: after a reboot, before an agent runs again.
//!
//! Their directories tell all that is known of them: `<namespace>_<name>_<uid>/<container>/`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::files::Directory;
use crate::api::published;
use crate::cli::field::text;
use crate::cli::read::{self, Found};
use crate::cli::say;
use crate::config;
use crate::host::Runtime;

/// The pod called `name` that wrote last, which is told; `None` where none of that name left logs.
pub fn pod(runtime: &Runtime, log_dir: Option<&Path>, namespace: &str, name: &str) -> Result<Option<Found>> {
    let node: Value = read::file(&runtime.node())?.unwrap_or_default();
    let published = Some(text(&node, "/log_dir")).filter(|path| !path.is_empty());
    let root = log_dir.or(published.map(Path::new)).map_or_else(|| config::LOG_DIR.into(), Path::to_path_buf);
    let Some(directory) = Directory::open(&root)? else { return Ok(None) };
    let mut latest: Option<(SystemTime, Found)> = None;
    for folder in directory.folders()? {
        let found = found(&directory, &root, &folder, text(&node, "/name"))?;
        let meant = found.filter(|(_, found)| found.namespace() == namespace && found.is_called(name));
        if let Some((at, found)) = meant
            && latest.as_ref().is_none_or(|(latest, _)| *latest < at)
        {
            latest = Some((at, found));
        }
    }
    let Some((at, found)) = latest else { return Ok(None) };
    let at = Timestamp::try_from(at).context("read the time of the log")?;
    say(&format!(
        "pod {:?} is gone; it wrote this until {at:.0}, into {}",
        found.name(),
        found.pod.log_directory
    ));
    Ok(Some(found))
}

/// What the directory `folder` tells of a pod, and when it was written to; `None` where it is no pod's, or has no logs.
fn found(
    directory: &Directory,
    root: &Path,
    folder: &str,
    node: &str,
) -> Result<Option<(SystemTime, Found)>> {
    let parts: Vec<&str> = folder.split('_').collect();
    let [namespace, name, uid] = parts[..] else { return Ok(None) };
    let Some(pod) = directory.enter(folder)? else { return Ok(None) };
    let mut containers = Vec::new();
    let mut latest = None;
    for container in pod.folders()? {
        let Some(inside) = pod.enter(&container)? else { continue };
        let mut logs = inside.logs()?;
        logs.sort();
        let Some(last) = logs.pop() else { continue };
        let Some(written) = inside.modified(&last.name)? else { continue };
        latest = latest.max(Some(written));
        containers.push(json!({"name": container}));
    }
    containers.sort_by_key(|container| text(container, "/name").to_string());
    let Some(latest) = latest else { return Ok(None) };
    let object = json!({
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"nodeName": node, "containers": containers},
    });
    let log_directory: PathBuf = root.join(folder);
    let pod = published::Pod {
        version: published::VERSION,
        object,
        events: Vec::new(),
        manifest: String::new(),
        log_directory: log_directory.display().to_string(),
        next: None,
    };
    Ok(Some((latest, Found { uid: uid.to_string(), pod })))
}
