//! The pod and its containers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    DnsConfig, DnsPolicy, EnvFrom, Hooks, HostAlias, HostPort, Probes, Qos, Resources, RestartAction,
    RestartPolicy, RestartRule, Security, Sysctl, TerminationMessage, ValueSource, Volume, VolumeSource,
};

/// Identity of one incarnation of a pod: 32 hexadecimal digits, safe as a file name. A changed manifest is a new `Uid`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One pod, as accepted. The default is nobody's: all that can be empty is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// Identity of this incarnation.
    pub uid: Uid,
    /// `metadata.namespace`, `default` where the manifest has none.
    pub namespace: String,
    /// `metadata.name` with the node's name appended, as the kubelet does: `web-edge-1`.
    pub name: String,
    /// Path of the manifest file it came from.
    pub origin: String,
    /// The whole object as core/v1 JSON, with defaults and annotations, without status: what `get -o yaml` shows.
    pub object: String,
    /// Name of the node, as `spec.nodeName`.
    pub node_name: String,
    /// The host name inside (reference D.6), at most 63 characters; the node's with `host_network`.
    pub hostname: String,
    /// `spec.subdomain`, empty where it has no effect: in the node's network, and with `hostnameOverride`.
    #[serde(default)]
    pub subdomain: String,
    /// `spec.setHostnameAsFQDN`: with a subdomain, the kernel is told the whole name.
    #[serde(default)]
    pub hostname_as_fqdn: bool,
    /// `spec.restartPolicy`.
    pub restart_policy: RestartPolicy,
    /// Time between SIGTERM and SIGKILL: `terminationGracePeriodSeconds`.
    pub grace: Duration,
    /// `spec.priority`, 0 where absent. Higher starts earlier and stops later.
    pub priority: i32,
    /// `spec.priorityClassName`, empty where absent.
    pub priority_class: String,
    /// `spec.hostNetwork`: the node's network and host name.
    pub host_network: bool,
    /// The ports of the node that it takes: those of its containers, with `host_network`.
    #[serde(default)]
    pub host_ports: Vec<HostPort>,
    /// `spec.dnsPolicy`; one that an older agent wrote down has the default.
    #[serde(default)]
    pub dns_policy: DnsPolicy,
    /// `spec.dnsConfig`.
    #[serde(default)]
    pub dns: DnsConfig,
    /// `spec.hostAliases`, in order.
    #[serde(default)]
    pub host_aliases: Vec<HostAlias>,
    /// `spec.hostPID`.
    pub host_pid: bool,
    /// `spec.hostIPC`.
    pub host_ipc: bool,
    /// `spec.hostUsers: false`: a user namespace of its own.
    #[serde(default)]
    pub user_namespace: bool,
    /// `spec.shareProcessNamespace`: one PID namespace for all containers.
    pub share_process_namespace: bool,
    /// Quality of service class, from its own resources, else from the containers'.
    pub qos: Qos,
    /// `spec.resources`, where it says anything.
    #[serde(default)]
    pub resources: Option<Resources>,
    /// `spec.initContainers` and then `spec.containers`, each in order.
    pub containers: Vec<Container>,
    /// `spec.activeDeadlineSeconds`: how long it may take, from its start.
    #[serde(default)]
    pub active_deadline: Option<Duration>,
    /// `spec.securityContext.fsGroup`: the group of its volumes, those of the node apart.
    #[serde(default)]
    pub fs_group: Option<u32>,
    /// `spec.securityContext.sysctls`, in order.
    #[serde(default)]
    pub sysctls: Vec<Sysctl>,
    /// `spec.volumes`, in order.
    pub volumes: Vec<Volume>,
}

impl Pod {
    /// `namespace/name`: what a person calls the pod, and what only one incarnation may hold at a time.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether it asks the cluster's name servers, where there are any.
    pub fn asks_cluster_dns(&self) -> bool {
        match self.dns_policy {
            DnsPolicy::ClusterFirst => !self.host_network,
            DnsPolicy::ClusterFirstWithHostNet => true,
            DnsPolicy::Default | DnsPolicy::None => false,
        }
    }

    /// The images that it names, as the manifest has them.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        let of_volumes = self.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::Image { reference, .. } => Some(reference.as_str()),
            _ => None,
        });
        self.containers.iter().map(|container| container.image.as_str()).chain(of_volumes)
    }

    /// The volumes of images that `container` mounts, each once: name, reference and policy.
    pub fn volume_images<'p>(
        &'p self,
        container: &'p Container,
    ) -> impl Iterator<Item = (&'p str, &'p str, PullPolicy)> {
        self.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::Image { reference, policy }
                if container.mounts.iter().any(|mount| mount.volume == volume.name) =>
            {
                Some((volume.name.as_str(), reference.as_str(), *policy))
            }
            _ => None,
        })
    }

    /// The container called `name`, of whatever role.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The most that its containers ask for at a time: an init container runs beside the sidecars before it, the others
    /// beside all sidecars (reference B.6). `None` if one of them does not say.
    pub fn dearest(&self, of: impl Fn(&Resources) -> Option<u64>) -> Option<u64> {
        let (mut sidecars, mut regular, mut most) = (0_u64, 0_u64, 0_u64);
        for container in &self.containers {
            let amount = of(&container.resources)?;
            match container.role {
                Role::Init => most = most.max(sidecars.saturating_add(amount)),
                Role::Sidecar => sidecars = sidecars.saturating_add(amount),
                Role::Regular => regular = regular.saturating_add(amount),
            }
        }
        Some(most.max(sidecars.saturating_add(regular)))
    }

    /// Whether something runs before its regular containers.
    pub fn has_inits(&self) -> bool {
        self.containers.iter().any(|container| container.role != Role::Regular)
    }

    /// Whether the end of one container may bring another beginning of all.
    pub fn may_restart_all(&self) -> bool {
        let mut rules = self.containers.iter().flat_map(|container| &container.restart_rules);
        rules.any(|rule| rule.action == RestartAction::RestartAllContainers)
    }
}

