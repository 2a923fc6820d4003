//! What the kernel remembers of flows of packets, and where it leads them.
//!
//! A flow of UDP is remembered for as long as somebody sends. So whoever spoke to a port of the node before a pod had it, or to
//! the pod that had it, would go on speaking to nobody, however long the new one is there. Streams begin anew by themselves.
//!
//! The kernel has them in two ways. Its text goes through 262,144 empty places in a millisecond where its messages take nine,
//! since these lock each of them; with many flows it is the other way round, as writing a line costs more than choosing.
//! Numbers are those of `linux/netfilter/nfnetlink_conntrack.h`.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use libc::{NLM_F_ACK, NLM_F_DUMP};

use super::links::{self, address, family, octets};
use crate::spec::{HostPort, Protocol, Range};
use crate::sys::netlink::{Batch, Family, Refused, Socket, attributes};

/// All flows as text, where the kernel was built with it (`NF_CONNTRACK_PROCFS`, as Debian's and Raspberry Pi's are), and how
/// many there are.
const TEXT: &str = "/proc/net/nf_conntrack";
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
/// Up to so many flows the text is the faster way.
const FEW: u32 = 2000;

/// Messages of the subsystem for them.
const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;
/// How the first packet looked, how an answer to it looks, and which flows are meant.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const FILTER: u16 = 25;
/// In the former two: addresses, and the protocol's part with its number and the ports that packets come from and go to.
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PORTS: [u16; 2] = [2, 3];
/// In the latter: that the protocol's number and the second port of the first packet count.
const BY_ORIGINAL: u16 = 1;
const BY_PORT: u32 = (1 << 3) | (1 << 5);
/// Length of `nfgenmsg`.
const HEAD: usize = 4;
const UDP: u8 = libc::IPPROTO_UDP as u8;

/// Forgets flows of UDP to `ports` of this machine, of the families of `ranges`, but those to one of the addresses beside each.
pub fn forget(ports: &[(HostPort, Vec<IpAddr>)], ranges: &[Range]) -> Result<(), Refused> {
    let mut ports = ports.iter().filter(|(port, _)| port.protocol == Protocol::Udp).peekable();
    if ports.peek().is_none() {
        return Ok(());
    }
    let ours = links::own(&Socket::open(Family::Route)?)?;
    let socket = Socket::open(Family::Filter)?;
    let written = written()?;
    for (port, addresses) in ports {
        let asked = if written.is_none() { asked(&socket, port.port, ranges)? } else { Vec::new() };
        let flows = written.iter().chain([&asked]).flatten();
        for flow in flows.filter(|flow| flow.is_to(port, &ours) && !addresses.contains(&flow.answered_by)) {
            match socket.ask(flow.end()) {
                // It ended by itself meanwhile.
                Err(refused) if refused.cause.raw_os_error() == Some(libc::ENOENT) => {}
                other => drop(other?),
            }
        }
    }
    Ok(())
}

/// All flows of UDP, out of the kernel's text. Nothing where it has none, or too many for it.
fn written() -> Result<Option<Vec<Flow>>, Refused> {
    let count = fs::read_to_string(COUNT).ok().and_then(|count| count.trim().parse().ok());
    if count.is_none_or(|count: u32| FEW < count) {
        return Ok(None);
    }
    match fs::read_to_string(TEXT) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => Ok(Some(text?.lines().filter_map(Flow::of_line).collect())),
    }
}

/// The flows of UDP to `port`, wherever they go.
fn asked(socket: &Socket, port: u16, ranges: &[Range]) -> Result<Vec<Flow>, Refused> {
    let mut flows = Vec::new();
    for range in ranges {
        let mut batch = Batch::new();
        batch
            .message(GET, NLM_F_DUMP, &[family(range.first()), 0, 0, 0])
            .nested(ORIGINAL, |original| {
                original.nested(PROTOCOL, |protocol| {
                    protocol.bytes(PROTOCOL_NUMBER, &[UDP]).bytes(PORTS[1], &port.to_be_bytes());
                });
            })
            .nested(FILTER, |filter| {
                filter.number(BY_ORIGINAL, BY_PORT).number(2, 0);
            });
        let answers = socket.ask(batch)?;
        flows.extend(answers.iter().filter_map(|flow| Flow::of(flow.body.get(HEAD..)?)));
    }
    Ok(flows)
}

/// A flow of UDP.
#[derive(Debug, PartialEq)]
struct Flow {
    /// The ends of its first packet.
    from: SocketAddr,
    to: SocketAddr,
    /// Who is at its other end.
    answered_by: IpAddr,
}

