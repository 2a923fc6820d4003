//! Volumes.

use serde::{Deserialize, Serialize};

use super::{Bytes, Kind, Projection, PullPolicy};

/// One of a pod's volumes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// `name`, unique in the pod.
    pub name: String,
    /// What it is.
    pub source: VolumeSource,
    /// `emptyDir.sizeLimit`; zero is none.
    #[serde(default)]
    pub size_limit: Option<Bytes>,
}

/// Kinds of volumes that are built so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// A directory on the data disk that lives as long as the pod.
    EmptyDir,
    /// An emptyDir with the medium Memory: a tmpfs that lives as long as the pod's process.
    Memory,
    /// An emptyDir with a medium of huge pages: a hugetlbfs that lives as long as the pod's process.
    HugePages {
        /// The size of a page, in bytes.
        page: u64,
    },
    /// Files out of ConfigMaps, Secrets and what the pod tells of itself; in memory, and never written to by containers.
    Projected(Vec<Projection>),
    /// What is in an image; never written to, and nothing of it can be executed.
    Image {
        /// The image as asked for.
        reference: String,
        /// When to ask a registry.
        policy: PullPolicy,
    },
    /// A path of the node.
    HostPath {
        /// Absolute path on the node, without `..`.
        path: String,
        /// What must be there.
        kind: HostPathType,
    },
}

impl Volume {
    /// Whether values of Secrets may be in it.
    pub fn is_secret(&self) -> bool {
        let secret = |source: &Projection| matches!(source, Projection::Document { kind: Kind::Secret, .. });
        matches!(&self.source, VolumeSource::Projected(sources) if sources.iter().any(secret))
    }
}

/// `hostPath.type` (reference D.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostPathType {
    /// No check; a missing path becomes a directory, 0755.
    Unset,
    /// A directory, made 0755 if missing.
    DirectoryOrCreate,
    /// An existing directory.
    Directory,
    /// A file, made 0644 if missing; its directory must exist.
    FileOrCreate,
    /// An existing regular file.
    File,
    /// An existing Unix socket.
    Socket,
    /// An existing character device.
    CharDevice,
    /// An existing block device.
    BlockDevice,
}
