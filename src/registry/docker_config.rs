//! `config.json` of docker, as a kubelet reads it.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Credentials;
use super::file::Given;

/// What lets us in where.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig(Vec<(Place, Credentials)>);

/// A host as it is written there, perhaps with `*`, and the beginning of a repository's name.
#[derive(Debug, Clone)]
struct Place {
    host: String,
    path: String,
}

impl DockerConfig {
    /// Reads a file: `auths` in it, or, as in `.dockercfg`, nothing but them.
    pub fn read(bytes: &[u8]) -> Result<DockerConfig> {
        // What serde would tell of wrong text has a piece of it.
        let value: Value = serde_json::from_slice(bytes).ok().context("it is no JSON")?;
        let top = value.as_object().context("it is no JSON object")?;
        let auths = match top.get("auths") {
            None => top,
            Some(auths) => auths.as_object().context("auths must be an object")?,
        };
        let mut found = Vec::new();
        for (place, entry) in auths {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (username, password, auth) = (text("username"), text("password"), text("auth"));
            let given = Given { username, password, auth, identity_token: text("identitytoken") };
            if let Some(credentials) = given.read().with_context(|| format!("auths, {place}"))? {
                found.push((Place::of(place), credentials));
            }
        }
        // The longest path says most.
        found.sort_by_key(|(place, _)| std::cmp::Reverse(place.path.len()));
        Ok(DockerConfig(found))
    }

    /// What lets us in at `host`, with its port where it has one, for `repository`.
    pub fn credentials(&self, host: &str, repository: &str) -> Option<&Credentials> {
        self.0.iter().find(|(place, _)| place.fits(host, repository)).map(|(_, credentials)| credentials)
    }
}

impl Place {
    fn of(text: &str) -> Place {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        // docker's old names for the whole of a registry.
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        Place { host: host.to_ascii_lowercase(), path: path.to_owned() }
    }

    fn fits(&self, host: &str, repository: &str) -> bool {
        let hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
        let port = |host: &str| host.split_once(':').map(|(_, port)| port.to_owned());
        let labels = |host: &str| -> Vec<String> {
            let name = host.split(':').next().unwrap_or_default();
            name.split('.').map(str::to_owned).collect()
        };
        let (mine, theirs) = (labels(&self.host), labels(host));
        let same = port(&self.host) == port(host)
            && mine.len() == theirs.len()
            && mine.iter().zip(&theirs).all(|(pattern, label)| globs(pattern, label));
        let below = repository.strip_prefix(&self.path);
        (same || hub(&self.host) && hub(host)) && below.is_some()
    }
}

/// Whether `label` is what `pattern` means, in which `*` is anything.
fn globs(pattern: &str, label: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == label };
    let Some(label) = label.strip_prefix(start) else { return false };
    (0..=label.len()).filter(|at| label.is_char_boundary(*at)).any(|at| globs(rest, &label[at..]))
}
