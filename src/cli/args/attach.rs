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
    /// Pass stdin on to the container, where its manifest has `stdin: true`
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Be the container's terminal, where its manifest has `tty: true`; with -i. Ctrl-P Ctrl-Q leaves it
    #[arg(short = 't', long)]
    pub tty: bool,
    /// Print only what the container does, and errors
    #[arg(short, long)]
    pub quiet: bool,
}
