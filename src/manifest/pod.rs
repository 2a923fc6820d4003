//! One `v1 Pod` of a manifest to what is wanted, or to what is wrong with it.

use ::core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::problems::Problems;
use super::quantity::Quantity;
use super::{
    Context, decode, defaults, fields, identity, lifecycle, probe, projected, restart, security, sources,
    totals, validate,
};
use crate::spec;
use crate::yaml::tree::Path;

/// The pod that `document` describes; `None` where a problem refuses it. With `content` it is another pod for each.
pub fn read(
    document: &Value,
    file: &str,
    context: &Context,
    content: Option<&[u8; 32]>,
    problems: &mut Problems<'_>,
) -> Option<Arc<spec::Pod>> {
    let mut pod = decode::pod(document, problems)?;
    fields::check(document, problems);
    if !named(&pod, problems) {
        return None;
    }
    let node = context.node();
    if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|name| name != node) {
        let message = format!("names another node: the pod runs on this one, {node:?}");
        problems.warning(&Path::of("spec.nodeName"), message, "remove it");
    }
    let uid = identity::uid(file, &node, document, content);
    defaults::apply(&mut pod);
    identity::assign(&mut pod, &uid, &node);
    validate::pod(&pod, problems);
    let hostname = identity::hostname(&pod, &node);
    let object = match serde_json::to_string(&Written::of(&pod)) {
        Ok(object) => object,
        Err(error) => {
            problems.error(&Path::root(), format!("cannot be written as JSON: {error}"), "");
            return None;
        }
    };
    let origin = context.path_of(file);
    let pod = wanted(pod, Made { uid, hostname, object, origin }, problems);
    (!problems.refuse()).then(|| Arc::new(pod))
}

/// Whether the pod has a name of its own; tells what is wrong if not.
fn named(pod: &core::Pod, problems: &mut Problems<'_>) -> bool {
    let has = |name: &Option<String>| name.as_deref().is_some_and(|name| !name.is_empty());
    let path = Path::of("metadata.name");
    match (has(&pod.metadata.name), has(&pod.metadata.generate_name)) {
        (true, _) => return true,
        (false, true) => {
            problems.error(&path, "is missing: a static pod needs one, generateName makes none", ADD_NAME)
        }
        (false, false) => problems.error(&path, "is missing", ADD_NAME),
    }
    false
}

const ADD_NAME: &str = "add one, like metadata: {name: web}";

/// A Pod as it is kept: without a status.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'p> {
    api_version: &'static str,
    kind: &'static str,
    metadata: &'p ObjectMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: &'p Option<core::PodSpec>,
}

impl Written<'_> {
    fn of(pod: &core::Pod) -> Written<'_> {
        Written { api_version: "v1", kind: "Pod", metadata: &pod.metadata, spec: &pod.spec }
    }
}

/// What was made for a pod, beside what its manifest says.
struct Made {
    uid: spec::Uid,
    hostname: String,
    object: String,
    origin: String,
}

/// Plain data out of a pod that was defaulted and validated. Where values come from is validated on the way.
fn wanted(pod: core::Pod, made: Made, problems: &mut Problems<'_>) -> spec::Pod {
    let of_spec =
        |spec: &core::PodSpec| (spec.init_containers.clone().unwrap_or_default(), spec.containers.clone());
    let (inits, regular) = pod.spec.as_ref().map(of_spec).unwrap_or_default();
    let mut containers = Vec::new();
    for (field, init, all) in [("spec.initContainers", true, inits), ("spec.containers", false, regular)] {
        for (index, it) in all.into_iter().enumerate() {
            let role = restart::role(&it, init);
            let made = container(&pod, it, &Path::of(field).index(index), problems);
            containers.push(spec::Container { role, ..made });
        }
    }
    let path = Path::of("spec.volumes");
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).enumerate();
    let volumes = volumes.map(|(index, it)| volume(&pod, it, &path.index(index), problems)).collect();
    let spec = pod.spec.unwrap_or_default();
    let host_ports = host_ports(&spec);
    let fs_group = security::fs_group(&spec);
    let sysctls = security::sysctls(&spec);
    let own = spec.resources.as_ref().filter(|own| says_something(own)).map(resources);
    let subdomain = spec.subdomain.clone().filter(|_| has_domain(&spec)).unwrap_or_default();
    spec::Pod {
        uid: made.uid,
        namespace: pod.metadata.namespace.unwrap_or_default(),
        name: pod.metadata.name.unwrap_or_default(),
        origin: made.origin,
        object: made.object,
        node_name: spec.node_name.unwrap_or_default(),
        hostname: made.hostname,
        subdomain,
        hostname_as_fqdn: spec.set_hostname_as_fqdn.unwrap_or_default(),
        restart_policy: restart::policy(spec.restart_policy.as_deref().unwrap_or_default()),
        active_deadline: spec
            .active_deadline_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
        grace: Duration::from_secs(
            u64::try_from(spec.termination_grace_period_seconds.unwrap_or_default()).unwrap_or(0),
        ),
        priority: spec.priority.unwrap_or_default(),
        priority_class: spec.priority_class_name.unwrap_or_default(),
        host_network: spec.host_network.unwrap_or_default(),
        host_ports,
        dns_policy: match spec.dns_policy.as_deref() {
            Some("Default") => spec::DnsPolicy::Default,
            Some("None") => spec::DnsPolicy::None,
            Some("ClusterFirstWithHostNet") => spec::DnsPolicy::ClusterFirstWithHostNet,
            _ => spec::DnsPolicy::ClusterFirst,
        },
        dns: dns(spec.dns_config.unwrap_or_default()),
        host_aliases: spec.host_aliases.into_iter().flatten().map(host_alias).collect(),
        host_pid: spec.host_pid.unwrap_or_default(),
        host_ipc: spec.host_ipc.unwrap_or_default(),
        user_namespace: spec.host_users == Some(false),
        share_process_namespace: spec.share_process_namespace.unwrap_or_default(),
        qos: match &own {
            Some(own) => qos(std::slice::from_ref(own)),
            None => qos(&containers.iter().map(|it| it.resources.clone()).collect::<Vec<_>>()),
        },
        resources: own,
        fs_group,
        sysctls,
        containers,
        volumes,
    }
}

