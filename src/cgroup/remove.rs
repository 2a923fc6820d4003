//! Removing groups.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::kill::until;
use super::{Hierarchy, gone, groups};

impl Hierarchy {
    /// Removes a group and all below it, in every hierarchy. One that does not exist is as good.
    ///
    /// A group whose last process has just died may be busy for a moment: tries until `limit`. Fails when a process is left
    /// in it; the rest is removed all the same.
    pub fn remove(&self, path: &str, limit: Duration) -> Result<()> {
        self.check_ours(path)?;
        self.remove_dirs(self.dirs(path).collect(), limit)
    }

    /// As [`Hierarchy::remove`], but tries once and waits for nothing.
    pub fn remove_now(&self, path: &str) -> Result<()> {
        self.remove(path, Duration::ZERO)
    }

    /// Removes what [`Hierarchy::ensure_tree`] made, once no pod is left; the `--cgroup-root` itself only if nothing else
    /// is in it.
    pub fn remove_tree(&self, limit: Duration) -> Result<()> {
        if !self.pods_present()?.is_empty() {
            bail!("remove cgroup {}: there are still pods in it", self.tree(""));
        }
        self.remove_dirs(self.dirs(&self.tree("")).collect(), limit)?;
        if !self.root.is_empty() {
            for dir in self.dirs(&self.root) {
                match fs::remove_dir(&dir) {
                    Err(error) if !gone(&error) && !in_use(&error) => return Err(failure(&[(dir, error)])),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn remove_dirs(&self, dirs: Vec<PathBuf>, limit: Duration) -> Result<()> {
        let mut left = Vec::new();
        until(Instant::now() + limit, || {
            left.clear();
            for dir in &dirs {
                for group in groups(dir)? {
                    match fs::remove_dir(&group) {
                        Err(error) if !gone(&error) => left.push((group, error)),
                        _ => {}
                    }
                }
            }
            // Anything but "busy" will not change by waiting.
            Ok(left.iter().all(|(_, error)| !in_use(error)))
        })?;
        if left.is_empty() { Ok(()) } else { Err(failure(&left)) }
    }
}

fn in_use(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::DirectoryNotEmpty)
}

fn failure(left: &[(PathBuf, Error)]) -> anyhow::Error {
    let each: Vec<_> = left.iter().map(|(dir, error)| format!("{}: {error}", dir.display())).collect();
    anyhow::anyhow!("remove cgroups: {}", each.join("; "))
}
