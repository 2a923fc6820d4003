//! emptyDir volumes in memory: what the pod process is to mount, in its own mount namespace.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::{check_name, make_private};
use crate::host::PodDir;
use crate::protocol::Tmpfs;
use crate::spec::{Bytes, Pod, Volume, VolumeSource};

/// A tmpfs for each volume of `pod` that is in memory; its place is made below `directory`. Each is as large as its
/// `sizeLimit`, and no larger than `most`: what the pod may use (reference D.7). Those in huge pages are no larger than what it
/// may use of these, `huge_pages`, by the size of one.
pub fn memory(
    directory: &PodDir,
    pod: &Pod,
    most: u64,
    huge_pages: &BTreeMap<u64, Bytes>,
) -> Result<Vec<Tmpfs>> {
    let one = |volume: &Volume| {
        let page = match volume.source {
            VolumeSource::Memory => None,
            VolumeSource::HugePages { page } => Some(page),
            _ => return None,
        };
        let most = page.map_or(most, |page| huge_pages.get(&page).map_or(0, |bytes| bytes.0));
        let size = volume.size_limit.map_or(most, |limit| limit.0.min(most));
        Some(place(directory, pod, volume).map(|(path, options)| Tmpfs {
            path,
            options: match page {
                None => format!("{options},size={size},noswap"),
                Some(page) => format!("{options},pagesize={page},size={size}"),
            },
            huge: page.is_some(),
        }))
    };
    pod.volumes.iter().filter_map(one).collect()
}

/// Where `volume` is to be mounted, and for whom.
fn place(directory: &PodDir, pod: &Pod, volume: &Volume) -> Result<(String, String)> {
    check_name(&volume.name)?;
    let place = directory.volume(&volume.name);
    make_private(&place)?;
    let path = place.to_str().with_context(|| format!("{} is not UTF-8", place.display()))?.to_owned();
    let group = pod.fs_group.map(|group| format!(",gid={group}")).unwrap_or_default();
    let mode = 0o777 | super::group_bit(pod.fs_group);
    Ok((path, format!("mode={mode:04o}{group}")))
}
