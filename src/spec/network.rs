//! Names that a pod is called by, and those it finds others by.

use serde::{Deserialize, Serialize};

/// Which name servers a pod asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsPolicy {
    /// The cluster's, but for a pod in the node's network, which asks the node's.
    #[default]
    ClusterFirst,
    /// The cluster's.
    ClusterFirstWithHostNet,
    /// The node's.
    Default,
    /// Those of its `dnsConfig` alone.
    None,
}

/// `spec.dnsConfig`: what comes on top of what the policy gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DnsConfig {
    /// `nameservers`, in order.
    pub servers: Vec<String>,
    /// `searches`, in order.
    pub searches: Vec<String>,
    /// `options`, in order: name and value.
    pub options: Vec<(String, Option<String>)>,
}

/// One of `spec.hostAliases`: a line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostAlias {
    /// `ip`, as written.
    pub ip: String,
    /// `hostnames`, in order.
    pub hostnames: Vec<String>,
}
