//! The command line's grammar: what is common here, each verb's own in its file.

mod agent;
mod attach;
mod check;
mod completion;
mod config;
mod cp;
mod describe;
mod doctor;
mod events;
mod exec;
mod get;
mod help;
mod image;
mod logs;
mod port_forward;
mod status;
mod top;

use std::path::PathBuf;

use clap::{ArgAction, Args, Command, CommandFactory, Parser, Subcommand};

pub use agent::Agent;
pub use attach::Attach;
pub use check::{Check, CheckOutput};
pub use completion::{Completion, Shell, Typed};
pub use config::Config;
pub use cp::{Cp, Place};
pub use describe::{Describe, DescribeKind, Target};
pub use doctor::Doctor;
pub use events::{EventType, Events};
pub use exec::Exec;
pub use get::Get;
pub use image::{
    Image, ImageImport, ImageInspect, ImageLs, ImageOutput, ImagePull, ImageRm, ImageSave, ImageVerb,
    ImageVerify, InspectOutput,
};
pub use logs::Logs;
pub use port_forward::PortForward;
pub use status::{Report, Status};
pub use top::{Sort, Top, TopNode, TopPods, TopProbes};

use super::colour::When;
use super::habits;
use crate::config as configuration;

/// The heading of flags that every verb has.
const FOR_ALL: &str = "Options of every command";

/// The whole grammar, with its help.
pub fn grammar() -> Command {
    help::with_help(Arguments::command())
}

/// Runs the Pods found in a directory: no cluster, no containerd, no kubelet.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, disable_help_subcommand = true, disable_help_flag = true)]
pub struct Arguments {
    /// State that dies with the boot; names the instance of the agent
    #[arg(long, global = true, value_name = "DIR", default_value = configuration::RUNTIME_DIR, value_parser = configuration::directory,
        help_heading = FOR_ALL)]
    pub runtime_dir: PathBuf,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = FOR_ALL)]
    pub color: When,
    /// Print help
    #[arg(short, long, global = true, action = ArgAction::HelpShort, help_heading = FOR_ALL)]
    help: Option<bool>,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the pods whose manifests are in the manifests directory
    Agent(Agent),
    /// List pods, manifests, events, images, or the node
    Get(Get),
    /// Show what happened, the latest last
    Events(Events),
    /// Show everything about pods, manifests, images, or the node
    Describe(Describe),
    /// Judge manifests as the agent would, without one: on a laptop, in CI
    Check(Check),
    /// Print what a container wrote
    Logs(Logs),
    /// Run a command in a container
    Exec(Exec),
    /// Copy files into a container or out of it, by the tar that is in it
    Cp(Cp),
    /// Show the whole node on one screen; exit code 1 where something needs a person
    Status(Status),
    /// Show what an agent with these flags and this file would go by, and where each value comes from
    Config(Config),
    /// Look for whatever keeps pods from running well, and say what to do; exit code 1 with warnings, 2 with problems
    Doctor(Doctor),
    /// Show what pods or the node use now
    #[command(subcommand)]
    Top(Top),
    /// Watch what a container prints from now on, and write to what it reads
    Attach(Attach),
    /// Let what connects to a port of this node speak to a port in a pod
    PortForward(PortForward),
    /// Pull, take in, list, look at and remove images
    Image(Image),
    /// End a pod's containers and start them anew
    Restart(PodName),
    /// End all pods, in order, and the agent
    Down,
    /// Show it all at work, in a directory of its own that is removed at the end
    Demo,
    /// Print a script by which a shell completes command lines
    Completion(Completion),
    /// Say what may come next
    #[command(name = "__complete", hide = true)]
    Complete(Typed),
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
        Some((kind, _)) => Err(habits::absent(kind)
            .unwrap_or_else(|| "write NAME or pod/NAME; the namespace is given by -n".to_string())),
    }
}

/// A namespace.
#[derive(Debug, Args)]
pub struct Namespace {
    /// The pod's namespace
    #[arg(short, long = "namespace", value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
}
