//! `agent`.

use std::path::PathBuf;

use clap::Args;

use crate::config;

/// Flags of the agent. Those that k3s and the kubelet have are called alike; the rest of what can be configured is in the
/// file.
#[derive(Debug, Default, Args)]
pub struct Agent {
    /// A k3s config.yaml, with its drop-ins in FILE.d, or a KubeletConfiguration; flags win over it
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Files *.conf in here, by name, are laid over it: each a KubeletConfiguration, or a part of one
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// Images, volumes, the node's name [default: /var/lib/rancher/k3s]
    #[arg(short, long, value_name = "DIR", value_parser = config::directory)]
    pub data_dir: Option<PathBuf>,
    /// The manifests [default: <data-dir>/agent/pod-manifests]
    #[arg(long, value_name = "DIR", value_parser = config::directory)]
    pub pod_manifest_path: Option<PathBuf>,
    /// The node's name, appended to each pod's [default: the host's name at the first start]
    #[arg(long, value_name = "NAME", visible_alias = "hostname-override", value_parser = config::node_name)]
    pub node_name: Option<String>,
    /// A label of the node; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub node_label: Vec<String>,
    /// Logs of containers [default: /var/log/pods]
    #[arg(long, value_name = "DIR", value_parser = config::directory)]
    pub log_dir: Option<PathBuf>,
    /// The cgroup that all pods are below [default: /]
    #[arg(long, value_name = "CGROUP", value_parser = config::cgroup)]
    pub cgroup_root: Option<String>,
    /// What pods get as /etc/resolv.conf [default: /etc/resolv.conf]
    #[arg(long, value_name = "FILE")]
    pub resolv_conf: Option<String>,
    /// Addresses for pods: a range of IPv4, of IPv6, or both with a comma between; none for no network [default: any that is free]
    #[arg(long, value_name = "RANGES", visible_alias = "cluster-cidr")]
    pub pod_cidr: Option<String>,
    /// A flag of kubelet's, without its dashes, such as max-pods=20; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub kubelet_arg: Vec<String>,
    /// What is to be known of registries, as k3s reads it [default: /etc/rancher/k3s/registries.yaml]
    #[arg(long, value_name = "FILE", value_parser = config::directory)]
    pub private_registry: Option<PathBuf>,
    /// Do not ask registries themselves that --private-registry names mirrors for
    #[arg(long)]
    pub disable_default_registry_endpoint: bool,
    /// Start although another agent or kubelet reads the same manifests
    #[arg(long)]
    pub force: bool,
    /// Tell more; twice: everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}
