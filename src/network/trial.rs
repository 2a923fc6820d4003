//! Whether this machine can connect pods, and who else has a say in what it passes on; for whoever looks for faults.

use std::fs::File;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};

use super::links::Pair;
use super::nftables::SUBSYSTEM;
use super::rules::Rules;
use super::{IN_POD, in_thread, links, open};
use crate::spec::Range;
use crate::sys::netlink::{Answer, Batch, Family, Refused, Socket, attributes};

/// Connects a pod that is none, in a network that ends with this: a bridge, links, addresses, rules.
///
/// Fails with what this machine lacks, or where the caller may not make a network.
pub fn try_out() -> Result<()> {
    in_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).context("make a network")?;
        let namespace = File::open("/proc/thread-self/ns/net").context("open a network")?;
        let socket = open()?;
        let name = "trial";
        links::make_bridge(&socket, name, "", [2, 0, 0, 0, 0, 1]).context("make a bridge")?;
        let bridge = links::find(&socket, name)?.context("the bridge vanished as it was made")?.index;
        let pair = Pair { name: "trial-2", alias: "", bridge, namespace: namespace.as_fd(), peer: IN_POD };
        links::make_pair(&socket, &pair).context("make a pair of links")?;
        let ranges: Vec<Range> =
            ["10.42.0.0/24", "fd42::/64"].iter().filter_map(|it| it.parse().ok()).collect();
        let socket = Socket::open(Family::Filter).context("speak to the kernel of rules")?;
        let rules = Rules { name, ranges: &ranges, ports: Vec::new(), socket: &socket };
        rules.install().context("make rules for packets")
    })
}

/// Chains of anybody's that drop what this machine passes on unless a rule says otherwise, but for those in whose table a rule
/// names the link `bridge`: each as `FORWARD of table ip filter`.
pub fn in_the_way(bridge: &str) -> Result<Vec<String>, Refused> {
    let socket = Socket::open(Family::Filter)?;
    let list = |kind: u16| {
        let mut batch = Batch::new();
        batch.message((SUBSYSTEM << 8) | kind, libc::NLM_F_DUMP, &[0; HEAD]);
        socket.ask(batch)
    };
    let (rules, chains) = (list(GET_RULE)?, list(GET_CHAIN)?);
    let rules: Vec<Told<'_>> = rules.iter().filter_map(Told::of).collect();
    let names_it = |rule: &&Told<'_>| rule.rest.windows(bridge.len()).any(|bytes| bytes == bridge.as_bytes());
    let spared: Vec<_> = rules.iter().filter(names_it).map(Told::table).collect();
    let chains = chains.iter().filter_map(Told::of);
    let dropping = chains.filter(|chain| {
        let hook = chain.find(HOOK).and_then(|hook| find(hook, HOOK_NUMBER));
        (hook, chain.find(POLICY)) == (Some(&FORWARD[..]), Some(&DROP[..]))
            && !spared.contains(&chain.table())
    });
    Ok(dropping.map(|chain| format!("{} of table {}", chain.text(NAME), chain.table())).collect())
}

/// Messages for chains and rules; both begin with the table's name. Of a chain: its name, its hook with a number, its policy.
const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const HOOK_NUMBER: u16 = 1;
const POLICY: u16 = 5;
/// `NF_INET_FORWARD` and `NF_DROP`, in the order of the network.
const FORWARD: [u8; 4] = [0, 0, 0, 2];
const DROP: [u8; 4] = [0; 4];
/// Length of `nfgenmsg`, which begins with the family.
const HEAD: usize = 4;

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// A chain or rule.
struct Told<'a> {
    family: u8,
    rest: &'a [u8],
}

impl Told<'_> {
    fn of(answer: &Answer) -> Option<Told<'_>> {
        let (head, rest) = answer.body.split_at_checked(HEAD)?;
        Some(Told { family: head[0], rest })
    }

    fn find(&self, wanted: u16) -> Option<&[u8]> {
        find(self.rest, wanted)
    }

    fn text(&self, wanted: u16) -> String {
        String::from_utf8_lossy(self.find(wanted).unwrap_or_default()).trim_end_matches('\0').to_owned()
    }

    /// As `nft` names it.
    fn table(&self) -> String {
        let family = match i32::from(self.family) {
            libc::AF_INET => "ip",
            libc::AF_INET6 => "ip6",
            _ => "inet",
        };
        format!("{family} {}", self.text(TABLE))
    }
}
