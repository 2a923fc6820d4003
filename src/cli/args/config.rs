//! `config`.

use clap::{Args, ValueEnum};

use super::Agent;

/// What an agent with these flags would go by.
#[derive(Debug, Args)]
pub struct Config {
    #[command(flatten)]
    pub agent: Agent,
    /// As a document instead of a table
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<ConfigOutput>,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfigOutput {
    /// JSON
    Json,
}
