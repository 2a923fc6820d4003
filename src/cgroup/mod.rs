//! The pods' cgroups: where they are, their limits, killing and removing what is in them; cgroup v1 and v2.
//!
//! The kubelet's tree: `<root>/kubepods/{burstable,besteffort}/pod<uid>`, guaranteed pods directly in `kubepods`. Below a
//! pod's group are `holdfast` for its pod process, one group a run of a container, in it `exec-<n>` for each command, and
//! beside it `<run>.worker` while it is started. A path here is relative to each hierarchy's root, as libcontainer wants
//! it: `/kubepods/besteffort/pod1/web-0`.
//!
//! In the hybrid layout the v1 controllers are used and the empty v2 hierarchy beside them is left alone, as libcontainer
//! does. What takes a limit blocks until then: that is for the agent. The pod process, which must go on meanwhile, has
//! [`Hierarchy::kill_now`] and [`Hierarchy::remove_now`], and tries again later.
//!
//! Invariant: nothing outside `<root>/kubepods` is killed or removed, and no process that is not ours is moved.
//! Invariant: a limit that the kernel does not take is a warning, never a failed pod.

mod detect;
mod devices;
mod kill;
mod limits;
mod remove;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use devices::device_programs;
pub use limits::{Asked, NodeLimits, PodLimits, Policy};
pub use usage::Usage;

use crate::spec::{Pod, Qos};

/// Controllers that pods are given on cgroup v2.
const WANTED: [&str; 5] = ["cpu", "memory", "pids", "io", "hugetlb"];

/// The group of a pod's own process, below the pod's.
const LEAF: &str = "holdfast";

/// The node's cgroups, and our part of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Hierarchy {
    /// Group that holds `kubepods`; empty for the root of all.
    root: String,
    /// Whether there is one unified hierarchy (v2).
    unified: bool,
    /// The mounted hierarchies: one on v2, on v1 one for each controller or pair of them.
    mounts: Vec<Mount>,
}

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq)]
struct Mount {
    path: PathBuf,
    /// v1: what is bound to it. Empty on v2, where each group says so itself.
    controllers: Vec<String>,
}

impl Mount {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

impl Hierarchy {
    /// Finds out what is mounted. `root` is `--cgroup-root`: an absolute path, made by [`Hierarchy::ensure_tree`].
    ///
    /// Fails where nothing is mounted at `/sys/fs/cgroup`, or where something is missing without which libcontainer starts
    /// no container.
    pub fn detect(root: &str) -> Result<Hierarchy> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
        detect::parse(&mountinfo, root)
    }

    /// [`Hierarchy::detect`] for who knows no more than the path of a pod or of something in it.
    ///
    /// Fails also where that path is not below a `kubepods`.
    pub fn around(path: &str) -> Result<Hierarchy> {
        let (root, _) = path
            .rsplit_once("/kubepods/")
            .with_context(|| format!("cgroup {path:?} is not below a kubepods"))?;
        Hierarchy::detect(root)
    }

    /// The one hierarchy that processes are killed by, for groups that limit nothing.
    pub fn for_killing(&self) -> Hierarchy {
        let freezer = self.mounts.iter().find(|mount| mount.has("freezer")).or(self.mounts.first());
        Hierarchy { mounts: freezer.cloned().into_iter().collect(), ..self.clone() }
    }

    /// Whether there is one unified hierarchy (v2).
    pub fn unified(&self) -> bool {
        self.unified
    }

