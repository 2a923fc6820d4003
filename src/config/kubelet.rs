//! The kubelet: every field of its KubeletConfiguration (v1beta1, Kubernetes 1.36), and its flags.

use std::path::Path;

use super::file::{Read, Said, is_nothing, values};
use super::given::{Key, Means, Origin};
use crate::yaml::tree::{Content, Entry, Node};
use Means::{Is, NotYet, Nothing};

/// Why something means nothing here, or what is not built yet; also k3s' reasons.
pub const SERVER: &str = "nothing listens for requests";
pub const CLUSTER: &str = "the node joins no cluster";
pub const LOGGING: &str = "the log goes to stderr as text";
pub const NAMES_OF_REGISTRIES: &str = "plugins for registries";
pub const PROBED: &str = "another address than that of the way out";
const EVICTION: &str = "ending pods before the node runs short";
const HTTP: &str = "manifests come from a directory alone";
const MANAGERS: &str = "placing containers on processors and memory";
const CGROUPS: &str = "cgroups are made by writing to them";
const SHUTDOWN: &str = "ending pods before the machine is switched off";
const NET: &str = "our rules need no marks and no chains of others";
const ENDPOINT: &str = "there is no other container runtime";
const STATS: &str = "nothing is measured until somebody asks";

/// Every field, those within others by the whole way to them. A field that is not here but begins others is a mapping.
pub(super) const FIELDS: &[(&str, Means)] = &[
    ("address", Nothing(SERVER)),
    ("allowedUnsafeSysctls", Is(Key::UnsafeSysctls)),
    ("authentication", Nothing(SERVER)),
    ("authorization", Nothing(SERVER)),
    ("cgroupDriver", Nothing(CGROUPS)),
    ("cgroupRoot", Is(Key::CgroupRoot)),
    ("cgroupsPerQOS", Nothing("there is a cgroup for each class, always")),
    ("clusterDNS", Is(Key::ClusterDns)),
    ("clusterDomain", Is(Key::ClusterDomain)),
    ("configMapAndSecretChangeDetectionStrategy", Nothing(CLUSTER)),
    ("containerLogMaxFiles", Is(Key::LogMaxFiles)),
    ("containerLogMaxSize", Is(Key::LogMaxSize)),
    ("containerLogMaxWorkers", Nothing("each pod rotates its own logs")),
    ("containerLogMonitorInterval", Nothing("logs are rotated as they are written")),
    ("containerRuntimeEndpoint", Nothing(ENDPOINT)),
    ("contentType", Nothing(CLUSTER)),
    ("cpuCFSQuota", Is(Key::CpuCfsQuota)),
    ("cpuCFSQuotaPeriod", NotYet("another period than 100ms")),
    ("cpuManagerPolicy", NotYet(MANAGERS)),
    ("cpuManagerPolicyOptions", NotYet(MANAGERS)),
    ("cpuManagerReconcilePeriod", NotYet(MANAGERS)),
    ("crashLoopBackOff.maxContainerRestartPeriod", Is(Key::MaxRestartPeriod)),
    ("draManagerReconcilePeriod", NotYet("devices that are claimed")),
    ("enableContentionProfiling", Nothing(SERVER)),
    ("enableControllerAttachDetach", Nothing(CLUSTER)),
    ("enableDebugFlagsHandler", Nothing(SERVER)),
    ("enableDebuggingHandlers", Nothing(SERVER)),
    ("enableProfilingHandler", Nothing(SERVER)),
    ("enableServer", Nothing(SERVER)),
    ("enableSystemLogHandler", Nothing(SERVER)),
    ("enableSystemLogQuery", Nothing(SERVER)),
    ("enforceNodeAllocatable", Is(Key::EnforceAllocatable)),
    ("eventBurst", Nothing("events are kept here, a bounded number of them")),
    ("eventRecordQPS", Nothing("events are kept here, a bounded number of them")),
    ("evictionHard", Is(Key::EvictionHard)),
    ("evictionMaxPodGracePeriod", NotYet(EVICTION)),
    ("evictionMinimumReclaim", NotYet(EVICTION)),
    ("evictionPressureTransitionPeriod", Is(Key::PressureTransition)),
    ("evictionSoft", NotYet(EVICTION)),
    ("evictionSoftGracePeriod", NotYet(EVICTION)),
    ("failCgroupV1", Nothing("both versions of cgroups will do")),
    ("failSwapOn", Is(Key::FailSwapOn)),
    ("featureGates", Is(Key::FeatureGates)),
    ("fileCheckFrequency", Is(Key::FileCheckFrequency)),
    ("hairpinMode", Nothing("a pod reaches itself by its ports of the node, always")),
    ("healthzBindAddress", Nothing(SERVER)),
    ("healthzPort", Nothing(SERVER)),
    ("httpCheckFrequency", Nothing(HTTP)),
    ("imageGCHighThresholdPercent", Is(Key::ImageGcHigh)),
    ("imageGCLowThresholdPercent", Is(Key::ImageGcLow)),
    ("imageMaximumGCAge", Is(Key::ImageMaxAge)),
    ("imageMinimumGCAge", Is(Key::ImageMinAge)),
    ("imagePullCredentialsVerificationPolicy", NotYet(NAMES_OF_REGISTRIES)),
    ("imageServiceEndpoint", Nothing(ENDPOINT)),
    ("iptablesDropBit", Nothing(NET)),
    ("iptablesMasqueradeBit", Nothing(NET)),
    ("kernelMemcgNotification", NotYet(EVICTION)),
    ("kubeAPIBurst", Nothing(CLUSTER)),
    ("kubeAPIQPS", Nothing(CLUSTER)),
    ("kubeReserved", Is(Key::KubeReserved)),
    ("kubeReservedCgroup", NotYet("limits for the system")),
    ("kubeletCgroups", Nothing("the agent stays in the cgroup that it was started in")),
    ("localStorageCapacityIsolation", Nothing("limits of disk space hold, always")),
    ("logging.flushFrequency", Nothing(LOGGING)),
    ("logging.format", Nothing(LOGGING)),
    ("logging.options", Nothing(LOGGING)),
    ("logging.verbosity", Is(Key::Log)),
    ("logging.vmodule", Nothing(LOGGING)),
    ("makeIPTablesUtilChains", Nothing(NET)),
    ("maxOpenFiles", Nothing("the agent raises its own limit as far as it may")),
    ("maxParallelImagePulls", Is(Key::MaxParallelPulls)),
    ("maxPods", Is(Key::MaxPods)),
    ("memoryManagerPolicy", NotYet(MANAGERS)),
    ("memoryReservationPolicy", Is(Key::MemoryReservation)),
    ("memorySwap.swapBehavior", Nothing("no static pod swaps, whatever it says")),
    ("memoryThrottlingFactor", Is(Key::MemoryThrottling)),
    ("mergeDefaultEvictionSettings", NotYet(EVICTION)),
    ("nodeLeaseDurationSeconds", Nothing(CLUSTER)),
    ("nodeStatusMaxImages", Nothing("`holdfast get images` lists them all")),
    ("nodeStatusReportFrequency", Nothing(CLUSTER)),
    ("nodeStatusUpdateFrequency", Nothing("the node is looked at with the manifests")),
    ("oomScoreAdj", Nothing("the agent's is what its service says")),
    ("podCIDR", Is(Key::PodCidr)),
    ("podLogsDir", Is(Key::LogDir)),
    ("podPidsLimit", Is(Key::PodPidsLimit)),
    ("podsPerCore", NotYet("set maxPods instead")),
    ("port", Nothing(SERVER)),
    ("preloadedImagesVerificationAllowlist", NotYet(NAMES_OF_REGISTRIES)),
    ("protectKernelDefaults", NotYet("a check of the kernel's settings")),
    ("providerID", Nothing(CLUSTER)),
    ("qosReserved", NotYet("memory kept for guaranteed pods")),
    ("readOnlyPort", Nothing(SERVER)),
    ("registerNode", Nothing(CLUSTER)),
    ("registerWithTaints", Nothing(CLUSTER)),
    ("registryBurst", Is(Key::PullBurst)),
    ("registryPullQPS", Is(Key::PullQps)),
    ("reservedMemory", NotYet(MANAGERS)),
    ("reservedSystemCPUs", NotYet(MANAGERS)),
    ("resolvConf", Is(Key::ResolvConf)),
    ("rotateCertificates", Nothing(CLUSTER)),
    ("runOnce", NotYet("running pods once")),
    ("runtimeRequestTimeout", Nothing(ENDPOINT)),
    ("seccompDefault", Is(Key::SeccompDefault)),
    ("serializeImagePulls", Is(Key::SerializePulls)),
    ("serverTLSBootstrap", Nothing(CLUSTER)),
    ("showHiddenMetricsForVersion", Nothing(SERVER)),
    ("shutdownGracePeriod", NotYet(SHUTDOWN)),
    ("shutdownGracePeriodByPodPriority", NotYet(SHUTDOWN)),
    ("shutdownGracePeriodCriticalPods", NotYet(SHUTDOWN)),
    ("singleProcessOOMKill", Is(Key::SingleProcessOomKill)),
    ("staticPodPath", Is(Key::PodManifestPath)),
    ("staticPodURL", Nothing(HTTP)),
    ("staticPodURLHeader", Nothing(HTTP)),
    ("streamingConnectionIdleTimeout", Nothing(SERVER)),
    ("syncFrequency", Nothing("pods are seen to when something happens")),
    ("systemCgroups", Nothing("other programs' cgroups are left alone")),
    ("systemReserved", Is(Key::SystemReserved)),
    ("systemReservedCgroup", NotYet("limits for the system")),
    ("tlsCertFile", Nothing(SERVER)),
    ("tlsCipherSuites", Nothing(SERVER)),
    ("tlsCurvePreferences", Nothing(SERVER)),
    ("tlsMinVersion", Nothing(SERVER)),
    ("tlsPrivateKeyFile", Nothing(SERVER)),
    ("topologyManagerPolicy", NotYet(MANAGERS)),
    ("topologyManagerPolicyOptions", NotYet(MANAGERS)),
    ("topologyManagerScope", NotYet(MANAGERS)),
    ("tracing", Nothing(SERVER)),
    ("userNamespaces.idsPerPod", Is(Key::IdsPerPod)),
    ("volumePluginDir", Nothing("there are no plugins")),
    ("volumeStatsAggPeriod", Nothing(STATS)),
];

