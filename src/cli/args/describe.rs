//! `describe`.

use clap::{Args, ValueEnum};

use super::Namespace;

/// What to describe.
#[derive(Debug, Args)]
pub struct Describe {
    /// What to describe
    pub kind: DescribeKind,
    /// The pod's name; all pods without
    pub name: Option<String>,
    #[command(flatten)]
    pub namespace: Namespace,
}

/// What can be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DescribeKind {
    /// A pod
    #[value(aliases = ["pods", "po"])]
    Pod,
    /// An image
    #[value(alias = "images")]
    Image,
}
