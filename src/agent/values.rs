//! Values for pods: out of ConfigMaps and Secrets, of the node, and out of files in volumes.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use log::{info, warn};

use super::world::World;
use crate::api::Amounts;
use crate::bundle::{self, Surroundings, Variables};
use crate::host::machine;
use crate::spec::{Container, Documents, Kind, Pod, ValueSource, Volume, VolumeSource};
use crate::status::{Failure, Reason};
use crate::sys::beneath::Root;
use crate::volume::{self, Contents};

/// Longest file that variables are taken from.
const MAX_FILE: u64 = 64 << 10;

/// Writes the volumes of values of `pod`, which starts. Fails with `FailedMount`.
pub fn project(world: &World, pod: &Pod) -> Result<(), Failure> {
    if !has_values(pod) {
        return Ok(());
    }
    let allocatable = allocatable(world);
    written(world, |documents| {
        volume::project(&world.runtime.pod(&pod.uid.0), pod, &contents(world, documents, allocatable))
    })
}

/// Brings the volumes of values that `pods` have up to date.
pub fn refresh(world: &World, pods: &[Arc<Pod>]) {
    let mut pods = pods.iter().filter(|pod| has_values(pod)).peekable();
    if pods.peek().is_none() {
        return;
    }
    let allocatable = allocatable(world);
    for pod in pods {
        let refreshed = written(world, |documents| {
            volume::refresh(&world.runtime.pod(&pod.uid.0), pod, &contents(world, documents, allocatable))
        });
        for (name, done) in refreshed {
            match done {
                Ok(()) => info!("pod {}: volume {name} has new content", pod.full_name()),
                Err(failure) => warn!("pod {}: {}; it stays as it was", pod.full_name(), failure.message),
            }
        }
    }
}

/// Whether one of its volumes is made of values. Most pods have none, and need no look at the machine.
fn has_values(pod: &Pod) -> bool {
    pod.volumes.iter().any(|volume| matches!(volume.source, VolumeSource::Projected(_)))
}

/// Writes while nobody else does, with the documents that there are by then.
fn written<T>(world: &World, write: impl FnOnce(&Documents) -> T) -> T {
    let _alone = world.projecting.lock().unwrap_or_else(PoisonError::into_inner);
    write(&world.documents())
}

fn contents<'a>(world: &World, documents: &'a Documents, allocatable: Amounts) -> Contents<'a> {
    Contents { documents, allocatable, in_memory: world.in_memory }
}

/// What the node has for pods.
pub fn allocatable(world: &World) -> Amounts {
    world.config.allocatable(&machine::machine(&world.config.data_dir))
}

/// The variables that its manifest gives `container` of a pod whose process is `process`. Fails with
/// `CreateContainerConfigError`.
pub fn variables(
    world: &World,
    pod: &Pod,
    container: &Container,
    process: i32,
) -> Result<Variables, Failure> {
    let sources = || container.env.iter().filter_map(|variable| variable.from.as_ref());
    let of_secret = |source: &ValueSource| matches!(source, ValueSource::Key { kind: Kind::Secret, .. });
    let secret = sources().any(of_secret) || container.env_from.iter().any(|it| it.kind == Kind::Secret);
    if secret && !world.in_memory {
        return Err(Failure::new(Reason::CreateContainerConfigError, volume::NOT_IN_MEMORY));
    }
    let documents = world.documents();
    let asks = |source: &ValueSource| matches!(source, ValueSource::Address(_) | ValueSource::Allocatable(_));
    let host_ip = sources().any(asks).then(machine::address).flatten();
    let mut files = BTreeMap::new();
    for source in sources() {
        if let ValueSource::File { volume, path, .. } = source {
            let place = (volume.clone(), path.clone());
            files
                .entry(place)
                .or_insert_with(|| file(world, pod, process, volume, path).map_err(|why| why.to_string()));
        }
    }
    let around = Surroundings {
        documents: &documents,
        host_ip: host_ip.as_deref(),
        pod_ips: match pod.host_network {
            true => host_ip.iter().cloned().collect(),
            false => world.network.addresses(&pod.uid.0).iter().map(ToString::to_string).collect(),
        },
        allocatable: if sources().any(asks) { allocatable(world) } else { Amounts::default() },
        files,
    };
    bundle::own_variables(pod, container, &around)
}

/// Values shorter than this are not looked for: they are in any sentence.
const TELLING: usize = 4;

/// `failure` without values of the Secrets that `container` names: the runtime quotes a program that it does not find, or a
/// directory, and those may be made of variables.
pub fn hide(world: &World, pod: &Pod, container: &Container, failure: Failure) -> Failure {
    let of_key = container.env.iter().filter_map(|variable| match &variable.from {
        Some(ValueSource::Key { kind: Kind::Secret, name, .. }) => Some(name),
        _ => None,
    });
    let whole = container.env_from.iter().filter(|from| from.kind == Kind::Secret).map(|from| &from.name);
    let documents = world.documents();
    let secrets = of_key.chain(whole).filter_map(|name| documents.get(Kind::Secret, &pod.namespace, name));
    let values = secrets.flat_map(|secret| secret.data.values());
    let mut values: Vec<&str> = values.filter_map(|value| std::str::from_utf8(&value.0).ok()).collect();
    values.retain(|value| TELLING <= value.len());
    // One may be a part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let hidden = values.into_iter().fold(failure.message, |text, value| text.replace(value, "<secret>"));
    Failure::new(failure.reason, hidden)
}

/// The text of a file in an emptyDir volume, which containers may have made anything of.
fn file(world: &World, pod: &Pod, process: i32, volume: &str, path: &str) -> std::io::Result<String> {
    let invalid = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let in_memory = |it: &Volume| {
        it.name == volume && matches!(it.source, VolumeSource::Memory | VolumeSource::HugePages { .. })
    };
    let root = if pod.volumes.iter().any(in_memory) {
        // It is mounted where the pod process is, and nowhere else.
        let place = world.runtime.pod(&pod.uid.0).volume(volume).canonicalize()?;
        PathBuf::from(format!("/proc/{process}/root{}", place.display()))
    } else {
        world.data.volume(&pod.uid.0, volume)
    };
    let root = Root::open(&root)?;
    let mut text = Vec::new();
    root.file(Path::new(path))?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if MAX_FILE < text.len() as u64 {
        return Err(invalid("it is longer than 64 KiB"));
    }
    String::from_utf8(text).map_err(|_| invalid("it is not UTF-8 text"))
}
