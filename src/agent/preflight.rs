//! Whether the agent may and can run here, and everything that it needs for it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail, ensure};
use log::{info, warn};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::unistd::{SysconfVar, sysconf};

use super::apparmor::DEFAULT;
use super::neighbours::Neighbours;
use super::world::World;
use super::{lacks, notify, remove_pod, rival};
use crate::api::{Amounts, Machine};
use crate::bundle;
use crate::cgroup::{Hierarchy, NodeLimits, Policy};
use crate::config;
use crate::host::{self, Data, Runtime};
use crate::image::Store;
use crate::network::Network;
use crate::spec::{Bytes, Millicores};
use crate::sys::selinux::{self, Here};
use crate::sys::untouchable::Untouchable;
use crate::sys::{apparmor, atomic, lock, seccomp};
use crate::volume;

/// A ramfs, by the kernel's `linux/magic.h`: what small boxes have for `/run`.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// The kernel's name for this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Checks, makes directories, takes locks.
///
/// Fails with a sentence for a person: not root, a kernel that lacks something, a second agent, another supervisor.
pub fn prepare(config: config::Agent) -> Result<World> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the agent must be root: it makes namespaces, mounts and cgroups"
    );
    // Values of Secrets are in its memory, and a core dump goes to whoever collects such things.
    prctl::set_dumpable(false).context("set not dumpable")?;
    kernel()?;
    if config.fail_swap_on {
        no_swap(&fs::read_to_string("/proc/swaps").unwrap_or_default())?;
    }
    let (runtime, data) = (Runtime::new(&config.runtime_dir), Data::new(&config.data_dir));
    directories(&config, &runtime, &data)?;
    let mut locks = vec![
        held(lock::take(&runtime.lock()), "--runtime-dir", &config.runtime_dir)?,
        held(lock::take(&data.lock()), "--data-dir", &config.data_dir)?,
    ];
    if let Some(rival) = rival::find(&config.pod_manifest_path).filter(|_| !config.force) {
        bail!(
            "{rival} reads manifests from {} too: two supervisors would run every pod twice on the same data; stop it, or \
             give one of them another directory, or override with --force",
            config.pod_manifest_path.display()
        );
    }
    this_boot(&runtime)?;
    manifests(&config.pod_manifest_path, &runtime)?;
    let cgroups = Hierarchy::detect(&config.cgroup_root)?;
    let unmet = cgroups.ensure_tree().context("make the cgroups of pods")?;
    let lock = lock::take_directory(&cgroups.directory());
    locks.push(held(lock, "--cgroup-root", Path::new(&config.cgroup_root))?);
    let machine = host::machine::machine(&config.data_dir);
    let (mut node, mut warnings) = node(&cgroups)?;
    limits(&config, &machine, &mut node);
    let policy = Policy {
        pids: config.pod_pids_limit,
        cpu_quota: config.cpu_cfs_quota,
        reserves: node.memory_qos.is_some_and(|qos| qos.reserves),
    };
    warnings.extend(cgroups.limit_all(all_pods(&config, &machine)));
    if config.memory_qos && node.memory_qos.is_none() {
        warnings.push("MemoryQoS has no effect: it needs the memory controller of cgroup v2".to_owned());
    }
    match selinux::here() {
        Here::Nothing if config.selinux => {
            warnings.push("selinux: true has no effect: this kernel has no SELinux, or it is switched off".to_owned());
        }
        Here::NoPolicy if config.selinux => warnings.push(
            "selinux: true: this kernel has SELinux and no policy, or nothing is mounted at /sys/fs/selinux: no new pod starts"
                .to_owned(),
        ),
        _ => {}
    }
    warnings.extend(config.notes.iter().cloned());
    warnings.extend(unmet);
    warnings.extend(cgroups.missing());
    let seccomp = seccomp::is_available();
    let mut lacks = Vec::new();
    lacks.extend((config.seccomp_default && !seccomp).then_some(lacks::SECCOMP));
    lacks.extend((!node.cgroup.devices).then_some(lacks::DEVICE_RULES));
    let apparmor = apparmor::is_enabled();
    let confines = || apparmor::is_loaded(DEFAULT).unwrap_or(false);
    lacks.extend((apparmor && !confines()).then_some(lacks::APPARMOR));
    warnings.extend(lacks.iter().map(|lack| lack.message.to_owned()));
    let (node_name, warning) = node_name(&config, &data)?;
    warnings.extend(warning);
    warnings.iter().for_each(|warning| warn!("{warning}"));
    info!("node {node_name}: manifests are read from {}", config.pod_manifest_path.display());
    Ok(World {
        store: Store::open(&data.store()).context("open the image store")?,
        network: Network::new(&runtime, config.pod_ranges.clone()),
        neighbours: Neighbours::default(),
        importing: AtomicBool::new(true),
        pulls: Default::default(),
        suspects: Default::default(),
        lists_wait: AtomicBool::new(false),
        compared: Mutex::default(),
        collector: Default::default(),
        unusable: Mutex::default(),
        probes: Mutex::default(),
        binary: Untouchable::new().context("make the agent's binary untouchable for containers")?,
        documents: Mutex::default(),
        projecting: Mutex::default(),
        allotting: Mutex::default(),
        in_memory: in_memory(runtime.root())?,
        cpus: std::thread::available_parallelism().map_or(1, Into::into),
        config,
        node_name,
        runtime,
        data,
        cgroups,
        node,
        policy,
        seccomp,
        apparmor,
        lacks,
        warnings,
        locks,
    })
}

