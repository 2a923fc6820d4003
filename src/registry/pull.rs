//! An image from whoever has it into the store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::ask::Session;
use super::bring::bring;
use super::{Endpoint, Settings};
use crate::http::{Client, Proxies};
use crate::image::{self, Descriptor, Digest, Documents, Found, MAX_DOCUMENT, Reference, Store};

/// Without a byte for so long a pull is given up: containerd's `image_pull_progress_timeout`.
const STALL: Duration = Duration::from_secs(300);
/// What manifests we read.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// What is to be pulled, and how.
pub struct Order<'o> {
    /// Where to.
    pub store: &'o Store,
    /// What.
    pub reference: &'o Reference,
    /// Who is asked.
    pub settings: &'o Settings,
    /// By which way.
    pub proxies: Proxies,
    /// The registry must have said what the image is within this time; for whoever can do without.
    pub patience: Option<Duration>,
    /// Whether anybody waits for it.
    pub wanted: &'o (dyn Fn() -> bool + Sync),
    /// Is told of what came.
    pub progress: &'o Progress,
}

/// How far a pull is, for whoever looks.
#[derive(Debug, Default)]
pub struct Progress {
    here: AtomicU64,
    unpacked: AtomicU64,
    of: AtomicU64,
}

/// How far a pull was when somebody looked, in bytes of layers as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Far {
    /// That are here.
    pub here: u64,
    /// That are unpacked.
    pub unpacked: u64,
    /// That are needed; 0 until that is known, or where nothing is missing.
    pub of: u64,
}

impl Progress {
    /// How far it is now.
    pub fn look(&self) -> Far {
        let of = self.of.load(Ordering::Relaxed);
        let some = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed).min(of);
        Far { here: some(&self.here), unpacked: some(&self.unpacked), of }
    }

    pub(super) fn needs(&self, bytes: u64) {
        self.of.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn came(&self, bytes: u64) {
        self.here.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn went(&self, bytes: u64) {
        self.here.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn unpacks(&self, bytes: u64) {
        self.unpacked.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// An image that is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// It was here already, under this name.
    pub was_here: bool,
    /// Bytes of its layers as they come.
    pub bytes: u64,
}

/// Pulls an image. Fails with all that was tried; what came of layers is kept for the next time.
pub fn pull(order: &Order<'_>) -> Result<Pulled> {
    let reference = order.reference;
    let endpoints = order.settings.endpoints(reference)?;
    ensure!(
        !endpoints.is_empty(),
        "nobody may be asked for it: registries.yaml names no endpoint for {}",
        reference.registry
    );
    let begun = Instant::now();
    let known = AtomicBool::new(false);
    let in_time =
        || known.load(Ordering::Acquire) || order.patience.is_none_or(|patience| begun.elapsed() < patience);
    let wanted = || in_time() && (order.wanted)();
    let session = |endpoint: Endpoint| -> Result<Session<'_>> {
        let mut client = Client::new(order.proxies.clone(), STALL, &wanted);
        client.dial = order.patience.unwrap_or(client.dial);
        client.identities = endpoint.identities()?;
        Ok(Session::new(endpoint, client))
    };
    let sessions = endpoints.into_iter().map(session).collect::<Result<Vec<_>>>()?;
    let (first, found) = resolve(&sessions, order).map_err(|error| match in_time() {
        true => error,
        false => error.context("there was no answer in time"),
    })?;
    known.store(true, Ordering::Release);
    let bytes = found.layers.iter().map(|layer| layer.size).sum();
    let id = found.id.to_string();
    order.store.forget_leftovers(&found);
    if is_here(order, &found)? {
        return Ok(Pulled { id, was_here: true, bytes });
    }
    image::check_size(&found, order.store.most_bytes())?;
    let mut arriving = order.store.begin(found)?;
    bring(&sessions, first, order, &mut arriving)?;
    Ok(Pulled { id, was_here: false, bytes })
}

/// Whether the image is here, under the name by which it was asked for and with the digest that it has now.
fn is_here(order: &Order<'_>, found: &Found) -> Result<bool> {
    let here = order.store.find(order.reference)?;
    Ok(here.is_some_and(|image| {
        let same = |digest: &Digest| image.digests.iter().any(|known| known == digest.as_str());
        image.id == found.id.as_str()
            && found.digests.iter().all(same)
            && order.store.is_sound(&image.id).unwrap_or(false)
    }))
}

/// What the image is, by the first endpoint that knows, and which one that is.
fn resolve(sessions: &[Session<'_>], order: &Order<'_>) -> Result<(usize, Found)> {
    let reference = order.reference;
    let mut wrongs = Vec::new();
    for (at, session) in sessions.iter().enumerate() {
        match of_one(session, order) {
            Ok(mut found) => {
                found.pulled_from = Some(format!("{}/{}", reference.registry, reference.repository));
                if reference.digest.is_none() {
                    found.names = vec![reference.to_string()];
                }
                return Ok((at, found));
            }
            Err(error) => wrongs.push(format!("{error:#}")),
        }
        if !(order.wanted)() {
            break;
        }
    }
    Err(anyhow!("failed to resolve reference \"{reference}\": {}", wrongs.join("; ")))
}

fn of_one(session: &Session<'_>, order: &Order<'_>) -> Result<Found> {
    let reference = order.reference;
    let tag = reference.tag.as_deref().unwrap_or("latest");
    let name = reference.digest.as_ref().map_or(tag, Digest::as_str);
    let url = session.endpoint.manifest(name);
    let (bytes, media_type) = session.document(&url, ACCEPT, MAX_DOCUMENT)?;
    let actual = Digest::of(&bytes);
    if let Some(digest) = reference.digest.as_ref().filter(|digest| **digest != actual) {
        bail!(
            "GET \"{url}\": the manifest has the digest {actual} instead of {digest}: it was tampered with"
        );
    }
    // Some give all documents one type; what they are is then in them alone.
    let media_type = if media_type.contains("manifest") || media_type.contains("index") {
        media_type
    } else {
        String::new()
    };
    let size = bytes.len() as u64;
    let top = Descriptor { media_type, digest: actual.clone(), size, platform: None, annotations: None };
    let mut documents = Remote { session, top: (actual, bytes) };
    image::select(&mut documents, top, order.store.platform()).with_context(|| format!("image at \"{url}\""))
}

/// The documents of an image at one endpoint.
struct Remote<'r, 'c> {
    session: &'r Session<'c>,
    /// What was read first.
    top: (Digest, Vec<u8>),
}

impl Documents for Remote<'_, '_> {
    fn manifest(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if self.top.0 == descriptor.digest {
            return Ok(self.top.1.clone());
        }
        let url = self.session.endpoint.manifest(descriptor.digest.as_str());
        Ok(self.session.document(&url, ACCEPT, MAX_DOCUMENT)?.0)
    }

    fn configuration(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let url = self.session.endpoint.blob(descriptor.digest.as_str());
        Ok(self.session.document(&url, "*/*", MAX_DOCUMENT)?.0)
    }

    /// That is seen when it comes.
    fn check_layer(&self, _: &Descriptor) -> Result<()> {
        Ok(())
    }
}
