//! The demo's place on disk, and how it is removed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::mkdtemp;

use crate::cgroup::Hierarchy;
use crate::host::{Data, Runtime};

/// A cgroup whose last process has just died cannot be removed for a moment.
const PATIENCE: Duration = Duration::from_secs(1);

/// Everything the demo makes is in here, but for its cgroup.
pub struct Place {
    root: PathBuf,
    /// This program.
    pub program: PathBuf,
    /// `--data-dir`.
    pub data_dir: PathBuf,
    /// `--runtime-dir`.
    pub runtime: Runtime,
    /// `--cgroup-root`: named after the directory, so that two demos do not meet.
    pub cgroup: String,
}

impl Place {
    /// A new directory below /tmp, with what must be there before the agent is.
    pub fn make() -> Result<Place> {
        let program = std::env::current_exe().context("find this program")?;
        let root = mkdtemp("/tmp/holdfast-demo-XXXXXX").context("make a directory below /tmp")?;
        let name = root.file_name().unwrap_or_default().to_string_lossy();
        let cgroup = format!("/{name}");
        let (data_dir, runtime) = (root.join("data"), Runtime::new(root.join("run")));
        let place = Place { root, program, data_dir, runtime, cgroup };
        let data = Data::new(&place.data_dir);
        for directory in
            [data.manifests(), data.archives(), place.runtime.root().to_path_buf(), place.log_dir()]
        {
            fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        }
        Ok(place)
    }

    /// `--log-dir`.
    pub fn log_dir(&self) -> PathBuf {
        self.root.join("log/pods")
    }

    /// What the agent says.
    pub fn agent_log(&self) -> PathBuf {
        self.root.join("agent.log")
    }

    /// The manifests directory.
    pub fn manifests(&self) -> PathBuf {
        Data::new(&self.data_dir).manifests()
    }

    /// The sample manifest.
    pub fn manifest(&self) -> PathBuf {
        self.manifests().join("hello.yaml")
    }

    /// The sample image.
    pub fn archive(&self) -> PathBuf {
        Data::new(&self.data_dir).archives().join("hello.tar")
    }

    /// Writes the sample manifest.
    pub fn write_manifest(&self, text: &str) -> Result<()> {
        let path = self.manifest();
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Removes everything; what is left, a sentence each.
    pub fn remove(&self) -> Vec<String> {
        let mut left = Vec::new();
        let cgroups = Hierarchy::detect(&self.cgroup);
        if let Err(error) = cgroups.and_then(|cgroups| cgroups.remove_tree(PATIENCE)) {
            left.push(format!("cgroup {} is left: {error:#}", self.cgroup));
        }
        let mounts = mounts_below(&self.root);
        if !mounts.is_empty() {
            // Removing files through a mount would remove somebody else's.
            let mounts: Vec<_> = mounts.iter().map(|mount| mount.display().to_string()).collect();
            left.push(format!("{} is left: still mounted: {}", self.root.display(), mounts.join(", ")));
        } else if let Err(error) = fs::remove_dir_all(&self.root) {
            left.push(format!("{} is left: {error}", self.root.display()));
        }
        left
    }
}

/// What is mounted at or below `root` in our mount namespace. Nothing in its path needs an escape.
fn mounts_below(root: &Path) -> Vec<PathBuf> {
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points =
        mounts.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points
        .map(|point| PathBuf::from(OsStr::from_bytes(point)))
        .filter(|point| point.starts_with(root))
        .collect()
}
