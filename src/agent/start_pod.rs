//! From a wanted pod to a pod process that answers.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::Read;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use log::warn;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client::{Client, PATIENCE};
use super::world::World;
use super::{apparmor, remove_pod, sandboxes, selinux, sysctl, user_namespaces, values};
use crate::bundle;
use crate::cgroup::PodLimits;
use crate::host::{PodDir, machine, parse_log_name};
use crate::lifecycle::Learnt;
use crate::protocol::{Request, Sandbox, Tmpfs};
use crate::spec::{IdMapping, Pod, VolumeSource};
use crate::status::{Failure, Reason};
use crate::sys::{atomic, lock};
use crate::volume::{self, Volumes};

/// A pod process takes some five milliseconds; this is for a node that swaps.
const DEADLINE: Duration = Duration::from_secs(20);
/// Size of a pod's `/dev/shm`, as containerd's (reference D.6): 64 MiB.
const SHM_BYTES: u64 = 64 << 20;
/// `oom_score_adj` of a pod process: as of containerd's shim, less likely than any container but the agent's peer.
const POD_PROCESS_OOM_SCORE: i32 = -998;

/// Makes directories, volumes, cgroup, pod process and network, and a connection that watches it.
///
/// Fails with SysctlForbidden where it may not have a setting of the kernel, with OutOfhugepages where there are too few, with AppArmor
/// where it asks for what the kernel lacks, with FailedMount where a volume is not to be had, else with CreatePodSandboxError;
/// nothing is left then but the pod's own directories.
pub fn start_pod(world: &World, pod: &Pod, sandbox: u32) -> Result<(Learnt, OwnedFd), Failure> {
    let directory = world.runtime.pod(&pod.uid.0);
    if let Some(message) = sysctl::forbidden(pod, &world.config.unsafe_sysctls) {
        return Err(Failure::new(Reason::SysctlForbidden, message));
    }
    huge_pages(pod)?;
    if let Some(message) = apparmor::forbidden(pod, world.apparmor) {
        return Err(Failure::new(Reason::AppArmor, message));
    }
    let hostname = bundle::kernel_hostname(pod, &world.config.cluster_domain)?;
    Volumes::prepare(&world.data, pod)?;
    values::project(world, pod)?;
    let prepared = prepare(world, pod, &directory, sandbox, hostname);
    let started = prepared.and_then(|()| launch(world, pod, &directory));
    let (link, addresses) = started.map_err(|error| {
        let undone = remove_pod::clean_pod(world, pod);
        let also = undone.err().map(|error| format!("; and clean up: {error:#}")).unwrap_or_default();
        Failure::new(Reason::CreatePodSandboxError, format!("{error:#}{also}"))
    })?;
    let attempts = next_attempts(&world.logs(pod), pod);
    Ok((Learnt::Pod { addresses, attempts }, link))
}

/// Everything but the process.
fn prepare(world: &World, pod: &Pod, directory: &PodDir, sandbox: u32, hostname: String) -> Result<()> {
    for path in [directory.shm(), directory.runtime(), directory.root().join("containers")] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(|| made(&path))?;
    }
    let cgroup = world.cgroups.pod_path(pod);
    let limits = PodLimits::of(pod, world.policy);
    let unmet =
        world.cgroups.create_pod(&cgroup, &limits).with_context(|| format!("make cgroup {cgroup}"))?;
    unmet.iter().for_each(|warning| warn!("pod {}: {warning}", pod.full_name()));
    let options = format!("mode=1777,size={SHM_BYTES}");
    let shm = Tmpfs { path: text(&directory.shm())?, options, huge: false };
    let mut tmpfs = memory_volumes(world, pod, directory, &limits)?;
    if world.shm(pod) == directory.shm() {
        tmpfs.push(shm);
    }
    let _alone = world.allotting.lock().unwrap_or_else(PoisonError::into_inner);
    let others = if pod.user_namespace || world.config.selinux { sandboxes::all(world)? } else { Vec::new() };
    let users = user_namespaces::allot(world, pod, &others)?;
    if let Some(ids) = users {
        tmpfs.iter_mut().try_for_each(|tmpfs| own(tmpfs, ids))?;
    }
    let sandbox = Sandbox {
        uid: pod.uid.0.clone(),
        sandbox,
        full_name: pod.full_name(),
        directory: text(directory.root())?,
        cgroup,
        hostname,
        host_network: pod.host_network,
        host_ipc: pod.host_ipc,
        share_process_namespace: pod.share_process_namespace,
        user_namespace: users,
        selinux_level: selinux::allot(world, pod, &others),
        tmpfs,
        sysctls: pod.sysctls.clone(),
        default_sysctls: sysctl::defaults(pod),
        oom_score_adj: POD_PROCESS_OOM_SCORE,
        nofile: world.node.nofile,
    };
    let words = serde_json::to_vec(&sandbox).context("write the sandbox")?;
    let path = directory.sandbox();
    atomic::replace(&path, &words, 0o600).with_context(|| format!("write {}", path.display()))
}

