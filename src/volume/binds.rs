//! What a container mounts of its pod's volumes.

use std::path::Path;

use super::Volumes;
use crate::bundle::{self, Bind, Variables};
use crate::protocol::{Propagation, SubPath};
use crate::spec::{Container, MountPropagation};
use crate::status::{Failure, Reason};

/// The volumes in one container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Binds {
    /// Each mount.
    pub binds: Vec<Bind>,
    /// Parts of volumes, and volumes that are to be made private, which the worker mounts first where some of the binds have
    /// their sources.
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
            let place = |kind: &str| {
                let place = places.join(format!("{index}{kind}")).into_os_string().into_string();
                place.map_err(|place| config(format!("{} is not UTF-8", place.display())))
            };
            let image = self.images.get(&mount.volume);
            let (mut source, writable, of_node) = match (image, self.places.get(&mount.volume)) {
                (Some(_), _) => (place(".image")?, false, false),
                (None, Some(found)) => (found.path.clone(), found.writable, !found.in_memory),
                (None, None) => {
                    let (name, volume) = (&container.name, &mount.volume);
                    return Err(config(format!(
                        "container {name} mounts volume {volume:?}, which the pod lacks"
                    )));
                }
            };
            let part = bundle::sub_path(mount, variables)?;
            let propagation = match (container.receives_mounts(), mount.propagation) {
                (false, _) => Propagation::AsOthers,
                (true, MountPropagation::None) => Propagation::Private,
                (true, MountPropagation::HostToContainer) => Propagation::Slave,
            };
            if part.is_some() || propagation != Propagation::AsOthers || image.is_some() {
                let place = place("")?;
                all.sub_paths.push(SubPath {
                    volume: mount.volume.clone(),
                    root: source,
                    path: part.unwrap_or_default(),
                    // In a volume of values there is what ConfigMaps and the like say, and nothing else.
                    make: writable,
                    place: place.clone(),
                    propagation,
                    image: image.cloned(),
                });
                source = place;
            }
            all.binds.push(Bind {
                source,
                path: mount.path.clone(),
                read_only: mount.read_only || !writable,
                recursive_read_only: mount.recursive_read_only,
                of_values: !writable && image.is_none(),
                of_image: image.is_some(),
                of_node,
            });
        }
        Ok(all)
    }
}
