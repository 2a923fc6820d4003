//! Lists of images in the directory of archives: k3s' `.txt` files, an image a line, each pulled where it is not here.
//!
//! A list goes on until all of its images are here, with a pull's back-off, and keeps them while it lies there. It wakes nobody
//! by itself but while a pull is under way: what failed is tried again with a re-list.
//!
//! Invariant: a list is read up to its limits and no further, whatever it is; one that is wrong anywhere is told as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smol::Timer;
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;

use super::Message;
use super::pulls::State;
use super::world::World;
use crate::image::Reference;
use crate::sys::regular;

/// Longest list, in bytes: some six hundred of the longest names in use. k3s reads lines of 64 KiB, as many as there are.
const LONGEST: u64 = 64 << 10;
/// Most images of all lists together. k3s' own list has some ten.
const MOST: usize = 256;
/// Longest line: far above any name, and short enough to be told.
const LONGEST_LINE: usize = 512;
/// Between two questions how far a pull is.
const AGAIN: Duration = Duration::from_secs(2);
/// A kubelet's back-off of pulls (`MaxContainerBackOff` and its first step).
const PAUSES: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(300)];

/// Whether the file `name` is a list.
pub fn is_list(name: &str) -> bool {
    let end = name.len().checked_sub(4).and_then(|at| name.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(".txt"))
}

/// Pulls what the lists name, for ever; `told` says that another look at them is due.
pub async fn watch(world: Arc<World>, told: Receiver<()>, sender: Sender<Message>) {
    let mut lists = Lists::default();
    loop {
        if told.recv().await.is_err() {
            // The agent is about to end.
            return std::future::pending().await;
        }
        loop {
            let of_world = world.clone();
            let under_way;
            (lists, under_way) = smol::unblock(move || {
                lists.look(&of_world);
                let under_way = lists.pull(&of_world);
                (lists, under_way)
            })
            .await;
            if let Some(sentences) = lists.news(&world.data.archives()) {
                let _ = sender.send(Message::RefusedLists(sentences)).await;
            }
            world.lists_wait.store(lists.waits(), Ordering::Release);
            if !under_way {
                break;
            }
            let wait = async {
                Timer::after(AGAIN).await;
            };
            // Another look comes with each turn.
            let hear = async {
                let _ = told.recv().await;
            };
            wait.or(hear).await;
        }
    }
}

/// All lists.
#[derive(Default)]
struct Lists {
    /// By file name.
    lists: BTreeMap<String, List>,
    /// When what failed is tried again, and after which pause then.
    due: BTreeMap<String, (Instant, Duration)>,
    told: Vec<String>,
}

/// A list, as it was when it looked so.
struct List {
    look: Look,
    images: Result<Vec<Reference>, String>,
    /// Those that could not be had, and why they could not at the first try.
    missing: BTreeMap<String, String>,
}

type Look = (u64, u64, i64, i64);

impl Lists {
    /// Reads what is new or changed.
    fn look(&mut self, world: &World) {
        let directory = world.data.archives();
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names: BTreeSet<String> =
            names.filter(|name| is_list(name) && !name.starts_with('.')).take(MOST).collect();
        self.lists.retain(|name, _| names.contains(name));
        for name in names {
            let path = directory.join(&name);
            let Ok(found) = fs::metadata(&path) else { continue };
            let look = (found.ino(), found.size(), found.mtime(), found.mtime_nsec());
            if self.lists.get(&name).is_none_or(|list| list.look != look) {
                let images = read(&path);
                self.lists.insert(name, List { look, images, missing: BTreeMap::new() });
            }
        }
        let mut all = BTreeSet::new();
        for list in self.lists.values_mut() {
            let Ok(images) = &list.images else { continue };
            let names: BTreeSet<String> = images.iter().map(ToString::to_string).collect();
            if MOST < all.len() + names.len() {
                list.images = Err(format!("with it the lists name more than {MOST} images; take some out"));
                continue;
            }
            all.extend(names);
        }
        self.due.retain(|name, _| all.contains(name));
        world.collector.lists(all.iter().filter_map(|name| super::gc::key(name)).collect());
    }