/// Makes a tmpfs that of the pod's own users.
fn own(tmpfs: &mut Tmpfs, ids: IdMapping) -> Result<()> {
    let (groups, others): (Vec<&str>, Vec<&str>) =
        tmpfs.options.split(',').partition(|option| option.starts_with("gid="));
    let group = groups.iter().find_map(|option| option.strip_prefix("gid=")?.parse().ok()).unwrap_or(0);
    let on_host = ids.on_host(group).with_context(|| {
        format!(
            "fsGroup {group} is not in the pod's user namespace, which has 0 to {}",
            ids.length.saturating_sub(1)
        )
    })?;
    tmpfs.options = format!("{},uid={},gid={on_host}", others.join(","), ids.host_id);
    Ok(())
}

/// The tmpfs of its emptyDir volumes in memory: none is larger than what the pod, or all pods, may use. And those in huge pages.
fn memory_volumes(world: &World, pod: &Pod, directory: &PodDir, limits: &PodLimits) -> Result<Vec<Tmpfs>> {
    let of_memory =
        |source: &VolumeSource| matches!(source, VolumeSource::Memory | VolumeSource::HugePages { .. });
    if !pod.volumes.iter().any(|volume| of_memory(&volume.source)) {
        return Ok(Vec::new());
    }
    let node = values::allocatable(world).memory;
    let most = limits.memory.map_or(node, |limit| limit.0.min(node));
    volume::memory(directory, pod, most, &limits.huge_pages)
}

/// Fails where a pod asks for more huge pages than the node has: what maps them would fail, or wait for nothing.
fn huge_pages(pod: &Pod) -> Result<(), Failure> {
    let asked = pod.together().huge_pages;
    if asked.is_empty() {
        return Ok(());
    }
    let there = machine::huge_pages();
    for (size, bytes) in asked {
        let has = there.iter().find(|(known, _)| *known == size).map_or(0, |(_, bytes)| *bytes);
        if has < bytes.0 {
            let (name, kib) = (bundle::page_name(size), size >> 10);
            let message = format!(
                "Node didn't have enough resource: huge pages of {name}, requested: {}, capacity: {has}; reserve more: echo {} > \
                 /sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages",
                bytes.0,
                bytes.0.div_ceil(size)
            );
            return Err(Failure::new(Reason::OutOfhugepages, message));
        }
    }
    Ok(())
}

/// Starts the pod process with its lock, waits until it is ready, and connects its network.
///
/// That all of this came about is what the core writes down next. Whatever an agent leaves that dies before has another
/// sandbox begun in its place.
fn launch(world: &World, pod: &Pod, directory: &PodDir) -> Result<(OwnedFd, Vec<IpAddr>)> {
    let path = directory.lock();
    let lock = lock::take(&path).with_context(|| format!("lock {}", path.display()))?;
    let Some(lock) = lock else { bail!("an older process of pod {} still holds its lock", pod.full_name()) };
    // Nobody lives who may write there: it is of before the boot, whose runs may have had the numbers of those to come.
    let writable = world.data.pods().join(&pod.uid.0).join("containers");
    volume::remove_tree(&writable).with_context(|| format!("remove {}", writable.display()))?;
    let socket = directory.socket();
    remove_pod::absent(fs::remove_file(&socket)).with_context(|| format!("remove {}", socket.display()))?;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(directory.log());
    let log = log.with_context(|| format!("open {}", directory.log().display()))?;
    let mut child = world
        .binary
        .command()
        .arg("pod-process")
        .arg(directory.root())
        .env_clear()
        .stdin(lock)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("start the pod process")?;
    let verdict = child.stdout.take().context("the pod process has no pipe")?;
    let verdict = read_verdict(verdict.into());
    if verdict.is_err() {
        // It is not ready: kill what there is of it before its parent's place is cleared.
        let _ = child.kill();
    }
    child.wait().context("wait for the pod process to settle")?;
    ensure!(verdict? == "ready", "the pod process gave up: see {}", directory.log().display());
    let client = Client::connect(&socket)?;
    client.state(&Request::Watch, PATIENCE)?;
    let addresses = match pod.host_network {
        true => Vec::new(),
        false => world.network.attach(pod, &client.network()?)?,
    };
    Ok((client.into(), addresses))
}

/// What the pod process says of itself: `ready`, or why not.
fn read_verdict(pipe: OwnedFd) -> Result<String> {
    let begun = Instant::now();
    let mut words = Vec::new();
    let mut file = File::from(pipe);
    while !words.contains(&b'\n') {
        let left = DEADLINE.saturating_sub(begun.elapsed());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(0) => bail!("the pod process was not ready after {DEADLINE:?}"),
            Err(nix::Error::EINTR) => continue,
            other => other.context("wait for the pod process")?,
        };
        let mut piece = [0; 512];
        match file.read(&mut piece).context("read the pod process's verdict")? {
            0 => break,
            length => words.extend_from_slice(&piece[..length]),
        }
    }
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    ensure!(words == "ready", "{}", if words.is_empty() { "the pod process died" } else { &words });
    Ok(words)
}

/// For each container with logs: a number that none of them has, so that no log is written over.
fn next_attempts(logs: &Path, pod: &Pod) -> BTreeMap<String, u32> {
    let mut next = BTreeMap::new();
    for container in &pod.containers {
        let names = fs::read_dir(logs.join(&container.name)).into_iter().flatten().flatten();
        let number = |entry: DirEntry| Some(parse_log_name(entry.file_name().to_str()?)?.0);
        if let Some(highest) = names.filter_map(number).max() {
            next.insert(container.name.clone(), highest.saturating_add(1));
        }
    }
    next
}

fn made(path: &Path) -> String {
    format!("make directory {}", path.display())
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}
