//! Requests, replies and notices.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::status::{Failure, Wall};

/// What a pod process can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Who are you and what runs? Answered by [`Reply::State`].
    State,
    /// As [`Request::State`], and from then on every [`Notice`].
    Watch,
    /// Starts a run of a container. Answered by [`Reply::Started`] or [`Reply::Failed`] when that is known.
    StartContainer(Box<StartContainer>),
    /// Ends a run. Answered at once by [`Reply::Done`]; the exit comes as a notice.
    Stop(Stop),
    /// Runs a command in a container, with three descriptors (stdin, stdout, stderr) attached to the packet.
    /// Answered by [`Reply::Started`] and, when the command ended, by [`Reply::Exited`]; or by [`Reply::Failed`].
    /// The command is killed when the connection ends first.
    Exec(Exec),
    /// Kills whatever still runs and leaves. Answered by [`Reply::Done`] just before the pod process exits.
    Leave,
}

/// Everything needed to start one run of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartContainer {
    /// The container's name.
    pub name: String,
    /// Number of the run, from 0.
    pub attempt: u32,
    /// Directory with the OCI `config.json`; its `rootfs` is made here.
    pub bundle: String,
    /// The root file system to mount on `<bundle>/rootfs` first.
    pub overlay: Overlay,
    /// The image's USER as written (`redis`, `1000:1000`, empty): looked up in the mounted root file system, written into
    /// the bundle's `process.user`.
    pub user: String,
    /// The container's cgroup, relative to each hierarchy's root: `/kubepods/…/pod<uid>/<name>-<attempt>`.
    pub cgroup: String,
    /// Where its output goes.
    pub log: LogFile,
    /// Kill the start, and everything in its cgroup, after this long.
    pub deadline: Duration,
}

/// A root file system out of layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// Directory that holds the layers.
    pub layers: String,
    /// Names of the layers in `layers`, the uppermost first, as overlayfs wants them.
    pub lower: Vec<String>,
    /// Directory for what the container writes.
    pub upper: String,
    /// overlayfs' own directory, on the same file system as `upper`.
    pub work: String,
    /// Device nodes in it do not work: nothing else restricts devices here.
    #[serde(default)]
    pub no_devices: bool,
}

/// A container's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogFile {
    /// The file: `<log-dir>/<ns>_<pod>_<uid>/<container>/<attempt>.log`; its directory exists.
    pub path: String,
    /// Rotate when it is this long, in bytes.
    pub max_bytes: u64,
    /// Keep this many files, the current one included.
    pub max_files: u32,
}

/// Ends a run: `signal`, then SIGKILL to everything in its cgroup when `grace` has passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// The container's name.
    pub name: String,
    /// Number of the run.
    pub attempt: u32,
    /// Signal number, mostly 15. Sent once per run, however often asked; a later shorter grace counts.
    pub signal: i32,
    /// Time until SIGKILL.
    pub grace: Duration,
}

/// A command for a running container. User, groups, capabilities and environment are the container's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// The container's name.
    pub name: String,
    /// The command and its arguments.
    pub args: Vec<String>,
    /// Whether the descriptors are a terminal, which becomes the command's controlling one.
    #[serde(default)]
    pub terminal: bool,
    /// Kill everything the command started after this long.
    #[serde(default)]
    pub timeout: Option<Duration>,
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To State and Watch.
    State(State),
    /// It runs.
    Started {
        /// Process ID on the host, for people.
        pid: i32,
        /// When.
        at: Wall,
    },
    /// An exec'ed command ended.
    Exited {
        /// Exit code; 128 + signal where a signal ended it.
        code: i32,
    },
    /// It was not done.
    Failed(Failure),
    /// It was done.
    Done,
    /// Something happened (watching connections only).
    Notice(Notice),
}

/// What a pod process tells by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Notice {
    /// A run ended.
    Exited(Exited),
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exited {
    /// The container's name.
    pub name: String,
    /// Number of the run.
    pub attempt: u32,
    /// Exit code; 128 + signal where a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel killed something in its cgroup for memory.
    pub oom_killed: bool,
    /// When the run began.
    pub started: Wall,
    /// When it ended.
    pub finished: Wall,
    /// When it ended, on CLOCK_BOOTTIME.
    pub finished_boot: Duration,
    /// How long it ran.
    pub ran: Duration,
}

/// What a pod process is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::VERSION`] of the binary it runs.
    pub version: u32,
    /// The pod's UID.
    pub uid: String,
    /// Number of the sandbox.
    pub sandbox: u32,
    /// Its process ID.
    pub pid: i32,
    /// Process ID of the process that holds a shared PID namespace: containers join `/proc/<pause_pid>/ns/pid`.
    #[serde(default)]
    pub pause_pid: Option<i32>,
}

/// Everything a pod process knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Who answers.
    pub hello: Hello,
    /// The latest run of each container it was ever asked to start.
    pub runs: Vec<RunState>,
    /// Bytes of output lost to full disks, all containers together.
    pub dropped: u64,
}

/// The latest run of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunState {
    /// A worker is starting it.
    Starting {
        /// The container's name.
        name: String,
        /// Number of the run.
        attempt: u32,
    },
    /// It runs.
    Running {
        /// The container's name.
        name: String,
        /// Number of the run.
        attempt: u32,
        /// Process ID on the host.
        pid: i32,
        /// When it began.
        started: Wall,
        /// When it began, on CLOCK_BOOTTIME.
        started_boot: Duration,
        /// Whether its stop signal was sent.
        stopping: bool,
    },
    /// It ended.
    Exited(Exited),
    /// It never ran.
    Failed {
        /// The container's name.
        name: String,
        /// Number of the run.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
}
