//! Parts of volumes (`subPath`), mounted where nobody else has his hands, before libcontainer mounts them in the container.
//!
//! Other containers may write to the volume: what is a directory when it is looked at may be a symbolic link to `/` when it is
//! mounted (CVE-2017-1002101, CVE-2021-25741). So links are resolved first, as a kubelet does: those that stay in the volume
//! are good. What they lead to is then opened without any, and it is the open descriptor that is mounted.
//!
//! Invariant: nothing outside of the volume is opened, made or mounted, whatever is swapped meanwhile.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat, umask};

use super::users::Users;
use super::{image_volume, start};
use crate::protocol::{Propagation, StartContainer, SubPath};
use crate::status::{Failure, Reason};
use crate::sys::beneath::Root;

/// Mounts every part that `request` names. Fails with `CreateContainerConfigError`, of images with `CreateContainerError`, in the
/// kubelet's words and with the cause.
pub fn mount_all(request: &StartContainer, users: Option<&Users>) -> Result<(), Failure> {
    for part in &request.sub_paths {
        let image = part.image.as_ref().map_or(Ok(()), |image| {
            image_volume::mount(image, Path::new(&part.root), start::file_label(request), users)
        });
        image.map_err(|cause| ("mount the image", cause)).and_then(|()| mount_one(part, users)).map_err(
            |(doing, cause)| {
                let (volume, container) = (&part.volume, &request.name);
                let message = format!(
                    "failed to {doing} for volumeMount {volume:?} of container {container:?}: {cause:#}"
                );
                // Of an image a kubelet leaves it to the runtime.
                let reason = match part.image {
                    Some(_) => Reason::CreateContainerError,
                    None => Reason::CreateContainerConfigError,
                };
                Failure::new(reason, message)
            },
        )?;
    }
    Ok(())
}

fn mount_one(part: &SubPath, users: Option<&Users>) -> Result<(), (&'static str, anyhow::Error)> {
    let (root, path) = (Path::new(&part.root), Path::new(&part.path));
    let prepare = |cause| ("prepare subPath", cause);
    let wanted = if part.path.is_empty() { root.to_owned() } else { root.join(path) };
    match fs::metadata(wanted) {
        Err(error) if error.kind() == ErrorKind::NotFound && part.make => {
            let made = match users.filter(|users| users.own(root)) {
                Some(users) => users.as_their_root(|| make(root, path)),
                None => make(root, path),
            };
            made.map_err(|cause| ("create subPath directory", cause))?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let cause = match part.image {
                Some(_) => anyhow::anyhow!("the image has no {path:?}"),
                None => anyhow::anyhow!("the volume has no {path:?}; add that key to what it is made of"),
            };
            return Err(prepare(cause));
        }
        _ => {}
    }
    let found = open(root, path).map_err(prepare)?;
    let place = Path::new(&part.place);
    mount_at(&found, place).map_err(prepare)?;
    propagate(&found, place, part.propagation).map_err(|cause| ("set the mountPropagation", cause))
}

fn propagate(found: &OwnedFd, place: &Path, propagation: Propagation) -> Result<()> {
    match propagation {
        Propagation::AsOthers => Ok(()),
        Propagation::Private => {
            let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
            mount(None::<&str>, place, None::<&str>, private, None::<&str>).context("make it private")
        }
        Propagation::Slave => {
            let mounts = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
            let told = fs::read_to_string(format!("/proc/self/fdinfo/{}", found.as_raw_fd()));
            let told = told.context("look up the mount it is in")?;
            let number =
                told.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap_or_default().trim();
            let line = mounts.lines().find(|line| line.split(' ').next() == Some(number));
            let fields: Vec<&str> = line.unwrap_or_default().split(' ').collect();
            // The pod's mounts are slaves of the node's where those are shared.
            let (fields, options) = fields.split_at(fields.len().min(6));
            if options.iter().take_while(|option| **option != "-").any(|option| option.starts_with("master:"))
            {
                return Ok(());
            }
            let at = fields.get(4).copied().unwrap_or("?");
            bail!(
                "it is mounted on {at}, which is no shared mount of the node; `mount --make-rshared {at}` makes it one"
            )
        }
    }
}

/// What `path` leads to in the volume at `root`, which is trusted and may be reached by links.
pub(super) fn open(root: &Path, path: &Path) -> Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        let whole = File::options().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(root);
        return whole.map(OwnedFd::from).with_context(|| format!("open {}", root.display()));
    }
    let root = fs::canonicalize(root).with_context(|| format!("look at {}", root.display()))?;
    let found = fs::canonicalize(root.join(path)).with_context(|| format!("look at {path:?}"))?;
    let Ok(inside) = found.strip_prefix(&root) else { bail!("{path:?} leads out of the volume") };
    let opened = Root::open(&root).and_then(|root| root.handle_without_links(inside));
    opened.with_context(|| format!("open {path:?}, which somebody may be changing"))
}

/// Makes what is missing of `path`, with the mode of the volume, by which a group that the volume passes on is passed on.
pub(super) fn make(root: &Path, path: &Path) -> Result<()> {
    let mode = fs::metadata(root).with_context(|| format!("look at {}", root.display()))?.mode();
    let names: Vec<&OsStr> = path.components().filter_map(name).collect();
    let there = |count: &usize| root.join(names[..*count].iter().collect::<PathBuf>()).exists();
    let there = (0..names.len()).rev().find(there).context("the volume is gone")?;
    let mut at = names[..there].iter().collect::<PathBuf>();
    let mut above = open(root, &at)?;
    // Nothing but the mode itself, since whatever is set afterwards may be set to something else.
    let before = umask(Mode::empty());
    let made = names[there..].iter().try_for_each(|name| {
        at.push(name);
        match mkdirat(Some(above.as_raw_fd()), *name, Mode::from_bits_truncate(mode & 0o777)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("make {at:?}")),
        }
        above = enter(&above, name).with_context(|| format!("make {at:?}"))?;
        Ok(())
    });
    umask(before);
    made
}

fn name(component: Component<'_>) -> Option<&OsStr> {
    match component {
        Component::Normal(name) => Some(name),
        _ => None,
    }
}

fn enter(above: &OwnedFd, name: &OsStr) -> std::io::Result<OwnedFd> {
    Root::open(&handle(above))?.handle_without_links(Path::new(name))
}

/// A path for what is open, which leads nowhere else.
fn handle(open: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()))
}

/// Mounts `found`, with what is mounted in it, at `place`, which is made.
fn mount_at(found: &OwnedFd, place: &Path) -> Result<()> {
    let kind = SFlag::from_bits_truncate(
        fstat(found.as_raw_fd()).context("look at it")?.st_mode & SFlag::S_IFMT.bits(),
    );
    let doing = || format!("make {}", place.display());
    let parent = place.parent().context("a place has a parent")?;
    DirBuilder::new().recursive(true).mode(0o700).create(parent).with_context(doing)?;
    if kind == SFlag::S_IFDIR {
        DirBuilder::new().mode(0o700).create(place).with_context(doing)?;
    } else {
        let new = File::options().write(true).create_new(true).mode(0o600).open(place);
        new.with_context(doing)?;
    }
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(&handle(found)), place, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("mount it at {}", place.display()))
}

#[cfg(test)]
mod tests;