/// What the kernel must have, by name.
fn kernel() -> Result<()> {
    for namespace in ["mnt", "net", "ipc", "uts", "pid"] {
        let path = format!("/proc/self/ns/{namespace}");
        ensure!(Path::new(&path).exists(), "this kernel has no {namespace} namespaces ({path} is missing)");
    }
    let has_overlay =
        || fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("\toverlay\n"));
    if !has_overlay() {
        // It may be a module that nobody has asked for yet.
        let mut modprobe = std::process::Command::new("modprobe");
        for name in notify::VARIABLES {
            modprobe.env_remove(name);
        }
        let _ = modprobe.arg("overlay").status();
        ensure!(has_overlay(), "this kernel has no overlay file system (CONFIG_OVERLAY_FS)");
    }
    Ok(())
}

/// Fails where a node swaps that was not to (`failSwapOn`); `swaps` is `/proc/swaps`.
fn no_swap(swaps: &str) -> Result<()> {
    let used: Vec<&str> = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(
        used.is_empty(),
        "this node swaps to {}, and failSwapOn is true: turn that off (swapoff -a), or say failSwapOn: false; pods do not swap",
        used.join(", ")
    );
    Ok(())
}

/// What the configuration says of limits of containers.
fn limits(config: &config::Agent, machine: &Machine, node: &mut bundle::Node) {
    node.cgroup.oom_group &= !config.single_process_oom_kill;
    node.cgroup.cpu_quota &= config.cpu_cfs_quota;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok());
    let can = config.memory_qos && node.cgroup.unified && node.cgroup.memory;
    node.memory_qos = can.then(|| bundle::MemoryQos {
        throttling: config.memory_throttling,
        reserves: config.memory_reserves,
        allocatable: Bytes(config.allocatable(machine).memory),
        page: page.unwrap_or(4096),
    });
}

/// What all pods may use: what the node has for them, where that is to be enforced.
fn all_pods(config: &config::Agent, machine: &Machine) -> NodeLimits {
    let enforced = config.enforce_allocatable;
    let all = if enforced { config.allocatable(machine) } else { machine.allocatable(Amounts::default()) };
    NodeLimits { cpu: Millicores(all.cpu_milli), memory: enforced.then_some(Bytes(all.memory)) }
}

fn directories(config: &config::Agent, runtime: &Runtime, data: &Data) -> Result<()> {
    let ours = host::private(runtime, data);
    let shared = [data.archives(), config.log_dir.clone()];
    for (path, mode) in shared.iter().map(|it| (it, 0o750)).chain(ours.iter().map(|it| (it, 0o700))) {
        directory(path, mode)?;
    }
    for path in &ours {
        let closed = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        closed.with_context(|| format!("close directory {} to others", path.display()))?;
    }
    Ok(())
}

fn directory(path: &Path, mode: u32) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("make directory {}", path.display()))
}

/// Makes the manifests directory where that can do no harm: an empty one would order the end of each pod that runs from
/// one that is away for a while. A link to something that is not there yet stays what it is. The listing reports both.
fn manifests(path: &Path, runtime: &Runtime) -> Result<()> {
    let is_link = path.symlink_metadata().is_ok_and(|look| look.is_symlink());
    let pods = runtime.pods();
    let any = fs::read_dir(&pods).with_context(|| format!("list {}", pods.display()))?.next().is_some();
    if any || is_link {
        return Ok(());
    }
    ensure!(
        !path.is_file(),
        "{} is a file, and manifests are read from a directory: name the one that it is in, by --pod-manifest-path or \
         staticPodPath",
        path.display()
    );
    directory(path, 0o750)
}

fn held(lock: io::Result<Option<File>>, flag: &str, path: &Path) -> Result<File> {
    let lock = lock.with_context(|| format!("lock {flag} {}", path.display()))?;
    lock.with_context(|| {
        format!("another agent runs with {flag} {}: stop it, or give one of them another", path.display())
    })
}

/// Whether what is written below `path` stays in memory.
fn in_memory(path: &Path) -> Result<bool> {
    let found = statfs(path).with_context(|| format!("look which file system {} is on", path.display()))?;
    Ok([TMPFS_MAGIC, RAMFS_MAGIC].contains(&found.filesystem_type()))
}