impl Flow {
    /// As a message tells of it.
    fn of(bytes: &[u8]) -> Option<Flow> {
        let original = find(bytes, ORIGINAL)?;
        let protocol = find(original, PROTOCOL)?;
        let port = |kind| Some(u16::from_be_bytes(find(protocol, kind)?.try_into().ok()?));
        let [from, to] = ends(original)?;
        let flow = Flow {
            from: (from, port(PORTS[0])?).into(),
            to: (to, port(PORTS[1])?).into(),
            answered_by: ends(find(bytes, REPLY)?)?[0],
        };
        (find(protocol, PROTOCOL_NUMBER)? == [UDP]).then_some(flow)
    }

    /// As the text does: family, protocol, seconds, how the first packet looked, how an answer does.
    fn of_line(line: &str) -> Option<Flow> {
        line.split_whitespace().nth(2).filter(|protocol| *protocol == "udp")?;
        let words = line.split_whitespace().filter_map(|word| word.split_once('='));
        let named = |name| words.clone().filter(move |(key, _)| *key == name).map(|(_, value)| value);
        let (mut sources, destination) = (named("src"), named("dst").next()?);
        let port = |name| named(name).next()?.parse().ok();
        Some(Flow {
            from: (sources.next()?.parse::<IpAddr>().ok()?, port("sport")?).into(),
            to: (destination.parse::<IpAddr>().ok()?, port("dport")?).into(),
            answered_by: sources.next()?.parse().ok()?,
        })
    }

    /// Whether the rules would lead it to the pod that has `port`, if it began now.
    fn is_to(&self, port: &HostPort, ours: &[Range]) -> bool {
        let here = ours.iter().any(|range| range.contains(self.to.ip()));
        let asked = port.address.is_none_or(|address| address == self.to.ip());
        self.to.port() == port.port && here && asked
    }

    /// Asks for its end.
    fn end(&self) -> Batch {
        let mut batch = Batch::new();
        let first = if self.from.is_ipv4() { 1 } else { 3 };
        batch.message(DELETE, NLM_F_ACK, &[family(self.from.ip()), 0, 0, 0]).nested(ORIGINAL, |original| {
            original
                .nested(ADDRESSES, |addresses| {
                    addresses.bytes(first, &octets(self.from.ip())).bytes(first + 1, &octets(self.to.ip()));
                })
                .nested(PROTOCOL, |protocol| {
                    protocol.bytes(PROTOCOL_NUMBER, &[UDP]);
                    for (kind, end) in PORTS.into_iter().zip([self.from, self.to]) {
                        protocol.bytes(kind, &end.port().to_be_bytes());
                    }
                });
        });
        batch
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_of_flows_of_udp_what_messages_say() {
        let check = |line: &str, expected: Option<[&str; 3]>| {
            let flow = expected.and_then(|[from, to, answered_by]| {
                Some(Flow {
                    from: from.parse().ok()?,
                    to: to.parse().ok()?,
                    answered_by: answered_by.parse().ok()?,
                })
            });
            assert_eq!(flow.is_some(), expected.is_some());
            assert_eq!(Flow::of_line(line), flow, "{line}");
        };
        check(
            "ipv4     2 udp      17 29 src=192.0.2.7 dst=192.0.2.1 sport=40000 dport=53 src=10.0.0.2 dst=192.0.2.7 sport=53 \
             dport=40000 [ASSURED] mark=0 zone=0 use=2",
            Some(["192.0.2.7:40000", "192.0.2.1:53", "10.0.0.2"]),
        );
        check(
            "ipv6     10 udp      17 1 src=2001:db8:0:0:0:0:0:7 dst=2001:db8:0:0:0:0:0:1 sport=9 dport=8 [UNREPLIED] \
             src=2001:db8:0:0:0:0:0:1 dst=2001:db8:0:0:0:0:0:7 sport=8 dport=9 mark=0 zone=0 use=2",
            Some(["[2001:db8::7]:9", "[2001:db8::1]:8", "2001:db8::1"]),
        );
        check(
            "ipv4     2 tcp      6 299 ESTABLISHED src=1.2.3.4 dst=1.2.3.5 sport=1 dport=2 src=1.2.3.5 dst=1.2.3.4",
            None,
        );
        check("ipv4     2 udp      17 29 src=192.0.2.7 dst=192.0.2.1 sport=40000 dport=53", None);
        check("", None);
    }
}