/// The node's name and an override stand alone.
fn has_domain(spec: &core::PodSpec) -> bool {
    let overridden = spec.hostname_override.as_deref().is_some_and(|hostname| !hostname.is_empty());
    !overridden && spec.host_network != Some(true)
}

/// As defaulted: in the node's network every port of a container is one of the node's.
fn host_ports(spec: &core::PodSpec) -> Vec<spec::HostPort> {
    // As for a kubelet, an init container has ports only if it goes on beside the others.
    let sidecar = |container: &&core::Container| restart::role(container, true) == spec::Role::Sidecar;
    let sidecars = spec.init_containers.iter().flatten().filter(sidecar);
    let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
    let host_port = |port: &core::ContainerPort| {
        let number = port.host_port.and_then(|number| u16::try_from(number).ok());
        let address = port.host_ip.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
        Some(spec::HostPort {
            address: address.filter(|address| !address.is_unspecified()),
            protocol: match port.protocol.as_deref() {
                Some("UDP") => spec::Protocol::Udp,
                Some("SCTP") => spec::Protocol::Sctp,
                _ => spec::Protocol::Tcp,
            },
            port: number.filter(|number| *number != 0)?,
            container: u16::try_from(port.container_port).unwrap_or_default(),
        })
    };
    ports.filter_map(host_port).collect()
}

fn dns(config: core::PodDNSConfig) -> spec::DnsConfig {
    let option = |option: core::PodDNSConfigOption| (option.name.unwrap_or_default(), option.value);
    spec::DnsConfig {
        servers: config.nameservers.unwrap_or_default(),
        searches: config.searches.unwrap_or_default(),
        options: config.options.into_iter().flatten().map(option).collect(),
    }
}

fn host_alias(alias: core::HostAlias) -> spec::HostAlias {
    spec::HostAlias { ip: alias.ip, hostnames: alias.hostnames.unwrap_or_default() }
}

fn container(
    pod: &core::Pod,
    mut container: core::Container,
    path: &Path,
    problems: &mut Problems<'_>,
) -> spec::Container {
    let env = sources::env(pod, &container, &path.key("env"), problems);
    let env_from = sources::env_from(&container, &path.key("envFrom"), problems);
    let security = security::of_container(pod, &container);
    let probes = probe::all(&mut container);
    let hooks = lifecycle::hooks(&mut container);
    let last_words = lifecycle::last_words(&mut container);
    let mount = |mount: core::VolumeMount| spec::VolumeMount {
        volume: mount.name,
        path: mount.mount_path,
        read_only: mount.read_only.unwrap_or_default(),
        recursive_read_only: matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible")),
        propagation: match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => spec::MountPropagation::HostToContainer,
            _ => spec::MountPropagation::None,
        },
        sub_path: match (mount.sub_path.unwrap_or_default(), mount.sub_path_expr.unwrap_or_default()) {
            (path, expression) if path.is_empty() && expression.is_empty() => spec::SubPath::Whole,
            (path, expression) if expression.is_empty() => spec::SubPath::Path(path),
            (_, expression) => spec::SubPath::Expression(expression),
        },
    };
    spec::Container {
        name: container.name,
        role: spec::Role::Regular,
        restart_policy: container.restart_policy.as_deref().map(restart::policy),
        restart_rules: container.restart_policy_rules.iter().flatten().map(restart::rule).collect(),
        image: container.image.unwrap_or_default(),
        pull_policy: pull_policy(container.image_pull_policy.as_deref()),
        command: container.command.unwrap_or_default(),
        args: container.args.unwrap_or_default(),
        env,
        env_from,
        working_dir: container.working_dir.filter(|directory| !directory.is_empty()),
        resources: resources(&container.resources.unwrap_or_default()),
        mounts: container.volume_mounts.unwrap_or_default().into_iter().map(mount).collect(),
        stdin: container.stdin.unwrap_or_default(),
        stdin_once: container.stdin_once.unwrap_or_default(),
        tty: container.tty.unwrap_or_default(),
        probes,
        hooks,
        last_words,
        security,
        stop_signal: container.lifecycle.and_then(|lifecycle| lifecycle.stop_signal),
    }
}

