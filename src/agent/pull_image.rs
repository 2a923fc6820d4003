//! From a container's image to one that is here: by what its policy says, and what can be had.
//!
//! Otherwise than in the kubelet, `Always` makes do with what is here where the registry does not give another one, and says
//! so: a box boots without a network.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::pulls::State;
use super::world::World;
use crate::image::{self, Image, Reference};
use crate::lifecycle::Learnt;
use crate::registry::Pulled;
use crate::spec::{Container, PullPolicy, Uid};
use crate::status::{Failure, Reason};

/// Sees to it that the image of `container` of the pod `uid` is here, or is on its way.
pub fn pull_image(world: &Arc<World>, uid: &Uid, container: &Container) -> Result<Learnt, Failure> {
    let written = &container.image;
    let reference: Reference = Reference::parse(written).map_err(|error| {
        Failure::new(
            Reason::InvalidImageName,
            format!("Failed to apply default image tag \"{written}\": {error:#}"),
        )
    })?;
    let who = format!("{}/{}", uid.0, container.name);
    let here = find(world, &reference)?;
    let present = |image: Image, but: &str| {
        let message = format!("Container image \"{written}\" already present on machine{but}");
        Ok(Learnt::Image { id: shown_id(&reference, image), message })
    };
    match (here, container.pull_policy) {
        (Some(image), PullPolicy::Never) => present(image, ""),
        (Some(image), PullPolicy::IfNotPresent) => match world.pulls.brought(&who, &reference) {
            Some(State::UnderWay(how_far)) => Ok(pulling(written, &how_far)),
            Some(State::Over(Ok((pulled, took)))) => {
                let message = came(written, &pulled, took);
                Ok(Learnt::Image { id: shown_id(&reference, image), message })
            }
            _ => present(image, ""),
        },
        (None, PullPolicy::Never) => Err(Failure::new(
            Reason::ErrImageNeverPull,
            format!("Container image \"{written}\" is not present with pull policy of Never"),
        )),
        (None, _) if world.importing.load(Ordering::Acquire) => Err(Failure::new(
            Reason::ContainerCreating,
            format!("image {reference} is not here yet; image archives are being taken in"),
        )),
        (here, _) => {
            let why = match asked(world, &who, &reference, here.is_some(), written) {
                Asked::Said(learnt) => return learnt,
                Asked::Nobody => None,
                Asked::Failed(why) => Some(why),
            };
            match here {
                Some(image) if why.is_none() => {
                    present(image, "; imagePullPolicy is Always, but no registry can be asked")
                }
                Some(image) => {
                    let why = why.unwrap_or_default();
                    present(image, &format!("; imagePullPolicy is Always, but no other can be had: {why}"))
                }
                None => {
                    let unusable = world.unusable.lock().unwrap_or_else(PoisonError::into_inner);
                    let archives = world.data.archives();
                    let message = image::absent_message(&reference, why.as_deref(), &archives, &unusable);
                    Err(Failure::new(Reason::ErrImagePull, message))
                }
            }
        }
    }
}

/// What came of asking registries.
enum Asked {
    /// The image came, or is on its way.
    Said(Result<Learnt, Failure>),
    /// There is nobody to ask.
    Nobody,
    /// It did not come: why.
    Failed(String),
}

fn asked(world: &Arc<World>, who: &str, reference: &Reference, is_here: bool, written: &str) -> Asked {
    match world.registries().read().and_then(|settings| settings.endpoints(reference)) {
        Ok(endpoints) if endpoints.is_empty() => return Asked::Nobody,
        Ok(_) => {}
        Err(error) => return Asked::Failed(format!("{error:#}")),
    }
    match world.pulls.ask(world, who, reference, is_here) {
        State::UnderWay(how_far) => Asked::Said(Ok(pulling(written, &how_far))),
        State::Over(Ok((pulled, took))) => match find(world, reference) {
            Ok(Some(image)) => {
                let message = came(written, &pulled, took);
                Asked::Said(Ok(Learnt::Image { id: shown_id(reference, image), message }))
            }
            Ok(None) => Asked::Failed("it was removed as soon as it was here".to_owned()),
            Err(failure) => Asked::Said(Err(failure)),
        },
        State::Over(Err(why)) => Asked::Failed(why),
    }
}

fn pulling(written: &str, how_far: &str) -> Learnt {
    Learnt::Pulling { message: format!("Pulling image \"{written}\"{how_far}") }
}

/// The kubelet's sentences.
fn came(written: &str, pulled: &Pulled, took: Duration) -> String {
    let took = format!("{}.{:03}s", took.as_secs(), took.subsec_millis());
    let size = pulled.bytes;
    match pulled.was_here {
        true => format!(
            "Container image \"{written}\" already present on machine; the registry has no other ({took})"
        ),
        false => format!("Successfully pulled image \"{written}\" in {took}. Image size: {size} bytes."),
    }
}

/// What `imageID` says: who asks by a digest is told that one (acceptance 8.12).
fn shown_id(reference: &Reference, image: Image) -> String {
    match &reference.digest {
        Some(digest) => format!("{}/{}@{digest}", reference.registry, reference.repository),
        None => image.id,
    }
}

fn find(world: &World, reference: &Reference) -> Result<Option<Image>, Failure> {
    let found = world.store.find(reference);
    found.map_err(|error| Failure::new(Reason::ErrImagePull, format!("look for the image: {error:#}")))
}
