//! The directory of image archives: what lies there at the start, and whatever comes. And the store's index, which others
//! replace too: `holdfast image import` and `rm`.
//!
//! inotify tells at once. As the manifests directory that of archives may be exchanged, or be a stick that is mounted later:
//! whether it is still the one that is watched is looked at with each re-list of the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use log::{info, warn};
use smol::Async;
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;

use super::Message;
use super::entries::is_whole;
use super::image_lists::is_list;
use super::publish::Note;
use super::remake;
use super::world::World;
use crate::image::{blames_archive, nameless_message};
use crate::lifecycle::Event;
use crate::status::EventKind;

/// How long a failure that no archive is to blame for is left alone at most: a full disk may have been emptied.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Imports what is there, and then what comes, one after the other, for ever; `relisted` says when to look whether the
/// directory is another one, and whether what failed goes better now. Of lists `listed` is told.
pub async fn watch(world: Arc<World>, relisted: Receiver<()>, listed: Sender<()>, sender: Sender<Message>) {
    let mut watch = Watch::new()
        .inspect_err(|error| {
            warn!("inotify is not to be had ({error}): archives are looked at with the manifests")
        })
        .ok();
    let mut told = Told { archives: true, index: false };
    let mut again = Again { relist: world.config.file_check_frequency, ..Again::default() };
    loop {
        // Before the listing, so that what comes during it is told.
        let other = watch.as_mut().is_some_and(|watch| watch.renew(&world));
        let index = told.index;
        let came = other || told.archives || (index && world.store.can_remake());
        told = Told::default();
        if came || watch.is_none() || world.lists_wait.load(Ordering::Acquire) {
            // One that was not heard yet is enough.
            let _ = listed.try_send(());
        }
        if came || watch.is_none() || again.is_due() || world.store.index_is_lost() {
            let directory = world.data.archives();
            let mut archives = names(&directory);
            if let Some(watch) = &mut watch {
                // After the listing, so that whatever is in it and not whole yet was told of.
                told = watch.forget(&directory);
                archives.retain(|name| !watch.begun.contains(OsStr::new(name)));
            }
            again.after(import_all(&world, &sender, came, archives).await);
        } else if index {
            forget_named(&world, &sender).await;
            let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
        }
        if told.archives || told.index {
            continue;
        }
        let relisted = async {
            match relisted.recv().await {
                Ok(()) => false,
                // The agent is about to end.
                Err(_) => std::future::pending().await,
            }
        };
        told = match &mut watch {
            // What came while the re-list was told is taken out here too: it counts.
            Some(watch) => {
                let ready = async { watch.ready.readable().await.is_ok() };
                ready.or(relisted).await;
                watch.forget(&world.data.archives())
            }
            None => {
                relisted.await;
                Told::default()
            }
        };
    }
}

/// When to try again what failed for another reason than an archive.
#[derive(Default)]
struct Again {
    /// The time between two looks at everything.
    relist: Duration,
    pause: Duration,
    due: Option<Instant>,
}

impl Again {
    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// The first time with the next re-list, then after twice as long each time.
    fn after(&mut self, failed: bool) {
        self.due = failed.then(|| Instant::now() + self.pause);
        let longer = (2 * self.pause).min(LONGEST_PAUSE).max(self.relist);
        self.pause = if failed { longer } else { Duration::ZERO };
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
    /// Archives that somebody has begun to write and not closed yet.
    begun: BTreeSet<OsString>,
}

impl Watch {
    fn new() -> std::io::Result<Watch> {
        let inotify = Inotify::init()?;
        let ready = Async::new(inotify.as_fd().try_clone_to_owned()?)?;
        Ok(Watch { inotify, ready, directory: None, store: None, begun: BTreeSet::new() })
    }

    /// Watches the directory that is there now, and tells whether that is another one than before.
    fn renew(&mut self, world: &World) -> bool {
        let events = WatchMask::CREATE
            | WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::ONLYDIR;
        let directory = self.inotify.watches().add(world.data.archives(), events).ok();
        let other = directory.is_some() && directory != self.directory;
        if other {
            self.begun.clear();
        }
        self.directory = directory;
        // The index is replaced by a rename. Made by the agent's start, and nobody exchanges it.
        let renames = WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        self.store = self.inotify.watches().add(world.data.store(), renames).ok();
        other
    }

