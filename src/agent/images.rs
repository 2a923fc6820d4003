//! The directory of image archives: what lies there at the start, and whatever comes.
//!
//! Invariant: what became of an archive is said once, until something else becomes of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use inotify::{Inotify, WatchMask};
use log::info;
use smol::Async;
use smol::channel::Sender;

use super::Message;
use super::world::World;
use crate::image::{Imported, nameless_message};
use crate::lifecycle::Event;

/// Imports what is there, and then what comes, one after the other, for ever.
pub async fn watch(world: Arc<World>, sender: Sender<Message>) {
    let inotify = Inotify::init().and_then(|inotify| {
        let events = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        inotify.watches().add(world.data.archives(), events)?;
        let ready = Async::new(inotify.as_fd().try_clone_to_owned()?)?;
        Ok((inotify, ready))
    });
    let mut said = BTreeMap::new();
    import_all(&world, &sender, &mut said).await;
    let (mut inotify, ready) = match inotify {
        Ok(both) => both,
        Err(error) => {
            let directory = world.data.archives();
            let warning = format!(
                "{} is not watched ({error}): image archives are taken in at the agent's start only",
                directory.display()
            );
            let _ = sender.send(Message::Warning(warning)).await;
            return;
        }
    };
    while ready.readable().await.is_ok() {
        let mut buffer = [0; 4096];
        while inotify.read_events(&mut buffer).is_ok_and(|events| 0 < events.count()) {}
        import_all(&world, &sender, &mut said).await;
    }
}

/// What was last said of each archive.
type Said = BTreeMap<PathBuf, String>;

/// Takes in every archive that the store does not know yet; whoever waits for an image then looks again.
async fn import_all(world: &Arc<World>, sender: &Sender<Message>, said: &mut Said) {
    world.importing.store(true, Ordering::Release);
    import_each(world, sender, said).await;
    world.importing.store(false, Ordering::Release);
    let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
}

async fn import_each(world: &Arc<World>, sender: &Sender<Message>, said: &mut Said) {
    let paths = archives(&world.data.archives());
    said.retain(|path, _| paths.contains(path));
    let mut unusable = BTreeMap::new();
    for path in paths {
        let (store_of, archive) = (world.clone(), path.clone());
        let imported = smol::unblock(move || store_of.store.import(&archive)).await;
        let shown = path.display();
        let (lines, why) = match imported {
            Ok(images) => {
                let nameless = images.iter().any(|image| image.names.is_empty());
                (images.iter().map(here).collect(), nameless.then(|| nameless_message(&path)))
            }
            // The outermost context is the path, which is said already.
            Err(error) => (
                Vec::new(),
                Some(error.chain().skip(1).map(ToString::to_string).collect::<Vec<_>>().join(": ")),
            ),
        };
        let all = lines.iter().chain(&why).cloned().collect::<Vec<String>>().join("\n");
        if said.insert(path.clone(), all.clone()).as_ref() != Some(&all) {
            lines.iter().for_each(|line| info!("{line}, from {shown}"));
            if let Some(why) = &why {
                let _ = sender.send(Message::Warning(format!("image archive {shown}: {why}"))).await;
            }
            let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
        }
        if let Some(why) = why {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            unusable.insert(name, why);
        }
    }
    *world.unusable.lock().unwrap_or_else(PoisonError::into_inner) = unusable;
}

/// The files that may be archives, in the order in which they are taken in.
fn archives(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let shown = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let mut paths: Vec<_> = shown.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths
}

/// An image, for the log. One that was taken in by an earlier agent is told of too: at the start, what there is.
fn here(image: &Imported) -> String {
    let id: String = image.id.chars().take("sha256:".len() + 12).collect();
    match image.names.as_slice() {
        [] => format!("image {id} is here"),
        names => format!("image {} ({id}) is here", names.join(", ")),
    }
}
