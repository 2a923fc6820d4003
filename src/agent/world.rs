//! What every effect needs to know of its surroundings.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::gc::Collector;
use super::neighbours::Neighbours;
use super::pulls::Pulls;
use super::remake::Suspects;
use super::tally::Tally;
use crate::api::Lack;
use crate::bundle;
use crate::cgroup::{Hierarchy, Policy};
use crate::config;
use crate::host::{Data, Runtime};
use crate::image::Store;
use crate::network::Network;
use crate::registry;
use crate::spec::{Documents, Pod};
use crate::sys::untouchable::Untouchable;

/// The agent's surroundings; the same from its start to its end.
pub struct World {
    /// What it was told.
    pub config: config::Agent,
    /// The node's name.
    pub node_name: String,
    /// Paths of the runtime directory.
    pub runtime: Runtime,
    /// Paths of the data directory.
    pub data: Data,
    /// The cgroups below `--cgroup-root`.
    pub cgroups: Hierarchy,
    /// What containers may be given here.
    pub node: bundle::Node,
    /// What holds for each pod as a whole.
    pub policy: Policy,
    /// The network of pods.
    pub network: Network,
    /// Pods that are up, by whose names others find them.
    pub neighbours: Neighbours,
    /// The image store.
    pub store: Store,
    /// Archives are being taken in: an image that is absent may be here in a moment.
    pub importing: AtomicBool,
    /// Images that are being pulled.
    pub pulls: Pulls,
    /// Images that may be damaged.
    pub suspects: Suspects,
    /// An image that a list in the directory of archives names is not here yet: another look is due with the next re-list.
    pub lists_wait: AtomicBool,
    /// Images of volumes that were compared with a registry's, while their containers wait for other images: when, by who waits.
    pub compared: Mutex<BTreeMap<String, Instant>>,
    /// What images are in use, and when those that are not go.
    pub collector: Collector,
    /// File names of archives that give no image a pod can ask for, and why: for whoever misses one.
    pub unusable: Mutex<BTreeMap<String, String>>,
    /// What probes were answered.
    pub probes: Mutex<Tally>,
    /// The binary that pod processes are started from.
    pub binary: Untouchable,
    /// The ConfigMaps and Secrets of the manifests, as of the last listing.
    pub documents: Mutex<Arc<Documents>>,
    /// Held while volumes of values are written: whoever comes last looks at [`World::documents`] last.
    pub projecting: Mutex<()>,
    /// Held while a pod is allotted IDs of the node.
    pub allotting: Mutex<()>,
    /// Whether the runtime directory is in memory: values of Secrets go nowhere else.
    pub in_memory: bool,
    /// Whether the kernel has seccomp filters.
    pub seccomp: bool,
    /// Whether the kernel confines by AppArmor.
    pub apparmor: bool,
    /// What its containers are not confined by, though they should be.
    pub lacks: Vec<Lack>,
    /// Processors of the node.
    pub cpus: usize,
    /// What this node cannot do, a sentence each.
    pub warnings: Vec<String>,
    /// Held for as long as the agent lives.
    #[expect(dead_code, reason = "a lock is held by being there")]
    pub locks: Vec<File>,
}

impl World {
    /// `<log-dir>/<namespace>_<name>_<uid>`: the kubelet's place for a pod's logs.
    pub fn logs(&self, pod: &Pod) -> PathBuf {
        self.config.log_dir.join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid))
    }

    /// What is `/dev/shm` in the pod's containers: with `hostIPC` the node's, else the pod's own tmpfs. A node without udev
    /// may have none; its pods have one all the same.
    pub fn shm(&self, pod: &Pod) -> PathBuf {
        let node = PathBuf::from("/dev/shm");
        if pod.host_ipc && node.is_dir() { node } else { self.runtime.pod(&pod.uid.0).shm() }
    }

    /// What is written of registries, to be read at each pull.
    pub fn registries(&self) -> registry::Files {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        registry::Files::new(&self.config.private_registry, self.config.only_mirrors, home.as_deref())
    }

    /// The ConfigMaps and Secrets of the manifests.
    pub fn documents(&self) -> Arc<Documents> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The directory of links beside the logs: `/var/log/containers`.
    pub fn links(&self) -> PathBuf {
        self.config.log_dir.with_file_name("containers")
    }
}