    /// Takes out what was told.
    fn forget(&mut self, archives: &Path) -> Told {
        let mut buffer = [0; 4096];
        let mut told = Told::default();
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            let mut any = false;
            for event in events {
                any = true;
                if Some(&event.wd) == self.store.as_ref() {
                    told.index |= event.name == Some(OsStr::new("index.json"));
                    continue;
                }
                // A file that is being written is told of again when its writer closes it.
                let begun = event.mask.contains(EventMask::CREATE)
                    && !event.name.is_some_and(|name| is_whole(&archives.join(name)));
                match event.name {
                    Some(name) if begun => drop(self.begun.insert(name.to_owned())),
                    Some(name) => drop(self.begun.remove(name)),
                    // Events were lost, perhaps those of closing.
                    None => self.begun.clear(),
                }
                // Also what overflowed, and what a directory tells that is watched no more.
                told.archives |= !begun;
            }
            if !any {
                break;
            }
        }
        told
    }
}

/// Takes in every archive that the store does not know yet; whoever waits for an image then looks again. Whether something
/// failed that may go better another time with the same archives. Where nothing `came` and nothing changes, nobody is woken.
async fn import_all(world: &Arc<World>, sender: &Sender<Message>, came: bool, archives: Vec<String>) -> bool {
    // Who is told to wait is told of the end.
    world.importing.store(came, Ordering::Release);
    let outcome = import_each(world, sender, archives).await;
    world.importing.store(false, Ordering::Release);
    if let Some(damage) = world.store.take_damage() {
        let _ = sender.send(Message::Warning(damage)).await;
    }
    if came || outcome.changed {
        let _ = sender.send(Message::RefusedArchives(outcome.told)).await;
        let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
    }
    outcome.again
}

/// What became of the directory.
struct Outcome {
    /// What of it is of no use, and why, a sentence each.
    told: Vec<String>,
    /// The images or the sentences are others than before.
    changed: bool,
    /// Something failed, and no archive is to blame.
    again: bool,
}

async fn import_each(world: &Arc<World>, sender: &Sender<Message>, archives: Vec<String>) -> Outcome {
    let mut unusable = BTreeMap::new();
    let (mut changed, mut again) = (false, false);
    let of_store = world.clone();
    match smol::unblock(move || of_store.store.mend()).await {
        Ok(mended) => changed |= mended,
        Err(error) => {
            warn!("mend the image store: {error:#}");
            again = true;
        }
    }
    let remade = remake::remake(world, sender).await;
    changed |= remade.changed;
    again |= remade.again;
    let directory = world.data.archives();
    for name in archives {
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
                    let mut message = format!("image {called}: imported from {}", path.display());
                    if !image.moved.is_empty() {
                        message +=
                            &format!("; until now another image was called {}", image.moved.join(", "));
                    }
                    info!("{message}");
                    let note = Note { kind: EventKind::Normal, reason: "ImageImported", message };
                    let _ = sender.send(Message::Note(note)).await;
                }
                // Whoever imported it, somebody may have given its image a name by hand since.
                if held.into_iter().flatten().any(|image| image.names.is_empty()) {
                    unusable.insert(name, nameless_message(&path));
                }
                if !imported.is_empty() {
                    changed = true;
                    let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
                }
            }
            // The outermost context is the path, which is told by whoever tells this.
            Err(error) => {
                let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
                again |= !blames_archive(&error);
                unusable.insert(name, causes.join(": "));
            }
        }
    }
    let told = [sentences(&directory, &unusable), remake::damaged(world)].concat();
    let mut before = world.unusable.lock().unwrap_or_else(PoisonError::into_inner);
    changed |= *before != unusable;
    *before = unusable;
    Outcome { told, changed, again }
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
        [sentences(&directory, &unusable), remake::damaged(world)].concat()
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
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.') && !is_list(name)).collect();
    names.sort();
    names
}
