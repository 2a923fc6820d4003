//! What is in a pod's `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname` (reference D.6).

use core::net::IpAddr;

/// Most name servers that resolvers look at (glibc's MAXNS, kubelet's MaxDNSNameservers).
const MAX_NAMESERVERS: usize = 3;
/// Most search domains, and their longest sum with blanks (kubelet's MaxDNSSearchPaths, MaxDNSSearchListChars).
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARS: usize = 2048;

/// `/etc/hosts` of a pod with its own network: one line for each of its addresses.
///
/// Without an address the host name stands for the loopback, so that programs that look up their own name still start.
pub fn hosts(addresses: &[IpAddr], hostname: &str) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    let loopback = [IpAddr::from([127, 0, 0, 1])];
    for address in if addresses.is_empty() { &loopback } else { addresses } {
        text.push_str(&format!("{address}\t{hostname}\n"));
    }
    text
}

/// `/etc/hosts` of a pod with `hostNetwork`: the node's, given as `text`.
pub fn node_hosts(text: &str) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{text}")
}

/// `/etc/hostname`.
pub fn hostname(hostname: &str) -> String {
    format!("{hostname}\n")
}

/// What stands for the node's file where pods are to ask the node itself: kubelet's for an empty `resolvConf`.
pub const ASK_THE_NODE: &str = "nameserver 127.0.0.1\nsearch .\n";

/// `/etc/resolv.conf` of a pod with `dnsPolicy: Default`: what the node's own, given as `text`, says, cut to what resolvers
/// take. Comments and unknown lines are dropped; as for resolvers, the last `search` or `domain` counts.
pub fn resolv_conf(text: &str) -> String {
    let (nameservers, searches, options) = parse(text);
    write(nameservers, searches.into_iter().map(str::to_owned).collect(), &options)
}

/// `/etc/resolv.conf` of a pod of `namespace` with `dnsPolicy: ClusterFirst`: the cluster's name `servers` alone, and the
/// names of its `domain`, where it has one, before those that the node, by its own file `text`, looks for.
pub fn cluster_resolv_conf(text: &str, servers: &[String], domain: &str, namespace: &str) -> String {
    let (_, of_node, _) = parse(text);
    let mut searches = match domain.is_empty() {
        true => Vec::new(),
        false => vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()],
    };
    for search in of_node {
        if !searches.iter().any(|known| known == search) {
            searches.push(search.to_owned());
        }
    }
    write(servers.iter().map(String::as_str).collect(), searches, &["ndots:5"])
}

/// Name servers, search domains and options.
fn parse(text: &str) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    let (mut nameservers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => nameservers.extend(words.next()),
            Some("search") => searches = words.map(without_final_dot).collect(),
            Some("domain") => searches = words.take(1).map(without_final_dot).collect(),
            Some("options") => options.extend(words),
            _ => {}
        }
    }
    (nameservers, searches, options)
}

fn write(mut nameservers: Vec<&str>, mut searches: Vec<String>, options: &[&str]) -> String {
    nameservers.truncate(MAX_NAMESERVERS);
    cut(&mut searches);
    let mut lines = Vec::new();
    if !searches.is_empty() {
        lines.push(format!("search {}\n", searches.join(" ")));
    }
    lines.extend(nameservers.iter().map(|address| format!("nameserver {address}\n")));
    if !options.is_empty() {
        lines.push(format!("options {}\n", options.join(" ")));
    }
    lines.concat()
}

fn without_final_dot(domain: &str) -> &str {
    match domain.strip_suffix('.') {
        Some("") | None => domain,
        Some(rest) => rest,
    }
}

fn cut(searches: &mut Vec<String>) {
    searches.truncate(MAX_SEARCHES);
    while searches.iter().map(|domain| domain.len() + 1).sum::<usize>() > MAX_SEARCH_CHARS + 1 {
        searches.pop();
    }
}
