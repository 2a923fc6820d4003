//! `image verify`.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::{interrupt, repair, table, targets};
use crate::cli::args::ImageVerify;
use crate::cli::get::images::size;
use crate::cli::{print, say};
use crate::host::Data;
use crate::image::{Health, Image, Store};

/// A row for each image that is meant. Fails by its exit code where one is not whole or not here.
pub fn verify(data: &Data, verify: &ImageVerify) -> Result<ExitCode> {
    ensure!(nix::unistd::geteuid().is_root(), "only root may read what is in images: run this as root");
    if verify.repair {
        interrupt::hear()?;
    }
    let store = Store::read(&data.store())?;
    let (images, missing) = match verify.images.is_empty() {
        true => (store.list()?, false),
        false => {
            let (targets, missing) = targets(&store, &verify.images)?;
            (targets.into_iter().map(|target| target.image).collect(), missing)
        }
    };
    let mut found = Vec::new();
    for Image { id, .. } in &images {
        // What was removed meanwhile is no concern.
        found.extend(if verify.repair { repair::repair(&store, verify, id)? } else { store.verify(id)? });
        if interrupt::is_asked() {
            return Ok(interrupt::code());
        }
    }
    if found.is_empty() && !missing {
        say("No images found.");
    } else if !found.is_empty() {
        let head = ["NAME", "STATE", "MESSAGE"].map(str::to_string).to_vec();
        print(&table(std::iter::once(head).chain(found.iter().flat_map(rows))))?;
    }
    let damaged: Vec<&Health> = found.iter().filter(|health| !health.problems.is_empty()).collect();
    for Health { image, .. } in &damaged {
        say(&match verify.repair {
            false => {
                format!("image {0} is damaged: `holdfast image verify --repair {0}` makes it again", image.id)
            }
            true => format!(
                "image {} is damaged still, and no container starts from it: copy an archive of it here and say \
                 `holdfast image import FILE`, or put it into {}",
                image.id,
                data.archives().display()
            ),
        });
    }
    Ok(ExitCode::from(u8::from(missing || !damaged.is_empty())))
}

/// A row for an image, and one more for each further problem.
fn rows(health: &Health) -> Vec<Vec<String>> {
    let Image { names, id, size: bytes, lower, .. } = &health.image;
    let name = names.first().unwrap_or(id).clone();
    let layers = match lower.len() {
        1 => "1 layer".to_string(),
        count => format!("{count} layers"),
    };
    let row = |name: &str, state: &str, message: String| vec![name.to_string(), state.to_string(), message];
    let mut problems = health.problems.iter();
    let Some(first) = problems.next() else {
        let whole = format!("{layers}, {}", size(*bytes));
        let message = match health.unsealed {
            0 => whole,
            unsealed => format!(
                "{whole}; the content of {unsealed} was not checked: an older holdfast unpacked them, which made no seals"
            ),
        };
        return vec![row(&name, "Whole", message)];
    };
    let mut rows = vec![row(&name, "Damaged", first.clone())];
    rows.extend(problems.map(|problem| row("", "", problem.clone())));
    rows
}