/// Flags that are called otherwise than their field.
pub(super) const OTHERWISE: &[(&str, &str)] = &[
    ("anonymous-auth", "authentication"),
    ("authentication-token-webhook", "authentication"),
    ("authentication-token-webhook-cache-ttl", "authentication"),
    ("authorization-mode", "authorization"),
    ("authorization-webhook-cache-authorized-ttl", "authorization"),
    ("authorization-webhook-cache-unauthorized-ttl", "authorization"),
    ("client-ca-file", "authentication"),
    ("contention-profiling", "enableContentionProfiling"),
    ("event-qps", "eventRecordQPS"),
    ("image-gc-high-threshold", "imageGCHighThresholdPercent"),
    ("image-gc-low-threshold", "imageGCLowThresholdPercent"),
    ("kube-api-burst", "kubeAPIBurst"),
    ("kube-api-content-type", "contentType"),
    ("kube-api-qps", "kubeAPIQPS"),
    ("log-flush-frequency", "logging.flushFrequency"),
    ("logging-format", "logging.format"),
    ("make-iptables-util-chains", "makeIPTablesUtilChains"),
    ("manifest-url", "staticPodURL"),
    ("manifest-url-header", "staticPodURLHeader"),
    ("minimum-image-ttl-duration", "imageMinimumGCAge"),
    ("pod-manifest-path", "staticPodPath"),
    ("pod-max-pids", "podPidsLimit"),
    ("register-schedulable", "registerNode"),
    ("registry-qps", "registryPullQPS"),
    ("reserved-cpus", "reservedSystemCPUs"),
    ("rotate-server-certificates", "serverTLSBootstrap"),
    ("runonce", "runOnce"),
    ("v", "logging.verbosity"),
    ("vmodule", "logging.vmodule"),
];