    /// Asks for what is not here and due; whether a pull is under way.
    fn pull(&mut self, world: &Arc<World>) -> bool {
        // An archive may have what is missing.
        if world.importing.load(Ordering::Acquire) {
            return true;
        }
        let mut under_way = false;
        for (file, list) in &mut self.lists {
            let Ok(images) = &list.images else { continue };
            for image in images {
                let name = image.to_string();
                // What cannot be looked at now is looked at with the next re-list.
                let is_here = world.store.find(image).map_or(true, |found| found.is_some());
                if is_here {
                    self.due.remove(&name);
                    list.missing.remove(&name);
                    continue;
                }
                if self.due.get(&name).is_some_and(|(due, _)| Instant::now() < *due) {
                    continue;
                }
                let why = match asked(world, file, image) {
                    None => {
                        under_way = true;
                        continue;
                    }
                    Some(Ok(())) => continue,
                    Some(Err(why)) => why,
                };
                let [first, most] = PAUSES;
                let pause = self.due.get(&name).map_or(first, |(_, pause)| (2 * *pause).min(most));
                self.due.insert(name.clone(), (Instant::now() + pause, pause));
                list.missing.entry(name).or_insert(why);
            }
        }
        under_way
    }

    /// Whether an image of theirs is not here.
    fn waits(&self) -> bool {
        self.lists.values().any(|list| !list.missing.is_empty())
    }

    /// What is wrong with lists, a sentence each, where that is not what was said before.
    fn news(&mut self, directory: &Path) -> Option<Vec<String>> {
        let sentence = |(name, list): (&String, &List)| {
            let of = format!("image list {}", directory.join(name).display());
            match &list.images {
                Err(why) => Some(format!("{of}: {why}")),
                Ok(_) => {
                    let (first, why) = list.missing.first_key_value()?;
                    let more = match list.missing.len() - 1 {
                        0 => String::new(),
                        more => format!(" and {more} more"),
                    };
                    Some(format!("{of}: {first}{more} cannot be had yet, and is tried again: {why}"))
                }
            }
        };
        let now: Vec<String> = self.lists.iter().filter_map(sentence).collect();
        if now == self.told {
            return None;
        }
        self.told.clone_from(&now);
        Some(now)
    }
}

/// Begins to pull `image`, or tells how that ended; `None` while it is under way.
fn asked(world: &Arc<World>, file: &str, image: &Reference) -> Option<Result<(), String>> {
    match world.registries().read().and_then(|settings| settings.endpoints(image)) {
        Ok(endpoints) if endpoints.is_empty() => {
            return Some(Err(format!(
                "nobody may be asked for it: registries.yaml names no endpoint for {}",
                image.registry
            )));
        }
        Ok(_) => {}
        Err(error) => return Some(Err(format!("{error:#}"))),
    }
    match world.pulls.ask(world, &format!("list {file}"), image, false) {
        State::UnderWay(_) => None,
        State::Over(outcome) => Some(outcome.map(drop)),
    }
}

/// The images of the list at `path`: as k3s reads it, a name a line with blanks around it, and empty lines; comments begin with `#`.
fn read(path: &Path) -> Result<Vec<Reference>, String> {
    let open = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        regular::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = open().map_err(|error| format!("it cannot be read: {error}"))?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<Reference>, String> {
    if LONGEST < bytes.len() as u64 {
        return Err(format!(
            "it has more than {} KiB, the limit for a list; make several of it",
            LONGEST >> 10
        ));
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let text = text.ok_or("it is no text; a list has the name of an image in each line")?;
    let mut images = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if images.len() == MOST {
            return Err(format!("it names more than {MOST} images; make a shorter one"));
        }
        if LONGEST_LINE < line.len() {
            return Err(format!(
                "line {number} has more than {LONGEST_LINE} bytes, and no name of an image has"
            ));
        }
        let image = Reference::parse(line).map_err(|error| format!("line {number}: {error:#}"))?;
        images.push(image);
    }
    Ok(images)
}

#[cfg(test)]
mod tests;
