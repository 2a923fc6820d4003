//! Whether somebody still has an image, without fetching more of it than its manifest.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Settings;
use super::ask::{Refused, Session};
use super::pull::ACCEPT;
use crate::http::{Client, Proxies};
use crate::image::{Digest, MAX_DOCUMENT, Reference};

/// Whether one of those that may be asked gives the manifest that `reference` names by its digest; fails where nobody answers
/// within `patience`.
pub fn has(
    settings: &Settings,
    proxies: &Proxies,
    reference: &Reference,
    patience: Duration,
) -> Result<bool> {
    let begun = Instant::now();
    let in_time = || begun.elapsed() < patience;
    let digest = reference.digest.as_ref().map_or("latest", Digest::as_str);
    let endpoints = settings.endpoints(reference)?;
    ensure!(!endpoints.is_empty(), "nobody may be asked for it");
    let (mut answered, mut silent) = (false, None);
    for endpoint in endpoints {
        let mut client = Client::new(proxies.clone(), patience, &in_time);
        client.dial = patience;
        client.identities = endpoint.identities()?;
        let session = Session::new(endpoint, client);
        match session.document(&session.endpoint.manifest(digest), ACCEPT, MAX_DOCUMENT) {
            Ok((bytes, _)) if Digest::of(&bytes).as_str() == digest => return Ok(true),
            Ok(_) => answered = true,
            Err(error) if error.is::<Refused>() => answered = true,
            Err(error) => silent = Some(error),
        }
    }
    match silent {
        Some(error) if !answered => Err(error),
        _ => Ok(false),
    }
}