/// Flags without a field.
pub(super) const FLAGS: &[(&str, Means)] = &[
    ("application-metrics-count-limit", Nothing(STATS)),
    ("boot-id-file", Nothing(STATS)),
    ("bootstrap-kubeconfig", Nothing(CLUSTER)),
    ("cert-dir", Nothing(SERVER)),
    ("cloud-config", Nothing(CLUSTER)),
    ("cloud-provider", Nothing(CLUSTER)),
    ("config", NotYet("name the file by --config")),
    ("config-dir", NotYet("name the directory by --config-dir")),
    ("container-hints", Nothing(STATS)),
    ("container-runtime", Nothing(ENDPOINT)),
    ("containerd", Nothing(STATS)),
    ("containerd-namespace", Nothing(STATS)),
    ("enable-load-reader", Nothing(STATS)),
    ("event-storage-age-limit", Nothing(STATS)),
    ("event-storage-event-limit", Nothing(STATS)),
    ("exit-on-lock-contention", Nothing("there is one agent, by a lock of its own")),
    ("experimental-allocatable-ignore-eviction", NotYet(EVICTION)),
    ("experimental-mounter-path", Nothing("mounts are made by the kernel alone")),
    ("global-housekeeping-interval", Nothing(STATS)),
    ("hostname-override", Is(Key::NodeName)),
    ("housekeeping-interval", Nothing(STATS)),
    ("image-credential-provider-bin-dir", NotYet(NAMES_OF_REGISTRIES)),
    ("image-credential-provider-config", NotYet(NAMES_OF_REGISTRIES)),
    ("keep-terminated-pod-volumes", Nothing("a pod that is gone leaves nothing")),
    ("kubeconfig", Nothing(CLUSTER)),
    ("lock-file", Nothing("there is one agent, by a lock of its own")),
    ("log-json-info-buffer-size", Nothing(LOGGING)),
    ("log-json-split-stream", Nothing(LOGGING)),
    ("log-text-info-buffer-size", Nothing(LOGGING)),
    ("log-text-split-stream", Nothing(LOGGING)),
    ("machine-id-file", Nothing(STATS)),
    ("maximum-dead-containers", NotYet("one ended run of each container is kept")),
    ("maximum-dead-containers-per-container", NotYet("one ended run of each container is kept")),
    ("minimum-container-ttl-duration", NotYet("one ended run of each container is kept")),
    ("node-ip", NotYet(PROBED)),
    ("node-labels", Is(Key::NodeLabel)),
    ("pod-infra-container-image", Nothing("pods are held by a process of the agent's own")),
    ("root-dir", Nothing("it is below --data-dir")),
    ("runtime-cgroups", Nothing(ENDPOINT)),
    ("storage-driver-buffer-duration", Nothing(STATS)),
    ("storage-driver-db", Nothing(STATS)),
    ("storage-driver-host", Nothing(STATS)),
    ("storage-driver-password", Nothing(STATS)),
    ("storage-driver-secure", Nothing(STATS)),
    ("storage-driver-table", Nothing(STATS)),
    ("storage-driver-user", Nothing(STATS)),
];

