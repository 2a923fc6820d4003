//! SELinux, whose labels pods may ask for, and nobody sets here yet.

use std::path::Path;

use crate::spec::Container;
use crate::status::{Failure, Reason};

/// Is there where SELinux is switched on, mounted or not.
const ENABLED: &str = "/sys/fs/selinux";

/// Whether `container` may run without the labels that it asks for: where SELinux is off there are none, as with any container
/// runtime, and a privileged one is confined by none.
///
/// Fails with `CreateContainerError` otherwise.
pub fn check(container: &Container) -> Result<(), Failure> {
    let security = &container.security;
    if !security.selinux || security.privileged || !Path::new(ENABLED).exists() {
        return Ok(());
    }
    let message = format!(
        "container {}: seLinuxOptions: this node has SELinux, whose labels are not built yet: remove them, or start the node \
         without it",
        container.name
    );
    Err(Failure::new(Reason::CreateContainerError, message))
}
