//! What the pod process gives a worker to do, and the answer: one packet each way over the worker's descriptor 3.
//!
//! Both are the same binary, so this may change freely.

use serde::{Deserialize, Serialize};

use crate::protocol::StartContainer;
use crate::spec::IdMapping;
use crate::status::Failure;

/// Descriptor over which a worker is told its [`Job`] and gives its [`Answer`].
pub const SEAT: i32 = 3;

/// First of the descriptors that a job needs besides: see each.
pub const MORE: i32 = 4;

/// What a worker does.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Where libcontainer keeps its state.
    pub runtime: String,
    /// Soft and hard limit of open files that what it starts inherits.
    pub nofile: (u64, u64),
    /// The pod's users, where it has its own.
    pub users: Option<Users>,
    /// The task.
    pub task: Task,
}

/// The users of a pod with a user namespace of its own.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Users {
    /// The worker's descriptor of the user namespace.
    pub descriptor: i32,
    /// Whom the node knows them as.
    pub ids: IdMapping,
}

/// The task of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// Starts a container, whose stdout and stderr are descriptors 4 and 5, and 6 its stdin where it has one; none of them
    /// where it has a terminal.
    Start(Box<StartContainer>),
    /// Starts the process that holds a shared PID namespace.
    Pause(PauseTask),
}

/// See [`Task::Pause`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PauseTask {
    /// libcontainer's name for it.
    pub id: String,
    /// Directory for its bundle, to be made.
    pub bundle: String,
    /// Its cgroup.
    pub cgroup: String,
}

/// What a worker did.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It runs, as a child of the pod process. Where it was to have a terminal, both ends of that are attached.
    Started {
        /// Process ID on the host.
        pid: i32,
    },
    /// It does not.
    Failed(Failure),
}

/// libcontainer's name for a run of a container.
pub fn container_id(name: &str, attempt: u32) -> String {
    format!("{name}-{attempt}")
}
