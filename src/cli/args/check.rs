//! `check`.

use clap::{Args, ValueEnum};

use crate::config;

/// What to judge.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  holdfast check web.yaml db.yaml      two files, as if they lay in one manifests directory
  holdfast check manifests/            a whole directory, as the agent would list it
  helm template web | holdfast check - what another tool writes
  holdfast check -o json manifests/    for a CI job

Exit code: 0 nothing is refused, 1 something is, 2 something could not be judged.")]
pub struct Check {
    /// Manifest files, manifests directories, or - for stdin
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<String>,
    /// The node that the pods are meant for: its name is appended to theirs [default: node, which stands for any]
    #[arg(long, value_name = "NAME", value_parser = config::node_name)]
    pub node_name: Option<String>,
    /// Another format than lines
    #[arg(short, long, value_enum)]
    pub output: Option<CheckOutput>,
    /// Only what is wrong: no warnings, notes or summary
    #[arg(short, long)]
    pub quiet: bool,
}

/// Formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// Every file's verdict, as the agent publishes it
    Json,
}
