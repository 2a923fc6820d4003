//! From a pod that is up and an image that is here to a running container.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use log::warn;

use super::client::{Client, PATIENCE};
use super::remove_pod::absent;
use super::world::World;
use super::{apparmor, devices, neighbours, sandboxes, seccomp, selinux, values, volume_images};
use crate::bundle::{self, Files, ImageConfig, Inputs, Labels};
use crate::cgroup::container_path;
use crate::host::{PodDir, log_name, parse_log_name};
use crate::image::{Image, Reference};
use crate::lifecycle::{Learnt, container_id};
use crate::protocol::{
    CONFINEMENT, FileLabels, Hello, IMAGES, LogFile, Overlay, Reply, Request, RunState, SECURITY, SUB_PATHS,
    StartContainer, State, Stdin, TERMINALS, USERS, VOLUMES,
};
use crate::spec::{Container, Pod, Security, SubPath};
use crate::status::{Failure, Reason, Wall};
use crate::sys::atomic;
use crate::sys::beneath::Root;
use crate::volume::{self, Binds, Etc, Volumes};

/// A start takes some ten milliseconds. A worker that takes longer than this hangs, for instance on a dead NFS server.
const DEADLINE: Duration = Duration::from_secs(60);
/// Longest name of a link in `/var/log/containers`, its `.log` included.
const LINK_LENGTH: usize = 255;

/// One run of a container, to be.
struct Run<'a> {
    world: &'a World,
    pod: &'a Pod,
    container: &'a Container,
    attempt: u32,
    bundle: PathBuf,
    writable: PathBuf,
}

/// Begins run `attempt` of `container`; one that runs already, since the answer to its start was missed, is well begun.
///
/// Fails with StartError where its process could not be started, which counts as a run; with another reason where it
/// could not be made. What a failed start leaves, the next one removes: whether it failed is not certain where nobody
/// answered.
pub fn start_container(
    world: &World,
    pod: &Pod,
    container: &Container,
    attempt: u32,
) -> Result<Learnt, Failure> {
    let directory = world.runtime.pod(&pod.uid.0);
    let state = settled(&directory, &container.name).map_err(create)?;
    if let Some(at) = runs_since(&state, &container.name, attempt) {
        return Ok(Learnt::Started { at });
    }
    known_to(state.hello.version, pod, container).map_err(create)?;
    let run = Run {
        world,
        pod,
        container,
        attempt,
        bundle: directory.bundle(&container.name, attempt),
        writable: world.data.writable(&pod.uid.0, &container.name, attempt),
    };
    for path in [&run.bundle, &run.writable] {
        volume::remove_tree(path).map_err(create)?;
    }
    let started = begin(&run, &state.hello).map_err(|failure| values::hide(world, pod, container, failure));
    // Not before: that would double the time from a crash to the next run. And not only when it began: its disk may be
    // full of them.
    forget_older(world, pod, container, attempt);
    let started = started?;
    if let Err(error) = link_log(world, pod, container, attempt) {
        warn!("pod {}: link the log of container {}: {error:#}", pod.full_name(), container.name);
    }
    Ok(started)
}

/// Whether a pod process of `version` can do what `container` asks for. It cannot only where an agent that was replaced by
/// an older one comes back: that one started the pod's process.
fn known_to(version: u32, pod: &Pod, container: &Container) -> Result<()> {
    let terminal = container.stdin || container.tty;
    let part = container.mounts.iter().any(|mount| mount.sub_path != SubPath::Whole);
    let part = part || container.receives_mounts();
    let secured = container.security != Security::default();
    let image = pod.volume_images(container).next().is_some();
    for (asked, since, what) in [
        (image, IMAGES, "no image as a volume"),
        (terminal, TERMINALS, "neither stdin nor tty"),
        (part, SUB_PATHS, "neither subPath nor mountPropagation"),
        (secured, SECURITY, "no security context"),
        (pod.user_namespace, USERS, "no hostUsers"),
    ] {
        ensure!(
            !asked || since <= version,
            "the pod's process is of an older holdfast, which knows {what}; change the manifest, be it a label, and the \
             pod gets a new one"
        );
    }
    Ok(())
}

