//! By which names the pods of a node find each other: further lines of `/etc/hosts`.

use core::net::IpAddr;
use std::collections::BTreeSet;

use super::etc::domain;
use crate::spec::Pod;

/// Longest line that every C library reads as one (musl's has 512 bytes).
const MAX_LINE: usize = 500;

/// A pod that is up, and where it is found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its addresses; the node's, where it is in the node's network.
    pub addresses: &'a [IpAddr],
}

/// Names and where they lead, as one namespace sees them; no name is there twice.
#[derive(Debug, Default)]
pub struct Names<'a>(Vec<(&'a [IpAddr], Vec<String>)>);

/// What the pods of `namespace` call `pods`, in the order of which they are given.
///
/// One of the same namespace by its name, with and without the node's behind it, its host name, and its host name and
/// subdomain; any by those with its namespace behind them, and by its whole name. Of two that a name fits, the one has it that is
/// called so by more of right: by its own name before its host name.
pub fn names<'a>(pods: &[Found<'a>], namespace: &str, cluster_domain: &str) -> Names<'a> {
    let mut taken = BTreeSet::new();
    let called: Vec<_> = pods.iter().map(|found| called(found.pod, namespace, cluster_domain)).collect();
    let most = called.iter().map(Vec::len).max().unwrap_or_default();
    let mut lists = vec![Vec::new(); pods.len()];
    for right in 0..most {
        for (number, names) in called.iter().enumerate() {
            let Some(name) = names.get(right).filter(|name| !name.is_empty()) else { continue };
            if taken.insert(name) {
                lists[number].push(name.clone());
            }
        }
    }
    Names(pods.iter().map(|found| found.addresses).zip(lists).collect())
}

/// `hosts`, which is `/etc/hosts` of a pod, with `names` behind it: a name that is there already, be it its own, in its
/// `hostAliases` or the node's, leads where it led.
pub fn with_names(mut hosts: String, names: &Names<'_>) -> String {
    let words = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let known: BTreeSet<String> =
        words.flat_map(|line| line.split_whitespace().skip(1)).map(str::to_ascii_lowercase).collect();
    let mut lines = String::new();
    for (addresses, names) in &names.0 {
        let names = || names.iter().filter(|name| !known.contains(*name));
        for address in addresses.iter() {
            let mut line = String::new();
            for name in names() {
                if MAX_LINE < line.len() + name.len() {
                    lines += &format!("{}\n", std::mem::take(&mut line));
                }
                if line.is_empty() {
                    line = address.to_string();
                }
                line += "\t";
                line += name;
            }
            if !line.is_empty() {
                lines += &format!("{line}\n");
            }
        }
    }
    if !lines.is_empty() {
        hosts += &format!("\n# Pods of this node.\n{lines}");
    }
    hosts
}

/// What `pod` is called in `namespace`, the name of most right first; one that it has not is empty.
fn called(pod: &Pod, namespace: &str, cluster_domain: &str) -> Vec<String> {
    let name = pod.name.strip_suffix(&format!("-{}", pod.node_name)).unwrap_or(&pod.name);
    // In the node's network its host name is the node's.
    let host = if pod.host_network { "" } else { &pod.hostname };
    let whole = domain(pod, cluster_domain).map(|domain| format!("{host}.{domain}"));
    let of_subdomain = whole.as_ref().map(|_| format!("{host}.{}", pod.subdomain)).unwrap_or_default();
    let short = [name, &pod.name, host, &of_subdomain];
    let here = short.map(|name| if pod.namespace == namespace { name.to_owned() } else { String::new() });
    let anywhere = short.map(|name| match name {
        "" => String::new(),
        name => format!("{name}.{}", pod.namespace),
    });
    here.into_iter().chain(anywhere).chain(whole).collect()
}

#[cfg(test)]
mod tests;
