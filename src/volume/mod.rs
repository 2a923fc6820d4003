//! A pod's volumes and files on the node's disk, and those of values in memory; no mount is made here.
//!
//! The pod's directory is `<data>/agent/holdfast/pods/<uid>`: emptyDirs, the files for `/etc`, what containers wrote.
//! configMap, secret, downwardAPI and projected volumes are in the runtime directory, which dies with the boot. What is
//! mounted into containers from here is made by the pod process, in its own mount namespace.
//!
//! Invariant: what containers wrote is never trusted: no symbolic link of theirs is followed, no mount is crossed.
//! Invariant: preparing twice changes nothing; a running container's files stay as they are.

mod binds;
mod host_path;
mod memory;
mod payload;
mod projected;
mod remove;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use binds::Binds;
pub use memory::memory;
pub use payload::Contents;
pub use remove::{remove, remove_tree};
pub use usage::{cut, disk_usage};

use crate::bundle::Files;
use crate::host::{Data, PodDir};
use crate::protocol::Layers;
use crate::spec::{Container, Pod, Volume, VolumeSource};
use crate::status::{Failure, Reason};

/// What is cut from a file in one go at most without anybody seeing a part of a line: a container may have made it long.
const MOST_PADDING: u64 = 64 << 10;

/// The volumes of a pod, by their names.
#[derive(Debug, Clone, PartialEq)]
pub struct Volumes {
    /// Where each is on the node.
    places: BTreeMap<String, Place>,
    /// Those that are images, which each container mounts for itself.
    images: BTreeMap<String, Layers>,
}

/// Where a volume is on the node.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    path: String,
    /// Whether containers may write to it.
    writable: bool,
    /// Whether it is mounted for the pod alone, for its own users.
    in_memory: bool,
}

impl Volumes {
    /// Finds the volumes of a pod that was prepared before, without looking at the disk: a hostPath is checked once, when the
    /// pod starts, and not again when one of its containers restarts.
    pub fn resolve(data: &Data, directory: &PodDir, pod: &Pod) -> Result<Volumes, Failure> {
        let mut found = BTreeMap::new();
        for volume in &pod.volumes {
            let path = match &volume.source {
                VolumeSource::EmptyDir => {
                    data.volume(&pod.uid.0, &volume.name).into_os_string().into_string()
                }
                VolumeSource::Projected(_) | VolumeSource::Memory | VolumeSource::HugePages { .. } => {
                    directory.volume(&volume.name).into_os_string().into_string()
                }
                VolumeSource::HostPath { path, .. } => Ok(path.clone()),
                VolumeSource::Image { .. } => continue,
            };
            let path =
                path.map_err(|path| failure(&volume.name, &format!("{} is not UTF-8", path.display())))?;
            let place = Place {
                path,
                writable: !matches!(volume.source, VolumeSource::Projected(_)),
                in_memory: matches!(volume.source, VolumeSource::Memory | VolumeSource::HugePages { .. }),
            };
            found.insert(volume.name.clone(), place);
        }
        Ok(Volumes { places: found, images: BTreeMap::new() })
    }

    /// These, with the `images` among them that are mounted.
    pub fn with(self, images: BTreeMap<String, Layers>) -> Volumes {
        Volumes { images, ..self }
    }

    /// Those of `pod` that `container` mounts and that are the pod's own: neither the node's nor an image.
    pub fn own(&self, pod: &Pod, container: &Container) -> Vec<String> {
        let of_node = |volume: &Volume| matches!(volume.source, VolumeSource::HostPath { .. });
        let own = pod.volumes.iter().filter(|volume| !of_node(volume));
        own.filter(|volume| container.mounts.iter().any(|mount| mount.volume == volume.name))
            .filter_map(|volume| Some(self.places.get(&volume.name)?.path.clone()))
            .collect()
    }

