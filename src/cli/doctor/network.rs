//! Whether pods can have a network, and who else is in its way.

use super::{Findings, Level, Place};
use crate::network;

pub fn check(place: &Place) -> Findings {
    let mut findings = Findings::new("network");
    if !place.connects_pods {
        findings.ok("pods are to have none but a loopback");
        return findings;
    }
    if !nix::unistd::geteuid().is_root() {
        findings.add(Level::Unseen, "whether pods can have one", "run this as root");
        return findings;
    }
    match network::try_out() {
        Ok(()) => findings.ok("pods can have links, addresses and rules for packets"),
        Err(error) => findings.warning(
            format!("pods cannot have all of it: {error:#}"),
            "load the modules veth, bridge, nf_tables, nft_nat, nft_masq, nft_fib_inet and nft_ct, or say --pod-cidr none",
        ),
    }
    let bridge = place.runtime.instance();
    for chain in network::in_the_way(&bridge).unwrap_or_default() {
        findings.warning(
            format!("chain {chain} drops what it has no rule for: pods may not reach beyond this machine, nor be reached by a hostPort"),
            format!("let whoever has that table accept packets that come in by {bridge}, and those that go out by it"),
        );
    }
    findings
}
