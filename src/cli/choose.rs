//! Which container is meant.

use anyhow::{Result, bail};

use super::field::{list, text};
use super::read::Found;
use super::say;

/// The container called `asked`, or the pod's first with a note that there are others, as kubectl does.
pub fn container(found: &Found, asked: Option<&str>) -> Result<String> {
    let names: Vec<&str> = list(&found.pod.object, "/spec/containers")
        .iter()
        .map(|container| text(container, "/name"))
        .collect();
    match (asked, names.as_slice()) {
        (Some(asked), names) if names.contains(&asked) => Ok(asked.to_string()),
        (Some(asked), names) => {
            bail!("container {asked:?} is not in pod {}; choose one of: {}", found.name(), names.join(", "))
        }
        (None, []) => bail!("pod {} has no containers", found.name()),
        (None, [only]) => Ok((*only).to_string()),
        (None, [first, ..]) => {
            say(&format!("Defaulted container {first:?} out of: {}", names.join(", ")));
            Ok((*first).to_string())
        }
    }
}