/// A runtime directory of another boot is dead, whatever is in it.
fn this_boot(runtime: &Runtime) -> Result<()> {
    let boot_id = fs::read_to_string(BOOT_ID).with_context(|| format!("read {BOOT_ID}"))?;
    let path = runtime.boot_id();
    if fs::read_to_string(&path).is_ok_and(|known| known == boot_id) {
        return Ok(());
    }
    for entry in fs::read_dir(runtime.pods()).context("list the pods of an earlier boot")?.flatten() {
        volume::remove_tree(&entry.path()).context("remove a pod of an earlier boot")?;
    }
    // An order that a power cut left was for the pods of that boot: `down` would end those of this one.
    let orders = fs::read_dir(runtime.orders()).context("list the orders of an earlier boot")?.flatten();
    let others = [runtime.events(), runtime.older_events(), runtime.leases()];
    for path in orders.map(|entry| entry.path()).chain(others) {
        let removed = remove_pod::absent(fs::remove_file(&path));
        removed.with_context(|| format!("remove {}", path.display()))?;
    }
    atomic::replace(&path, boot_id.as_bytes(), 0o600).with_context(|| format!("write {}", path.display()))
}

/// What containers may be given here. The agent's own soft limit of open files is raised; containers get the old one.
fn node(cgroups: &Hierarchy) -> Result<(bundle::Node, Vec<String>)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("read the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raise the soft limit of open files")?;
    let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let sys_resource = capabilities & (1 << 24) != 0;
    let own_score = fs::read_to_string("/proc/self/oom_score_adj").ok();
    let own_score = own_score.and_then(|score| score.trim().parse::<i32>().ok());
    let mut warnings = Vec::new();
    if !sys_resource {
        warnings.push(
            "this machine does not let the agent raise limits or lower oom_score_adj (CAP_SYS_RESOURCE is missing): pods \
             run with what can be had"
                .to_owned(),
        );
    }
    let node = bundle::Node {
        memory: memory().context("read /proc/meminfo")?,
        cgroup: cgroups.abilities(),
        huge_pages: cgroups.page_sizes(),
        memory_qos: None,
        nofile: (soft, hard),
        nofile_max: if sys_resource { u64::MAX } else { hard },
        oom_score_floor: if sys_resource { Some(-1000) } else { own_score },
        capabilities,
        masked: thermal_throttles(),
    };
    Ok((node, warnings))
}

fn memory() -> Result<Bytes> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().strip_suffix(" kB")).context("no MemTotal in kB")?;
    Ok(Bytes(kib.trim().parse::<u64>()? * 1024))
}

/// Each `/sys/devices/system/cpu/cpu<N>/thermal_throttle` (reference D.5).
fn thermal_throttles() -> Vec<String> {
    let entries = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path().join("thermal_throttle")).filter(|path| path.exists());
    paths.filter_map(|path| path.to_str().map(str::to_owned)).collect()
}

/// The node's name, remembered from the first start on: pods are called after it.
fn node_name(config: &config::Agent, data: &Data) -> Result<(String, Option<String>)> {
    let path = data.node_name();
    let remembered = fs::read(&path).ok().map(|name| String::from_utf8_lossy(&name).trim().to_owned());
    // What a power cut left may be anything.
    let (remembered, spoilt) = match remembered {
        Some(name) if config::node_name(&name).as_ref() != Ok(&name) => (None, true),
        remembered => (remembered, false),
    };
    let host = nix::unistd::gethostname().context("read the host name")?.to_string_lossy().to_lowercase();
    let told = format!("the host name {host:?}");
    let host = config::node_name(&host);
    match (&config.node_name, remembered) {
        (Some(name), remembered) => {
            if remembered.as_ref() != Some(name) {
                remember(&path, name)?;
            }
            Ok((name.clone(), None))
        }
        (None, Some(name)) => {
            let changed = host.ok().filter(|host| *host != name);
            let warning = changed.map(|host| {
                format!(
                    "the host is called {host} now, but this node goes on as {name}, since a new name would end every \
                     pod; say --node-name {host} to change it"
                )
            });
            Ok((name, warning))
        }
        (None, None) => {
            let name =
                host.map_err(|why| anyhow::anyhow!("{told} {why}; give the node a name by --node-name"))?;
            remember(&path, &name)?;
            let warning = spoilt.then(|| {
                format!(
                    "{} held no name for a node: this node took the host's, {name}, and wrote it there; if it had \
                     another, give it back by --node-name",
                    path.display()
                )
            });
            Ok((name, warning))
        }
    }
}

fn remember(path: &Path, name: &str) -> Result<()> {
    atomic::replace_synced(path, name.as_bytes(), 0o600).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests;
