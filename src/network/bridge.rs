//! The bridge that pods are connected to, and what of the node's settings it wants.

use std::fs;
use std::io;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use super::choice;
use super::leases::{Leases, NODE};
use super::links;
use crate::spec::Range;
use crate::sys::netlink::Socket;

/// Longest alias of a link that the kernel keeps (`IFALIASZ`, with its end).
const ALIAS: usize = 255;

/// The number of the bridge of `leases`, which is up and has the node's addresses: those of `wanted`, or of any free range,
/// where none was chosen yet. It bears `owner` as its alias.
pub fn ensure(socket: &Socket, leases: &mut Leases, wanted: &[Range], owner: &str) -> Result<u32> {
    let name = leases.name.clone();
    let mut link = links::find(socket, &name).with_context(|| format!("look for link {name}"))?;
    if leases.ranges.is_empty() {
        leases.ranges = match wanted {
            [] => {
                let except = link.as_ref().map(|link| link.index);
                let taken = links::known(socket, except).context("list this machine's routes")?;
                let free = choice::free(&taken).ok_or_else(|| {
                    anyhow!("this machine has routes to every private network: give pods one by --pod-cidr")
                });
                vec![free?]
            }
            wanted => wanted.to_vec(),
        };
    }
    if link.is_none() {
        let made = links::make_bridge(socket, &name, short(owner), hardware(owner));
        made.with_context(|| format!("make bridge {name}"))?;
        link = links::find(socket, &name)?;
    }
    let link = link.with_context(|| format!("bridge {name} vanished as it was made"))?;
    if link.alias != short(owner) {
        bail!(
            "there is a link {name} already, and it is not of this agent: remove it by `ip link delete {name}`, if nothing uses \
             it"
        );
    }
    deaf(&name)?;
    let addresses = leases.numbered(NODE).into_iter().zip(leases.ranges.iter().map(Range::length));
    links::bring_up(socket, link.index, &addresses.collect::<Vec<_>>())
        .with_context(|| format!("give bridge {name} its addresses"))?;
    Ok(link.index)
}

/// Removes the bridge called `name`, if it is `owner`'s.
pub fn remove(socket: &Socket, name: &str, owner: &str) -> Result<()> {
    let remove = || match links::find(socket, name)? {
        Some(link) if link.alias == short(owner) => links::remove(socket, name),
        _ => Ok(()),
    };
    remove().with_context(|| format!("remove bridge {name}"))
}

/// Has this machine pass packets on between the bridge called `name` and others, and to it what comes from its own loopback.
///
/// The rules must be there before, which keep everybody else from the loopback. Nothing is written that is so already.
/// Whoever passes on packets of IPv6 takes no advertisements any more, unless it is told to go on: what did goes on.
pub fn pass_on(name: &str, ranges: &[Range]) -> Result<()> {
    set(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
    if ranges.iter().any(|range| range.first().is_ipv4()) {
        set("ipv4/ip_forward", "1")?;
    }
    let forwarding = "ipv6/conf/all/forwarding";
    if ranges.iter().all(|range| range.first().is_ipv4()) || get(forwarding)? == "1" {
        return Ok(());
    }
    for link in fs::read_dir(format!("{SETTINGS}/ipv6/conf")).context("list links with IPv6")?.flatten() {
        let setting = format!("ipv6/conf/{}/accept_ra", link.file_name().to_string_lossy());
        if get(&setting)? == "1" {
            set(&setting, "2")?;
        }
    }
    set(forwarding, "1")
}

/// As much of `alias` as the kernel keeps.
pub fn short(alias: &str) -> &str {
    &alias[..alias.floor_char_boundary(ALIAS)]
}

/// Has `link`, in this thread's network, take no router's word: whoever sends advertisements may not change what pods, or
/// the node, take for the way out. Where there is no IPv6 there is nothing to be said.
pub fn deaf(link: &str) -> Result<()> {
    let path = format!("{SETTINGS}/ipv6/conf/{link}/accept_ra");
    match fs::write(&path, "0") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("write {path}"))
        }
        _ => Ok(()),
    }
}

/// Settings of the network that a thread is in.
const SETTINGS: &str = "/proc/sys/net";

fn get(setting: &str) -> Result<String> {
    let path = format!("{SETTINGS}/{setting}");
    let value = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(value.trim().to_owned())
}

fn set(setting: &str, value: &str) -> Result<()> {
    let path = format!("{SETTINGS}/{setting}");
    if get(setting)? == value {
        return Ok(());
    }
    fs::write(&path, value).with_context(|| format!("write {value} to {path}"))
}

/// A hardware address that nobody else has, of those that may be chosen freely.
fn hardware(owner: &str) -> [u8; 6] {
    let digest = Sha256::digest(owner);
    [0x02, digest[0], digest[1], digest[2], digest[3], digest[4]]
}
