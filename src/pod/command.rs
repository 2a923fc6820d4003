//! A command that runs in a container by request, until it ends or whoever asked is gone.

use std::time::Duration;

use super::connections::Id;
use super::spawn::Worker;

/// How long a command may take to start where it has no shorter timeout.
pub const START: Duration = Duration::from_secs(30);

/// How long to wait between two kills of what does not die.
pub const AGAIN: Duration = Duration::from_millis(100);

/// A command in a container.
pub struct Command {
    /// Names it for as long as this process lives.
    pub key: u64,
    /// Its name, of its own cgroup below the container's and of its files: `exec-<key>`.
    pub name: String,
    /// Its own cgroup.
    pub cgroup: String,
    /// The container's name and the number of its run.
    pub container: (String, u32),
    /// Who asked.
    pub asker: Id,
    /// Where it is in its life.
    pub stage: Stage,
    /// When everything it started is killed, on CLOCK_BOOTTIME.
    pub kill_at: Option<Duration>,
    /// Whether it is to be killed for good, with all that it started and may still start meanwhile.
    pub doomed: bool,
    /// When its own timeout ends, on CLOCK_BOOTTIME.
    pub timeout_at: Option<Duration>,
    /// Whether whoever asked wants to know what it cost.
    pub measured: bool,
    /// The process ID of its worker, until that was reaped.
    pub worker: i32,
    /// Processor time that its worker used, once that was reaped.
    pub cpu: Duration,
}

/// Where a command is in its life.
pub enum Stage {
    /// A worker is starting it.
    Starting(Worker),
    /// It runs, with this process ID.
    Running(i32),
}

impl Command {
    /// The process that we wait for: the worker's, then its own.
    pub fn pid(&self) -> i32 {
        match &self.stage {
            Stage::Starting(worker) => worker.pid,
            Stage::Running(pid) => *pid,
        }
    }
}
