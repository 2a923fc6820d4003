//! `doctor`.

use std::path::PathBuf;

use clap::Args;

use super::Report;
use crate::config;

/// Which node is looked at, and how it is told.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Look at the node as an agent with this file would have it, a k3s config.yaml or a KubeletConfiguration
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Images, volumes, the node's name [default: the agent's]
    #[arg(long, value_name = "DIR", value_parser = config::directory)]
    pub data_dir: Option<PathBuf>,
    /// The manifests [default: the agent's]
    #[arg(long, value_name = "DIR", value_parser = config::directory)]
    pub pod_manifest_path: Option<PathBuf>,
    /// Logs of containers [default: the agent's]
    #[arg(long, value_name = "DIR", value_parser = config::directory)]
    pub log_dir: Option<PathBuf>,
    /// The cgroup that all pods are below [default: the agent's]
    #[arg(long, value_name = "CGROUP", value_parser = config::cgroup)]
    pub cgroup_root: Option<String>,
    /// Tell what is well too
    #[arg(short, long)]
    pub verbose: bool,
    /// For programs
    #[arg(short, long)]
    pub output: Option<Report>,
}
