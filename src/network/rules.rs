//! What is done to packets, in one table of nf_tables that bears the instance's name: made as a whole, in place of what was there.
//! Ports of the node are in maps of it, which one pod's come into and go from in some ten microseconds.
//!
//! Ports of the node lead to pods for packets to an address of this machine alone: what is only passed on is nobody's to take
//! (CVE-2025-67499). What pods send out bears the node's address.
//!
//! Invariant: no other table is touched, nor is any packet that is neither to this machine nor from or to a pod.
//! Invariant: before loopback addresses are routed to the bridge, nobody but this machine can speak to or as one of them
//! (CVE-2020-8558).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::family::Of;
use super::links::octets;
use super::nftables::{Element, Hook, Table};
use crate::spec::{HostPort, Protocol, Range};
use crate::sys::netlink::{Family, Refused, Socket};

/// Priorities as `nft` names them: `raw`, `dstnat`, `srcnat`.
const RAW: i32 = -300;
const DESTINATION: i32 = -100;
const SOURCE: i32 = 100;

/// What the rules are made of.
pub struct Rules<'a> {
    /// The table's name, which is the bridge's too.
    pub name: &'a str,
    /// Where pods have their addresses from.
    pub ranges: &'a [Range],
    /// Ports of the node, and the addresses of the pods that have them.
    pub ports: Vec<(HostPort, Vec<IpAddr>)>,
    /// To nf_tables. One that is closed after something was taken away waits for it to be gone, some ten milliseconds.
    pub socket: &'a Socket,
}

impl Rules<'_> {
    /// Puts them in place of those that were there, at one instant.
    pub fn install(&self) -> Result<(), Refused> {
        let mut table = Table::anew(self.name);
        table.chain("guard", "filter", Hook::Prerouting, RAW);
        table.chain("prerouting", "nat", Hook::Prerouting, DESTINATION);
        table.chain("output", "nat", Hook::Output, DESTINATION);
        table.chain("postrouting", "nat", Hook::Postrouting, SOURCE);
        let loopback = loopback();
        table.rule("guard", |rule| rule.of(Of::Four).in_by_link(false, "lo").to(true, &loopback).dropped());
        table.rule("guard", |rule| rule.of(Of::Four).in_by_link(false, "lo").from(true, &loopback).dropped());
        for range in self.ranges {
            let of = Of::address(range.first());
            self.redirect(&mut table, of);
            table.rule("postrouting", |rule| {
                rule.of(of).from(true, range).to(false, range).by_link(false, self.name).masqueraded();
            });
            // A pod that speaks to a port of the node is answered by way of the node, not by the other pod itself.
            table.rule("postrouting", |rule| {
                rule.of(of).from(true, range).to(true, range).rewritten().masqueraded();
            });
        }
        table.rule("postrouting", |rule| {
            rule.of(Of::Four).from(true, &loopback).by_link(true, self.name).masqueraded();
        });
        table.send(self.socket)
    }

    /// Whether the table is there: whoever reloads rules of their own may clear all others away.
    pub fn is_there(&self) -> Result<bool, Refused> {
        Table::is_there(self.name, self.socket)
    }

    /// Adds these ports to the rules that are there.
    ///
    /// Fails, and changes nothing, where the table is not there or leads one of the ports elsewhere.
    pub fn lead(&self) -> Result<(), Refused> {
        self.change(Table::add)
    }

    /// Takes these ports from the rules that are there. Fails, and changes nothing, where one of them leads nowhere.
    pub fn leave(&self) -> Result<(), Refused> {
        self.change(Table::take)
    }

    fn change<'a>(&'a self, change: fn(&mut Table<'a>, &str, &[Element])) -> Result<(), Refused> {
        let mut table = Table::as_it_is(self.name);
        for range in self.ranges {
            let of = Of::address(range.first());
            let ([narrow, wide], (ones, all)) = (maps(of), self.elements(of));
            change(&mut table, narrow, &ones);
            change(&mut table, wide, &all);
        }
        table.send(self.socket)
    }

    /// Maps of one family, and the rules that look into them: one's own address counts before all addresses.
    fn redirect(&self, table: &mut Table<'_>, of: Of) {
        let ([narrow, wide], (ones, all)) = (maps(of), self.elements(of));
        table.map(narrow, of, true);
        table.map(wide, of, false);
        table.add(narrow, &ones);
        table.add(wide, &all);
        for chain in ["prerouting", "output"] {
            for (map, is_narrow) in [(narrow, true), (wide, false)] {
                table.rule(chain, |rule| {
                    let rule = rule.of(of).for_this_machine();
                    // No way leads from there to a pod, and who is refused need not wait.
                    let rule = match of {
                        Of::Four => rule,
                        Of::Six => rule.to(false, &only(Ipv6Addr::LOCALHOST.into())),
                    };
                    rule.redirected_by(map, of, is_narrow);
                });
            }
        }
    }

    /// Ports of one address of the node, and of all.
    fn elements(&self, of: Of) -> (Vec<Element>, Vec<Element>) {
        let (mut ones, mut all) = (BTreeMap::new(), BTreeMap::new());
        for (port, addresses) in &self.ports {
            let Some(address) = addresses.iter().find(|address| Of::address(**address) == of) else {
                continue;
            };
            let padded = |number: u16| [number.to_be_bytes(), [0; 2]].concat();
            let protocol = vec![number(port.protocol), 0, 0, 0];
            let value = [octets(*address), padded(port.container)].concat();
            match port.address {
                None => drop(all.insert([protocol, padded(port.port)].concat(), value)),
                Some(at) if Of::address(at) == of => {
                    ones.insert([protocol, octets(at), padded(port.port)].concat(), value);
                }
                Some(_) => {}
            }
        }
        (ones.into_iter().collect(), all.into_iter().collect())
    }
}

