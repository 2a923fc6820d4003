//! Who is asked for an image, in which order, and by which name.

use anyhow::{Context, Result, bail};
use regex::Regex;

use super::Credentials;
use super::docker_config::DockerConfig;
use super::file::{Registries, Tls};
use crate::http::{Identities, Url};
use crate::image::Reference;
use crate::tls::{Identity, Trust};

/// Where docker.io is.
const HUB: &str = "registry-1.docker.io";

/// Somebody who may have an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What all paths are below: with `/v2`, or what registries.yaml says.
    pub base: Url,
    /// The repository's name there.
    pub repository: String,
    /// The registry it stands in for, which it is told.
    pub stands_for: Option<String>,
    /// What lets us in.
    pub credentials: Option<Credentials>,
    /// How it is known.
    pub tls: Tls,
}

/// What is written of registries.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `registries.yaml`.
    pub registries: Registries,
    /// docker's `config.json`.
    pub docker: DockerConfig,
    /// Of a registry with an entry under `mirrors` only its mirrors are asked.
    pub only_mirrors: bool,
}

impl Settings {
    /// Who is asked for `reference`, one after the other, until one has it. Empty where nobody may be asked.
    ///
    /// Fails where an endpoint is none, by its place in the file.
    pub fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>> {
        let registry = &reference.registry;
        let mut found: Vec<Endpoint> = Vec::new();
        let default = normal(registry).with_context(|| format!("registry {registry}"))?;
        let mirror = self.registries.mirror(registry);
        for (at, text) in mirror.iter().flat_map(|mirror| &mirror.endpoints).enumerate() {
            let (host, base) =
                normal(text).with_context(|| format!("mirrors of {registry}, endpoint {}", at + 1))?;
            if found.iter().all(|known| known.base != base) {
                let rewrites = mirror.map(|mirror| &mirror.rewrites[..]).unwrap_or_default();
                let repository = rewritten(&reference.repository, rewrites);
                found.push(self.endpoint(&host, base, repository, registry));
            }
        }
        let is_last = found.last().is_some_and(|last| last.base == default.1);
        let may = !self.only_mirrors || mirror.is_none() || self.registries.config(registry).is_some();
        if may && !is_last {
            found.push(self.endpoint(&default.0, default.1, reference.repository.clone(), registry));
        }
        Ok(found)
    }

    fn endpoint(&self, host: &str, base: Url, repository: String, registry: &str) -> Endpoint {
        let of_hub = self.registries.config(HUB).filter(|_| host == "docker.io");
        let config = of_hub.or_else(|| self.registries.config(host));
        let credentials = config.and_then(|config| config.auth.as_ref());
        let credentials = credentials.or_else(|| self.docker.credentials(host, &repository)).cloned();
        let tls = config.map(|config| config.tls.clone()).unwrap_or_default();
        let is_own = host == registry;
        Endpoint { base, repository, stands_for: (!is_own).then(|| registry.to_owned()), credentials, tls }
    }
}

/// The host by which `configs` know an endpoint, and where it is. Without a scheme it is https, but for the node itself at a port
/// of its own; without a path it is `/v2`.
fn normal(text: &str) -> Result<(String, Url)> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let mut url = Url::parse(&with_scheme)?;
    let is_loopback = url.host == "localhost"
        || url.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    if !text.contains("://") && is_loopback && url.port != 443 {
        url.is_https = false;
    }
    let authority = with_scheme.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?']).next();
    let mut host = authority.unwrap_or_default().to_ascii_lowercase();
    if host == "docker.io" {
        HUB.clone_into(&mut url.host);
    }
    if host == HUB {
        "docker.io".clone_into(&mut host);
    }
    if matches!(url.target.as_str(), "/" | "/v2" | "/v2/") {
        "/v2".clone_into(&mut url.target);
    }
    Ok((host, url))
}

fn rewritten(repository: &str, rewrites: &[(String, String)]) -> String {
    let changed = rewrites.iter().find_map(|(pattern, to)| {
        // It was looked at when the file was read.
        let changed = Regex::new(pattern).ok()?.replace_all(repository, to.as_str()).into_owned();
        (changed != repository).then_some(changed)
    });
    changed.unwrap_or_else(|| repository.to_owned())
}

impl Endpoint {
    /// How it is known, and we to it. Fails where only one of certificate and key is given.
    pub fn identities(&self) -> Result<Identities> {
        let tls = &self.tls;
        let trust = match tls.insecure_skip_verify {
            true => Trust::Anybody,
            false => Trust::Vouched(tls.ca_file.iter().cloned().collect()),
        };
        let own = match (&tls.cert_file, &tls.key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some(Identity { certificate: certificate.clone(), key: key.clone() })
            }
            _ => bail!(
                "tls of {} in registries.yaml: cert_file and key_file go together",
                self.base.authority()
            ),
        };
        Ok(Identities { trust, own })
    }

    /// Where the manifest `reference`, a tag or a digest, is.
    pub fn manifest(&self, reference: &str) -> Url {
        self.told(self.base.below(&format!("/{}/manifests/{reference}", self.repository)))
    }

    /// Where the content `digest` is.
    pub fn blob(&self, digest: &str) -> Url {
        self.told(self.base.below(&format!("/{}/blobs/{digest}", self.repository)))
    }

    fn told(&self, url: Url) -> Url {
        match &self.stands_for {
            Some(registry) => url.with("ns", registry),
            None => url,
        }
    }
}
