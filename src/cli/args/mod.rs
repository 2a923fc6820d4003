//! The command line's grammar: what is common here, each verb's own in its file.

mod agent;
mod describe;
mod exec;
mod get;
mod image;
mod logs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use agent::Agent;
pub use describe::{Describe, DescribeKind};
pub use exec::Exec;
pub use get::{Get, Kind, Output};
pub use image::{
    Image, ImageImport, ImageInspect, ImageLs, ImageOutput, ImageRm, ImageVerb, ImageVerify, InspectOutput,
};
pub use logs::Logs;

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
    /// Take in, list, look at and remove images
    Image(Image),
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