/// What the pod process knows, once the container is not between two states: whoever asked for its start may have died, or
/// have given up on an answer that was late.
fn settled(directory: &PodDir, container: &str) -> Result<State> {
    let begun = Instant::now();
    loop {
        let state = Client::connect(&directory.socket())?.state(&Request::State, PATIENCE)?;
        let starting = |run: &RunState| matches!(run, RunState::Starting { name, .. } if name == container);
        if !state.runs.iter().any(starting) {
            return Ok(state);
        }
        ensure!(begun.elapsed() < DEADLINE + PATIENCE, "it has been starting for {:?}", begun.elapsed());
        // A start takes some ten milliseconds.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Since when run `attempt` of `container` runs, if it does.
fn runs_since(state: &State, container: &str, attempt: u32) -> Option<Wall> {
    state.runs.iter().find_map(|run| match run {
        RunState::Running { name, attempt: number, started, .. }
            if name == container && *number == attempt =>
        {
            Some(*started)
        }
        _ => None,
    })
}

fn create(error: anyhow::Error) -> Failure {
    Failure::new(Reason::CreateContainerError, format!("{error:#}"))
}

/// The signal that the run in `bundle` is to be stopped by.
pub fn stop_signal(bundle: &Path) -> i32 {
    let written = fs::read_to_string(bundle.join(STOP_SIGNAL)).ok();
    written
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| bundle::stop_signal(&Container::default(), &ImageConfig::default()))
}

const STOP_SIGNAL: &str = "stop-signal";

fn begin(run: &Run<'_>, hello: &Hello) -> Result<Learnt, Failure> {
    let Run { world, pod, container, attempt, .. } = *run;
    let Hello { pause_pid, version, .. } = *hello;
    // Until it is mounted, whoever removes the image must leave its layers.
    let _hold = world.store.hold().map_err(create)?;
    let image = image(world, container)?;
    let cgroup = container_path(&world.cgroups.pod_path(pod), &container.name, attempt);
    let hostname = bundle::kernel_hostname(pod, &world.config.cluster_domain)?;
    let sandbox = sandboxes::of(world, pod).map_err(create)?;
    let level = sandbox.as_ref().and_then(|sandbox| sandbox.selinux_level.as_deref());
    let labels = selinux::labels(world, container, level)?;
    let variables = values::variables(world, pod, container, hello.pid)?;
    let volumes = Volumes::resolve(&world.data, &world.runtime.pod(&pod.uid.0), pod)?;
    let volumes = volumes.with(volume_images::layers(world, pod, container)?);
    let own = volumes.own(pod, container);
    let Binds { binds, sub_paths } = volumes.binds(container, &variables, &run.bundle.join(VOLUMES))?;
    let mut inputs = Inputs {
        pod,
        container,
        hostname: &hostname,
        variables,
        image: &image.config,
        node: &world.node,
        cgroup: cgroup.clone(),
        files: files(world, pod, &hostname).map_err(create)?,
        last_words: text(&last_words(run).map_err(create)?).map_err(create)?,
        binds,
        seccomp: false,
        device_rules: device_rules(world, version),
        apparmor: apparmor::profile(world, container, CONFINEMENT <= version)?,
        selinux: labels,
        users: sandbox.and_then(|sandbox| sandbox.user_namespace),
        devices: if container.security.privileged { devices::all() } else { Vec::new() },
        pause_pid,
    };
    let user = bundle::user(pod, container, &image.config)?;
    let program = seccomp::program(world, container, &bundle::capabilities(&inputs)?, SECURITY <= version)?;
    inputs.seccomp = program.is_some();
    let config = bundle::config(&inputs)?;
    let device_rules = inputs.device_rules;
    let labels = inputs.selinux.as_ref().map(|labels| file_labels(&inputs, labels, own));
    let request = prepare(run, &image, device_rules).and_then(|request| {
        let path = run.bundle.join("config.json");
        // Values of Secrets may be in it.
        let text = serde_json::to_vec(&config).context("write the OCI configuration")?;
        atomic::replace(&path, &text, 0o600).with_context(|| format!("write {}", path.display()))?;
        if let Some(program) = program {
            fs::write(run.bundle.join(bundle::SECCOMP), program).context("write the seccomp program")?;
        }
        let signal = bundle::stop_signal(container, &image.config).to_string();
        fs::write(run.bundle.join(STOP_SIGNAL), signal).context("write the stop signal")?;
        Ok(Request::StartContainer(Box::new(StartContainer { cgroup, user, sub_paths, labels, ..request })))
    });
    let socket = world.runtime.pod(&pod.uid.0).socket();
    let ask = |request| Client::connect(&socket)?.ask(&request, DEADLINE + PATIENCE);
    match request.and_then(ask).map_err(create)? {
        Reply::Started { at, .. } => Ok(Learnt::Started { at }),
        Reply::Failed(failure) => Err(failure),
        other => Err(create(anyhow!("the pod process answered {other:?}"))),
    }
}

/// What gets the container's `labels`: the pod's files and the volumes that are its own, `volumes`.
fn file_labels(inputs: &Inputs<'_>, labels: &Labels, volumes: Vec<String>) -> FileLabels {
    let Files { hosts, resolv_conf, hostname, shm } = &inputs.files;
    let has_words = !inputs.container.last_words.path.is_empty();
    let optional = [(has_words, &inputs.last_words), (!inputs.pod.host_ipc, shm)];
    let optional = optional.into_iter().filter_map(|(there, path)| there.then_some(path));
    let files = [hosts, resolv_conf, hostname].into_iter().chain(optional).cloned();
    FileLabels { label: labels.file.clone(), paths: files.chain(volumes).collect() }
}

/// Whether the rules of its devices hold for a container of a pod process of `version`. On v1 libcontainer writes them.
fn device_rules(world: &World, version: u32) -> bool {
    world.node.cgroup.devices && (!world.cgroups.unified() || CONFINEMENT <= version)
}

/// The directories of the run, and the request but for its cgroup, user and parts of volumes.
fn prepare(run: &Run<'_>, image: &Image, device_rules: bool) -> Result<StartContainer> {
    let Run { world, pod, container, attempt, bundle, writable } = run;
    let (upper, work) = (writable.join("upper"), writable.join("work"));
    let logs = world.logs(pod).join(&container.name);
    let rootfs = bundle.join("rootfs");
    for (path, mode) in [(&rootfs, 0o700), (&upper, 0o755), (&work, 0o700), (&logs, 0o755)] {
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
            .with_context(|| format!("make directory {}", path.display()))?;
    }
    Ok(StartContainer {
        name: container.name.clone(),
        attempt: *attempt,
        bundle: text(bundle)?,
        overlay: Overlay {
            layers: text(&image.layers_dir)?,
            lower: image.lower.clone(),
            upper: text(&upper)?,
            work: text(&work)?,
            no_devices: !device_rules && !container.security.privileged,
        },
        sub_paths: Vec::new(),
        user: String::new(),
        strict_groups: container.security.strict_groups,
        device_rules,
        labels: None,
        cgroup: String::new(),
        log: LogFile {
            path: text(&logs.join(log_name(*attempt)))?,
            max_bytes: world.config.log_max_bytes,
            max_files: world.config.log_max_files,
        },
        deadline: DEADLINE,
        stdin: match (container.stdin, container.stdin_once) {
            (false, _) => Stdin::None,
            (true, false) => Stdin::Open,
            (true, true) => Stdin::Once,
        },
        terminal: container.tty,
    })
}

/// The file for the run's last words, empty. Whatever user it has may write to it.
fn last_words(run: &Run<'_>) -> Result<PathBuf> {
    let path = run.world.data.last_words(&run.pod.uid.0, &run.container.name, run.attempt);
    if run.container.last_words.path.is_empty() {
        return Ok(path);
    }
    let make = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&run.writable)?;
        // The mode of a new file is less the umask.
        File::create(&path)?.set_permissions(Permissions::from_mode(0o666))
    };
    make().with_context(|| format!("make {}", path.display()))?;
    Ok(path)
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{path:?} is not UTF-8"))
}