    /// Makes and checks the volumes of a pod that starts, but for those in memory ([`project`], [`memory`]). Fails with `FailedMount`.
    pub fn prepare(data: &Data, pod: &Pod) -> Result<(), Failure> {
        for volume in &pod.volumes {
            let done = match &volume.source {
                VolumeSource::EmptyDir => empty_dir(data, &pod.uid.0, &volume.name, pod.fs_group),
                VolumeSource::HostPath { path, kind } => host_path::prepare(Path::new(path), *kind),
                VolumeSource::Projected(_)
                | VolumeSource::Memory
                | VolumeSource::HugePages { .. }
                | VolumeSource::Image { .. } => Ok(()),
            };
            done.map_err(|cause| failure(&volume.name, &format!("{cause:#}")))?;
        }
        Ok(())
    }
}

/// Writes the volumes of values of a pod that starts, whose directory is `directory`. Fails with `FailedMount`.
pub fn project(directory: &PodDir, pod: &Pod, contents: &Contents<'_>) -> Result<(), Failure> {
    for volume in &pod.volumes {
        project_one(directory, pod, volume, contents).map_err(|why| failure(&volume.name, &why))?;
    }
    Ok(())
}

/// Writes anew the volumes of values that a pod has already: those that changed, by name, and those that could not be
/// written, which stay as they were.
pub fn refresh(directory: &PodDir, pod: &Pod, contents: &Contents<'_>) -> Vec<(String, Result<(), Failure>)> {
    let there = pod.volumes.iter().filter(|volume| projected::is_there(directory, &volume.name));
    let written = there.map(|volume| (volume, project_one(directory, pod, volume, contents)));
    let told = written.filter_map(|(volume, written)| match written {
        Ok(false) => None,
        Ok(true) => Some((volume.name.clone(), Ok(()))),
        Err(why) => Some((volume.name.clone(), Err(failure(&volume.name, &why)))),
    });
    told.collect()
}

/// Whether anything changed.
fn project_one(
    directory: &PodDir,
    pod: &Pod,
    volume: &Volume,
    contents: &Contents<'_>,
) -> Result<bool, String> {
    let VolumeSource::Projected(sources) = &volume.source else { return Ok(false) };
    if volume.is_secret() && !contents.in_memory {
        return Err(NOT_IN_MEMORY.to_owned());
    }
    let mut payload = payload::payload(pod, sources, contents)?;
    if pod.fs_group.is_some() {
        // What a kubelet adds in a volume that is read only (`volume_linux.go`).
        payload.values_mut().for_each(|(mode, _)| *mode |= 0o440);
    }
    projected::write(directory, &volume.name, pod.fs_group, &payload).map_err(|cause| format!("{cause:#}"))
}

/// Why values of Secrets are not handed out.
pub const NOT_IN_MEMORY: &str = "values of Secrets are kept in memory only, and the runtime directory is on a disk; mount a \
     tmpfs there, or start the agent with --runtime-dir on one, such as /run";

/// In the kubelet's words.
fn failure(volume: &str, cause: &str) -> Failure {
    Failure::new(Reason::FailedMount, format!("MountVolume.SetUp failed for volume {volume:?} : {cause}"))
}

/// What containers read in `/etc`.
#[derive(Debug, Clone, PartialEq)]
pub struct Etc {
    /// `/etc/hosts`.
    pub hosts: String,
    /// `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// `/etc/hostname`.
    pub hostname: String,
}

/// Writes the pod's files for `/etc`, 0644, and gives their paths; `shm` is passed on.
///
/// Files that exist are rewritten in place, since running containers hold them, and only where they differ, to spare the
/// flash. To be called at each container start, as the kubelet does: a container may have changed them for itself.
pub fn write_etc(data: &Data, uid: &str, etc: &Etc, shm: &str) -> Result<Files> {
    check_name(uid)?;
    let dir = data.etc(uid);
    make_private(&dir)?;
    let put = |name: &str, text: &str| -> Result<String> {
        let path = dir.join(name);
        rewrite(&path, text).with_context(|| format!("write {}", path.display()))?;
        path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))
    };
    Ok(Files {
        hosts: put("hosts", &etc.hosts)?,
        resolv_conf: put("resolv.conf", &etc.resolv_conf)?,
        hostname: put("hostname", &etc.hostname)?,
        shm: shm.to_owned(),
    })
}

