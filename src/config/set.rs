//! What each value must be, and where it goes.

use std::net::IpAddr;
use std::time::Duration;

use log::LevelFilter;

use super::given::{Key, Wrong};
use super::{Agent, text, values};
use crate::host::Data;
use crate::spec::{Range, SysctlNamespace, sysctl_name};

/// kubelet's own limits of `crashLoopBackOff.maxContainerRestartPeriod`.
const RESTART_PERIOD: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];
/// Looking more often than this would make an idle node a busy one.
const LEAST_FREQUENCY: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// A log that is begun anew for each line serves nobody.
const LEAST_LOG: u64 = 1024;

/// Whether these values are the same as none: what kubelet writes for what nobody set.
pub fn is_unset(key: Key, values: &[String]) -> bool {
    let [value] = values else { return values.is_empty() && key != Key::EnforceAllocatable };
    match key {
        // An empty one is another order: to ask the node itself.
        // Nor is none of these.
        Key::ResolvConf | Key::EnforceAllocatable => false,
        Key::FileCheckFrequency
        | Key::MaxRestartPeriod
        | Key::PressureTransition
        | Key::ImageMinAge
        | Key::ImageMaxAge => value.is_empty() || values::duration(value) == Some(Duration::ZERO),
        // A kubelet's own zero of `registryPullQPS` is no limit, and not unset.
        Key::MaxPods | Key::PullBurst => value.is_empty() || value == "0",
        // `debug: false` takes nothing back.
        Key::Log => value.is_empty() || value == "false",
        _ => value.is_empty(),
    }
}

/// Sets `key` in `agent`, in place of what was there.
pub fn set(agent: &mut Agent, key: Key, values: &[String]) -> Result<(), Wrong> {
    match key {
        Key::NodeLabel => agent.node_labels = values::labels(values)?,
        Key::ClusterDns => agent.cluster_dns = addresses(values)?,
        Key::PodCidr => agent.pod_ranges = ranges(values)?,
        Key::UnsafeSysctls => agent.unsafe_sysctls = sysctls(values)?,
        Key::SystemReserved => agent.system_reserved = values::reserved(values)?,
        Key::KubeReserved => agent.kube_reserved = values::reserved(values)?,
        Key::EvictionHard => agent.eviction_hard = values::thresholds(values)?,
        Key::FeatureGates => agent.memory_qos = values::pairs(values)?.get("MemoryQoS") == Some(&"true"),
        Key::EnforceAllocatable => {
            agent.enforce_allocatable =
                values.iter().flat_map(|value| value.split(',')).any(|it| it.trim() == "pods");
        }
        _ => {
            let [value] = values else {
                return Err(Wrong::new("several values where there can be one", "leave one of them"));
            };
            one(agent, key, value)?;
        }
    }
    Ok(())
}

/// A whole number of what an ordinary system has. Those of one pod do not leave room for none (kubelet's `validation.go`).
fn ids(value: &str) -> Result<u32, Wrong> {
    let number = values::number(value, IDS_OF_A_SYSTEM)?;
    u32::try_from(number).ok().filter(|_| number % IDS_OF_A_SYSTEM == 0).ok_or_else(|| {
        Wrong::new(
            format!("{value:?} is no multiple of {IDS_OF_A_SYSTEM}, or too much"),
            "write 65536, or 131072",
        )
    })
}

const IDS_OF_A_SYSTEM: i64 = 65536;

