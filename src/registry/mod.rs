//! Registries: who has an image, what lets us in there, and getting it into the store.
//!
//! Invariant: nothing is trusted for where it came from: documents and layers are what their digests say, or refused.
//! Invariant: names, passwords and tokens are in no error, no log and no `Debug`; a host's are sent to that host alone, and to
//! whom it names for giving tokens, never from https to http.

mod ask;
mod bring;
mod challenge;
mod docker_config;
mod endpoint;
mod file;
mod has;
mod layer;
mod plan;
mod pull;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use endpoint::{Endpoint, Settings};
pub use has::has;
pub use pull::{Far, Order, Progress, Pulled, pull};

use docker_config::DockerConfig;
#[doc(hidden)]
pub use file::Registries; // For fuzz/targets.rs.

/// What lets somebody in.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// By name.
    Password {
        /// The name.
        user: String,
        /// The password; may be empty.
        password: String,
    },
    /// What is given for a token that lets in.
    Token(String),
}

/// Without what lets somebody in.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Which files say something of registries.
#[derive(Debug, Clone)]
pub struct Files {
    /// `registries.yaml`.
    pub registries: PathBuf,
    /// Places of docker's `config.json`, of which the first that is there counts.
    pub docker: Vec<PathBuf>,
    /// Of a registry with an entry under `mirrors` only its mirrors are asked.
    pub only_mirrors: bool,
}

impl Files {
    /// With a kubelet's places of docker's file; `home` is whose it is to be, too.
    pub fn new(registries: &Path, only_mirrors: bool, home: Option<&Path>) -> Files {
        let folders = [Some(PathBuf::from("/var/lib/kubelet")), home.map(|home| home.join(".docker"))];
        let folders = folders.into_iter().flatten().chain([PathBuf::from("/.docker")]);
        let docker = folders.map(|folder| folder.join("config.json")).collect();
        Files { registries: registries.to_owned(), docker, only_mirrors }
    }

    /// What is written there now. Fails by the file's name where one cannot be read.
    pub fn read(&self) -> Result<Settings> {
        let registries = match present(&self.registries)? {
            Some(bytes) => {
                Registries::read(&bytes).with_context(|| format!("read {}", self.registries.display()))?
            }
            None => Registries::default(),
        };
        let mut docker = DockerConfig::default();
        for path in &self.docker {
            if let Some(bytes) = present(path)? {
                docker = DockerConfig::read(&bytes).with_context(|| format!("read {}", path.display()))?;
                break;
            }
        }
        Ok(Settings { registries, docker, only_mirrors: self.only_mirrors })
    }
}

fn present(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}
