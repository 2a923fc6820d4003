//! `agent`.

use std::path::PathBuf;

use clap::Args;

use crate::config;

/// Flags of the agent.
#[derive(Debug, Args)]
pub struct Agent {
    /// Images, volumes, the node's name
    #[arg(long, value_name = "DIR", default_value = config::DATA_DIR, value_parser = config::directory)]
    pub data_dir: PathBuf,
    /// The manifests [default: <data-dir>/agent/pod-manifests]
    #[arg(long, value_name = "DIR", value_parser = config::directory)]
    pub pod_manifest_path: Option<PathBuf>,
    /// The node's name, appended to each pod's [default: the host's name at the first start]
    #[arg(long, value_name = "NAME", value_parser = config::node_name)]
    pub node_name: Option<String>,
    /// Logs of containers
    #[arg(long, value_name = "DIR", default_value = config::LOG_DIR, value_parser = config::directory)]
    pub log_dir: PathBuf,
    /// The cgroup that all pods are below
    #[arg(long, value_name = "CGROUP", default_value = "/", value_parser = config::cgroup)]
    pub cgroup_root: String,
    /// Start although another agent or kubelet reads the same manifests
    #[arg(long)]
    pub force: bool,
    /// Tell more; twice: everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}
