//! One run of a container, from the request until nothing of it is left.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::connections::Id;
use super::job::container_id;
use super::lines::{Got, STDERR, STDOUT, Scratch, Stream};
use super::log_file::Log;
use super::readers::Reader;
use super::spawn::Worker;
use crate::cgroup::{Hierarchy, worker_path};
use crate::protocol::{Exited, RunState, VOLUMES};
use crate::status::{Failure, Wall};
use crate::sys::clock;

/// Reads that empty any pipe: 64 of 16 KiB are a MiB, the longest an ordinary user may make one.
const DRAIN: usize = 64;

/// First and longest wait between two looks at what does not go away.
const RETRY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(5));

/// Wait between two tries after which the cgroup of a command that ended is left to its container's end.
const LONGEST_SPENT: Duration = Duration::from_secs(1);

/// One run of a container.
pub struct Run {
    /// Names it for as long as this process lives.
    pub key: u64,
    /// The container's name.
    pub name: String,
    /// Number of the run.
    pub attempt: u32,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its cgroup.
    pub cgroup: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its output, until that ends.
    pub output: Option<Output>,
    /// What is written to for it to read, until it ends.
    pub input: Input,
    /// How it is to be stopped.
    pub stop: Option<Stopping>,
    /// Cgroups of commands in it that ended, and may hold what they left behind.
    pub spent: Vec<Spent>,
    /// Whether the cgroup of the worker that started it is still there.
    pub worker_left: bool,
    /// Whether it left nothing: no process, mount, cgroup, state.
    pub swept: bool,
    /// When to look again at what does not go away, and how long to wait then.
    pub retry: Option<(Duration, Duration)>,
}

/// Where a run is in its life.
pub enum Phase {
    /// A worker is starting it.
    Starting {
        /// The worker.
        worker: Worker,
        /// Who waits for the answer.
        asker: Id,
        /// When to give up, on CLOCK_BOOTTIME.
        deadline: Duration,
    },
    /// It runs.
    Running(Begun),
    /// Its first process ended; what it left behind is being killed.
    Ending {
        /// How it began.
        begun: Begun,
        /// How it ended.
        end: End,
    },
    /// It ended, and that is written down.
    Exited(Exited),
    /// It never ran.
    Failed(Failure),
}

/// The beginning of a run.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Process ID on the host; ours to reap, so it is nobody else's before that.
    pub pid: i32,
    /// When, to show.
    pub at: Wall,
    /// When, on CLOCK_BOOTTIME.
    pub boot: Duration,
}

/// The end of a run.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Exit code; 128 + signal where a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When, to show.
    pub at: Wall,
    /// When, on CLOCK_BOOTTIME.
    pub boot: Duration,
}

/// How a run is to be stopped.
#[derive(Debug, Clone, Copy)]
pub struct Stopping {
    /// The signal.
    pub signal: i32,
    /// Whether it was sent: once a run.
    pub sent: bool,
    /// When everything is killed, on CLOCK_BOOTTIME.
    pub kill_at: Duration,
}

/// The cgroup of a command that ended.
pub struct Spent {
    /// The cgroup.
    cgroup: String,
    /// Whether nothing is to be left of it: whoever forks while the others are killed may have got away.
    doomed: bool,
    /// When to try again to remove it, and how long to wait then. For about a second, unless it is doomed: what is in it after
    /// that was left behind on purpose, and goes with the container.
    retry: Option<(Duration, Duration)>,
}

impl Spent {
    /// `cgroup`, of which nothing is to be left if it is `doomed`.
    pub fn new(cgroup: String, doomed: bool) -> Spent {
        Spent { cgroup, doomed, retry: Some((clock::boottime(), RETRY.0)) }
    }
}

/// Where what a run reads comes from.
pub enum Input {
    /// It reads nothing.
    None,
    /// A pipe that stays open.
    Open(OwnedFd),
    /// A pipe for the first who attaches; nothing once that one has it.
    Once(Option<OwnedFd>),
    /// A terminal.
    Terminal {
        /// Whether those who attach may type.
        typed: bool,
        /// The master, and the terminal itself: that is kept open so that output does not seem to have ended while nobody in
        /// the container has it open. Nothing until the worker has handed them over.
        ends: Option<[OwnedFd; 2]>,
    },
}

/// What a run prints.
pub struct Output {
    /// Where it goes.
    pub log: Log,
    /// Where it comes from.
    pub streams: Vec<Stream>,
    /// Who reads along.
    pub readers: Vec<Reader>,
}

impl Output {
    /// Reads the stream `name` once; forgets it when it ended.
    pub fn read(&mut self, name: &str, scratch: &mut Scratch) -> Got {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.name() == name) else {
            return Got::End;
        };
        let got = stream.read(&mut self.log, scratch, &mut self.readers);
        if got == Got::End {
            self.streams.retain(|stream| stream.name() != name);
        }
        got
    }

    /// Reads what is there now. Nobody is left to write more; or whoever is (a neighbour that was handed the pipe) has
    /// had its chance.
    pub fn drain(&mut self, scratch: &mut Scratch) {
        for name in [STDOUT, STDERR] {
            for _ in 0..DRAIN {
                if self.read(name, scratch) != Got::Some {
                    break;
                }
            }
        }
    }
}

impl Run {
    /// libcontainer's name for it.
    pub fn id(&self) -> String {
        container_id(&self.name, self.attempt)
    }

    /// Whether it is over, well or not.
    pub fn over(&self) -> bool {
        matches!(self.phase, Phase::Exited(_) | Phase::Failed(_))
    }