/// Brings the pod's `/etc/hosts` up to date, where it has one.
pub fn renew_hosts(data: &Data, uid: &str, text: &str) -> Result<()> {
    check_name(uid)?;
    let path = data.etc(uid).join("hosts");
    let renewed = match opened().open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(mut file) => overwrite(&mut file, text),
    };
    renewed.with_context(|| format!("write {}", path.display()))
}

fn rewrite(path: &Path, text: &str) -> io::Result<()> {
    let mut file = opened().create(true).truncate(false).mode(0o644).open(path)?;
    if file.metadata()?.permissions().mode() & 0o7777 != 0o644 {
        file.set_permissions(Permissions::from_mode(0o644))?;
    }
    overwrite(&mut file, text)
}

/// How files are opened that containers hold: no link is followed, and a lease that one of them took (`F_SETLEASE`) makes it
/// fail at once, not wait for 45 seconds.
fn opened() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// Writes what differs, in one go, and cuts what is too much: whoever reads meanwhile sees the new text, with empty lines
/// behind it at most, and a full disk has the old text's blocks for it.
fn overwrite(file: &mut File, text: &str) -> io::Result<()> {
    let mut old = Vec::new();
    // One byte more than wanted tells that it differs; a container may have made it endless.
    Read::by_ref(file).take(text.len() as u64 + 1).read_to_end(&mut old)?;
    if old == text.as_bytes() {
        return Ok(());
    }
    let same = old.iter().zip(text.as_bytes()).take_while(|(old, new)| old == new).count();
    let length = text.len() as u64;
    let too_much = file.metadata()?.len().saturating_sub(length).min(MOST_PADDING);
    let padding = std::iter::repeat_n(b'\n', usize::try_from(too_much).unwrap_or_default());
    let rest: Vec<u8> = text.bytes().skip(same).chain(padding).collect();
    file.write_all_at(&rest, same as u64)?;
    file.set_len(length)
}

/// A directory for everybody, 0777 whatever the umask: made beside and renamed, so that it is never there half.
///
/// With an `fsGroup` it is that group's, and so is all that is made in it. A kubelet goes through what is in it again each time
/// that the pod starts; here nothing of the containers' is touched.
fn empty_dir(data: &Data, uid: &str, name: &str, group: Option<u32>) -> Result<()> {
    check_name(uid)?;
    check_name(name)?;
    let path = data.volume(uid, name);
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().context("a volume has a parent")?;
    make_private(parent)?;
    let beside: PathBuf = parent.join(format!(".{name}"));
    let made = fs::create_dir(&beside).or_else(|error| match error.kind() {
        // Left by an agent that died here; nobody has written to it.
        ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    });
    made.with_context(|| format!("make {}", beside.display()))?;
    // The bit goes with a change of the group.
    chown(&beside, None, group)
        .and_then(|()| fs::set_permissions(&beside, Permissions::from_mode(0o777 | group_bit(group))))
        .and_then(|()| fs::rename(&beside, &path))
        .with_context(|| format!("make {}", path.display()))
}

/// The bit of a directory that hands its group on, where a pod has an `fsGroup`.
fn group_bit(group: Option<u32>) -> u32 {
    if group.is_some() { libc::S_ISGID } else { 0 }
}

/// Makes a directory, and those above it, for root alone.
fn make_private(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("make {}", dir.display()))
}

/// Refuses what would lead elsewhere when joined to a path.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        bail!("{name:?} is no name of a pod or volume");
    }
    Ok(())
}
