//! `exec`.

use clap::Args;

use super::PodName;

/// What to run, and where.
#[derive(Debug, Args)]
#[command(override_usage = "holdfast exec [OPTIONS] POD -- COMMAND...")]
pub struct Exec {
    #[command(flatten)]
    pub pod: PodName,
    /// The container [default: the pod's first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// Pass stdin on to the command
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Give it this terminal, with -i
    #[arg(short = 't', long)]
    pub tty: bool,
    /// Print only what the command does, and errors
    #[arg(short, long)]
    pub quiet: bool,
    /// A command where kubectl once took it: refused, with what to type
    #[arg(hide = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// The command and its arguments, after `--`
    #[arg(last = true, required_unless_present = "words", value_name = "COMMAND")]
    pub command: Vec<String>,
}