fn one(agent: &mut Agent, key: Key, value: &str) -> Result<(), Wrong> {
    let path = || text::directory(value).map_err(|what| Wrong::new(what, "write the whole path"));
    let named = |what: String| Wrong::new(what, "write another name");
    match key {
        Key::DataDir => agent.data_dir = path()?,
        Key::PodManifestPath if value.is_empty() => {
            agent.pod_manifest_path = Data::new(&agent.data_dir).manifests();
        }
        Key::PodManifestPath => agent.pod_manifest_path = path()?,
        Key::NodeName if value.is_empty() => agent.node_name = None,
        Key::NodeName => agent.node_name = Some(text::node_name(value).map_err(named)?),
        Key::LogDir => agent.log_dir = path()?,
        Key::CgroupRoot => {
            agent.cgroup_root =
                text::cgroup(value).map_err(|what| Wrong::new(what, "write it as in /edge"))?;
        }
        Key::Force => agent.force = value == "true",
        Key::PrivateRegistry => agent.private_registry = path()?,
        Key::OnlyMirrors => {
            agent.only_mirrors = match value {
                "true" => true,
                "false" => false,
                _ => return Err(Wrong::new("neither true nor false", "write one of them")),
            };
        }
        Key::SerializePulls => agent.serialize_pulls = truth(value)?,
        Key::MaxParallelPulls => agent.max_parallel_pulls = count(value, 1)?,
        Key::PullQps => agent.pull_qps = count(value, 0)?,
        Key::PullBurst => agent.pull_burst = count(value, 1)?,
        Key::Log => agent.log = level(value)?,
        Key::ResolvConf => agent.resolv_conf = if value.is_empty() { None } else { Some(path()?) },
        Key::ClusterDomain => agent.cluster_domain = domain(value)?,
        Key::LogMaxSize => agent.log_max_bytes = values::bytes(value, LEAST_LOG)?,
        // The kubelet asks for two, of which one is written to.
        Key::LogMaxFiles => agent.log_max_files = count(value, 2)?,
        Key::FileCheckFrequency => {
            agent.file_check_frequency = values::duration_within(value, LEAST_FREQUENCY, YEAR)?;
        }
        Key::MaxRestartPeriod => {
            let [least, most] = RESTART_PERIOD;
            agent.max_restart_period = values::duration_within(value, least, most)?;
        }
        Key::PressureTransition => {
            agent.pressure_transition = values::duration_within(value, Duration::ZERO, YEAR)?;
        }
        Key::ImageGcHigh => agent.image_gc_high = percent(value)?,
        Key::ImageGcLow => agent.image_gc_low = percent(value)?,
        Key::ImageMinAge => agent.image_min_age = values::duration_within(value, Duration::ZERO, YEAR)?,
        Key::ImageMaxAge => agent.image_max_age = values::duration_within(value, Duration::ZERO, YEAR)?,
        Key::MaxPods => agent.max_pods = values::number(value, 0)?.unsigned_abs(),
        // None and fewer are without a limit, as for the kubelet.
        Key::PodPidsLimit => {
            let limit = values::number(value, -1)?;
            agent.pod_pids_limit = u64::try_from(limit).ok().filter(|limit| *limit != 0);
        }
        Key::IdsPerPod => agent.ids_per_pod = ids(value)?,
        Key::SingleProcessOomKill => agent.single_process_oom_kill = truth(value)?,
        Key::CpuCfsQuota => agent.cpu_cfs_quota = truth(value)?,
        Key::FailSwapOn => agent.fail_swap_on = truth(value)?,
        Key::MemoryReservation => {
            agent.memory_reserves = match value {
                "None" => false,
                "TieredReservation" => true,
                _ => {
                    return Err(Wrong::new(
                        format!("{value:?} is no policy"),
                        "write None or TieredReservation",
                    ));
                }
            };
        }
        Key::MemoryThrottling => agent.memory_throttling = values::factor(value)?,
        Key::SeccompDefault => agent.seccomp_default = truth(value)?,
        Key::Selinux => agent.selinux = truth(value)?,
        Key::NodeLabel
        | Key::ClusterDns
        | Key::PodCidr
        | Key::UnsafeSysctls
        | Key::SystemReserved
        | Key::KubeReserved
        | Key::EvictionHard
        | Key::FeatureGates
        | Key::EnforceAllocatable => {}
    }
    Ok(())
}

/// Our words, k3s' `debug: true`, and the numbers of Kubernetes' `-v`: 4 is for debugging, 6 shows all that comes and goes.
fn level(value: &str) -> Result<LevelFilter, Wrong> {
    Ok(match value {
        "info" => LevelFilter::Info,
        "debug" | "true" => LevelFilter::Debug,
        "trace" => LevelFilter::Trace,
        _ => match values::number(value, 0)? {
            0..=3 => LevelFilter::Info,
            4..=5 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        },
    })
}

