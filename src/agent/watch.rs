//! The manifests directory and the orders, as they change.
//!
//! inotify tells at once; a slow full re-list is the net below it, for what inotify cannot see: a directory that is
//! mounted over, events that overflowed, targets of links.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use smol::Timer;
use smol::channel::Sender;

use super::Message;
use super::entries::{Identity, Known, Look as EntryLook, is_younger, look_of, names, read};
use super::last_good::LastGood;
use super::node::Look;
use super::rival::Lookout;
use super::watches::{Told, Watches};
use super::world::World;
use crate::lifecycle::Event;
use crate::manifest::verdict::Verdict;
use crate::manifest::{self, Context, FileContent};
use crate::spec::{Documents, Pod, Uid};
use crate::sys::atomic;

/// A file that changed this recently may still be written to: the end of the writing is told by inotify.
pub const SETTLED: Duration = Duration::from_secs(2);

/// What the directory asks for.
pub struct Listing {
    /// The pods.
    pub pods: Vec<Arc<Pod>>,
    /// The ConfigMaps and Secrets.
    pub documents: Arc<Documents>,
    /// What became of each file.
    pub verdict: Verdict,
    /// The machine at that time: looked at in the same go, so that an idle node is not woken once more for it.
    pub look: Look,
    /// Another supervisor that reads this directory, as of the last listing.
    pub rival: Option<String>,
}

/// The manifests directory.
pub struct Directory {
    path: PathBuf,
    /// The data directory.
    data: PathBuf,
    orders: PathBuf,
    /// Which directory it last was, and where that is written down for the next agent.
    known: Option<Known>,
    known_file: PathBuf,
    state: manifest::Directory,
    documents: Arc<Documents>,
    last_good: LastGood,
    /// How often everything is looked at: the kubelet's `fileCheckFrequency`.
    relist: Duration,
    /// What each entry looked like when it was last read, unless it was young then.
    seen: BTreeMap<String, EntryLook>,
    /// Some entry was left for a moment, since it had just changed.
    unsettled: bool,
    /// None where one is put up with.
    lookout: Option<Lookout>,
}

impl Directory {
    /// The directory of `world`, in which `seeds` were accepted by an earlier agent.
    pub fn open(world: &World, seeds: Vec<Arc<Pod>>) -> Directory {
        let path = world.config.pod_manifest_path.clone();
        let context = Context { node_name: world.node_name.clone(), directory: path.display().to_string() };
        let mut state = manifest::Directory::new(context);
        seeds.into_iter().for_each(|pod| state.remember(pod));
        let known_file = world.runtime.manifests_device();
        let known = fs::read_to_string(&known_file).ok().and_then(|text| Known::parse(&text));
        let orders = world.runtime.orders();
        let data = world.config.data_dir.clone();
        let relist = world.config.file_check_frequency;
        let lookout = (!world.config.force).then(|| Lookout::new(&path));
        Directory {
            lookout,
            path,
            data,
            orders,
            known,
            known_file,
            state,
            documents: Arc::default(),
            last_good: LastGood::open(world.data.last_good()),
            relist,
            seen: BTreeMap::new(),
            unsettled: false,
        }
    }

    /// Reads everything for the first time.
    pub async fn first_listing(self) -> (Directory, Listing) {
        self.after(|directory| directory.list(Duration::ZERO)).await
    }

    /// Tells the loop whatever changes, for ever; `relisted` is told of each look at everything.
    pub async fn watch(mut self, relisted: Sender<()>, sender: Sender<Message>) {
        let mut watches = match Watches::new(&self.path, &self.orders, self.relist) {
            Ok(watches) => watches,
            Err(error) => {
                let every = self.relist;
                let warning =
                    format!("inotify is not to be had ({error:#}): manifests are looked at every {every:?}");
                let _ = sender.send(Message::Warning(warning)).await;
                return self.relist_for_ever(relisted, sender).await;
            }
        };
        self.obey(&sender).await;
        self = self.keep().await;
        loop {
            // What changed before there was a watch is found by a listing.
            let told = match watches.renew() {
                true => Told { files: None, orders: true },
                false => watches.wait(self.unsettled).await,
            };
            if told.orders {
                self.obey(&sender).await;
            }
            if told.files.is_none() {
                // One that was not heard yet is enough.
                let _ = relisted.try_send(());
            }
            let look = |directory: &mut Directory| match told.files {
                None => directory.relist(),
                Some(names) => {
                    if directory.state.is_vanished() {
                        directory.list(SETTLED);
                    }
                    names.iter().for_each(|name| directory.look(name));
                }
            };
            self = self.tell_after(look, &sender).await;
        }
    }

    async fn relist_for_ever(mut self, relisted: Sender<()>, sender: Sender<Message>) {
        loop {
            Timer::after(self.relist).await;
            let _ = relisted.try_send(());
            self.obey(&sender).await;
            self = self.tell_after(Directory::relist, &sender).await;
        }
    }

    /// Looks, and tells the loop what the directory asks for then.
    async fn tell_after(
        self,
        look: impl FnOnce(&mut Directory) + Send + 'static,
        sender: &Sender<Message>,
    ) -> Directory {
        let (directory, listing) = self.after(look).await;
        let _ = sender.send(Message::Wanted(listing)).await;
        directory.keep().await
    }

    /// Writes down what is right, for a boot at which it is not any more.
    async fn keep(mut self) -> Directory {
        if !self.last_good.is_behind() {
            return self;
        }
        smol::unblock(move || {
            self.last_good.write();
            self
        })
        .await
    }

