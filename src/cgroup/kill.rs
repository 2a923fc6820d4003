//! Ending everything in a group.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::{Hierarchy, gone, groups, write};

/// How long a freezer is waited for: a task that sleeps in the kernel freezes when it wakes, and is killed all the same.
const FREEZE: Duration = Duration::from_millis(100);
/// The same for [`Hierarchy::kill_now`].
const FREEZE_NOW: Duration = Duration::from_millis(20);
/// How long the killed have until the next round.
const ROUND: Duration = Duration::from_millis(500);

impl Hierarchy {
    /// Kills every process in the group and below, and waits until none is left.
    ///
    /// v2 has `cgroup.kill` for it. Elsewhere the group is frozen first, so that nothing forks away under our hands, and
    /// thawed after, since on v1 only the thawed die. Fails when something is left after `limit`, such as a process that
    /// waits for a dead disk, and when the caller itself is in the group.
    pub fn kill(&self, path: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            self.kill_once(path, FREEZE)?;
            let round = deadline.min(Instant::now() + ROUND);
            if until(round, || self.is_empty(path))? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let left = self.pids(path)?;
                bail!("kill cgroup {path}: processes {left:?} are still there after {limit:?}");
            }
        }
    }

    /// As [`Hierarchy::kill`], but once, and waits for nobody's death: they are gone when [`Hierarchy::is_empty`] says so.
    ///
    /// Takes 20 ms at the most, where a freezer is needed and does not get hold of them all.
    pub fn kill_now(&self, path: &str) -> Result<()> {
        self.kill_once(path, FREEZE_NOW)
    }

    fn kill_once(&self, path: &str, freeze: Duration) -> Result<()> {
        self.check_ours(path)?;
        let pids = self.pids(path)?;
        if pids.contains(&getpid().as_raw()) {
            bail!("kill cgroup {path}: the caller itself is in it");
        }
        if pids.is_empty() {
            return Ok(());
        }
        self.kill_all(path, freeze).with_context(|| format!("kill cgroup {path}"))
    }

    fn kill_all(&self, path: &str, freeze: Duration) -> Result<()> {
        if self.unified {
            for dir in self.dirs(path) {
                // It came with Linux 5.14.
                match write(&dir.join("cgroup.kill"), "1") {
                    Err(error) if gone(&error) => {}
                    done => return Ok(done?),
                }
            }
        }
        let freezer = self.dir_of("freezer", path).map(|dir| Freezer::of(self.unified, &dir));
        if let Some(freezer) = &freezer {
            freezer.freeze(freeze)?;
        }
        let killed = self.pids(path).and_then(|pids| pids.into_iter().try_for_each(kill_process));
        // Thawed even after an error: nothing may stay frozen.
        let thawed = freezer.map_or(Ok(()), |freezer| freezer.thaw(path));
        killed.and(thawed)
    }

    /// The processes in the group and below, in any hierarchy: one that was killed while it entered is in some only.
    pub(super) fn pids(&self, path: &str) -> Result<BTreeSet<i32>> {
        let mut pids = BTreeSet::new();
        for dir in self.dirs(path) {
            for group in groups(&dir)? {
                let file = group.join("cgroup.procs");
                match fs::read_to_string(&file) {
                    // Unsupported: a group of threads, whose processes are listed above it.
                    Err(error) if gone(&error) || error.kind() == ErrorKind::Unsupported => {}
                    text => {
                        let text = text.with_context(|| format!("read {}", file.display()))?;
                        let numbers = text.lines().filter_map(|line| line.parse::<i32>().ok());
                        // 0 is a process of another PID namespace, which has no number here.
                        pids.extend(numbers.filter(|pid| *pid > 0));
                    }
                }
            }
        }
        Ok(pids)
    }
}

/// The file that freezes a group and all below it.
struct Freezer {
    unified: bool,
    group: PathBuf,
}

impl Freezer {
    fn of(unified: bool, group: &Path) -> Freezer {
        Freezer { unified, group: group.to_owned() }
    }

    fn set(&self, group: &Path, frozen: bool) -> Result<()> {
        let (file, value) = match (self.unified, frozen) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        match write(&group.join(file), value) {
            Err(error) if !gone(&error) => {
                Err(error).with_context(|| format!("write {}", group.join(file).display()))
            }
            _ => Ok(()),
        }
    }

    /// Freezes, and waits at most `limit` until all are.
    fn freeze(&self, limit: Duration) -> Result<()> {
        self.set(&self.group, true)?;
        let (file, frozen) =
            if self.unified { ("cgroup.events", "frozen 1") } else { ("freezer.state", "FROZEN") };
        until(Instant::now() + limit, || {
            Ok(match fs::read_to_string(self.group.join(file)) {
                Ok(text) => text.lines().any(|line| line == frozen),
                Err(error) if gone(&error) => true,
                Err(error) => return Err(error.into()),
            })
        })?;
        Ok(())
    }

    /// Thaws the group and all below it: one of them may have been frozen for itself.
    fn thaw(&self, path: &str) -> Result<()> {
        for group in groups(&self.group)?.iter().rev() {
            self.set(group, false).with_context(|| format!("thaw cgroup {path}"))?;
        }
        Ok(())
    }
}

fn kill_process(pid: i32) -> Result<()> {
    match kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("kill process {pid}")),
    }
}

/// Asks again and again, at growing distances (1 to 16 ms), until it is so or `deadline` has passed; tells which.
pub fn until(deadline: Instant, mut so: impl FnMut() -> Result<bool>) -> Result<bool> {
    let mut pause = Duration::from_millis(1);
    loop {
        if so()? {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(16));
    }
}
