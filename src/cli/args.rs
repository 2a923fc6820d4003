//! The command line's grammar.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config;

/// Runs the Pods found in a directory: no cluster, no containerd, no kubelet.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// State that dies with the boot: one instance of the agent, for every command
    #[arg(long, global = true, value_name = "DIR", default_value = config::RUNTIME_DIR, value_parser = config::directory)]
    pub runtime_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the pods whose manifests are in the manifests directory
    Agent(Agent),
    /// List pods, or the files of the manifests directory
    Get(Get),
    /// Show everything about a pod
    Describe(Describe),
    /// Print what a container wrote
    Logs(Logs),
    /// Run a command in a container
    Exec(Exec),
    /// End a pod's containers and start them anew
    Restart(PodName),
    /// End all pods, in order, and the agent
    Down,
    /// Show it all at work, in a directory of its own that is removed at the end
    Demo,
    /// Serve a small page: the demo's workload
    #[command(hide = true)]
    Hello,
}

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

/// A pod, as a person names it.
#[derive(Debug, Args)]
pub struct PodName {
    /// The pod's name, with the node's name in it or without
    #[arg(value_name = "POD", value_parser = pod_name)]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
}

/// A pod's name, also as kubectl takes it: `pod/NAME`.
fn pod_name(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        None => Ok(text.to_string()),
        Some(("pod" | "pods" | "po", name)) if !name.contains('/') => Ok(name.to_string()),
        Some(_) => Err("write NAME or pod/NAME; the namespace is given by -n".to_string()),
    }
}

/// A namespace.
#[derive(Debug, Args)]
pub struct Namespace {
    /// The pod's namespace
    #[arg(short, long = "namespace", value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
}

/// What to list.
#[derive(Debug, Args)]
pub struct Get {
    /// What to list
    pub kind: Kind,
    /// One of them by name
    pub name: Option<String>,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Pods of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Another format than a table: json and yaml are core/v1
    #[arg(short, long)]
    pub output: Option<Output>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Pods
    #[value(aliases = ["pod", "po"])]
    Pods,
    /// Files of the manifests directory, and what became of each
    #[value(alias = "manifest")]
    Manifests,
}

/// Formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// The table with more columns
    Wide,
}

/// What to describe.
#[derive(Debug, Args)]
pub struct Describe {
    /// What to describe
    pub kind: DescribeKind,
    /// The pod's name; all pods without
    pub name: Option<String>,
    #[command(flatten)]
    pub namespace: Namespace,
}

/// What can be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DescribeKind {
    /// A pod
    #[value(aliases = ["pods", "po"])]
    Pod,
}

/// Which log, and how much of it.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    pub pod: PodName,
    /// The container [default: the pod's first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// Go on until the container ends
    #[arg(short, long)]
    pub follow: bool,
    /// The run before
    #[arg(short, long)]
    pub previous: bool,
    /// Only the last lines; all of them with -1
    #[arg(long, value_name = "LINES", default_value_t = -1, allow_negative_numbers = true)]
    pub tail: i64,
    /// When each line was written
    #[arg(long)]
    pub timestamps: bool,
}

/// What to run, and where.
#[derive(Debug, Args)]
pub struct Exec {
    #[command(flatten)]
    pub pod: PodName,
    /// The container [default: the pod's first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// Pass stdin on to the command
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Refused by name, since kubectl's users type it without thinking
    #[arg(short = 't', long, hide = true)]
    pub tty: bool,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
