//! Volumes of images: what a container mounts of them is pulled before the container's own image, by the same rules.
//!
//! One that no container mounts is nobody's business, and holds up nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::pull_image;
use super::world::World;
use crate::image::Reference;
use crate::lifecycle::Learnt;
use crate::protocol::Layers;
use crate::spec::{Container, Pod, PullPolicy};
use crate::status::{Failure, Reason};

/// For how long a registry's word counts while a container waits for another of its images; a start of it all that takes longer asks
/// once more.
const COUNTS: Duration = Duration::from_secs(60);

/// The images that `container` mounts, by volume, once all of them are here; what is to be told else. `who` waits for them.
///
/// Fails as a pull of the container's own image does.
pub fn pull(
    world: &Arc<World>,
    pod: &Pod,
    container: &Container,
    who: &str,
) -> Result<Result<BTreeMap<String, String>, Learnt>, Failure> {
    let mut found = BTreeMap::new();
    for (volume, reference, policy) in pod.volume_images(container) {
        let who = format!("{who}/{volume}");
        // Each is compared once, though all are asked for again until the last one is here.
        let was_compared = compared(world).get(&who).is_some_and(|at| at.elapsed() < COUNTS);
        let policy = if was_compared { PullPolicy::IfNotPresent } else { policy };
        let learnt = pull_image::pull(world, &who, reference, policy).map_err(|failure| {
            Failure::new(failure.reason, format!("volume {volume:?}: {}", failure.message))
        })?;
        match learnt {
            Learnt::Image { id, .. } => {
                if policy == PullPolicy::Always {
                    let mut compared = compared(world);
                    compared.retain(|_, at| at.elapsed() < COUNTS);
                    compared.insert(who, Instant::now());
                }
                found.insert(volume.to_owned(), id);
            }
            other => return Ok(Err(other)),
        }
    }
    Ok(Ok(found))
}

/// All that `who` waited for is here.
pub fn done(world: &World, who: &str) {
    let of = format!("{who}/");
    compared(world).retain(|waits, _| !waits.starts_with(&of));
}

fn compared(world: &World) -> std::sync::MutexGuard<'_, BTreeMap<String, Instant>> {
    world.compared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layers of the images that `container` mounts, by volume. The store is to be held until they are mounted.
pub fn layers(world: &World, pod: &Pod, container: &Container) -> Result<BTreeMap<String, Layers>, Failure> {
    let mut found = BTreeMap::new();
    for (volume, written, _) in pod.volume_images(container) {
        let failed = |why: String| Failure::new(Reason::ErrImagePull, format!("volume {volume:?}: {why}"));
        let reference = Reference::parse(written).map_err(|error| failed(format!("{error:#}")))?;
        let image =
            world.store.find(&reference).map_err(|error| failed(format!("look for the image: {error:#}")))?;
        let image = image.ok_or_else(|| {
            failed(format!("image {written} went away while its container was being started"))
        })?;
        let layers = image.layers_dir.to_str().map(str::to_owned);
        let layers = layers.ok_or_else(|| failed(format!("{:?} is not UTF-8", image.layers_dir)))?;
        found.insert(volume.to_owned(), Layers { layers, lower: image.lower });
    }
    Ok(found)
}