    /// As it is told.
    pub fn state(&self) -> RunState {
        let (name, attempt) = (self.name.clone(), self.attempt);
        match &self.phase {
            Phase::Starting { .. } => RunState::Starting { name, attempt },
            // Until the end is written down it has not ended.
            Phase::Running(begun) | Phase::Ending { begun, .. } => RunState::Running {
                name,
                attempt,
                pid: begun.pid,
                started: begun.at,
                started_boot: begun.boot,
                stopping: self.stop.is_some_and(|stop| stop.sent),
            },
            Phase::Exited(exited) => RunState::Exited(exited.clone()),
            Phase::Failed(failure) => RunState::Failed { name, attempt, failure: failure.clone() },
        }
    }

    /// Takes its terminal over from the worker that started it: what it shows is its output.
    pub fn take_terminal(&mut self, ends: Vec<OwnedFd>) {
        let Ok([master, slave]) = <[OwnedFd; 2]>::try_from(ends) else { return };
        match (master.try_clone(), &mut self.output) {
            (Ok(shown), Some(output)) => output.streams.push(Stream::new(File::from(shown), STDOUT)),
            (Err(error), _) => log::error!("container {}: its output is lost: {error}", self.id()),
            (Ok(_), None) => {}
        }
        if let Input::Terminal { ends: place, .. } = &mut self.input {
            *place = Some([master, slave]);
        }
    }

    /// Kills everything in its cgroup, and before that the worker that may still put something there. What cannot be
    /// killed now is tried again by whoever waits for it to be gone.
    pub fn kill(&self, cgroups: &Hierarchy) {
        let worker = cgroups.kill_now(&worker_path(&self.cgroup));
        if let Err(error) = worker.and(cgroups.kill_now(&self.cgroup)) {
            log::warn!("container {}: {error:#}", self.id());
        }
    }

    /// What cannot be read counts as not empty: killing it says why.
    fn is_empty(&self, cgroups: &Hierarchy) -> bool {
        let empty = |path: &str| cgroups.is_empty(path).unwrap_or(false);
        empty(&worker_path(&self.cgroup)) && empty(&self.cgroup)
    }

    /// Sees to it that nothing is left in its cgroup: true when so, else it is looked at again a little later.
    pub fn emptied(&mut self, cgroups: &Hierarchy) -> bool {
        if self.is_empty(cgroups) {
            self.retry = None;
            return true;
        }
        self.kill(cgroups);
        self.again();
        false
    }

    /// Removes what it left behind, as far as that goes; else it is tried again.
    pub fn sweep(&mut self, cgroups: &Hierarchy, runtime: &Path) {
        if self.swept || !self.emptied(cgroups) {
            return;
        }
        let first = self.retry.is_none();
        match self.remove(cgroups, runtime) {
            Ok(()) => self.swept = true,
            Err(error) => {
                if first {
                    log::warn!("container {}: clean up: {error:#}; trying again", self.id());
                }
                self.again();
            }
        }
    }

    fn remove(&self, cgroups: &Hierarchy, runtime: &Path) -> Result<()> {
        let parts = std::fs::read_dir(self.bundle.join(VOLUMES)).into_iter().flatten().flatten();
        let mounted = parts.map(|entry| entry.path()).chain([self.bundle.join("rootfs")]);
        let unmounted = mounted.map(|path| unmount(&path)).fold(Ok(()), Result::and);
        let state = remove_state(runtime, &self.id()).map_err(anyhow::Error::from);
        let worker = cgroups.remove_now(&worker_path(&self.cgroup));
        unmounted.and(state).and(worker).and(cgroups.remove_now(&self.cgroup))
    }

    fn again(&mut self) {
        let wait = self.retry.map_or(RETRY.0, |(_, wait)| (wait * 2).min(RETRY.1));
        self.retry = Some((clock::boottime() + wait, wait));
    }

    /// Removes the cgroup of the worker that started it, once that is gone.
    pub fn remove_worker(&mut self, cgroups: &Hierarchy) {
        if self.worker_left && matches!(self.phase, Phase::Running(_)) {
            self.worker_left = cgroups.remove_now(&worker_path(&self.cgroup)).is_err();
        }
    }

    /// A command in it ended.
    pub fn spend(&mut self, spent: Spent, cgroups: &Hierarchy) {
        self.spent.push(spent);
        self.remove_spent(cgroups, clock::boottime());
    }

    /// Tries to remove the cgroups of commands that ended, where that is due.
    pub fn remove_spent(&mut self, cgroups: &Hierarchy, now: Duration) {
        self.spent.retain_mut(|spent| {
            let Some((_, wait)) = spent.retry.filter(|(at, _)| *at <= now) else { return true };
            let left = cgroups.remove_now(&spent.cgroup).is_err();
            if left
                && spent.doomed
                && let Err(error) = cgroups.kill_now(&spent.cgroup)
            {
                log::debug!("{error:#}");
            }
            let next = (now + wait, (wait * 2).min(LONGEST_SPENT));
            spent.retry = (spent.doomed || wait < LONGEST_SPENT).then_some(next);
            left
        });
    }

    /// When something of it is to be looked at again, on CLOCK_BOOTTIME.
    pub fn next_due(&self) -> Option<Duration> {
        let start = match &self.phase {
            Phase::Starting { deadline, .. } => Some(*deadline),
            _ => None,
        };
        let running = matches!(self.phase, Phase::Running(_) | Phase::Starting { .. });
        let kill = self.stop.filter(|_| running).map(|stop| stop.kill_at);
        let spent = self.spent.iter().filter_map(|spent| Some(spent.retry?.0));
        spent.chain([start, kill, self.retry.map(|(at, _)| at)].into_iter().flatten()).min()
    }
}

fn unmount(path: &Path) -> Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        // Not mounted, or not even made.
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// libcontainer's directory for `id`.
fn remove_state(runtime: &Path, id: &str) -> io::Result<()> {
    match std::fs::remove_dir_all(runtime.join(id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
