//! The users of a pod with a user namespace of its own: what is done for them, and as them.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::user::Identity;
use crate::pod::job;
use crate::spec::IdMapping;
use crate::status::{Failure, Reason};
use crate::sys::mount_tree::MountTree;
use crate::sys::{privileges, process};

/// The pod's users.
pub struct Users {
    /// Their user namespace.
    pub namespace: OwnedFd,
    /// Whom the node knows them as.
    pub ids: IdMapping,
}

impl Users {
    /// Those of a job, if its pod has users of its own.
    pub fn of(job: Option<job::Users>) -> Result<Option<Users>> {
        let take = |users: job::Users| {
            let namespace = process::inherited(users.descriptor).context("take the user namespace over")?;
            Ok(Users { namespace, ids: users.ids })
        };
        job.map(take).transpose()
    }

    /// A copy of what is mounted at `path`, in which they own what the same IDs own on the disk.
    pub fn mapped(&self, path: &Path) -> Result<MountTree> {
        let tree = MountTree::copy(path).with_context(|| format!("copy the mount of {}", path.display()))?;
        match tree.map_ids(self.namespace.as_fd()) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => bail!(
                "map the owners of {}: its file system cannot do that on this kernel; put it on another (ext4, XFS, btrfs, or \
                 a tmpfs with Linux 6.3), or let the pod do without a user namespace by hostUsers: true",
                path.display()
            ),
            other => other.with_context(|| format!("map the owners of {}", path.display()))?,
        }
        Ok(tree)
    }

    /// [`Users::mapped`], mounted at `place`, a directory that is made.
    pub fn mount(&self, path: &Path, place: &Path) -> Result<()> {
        fs::create_dir_all(place).with_context(|| format!("make {}", place.display()))?;
        self.mapped(path)?.attach(place).with_context(|| format!("mount at {}", place.display()))
    }

    /// Whether what is at `path` is their root's without any mapping, as what is in memory.
    pub fn own(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| found.uid() == self.ids.host_id)
    }

    /// Fails where the container is to be somebody whom its pod does not have, as the runtime of a kubelet does.
    pub fn know(&self, identity: &Identity, groups: &[u32]) -> Result<(), Failure> {
        let unknown = |id: &&u32| self.ids.on_host(**id).is_none();
        let user = [identity.uid];
        let groups = [&[identity.gid], groups, &identity.groups].concat();
        let found = user.iter().find(unknown).map(|id| ("user", id));
        let Some((kind, id)) = found.or_else(|| groups.iter().find(unknown).map(|id| ("group", id))) else {
            return Ok(());
        };
        let last = self.ids.length.saturating_sub(1);
        let message = format!(
            "{kind} {id} is not in the pod's user namespace, which has 0 to {last}; choose another, raise \
             userNamespaces.idsPerPod, or let the pod do without by hostUsers: true"
        );
        Err(Failure::new(Reason::RunContainerError, message))
    }

    /// Does something as whom new files are their root's, in mounts with mapped owners and in what is in memory.
    pub fn as_their_root(&self, doing: impl FnOnce() -> Result<()>) -> Result<()> {
        privileges::as_owner(self.ids.host_id, doing).context("become the root of the pod's users")?
    }
}
