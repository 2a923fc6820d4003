//! Names that a pod is called by, those it finds others by, and where it is found on the node.

use core::net::IpAddr;
use std::fmt;

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

/// A port of the node that a pod takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// On which of the node's addresses; on all where absent.
    pub address: Option<IpAddr>,
    /// Of which protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// The number of the pod's port that it leads to; the same in the node's network.
    #[serde(default)]
    pub container: u16,
}

/// `protocol` of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
    /// Streams of telephony.
    Sctp,
}

impl HostPort {
    /// Whether two pods cannot have both: the same number and protocol, on one address or on all.
    pub fn conflicts(&self, other: &HostPort) -> bool {
        let meet = match (self.address, other.address) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        (self.protocol, self.port) == (other.protocol, other.port) && meet
    }
}

impl fmt::Display for HostPort {
    /// `TCP 8080`, `UDP 192.0.2.1:53`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.protocol {
            Protocol::Tcp => "TCP ",
            Protocol::Udp => "UDP ",
            Protocol::Sctp => "SCTP ",
        })?;
        match self.address {
            None => write!(f, "{}", self.port),
            Some(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_meet_on_one_address_or_on_all() {
        let port = |address: &str, protocol, port| HostPort {
            address: address.parse().ok(),
            protocol,
            port,
            container: 80,
        };
        let all = port("", Protocol::Tcp, 80);
        let one = port("192.0.2.1", Protocol::Tcp, 80);
        for (other, with_all, with_one) in [
            (all, true, true),
            (one, true, true),
            (port("192.0.2.2", Protocol::Tcp, 80), true, false),
            (port("::1", Protocol::Tcp, 80), true, false),
            (port("", Protocol::Udp, 80), false, false),
            (port("", Protocol::Tcp, 81), false, false),
        ] {
            assert_eq!((all.conflicts(&other), one.conflicts(&other)), (with_all, with_one), "{other}");
            assert_eq!((other.conflicts(&all), other.conflicts(&one)), (with_all, with_one), "{other}");
        }
        let shown = [all, one, port("::1", Protocol::Sctp, 1)].map(|port| port.to_string());
        assert_eq!(shown, ["TCP 80", "TCP 192.0.2.1:80", "SCTP [::1]:1"]);
    }
}
