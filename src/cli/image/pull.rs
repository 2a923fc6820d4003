//! `image pull`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use super::bar::Bar;
use super::{interrupt, open};
use crate::cli::args::ImagePull;
use crate::cli::{print, say};
use crate::host::Data;
use crate::http::Proxies;
use crate::image::{Reference, Step, Store};
use crate::registry::{self, Files, Order, Progress, Pulled, Settings};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);

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

fn one(store: &Store, settings: &Settings, reference: &Reference) -> Result<Pulled> {
    let progress = Progress::default();
    let bar = Bar::new(&reference.to_string());
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
            let (done, of) = progress.look();
            if 0 < of {
                bar.show(Step { done, of });
            }
            std::thread::sleep(LOOK);
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    bar.clear();
    pulled.with_context(|| format!("pull {reference}"))
}
