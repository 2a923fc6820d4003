//! What was said, by whom, and what is wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::yaml::tree::Position;

/// What can be configured here. Each name of a flag or field that means something is one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is a field of `Agent`")]
pub enum Key {
    DataDir,
    PodManifestPath,
    NodeName,
    NodeLabel,
    LogDir,
    CgroupRoot,
    Force,
    Log,
    ResolvConf,
    ClusterDns,
    ClusterDomain,
    PodCidr,
    LogMaxSize,
    LogMaxFiles,
    FileCheckFrequency,
    MaxRestartPeriod,
    PressureTransition,
    ImageGcHigh,
    ImageGcLow,
    ImageMinAge,
    ImageMaxAge,
    MaxPods,
    PodPidsLimit,
    IdsPerPod,
    SeccompDefault,
    Selinux,
    SingleProcessOomKill,
    UnsafeSysctls,
    SystemReserved,
    KubeReserved,
    EvictionHard,
    EnforceAllocatable,
    CpuCfsQuota,
    FailSwapOn,
    FeatureGates,
    MemoryReservation,
    MemoryThrottling,
    PrivateRegistry,
    OnlyMirrors,
    SerializePulls,
    MaxParallelPulls,
    PullQps,
    PullBurst,
}

impl Key {
    /// All there are, in the order in which they are shown. The data directory comes before the manifests, whose default
    /// is in it.
    pub const ALL: [Key; 43] = [
        Key::DataDir,
        Key::PodManifestPath,
        Key::NodeName,
        Key::NodeLabel,
        Key::LogDir,
        Key::CgroupRoot,
        Key::Force,
        Key::Log,
        Key::ResolvConf,
        Key::ClusterDns,
        Key::ClusterDomain,
        Key::PodCidr,
        Key::LogMaxSize,
        Key::LogMaxFiles,
        Key::FileCheckFrequency,
        Key::MaxRestartPeriod,
        Key::PressureTransition,
        Key::ImageGcHigh,
        Key::ImageGcLow,
        Key::ImageMinAge,
        Key::ImageMaxAge,
        Key::MaxPods,
        Key::PodPidsLimit,
        Key::IdsPerPod,
        Key::SeccompDefault,
        Key::Selinux,
        Key::SingleProcessOomKill,
        Key::UnsafeSysctls,
        Key::SystemReserved,
        Key::KubeReserved,
        Key::EvictionHard,
        Key::EnforceAllocatable,
        Key::CpuCfsQuota,
        Key::FailSwapOn,
        Key::FeatureGates,
        Key::MemoryReservation,
        Key::MemoryThrottling,
        Key::PrivateRegistry,
        Key::OnlyMirrors,
        Key::SerializePulls,
        Key::MaxParallelPulls,
        Key::PullQps,
        Key::PullBurst,
    ];