/// The maps of one family: ports of one address of the node, and of all.
fn maps(of: Of) -> [&'static str; 2] {
    match of {
        Of::Four => ["one4", "all4"],
        Of::Six => ["one6", "all6"],
    }
}

/// Takes the table called `name` away, if it is there.
pub fn remove(name: &str) -> Result<(), Refused> {
    Table::without(name).send(&Socket::open(Family::Filter)?)
}

fn number(protocol: Protocol) -> u8 {
    (match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
        Protocol::Sctp => libc::IPPROTO_SCTP,
    }) as u8
}

/// 127.0.0.0/8.
fn loopback() -> Range {
    Range::around(Ipv4Addr::LOCALHOST.into(), 8).expect("an address has 32 bits")
}

/// `address` alone.
fn only(address: IpAddr) -> Range {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    Range::around(address, bits).expect("it has as many bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_once_in_the_map_that_it_belongs_to() {
        let port = |address: Option<&str>, port| HostPort {
            address: address.map(|address| address.parse().expect("an address")),
            protocol: Protocol::Udp,
            port,
            container: 53,
        };
        let addresses = vec![IpAddr::from([10, 42, 0, 2])];
        let ports = [port(None, 5353), port(None, 5353), port(Some("192.0.2.1"), 1), port(Some("::1"), 2)];
        let ports = ports.into_iter().map(|port| (port, addresses.clone())).collect();
        let socket = Socket::open(Family::Filter).expect("a socket");
        let rules = Rules { name: "hf", ranges: &[], ports, socket: &socket };
        let (ones, all) = rules.elements(Of::Four);
        let value = vec![10, 42, 0, 2, 0, 53, 0, 0];
        assert_eq!(all, [(vec![17, 0, 0, 0, 0x14, 0xe9, 0, 0], value.clone())]);
        assert_eq!(ones, [(vec![17, 0, 0, 0, 192, 0, 2, 1, 0, 1, 0, 0], value)]);
        assert_eq!(rules.elements(Of::Six), (vec![], vec![]));
    }
}
