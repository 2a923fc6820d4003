//! Who a container's process is to be, as far as manifest and image say it: names are looked up by the worker.

use super::ImageConfig;
use crate::spec::{Container, Pod};
use crate::status::{Failure, Reason};

/// `user`, or `user:group`, each a name or a number; empty for root.
///
/// Fails with `CreateContainerConfigError`, in the kubelet's words (`verifyRunAsNonRoot`), where that is or may be root and
/// `runAsNonRoot` is set.
pub fn user(pod: &Pod, container: &Container, image: &ImageConfig) -> Result<String, Failure> {
    let security = &container.security;
    let (of_image, _) = image.user.split_once(':').unwrap_or((&image.user, ""));
    if security.non_root {
        refuse_root(pod, container, of_image)?;
    }
    let user = security.user.map_or(of_image.to_owned(), |user| user.to_string());
    Ok(match (security.user, security.group) {
        (None, None) => image.user.clone(),
        (Some(_), None) => user,
        (_, Some(group)) => format!("{user}:{group}"),
    })
}

fn refuse_root(pod: &Pod, container: &Container, of_image: &str) -> Result<(), Failure> {
    let number = if of_image.is_empty() { Some(0) } else { of_image.parse::<u64>().ok() };
    let why = match (container.security.user, number) {
        (Some(0), _) => "container's runAsUser breaks non-root policy".to_owned(),
        (Some(_), _) => return Ok(()),
        (None, Some(0)) => "container has runAsNonRoot and image will run as root".to_owned(),
        (None, Some(_)) => return Ok(()),
        (None, None) => format!(
            "container has runAsNonRoot and image has non-numeric user ({of_image}), cannot verify user is non-root"
        ),
    };
    let (name, namespace, uid) = (&pod.name, &pod.namespace, &pod.uid);
    let message = format!("{why} (pod: \"{name}_{namespace}({uid})\", container: {})", container.name);
    Err(Failure::new(Reason::CreateContainerConfigError, message))
}
