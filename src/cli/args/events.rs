//! `events`.

use clap::{Args, ValueEnum};

use super::Namespace;

/// Which events, and how.
#[derive(Debug, Args)]
pub struct Events {
    /// What happened to this one alone: pod/NAME or node/NAME
    #[arg(long = "for", value_name = "KIND/NAME")]
    pub about: Option<String>,
    /// Those of these types alone
    #[arg(long, value_name = "TYPE", value_delimiter = ',', ignore_case = true)]
    pub types: Vec<EventType>,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Another format than a table, as for `get`
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
    /// No line with the names of the columns
    #[arg(long)]
    pub no_headers: bool,
    /// Go on, and tell each event
    #[arg(short, long)]
    pub watch: bool,
}

/// Whether somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum EventType {
    /// As it should be
    Normal,
    /// Somebody should look
    Warning,
}
