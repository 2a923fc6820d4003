//! emptyDir volumes in memory: what the pod process is to mount, in its own mount namespace.

use anyhow::{Context, Result};

use super::{check_name, make_private};
use crate::host::PodDir;
use crate::protocol::Tmpfs;
use crate::spec::{Pod, VolumeSource};

/// A tmpfs for each volume of `pod` that is in memory; its place is made below `directory`. Each is as large as its
/// `sizeLimit`, and no larger than `most`: what the pod may use (reference D.7).
pub fn memory(directory: &PodDir, pod: &Pod, most: u64) -> Result<Vec<Tmpfs>> {
    let in_memory = pod.volumes.iter().filter(|volume| volume.source == VolumeSource::Memory);
    let tmpfs = |name: &str, size: u64| {
        check_name(name)?;
        let place = directory.volume(name);
        make_private(&place)?;
        let path = place.to_str().with_context(|| format!("{} is not UTF-8", place.display()))?.to_owned();
        let group = pod.fs_group.map(|group| format!(",gid={group}")).unwrap_or_default();
        let mode = 0o777 | super::group_bit(pod.fs_group);
        Ok(Tmpfs { path, options: format!("mode={mode:04o}{group},size={size},noswap") })
    };
    in_memory
        .map(|volume| tmpfs(&volume.name, volume.size_limit.map_or(most, |limit| limit.0.min(most))))
        .collect()
}