    /// The name it is shown by: that of our flag, where there is one, else that of kubelet's field.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What it is where nobody says anything; kubelet's, but for the paths, `seccompDefault`, `failSwapOn`, which is k3s',
    /// `evictionHard`, since no pod is ended because the node runs short, and pulls at the same time. Of these
    /// a kubelet has one or any number, and k3s any; here three, each with three connections and a card to write to: on a small
    /// box more would be no faster, and a slow registry still holds up nobody.
    pub fn default(self) -> &'static [&'static str] {
        self.row().1
    }

    fn row(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Key::DataDir => ("data-dir", &[super::DATA_DIR]),
            Key::PodManifestPath => ("pod-manifest-path", &[""]),
            Key::NodeName => ("node-name", &[""]),
            Key::NodeLabel => ("node-label", &[]),
            Key::LogDir => ("log-dir", &[super::LOG_DIR]),
            Key::CgroupRoot => ("cgroup-root", &["/"]),
            Key::Force => ("force", &["false"]),
            Key::Log => ("verbose", &["info"]),
            Key::ResolvConf => ("resolv-conf", &["/etc/resolv.conf"]),
            Key::ClusterDns => ("clusterDNS", &[]),
            Key::ClusterDomain => ("clusterDomain", &[""]),
            Key::PodCidr => ("pod-cidr", &[""]),
            Key::LogMaxSize => ("containerLogMaxSize", &["10Mi"]),
            Key::LogMaxFiles => ("containerLogMaxFiles", &["5"]),
            Key::FileCheckFrequency => ("fileCheckFrequency", &["20s"]),
            Key::MaxRestartPeriod => ("crashLoopBackOff.maxContainerRestartPeriod", &["5m"]),
            Key::PressureTransition => ("evictionPressureTransitionPeriod", &["5m"]),
            Key::ImageGcHigh => ("imageGCHighThresholdPercent", &["85"]),
            Key::ImageGcLow => ("imageGCLowThresholdPercent", &["80"]),
            Key::ImageMinAge => ("imageMinimumGCAge", &["2m"]),
            Key::ImageMaxAge => ("imageMaximumGCAge", &["0s"]),
            Key::MaxPods => ("maxPods", &["110"]),
            Key::PodPidsLimit => ("podPidsLimit", &["-1"]),
            Key::IdsPerPod => ("userNamespaces.idsPerPod", &["65536"]),
            Key::SeccompDefault => ("seccompDefault", &["true"]),
            Key::Selinux => ("selinux", &["false"]),
            Key::SingleProcessOomKill => ("singleProcessOOMKill", &["false"]),
            Key::UnsafeSysctls => ("allowedUnsafeSysctls", &[]),
            Key::SystemReserved => ("systemReserved", &[]),
            Key::KubeReserved => ("kubeReserved", &[]),
            Key::EvictionHard => ("evictionHard", &[]),
            Key::EnforceAllocatable => ("enforceNodeAllocatable", &["pods"]),
            Key::CpuCfsQuota => ("cpuCFSQuota", &["true"]),
            Key::FailSwapOn => ("failSwapOn", &["false"]),
            Key::FeatureGates => ("featureGates", &[]),
            Key::MemoryReservation => ("memoryReservationPolicy", &["None"]),
            Key::MemoryThrottling => ("memoryThrottlingFactor", &["0.9"]),
            Key::PrivateRegistry => ("private-registry", &[super::PRIVATE_REGISTRY]),
            Key::OnlyMirrors => ("disable-default-registry-endpoint", &["false"]),
            Key::SerializePulls => ("serializeImagePulls", &["false"]),
            Key::MaxParallelPulls => ("maxParallelImagePulls", &["3"]),
            Key::PullQps => ("registryPullQPS", &["5"]),
            Key::PullBurst => ("registryBurst", &["10"]),
        }
    }
}

/// What a name of another program means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// The same as there.
    Is(Key),
    /// It will: what is not built yet.
    NotYet(&'static str),
    /// Nothing: why.
    Nothing(&'static str),
}

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// By a flag.
    CommandLine,
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Where in it.
        at: Position,
    },
}

impl Origin {
    /// In the file `path`, at `at`.
    pub fn file(path: &Path, at: Position) -> Origin {
        Origin::File { path: path.to_path_buf(), at }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::CommandLine => f.write_str("command line"),
            Origin::File { path, at } => write!(f, "{}:{}", path.display(), at.line),
        }
    }
}

/// A value that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Of what.
    pub key: Key,
    /// The name as it was written there.
    pub name: String,
    /// The value: one text, or those of a list; pairs are `name=value`.
    pub values: Vec<String>,
    /// Where.
    pub origin: Origin,
}

impl Given {
    /// By the flag `--name` of the agent.
    pub fn flag(key: Key, values: Vec<String>) -> Given {
        Given { key, name: format!("--{}", key.name()), values, origin: Origin::CommandLine }
    }
}

/// Why a value cannot be taken: what it must be, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Wrong {
    /// `what` is wrong; `fix` it.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), fix: fix.into() }
    }
}

/// Something that is wrong with what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// The name as it was written there; empty where it is the whole file.
    pub name: String,
    /// Why.
    pub wrong: Wrong,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Origin::File { path, at } = &self.origin {
            write!(f, "{}:{}:{}: ", path.display(), at.line, at.column)?;
        }
        if !self.name.is_empty() {
            write!(f, "{}: ", self.name)?;
        }
        f.write_str(&self.wrong.what)?;
        match self.wrong.fix.is_empty() {
            true => Ok(()),
            false => write!(f, "; {}", self.wrong.fix),
        }
    }
}