fn percent(value: &str) -> Result<u64, Wrong> {
    let found = values::number(value, 0)?.unsigned_abs();
    if found <= 100 { Ok(found) } else { Err(Wrong::new(format!("{value} is too much"), "write 0 to 100")) }
}

/// What is wrong with values that are right one by one, by the key that is to be changed. Such a kubelet does not start either.
pub fn together(agent: &Agent) -> Vec<(Key, Wrong)> {
    let mut wrong = Vec::new();
    if agent.image_gc_high <= agent.image_gc_low {
        let what =
            format!("it is not less than imageGCHighThresholdPercent, which is {}", agent.image_gc_high);
        wrong.push((Key::ImageGcLow, Wrong::new(what, "write a smaller number")));
    }
    if !agent.image_max_age.is_zero() && agent.image_max_age < agent.image_min_age {
        let what = format!("it is less than imageMinimumGCAge, which is {:?}", agent.image_min_age);
        wrong.push((Key::ImageMaxAge, Wrong::new(what, "write a longer time")));
    }
    wrong
}

/// Names as in Kubernetes; of what is the whole machine's none can be allowed.
fn sysctls(values: &[String]) -> Result<Vec<String>, Wrong> {
    let each =
        values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty());
    let name = |written: &str| {
        let name = sysctl_name(written);
        let own = SysctlNamespace::of(&name).is_some();
        own.then_some(name).ok_or_else(|| {
            let what = format!("{written:?} is not a setting that a pod can have for itself");
            Wrong::new(what, "write names like net.core.somaxconn or kernel.msg*")
        })
    };
    each.map(name).collect()
}

fn count(value: &str, least: i64) -> Result<u32, Wrong> {
    let found = values::number(value, least)?;
    u32::try_from(found).map_err(|_| Wrong::new("too many", "write a smaller number"))
}

fn truth(value: &str) -> Result<bool, Wrong> {
    value
        .parse()
        .map_err(|_| Wrong::new(format!("{value:?} is neither true nor false"), "write true or false"))
}

fn domain(value: &str) -> Result<String, Wrong> {
    let value = value.strip_suffix('.').unwrap_or(value);
    if value.is_empty() {
        return Ok(String::new());
    }
    text::node_name(value).map_err(|what| Wrong::new(what, "write a domain such as cluster.local"))
}

fn addresses(values: &[String]) -> Result<Vec<String>, Wrong> {
    let each = values.iter().flat_map(|value| value.split(',')).map(str::trim);
    let address = |text: &str| match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(Wrong::new(
            format!("{text:?} is no address"),
            "write the number of a server such as 10.43.0.10",
        )),
    };
    each.filter(|text| !text.is_empty()).map(address).collect()
}

/// Bits that a range of IPv4, and one of IPv6, may have: room for a few pods at least, and none for a whole continent.
const LENGTHS: [(u8, u8); 2] = [(8, 29), (32, 120)];

/// `none`, or ranges with commas between them.
fn ranges(values: &[String]) -> Result<Option<Vec<Range>>, Wrong> {
    let words: Vec<&str> = values.iter().flat_map(|value| value.split(',')).map(str::trim).collect();
    if words == ["none"] {
        return Ok(None);
    }
    let mut ranges: Vec<Range> = Vec::new();
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        let wrong = |what: &str, fix: &str| Err(Wrong::new(format!("{word:?} {what}"), fix));
        let Ok(range) = word.parse::<Range>() else {
            return wrong("is no range of addresses", "write one such as 10.42.0.0/24, or none");
        };
        let four = range.first().is_ipv4();
        let (least, most) = LENGTHS[usize::from(!four)];
        if !(least..=most).contains(&range.length()) {
            return wrong("is too wide or too narrow", &format!("use a length from /{least} to /{most}"));
        }
        if ranges.iter().any(|other| other.first().is_ipv4() == four) {
            return wrong("is a second range of its family", "leave one");
        }
        ranges.push(range);
    }
    // What a reader finds in `podIP` is the first.
    ranges.sort_by_key(|range| range.first().is_ipv6());
    Ok(Some(ranges))
}
