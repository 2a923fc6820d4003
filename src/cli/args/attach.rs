//! `attach`.

use clap::Args;

use super::PodName;

/// To what, and how much.
#[derive(Debug, Args)]
pub struct Attach {
    #[command(flatten)]
    pub pod: PodName,
    /// The container [default: the pod's first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// Pass stdin on to the container; its manifest must have `stdin: true`
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Give it this terminal, with -i; its manifest must have `tty: true`. Ctrl-P Ctrl-Q leaves it
    #[arg(short = 't', long)]
    pub tty: bool,
    /// Print only what the container does, and errors
    #[arg(short, long)]
    pub quiet: bool,
}
