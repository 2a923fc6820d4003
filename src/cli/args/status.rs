//! `status`.

use clap::{Args, ValueEnum};

/// How the node is shown.
#[derive(Debug, Args)]
pub struct Status {
    /// For programs
    #[arg(short, long)]
    pub output: Option<Report>,
}

/// Formats of what is no Kubernetes object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// JSON
    Json,
}
