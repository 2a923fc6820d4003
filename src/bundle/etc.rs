//! What a pod calls itself, and what is in its `/etc/hosts` and `/etc/hostname` (reference D.6).

use core::net::IpAddr;

use crate::spec::{HostAlias, Pod};
use crate::status::{Failure, Reason};

/// Longest name that the kernel takes (`HOST_NAME_MAX`, kubelet's `fqdnMaxLen`).
const MAX_HOSTNAME: usize = 64;

/// The domain that a pod with a subdomain is in: `<subdomain>.<namespace>.svc.<clusterDomain>`.
pub fn domain(pod: &Pod, cluster_domain: &str) -> Option<String> {
    let domain = format!("{}.{}.svc.{cluster_domain}", pod.subdomain, pod.namespace);
    (!pod.subdomain.is_empty()).then(|| domain.trim_end_matches('.').to_owned())
}

/// What the kernel calls the pod's host: its host name, or with `setHostnameAsFQDN` the whole of it. The latter fails where
/// it is longer than the kernel takes, in the kubelet's words.
pub fn kernel_hostname(pod: &Pod, cluster_domain: &str) -> Result<String, Failure> {
    let Some(domain) = domain(pod, cluster_domain).filter(|_| pod.hostname_as_fqdn) else {
        return Ok(pod.hostname.clone());
    };
    let whole = format!("{}.{domain}", pod.hostname);
    if whole.len() <= MAX_HOSTNAME {
        return Ok(whole);
    }
    let message = format!(
        "failed to construct FQDN from pod hostname and cluster domain, FQDN {whole} is too long ({MAX_HOSTNAME} \
         characters is the max, {} characters requested)",
        whole.len()
    );
    Err(Failure::new(Reason::CreatePodSandboxError, message))
}

/// `/etc/hosts` of a pod with its own network: one line for each of its addresses.
///
/// Without an address the host name stands for the loopback, so that programs that look up their own name still start.
pub fn hosts(addresses: &[IpAddr], pod: &Pod, cluster_domain: &str) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    let hostname = &pod.hostname;
    let names = match domain(pod, cluster_domain) {
        Some(domain) => format!("{hostname}.{domain}\t{hostname}"),
        None => hostname.clone(),
    };
    let loopback = [IpAddr::from([127, 0, 0, 1])];
    for address in if addresses.is_empty() { &loopback } else { addresses } {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    text + &aliases(&pod.host_aliases)
}

/// `/etc/hosts` of a pod with `hostNetwork`: the node's, given as `text`.
pub fn node_hosts(text: &str, pod: &Pod) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{text}{}", aliases(&pod.host_aliases))
}

fn aliases(aliases: &[HostAlias]) -> String {
    let lines = aliases.iter().map(|alias| format!("{}\t{}\n", alias.ip, alias.hostnames.join("\t")));
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\n# Entries added by HostAliases.\n{lines}"),
    }
}

/// `/etc/hostname`.
pub fn hostname(hostname: &str) -> String {
    format!("{hostname}\n")
}
