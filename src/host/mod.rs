//! The agent's place on disk: every path once.
//!
//! Two trees. The data directory is on flash and outlives the power; the runtime directory is on tmpfs and dies with the
//! boot, as the containers do.

pub mod machine;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The runtime directory of the one instance that most nodes have.
pub const RUNTIME_DIR: &str = "/run/holdfast";

/// The directories of both trees that are ours alone, 0700; the image store beside them makes its own.
pub fn private(runtime: &Runtime, data: &Data) -> [PathBuf; 6] {
    [runtime.root().to_owned(), runtime.pods(), runtime.orders(), data.own(), data.pods(), data.last_good()]
}

/// Name of the log of run `attempt` in its container's directory. Rotated, it gets a suffix: `0.log.1`.
pub fn log_name(attempt: u32) -> String {
    format!("{attempt}.log")
}

/// The number of the run that a log is of, and the suffix of a rotated one; `None` for what is called otherwise.
pub fn parse_log_name(name: &str) -> Option<(u32, &str)> {
    let (attempt, suffix) = name.split_once(".log")?;
    let attempt = attempt.parse().ok()?;
    (suffix.is_empty() || suffix.starts_with('.')).then_some((attempt, suffix))
}

/// Paths below the runtime directory (`/run/holdfast`), 0700.
#[derive(Debug, Clone)]
pub struct Runtime(PathBuf);

impl Runtime {
    /// The runtime directory at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Runtime {
        Runtime(root.into())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// What is called after this instance in the kernel, which knows no directories: links, and tables of rules. At most
    /// eight letters and digits, so that a link's name has room for a number.
    pub fn instance(&self) -> String {
        if self.0 == Path::new(RUNTIME_DIR) {
            return "holdfast".to_owned();
        }
        let digest = Sha256::digest(self.0.as_os_str().as_encoded_bytes());
        format!("hf{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2])
    }

    /// Locked by the agent for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Which pod has which address.
    pub fn leases(&self) -> PathBuf {
        self.0.join("addresses.json")
    }

    /// The kernel's boot id when the directory was made; another one means that everything here is dead.
    pub fn boot_id(&self) -> PathBuf {
        self.0.join("boot-id")
    }

    /// Published by the agent: itself ([`crate::api::published::Node`]).
    pub fn node(&self) -> PathBuf {
        self.0.join("node.json")
    }

    /// Published by the agent: what probes were answered and what they cost ([`crate::api::published::Probes`]).
    pub fn probes(&self) -> PathBuf {
        self.0.join("probes.json")
    }

    /// Published by the agent: every manifest file and its verdict.
    pub fn manifests(&self) -> PathBuf {
        self.0.join("manifests.json")
    }

    /// The numbers of the file system and the inode that the manifests directory last was, for the next agent.
    pub fn manifests_device(&self) -> PathBuf {
        self.0.join("manifests-device")
    }

    /// Published by the agent: what happened, one core/v1 Event a line ([`crate::api::published`]).
    pub fn events(&self) -> PathBuf {
        self.0.join("events")
    }

    /// What happened before the first line of [`Runtime::events`].
    pub fn older_events(&self) -> PathBuf {
        self.0.join("events.1")
    }

    /// Orders that are no manifests: `down`, `restart-<uid>`; taken in by the agent's inotify loop.
    pub fn orders(&self) -> PathBuf {
        self.0.join("orders")
    }

    /// The order to end all pods; there until it was carried out.
    pub fn order_down(&self) -> PathBuf {
        self.orders().join("down")
    }

    /// One directory a pod, named by UID.
    pub fn pods(&self) -> PathBuf {
        self.0.join("pods")
    }

    /// The pod `uid`.
    pub fn pod(&self, uid: &str) -> PodDir {
        PodDir(self.pods().join(uid))
    }
}

/// Paths below `<runtime-dir>/pods/<uid>`.
#[derive(Debug, Clone)]
pub struct PodDir(PathBuf);

impl PodDir {
    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Held locked by the pod process from before its birth until its death.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The pod process's socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("sock")
    }

    /// [`crate::protocol::Sandbox`], for the pod process.
    pub fn sandbox(&self) -> PathBuf {
        self.0.join("sandbox.json")
    }

    /// The accepted [`crate::spec::Pod`], 0600, for the next agent.
    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// Facts that no process can tell, for the next agent.
    pub fn facts(&self) -> PathBuf {
        self.0.join("facts.json")
    }

    /// What readers read ([`crate::api::published::Pod`]).
    pub fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// The pod process's exit journal: one [`crate::protocol::Exited`] a line.
    pub fn exits(&self) -> PathBuf {
        self.0.join("exits")
    }

    /// The pod process's own log.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Where the pod's shared memory is mounted, in the pod's mount namespace.
    pub fn shm(&self) -> PathBuf {
        self.0.join("shm")
    }

    /// Its volumes that are in memory.
    pub fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    /// The volume `name`, where it is in memory.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name)
    }

    /// Where libcontainer keeps its state.
    pub fn runtime(&self) -> PathBuf {
        self.0.join("runtime")
    }

    /// The OCI bundle of one run.
    pub fn bundle(&self, container: &str, attempt: u32) -> PathBuf {
        self.0.join("containers").join(format!("{container}-{attempt}"))
    }
}

/// Paths below the data directory (`/var/lib/rancher/k3s`).
#[derive(Debug, Clone)]
pub struct Data(PathBuf);

impl Data {
    /// The data directory at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Data {
        Data(root.into())
    }

    /// The default manifests directory.
    pub fn manifests(&self) -> PathBuf {
        self.0.join("agent/pod-manifests")
    }

    /// Where people put seccomp profiles.
    pub fn seccomp(&self) -> PathBuf {
        self.0.join("agent/seccomp")
    }

    /// Where people put image archives.
    pub fn archives(&self) -> PathBuf {
        self.0.join("agent/images")
    }

    /// Ours alone, 0700.
    pub fn own(&self) -> PathBuf {
        self.0.join("agent/holdfast")
    }

    /// Locked by the agent for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.own().join("lock")
    }

    /// The node's name, remembered at the first start.
    pub fn node_name(&self) -> PathBuf {
        self.own().join("node-name")
    }

    /// Each manifest as it was when all of it was last right, 0600, by its file name.
    pub fn last_good(&self) -> PathBuf {
        self.own().join("last-good")
    }

    /// The image store ([`crate::image`]).
    pub fn store(&self) -> PathBuf {
        self.own().join("images")
    }

    /// One directory a pod, named by UID.
    pub fn pods(&self) -> PathBuf {
        self.own().join("pods")
    }

    /// The disk volumes of a pod.
    pub fn volumes(&self, uid: &str) -> PathBuf {
        self.pods().join(uid).join("volumes")
    }

    /// A disk volume of a pod.
    pub fn volume(&self, uid: &str, name: &str) -> PathBuf {
        self.volumes(uid).join(name)
    }

    /// The pod's `hosts`, `resolv.conf` and `hostname`, which containers may write and must therefore not be on tmpfs.
    pub fn etc(&self, uid: &str) -> PathBuf {
        self.pods().join(uid).join("etc")
    }

    /// What the runs of a pod's containers write: `<container>-<n>` in here.
    pub fn containers(&self, uid: &str) -> PathBuf {
        self.pods().join(uid).join("containers")
    }

    /// What one run writes: `upper` and `work` in here.
    pub fn writable(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.containers(uid).join(format!("{container}-{attempt}"))
    }

    /// What one run says at its end, in its directory of [`Data::writable`]: it may write as much there as it likes.
    pub fn last_words(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.writable(uid, container, attempt).join("last-words")
    }
}
