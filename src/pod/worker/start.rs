//! Starting a container: cgroup, root, user, and then libcontainer.

use std::path::Path;

use anyhow::{Context, Result};

use super::runtime::Streams;
use super::stage::Stage;
use super::user::Identity;
use super::users::Users;
use super::{config, failure, labels, rootfs, runtime, stage, sub_path, user};
use crate::cgroup::{Hierarchy, worker_path};
use crate::pod::job::{MORE, container_id};
use crate::pod::program::Started;
use crate::protocol::{StartContainer, Stdin};
use crate::status::{Failure, Reason};
use crate::sys::process::inherited;
use crate::sys::selinux;

/// Starts one run of a container, with `users` where its pod has its own.
pub fn start(runtime: &Path, request: &StartContainer, users: Option<&Users>) -> Result<Started, Failure> {
    let wrong = |error| failure(Reason::CreateContainerError, &error);
    let id = container_id(&request.name, request.attempt);
    let bundle = Path::new(&request.bundle);
    let streams = prepare(request, users).map_err(wrong)?;
    if let Some(own) = &request.labels {
        labels::give(own).map_err(wrong)?;
    }
    sub_path::mount_all(request, users)?;
    let root = bundle.join("rootfs");
    let mut identity = user::resolve_in(&root, &request.user)
        .map_err(|error| failure(Reason::CreateContainerConfigError, &error))?;
    if request.strict_groups {
        identity.groups.clear();
    }
    let Some(users) = users else {
        let container = runtime::Container { runtime, id: &id, bundle };
        return make(request, &container, &root, (&identity, None), streams);
    };
    users.know(&identity, &config::groups(bundle).map_err(wrong)?)?;
    streams.give_to(users.ids, (identity.uid, identity.gid)).map_err(wrong)?;
    let stage = stage::enter(bundle, runtime, users).map_err(wrong)?;
    let (runtime, bundle, root) =
        (Path::new(Stage::RUNTIME), Path::new(Stage::BUNDLE), Path::new(Stage::ROOT));
    let container = runtime::Container { runtime, id: &id, bundle };
    make(request, &container, root, (&identity, Some(users)), streams).map_err(|why| stage.translate(why))
}

/// The label of SELinux that all files of a file system of the container's own get.
pub fn file_label(request: &StartContainer) -> Option<&str> {
    request.labels.as_ref().map(|labels| labels.label.as_str())
}

/// Makes the container, whose root is mounted at `root`, of who it is to be.
fn make(
    request: &StartContainer,
    container: &runtime::Container<'_>,
    root: &Path,
    (identity, users): (&Identity, Option<&Users>),
    streams: Streams,
) -> Result<Started, Failure> {
    let wrong = |error| failure(Reason::CreateContainerError, &error);
    let bundle = container.bundle;
    config::adapt(bundle, root, identity, users).map_err(wrong)?;
    let filter = config::filter(bundle).map_err(wrong)?;
    let label = if request.labels.is_some() { config::label(bundle).map_err(wrong)? } else { None };
    if let Some(label) = label {
        // libcontainer knows nothing of it. What it forks has this from here, and the program is all that is executed.
        selinux::on_execve(&label)
            .with_context(|| format!("give the SELinux label {label}"))
            .map_err(wrong)?;
    }
    runtime::create_and_start(container, streams, filter, || restrict_devices(request, bundle))
}

/// Makes the device rules of the bundle hold. On v2 only where that is asked for: else the container has no right to make
/// nodes of devices, and none work.
fn restrict_devices(request: &StartContainer, bundle: &Path) -> Result<()> {
    let cgroups = Hierarchy::around(&request.cgroup).context("look for cgroups")?;
    if cgroups.unified() && !request.device_rules {
        return Ok(());
    }
    let rules = config::device_rules(bundle)?;
    cgroups.restrict_devices(&request.cgroup, &rules).context("restrict devices")
}

/// Enters the cgroup, so that from here on this can be killed with all it made; then mounts the root.
fn prepare(request: &StartContainer, users: Option<&Users>) -> Result<Streams> {
    let streams = match request.terminal {
        true => Streams::Terminal,
        false => Streams::Given {
            stdout: inherited(MORE)?,
            stderr: inherited(MORE + 1)?,
            stdin: (request.stdin != Stdin::None).then(|| inherited(MORE + 2)).transpose()?,
        },
    };
    enter(&request.cgroup)?;
    if users.is_some() {
        stage::apart()?;
    }
    rootfs::mount(&request.overlay, &Path::new(&request.bundle).join("rootfs"), file_label(request), users)?;
    Ok(streams)
}

/// Enters the worker's own cgroup, beside the one of `cgroup`.
///
/// Not that one itself: where libcontainer fails it kills everything in it, and the reason would die with the worker.
/// What the worker clones moves over by itself.
pub fn enter(cgroup: &str) -> Result<()> {
    let own = worker_path(cgroup);
    let cgroups = Hierarchy::around(&own).context("look for cgroups")?.for_killing();
    cgroups.create(&own)?;
    cgroups.enter(&own)
}
