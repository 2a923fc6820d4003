//! The directory of image archives: what lies there at the start, and whatever comes.

use std::fs;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use inotify::{Inotify, WatchMask};
use log::info;
use smol::Async;
use smol::channel::Sender;

use super::Message;
use super::world::World;
use crate::lifecycle::Event;

/// Imports what is there, and then what comes, one after the other, for ever.
pub async fn watch(world: Arc<World>, sender: Sender<Message>) {
    let inotify = Inotify::init().and_then(|inotify| {
        let events = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        inotify.watches().add(world.data.archives(), events)?;
        let ready = Async::new(inotify.as_fd().try_clone_to_owned()?)?;
        Ok((inotify, ready))
    });
    import_all(&world, &sender).await;
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
        import_all(&world, &sender).await;
    }
}

/// Takes in every archive that the store does not know yet; whoever waits for an image then looks again.
async fn import_all(world: &Arc<World>, sender: &Sender<Message>) {
    world.importing.store(true, Ordering::Release);
    import_each(world, sender).await;
    world.importing.store(false, Ordering::Release);
    let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
}

async fn import_each(world: &Arc<World>, sender: &Sender<Message>) {
    let directory = world.data.archives();
    let mut paths: Vec<_> =
        fs::read_dir(&directory).into_iter().flatten().flatten().map(|it| it.path()).collect();
    paths.sort();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        let (world, archive) = (world.clone(), path.clone());
        match smol::unblock(move || world.store.import(&archive)).await {
            Ok(imported) if imported.is_empty() => (),
            Ok(imported) => {
                for image in imported {
                    info!("image {}: imported from {}", image.names.join(", "), path.display());
                }
                let _ = sender.send(Message::Event(Event::ImagesChanged)).await;
            }
            Err(error) => {
                let warning = format!("image archive {} was not imported: {error:#}", path.display());
                let _ = sender.send(Message::Warning(warning)).await;
            }
        }
    }
}
