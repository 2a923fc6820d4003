//! An image from whoever has it into the store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::ask::Session;
use super::layer::{self, Wanted};
use super::{Endpoint, Settings};
use crate::http::{Client, Proxies};
use crate::image::{
    self, Descriptor, Digest, Documents, Found, FoundLayer, MAX_DOCUMENT, Partial, Reference, Store,
};

/// Without a byte for so long a pull is given up: containerd's `image_pull_progress_timeout`.
const STALL: Duration = Duration::from_secs(300);
/// Layers that are fetched at the same time: containerd's `max_concurrent_downloads`.
const LAYERS_AT_ONCE: usize = 3;
/// What manifests we read.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
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
    done: AtomicU64,
    of: AtomicU64,
}

impl Progress {
    /// Bytes that are here of those that are needed; 0 of 0 until that is known.
    pub fn look(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.of.load(Ordering::Relaxed))
    }

    pub(super) fn came(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn went(&self, bytes: u64) {
        self.done.fetch_sub(bytes, Ordering::Relaxed);
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
    if is_here(order, &found)? {
        return Ok(Pulled { id, was_here: true, bytes });
    }
    image::check_size(&found, order.store.most_bytes())?;
    order.store.forget_partials();
    let layers = fetch(&sessions, first, order, &found)?;
    order.store.add_pulled(found, layers).context("take in what came")?;
    Ok(Pulled { id, was_here: false, bytes })
}

/// Whether the image is here, under the name by which it was asked for and with the digest that it has now.
fn is_here(order: &Order<'_>, found: &Found) -> Result<bool> {
    let here = order.store.find(order.reference)?;
    Ok(here.is_some_and(|image| {
        let same = |digest: &Digest| image.digests.iter().any(|known| known == digest.as_str());
        image.id == found.id.as_str() && found.digests.iter().all(same)
    }))
}

/// What the image is, by the first endpoint that knows, and which one that is.
fn resolve(sessions: &[Session<'_>], order: &Order<'_>) -> Result<(usize, Found)> {
    let reference = order.reference;
    let mut wrongs = Vec::new();
    for (at, session) in sessions.iter().enumerate() {
        match of_one(session, order) {
            Ok(mut found) => {
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

/// Fetches the layers that are not here, some at the same time.
fn fetch(
    sessions: &[Session<'_>],
    first: usize,
    order: &Order<'_>,
    found: &Found,
) -> Result<BTreeMap<Digest, Partial>> {
    let mut missing = order.store.missing(found)?;
    // Everybody takes their locks in the same order, so that no two pulls wait for each other.
    missing.sort_by(|one, other| other.blob.cmp(&one.blob));
    order.progress.of.store(missing.iter().map(|layer| layer.size).sum(), Ordering::Relaxed);
    let (queue, done) = (Mutex::new(missing), Mutex::new(BTreeMap::new()));
    let wrong: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    let stopped = AtomicBool::new(false);
    let wanted = || !stopped.load(Ordering::Acquire) && (order.wanted)();
    let work = || {
        loop {
            let one = (|| -> Result<bool> {
                let Some((digest, size, partial)) = next(&queue, order, found, &wanted)? else {
                    return Ok(false);
                };
                let Some(partial) = partial else { return Ok(true) };
                let asked = Wanted { digest: &digest, size, wanted: &wanted, progress: order.progress };
                let partial = layer::fetch(sessions, first, &asked, partial)?;
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, partial);
                Ok(true)
            })();
            match one {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // What follows from the first is no news.
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return stopped.store(true, Ordering::Release);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..LAYERS_AT_ONCE {
            // With fewer threads it takes longer.
            let _ = std::thread::Builder::new().name("layer".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    match wrong.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// The next layer, with its file unless it came here meanwhile; `None` where there is no other.
#[allow(clippy::type_complexity, reason = "it is taken apart at once")]
fn next(
    queue: &Mutex<Vec<FoundLayer>>,
    order: &Order<'_>,
    found: &Found,
    wanted: &dyn Fn() -> bool,
) -> Result<Option<(Digest, u64, Option<Partial>)>> {
    // Held until the file is ours: that keeps the order.
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    if !wanted() {
        return Ok(None);
    }
    let Some(layer) = queue.pop() else { return Ok(None) };
    let digest = layer.blob.context("a layer without a digest")?;
    let partial = order.store.partial(&digest, wanted)?;
    let is_missing = |other: &FoundLayer| other.blob.as_ref() == Some(&digest);
    if order.store.missing(found)?.iter().any(is_missing) {
        return Ok(Some((digest, layer.size, Some(partial))));
    }
    order.store.discard(partial);
    order.progress.came(layer.size);
    Ok(Some((digest, layer.size, None)))
}
