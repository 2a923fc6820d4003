//! Images with damaged layers: who suspects one, and who makes it again.
//!
//! Layers are not read at each start, which would cost a board minutes. A start that fails by what a disk or a file system says of
//! broken data is the suspicion; then the whole image is read, in a thread of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{info, warn};
use smol::channel::Sender;

use super::Message;
use super::publish::Note;
use super::world::World;
use crate::image::{Image, Reference};
use crate::lifecycle::Learnt;
use crate::spec::Container;
use crate::status::{EventKind, Failure};

/// What Linux says of broken data, in the C library's words and in nix's: EIO, EUCLEAN (a file system's structures), EBADMSG
/// (ext4's and XFS' sums), ENODATA (a disk's sector that cannot be read).
const BROKEN: [&str; 7] = [
    "Input/output error",
    "I/O error",
    "Structure needs cleaning",
    "Bad message",
    "Trying to read unreadable message",
    "No data available",
    "No message of desired type",
];
/// Between two looks at one image: it is read as a whole, and a start that fails is tried every five minutes.
const PAUSE: Duration = Duration::from_secs(600);

/// Images that were looked at, and when.
#[derive(Debug, Default)]
pub struct Suspects(Mutex<BTreeMap<String, Instant>>);

/// Looks whether the image of `container` is damaged, if its start failed as that would make it fail.
pub fn suspect(world: &Arc<World>, container: &Container, started: &Result<Learnt, Failure>) {
    let Err(failure) = started else { return };
    if !BROKEN.iter().any(|words| failure.message.contains(words)) {
        return;
    }
    let found = Reference::parse(&container.image).and_then(|name| world.store.find(&name));
    let Ok(Some(Image { id, .. })) = found else { return };
    {
        let mut looked = world.suspects.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.get(&id).is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        looked.insert(id.clone(), Instant::now());
    }
    let of_world = world.clone();
    let look = move || match of_world.store.judge(&id) {
        Ok(Some(health)) if health.problems.is_empty() => {
            info!("image {id}: it is whole, though a container of it could not be started");
        }
        // What was found is in the index now, which is watched.
        Ok(_) => {}
        Err(error) => warn!("look whether image {id} is damaged: {error:#}"),
    };
    let thread = std::thread::Builder::new().name("verify".to_owned());
    if let Err(error) = thread.spawn(look) {
        warn!("start a thread to look at an image: {error}");
    }
}

/// What came of making images again.
#[derive(Default)]
pub struct Remade {
    /// Some are whole now.
    pub changed: bool,
    /// Some failed, of archives that are there.
    pub again: bool,
}

/// Makes every image again that is damaged and that an archive holds.
pub async fn remake(world: &Arc<World>, sender: &Sender<Message>) -> Remade {
    let mut done = Remade::default();
    for image in world.store.damaged().unwrap_or_default() {
        let called = image.names.first().unwrap_or(&image.id).clone();
        let of_world = world.clone();
        match smol::unblock(move || of_world.store.remake(&image.id, &|_| Ok(()))).await {
            Ok(Some(path)) => {
                done.changed = true;
                let message = format!("image {called}: was damaged, and is made again of {}", path.display());
                info!("{message}");
                let note = Note { kind: EventKind::Normal, reason: "ImageRepaired", message };
                let _ = sender.send(Message::Note(note)).await;
            }
            // Its registry is asked by whoever wants to start it.
            Ok(None) => {}
            Err(error) => {
                done.again = true;
                warn!("image {called} is damaged and cannot be made again: {error:#}");
            }
        }
    }
    done
}

/// The images from which nothing starts, a sentence each.
pub fn damaged(world: &World) -> Vec<String> {
    let archives = world.data.archives();
    let sentence = |image: &Image| {
        let called = image.names.first().unwrap_or(&image.id);
        let damage = image.damage.as_deref().unwrap_or_default();
        let what = "no container starts from it before its registry is reached or an archive of it is in";
        format!("image {called}: {damage}: {what} {}", archives.display())
    };
    // What cannot be read is told by whoever mends it.
    world.store.damaged().unwrap_or_default().iter().map(sentence).collect()
}