/// Whether a pod's own resources name any, be it with nothing of it (`IsPodLevelResourcesSet`).
fn says_something(own: &core::ResourceRequirements) -> bool {
    let names = [&own.limits, &own.requests].into_iter().flatten().flat_map(BTreeMap::keys);
    names.into_iter().any(|name| totals::is_of_pods(name))
}

/// A limit of zero is none, for the kubelet and so here; a request of zero is one, and so is a limit of no huge pages.
fn resources(resources: &core::ResourceRequirements) -> spec::Resources {
    let amount = |amounts: &Option<BTreeMap<String, Amount>>, resource: &str| {
        amounts
            .as_ref()
            .and_then(|amounts| amounts.get(resource))
            .and_then(|written| Quantity::parse(&written.0))
    };
    let limit = |resource| amount(&resources.limits, resource).filter(|limit| limit.milli() > 0);
    let request = |resource| amount(&resources.requests, resource);
    spec::Resources {
        cpu_request: request("cpu").map(Quantity::millicores),
        cpu_limit: limit("cpu").map(Quantity::millicores),
        memory_request: request("memory").map(Quantity::bytes),
        memory_limit: limit("memory").map(Quantity::bytes),
        storage_limit: limit("ephemeral-storage").map(Quantity::bytes),
        huge_pages: resources
            .limits
            .iter()
            .flatten()
            .filter_map(|(name, written)| {
                Some((totals::page_size(name)?, Quantity::parse(&written.0)?.bytes()))
            })
            .collect(),
    }
}

/// The class (reference D.3). Amounts of zero do not count.
fn qos(all: &[spec::Resources]) -> spec::Qos {
    let some_cpu = |cpu: Option<spec::Millicores>| cpu.is_some_and(|cpu| cpu.0 > 0);
    let some_memory = |memory: Option<spec::Bytes>| memory.is_some_and(|memory| memory.0 > 0);
    let any = |of: &spec::Resources| {
        some_cpu(of.cpu_request)
            || some_cpu(of.cpu_limit)
            || some_memory(of.memory_request)
            || some_memory(of.memory_limit)
    };
    let full = |of: &spec::Resources| {
        some_cpu(of.cpu_limit)
            && some_memory(of.memory_limit)
            && of.cpu_request == of.cpu_limit
            && of.memory_request == of.memory_limit
    };
    match () {
        () if !all.iter().any(any) => spec::Qos::BestEffort,
        () if all.iter().all(full) => spec::Qos::Guaranteed,
        () => spec::Qos::Burstable,
    }
}

fn pull_policy(written: Option<&str>) -> spec::PullPolicy {
    match written {
        Some("Always") => spec::PullPolicy::Always,
        Some("Never") => spec::PullPolicy::Never,
        _ => spec::PullPolicy::IfNotPresent,
    }
}

fn volume(pod: &core::Pod, volume: &core::Volume, path: &Path, problems: &mut Problems<'_>) -> spec::Volume {
    use spec::HostPathType as Kind;
    let projected = projected::volume(pod, volume, path, problems).map(spec::VolumeSource::Projected);
    let host_path = volume.host_path.as_ref().map(|host| spec::VolumeSource::HostPath {
        path: host.path.clone(),
        kind: match host.type_.as_deref() {
            Some("DirectoryOrCreate") => Kind::DirectoryOrCreate,
            Some("Directory") => Kind::Directory,
            Some("FileOrCreate") => Kind::FileOrCreate,
            Some("File") => Kind::File,
            Some("Socket") => Kind::Socket,
            Some("CharDevice") => Kind::CharDevice,
            Some("BlockDevice") => Kind::BlockDevice,
            _ => Kind::Unset,
        },
    });
    let image = volume.image.as_ref().map(|image| spec::VolumeSource::Image {
        reference: image.reference.clone().unwrap_or_default(),
        policy: pull_policy(image.pull_policy.as_deref()),
    });
    let empty_dir = volume.empty_dir.clone().unwrap_or_default();
    let empty = match empty_dir.medium.as_deref() {
        Some("Memory") => spec::VolumeSource::Memory,
        Some(medium) if medium.starts_with(totals::MEDIUM) => {
            spec::VolumeSource::HugePages { page: totals::page_of(medium, pod.spec.as_ref()).unwrap_or(0) }
        }
        _ => spec::VolumeSource::EmptyDir,
    };
    let limit = empty_dir.size_limit.and_then(|limit| Quantity::parse(&limit.0));
    spec::Volume {
        name: volume.name.clone(),
        source: projected.or(host_path).or(image).unwrap_or(empty),
        size_limit: limit.filter(|limit| limit.milli() > 0).map(Quantity::bytes),
    }
}
