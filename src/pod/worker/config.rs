//! The bundle's `config.json`, completed with what only the mounted root file system and this node can tell.
//!
//! It is kept as JSON rather than as types: what the agent wrote and we do not name here stays as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use oci_spec::runtime::LinuxDeviceCgroup;
use serde_json::{Map, Value, json};

use super::user::Identity;
use super::users::Users;
use crate::pod::program;
use crate::sys::atomic;
use crate::sys::beneath::Root;

/// Where a process's badness for the out-of-memory killer is read and set.
const OOM_SCORE_ADJ: &str = "/proc/self/oom_score_adj";

/// Writes the user and what follows from it into the bundle's process, and makes its working directory.
pub fn adapt(bundle: &Path, root: &Path, identity: &Identity, users: Option<&Users>) -> Result<()> {
    let mut config = read(bundle)?;
    let mounts = config.get("mounts").and_then(Value::as_array).cloned().unwrap_or_default();
    let process = process_of(&mut config)?;
    set_user(process, identity);
    set_unless_there(process, "HOME", &identity.home);
    set_oom_score(process)?;
    let directory = process.get("cwd").and_then(Value::as_str).unwrap_or("/").to_owned();
    make_working_directory(root, &mounts, Path::new(&directory), users)?;
    write(bundle, &config)
}

/// The groups that the bundle gives its process.
pub fn groups(bundle: &Path) -> Result<Vec<u32>> {
    let mut config = read(bundle)?;
    let groups = config.pointer_mut("/process/user/additionalGids").map(Value::take);
    serde_json::from_value(groups.unwrap_or(json!([]))).context("understand the groups")
}

/// The bundle's seccomp program, where it says that there is one.
pub fn filter(bundle: &Path) -> Result<Option<Vec<u8>>> {
    let config = read(bundle)?;
    let has_one = config.pointer("/linux/seccomp").is_some_and(|seccomp| !seccomp.is_null());
    has_one.then(|| program::filter(bundle)).transpose()
}

/// The label of SELinux that the bundle gives its process.
pub fn label(bundle: &Path) -> Result<Option<String>> {
    let label = read(bundle)?.pointer_mut("/process/selinuxLabel").map(Value::take);
    label.map(serde_json::from_value).transpose().context("understand the label of SELinux")
}

/// The bundle's rules of devices; none where it has none.
pub fn device_rules(bundle: &Path) -> Result<Vec<LinuxDeviceCgroup>> {
    let mut config = read(bundle)?;
    let rules = config.pointer_mut("/linux/resources/devices").map(Value::take);
    serde_json::from_value(rules.unwrap_or(json!([]))).context("understand the rules of devices")
}

/// Writes it.
pub fn write(bundle: &Path, config: &Value) -> Result<()> {
    let path = bundle.join("config.json");
    atomic::replace(&path, &serde_json::to_vec(config)?, 0o600)
        .with_context(|| format!("write {}", path.display()))
}

/// Reads it.
pub fn read(bundle: &Path) -> Result<Value> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display()))
}

fn process_of(config: &mut Value) -> Result<&mut Map<String, Value>> {
    config.get_mut("process").and_then(Value::as_object_mut).context("config.json has no process")
}

/// The primary group is listed, too: an empty list would leave the groups of whoever calls libcontainer.
fn set_user(process: &mut Map<String, Value>, identity: &Identity) {
    let user = process.entry("user").or_insert_with(|| json!({}));
    let wanted = user.get("additionalGids").and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted = wanted.iter().filter_map(Value::as_u64);
    let mut groups: Vec<u64> = Vec::new();
    for group in
        [u64::from(identity.gid)].into_iter().chain(wanted).chain(identity.groups.iter().map(|g| (*g).into()))
    {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    if let Some(user) = user.as_object_mut() {
        user.insert("uid".to_owned(), json!(identity.uid));
        user.insert("gid".to_owned(), json!(identity.gid));
        user.insert("additionalGids".to_owned(), json!(groups));
    }
}

/// Adds a variable that neither image nor manifest names.
fn set_unless_there(process: &mut Map<String, Value>, name: &str, value: &str) {
    let environment = process.entry("env").or_insert_with(|| json!([]));
    if let Some(list) = environment.as_array_mut() {
        let named = |entry: &Value| {
            entry
                .as_str()
                .and_then(|entry| entry.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with('='))
        };
        if !list.iter().any(named) {
            list.push(json!(format!("{name}={value}")));
        }
    }
}

/// A node without CAP_SYS_RESOURCE may not lower the score. That fails no container: it keeps the score it has.
fn set_oom_score(process: &mut Map<String, Value>) -> Result<()> {
    let Some(wanted) = process.get("oomScoreAdj").and_then(Value::as_i64) else { return Ok(()) };
    match fs::write(OOM_SCORE_ADJ, wanted.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let have = fs::read_to_string(OOM_SCORE_ADJ).context("read oom_score_adj")?;
            let have: i64 = have.trim().parse().context("parse oom_score_adj")?;
            eprintln!("worker: oom_score_adj {wanted} is not allowed here, it stays {have}");
            process.insert("oomScoreAdj".to_owned(), json!(have));
            Ok(())
        }
        other => other.with_context(|| format!("set oom_score_adj to {wanted}")),
    }
}

/// Makes the working directory where it is missing, as every runtime but libcontainer does: in the root, or in the
/// volume that will be mounted over it.
fn make_working_directory(
    root: &Path,
    mounts: &[Value],
    directory: &Path,
    users: Option<&Users>,
) -> Result<()> {
    let (root, path) = below(root, mounts, directory);
    if !root.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    let make = || -> Result<()> {
        Root::open(&root)?.make_folders(&path)?;
        Ok(())
    };
    let made = match users {
        Some(users) => users.as_their_root(make),
        None => make(),
    };
    made.with_context(|| format!("make the working directory {}", directory.display()))
}

/// The directory that `path` will be in once all is mounted, and the path in it. Nothing for what is not a bind mount:
/// it does not exist yet.
fn below(root: &Path, mounts: &[Value], path: &Path) -> (PathBuf, PathBuf) {
    let mut best = (root.to_owned(), path.to_owned(), 0);
    for mount in mounts {
        let text = |field: &str| mount.get(field).and_then(Value::as_str).unwrap_or("");
        let destination = Path::new(text("destination"));
        let length = destination.components().count();
        let Ok(rest) = path.strip_prefix(destination) else { continue };
        if length >= best.2 {
            let bind = text("type") == "bind";
            let source = if bind { PathBuf::from(text("source")) } else { PathBuf::new() };
            best = (source, rest.to_owned(), length);
        }
    }
    (best.0, best.1)
}

#[cfg(test)]
mod tests;
