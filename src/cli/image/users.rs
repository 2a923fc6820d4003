//! Which pods use an image: those that have not ended, by what they ask for and by what they run on.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use crate::cli::field::{list, text};
use crate::cli::read;
use crate::host::Runtime;
use crate::image::{Reference, Store, Target};

/// A pod that uses an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// `namespace/name`.
    pub pod: String,
    /// The name that it asks for, normalised.
    pub image: String,
    /// The id of the image that it runs on, or would run on if it were started now; or a digest of its.
    pub id: String,
}

/// Every use of every image, as published; with no agent, as last published.
pub fn users(runtime: &Runtime, store: &Store) -> Result<Vec<User>> {
    let mut users = BTreeSet::new();
    for found in read::all(runtime)? {
        let object = &found.pod.object;
        if matches!(text(object, "/status/phase"), "Succeeded" | "Failed") {
            continue;
        }
        let pod = format!("{}/{}", found.namespace(), found.name());
        for written in wanted(object) {
            let Ok(reference) = Reference::parse(written) else { continue };
            let here = store.find(&reference)?.map(|image| image.id);
            let user = |id: String| User { pod: pod.clone(), image: reference.to_string(), id };
            users.extend(here.map(user));
        }
        for status in statuses(object) {
            let id = text(status, "/imageID");
            let id = id.rsplit_once('@').map_or(id, |(_, id)| id);
            let image = Reference::parse(text(status, "/image")).map(|name| name.to_string());
            if !id.is_empty() {
                users.insert(User { pod: pod.clone(), image: image.unwrap_or_default(), id: id.to_string() });
            }
        }
    }
    Ok(users.into_iter().collect())
}

/// Those of `users` that need what `target` means: the image, or its name.
pub fn of<'u>(users: &'u [User], target: &Target) -> Vec<&'u User> {
    let by_name = |user: &User| target.name.as_ref().is_none_or(|name| *name == user.image);
    // With its last name goes the image.
    let last = target.image.names.len() < 2;
    let is_it = |user: &&User| user.id == target.image.id || target.image.digests.contains(&user.id);
    users.iter().filter(|user| is_it(user) && (last || by_name(user))).collect()
}

/// The names of images that a pod asks for, as written.
fn wanted(object: &Value) -> impl Iterator<Item = &str> {
    let containers = ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"];
    let containers = containers.into_iter().flat_map(|pointer| list(object, pointer));
    let volumes = list(object, "/spec/volumes").iter().map(|volume| text(volume, "/image/reference"));
    containers.map(|container| text(container, "/image")).chain(volumes).filter(|name| !name.is_empty())
}

fn statuses(object: &Value) -> impl Iterator<Item = &Value> {
    let all = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    all.into_iter().flat_map(|name| list(object, &format!("/status/{name}")))
}
