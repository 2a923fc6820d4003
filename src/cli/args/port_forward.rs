//! `port-forward`.

use clap::Args;

use super::PodName;

/// Which ports, and for whom.
#[derive(Debug, Args)]
pub struct PortForward {
    #[command(flatten)]
    pub pod: PodName,
    /// A port of the pod, by number or by its name in the manifest; before it the node's, where that is another. `:80` takes any
    #[arg(required = true, value_name = "[LOCAL_PORT:]REMOTE_PORT")]
    pub ports: Vec<String>,
    /// Where to listen: addresses, or localhost for 127.0.0.1 and ::1. With another than those, whoever reaches the node
    /// reaches the pod
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_value = "localhost")]
    pub address: Vec<String>,
}
