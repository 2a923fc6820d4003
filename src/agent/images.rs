//! The directory of image archives: what lies there at the start, and whatever comes.
//!
//! inotify tells at once. As the manifests directory it may be exchanged, or be a stick that is mounted later: whether it
//! is still the one that is watched is looked at with each re-list of the manifests.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use inotify::{Inotify, WatchDescriptor, WatchMask};
use log::info;
use smol::Async;
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;

use super::Message;
use super::publish::Note;
use super::world::World;
use crate::image::nameless_message;
use crate::lifecycle::Event;
use crate::status::EventKind;

/// Imports what is there, and then what comes, one after the other, for ever; `relisted` says when to look whether the
/// directory is another one.
pub async fn watch(world: Arc<World>, relisted: Receiver<()>, sender: Sender<Message>) {
    let mut watch = match Watch::new() {
        Ok(watch) => watch,
        Err(error) => {
            let directory = world.data.archives();
            let warning = format!(
                "{} is not watched ({error}): image archives are taken in at the agent's start only",
                directory.display()
            );
            import_all(&world, &sender).await;
            let _ = sender.send(Message::Warning(warning)).await;
            return;
        }
    };
    let mut told = true;
    loop {
        // Before the listing, so that what comes during it is told.
        if watch.renew(&world) || told {
            import_all(&world, &sender).await;
        }
        let ready = async { watch.ready.readable().await.is_ok() };
        let relisted = async {
            match relisted.recv().await {
                Ok(()) => false,
                // The agent is about to end.
                Err(_) => std::future::pending().await,
            }
        };
        let woken = ready.or(relisted).await;
        // What came while the re-list was told is taken out here too: it counts.
        told = watch.forget() || woken;
    }
}

/// The inotify watch.
struct Watch {
    inotify: Inotify,
    ready: Async<OwnedFd>,
    directory: Option<WatchDescriptor>,
}

impl Watch {
    fn new() -> std::io::Result<Watch> {
        let inotify = Inotify::init()?;
        let ready = Async::new(inotify.as_fd().try_clone_to_owned()?)?;
        Ok(Watch { inotify, ready, directory: None })
    }

    /// Watches the directory that is there now, and tells whether that is another one than before.
    fn renew(&mut self, world: &World) -> bool {
        let events = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        let directory = self.inotify.watches().add(world.data.archives(), events).ok();
        let other = directory.is_some() && directory != self.directory;
        self.directory = directory;
        other
    }

    /// Takes out what was told; whether that was anything.
    fn forget(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let mut any = false;
        while self.inotify.read_events(&mut buffer).is_ok_and(|events| 0 < events.count()) {
            any = true;
        }
        any
    }
}

/// Takes in every archive that the store does not know yet; whoever waits for an image then looks again.
async fn import_all(world: &Arc<World>, sender: &Sender<Message>) {
    world.importing.store(true, Ordering::Release);
    let refused = import_each(world, sender).await;
    world.importing.store(false, Ordering::Release);
    let _ = sender.send(Message::RefusedArchives(refused)).await;
    let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
}

/// What of the directory is of no use, and why, a sentence each.
async fn import_each(world: &Arc<World>, sender: &Sender<Message>) -> Vec<String> {
    let mut unusable = BTreeMap::new();
    let earlier = world.unusable.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let directory = world.data.archives();
    for name in names(&directory) {
        let path = directory.join(&name);
        let (of_store, archive) = (world.clone(), path.clone());
        let nameless = nameless_message(&name);
        match smol::unblock(move || of_store.store.import(&archive)).await {
            // Read before; what it holds has no name still.
            Ok(imported) if imported.is_empty() => {
                if earlier.get(&name) == Some(&nameless) {
                    unusable.insert(name, nameless);
                }
            }
            Ok(imported) => {
                for image in &imported {
                    let called = if image.names.is_empty() { &image.id } else { &image.names.join(", ") };
                    let message = format!("image {called}: imported from {}", path.display());
                    info!("{message}");
                    let note = Note { kind: EventKind::Normal, reason: "ImageImported", message };
                    let _ = sender.send(Message::Note(note)).await;
                }
                if imported.iter().any(|image| image.names.is_empty()) {
                    unusable.insert(name, nameless);
                }
                let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
            }
            // The outermost context is the path, which is told by whoever tells this.
            Err(error) => {
                let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
                unusable.insert(name, causes.join(": "));
            }
        }
    }
    let told = unusable.iter();
    let told = told.map(|(name, why)| format!("image archive {}: {why}", directory.join(name).display()));
    let told = told.collect();
    *world.unusable.lock().unwrap_or_else(PoisonError::into_inner) = unusable;
    told
}

/// The files that may be archives, in the order in which they are taken in.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let names = files.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}
