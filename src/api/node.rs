//! core/v1 Nodes: the machine as a kubelet would tell an API server of it.
//!
//! Nothing in it changes while nothing happens, so that an idle node writes nothing: there is no heartbeat. Whoever reads
//! it tells by the lock of the runtime directory whether it is still kept up to date.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::seconds;
use crate::status::Wall;

/// What is the case with a machine that runs pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// The address that it has on the way to others, if it has one.
    pub address: Option<String>,
    /// Processors that are on.
    pub cpus: u64,
    /// Memory, in bytes.
    pub memory: u64,
    /// Size of the file system that holds volumes and images, in bytes.
    pub storage: u64,
    /// Huge pages, a size in bytes and how many bytes there are of it.
    pub huge_pages: Vec<(u64, u64)>,
    /// What this program was compiled for, in Rust's words: `x86_64`, `aarch64`.
    pub architecture: String,
    /// Of this boot.
    pub boot_id: String,
    /// `/etc/machine-id`; empty where there is none.
    pub machine_id: String,
    /// The firmware's name for this board; the machine's where there is none.
    pub system_uuid: String,
    /// `uname -r`.
    pub kernel: String,
    /// `PRETTY_NAME` of os-release.
    pub os_image: String,
}

/// What a node may be short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the word itself")]
pub enum Pressure {
    Memory,
    Disk,
    Pid,
}

impl Pressure {
    /// All there are, in the kubelet's order.
    pub const ALL: [Pressure; 3] = [Pressure::Memory, Pressure::Disk, Pressure::Pid];

    /// The kubelet's word for being short of it, or not.
    pub fn reason(self, short: bool) -> &'static str {
        match (self, short) {
            (Pressure::Memory, false) => "HasSufficientMemory",
            (Pressure::Memory, true) => "HasInsufficientMemory",
            (Pressure::Disk, false) => "HasNoDiskPressure",
            (Pressure::Disk, true) => "HasDiskPressure",
            (Pressure::Pid, false) => "HasSufficientPID",
            (Pressure::Pid, true) => "HasInsufficientPID",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Pressure::Memory => "MemoryPressure",
            Pressure::Disk => "DiskPressure",
            Pressure::Pid => "PIDPressure",
        }
    }
}

/// Whether a node is short of something, since when, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strain {
    /// Whether it is short of it.
    pub short: bool,
    /// Since when.
    pub since: Wall,
    /// A sentence; it must not name what changes all the time.
    pub message: String,
}

/// Amounts of what a machine has: all that pods may ask for, or what is kept back from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a processor.
    pub cpu_milli: u64,
    /// Memory, in bytes.
    pub memory: u64,
    /// Of the file system that holds volumes and images, in bytes.
    pub storage: u64,
}

impl Machine {
    /// What it has for pods, without what is `reserved`.
    pub fn allocatable(&self, reserved: Amounts) -> Amounts {
        Amounts {
            cpu_milli: self.cpus.saturating_mul(1000).saturating_sub(reserved.cpu_milli),
            memory: self.memory.saturating_sub(reserved.memory),
            storage: self.storage.saturating_sub(reserved.storage),
        }
    }
}

impl Amounts {
    /// Both together.
    pub fn plus(self, other: Amounts) -> Amounts {
        Amounts {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory: self.memory.saturating_add(other.memory),
            storage: self.storage.saturating_add(other.storage),
        }
    }
}

/// What of a node is no fact of its machine.
#[derive(Debug, Clone)]
pub struct Named<'a> {
    /// The node's name.
    pub name: &'a str,
    /// Who it is, for as long as it has its name.
    pub uid: &'a str,
    /// When it was given its name.
    pub created: Wall,
    /// When the agent that runs began.
    pub ready: Wall,
    /// The program's version, without `v`.
    pub version: &'a str,
    /// Labels that it was given, beside those that tell what machine it is.
    pub labels: &'a BTreeMap<String, String>,
    /// How many pods it is said to have room for.
    pub max_pods: u64,
    /// What is kept back.
    pub reserved: Amounts,
    /// What its containers are not confined by, though they should be.
    pub lacks: &'a [Lack],
}

