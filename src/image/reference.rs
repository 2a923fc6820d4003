//! The name of an image, read and normalised as docker and containerd do (reference D.2).

use std::fmt;

use anyhow::{Result, bail, ensure};

use super::Digest;

/// Longest repository name, host included: the limit of the distribution specification's reference implementation.
const MAX_NAME: usize = 255;
/// Longest tag (distribution specification).
const MAX_TAG: usize = 128;

/// A normalised image name: registry, repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host, with a port where one is given: `docker.io`, `registry.local:5000`.
    pub registry: String,
    /// Path within the registry: `library/redis`.
    pub repository: String,
    /// `latest` if neither tag nor digest is given.
    pub tag: Option<String>,
    /// Beats the tag.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as a Pod or an archive has it; fails with a sentence for what is no image name.
    pub fn parse(text: &str) -> Result<Reference> {
        ensure!(!text.is_empty(), "image name must not be empty");
        let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(!hex, "image {text:?}: 64 hexadecimal digits are an id, not a name");
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[slash..].split_once(':') {
            Some((last, tag)) => (&rest[..slash + last.len()], Some(checked_tag(text, tag)?)),
            None => (rest, None),
        };
        let (registry, repository) = split_registry(name);
        check_registry(text, &registry)?;
        check_repository(text, &repository)?;
        ensure!(
            registry.len() + 1 + repository.len() <= MAX_NAME,
            "image name is longer than {MAX_NAME} bytes"
        );
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Reference { registry, repository, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The first part is a host if it looks like one; docker.io has its official images under `library/`.
fn split_registry(name: &str) -> (String, String) {
    let host = name.split_once('/').filter(|(first, _)| {
        first.contains(['.', ':'])
            || *first == "localhost"
            || first.contains(|c: char| c.is_ascii_uppercase())
    });
    let (registry, repository) = host.unwrap_or(("docker.io", name));
    let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
    let official = registry == "docker.io" && !repository.contains('/');
    let prefix = if official { "library/" } else { "" };
    (registry.to_owned(), format!("{prefix}{repository}"))
}

fn check_registry(text: &str, registry: &str) -> Result<()> {
    let (host, port) = registry.split_once(':').unwrap_or((registry, "0"));
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    ensure!(host.split('.').all(label), "image {text:?}: {host:?} is no host name");
    // Rust reads `+80`, too.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    ensure!(digits && port.parse::<u16>().is_ok(), "image {text:?}: {port:?} is no port");
    Ok(())
}

fn check_repository(text: &str, repository: &str) -> Result<()> {
    for part in repository.split('/') {
        ensure!(!part.is_empty(), "image {text:?}: a part of the name is empty");
        let upper = part.contains(|c: char| c.is_ascii_uppercase());
        ensure!(!upper, "image {text:?}: the repository {repository:?} must be lower case");
        ensure!(component(part), "image {text:?}: {part:?} is no part of an image name");
    }
    Ok(())
}

/// Letters and digits in runs, which one `.`, `_`, `__` or any number of `-` separate.
fn component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(alphanumeric).filter(|separator| !separator.is_empty());
    let fine =
        |separator: &str| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
    part.starts_with(alphanumeric) && part.ends_with(alphanumeric) && separators.into_iter().all(fine)
}

fn checked_tag(text: &str, tag: &str) -> Result<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !tag.starts_with(word) || !tag.chars().all(|c| word(c) || c == '.' || c == '-') || tag.len() > MAX_TAG
    {
        bail!("image {text:?}: {tag:?} is no tag");
    }
    Ok(tag.to_owned())
}
