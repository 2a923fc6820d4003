//! The directory of image archives: what lies there at the start, and whatever comes. And the store's index, which others
//! replace too: `holdfast image import` and `rm`.
//!
//! inotify tells at once. As the manifests directory that of archives may be exchanged, or be a stick that is mounted later:
//! whether it is still the one that is watched is looked at with each re-list of the manifests.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use anyhow::Result;
use inotify::{Inotify, WatchDescriptor, WatchMask};
use log::{info, warn};
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
    let mut told = Told { archives: true, index: false };
    loop {
        // Before the listing, so that what comes during it is told.
        if watch.renew(&world) || told.archives {
            import_all(&world, &sender).await;
        } else if told.index {
            forget_named(&world, &sender).await;
            let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
        }
        let ready = async { watch.ready.readable().await.is_ok() };
        let relisted = async {
            match relisted.recv().await {
                Ok(()) => false,
                // The agent is about to end.
                Err(_) => std::future::pending().await,
            }
        };
        ready.or(relisted).await;
        // What came while the re-list was told is taken out here too: it counts.
        told = watch.forget();
    }
}

/// What inotify told of.
#[derive(Default)]
struct Told {
    /// Something came into the directory of archives.
    archives: bool,
    /// The store has another index, written by whomever.
    index: bool,
}

/// The inotify watch.
struct Watch {
    inotify: Inotify,
    ready: Async<OwnedFd>,
    directory: Option<WatchDescriptor>,
    store: Option<WatchDescriptor>,
}

impl Watch {
    fn new() -> std::io::Result<Watch> {
        let inotify = Inotify::init()?;
        let ready = Async::new(inotify.as_fd().try_clone_to_owned()?)?;
        Ok(Watch { inotify, ready, directory: None, store: None })
    }

    /// Watches the directory that is there now, and tells whether that is another one than before.
    fn renew(&mut self, world: &World) -> bool {
        let events = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        let directory = self.inotify.watches().add(world.data.archives(), events).ok();
        let other = directory.is_some() && directory != self.directory;
        self.directory = directory;
        // The index is replaced by a rename. Made by the agent's start, and nobody exchanges it.
        let renames = WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        self.store = self.inotify.watches().add(world.data.store(), renames).ok();
        other
    }

    /// Takes out what was told.
    fn forget(&mut self) -> Told {
        let mut buffer = [0; 4096];
        let mut told = Told::default();
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            let mut any = false;
            for event in events {
                any = true;
                match Some(&event.wd) == self.store.as_ref() {
                    true => told.index |= event.name == Some(OsStr::new("index.json")),
                    // Also what overflowed, and what a directory tells that is watched no more.
                    false => told.archives = true,
                }
            }
            if !any {
                break;
            }
        }
        told
    }
}

/// Takes in every archive that the store does not know yet; whoever waits for an image then looks again.
async fn import_all(world: &Arc<World>, sender: &Sender<Message>) {
    world.importing.store(true, Ordering::Release);
    let refused = import_each(world, sender).await;
    world.importing.store(false, Ordering::Release);
    if let Some(damage) = world.store.take_damage() {
        let _ = sender.send(Message::Warning(damage)).await;
    }
    let _ = sender.send(Message::RefusedArchives(refused)).await;
    let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
}

/// What of the directory is of no use, and why, a sentence each.
async fn import_each(world: &Arc<World>, sender: &Sender<Message>) -> Vec<String> {
    let mut unusable = BTreeMap::new();
    let of_store = world.clone();
    if let Err(error) = smol::unblock(move || of_store.store.mend()).await {
        warn!("mend the image store: {error:#}");
    }
    let directory = world.data.archives();
    for name in names(&directory) {
        let path = directory.join(&name);
        let (of_store, archive) = (world.clone(), path.clone());
        let import = move || -> Result<_> {
            let imported = of_store.store.import(&archive)?;
            Ok((imported, of_store.store.known(&archive)?))
        };
        match smol::unblock(import).await {
            Ok((imported, held)) => {
                for image in &imported {
                    let called = if image.names.is_empty() { &image.id } else { &image.names.join(", ") };
                    let message = format!("image {called}: imported from {}", path.display());
                    info!("{message}");
                    let note = Note { kind: EventKind::Normal, reason: "ImageImported", message };
                    let _ = sender.send(Message::Note(note)).await;
                }
                // Whoever imported it, somebody may have given its image a name by hand since.
                if held.into_iter().flatten().any(|image| image.names.is_empty()) {
                    unusable.insert(name, nameless_message(&path));
                }
                if !imported.is_empty() {
                    let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
                }
            }
            // The outermost context is the path, which is told by whoever tells this.
            Err(error) => {
                let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
                unusable.insert(name, causes.join(": "));
            }
        }
    }
    let told = sentences(&directory, &unusable);
    *world.unusable.lock().unwrap_or_else(PoisonError::into_inner) = unusable;
    told
}

/// Forgets archives that were of no use for want of a name, and whose images somebody has named since.
async fn forget_named(world: &World, sender: &Sender<Message>) {
    let directory = world.data.archives();
    let told = {
        let mut unusable = world.unusable.lock().unwrap_or_else(PoisonError::into_inner);
        unusable.retain(|name, why| {
            let path = directory.join(name);
            // What cannot be looked at now is told of with the next import.
            let held = world.store.known(&path).ok().flatten().unwrap_or_default();
            let named = !held.is_empty() && held.iter().all(|image| !image.names.is_empty());
            *why != nameless_message(&path) || !named
        });
        sentences(&directory, &unusable)
    };
    let _ = sender.send(Message::RefusedArchives(told)).await;
}

fn sentences(directory: &Path, unusable: &BTreeMap<String, String>) -> Vec<String> {
    let told = unusable.iter();
    told.map(|(name, why)| format!("image archive {}: {why}", directory.join(name).display())).collect()
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
