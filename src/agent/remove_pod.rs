//! The end of a pod: whatever it left can be removed from the disk alone, whether its process lives or not.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use log::{debug, info, warn};

use super::client::{Client, PATIENCE};
use super::neighbours;
use super::world::World;
use crate::host::PodDir;
use crate::protocol::Request;
use crate::spec::{Pod, Uid};
use crate::sys::{clock, lock};
use crate::volume;

/// How long everything in a killed cgroup may take to die: processes in the middle of a write to a slow card.
const DEATH: Duration = Duration::from_secs(30);
/// Before the names of what is no pod's any more; no UID begins like this.
const ASIDE: &str = ".";

/// Ends the pod's sandbox; its volumes, its logs and what is known of it stay.
///
/// Goes on after an error and returns the first.
pub fn clean_pod(world: &World, pod: &Pod) -> Result<()> {
    let directory = world.runtime.pod(&pod.uid.0);
    let mut errors = Vec::new();
    // Whoever may still live keeps the addresses.
    let killed = kill(world, &directory, &world.cgroups.pod_path(pod));
    errors.extend(killed.and_then(|()| world.network.detach(&pod.uid)).err());
    neighbours::leave(world, &pod.uid);
    for path in [directory.socket(), directory.sandbox(), directory.exits()] {
        let removed = absent(fs::remove_file(&path)).with_context(|| format!("remove {}", path.display()));
        errors.extend(removed.err());
    }
    let data = world.data.pods().join(&pod.uid.0);
    for path in
        [directory.root().join("containers"), directory.runtime(), directory.shm(), data.join("containers")]
    {
        errors.extend(volume::remove_tree(&path).with_context(|| format!("remove {}", path.display())).err());
    }
    first(errors)
}

/// Ends the sandbox of a pod that is over, and removes its volumes, as a kubelet does; its logs and what is known of it stay.
pub fn release_pod(world: &World, pod: &Pod) -> Result<()> {
    clean_pod(world, pod)?;
    let uid = &pod.uid.0;
    // Not while its volumes are written.
    let _alone = world.projecting.lock().unwrap_or_else(PoisonError::into_inner);
    for path in [world.data.volumes(uid), world.data.etc(uid), world.runtime.pod(uid).volumes()] {
        volume::remove_tree(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

/// Ends the pod and removes everything of it, its logs too unless `keep_logs`: then an empty directory stays where its
/// volumes were, so that logs are found with the other orphans if the pod does not come back.
pub fn remove_pod(world: &World, pod: &Pod, keep_logs: bool) -> Result<()> {
    clean_pod(world, pod)?;
    let data = world.data.pods().join(&pod.uid.0);
    volume::remove(&world.data, &pod.uid.0)?;
    match keep_logs {
        true => fs::create_dir(&data).with_context(|| format!("make directory {}", data.display()))?,
        false => remove_logs(world, &pod.uid)?,
    }
    // Last, since the next agent goes by it; and not while its volumes are written.
    let _alone = world.projecting.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = world.runtime.pod(&pod.uid.0);
    volume::remove_tree(directory.root()).with_context(|| format!("remove {}", directory.root().display()))
}

/// Removes what is in the runtime directory under `uid` and is no pod, or no longer.
pub fn remnant(world: &World, uid: &str) {
    let directory = world.runtime.pod(uid);
    let killed = world
        .cgroups
        .pods_present()
        .and_then(|present| present.get(uid).map_or(Ok(()), |cgroup| kill(world, &directory, cgroup)));
    killed.unwrap_or_else(|error| warn!("remove what is left of pod {uid}: {error:#}"));
    if let Err(error) = volume::remove_tree(directory.root()) {
        warn!("remove what is left of pod {uid}: {error:#}");
    }
}

/// Takes the volumes and logs of pods that are not `known` away from where a pod looks: their manifests went while no
/// agent was there, and a boot took their runtime directory. Where the volumes are now, to be removed at leisure.
pub fn set_orphans_aside(world: &World, known: &BTreeSet<Uid>) -> Vec<PathBuf> {
    let names = fs::read_dir(world.data.pods()).into_iter().flatten().flatten();
    let mut aside = Vec::new();
    for uid in names.filter_map(|entry| entry.file_name().into_string().ok()).map(Uid) {
        let data = world.data.pods().join(&uid.0);
        if uid.0.starts_with(ASIDE) {
            // By an agent that died over it.
            aside.push(data);
        } else if !known.contains(&uid) {
            info!("volumes of pod {uid}, which nobody wants: removed");
            let moved = data.with_file_name(format!("{ASIDE}{uid}-{}", clock::boottime().as_nanos()));
            let renamed = fs::rename(&data, &moved).with_context(|| format!("rename {}", data.display()));
            let logs = remove_logs(world, &uid);
            let done = renamed.map(|()| aside.push(moved)).and(logs);
            done.unwrap_or_else(|error| warn!("remove what is left of pod {uid}: {error:#}"));
        }
    }
    aside
}

/// Removes what was set aside.
pub fn orphans(aside: &[PathBuf]) {
    for path in aside {
        volume::remove_tree(path).unwrap_or_else(|error| warn!("remove what nobody wants: {error:#}"));
    }
}

/// Absence is what was asked for.
pub fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Ends the pod process and everything in the cgroup, waits for both, and removes the cgroup.
fn kill(world: &World, directory: &PodDir, cgroup: &str) -> Result<()> {
    if lock::is_held(&directory.lock()).unwrap_or(false) {
        // Asked, it unmounts in order; its cgroup is killed in any case.
        let client = Client::connect(&directory.socket());
        if let Err(error) = client.and_then(|client| client.ask(&Request::Leave, PATIENCE)) {
            debug!("{}: {error:#}", directory.root().display());
        }
    }
    let begun = Instant::now();
    loop {
        // Again and again: a pod process whose agent died as it was born may be on its way into its cgroup.
        world.cgroups.kill(cgroup, DEATH).with_context(|| format!("kill everything in cgroup {cgroup}"))?;
        if !lock::is_held(&directory.lock()).context("look at the pod process's lock")? {
            break;
        }
        if DEATH < begun.elapsed() {
            bail!(
                "the pod process in {} was killed {DEATH:?} ago and is still there",
                directory.root().display()
            );
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    world.cgroups.remove(cgroup, DEATH).with_context(|| format!("remove cgroup {cgroup}"))
}

fn remove_logs(world: &World, uid: &Uid) -> Result<()> {
    let ours = |name: &str| name.rsplit_once('_').is_some_and(|(_, of)| of == uid.0);
    let names = fs::read_dir(&world.config.log_dir).into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| ours(name)) {
        let path = world.config.log_dir.join(name);
        let links = fs::read_dir(world.links()).into_iter().flatten().flatten();
        for link in links.map(|entry| entry.path()) {
            if fs::read_link(&link).is_ok_and(|target| target.starts_with(&path)) {
                absent(fs::remove_file(&link)).with_context(|| format!("remove {}", link.display()))?;
            }
        }
        let removed = match fs::symlink_metadata(&path) {
            // A container that mounts the directory of all logs put something else there.
            Ok(found) if !found.is_dir() => absent(fs::remove_file(&path)).map_err(anyhow::Error::from),
            _ => volume::remove_tree(&path),
        };
        removed.with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

fn first(errors: Vec<anyhow::Error>) -> Result<()> {
    match errors.into_iter().next() {
        None => Ok(()),
        Some(error) => Err(error),
    }
}
