//! What the kernel is told of links, addresses and routes, each a message or a few.
//!
//! Numbers are those of `linux/rtnetlink.h`, `linux/if_link.h` and `linux/if_addr.h`.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{
    IFLA_IFNAME, IFLA_MASTER, IFLA_MTU, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE,
};

use crate::spec::Range;
use crate::sys::netlink::{Answer, Batch, Refused, Socket, attributes};

/// What C's library does not name: in `IFLA_LINKINFO` the kind and what belongs to it, and in that of a veth its peer.
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
/// The same of a port of a bridge, and in the latter that packets may go out where they came in (`IFLA_BRPORT_MODE`).
const INFO_PORT_KIND: u16 = 4;
const INFO_PORT_DATA: u16 = 5;
const HAIRPIN: u16 = 4;
/// `IFA_ADDRESS` and `IFA_LOCAL`: without a peer both are the address.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Lengths of `ifinfomsg`, `ifaddrmsg` and `rtmsg`.
const LINK_HEAD: usize = 16;
const ROUTE_HEAD: usize = 12;
const UP: u32 = libc::IFF_UP as u32;
/// As Ethernet's.
const MTU: u32 = 1500;

/// A link that is there.
#[derive(Debug)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it was said to be, for people.
    pub alias: String,
    /// Number of the bridge that it is a port of; 0 for none.
    pub bridge: u32,
}

/// A pair of links, one of which is in another namespace.
pub struct Pair<'a> {
    /// The name of the end that is here.
    pub name: &'a str,
    /// What it is said to be.
    pub alias: &'a str,
    /// The bridge that it becomes a port of.
    pub bridge: u32,
    /// Where the other end is born.
    pub namespace: BorrowedFd<'a>,
    /// What that is called there.
    pub peer: &'a str,
}

