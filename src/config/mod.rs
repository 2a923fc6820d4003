//! Flags to one plain configuration.
//!
//! Invariant: every path in an [`Agent`] is absolute, without `.`, `..` and trailing slashes, so that two ways to write
//! one directory are one directory.

use std::path::{Component, Path, PathBuf};

#[cfg(test)]
mod tests;

/// Where k3s keeps its things, and so do we.
pub const DATA_DIR: &str = "/var/lib/rancher/k3s";
/// Where logs of pods are on every Kubernetes node.
pub const LOG_DIR: &str = "/var/log/pods";
/// State that dies with the boot.
pub const RUNTIME_DIR: &str = "/run/holdfast";

/// Everything an agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Images, volumes, the node's name: what outlives the power.
    pub data_dir: PathBuf,
    /// The directory with the manifests.
    pub pod_manifest_path: PathBuf,
    /// The node's name; the remembered one, or else the host's, where absent.
    pub node_name: Option<String>,
    /// Logs of containers; the `containers` links are in its neighbour.
    pub log_dir: PathBuf,
    /// The cgroup below which `kubepods` is, as a path in each hierarchy: `/` or `/edge`.
    pub cgroup_root: String,
    /// State that dies with the boot, published files, sockets.
    pub runtime_dir: PathBuf,
    /// Start although another supervisor reads the same manifests.
    pub force: bool,
    /// How much the agent tells in its log.
    pub log: log::LevelFilter,
}

/// A directory as given on the command line; the error is a sentence that follows the flag's name.
pub fn directory(path: &str) -> Result<PathBuf, String> {
    let given = Path::new(path);
    if !given.is_absolute() {
        return Err("must be an absolute path, one that begins with /".to_string());
    }
    if given.components().any(|component| component == Component::ParentDir) {
        return Err("must not contain ..".to_string());
    }
    // Components leave out doubled and trailing slashes and dots.
    Ok(given.components().collect())
}

/// A cgroup as given on the command line: a directory's rules.
pub fn cgroup(path: &str) -> Result<String, String> {
    let path = directory(path)?;
    path.into_os_string().into_string().map_err(|_| "must be UTF-8".to_string())
}

/// A node's name as given on the command line: lower-cased, and a DNS subdomain of at most 253 characters as Kubernetes
/// asks for.
pub fn node_name(name: &str) -> Result<String, String> {
    let name = name.to_lowercase();
    let label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("must consist of letters, digits, '-' and '.', and begin and end with a letter or digit"
            .to_string());
    }
    Ok(name)
}
