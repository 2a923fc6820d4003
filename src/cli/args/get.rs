//! `get`.

use clap::{Args, ValueEnum};

use super::Namespace;

/// What to list.
#[derive(Debug, Args)]
pub struct Get {
    /// What to list
    pub kind: Kind,
    /// One of them by name
    pub name: Option<String>,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Pods of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Another format than a table: json and yaml are core/v1
    #[arg(short, long)]
    pub output: Option<Output>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Pods
    #[value(aliases = ["pod", "po"])]
    Pods,
    /// Files of the manifests directory, and what became of each
    #[value(alias = "manifest")]
    Manifests,
}

/// Formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// The table with more columns
    Wide,
}
