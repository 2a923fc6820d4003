//! cgroups as directories: enter, kill, count what was killed for memory, remove. v1 and v2 alike.
//!
//! A cgroup is named by its path below each hierarchy's root, `/kubepods/pod1/web-0`. With v1 it exists once in each
//! hierarchy that has a resource controller; named hierarchies, and the unified one of a hybrid layout, are left alone,
//! as the OCI runtime leaves them. Limits are not set here.
//!
//! Invariant: nothing here waits longer than [`FREEZE`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys::{clock, process};

/// How long a kill on v1 waits for the freezer, which makes it complete but is not needed for it.
const FREEZE: Duration = Duration::from_millis(20);

/// The controllers that containers are limited by; a v1 hierarchy with none of them is not ours.
const CONTROLLERS: &[&str] = &[
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "blkio",
];

/// The mounted cgroup hierarchies.
#[derive(Debug, Clone)]
pub struct Hierarchies {
    unified: bool,
    mounts: Vec<Hierarchy>,
}

#[derive(Debug, Clone)]
struct Hierarchy {
    root: PathBuf,
    /// v1 only.
    controllers: Vec<String>,
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }
}

impl Hierarchies {
    /// What is mounted in the caller's mount namespace.
    ///
    /// # Errors
    /// `NotFound` where there is neither a v1 controller nor v2.
    pub fn discover() -> io::Result<Hierarchies> {
        Hierarchies::parse(&fs::read_to_string("/proc/self/mountinfo")?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no cgroup hierarchy is mounted"))
    }

    fn parse(mountinfo: &str) -> Option<Hierarchies> {
        let mut legacy: Vec<Hierarchy> = Vec::new();
        let mut unified = None;
        for line in mountinfo.lines() {
            let (place, file_system) = line.split_once(" - ")?;
            let root = PathBuf::from(place.split(' ').nth(4)?);
            let mut words = file_system.split(' ');
            match words.next()? {
                "cgroup2" => unified = unified.or(Some(Hierarchy { root, controllers: Vec::new() })),
                "cgroup" => {
                    let options = words.nth(1)?.split(',');
                    let controllers = options.filter(|word| CONTROLLERS.contains(word));
                    let controllers: Vec<String> = controllers.map(str::to_owned).collect();
                    let seen = legacy.iter().any(|known| known.controllers == controllers);
                    if !controllers.is_empty() && !seen {
                        legacy.push(Hierarchy { root, controllers });
                    }
                }
                _ => {}
            }
        }
        if !legacy.is_empty() {
            return Some(Hierarchies { unified: false, mounts: legacy });
        }
        unified.map(|unified| Hierarchies { unified: true, mounts: vec![unified] })
    }

    /// The one hierarchy that processes are killed by, for cgroups that limit nothing.
    pub fn for_killing(&self) -> Hierarchies {
        let freezer = self.mounts.iter().find(|hierarchy| hierarchy.has("freezer")).or(self.mounts.first());
        Hierarchies { unified: self.unified, mounts: freezer.cloned().into_iter().collect() }
    }

    /// Whether this is v2 alone.
    pub fn unified(&self) -> bool {
        self.unified
    }

    /// Makes `cgroup` and what is missing above it, ready to be entered. With v2 the controllers are handed down to it.
    pub fn make(&self, cgroup: &str) -> io::Result<()> {
        self.make_below(cgroup, true)
    }

    /// Makes `cgroup` inside one that holds processes: with v2 without controllers of its own, since a cgroup with
    /// processes may not hand any down.
    pub fn make_inside(&self, cgroup: &str) -> io::Result<()> {
        self.make_below(cgroup, false)
    }

    fn make_below(&self, cgroup: &str, hand_down: bool) -> io::Result<()> {
        for hierarchy in &self.mounts {
            let mut at = hierarchy.root.clone();
            for name in names(cgroup)? {
                if self.unified && hand_down {
                    hand_down_controllers(&at);
                }
                let above = at.clone();
                at.push(name);
                match fs::create_dir(&at) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(named(&at, error));
                    }
                    _ => {}
                }
                if hierarchy.has("cpuset") {
                    inherit_cpuset(&above, &at)?;
                }
            }
        }
        Ok(())
    }

    /// Moves the calling process into `cgroup`, which exists.
    pub fn enter(&self, cgroup: &str) -> io::Result<()> {
        for at in self.directories(cgroup)? {
            let file = at.join("cgroup.procs");
            fs::write(&file, "0").map_err(|error| named(&file, error))?;
        }
        Ok(())
    }

    /// Whether no process is in `cgroup` or below. One that does not exist is empty.
    pub fn is_empty(&self, cgroup: &str) -> bool {
        let directories = self.directories(cgroup).unwrap_or_default();
        directories.iter().all(|at| walk(at).iter().all(|at| processes(at).is_empty()))
    }

    /// Sends SIGKILL to everything in `cgroup` and below. They are gone when [`Hierarchies::is_empty`] says so.
    pub fn kill(&self, cgroup: &str) -> io::Result<()> {
        if self.unified {
            let at = self.directories(cgroup)?;
            // cgroup.kill came with Linux 5.14.
            if at.iter().any(|at| fs::write(at.join("cgroup.kill"), "1").is_ok()) {
                return Ok(());
            }
        }
        let freezer = self.mounts.iter().find(|hierarchy| hierarchy.has("freezer"));
        let freezer = freezer.map(|hierarchy| directory(&hierarchy.root, cgroup)).transpose()?;
        if let Some(at) = &freezer {
            freeze(at);
        }
        let mut result = Ok(());
        for at in self.directories(cgroup)?.iter().flat_map(|at| walk(at)) {
            for pid in processes(&at) {
                result = result.and(process::signal(pid, libc::SIGKILL));
            }
        }
        if let Some(at) = &freezer {
            // Absent with its cgroup; and the frozen die as soon as they are thawed.
            let _ = fs::write(at.join("freezer.state"), "THAWED");
        }
        result
    }

    /// How many processes in `cgroup` and below the kernel killed for memory; 0 where it does not say.
    pub fn oom_kills(&self, cgroup: &str) -> u64 {
        let (file, memory) = if self.unified {
            ("memory.events", self.mounts.first())
        } else {
            ("memory.oom_control", self.mounts.iter().find(|hierarchy| hierarchy.has("memory")))
        };
        let Some(Ok(at)) = memory.map(|hierarchy| directory(&hierarchy.root, cgroup)) else { return 0 };
        // v2 counts what is below by itself.
        let places = if self.unified { vec![at] } else { walk(&at) };
        let count = |at: &PathBuf| {
            let text = fs::read_to_string(at.join(file)).unwrap_or_default();
            let value = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
            value.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        places.iter().map(count).sum()
    }

    /// Removes `cgroup` and everything below. One that does not exist is removed.
    ///
    /// # Errors
    /// `ResourceBusy` while a process is in it, or for a moment after; the other hierarchies are done nevertheless.
    pub fn remove(&self, cgroup: &str) -> io::Result<()> {
        let mut result = Ok(());
        for at in self.directories(cgroup)? {
            // Deepest first.
            for at in walk(&at).iter().rev() {
                match fs::remove_dir(at) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        result = result.and(Err(named(at, error)));
                    }
                    _ => {}
                }
            }
        }
        result
    }

    fn directories(&self, cgroup: &str) -> io::Result<Vec<PathBuf>> {
        self.mounts.iter().map(|hierarchy| directory(&hierarchy.root, cgroup)).collect()
    }
}