/// The link called `name`.
pub fn find(socket: &Socket, name: &str) -> Result<Option<Link>, Refused> {
    let mut batch = Batch::new();
    batch.message(libc::RTM_GETLINK, NLM_F_ACK, &link_head(0, 0)).text(IFLA_IFNAME, name);
    match socket.ask(batch) {
        Ok(answers) => Ok(answers.iter().find_map(link)),
        Err(refused) if refused.cause.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// All links that are ports of `bridge`.
pub fn ports(socket: &Socket, bridge: u32) -> Result<Vec<Link>, Refused> {
    let mut batch = Batch::new();
    batch.message(libc::RTM_GETLINK, NLM_F_DUMP, &link_head(0, 0));
    let links = socket.ask(batch)?;
    Ok(links.iter().filter_map(link).filter(|link| link.bridge == bridge).collect())
}

/// The ranges that this machine knows a way to, but by `except`.
pub fn known(socket: &Socket, except: Option<u32>) -> Result<Vec<Range>, Refused> {
    let routes = routes(socket)?.into_iter().filter(|way| way.through.is_none() || way.through != except);
    Ok(routes.map(|way| way.to).collect())
}

/// The addresses that are this machine's own.
pub fn own(socket: &Socket) -> Result<Vec<Range>, Refused> {
    Ok(routes(socket)?.into_iter().filter(|way| way.kind == libc::RTN_LOCAL).map(|way| way.to).collect())
}

/// A way that packets take.
struct Way {
    to: Range,
    /// `rtm_type`.
    kind: u8,
    through: Option<u32>,
}

fn routes(socket: &Socket) -> Result<Vec<Way>, Refused> {
    let mut batch = Batch::new();
    batch.message(libc::RTM_GETROUTE, NLM_F_DUMP, &[0; ROUTE_HEAD]);
    let way = |answer: &Answer| {
        let (head, rest) = answer.body.split_at_checked(ROUTE_HEAD)?;
        let of = |wanted: u16| attributes(rest).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let to = Range::around(of(libc::RTA_DST).and_then(address)?, head[1])?;
        let way = Way { to, kind: head[7], through: of(libc::RTA_OIF).and_then(number) };
        (answer.kind == libc::RTM_NEWROUTE).then_some(way)
    };
    Ok(socket.ask(batch)?.iter().filter_map(way).collect())
}

/// Makes a bridge, which stays down. Its hardware address is given: else it would be that of any of its ports.
pub fn make_bridge(socket: &Socket, name: &str, alias: &str, hardware: [u8; 6]) -> Result<(), Refused> {
    let mut batch = Batch::new();
    batch
        .message(libc::RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &link_head(0, 0))
        .text(IFLA_IFNAME, name)
        .bytes(libc::IFLA_ADDRESS, &hardware)
        .number(IFLA_MTU, MTU)
        .nested(libc::IFLA_LINKINFO, |info| {
            info.text(INFO_KIND, "bridge");
        });
    name_it(&mut batch, name, alias);
    socket.ask(batch).map(drop)
}

/// Sets `index` up, with `addresses`; those that it has stay.
pub fn bring_up(socket: &Socket, index: u32, addresses: &[(IpAddr, u8)]) -> Result<(), Refused> {
    let mut batch = Batch::new();
    add_addresses(&mut batch, index, addresses);
    set_up(&mut batch, index);
    socket.ask(batch).map(drop)
}

/// Makes a pair of links in one message: this end is up and a port of its bridge, and the other was never here.
pub fn make_pair(socket: &Socket, pair: &Pair<'_>) -> Result<(), Refused> {
    let mut batch = Batch::new();
    batch
        .message(libc::RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &link_head(0, UP))
        .text(IFLA_IFNAME, pair.name)
        .number(IFLA_MTU, MTU)
        .number(IFLA_MASTER, pair.bridge)
        .nested(libc::IFLA_LINKINFO, |info| {
            info.text(INFO_KIND, "veth").nested(INFO_DATA, |data| {
                // Not up yet: this end is not either (ENOTCONN).
                data.nested(VETH_PEER, |peer| {
                    peer.raw(&link_head(0, 0))
                        .text(IFLA_IFNAME, pair.peer)
                        .number(IFLA_MTU, MTU)
                        .number(libc::IFLA_NET_NS_FD, pair.namespace.as_raw_fd().cast_unsigned());
                });
            });
        });
    name_it(&mut batch, pair.name, pair.alias);
    // A pod may speak to itself by a port of the node; where bridges pass packets by the rules for addresses, its answer comes
    // out where the question came in.
    batch.message(libc::RTM_NEWLINK, NLM_F_ACK, &link_head(0, 0)).text(IFLA_IFNAME, pair.name).nested(
        libc::IFLA_LINKINFO,
        |info| {
            info.text(INFO_PORT_KIND, "bridge").nested(INFO_PORT_DATA, |data| {
                data.bytes(HAIRPIN, &[1]);
            });
        },
    );
    socket.ask(batch).map(drop)
}

/// Sets `index` up, with `addresses` and the ways out through `gateways`.
pub fn settle(
    socket: &Socket,
    index: u32,
    addresses: &[(IpAddr, u8)],
    gateways: &[IpAddr],
) -> Result<(), Refused> {
    let mut batch = Batch::new();
    set_up(&mut batch, index);
    add_addresses(&mut batch, index, addresses);
    for gateway in gateways {
        // `rtmsg`: family, lengths, table, who says so, how far, type.
        let mut head = [0; ROUTE_HEAD];
        head[0] = family(*gateway);
        head[4] = libc::RT_TABLE_MAIN;
        head[5] = libc::RTPROT_STATIC;
        head[6] = libc::RT_SCOPE_UNIVERSE;
        head[7] = libc::RTN_UNICAST;
        batch
            .message(libc::RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &head)
            .bytes(libc::RTA_GATEWAY, &octets(*gateway))
            .number(libc::RTA_OIF, index);
    }
    socket.ask(batch).map(drop)
}

/// Removes the link called `name`; one that is not there is fine. Takes some 30 ms.
pub fn remove(socket: &Socket, name: &str) -> Result<(), Refused> {
    let mut batch = Batch::new();
    batch.message(libc::RTM_DELLINK, NLM_F_ACK, &link_head(0, 0)).text(IFLA_IFNAME, name);
    match socket.ask(batch) {
        Err(refused) if refused.cause.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        other => other.map(drop),
    }
}

/// A link cannot be given an alias as it is made.
fn name_it(batch: &mut Batch, name: &str, alias: &str) {
    batch
        .message(libc::RTM_SETLINK, NLM_F_ACK, &link_head(0, 0))
        .text(IFLA_IFNAME, name)
        .bytes(libc::IFLA_IFALIAS, alias.as_bytes());
}

fn set_up(batch: &mut Batch, index: u32) {
    batch.message(libc::RTM_NEWLINK, NLM_F_ACK, &link_head(index, UP));
}

fn add_addresses(batch: &mut Batch, index: u32, addresses: &[(IpAddr, u8)]) {
    for (address, length) in addresses {
        // `ifaddrmsg`: family, length, flags, scope, link. Nobody else has the address, so nobody is asked (NODAD).
        let mut head = [0; 8];
        (head[0], head[1], head[2]) = (family(*address), *length, libc::IFA_F_NODAD as u8);
        head[4..].copy_from_slice(&index.to_ne_bytes());
        batch
            .message(libc::RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &head)
            .bytes(IFA_LOCAL, &octets(*address))
            .bytes(IFA_ADDRESS, &octets(*address));
    }
}

/// `ifinfomsg`: family, type, number, flags and which of them are meant.
fn link_head(index: u32, flags: u32) -> [u8; LINK_HEAD] {
    let mut head = [0; LINK_HEAD];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..12].copy_from_slice(&flags.to_ne_bytes());
    head[12..].copy_from_slice(&flags.to_ne_bytes());
    head
}

fn link(answer: &Answer) -> Option<Link> {
    let rest = answer.body.get(LINK_HEAD..).filter(|_| answer.kind == libc::RTM_NEWLINK)?;
    let of = |wanted: u16| attributes(rest).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let text = |wanted: u16| {
        let bytes = of(wanted).unwrap_or_default();
        String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
    };
    Some(Link {
        index: number(answer.body.get(4..8)?)?,
        name: text(IFLA_IFNAME),
        alias: text(libc::IFLA_IFALIAS),
        bridge: of(IFLA_MASTER).and_then(number).unwrap_or(0),
    })
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// `AF_INET` or `AF_INET6`.
pub fn family(address: IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

/// The address in the order of the network.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The address in so many bytes in the order of the network.
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