/// What a container is there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Runs to its end before the next one begins: an init container.
    Init,
    /// An init container that goes on beside the others, since its own `restartPolicy` is `Always`.
    Sidecar,
    /// One of `spec.containers`.
    #[default]
    Regular,
}

/// One container of a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// `name`, unique in the pod.
    pub name: String,
    /// What it is there for.
    #[serde(default)]
    pub role: Role,
    /// Its own `restartPolicy`; the pod's where absent.
    #[serde(default)]
    pub restart_policy: Option<RestartPolicy>,
    /// `restartPolicyRules`, in order; the first that matches decides before the policy does.
    #[serde(default)]
    pub restart_rules: Vec<RestartRule>,
    /// `image` as written in the manifest, such as `redis` or `docker.io/library/redis:7`.
    pub image: String,
    /// `imagePullPolicy`, defaulted from the tag.
    pub pull_policy: PullPolicy,
    /// `command`: replaces the image's ENTRYPOINT; `$(VAR)` not yet expanded.
    pub command: Vec<String>,
    /// `args`: replaces the image's CMD; `$(VAR)` not yet expanded.
    pub args: Vec<String>,
    /// `env`, in order; `$(VAR)` not yet expanded.
    pub env: Vec<EnvVar>,
    /// `envFrom`, in order.
    #[serde(default)]
    pub env_from: Vec<EnvFrom>,
    /// `workingDir`, absolute; the image's where absent.
    pub working_dir: Option<String>,
    /// `resources`.
    pub resources: Resources,
    /// `volumeMounts`, in order.
    pub mounts: Vec<VolumeMount>,
    /// `stdin`: it reads what those say who attach, rather than nothing.
    #[serde(default)]
    pub stdin: bool,
    /// `stdinOnce`: of those, the first only.
    #[serde(default)]
    pub stdin_once: bool,
    /// `tty`: its stdin, stdout and stderr are a terminal.
    #[serde(default)]
    pub tty: bool,
    /// `startupProbe`, `livenessProbe`, `readinessProbe`.
    #[serde(default)]
    pub probes: Probes,
    /// `lifecycle.postStart`, `lifecycle.preStop`.
    #[serde(default)]
    pub hooks: Hooks,
    /// `terminationMessagePath`, `terminationMessagePolicy`.
    #[serde(default)]
    pub last_words: TerminationMessage,
    /// `lifecycle.stopSignal`, in place of the image's STOPSIGNAL.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// `securityContext`, and the pod's where it says nothing.
    #[serde(default)]
    pub security: Security,
}

impl Container {
    /// Whether one of its volumes is to show what the node mounts below it later.
    pub fn receives_mounts(&self) -> bool {
        self.mounts.iter().any(|mount| mount.propagation == MountPropagation::HostToContainer)
    }
}

/// One environment variable with its value as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EnvVar {
    /// Name: printable ASCII without `=`.
    pub name: String,
    /// Value; `$(VAR)` refers to earlier ones.
    pub value: String,
    /// Where its value comes from in place of that.
    #[serde(default)]
    pub from: Option<ValueSource>,
}

/// Where a volume appears in a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// Name of one of the pod's volumes.
    pub volume: String,
    /// Path in the container.
    pub path: String,
    /// `readOnly`.
    pub read_only: bool,
    /// `recursiveReadOnly` is `Enabled`, or `IfPossible`, as it always is here.
    #[serde(default)]
    pub recursive_read_only: bool,
    /// `mountPropagation`.
    #[serde(default)]
    pub propagation: MountPropagation,
    /// How much of the volume.
    #[serde(default)]
    pub sub_path: SubPath,
}

/// Whether a mount of a volume sees what is mounted later below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountPropagation {
    /// No.
    #[default]
    None,
    /// What the node mounts, it does.
    HostToContainer,
}

/// Which part of a volume is mounted: a path in it, relative and without `..`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum SubPath {
    /// All of it.
    #[default]
    Whole,
    /// `subPath`, as written.
    Path(String),
    /// `subPathExpr`; `$(VAR)` not yet expanded.
    Expression(String),
}

/// `imagePullPolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Ask the registry at each start; the default for `:latest`.
    Always,
    /// Ask only where the image is absent; the default for other tags and for digests.
    #[default]
    IfNotPresent,
    /// Never ask.
    Never,
}
