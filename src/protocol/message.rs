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
    /// Runs a command in a container, with three descriptors (stdin, stdout, stderr) attached to the packet; with none for
    /// one with a terminal, whose master comes attached to the [`Reply::Started`] (since version 2).
    /// Answered by [`Reply::Started`] and, when the command ended, by [`Reply::Exited`]; or by [`Reply::Failed`].
    /// The command is killed when the connection ends first.
    Exec(Exec),
    /// Reads along what a container prints from now on, with two pipes attached to the packet (stdout, stderr; all that a
    /// terminal shows goes to the first). Answered by [`Reply::Attached`], then [`Reply::Missed`] each time that something
    /// was lost, and when the container ended by [`Reply::Exited`]; or by [`Reply::Failed`]. Since version 2.
    Attach(Attach),
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
    /// Parts of volumes to mount where the OCI configuration has them as sources. Since version 3.
    #[serde(default)]
    pub sub_paths: Vec<SubPath>,
    /// The user, as in an image's USER (`redis`, `1000:1000`, empty): looked up in the mounted root file system, written into
    /// the bundle's `process.user`.
    pub user: String,
    /// Whether it has the groups of the bundle and its primary group alone, and not those that the image says. Since version 4.
    #[serde(default)]
    pub strict_groups: bool,
    /// Whether the rules of devices that the bundle has are made to hold on cgroup v2 too. Since version 6.
    #[serde(default)]
    pub device_rules: bool,
    /// Labels of SELinux for its files; that of its process is in the bundle. Since version 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<FileLabels>,
    /// The container's cgroup, relative to each hierarchy's root: `/kubepods/…/pod<uid>/<name>-<attempt>`.
    pub cgroup: String,
    /// Where its output goes.
    pub log: LogFile,
    /// Kill the start, and everything in its cgroup, after this long.
    pub deadline: Duration,
    /// What it reads. Without a terminal /dev/null where this is absent, as for a pod process of version 1.
    #[serde(default)]
    pub stdin: Stdin,
    /// Whether descriptors 0, 1 and 2 are a terminal of its own `/dev/pts`, which controls it. Since version 2.
    #[serde(default)]
    pub terminal: bool,
}

/// Which files are a container's own for SELinux.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileLabels {
    /// Their label.
    pub label: String,
    /// Volumes and files of the pod that get it, as paths in the pod process's mount namespace. Root file system and images have
    /// it by their mounts.
    pub paths: Vec<String>,
}

/// A part of a volume, in which containers may change under our hands what they like; or all of a volume, where more is to be
/// done than to mount it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubPath {
    /// The volume's name, for messages.
    pub volume: String,
    /// The volume on the node.
    pub root: String,
    /// The part of it: relative, without `..`; empty for all of it.
    pub path: String,
    /// Whether what is missing is made, as directories with the volume's mode.
    pub make: bool,
    /// Where it is mounted, in the pod's mount namespace, for as long as the run goes on: a name to be made in
    /// `<bundle>/`[`VOLUMES`].
    pub place: String,
    /// What becomes of it when something is mounted below later.
    #[serde(default)]
    pub propagation: Propagation,
    /// The image that is to be mounted at `root` first, for as long as the run goes on. Since version 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Layers>,
}

/// What is in an image, as overlayfs wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layers {
    /// Directory that holds the layers.
    pub layers: String,
    /// Names of the layers in `layers`, the uppermost first.
    pub lower: Vec<String>,
}

/// What becomes of a mount when the node mounts something below its source later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// What the OCI configuration says for all mounts of the container.
    #[default]
    AsOthers,
    /// Nothing.
    Private,
    /// It is seen here too; an error where the node's mount does not pass it on.
    Slave,
}

/// The folder of a bundle in which parts of volumes are mounted.
pub const VOLUMES: &str = "volumes";

/// What a container reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// Nothing: the end is there at once.
    #[default]
    None,
    /// What those say who attach, one after the other; it never ends.
    Open,
    /// What the first one says who attaches; it ends when that one is gone. A terminal cannot be closed: there it is as
    /// [`Stdin::Open`], as in containerd.
    Once,
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
    /// Whether its descriptors are a terminal of the container's own `/dev/pts`, which controls it.
    #[serde(default)]
    pub terminal: bool,
    /// How large that terminal is at first. Since version 2.
    #[serde(default)]
    pub size: Option<Size>,
    /// Kill everything the command started after this long.
    #[serde(default)]
    pub timeout: Option<Duration>,
    /// Whether to tell what it cost, by [`Reply::Spent`]. An older pod process does not.
    #[serde(default)]
    pub measured: bool,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in each.
    pub columns: u16,
}

/// Who reads along what a container prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attach {
    /// The container's name.
    pub name: String,
    /// Whether to write to its stdin too, or to type on its terminal, where it has such a thing.
    pub stdin: bool,
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To State and Watch.
    State(State),
    /// It runs. The master of its terminal is attached, where it is a command that was to have one.
    Started {
        /// Process ID on the host, for people.
        pid: i32,
        /// When.
        at: Wall,
    },
    /// To Attach. Attached is what to write to: the container's stdin, or the master of its terminal, where that was asked
    /// for and there is one.
    Attached {
        /// Whether the container has a terminal.
        terminal: bool,
        /// Whether it reads what is written to it. Without it, nothing is attached.
        stdin: bool,
    },
    /// Whoever attached was too slow, and this many bytes went past.
    Missed {
        /// Since the last time this was told.
        bytes: u64,
    },
    /// What an exec'ed command cost, just before its end, to whoever asked for that.
    Spent {
        /// Processor time of the command, and of what started it in the container.
        cpu: Duration,
    },
    /// An exec'ed command ended, or the container that was attached to.
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
