//! `logs`.

use clap::Args;

use super::PodName;

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
