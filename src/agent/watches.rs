//! What inotify tells of the manifests directory and of orders, and when a look at everything is due.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use log::debug;
use smol::future::FutureExt;
use smol::stream::StreamExt;
use smol::{Async, Timer};

use super::entries::is_whole;
use super::watch::SETTLED;

/// What inotify told in one go.
pub struct Told {
    /// Entries to look at; `None` means all of them.
    pub files: Option<Vec<String>>,
    /// An order came.
    pub orders: bool,
}

/// The inotify watches: the manifests directory, its parent (it may come and go), and the orders.
pub struct Watches {
    inotify: Inotify,
    ready: Async<OwnedFd>,
    path: PathBuf,
    directory: Option<WatchDescriptor>,
    parent: Option<WatchDescriptor>,
    orders: WatchDescriptor,
    /// The re-list is due; it is not put off by events.
    relist: Timer,
}

impl Watches {
    /// Watches `orders`; what else is to be watched is found by [`Watches::renew`].
    pub fn new(path: &Path, orders: &Path, relist: Duration) -> io::Result<Watches> {
        let inotify = Inotify::init()?;
        let ready = Async::new(inotify.as_fd().try_clone_to_owned()?)?;
        let orders = inotify.watches().add(orders, WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO)?;
        let relist = Timer::interval(relist);
        Ok(Watches { inotify, ready, path: path.to_owned(), directory: None, parent: None, orders, relist })
    }

    /// Watches what is there now, and tells whether that is another directory than before: adding a watch twice changes
    /// nothing, and a new directory gets a new one.
    pub fn renew(&mut self) -> bool {
        let files = WatchMask::CREATE
            | WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let before = self.directory.take();
        self.directory = self.inotify.watches().add(&self.path, files).ok();
        let entries = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        self.parent = self.path.parent().and_then(|parent| self.inotify.watches().add(parent, entries).ok());
        self.directory.is_some() && self.directory != before
    }

    /// Waits for something to look at; not longer than it takes an entry to settle if one is `unsettled`.
    pub async fn wait(&mut self, unsettled: bool) -> Told {
        loop {
            let ready = async { self.ready.readable().await.is_ok() };
            let due = async {
                self.relist.next().await;
                false
            };
            let settled = async {
                match unsettled {
                    true => Timer::after(SETTLED).await,
                    false => std::future::pending().await,
                };
                false
            };
            if !ready.or(due).or(settled).await {
                return Told { files: None, orders: false };
            }
            let told = self.read();
            if told.orders || told.files.as_ref().is_none_or(|files| !files.is_empty()) {
                return told;
            }
        }
    }

    fn read(&mut self) -> Told {
        let mut told = Told { files: Some(Vec::new()), orders: false };
        let mut buffer = [0; 4096];
        let name_of_directory = self.path.file_name().map(|name| name.to_owned());
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            let mut any = false;
            for event in events {
                any = true;
                debug!("inotify: {:?} {:?}", event.mask, event.name);
                let lost = EventMask::Q_OVERFLOW
                    | EventMask::DELETE_SELF
                    | EventMask::MOVE_SELF
                    | EventMask::UNMOUNT;
                if event.mask.intersects(lost) {
                    told.files = None;
                    told.orders |= event.mask.contains(EventMask::Q_OVERFLOW);
                } else if event.wd == self.orders {
                    told.orders = true;
                } else if Some(&event.wd) == self.directory.as_ref() {
                    let name = event.name.map(|name| name.to_string_lossy().into_owned());
                    let new = event.mask.contains(EventMask::CREATE);
                    let name = name.filter(|name| !new || is_whole(&self.path.join(name)));
                    if let Some(files) = &mut told.files {
                        files.extend(name.filter(|name| !files.contains(name)));
                    }
                } else if Some(&event.wd) == self.parent.as_ref()
                    && event.name == name_of_directory.as_deref()
                {
                    told.files = None;
                }
            }
            if !any {
                break;
            }
        }
        told
    }
}