    /// Makes `kubepods`, `burstable` and `besteffort`; on v2 hands the controllers down to them. Gives warnings.
    ///
    /// Fails where a group on the way holds processes on v2: a group with processes may not hand controllers down. (Only
    /// the true root may, which no container ever sees.)
    pub fn ensure_tree(&self) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for path in [self.tree("burstable"), self.tree("besteffort")] {
            self.make(&path)?;
            warnings.extend(self.hand_down_to(&path)?);
            warnings.extend(self.hand_down(&path)?);
        }
        warnings.extend(self.write_shares(&self.tree("besteffort"), limits::LEAST_SHARES));
        warnings.sort();
        warnings.dedup();
        Ok(warnings)
    }

    /// The directory of `kubepods`: one node, one agent, one such directory.
    pub fn directory(&self) -> PathBuf {
        self.dirs(&format!("{}/kubepods", self.root)).next().unwrap_or_default()
    }

    /// Where `pod` belongs.
    pub fn pod_path(&self, pod: &Pod) -> String {
        let name = format!("pod{}", pod.uid);
        match pod.qos {
            Qos::Guaranteed => self.tree(&name),
            Qos::Burstable => self.tree(&format!("burstable/{name}")),
            Qos::BestEffort => self.tree(&format!("besteffort/{name}")),
        }
    }

    /// Makes a pod's group, its limits, and the group of its pod process in it. Gives warnings.
    pub fn create_pod(&self, path: &str, limits: &PodLimits) -> Result<Vec<String>> {
        self.create(&leaf(path))?;
        let mut warnings = self.hand_down(path)?;
        warnings.extend(self.apply(path, limits));
        Ok(warnings)
    }

    /// Makes a group, and those above it that are missing. One that exists is as good. v2: no controllers are handed down
    /// to it, so that it may be in a group that holds processes.
    pub fn create(&self, path: &str) -> Result<()> {
        self.check_ours(path)?;
        self.make(path)
    }

    /// Moves the calling process into a group.
    pub fn enter(&self, path: &str) -> Result<()> {
        self.check_ours(path)?;
        for dir in self.dirs(path) {
            let file = dir.join("cgroup.procs");
            // "0" is the writer itself.
            write(&file, "0").with_context(|| format!("enter cgroup {}", file.display()))?;
        }
        Ok(())
    }

    /// Moves the calling process into a group of its own, called `name`, in the group `path`, which exists: so that it can be
    /// killed by that. Where there are several hierarchies, in that alone by which processes are killed: in the others
    /// it would be no more than work for the kernel, and the process goes into `path` itself.
    pub fn enter_below(&self, path: &str, name: &str) -> Result<()> {
        let killing = self.for_killing();
        let own = format!("{path}/{name}");
        self.check_ours(&own)?;
        for dir in killing.dirs(&own) {
            // One that is there was made by the container, where it can; what is in it dies with it.
            match fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.with_context(|| format!("make cgroup {}", dir.display()))?,
            }
        }
        killing.enter(&own)?;
        let mounts = self.mounts.iter().filter(|mount| !killing.mounts.contains(mount)).cloned().collect();
        Hierarchy { mounts, ..self.clone() }.enter(path)
    }

    /// The pods that have a group, by UID, with its path: to find those that nobody knows any more.
    pub fn pods_present(&self) -> Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        for above in ["", "/burstable", "/besteffort"] {
            let above = format!("{}/kubepods{above}", self.root);
            for dir in self.dirs(&above) {
                for name in children(&dir)? {
                    if let Some(uid) = name.strip_prefix("pod") {
                        found.insert(uid.to_owned(), format!("{above}/{name}"));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Whether no process is in the group or below. A group that does not exist is empty.
    pub fn is_empty(&self, path: &str) -> Result<bool> {
        Ok(self.pids(path)?.is_empty())
    }

    /// How often the kernel killed something in the group or below for memory; 0 where it does not count.
    pub fn oom_kills(&self, path: &str) -> Result<u64> {
        let Some(dir) = self.dir_of("memory", path) else { return Ok(0) };
        if self.unified {
            // Counts what is below, too.
            return count(&dir.join("memory.events"), "oom_kill");
        }
        groups(&dir)?.iter().map(|group| count(&group.join("memory.oom_control"), "oom_kill")).sum()
    }

    // --- paths ---------------------------------------------------------------------------------------------------

    fn tree(&self, name: &str) -> String {
        format!("{}/kubepods/{name}", self.root)
    }

    /// A path in every hierarchy.
    fn dirs(&self, path: &str) -> impl Iterator<Item = PathBuf> {
        let below = path.trim_start_matches('/').to_owned();
        self.mounts.iter().map(move |mount| mount.path.join(&below))
    }

    /// A path where `controller` is.
    fn dir_of(&self, controller: &str, path: &str) -> Option<PathBuf> {
        let has = |mount: &&Mount| self.unified || mount.has(controller);
        self.mounts.iter().find(has).map(|mount| mount.path.join(path.trim_start_matches('/')))
    }

    fn check_ours(&self, path: &str) -> Result<()> {
        let ours = path.strip_prefix(&self.tree(""));
        let fine = ours.is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
        if !fine {
            bail!("cgroup {path:?} is not one of ours: it is not below {:?}", self.tree(""));
        }
        Ok(())
    }

    // --- making --------------------------------------------------------------------------------------------------

    /// Makes `path` and what is missing above it, in every hierarchy.
    fn make(&self, path: &str) -> Result<()> {
        for mount in &self.mounts {
            let cpuset = mount.has("cpuset");
            let mut dir = mount.path.clone();
            for part in path.split('/').filter(|part| !part.is_empty()) {
                let above = dir.clone();
                dir.push(part);
                match fs::create_dir(&dir) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                        return Err(error).with_context(|| format!("make cgroup {}", dir.display()));
                    }
                    _ if cpuset => inherit_cpuset(&above, &dir)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// v2: hands controllers down from the root to `path`, `path` itself not included.
    fn hand_down_to(&self, path: &str) -> Result<Vec<String>> {
        let mut warnings = self.hand_down("/")?;
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        for end in 1..parts.len() {
            warnings.extend(self.hand_down(&parts[..end].join("/"))?);
        }
        Ok(warnings)
    }

    /// v2: lets the groups in `path` have the controllers that it has.
    fn hand_down(&self, path: &str) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for dir in self.dirs(path).filter(|_| self.unified) {
            let words = |file: &str| -> Result<BTreeSet<String>> {
                let file = dir.join(file);
                let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
                Ok(text.split_whitespace().map(str::to_owned).collect())
            };
            let (able, given) = (words("cgroup.controllers")?, words("cgroup.subtree_control")?);
            for name in WANTED.iter().filter(|name| able.contains(**name) && !given.contains(**name)) {
                let Err(error) = write(&dir.join("cgroup.subtree_control"), &format!("+{name}")) else {
                    continue;
                };
                if error.kind() == ErrorKind::ResourceBusy {
                    bail!(
                        "cgroup {} holds processes, so that it cannot hand controller {name} down to pods; \
                         name an empty group by --cgroup-root, or move these processes into a group below it",
                        dir.display()
                    );
                }
                warnings.push(format!("cgroup {}: hand down controller {name}: {error}", dir.display()));
            }
        }
        Ok(warnings)
    }
}

/// The group of one run of a container, in its pod's.
pub fn container_path(pod: &str, container: &str, attempt: u32) -> String {
    format!("{pod}/{container}-{attempt}")
}

/// The group of the worker that starts what will be in `path`: only there to be killed by.
pub fn worker_path(path: &str) -> String {
    format!("{path}.worker")
}

/// The group of a pod's own process, in its pod's.
pub fn leaf(pod: &str) -> String {
    format!("{pod}/{LEAF}")
}

/// v1: a new group has no CPUs and no memory nodes, and takes no process until it has.
fn inherit_cpuset(above: &Path, dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (above.join(file), dir.join(file));
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
        if read(&to)?.trim().is_empty() {
            write(&to, read(&from)?.trim()).with_context(|| format!("write {}", to.display()))?;
        }
    }
    Ok(())
}

/// The number beside `key` in a file of keys and numbers; 0 where either is absent.
fn count(file: &Path, key: &str) -> Result<u64> {
    let text = match fs::read_to_string(file) {
        Err(error) if gone(&error) => return Ok(0),
        text => text.with_context(|| format!("read {}", file.display()))?,
    };
    let value = text.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == key);
    value.map_or(Ok(0), |(_, value)| value.trim().parse().with_context(|| format!("read {}", file.display())))
}

/// Names of the groups in a group; none where it does not exist.
fn children(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if gone(&error) => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", dir.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", dir.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// A group and all below it, the deepest first; none where it does not exist.
fn groups(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = if dir.is_dir() { vec![dir.to_owned()] } else { Vec::new() };
    let mut next = 0;
    while let Some(group) = found.get(next).cloned() {
        found.extend(children(&group)?.iter().map(|name| group.join(name)));
        next += 1;
    }
    found.reverse();
    Ok(found)
}

/// Writes a file of a group. Not by `fs::write`, which would make one that this kernel lacks, and be told EACCES for that.
fn write(file: &Path, value: &str) -> io::Result<()> {
    fs::File::options().write(true).open(file)?.write_all(value.as_bytes())
}

/// Whether a group is not there, or is just going (ENODEV).
fn gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV)
}
