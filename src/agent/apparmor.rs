//! By which AppArmor profile a container is confined.

use super::world::World;
use crate::spec::{AppArmor, Container, Pod};
use crate::status::{Failure, Reason};
use crate::sys::apparmor::is_loaded;

/// The profile that `RuntimeDefault` is, and containers that say nothing have where it is loaded. It is in this project's
/// `apparmor/`, and loaded by whoever loads the node's other profiles.
pub const DEFAULT: &str = "holdfast-default";

/// Why `pod` may not run here, in the kubelet's words; `enabled` says whether the kernel has AppArmor.
pub fn forbidden(pod: &Pod, enabled: bool) -> Option<&'static str> {
    let asks = |container: &Container| {
        matches!(container.security.apparmor, AppArmor::RuntimeDefault | AppArmor::Localhost(_))
    };
    (!enabled && pod.containers.iter().any(asks))
        .then_some("Cannot enforce AppArmor: AppArmor is not enabled on the host")
}

/// The profile of `container`; none where nothing confines it. `able` says whether the pod's process knows of profiles.
///
/// Fails with `CreateContainerError` where the pod asks for one that cannot be had. The node's default is left out then, and
/// for privileged containers.
pub fn profile(world: &World, container: &Container, able: bool) -> Result<Option<String>, Failure> {
    let security = &container.security;
    let wanted = match &security.apparmor {
        AppArmor::Unconfined => return Ok(None),
        AppArmor::Unsaid => {
            let default = world.apparmor && able && !security.privileged;
            let there = default && is_loaded(DEFAULT).unwrap_or(false);
            return Ok(there.then(|| DEFAULT.to_owned()));
        }
        AppArmor::RuntimeDefault => DEFAULT,
        AppArmor::Localhost(name) => name,
    };
    let wrong = |why: &str| {
        let message = format!("container {}: appArmorProfile: {why}", container.name);
        Failure::new(Reason::CreateContainerError, message)
    };
    if !able {
        return Err(wrong(
            "the pod's process is of an older holdfast, which knows no AppArmor; change the manifest, be it a label, and the \
             pod gets a new one",
        ));
    }
    match is_loaded(wanted) {
        Ok(true) => Ok(Some(wanted.to_owned())),
        Ok(false) => Err(wrong(&format!(
            "the AppArmor profile {wanted} is not loaded: load it by apparmor_parser --replace FILE"
        ))),
        Err(error) => Err(wrong(&format!("confine by the AppArmor profile {wanted}: {error}"))),
    }
}