    /// Looks, in a thread that may block, and what the directory asks for then.
    async fn after(mut self, look: impl FnOnce(&mut Directory) + Send + 'static) -> (Directory, Listing) {
        smol::unblock(move || {
            look(&mut self);
            let (pods, verdict) = (self.state.wanted(), self.state.verdict());
            // An empty directory may be one on which something is to be mounted yet.
            if verdict.is_complete() {
                self.last_good.forget_all_but(&verdict.files.iter().map(|file| file.name.as_str()).collect());
            }
            let documents = self.state.documents();
            if *self.documents != documents {
                self.documents = Arc::new(documents);
            }
            let listing = Listing {
                pods,
                documents: self.documents.clone(),
                verdict,
                look: Look::at(&self.data),
                rival: self.lookout.as_ref().and_then(Lookout::rival),
            };
            (self, listing)
        })
        .await
    }

    /// What is due with each look at everything.
    fn relist(&mut self) {
        self.list(SETTLED);
        self.lookout.as_mut().map(Lookout::look);
    }

    /// Reads what changed since the last listing and forgets what is gone. A directory that is not there orders nothing.
    fn list(&mut self, settled: Duration) {
        self.unsettled = false;
        match names(&self.path) {
            Err(error) => self.state.vanished(&error.to_string()),
            Ok((identity, mut names)) => {
                if let Some(why) = self.is_no_order(identity, &names) {
                    return self.state.vanished(why);
                }
                self.remember(identity);
                names.sort();
                self.seen.retain(|name, _| names.binary_search(name).is_ok());
                self.state.listed(names.iter().map(String::as_str));
                for name in &names {
                    if self.is_due(name, settled) {
                        self.look(name);
                    }
                }
            }
        }
    }

    /// Whether a listing is to read the entry `name`: not as it was already read, nor while it changed less than `settled`
    /// ago.
    fn is_due(&mut self, name: &str, settled: Duration) -> bool {
        let Ok(look) = fs::metadata(self.path.join(name)) else { return true };
        if self.seen.get(name) == Some(&look_of(&look)) {
            return false;
        }
        let young = is_younger(&look, settled);
        self.unsettled |= young;
        !young
    }

    /// Reads the entry `name`.
    fn look(&mut self, name: &str) {
        // What is not UTF-8 is told under a name by which it cannot be opened; that it is gone is found by a listing.
        if name.contains(char::REPLACEMENT_CHARACTER) {
            self.state.set(name, &FileContent::Bytes(Vec::new()));
            return;
        }
        let path = self.path.join(name);
        let look = match fs::metadata(&path) {
            Ok(look) => look,
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
                self.seen.remove(name);
                // With its directory gone too this is no order; the listing tells.
                if fs::metadata(&self.path).is_ok_and(|it| it.is_dir() && self.knows((it.dev(), it.ino()))) {
                    self.state.gone(name);
                    self.last_good.forget(name);
                }
                return;
            }
            Err(error) => {
                return self.take(name, FileContent::Unreadable(error.to_string()));
            }
        };
        // Another change within the same tick of the file system's clock looks the same.
        if is_younger(&look, SETTLED) {
            self.unsettled = true;
            self.seen.remove(name);
        } else {
            self.seen.insert(name.to_owned(), look_of(&look));
        }
        self.take(name, read(&path, &look));
    }

    /// Takes in what is under `name` now.
    fn take(&mut self, name: &str, content: FileContent) {
        if self.state.is_new(name)
            && let Some(text) = self.last_good.other_than(name, content.bytes())
        {
            self.state.recall(name, &text);
        }
        let changed = self.state.set(name, &content);
        if let (FileContent::Bytes(bytes), true) = (content, changed && self.state.is_right(name)) {
            self.last_good.keep(name, bytes);
        }
    }

    /// Why the directory with `names` does not order the end of what runs, though no manifest is in it: nobody removed
    /// them from there, since it is another one than they were read from.
    fn is_no_order(&self, identity: Identity, names: &[String]) -> Option<&'static str> {
        let known = self.known.filter(|known| !known.is(identity))?;
        if names.iter().any(|name| manifest::Directory::reads(name)) || self.state.wanted().is_empty() {
            return None;
        }
        Some(match known.device == identity.0 {
            false => {
                "no manifest is in it, and what was mounted there with the manifests is not any more; mount it again"
            }
            true => {
                "it is another directory than before, and no manifest is in it; put the manifests there, or end what runs \
                 by `holdfast down`"
            }
        })
    }

    fn knows(&self, identity: Identity) -> bool {
        self.known.is_some_and(|known| known.is(identity))
    }

    fn remember(&mut self, (device, inode): Identity) {
        let now = Some(Known { device, inode: Some(inode) });
        if self.known != now {
            self.known = now;
            let written = atomic::replace(&self.known_file, format!("{device} {inode}").as_bytes(), 0o600);
            written.unwrap_or_else(|error| warn!("write {}: {error}", self.known_file.display()));
        }
    }

    /// Takes in the orders that lie there.
    async fn obey(&self, sender: &Sender<Message>) {
        let names = fs::read_dir(&self.orders).into_iter().flatten().flatten();
        for path in names.map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let event = match name.strip_prefix("restart-") {
                Some(uid) => Event::Restart(Uid(uid.to_owned())),
                None if name == "down" => Event::Down,
                None => continue,
            };
            info!("order {name}");
            // An agent that dies over `down` must not start the pods again: that order goes when it was carried out.
            let taken = if name == "down" { Ok(()) } else { fs::remove_file(&path) };
            match taken {
                Ok(()) => drop(sender.send(Message::Event(event)).await),
                Err(error) => warn!("take order {}: {error}", path.display()),
            }
        }
    }
}
