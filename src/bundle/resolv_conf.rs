//! What is in a pod's `/etc/resolv.conf` (reference D.6).

use crate::spec::{DnsConfig, DnsPolicy, Pod};

/// Most name servers that resolvers look at (glibc's MAXNS, kubelet's MaxDNSNameservers).
const MAX_NAMESERVERS: usize = 3;
/// Most search domains, and their longest sum with blanks (kubelet's MaxDNSSearchPaths, MaxDNSSearchListChars).
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARS: usize = 2048;

/// What stands for the node's file where pods are to ask the node itself: kubelet's for an empty `resolvConf`.
pub const ASK_THE_NODE: &str = "nameserver 127.0.0.1\nsearch .\n";

/// Who answers for names of the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a> {
    /// Its name servers (`clusterDNS`); where there are none, the node's are asked.
    pub servers: &'a [String],
    /// Its domain (`clusterDomain`); may be empty.
    pub domain: &'a str,
}

/// `/etc/resolv.conf` of `pod` on a node whose own one says `node`: what its policy gives, its `dnsConfig` on top, cut to
/// what resolvers take.
pub fn resolv_conf(pod: &Pod, node: &str, cluster: Cluster<'_>) -> String {
    let policy = match pod.dns_policy {
        DnsPolicy::None => Resolver::default(),
        _ if pod.asks_cluster_dns() && !cluster.servers.is_empty() => {
            Resolver::of_cluster(node, cluster, &pod.namespace)
        }
        _ => Resolver::of_node(node),
    };
    policy.with(&pod.dns).text()
}

#[derive(Default)]
struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl Resolver {
    /// What the node's own file says. Comments and unknown lines are dropped; as for resolvers, the last `search` or
    /// `domain` counts.
    fn of_node(text: &str) -> Resolver {
        let mut found = Resolver::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => found.servers.extend(words.next().map(str::to_owned)),
                Some("search") => found.searches = words.map(without_final_dot).collect(),
                Some("domain") => found.searches = words.take(1).map(without_final_dot).collect(),
                Some("options") => found.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        found
    }

    /// The cluster's name servers alone, and the names of its domain, where it has one, before those that the node looks
    /// for.
    fn of_cluster(node: &str, cluster: Cluster<'_>, namespace: &str) -> Resolver {
        let domain = cluster.domain;
        let mut searches = match domain.is_empty() {
            true => Vec::new(),
            false => vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()],
        };
        add(&mut searches, &Resolver::of_node(node).searches);
        Resolver { servers: cluster.servers.to_vec(), searches, options: vec!["ndots:5".to_owned()] }
    }

    /// `config` on top: what is there already is not repeated, and an option replaces the one of its name.
    fn with(mut self, config: &DnsConfig) -> Resolver {
        add(&mut self.servers, &config.servers);
        add(&mut self.searches, &config.searches);
        for (name, value) in &config.options {
            let option = match value.as_deref().unwrap_or_default() {
                "" => name.clone(),
                value => format!("{name}:{value}"),
            };
            let same =
                |other: &&mut String| other.split_once(':').map_or(other.as_str(), |(name, _)| name) == name;
            match self.options.iter_mut().find(same) {
                Some(other) => *other = option,
                None => self.options.push(option),
            }
        }
        self
    }

    fn text(mut self) -> String {
        self.servers.truncate(MAX_NAMESERVERS);
        cut(&mut self.searches);
        let mut lines = Vec::new();
        if !self.searches.is_empty() {
            lines.push(format!("search {}\n", self.searches.join(" ")));
        }
        lines.extend(self.servers.iter().map(|address| format!("nameserver {address}\n")));
        if !self.options.is_empty() {
            lines.push(format!("options {}\n", self.options.join(" ")));
        }
        lines.concat()
    }
}

fn add(list: &mut Vec<String>, further: &[String]) {
    for word in further {
        if !list.contains(word) {
            list.push(word.clone());
        }
    }
}

fn without_final_dot(domain: &str) -> String {
    match domain.strip_suffix('.') {
        Some("") | None => domain.to_owned(),
        Some(rest) => rest.to_owned(),
    }
}

fn cut(searches: &mut Vec<String>) {
    searches.truncate(MAX_SEARCHES);
    while searches.iter().map(|domain| domain.len() + 1).sum::<usize>() > MAX_SEARCH_CHARS + 1 {
        searches.pop();
    }
}
