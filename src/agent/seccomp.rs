//! Which system calls a container may make: its profile as a program.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::world::World;
use crate::seccomp::{self, Profile};
use crate::spec::{Container, Seccomp};
use crate::status::{Failure, Reason};
use crate::sys::beneath::Root;

/// Where a kubelet has its profiles; looked at after our own.
const OF_KUBELET: &str = "/var/lib/kubelet/seccomp";

/// Longest profile in a file, in bytes.
const LONGEST: u64 = 1 << 20;

/// The program for `container`, which can have `capabilities`; none where nothing is filtered. `able` says whether the pod's
/// process knows of filters.
///
/// Fails with `CreateContainerError` where the pod asks for what cannot be enforced here. What is only the node's default
/// is left out then.
pub fn program(
    world: &World,
    container: &Container,
    capabilities: &[String],
    able: bool,
) -> Result<Option<Vec<u8>>, Failure> {
    let security = &container.security;
    let asked = security.seccomp != Seccomp::Unsaid;
    let none = security.privileged || security.seccomp == Seccomp::Unconfined;
    let by_default = world.config.seccomp_default && world.seccomp && able;
    if none || !(asked || by_default) {
        return Ok(None);
    }
    let wrong = |why: String| {
        let message = format!("container {}: seccompProfile: {why}", container.name);
        Failure::new(Reason::CreateContainerError, message)
    };
    if !world.seccomp {
        return Err(wrong(
            "this kernel has no seccomp filters; use one with CONFIG_SECCOMP_FILTER".to_owned(),
        ));
    }
    let profile = match &security.seccomp {
        Seccomp::Localhost(name) => of_file(world, name).map_err(wrong)?,
        _ => seccomp::runtime_default(capabilities.iter().map(String::as_str)),
    };
    seccomp::program(&profile).map(Some).map_err(|why| wrong(format!("it cannot be enforced: {why}")))
}

/// The profile `name`, from the first of the directories that has one.
fn of_file(world: &World, name: &str) -> Result<Profile, String> {
    let directories: [PathBuf; 2] = [world.data.seccomp(), PathBuf::from(OF_KUBELET)];
    for directory in &directories {
        let path = directory.join(name);
        let text = match read(directory, name) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.map_err(|error| format!("read {}: {error}", path.display()))?,
        };
        if LONGEST < text.len() as u64 {
            return Err(format!("{} is longer than {LONGEST} bytes", path.display()));
        }
        return seccomp::parse(&text).map_err(|why| format!("{}: {why}", path.display()));
    }
    let [ours, kubelets] = directories.map(|directory| directory.join(name));
    Err(format!(
        "neither {} nor {} is there: put the profile into one of them",
        ours.display(),
        kubelets.display()
    ))
}

fn read(directory: &Path, name: &str) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Root::open(directory)?.file(Path::new(name))?.take(LONGEST + 1).read_to_end(&mut text)?;
    Ok(text)
}