fn image(world: &World, container: &Container) -> Result<Image, Failure> {
    let failed = |message: String| Failure::new(Reason::ErrImagePull, message);
    let reference: Reference =
        Reference::parse(&container.image).map_err(|error| failed(format!("{error:#}")))?;
    let found =
        world.store.find(&reference).map_err(|error| failed(format!("look for the image: {error:#}")))?;
    let found = found.ok_or_else(|| {
        failed(format!("image {} went away while its container was being started", container.image))
    })?;
    match &found.damage {
        Some(damage) => Err(failed(format!("image {}: {damage}", container.image))),
        None => Ok(found),
    }
}

/// The pod's `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname`, written anew where a container changed them.
///
/// A file of the node's that is not there says nothing, as for its own programs.
fn files(world: &World, pod: &Pod, hostname: &str) -> Result<Files> {
    let config = &world.config;
    let node = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let resolv_conf = config.resolv_conf.as_deref().map_or(bundle::ASK_THE_NODE.to_owned(), node);
    let cluster = bundle::Cluster { servers: &config.cluster_dns, domain: &config.cluster_domain };
    let resolv_conf = bundle::resolv_conf(pod, &resolv_conf, cluster);
    let shm = world.shm(pod);
    let shm = shm.to_str().with_context(|| format!("{shm:?} is not UTF-8"))?;
    neighbours::written(world, pod, |hosts| {
        let etc = Etc { hosts, resolv_conf, hostname: bundle::hostname(hostname) };
        volume::write_etc(&world.data, &pod.uid.0, &etc, shm)
    })
}