/// Something that containers should be confined by, and are not on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// The condition of the node that is true for it.
    pub condition: &'static str,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, what comes of it, and what to do.
    pub message: &'static str,
}

/// The core/v1 Node of `machine`. `strains` are of each [`Pressure`], in that order.
pub fn node(named: &Named<'_>, machine: &Machine, strains: &[Strain; 3]) -> Value {
    let (name, architecture) = (named.name, architecture(&machine.architecture));
    let mut conditions: Vec<Value> =
        Pressure::ALL.iter().zip(strains).map(|(kind, it)| strained(*kind, it)).collect();
    conditions.push(json!({
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": seconds(named.ready),
        "reason": "KubeletReady",
        "message": "the agent runs",
    }));
    conditions.extend(named.lacks.iter().map(|lack| {
        json!({
            "type": lack.condition,
            "status": "True",
            "lastTransitionTime": seconds(named.ready),
            "reason": lack.reason,
            "message": lack.message,
        })
    }));
    let mut addresses: Vec<Value> = Vec::new();
    addresses
        .extend(machine.address.as_ref().map(|address| json!({"type": "InternalIP", "address": address})));
    addresses.push(json!({"type": "Hostname", "address": name}));
    let capacity = capacity(machine, named.max_pods);
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": named.uid,
            "creationTimestamp": seconds(named.created),
            "labels": {
                "beta.kubernetes.io/arch": architecture,
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture,
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
            },
        },
        "spec": {},
        "status": {
            "addresses": addresses,
            "allocatable": allocatable(&capacity, machine.allocatable(named.reserved)),
            "capacity": capacity,
            "conditions": conditions,
            "nodeInfo": {
                "architecture": architecture,
                "bootID": machine.boot_id,
                "containerRuntimeVersion": format!("holdfast://{}", named.version),
                "kernelVersion": machine.kernel,
                "kubeProxyVersion": "",
                "kubeletVersion": format!("v{}+holdfast", named.version),
                "machineID": machine.machine_id,
                "operatingSystem": "linux",
                "osImage": machine.os_image,
                "systemUUID": machine.system_uuid,
            },
        },
    });
    for (label, value) in named.labels {
        object["metadata"]["labels"][label] = json!(value);
    }
    object.sort_all_objects();
    object
}

/// In Go's words, as everywhere in Kubernetes.
fn architecture(ours: &str) -> &str {
    match ours {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

fn kib(bytes: u64) -> String {
    format!("{}Ki", bytes / 1024)
}

/// `capacity`, with the amounts that are `left` for pods.
fn allocatable(capacity: &Value, left: Amounts) -> Value {
    let milli = left.cpu_milli;
    let cpu = if milli.is_multiple_of(1000) { (milli / 1000).to_string() } else { format!("{milli}m") };
    let mut all = capacity.clone();
    all["cpu"] = json!(cpu);
    all["memory"] = json!(kib(left.memory));
    all["ephemeral-storage"] = json!(kib(left.storage));
    all
}

fn capacity(machine: &Machine, max_pods: u64) -> Value {
    let mut capacity = json!({
        "cpu": machine.cpus.to_string(),
        "memory": kib(machine.memory),
        "ephemeral-storage": kib(machine.storage),
        "pods": max_pods.to_string(),
    });
    for (size, bytes) in &machine.huge_pages {
        // A resource without any is written as a plain 0.
        let amount = if *bytes == 0 { "0".to_owned() } else { binary(*bytes) };
        capacity[format!("hugepages-{}", binary(*size))] = json!(amount);
    }
    capacity
}

/// With the largest unit that leaves no rest.
fn binary(bytes: u64) -> String {
    let units = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let unit = units.iter().find(|(unit, _)| 0 < bytes && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(unit, word)| format!("{}{word}", bytes / unit))
}

fn strained(kind: Pressure, strain: &Strain) -> Value {
    json!({
        "type": kind.kind(),
        "status": if strain.short { "True" } else { "False" },
        "lastTransitionTime": seconds(strain.since),
        "reason": format!("Kubelet{}", kind.reason(strain.short)),
        "message": strain.message,
    })
}
