//! Containers.

use ::core::net::IpAddr;
use std::collections::HashSet;

use k8s_openapi::api::core::v1 as core;

use super::{complain, lifecycle, names, one_of, probe, resources, restart, security, volume, without_nul};
use crate::manifest::image_name;
use crate::manifest::problems::Problems;
use crate::yaml::tree::Path;

/// Checks the containers of `spec`.
pub fn all(spec: &core::PodSpec, problems: &mut Problems<'_>) {
    let mut seen = HashSet::new();
    let mut host_ports = HostPorts { shared: spec.host_network == Some(true), taken: HashSet::new() };
    let at = |(index, container), field| (Path::of(field).index(index), container);
    let inits = spec.init_containers.iter().flatten().enumerate().map(|it| at(it, "spec.initContainers"));
    let regular = spec.containers.iter().enumerate().map(|it| at(it, "spec.containers"));
    for (path, container) in inits.clone() {
        restart::init(container, &path, problems);
    }
    for (path, container) in inits.chain(regular) {
        restart::check(container, &path, problems);
        complain(&path.key("name"), names::dns_label(&container.name), problems);
        if !seen.insert(&container.name) {
            let message = format!("another container is called {:?} already", container.name);
            problems.error(&path.key("name"), message, "give each its own name");
        }
        image(container, &path, problems);
        process(container, &path, problems);
        ports(container, &path.key("ports"), &mut host_ports, problems);
        probe::all(container, &path, problems);
        lifecycle::check(container, spec, &path, problems);
        security::container(container, spec.host_users != Some(false), &path, problems);
        resources::check(container.resources.as_ref(), &path.key("resources"), problems);
        volume::mounts(container, spec, &path.key("volumeMounts"), problems);
    }
}

fn image(container: &core::Container, path: &Path, problems: &mut Problems<'_>) {
    named(&path.key("image"), container.image.as_deref(), problems);
    policy(&path.key("imagePullPolicy"), container.image_pull_policy.as_deref(), problems);
}

/// Checks what is to be the name of an image.
pub(super) fn named(path: &Path, image: Option<&str>, problems: &mut Problems<'_>) {
    match image.unwrap_or_default() {
        "" => problems.error(path, "must not be empty", "name an image"),
        image => complain(path, image_name::complaint(image), problems),
    }
}

/// Checks what is to say when a registry is asked.
pub(super) fn policy(path: &Path, policy: Option<&str>, problems: &mut Problems<'_>) {
    one_of(path, policy, &["Always", "IfNotPresent", "Never"], problems);
}

/// What becomes the process: command, arguments, environment, directory.
fn process(container: &core::Container, path: &Path, problems: &mut Problems<'_>) {
    for (field, words) in [("command", &container.command), ("args", &container.args)] {
        for (index, word) in words.iter().flatten().enumerate() {
            without_nul(&path.key(field).index(index), word, problems);
        }
    }
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let path = path.key("env").index(index);
        complain(&path.key("name"), names::env_name(&variable.name), problems);
        without_nul(&path.key("value"), variable.value.as_deref().unwrap_or_default(), problems);
    }
    let directory = container.working_dir.as_deref().unwrap_or_default();
    let path = path.key("workingDir");
    if !directory.is_empty() && !directory.starts_with('/') {
        problems.error(&path, "must be an absolute path", "begin it with '/'");
    }
    without_nul(&path, directory, problems);
}

/// The ports of the node that the pod takes.
struct HostPorts {
    /// Whether the pod has the node's network.
    shared: bool,
    /// Number, protocol, address.
    taken: HashSet<(i32, String, String)>,
}

fn ports(container: &core::Container, root: &Path, host: &mut HostPorts, problems: &mut Problems<'_>) {
    let mut seen = HashSet::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let path = root.index(index);
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            complain(&path.key("name"), names::port_name(name), problems);
            if !seen.insert(name) {
                problems.error(&path.key("name"), format!("another port is called {name:?} already"), "");
            }
        }
        port_number(&path.key("containerPort"), port.container_port, problems);
        one_of(&path.key("protocol"), port.protocol.as_deref(), &["TCP", "UDP", "SCTP"], problems);
        let address = port.host_ip.clone().unwrap_or_default();
        if !address.is_empty() && address.parse::<IpAddr>().is_err() {
            problems.error(&path.key("hostIP"), "must be an IP address", "");
        }
        let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
        let path = path.key("hostPort");
        port_number(&path, number, problems);
        if host.shared && number != port.container_port {
            problems.error(&path, "must equal containerPort with hostNetwork", "remove it");
        }
        if !host.taken.insert((number, port.protocol.clone().unwrap_or_default(), address)) {
            problems.error(&path, format!("the pod takes host port {number} already"), "");
        }
    }
}

fn port_number(path: &Path, number: i32, problems: &mut Problems<'_>) {
    if !(1..=65535).contains(&number) {
        problems.error(path, "must be between 1 and 65535", "");
    }
}
