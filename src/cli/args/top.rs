//! `top`.

use clap::{Args, Subcommand, ValueEnum};

use super::Namespace;

/// Whose use is shown.
#[derive(Debug, Subcommand)]
pub enum Top {
    /// Processors and memory of pods, during one second from now
    #[command(visible_alias = "pod", alias = "po")]
    Pods(TopPods),
    /// Processors and memory of the node, during one second from now
    #[command(visible_alias = "nodes", alias = "no")]
    Node(TopNode),
    /// What probes are answered, and what they cost
    #[command(long_flag = "probes", visible_alias = "probe")]
    Probes(TopProbes),
}

/// Which pods, and how.
#[derive(Debug, Args)]
pub struct TopPods {
    /// One of them by name
    pub name: Option<String>,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Pods of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Pods with these labels, such as app=web,tier!=back,zone in (a,b)
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "name")]
    pub selector: Option<String>,
    /// Each container of a pod
    #[arg(long)]
    pub containers: bool,
    /// Who uses most comes first
    #[arg(long, value_name = "WHAT")]
    pub sort_by: Option<Sort>,
    /// Leave the head out
    #[arg(long)]
    pub no_headers: bool,
    /// The sum of all, last
    #[arg(long)]
    pub sum: bool,
    /// More columns: processes, and bytes read and written since the pod, or with --containers the container, started, as a whole
    /// and by day
    #[arg(long)]
    pub wide: bool,
}

/// Which probes, and how.
#[derive(Debug, Args)]
pub struct TopProbes {
    #[command(flatten)]
    pub namespace: Namespace,
    /// Pods of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Leave the head out
    #[arg(long)]
    pub no_headers: bool,
}

/// How.
#[derive(Debug, Args)]
pub struct TopNode {
    /// The node's name, of which there is one
    pub name: Option<String>,
    /// More columns: the disk of the data directory, and bytes written to it since the boot, as a whole and by day
    #[arg(long)]
    pub wide: bool,
    /// Leave the head out
    #[arg(long)]
    pub no_headers: bool,
}

/// What a table is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Processors
    Cpu,
    /// Memory
    Memory,
}
