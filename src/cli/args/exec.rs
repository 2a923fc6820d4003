//! `exec`.

use clap::Args;

use super::PodName;

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
