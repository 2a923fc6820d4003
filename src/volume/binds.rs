//! What a container mounts of its pod's volumes.

use std::path::Path;

use super::Volumes;
use crate::bundle::{self, Bind, Variables};
use crate::protocol::SubPath;
use crate::spec::Container;
use crate::status::{Failure, Reason};

/// The volumes in one container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Binds {
    /// Each mount.
    pub binds: Vec<Bind>,
    /// Parts of volumes, which the worker mounts first where some of the binds have their sources.
    pub sub_paths: Vec<SubPath>,
}

impl Volumes {
    /// What `container`, whose manifest gives it `variables`, mounts of them. Parts of volumes are to be mounted in `places`.
    ///
    /// Fails with `CreateContainerConfigError`.
    pub fn binds(
        &self,
        container: &Container,
        variables: &Variables,
        places: &Path,
    ) -> Result<Binds, Failure> {
        let config = |message| Failure::new(Reason::CreateContainerConfigError, message);
        let mut all = Binds::default();
        for (index, mount) in container.mounts.iter().enumerate() {
            let Some((root, writable)) = self.0.get(&mount.volume) else {
                let (name, volume) = (&container.name, &mount.volume);
                return Err(config(format!(
                    "container {name} mounts volume {volume:?}, which the pod lacks"
                )));
            };
            let mut source = root.clone();
            if let Some(path) = bundle::sub_path(mount, variables)? {
                let place = places.join(index.to_string()).into_os_string().into_string();
                let place = place.map_err(|place| config(format!("{} is not UTF-8", place.display())))?;
                let volume = mount.volume.clone();
                // In a volume of values there is what ConfigMaps and the like say, and nothing else.
                let part = SubPath { volume, root: source, path, make: *writable, place: place.clone() };
                all.sub_paths.push(part);
                source = place;
            }
            all.binds.push(Bind {
                source,
                path: mount.path.clone(),
                read_only: mount.read_only || !writable,
                of_values: !writable,
            });
        }
        Ok(all)
    }
}
