//! Host names, `/etc/hosts` and `/etc/resolv.conf`.

use ::core::net::IpAddr;

use k8s_openapi::api::core::v1 as core;

use super::{complain, names, one_of};
use crate::manifest::problems::Problems;
use crate::yaml::tree::Path;

/// Longest `hostnameOverride`: what the kernel takes (`HOST_NAME_MAX`).
const MAX_OVERRIDE: usize = 64;
/// Most name servers, search domains and characters of those (`MaxDNSNameservers`, `MaxDNSSearchPaths`,
/// `MaxDNSSearchListChars`).
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARS: usize = 2048;

/// Checks what `spec` says of names.
pub fn check(spec: &core::PodSpec, problems: &mut Problems<'_>) {
    let root = Path::of("spec");
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Some(name) = given(name) {
            complain(&root.key(field), names::dns_label(name), problems);
        }
    }
    if let Some(name) = given(&spec.hostname_override) {
        hostname_override(name, spec, &root.key("hostnameOverride"), problems);
    }
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = root.key("hostAliases").index(index);
        ip(&path.key("ip"), &alias.ip, problems);
        for (index, name) in alias.hostnames.iter().flatten().enumerate() {
            complain(&path.key("hostnames").index(index), names::dns_subdomain(name), problems);
        }
    }
    dns(spec, &root, problems);
}

/// 9.17.
fn hostname_override(name: &str, spec: &core::PodSpec, path: &Path, problems: &mut Problems<'_>) {
    complain(path, names::dns_subdomain(name), problems);
    if MAX_OVERRIDE < name.len() {
        let message = format!("must be no more than {MAX_OVERRIDE} characters, this has {}", name.len());
        problems.error(path, message, "");
    }
    for (set, field) in [(spec.host_network, "hostNetwork"), (spec.set_hostname_as_fqdn, "setHostnameAsFQDN")]
    {
        if set == Some(true) {
            problems.error(path, format!("must not be set together with {field}: true"), "remove one");
        }
    }
}

fn dns(spec: &core::PodSpec, root: &Path, problems: &mut Problems<'_>) {
    let policies = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    one_of(&root.key("dnsPolicy"), spec.dns_policy.as_deref(), &policies, problems);
    let root = root.key("dnsConfig");
    let none = core::PodDNSConfig::default();
    let config = spec.dns_config.as_ref().unwrap_or(&none);
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let path = root.key("nameservers");
    if spec.dns_policy.as_deref() == Some("None") && servers.is_empty() {
        let fix = "add one, like dnsConfig: {nameservers: [192.0.2.1]}";
        problems.error(&path, "must name at least one server with dnsPolicy: None", fix);
    }
    at_most(&path, servers.len(), MAX_NAMESERVERS, "servers", problems);
    for (index, server) in servers.iter().enumerate() {
        ip(&path.index(index), server, problems);
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    let path = root.key("searches");
    at_most(&path, searches.len(), MAX_SEARCHES, "domains", problems);
    let length = searches.join(" ").len();
    at_most(&path, length, MAX_SEARCH_CHARS, "characters, blanks included,", problems);
    for (index, search) in searches.iter().enumerate() {
        complain(&path.index(index), names::search_domain(search), problems);
    }
    for (index, option) in config.options.iter().flatten().enumerate() {
        let path = root.key("options").index(index);
        let name = option.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            problems.error(&path.key("name"), "must not be empty", "");
        }
        for (field, word) in [("name", Some(name)), ("value", option.value.as_deref())] {
            if word.is_some_and(|word| word.contains(|c: char| c.is_whitespace() || c.is_control())) {
                problems.error(&path.key(field), "must be one word", "");
            }
        }
    }
}

fn at_most(path: &Path, found: usize, most: usize, what: &str, problems: &mut Problems<'_>) {
    if most < found {
        problems.error(path, format!("holds {found} {what} and must hold no more than {most}"), "");
    }
}

fn ip(path: &Path, written: &str, problems: &mut Problems<'_>) {
    if written.parse::<IpAddr>().is_err() {
        problems.error(path, "must be an IP address", "");
    }
}

fn given(name: &Option<String>) -> Option<&str> {
    name.as_deref().filter(|name| !name.is_empty())
}