/// Whether a KubeletConfiguration has this at its top.
pub fn is_field(name: &str) -> bool {
    field(name).is_some() || is_mapping(name)
}

/// What the kubelet's flag `name` means, without its dashes.
pub fn flag(name: &str) -> Option<Means> {
    let otherwise = OTHERWISE.iter().find(|(known, _)| *known == name).and_then(|(_, name)| field(name));
    let alike = || FIELDS.iter().find(|(known, _)| dashed(known) == name).map(|(_, means)| *means);
    let own = || FLAGS.iter().find(|(known, _)| *known == name).map(|(_, means)| *means);
    otherwise.or_else(own).or_else(alike)
}

/// Takes in the KubeletConfiguration `document` of the file `path`.
pub fn read(path: &Path, document: &Node, read: &mut Read) {
    let Content::Map(entries) = &document.content else { return };
    let fields = entries.iter().filter(|entry| !matches!(entry.key.as_str(), "apiVersion" | "kind"));
    fields.for_each(|entry| take(path, entry.key.clone(), entry, read));
}

fn take(path: &Path, name: String, entry: &Entry, read: &mut Read) {
    let means = field(&name);
    let origin = Origin::file(path, entry.at);
    match (&entry.value.content, means) {
        (Content::Map(entries), None) if is_mapping(&name) => {
            for inner in entries {
                take(path, format!("{name}.{}", inner.key), inner, read);
            }
        }
        (_, Some(Is(_))) => match values(&entry.value) {
            Ok(values) => read.take(Said { name, values, origin }, means),
            Err((at, wrong)) => read.problem(name, Origin::file(path, at), wrong),
        },
        _ if is_nothing(&entry.value) && (means.is_some() || is_mapping(&name)) => {}
        _ => read.take(Said { name, values: Vec::new(), origin }, means),
    }
}

fn field(name: &str) -> Option<Means> {
    FIELDS.iter().find(|(known, _)| *known == name).map(|(_, means)| *means)
}

/// Whether fields are below `name`.
fn is_mapping(name: &str) -> bool {
    FIELDS.iter().any(|(known, _)| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// `cpuCFSQuota` as a flag: `cpu-cfs-quota`.
pub fn dashed(field: &str) -> String {
    let letters: Vec<char> = field.chars().collect();
    let mut flag = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let begins_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || letters.get(at + 1).is_some_and(|next| next.is_lowercase())
            });
        if begins_word {
            flag.push('-');
        }
        flag.extend(letter.to_lowercase());
    }
    flag
}
