//! From a container's image to one that is here: by what its policy says, and what can be had.
//!
//! Otherwise than in the kubelet, `Always` makes do with what is here where the registry does not give another one, and says
//! so: a box boots without a network.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::pulls::State;
use super::volume_images;
use super::world::World;
use crate::image::{self, Digest, Image, Reference};
use crate::lifecycle::Learnt;
use crate::registry::Pulled;
use crate::spec::{Container, Pod, PullPolicy};
use crate::status::{Failure, Reason};

/// Sees to it that the image of `container` of `pod`, and those that it mounts, are here, or are on their way.
pub fn pull_image(world: &Arc<World>, pod: &Pod, container: &Container) -> Result<Learnt, Failure> {
    let who = format!("{}/{}", pod.uid.0, container.name);
    let mut volumes = match volume_images::pull(world, pod, container, &who)? {
        Ok(volumes) => volumes,
        Err(pulling) => return Ok(pulling),
    };
    let mut learnt = pull(world, &who, &container.image, container.pull_policy)?;
    if let Learnt::Image { volumes: all, .. } = &mut learnt {
        all.append(&mut volumes);
        volume_images::done(world, &who);
    }
    Ok(learnt)
}

/// Sees to it that the image that is called `written` is here, or is on its way to `who`.
pub fn pull(world: &Arc<World>, who: &str, written: &str, policy: PullPolicy) -> Result<Learnt, Failure> {
    let reference: Reference = Reference::parse(written).map_err(|error| {
        Failure::new(
            Reason::InvalidImageName,
            format!("Failed to apply default image tag \"{written}\": {error:#}"),
        )
    })?;
    let found = find(world, &reference)?;
    let damaged = found.clone().filter(|image| image.damage.is_some());
    let here = found.filter(|image| image.damage.is_none());
    match (here, policy) {
        (Some(image), PullPolicy::Never) => present(&reference, image, written, ""),
        (Some(image), PullPolicy::IfNotPresent) => match world.pulls.brought(who, &reference) {
            Some(State::UnderWay(how_far)) => Ok(pulling(written, &how_far)),
            Some(State::Over(Ok((pulled, took)))) => {
                let message = came(written, &pulled, took);
                Ok(learnt(&reference, image, message))
            }
            _ => present(&reference, image, written, ""),
        },
        (None, PullPolicy::Never) => Err(Failure::new(
            Reason::ErrImageNeverPull,
            match damaged {
                Some(image) => damaged_message(world, &reference, &image, None),
                None => format!("Container image \"{written}\" is not present with pull policy of Never"),
            },
        )),
        (None, _) if world.importing.load(Ordering::Acquire) => Err(Failure::new(
            Reason::ContainerCreating,
            format!("image {reference} is not here yet; image archives are being taken in"),
        )),
        (here, _) => {
            let exactly =
                damaged.as_ref().map_or_else(|| reference.clone(), |image| exact(&reference, image));
            match (asked(world, who, &exactly, here.is_some(), written), here) {
                (Asked::Said(learnt), _) => learnt,
                (Asked::Came(message), _) => match find(world, &reference)? {
                    Some(image) => Ok(learnt(&reference, image, message)),
                    None => Err(missing(world, &reference, None, damaged)),
                },
                (Asked::Nobody, Some(image)) => {
                    let but = "; imagePullPolicy is Always, but no registry can be asked";
                    present(&reference, image, written, but)
                }
                (Asked::Failed(why), Some(image)) => {
                    let but = format!("; imagePullPolicy is Always, but no other can be had: {why}");
                    present(&reference, image, written, &but)
                }
                (Asked::Nobody, None) => Err(missing(world, &reference, None, damaged)),
                (Asked::Failed(why), None) => Err(missing(world, &reference, Some(&why), damaged)),
            }
        }
    }
}

/// What is here is gone by.
fn present(reference: &Reference, image: Image, written: &str, but: &str) -> Result<Learnt, Failure> {
    let message = format!("Container image \"{written}\" already present on machine{but}");
    Ok(learnt(reference, image, message))
}

fn learnt(reference: &Reference, image: Image, message: String) -> Learnt {
    Learnt::Image { id: shown_id(reference, image), message, volumes: BTreeMap::new() }
}

/// The image is not here, or what is here is damaged.
fn missing(world: &World, reference: &Reference, why: Option<&str>, damaged: Option<Image>) -> Failure {
    let message = match damaged {
        Some(image) => damaged_message(world, reference, &image, why),
        None => absent_message(world, reference, why),
    };
    Failure::new(Reason::ErrImagePull, message)
}

fn absent_message(world: &World, reference: &Reference, why: Option<&str>) -> String {
    let unusable = world.unusable.lock().unwrap_or_else(PoisonError::into_inner);
    image::absent_message(reference, why, &world.data.archives(), &unusable)
}

/// Which layer is damaged, why it is not made again, and what to put where.
fn damaged_message(world: &World, reference: &Reference, image: &Image, why: Option<&str>) -> String {
    let damage = image.damage.as_deref().unwrap_or_default();
    let registry = why.map(|why| format!(" (the registry: {why})")).unwrap_or_default();
    format!(
        "image {reference}: {damage}, so no container starts from it, and nobody has another{registry}: put an archive of \
         image {} into {}",
        image.id,
        world.data.archives().display()
    )
}

/// What is here and damaged, and no other: a tag may mean another image by now. By its tag where no digest is known.
fn exact(reference: &Reference, image: &Image) -> Reference {
    let digest = image.digests.first().and_then(|digest| Digest::parse(digest).ok());
    match digest.or_else(|| reference.digest.clone()) {
        Some(digest) => Reference { tag: None, digest: Some(digest), ..reference.clone() },
        None => reference.clone(),
    }
}

/// What came of asking registries.
enum Asked {
    /// It is on its way, or cannot be.
    Said(Result<Learnt, Failure>),
    /// It is here now: what is to be said of that.
    Came(String),
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
            Ok(Some(_)) => Asked::Came(came(written, &pulled, took)),
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
