//! Where values of environment variables and of files in volumes come from.

use serde::{Deserialize, Serialize};

use super::Kind;

/// Where one value comes from. What the manifest itself tells was looked up when it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ValueSource {
    /// Known already, and taken as it stands: a field of the pod, or an amount of its resources.
    Text(String),
    /// An address, known when the pod runs.
    Address(Address),
    /// What the node has for pods, since the container has no limit: divided, and rounded up.
    Allocatable(Allocatable),
    /// One key of a ConfigMap or Secret.
    Key {
        /// Which of them.
        kind: Kind,
        /// Its name; its namespace is the pod's.
        name: String,
        /// The key.
        key: String,
        /// Whether the variable is left out where there is no such thing; otherwise its container waits.
        optional: bool,
    },
    /// One variable of a file in an emptyDir volume of the pod.
    File {
        /// The volume.
        volume: String,
        /// The file in it: relative, without `..`.
        path: String,
        /// The variable.
        key: String,
        /// As with a key.
        optional: bool,
    },
}

/// Addresses that can be asked for; several are joined by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is status.<its name>")]
pub enum Address {
    HostIp,
    HostIps,
    PodIp,
    PodIps,
}

/// An amount of what a node has for pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocatable {
    /// Of what.
    pub resource: Resource,
    /// Thousandths of a CPU, else bytes; not 0.
    pub divisor: u64,
}

/// What a node has an amount of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the resource of its name")]
pub enum Resource {
    Cpu,
    Memory,
    EphemeralStorage,
}

/// Every key of a ConfigMap or Secret as a variable: an item of `envFrom`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvFrom {
    /// Which of them.
    pub kind: Kind,
    /// Its name; its namespace is the pod's.
    pub name: String,
    /// What comes before each key; may be empty.
    pub prefix: String,
    /// Whether nothing is said of it where there is no such thing; otherwise the container waits.
    pub optional: bool,
}

/// A part of a volume that is made of values: a configMap, secret or downwardAPI volume is one, a projected one several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Projection {
    /// Keys of a ConfigMap or Secret.
    Document {
        /// Which of them.
        kind: Kind,
        /// Its name; its namespace is the pod's.
        name: String,
        /// Whether what is not there is left out; otherwise the pod waits.
        optional: bool,
        /// The keys to be files; every key where there are none.
        items: Vec<Item>,
        /// Mode of each file where every key is one.
        mode: u32,
    },
    /// What the pod tells of itself.
    Downward(Vec<DownwardFile>),
}

/// A key that becomes a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The key.
    pub key: String,
    /// The file: relative, without `..`.
    pub path: String,
    /// Its mode.
    pub mode: u32,
}

/// A value that becomes a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DownwardFile {
    /// The file: relative, without `..`.
    pub path: String,
    /// Its mode.
    pub mode: u32,
    /// What is in it: a [`ValueSource::Text`] or [`ValueSource::Allocatable`].
    pub source: ValueSource,
}
