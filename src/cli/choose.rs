//! Which container is meant.

use anyhow::{Result, bail};

use super::field::{list, text};
use super::read::Found;
use super::say;

/// The annotation by which a pod tells which container is meant where none is named: kubectl's.
const DEFAULT: &str = "/metadata/annotations/kubectl.kubernetes.io~1default-container";

/// The names of the pod's containers.
pub fn names(found: &Found) -> Vec<&str> {
    list(&found.pod.object, "/spec/containers").iter().map(|container| text(container, "/name")).collect()
}

/// The container called `asked`, or the one that the pod names for that, or its first with a note that there are others, as
/// kubectl does.
pub fn container(found: &Found, asked: Option<&str>) -> Result<String> {
    let names = names(found);
    let meant = text(&found.pod.object, DEFAULT);
    match (asked, names.as_slice()) {
        (Some(asked), names) if names.contains(&asked) => Ok(asked.to_string()),
        (Some(asked), names) => {
            bail!("container {asked:?} is not in pod {}; choose one of: {}", found.name(), names.join(", "))
        }
        (None, names) if names.contains(&meant) => Ok(meant.to_string()),
        (None, []) => bail!("pod {} has no containers", found.name()),
        (None, [only]) => Ok((*only).to_string()),
        (None, [first, ..]) => {
            say(&format!("Defaulted container {first:?} out of: {}", names.join(", ")));
            Ok((*first).to_string())
        }
    }
}