/// Removes what earlier runs left, but the log of the last one: the kubelet keeps one dead container (reference B.9).
fn forget_older(world: &World, pod: &Pod, container: &Container, attempt: u32) {
    let directory = world.runtime.pod(&pod.uid.0);
    for older in attempt.saturating_sub(2)..attempt {
        for path in [
            directory.bundle(&container.name, older),
            world.data.writable(&pod.uid.0, &container.name, older),
        ] {
            if let Err(error) = volume::remove_tree(&path) {
                warn!("pod {}: remove {}: {error:#}", pod.full_name(), path.display());
            }
        }
    }
    forget_older_logs(world, pod, container, attempt)
        .unwrap_or_else(|error| warn!("pod {}: remove older logs: {error}", pod.full_name()));
    if let Some(older) = attempt.checked_sub(2) {
        let link = world.links().join(link_name(pod, container, older));
        absent(fs::remove_file(&link)).unwrap_or_else(|error| warn!("remove {}: {error}", link.display()));
    }
}

/// Follows no link: the directory may be a container's volume.
fn forget_older_logs(world: &World, pod: &Pod, container: &Container, attempt: u32) -> io::Result<()> {
    let root = world.config.log_dir.as_path();
    let logs = world.logs(pod).join(&container.name);
    let folder = match Root::open(root)?.folder_without_links(logs.strip_prefix(root).unwrap_or(&logs)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        folder => folder?,
    };
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.file().as_raw_fd()));
    let names = fs::read_dir(&path)?.flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        if parse_log_name(&name).is_some_and(|(number, _)| number.saturating_add(1) < attempt) {
            absent(fs::remove_file(path.join(&name)))?;
        }
    }
    Ok(())
}

/// The kubelet's link `<pod>_<ns>_<container>-<id>.log` (reference B.9), for whoever collects logs.
fn link_log(world: &World, pod: &Pod, container: &Container, attempt: u32) -> Result<()> {
    let links = world.links();
    DirBuilder::new().recursive(true).mode(0o755).create(&links).context("make its directory")?;
    let link = links.join(link_name(pod, container, attempt));
    absent(fs::remove_file(&link)).context("remove the old link")?;
    symlink(world.logs(pod).join(&container.name).join(log_name(attempt)), link).context("make the link")
}

fn link_name(pod: &Pod, container: &Container, attempt: u32) -> String {
    let id = container_id(pod, &container.name, attempt);
    let id = id.trim_start_matches("holdfast://");
    let mut name = format!("{}_{}_{}-{id}", pod.name, pod.namespace, container.name);
    name.truncate(LINK_LENGTH - ".log".len());
    name + ".log"
}
