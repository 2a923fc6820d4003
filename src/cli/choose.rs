//! Which container is meant.

use anyhow::{Result, bail, ensure};

use super::field::{containers, list, text};
use super::read::Found;
use super::say;

/// The annotation by which a pod tells which container is meant where none is named: kubectl's.
const DEFAULT: &str = "/metadata/annotations/kubectl.kubernetes.io~1default-container";

/// The names of the pod's containers: init containers first, as they run.
pub fn names(found: &Found) -> Vec<&str> {
    containers(&found.pod.object).map(|container| text(container, "/name")).collect()
}

/// The names, those that are meant where none is named first, as kubectl lists them: `web, fetch (init)`.
fn listed(found: &Found) -> String {
    let object = &found.pod.object;
    let of = |pointer, suffix| {
        list(object, pointer).iter().map(move |container| format!("{}{suffix}", text(container, "/name")))
    };
    let all: Vec<String> = of("/spec/containers", "").chain(of("/spec/initContainers", " (init)")).collect();
    all.join(", ")
}

/// The container called `asked`, or the one that the pod names for that, or its first with a note that there are others, as
/// kubectl does.
pub fn container(found: &Found, asked: Option<&str>) -> Result<String> {
    let names = names(found);
    let meant = text(&found.pod.object, DEFAULT);
    if let Some(asked) = asked {
        let (pod, all) = (found.name(), listed(found));
        ensure!(names.contains(&asked), "container {asked:?} is not in pod {pod}; choose one of: {all}");
        return Ok(asked.to_string());
    }
    if names.contains(&meant) {
        return Ok(meant.to_string());
    }
    let first = list(&found.pod.object, "/spec/containers").first().map(|first| text(first, "/name"));
    let Some(first) = first else { bail!("pod {} has no containers", found.name()) };
    if names.len() > 1 {
        say(&format!("Defaulted container {first:?} out of: {}", listed(found)));
    }
    Ok(first.to_string())
}