fn directory(root: &Path, cgroup: &str) -> io::Result<PathBuf> {
    Ok(names(cgroup)?.fold(root.to_owned(), |at, name| at.join(name)))
}

/// The components of a cgroup's path. The hierarchy's root itself is nobody's to enter, kill or remove.
fn names(cgroup: &str) -> io::Result<impl Iterator<Item = &str>> {
    let names = cgroup.split('/').filter(|name| !name.is_empty());
    let bad = names.clone().any(|name| name == "." || name == "..") || names.clone().next().is_none();
    if bad {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{cgroup:?} is no cgroup")));
    }
    Ok(names)
}

/// `at` and every cgroup below it, parents first; nothing where `at` does not exist.
fn walk(at: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![at.to_owned()];
    while let Some(at) = left.pop() {
        let Ok(entries) = fs::read_dir(&at) else { continue };
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        left.extend(folders.map(|entry| entry.path()));
        found.push(at);
    }
    found
}

fn processes(at: &Path) -> Vec<i32> {
    let text = fs::read_to_string(at.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// v2: what the cgroup has, its children get. A controller that cannot be handed down here (it may be missing, or held by
/// a v1 hierarchy) shows where a limit that needs it is set.
fn hand_down_controllers(at: &Path) {
    let text = fs::read_to_string(at.join("cgroup.controllers")).unwrap_or_default();
    for controller in text.split_whitespace() {
        let _ = fs::write(at.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// v1: a new cpuset is empty, and nobody may enter it like that (ENOSPC).
fn inherit_cpuset(above: &Path, at: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = at.join(file);
        if fs::read_to_string(&own).map_err(|error| named(&own, error))?.trim().is_empty() {
            let value = fs::read_to_string(above.join(file))?;
            fs::write(&own, value.trim()).map_err(|error| named(&own, error))?;
        }
    }
    Ok(())
}

/// v1: stops everything, so that no fork slips through a kill. Whoever waits for a dead disk cannot be stopped.
fn freeze(at: &Path) {
    let file = at.join("freezer.state");
    let until = clock::boottime() + FREEZE;
    while fs::write(&file, "FROZEN").is_ok() && clock::boottime() < until {
        if fs::read_to_string(&file).is_ok_and(|state| state.trim() == "FROZEN") {
            return;
        }
        std::thread::yield_now();
    }
}

fn named(at: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", at.display()))
}

#[cfg(test)]
mod tests;
