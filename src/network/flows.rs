//! What the kernel remembers of flows of packets, and where it leads them.
//!
//! A flow of UDP is remembered for as long as somebody sends. So whoever spoke to a port of the node before a pod had it, or to
//! the pod that had it, would go on speaking to nobody, however long the new one is there. Streams begin anew by themselves.
//!
//! Numbers are those of `linux/netfilter/nfnetlink_conntrack.h`.

use std::net::IpAddr;

use libc::{NLM_F_ACK, NLM_F_DUMP};

use super::links::{self, address, family};
use crate::spec::{HostPort, Protocol, Range};
use crate::sys::netlink::{Batch, Family, Refused, Socket, attributes};

/// Messages of the subsystem for them.
const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;
/// How the first packet looked, how an answer to it looks, and which flows are meant.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const FILTER: u16 = 25;
/// In the former two: addresses, and the protocol's part with its number and the port that packets go to.
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PORT: u16 = 3;
/// In the latter: that the protocol's number and that port of the first packet count.
const BY_ORIGINAL: u16 = 1;
const BY_PORT: u32 = (1 << 3) | (1 << 5);
/// Length of `nfgenmsg`.
const HEAD: usize = 4;
const UDP: u8 = libc::IPPROTO_UDP as u8;

/// Forgets flows of UDP to `ports` of this machine, of the families of `ranges`, but those to one of the addresses beside each.
///
/// The kernel goes through all flows for that, some ten milliseconds a port and family.
pub fn forget(ports: &[(HostPort, Vec<IpAddr>)], ranges: &[Range]) -> Result<(), Refused> {
    let mut ports = ports.iter().filter(|(port, _)| port.protocol == Protocol::Udp).peekable();
    if ports.peek().is_none() {
        return Ok(());
    }
    let ours = links::own(&Socket::open(Family::Route)?)?;
    let socket = Socket::open(Family::Filter)?;
    for (port, addresses) in ports {
        for range in ranges {
            let head = [family(range.first()), 0, 0, 0];
            for flow in socket.ask(to_port(head, port.port))? {
                let Some(flow) = flow.body.get(HEAD..).and_then(Flow::of) else { continue };
                if flow.is_to(port, &ours) && !addresses.contains(&flow.answered_by) {
                    let mut batch = Batch::new();
                    batch.message(DELETE, NLM_F_ACK, &head).nested(ORIGINAL, |original| {
                        original.raw(flow.original);
                    });
                    match socket.ask(batch) {
                        // It ended by itself meanwhile.
                        Err(refused) if refused.cause.raw_os_error() == Some(libc::ENOENT) => {}
                        other => drop(other?),
                    }
                }
            }
        }
    }
    Ok(())
}

/// Asks for the flows of UDP to `port`, wherever they go.
fn to_port(head: [u8; HEAD], port: u16) -> Batch {
    let mut batch = Batch::new();
    batch
        .message(GET, NLM_F_DUMP, &head)
        .nested(ORIGINAL, |original| {
            original.nested(PROTOCOL, |protocol| {
                protocol.bytes(PROTOCOL_NUMBER, &[UDP]).bytes(PORT, &port.to_be_bytes());
            });
        })
        .nested(FILTER, |filter| {
            filter.number(BY_ORIGINAL, BY_PORT).number(2, 0);
        });
    batch
}

/// A flow, as it was told.
struct Flow<'a> {
    /// What it is known by.
    original: &'a [u8],
    protocol: u8,
    destination: IpAddr,
    port: u16,
    /// Who is at its other end.
    answered_by: IpAddr,
}

impl Flow<'_> {
    fn of(bytes: &[u8]) -> Option<Flow<'_>> {
        let original = find(bytes, ORIGINAL)?;
        let protocol = find(original, PROTOCOL)?;
        let [_, destination] = ends(original)?;
        let [answered_by, _] = ends(find(bytes, REPLY)?)?;
        Some(Flow {
            original,
            protocol: *find(protocol, PROTOCOL_NUMBER)?.first()?,
            destination,
            port: u16::from_be_bytes(find(protocol, PORT)?.try_into().ok()?),
            answered_by,
        })
    }

    /// Whether the rules would lead it to the pod that has `port`, if it began now.
    fn is_to(&self, port: &HostPort, ours: &[Range]) -> bool {
        let here = ours.iter().any(|range| range.contains(self.destination));
        let asked = port.address.is_none_or(|address| address == self.destination);
        (self.protocol, self.port) == (UDP, port.port) && here && asked
    }
}

/// Source and destination in one direction: of either family the odd numbers and the even ones.
fn ends(direction: &[u8]) -> Option<[IpAddr; 2]> {
    let addresses = find(direction, ADDRESSES)?;
    let at = |even: bool| attributes(addresses).find(|(kind, _)| kind.is_multiple_of(2) == even);
    Some([address(at(false)?.1)?, address(at(true)?.1)?])
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}
