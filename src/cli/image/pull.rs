//! `image pull`.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::bar::Bar;
use super::{interrupt, open};
use crate::cli::args::ImagePull;
use crate::cli::get::images::size;
use crate::cli::{print, say};
use crate::host::Data;
use crate::http::Proxies;
use crate::image::{Reference, Step, Store};
use crate::registry::{self, Far, Files, Order, Progress, Pulled, Settings};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);
/// Between two lines of how far it is, where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Pulls every image that is meant, one after the other; one that cannot be had stops no other.
pub fn pull(data: &Data, asked: &ImagePull) -> Result<ExitCode> {
    interrupt::hear()?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let files = Files::new(&asked.private_registry, asked.disable_default_registry_endpoint, home.as_deref());
    let settings = files.read()?;
    let store = open(data)?;
    let mut failed = false;
    for reference in &asked.images {
        let pulled = one(&store, &settings, reference);
        interrupt::rest();
        if interrupt::is_asked() && pulled.is_err() {
            say(&format!("interrupted: what came of {reference} is kept, and the next pull goes on there"));
            return Ok(interrupt::code());
        }
        match pulled {
            Ok(pulled) => {
                print(&format!("{reference} {}\n", pulled.id))?;
                if pulled.was_here {
                    say(&format!("{reference}: nothing new, it was here already"));
                }
            }
            Err(error) => {
                say(&format!("error: {error:#}"));
                failed = true;
            }
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// Pulls `reference`, with a bar.
pub fn one(store: &Store, settings: &Settings, reference: &Reference) -> Result<Pulled> {
    let progress = Progress::default();
    let shown = Shown::new(reference);
    let wanted = || interrupt::check().is_ok();
    let order = Order {
        store,
        reference,
        settings,
        proxies: Proxies::of(|name| std::env::var(name).ok())?,
        patience: None,
        wanted: &wanted,
        progress: &progress,
    };
    let pulled = std::thread::scope(|scope| {
        let work = std::thread::Builder::new().name("pull".to_owned());
        let work = work.spawn_scoped(scope, || registry::pull(&order)).context("start a thread for it")?;
        while !work.is_finished() {
            shown.show(progress.look());
            std::thread::sleep(LOOK);
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    shown.fetching.clear();
    shown.unpacking.clear();
    pulled.with_context(|| format!("pull {reference}"))
}

/// How far a pull is, on stderr: a bar on a terminal, else a line now and then.
struct Shown {
    name: String,
    fetching: Bar,
    unpacking: Bar,
    on_terminal: bool,
    /// When the last line was written, and what.
    told: Cell<Option<(Instant, Far)>>,
}

impl Shown {
    fn new(reference: &Reference) -> Shown {
        let name = reference.to_string();
        let (fetching, unpacking) = (Bar::new(&name), Bar::new(&format!("unpacking {name}")));
        Shown { name, fetching, unpacking, on_terminal: io::stderr().is_terminal(), told: Cell::new(None) }
    }

    fn show(&self, far: Far) {
        let Far { here, unpacked, of } = far;
        match (self.on_terminal, here < of) {
            _ if of == 0 => {}
            (true, true) => self.fetching.show(Step { done: here, of }),
            (true, false) => {
                self.fetching.clear();
                self.unpacking.show(Step { done: unpacked, of });
            }
            (false, _) => self.tell(far),
        }
    }

    fn tell(&self, far: Far) {
        let Far { here, unpacked, of } = far;
        let line = match self.told.get() {
            None => format!("{}: {} are needed, {} of them are here", self.name, size(of), size(here)),
            Some((at, before)) if at.elapsed() < LINES || before == far => return,
            _ if here < of => format!("{}: {} of {} are here", self.name, size(here), size(of)),
            _ => format!("{}: unpacking, {} of {} are done", self.name, size(unpacked), size(of)),
        };
        self.told.set(Some((Instant::now(), far)));
        say(&line);
    }
}
