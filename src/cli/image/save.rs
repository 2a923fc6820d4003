//! `image save`.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::bar::Bar;
use super::{interrupt, targets};
use crate::cli::args::ImageSave;
use crate::cli::say;
use crate::host::Data;
use crate::image::{Image, Saved, Store};

/// How much is written at once.
const BUFFER: usize = 128 << 10;

/// Writes the image that is meant; a file is there when all of it is, and right.
pub fn save(data: &Data, asked: &ImageSave) -> Result<ExitCode> {
    interrupt::hear()?;
    let store = Store::read(&data.store())?;
    let (targets, _) = targets(&store, std::slice::from_ref(&asked.image))?;
    let Some(target) = targets.first() else { return Ok(ExitCode::FAILURE) };
    let image = &target.image;
    let shown = target.name.as_ref().unwrap_or(&image.id);
    let to = asked.output.as_deref().filter(|path| *path != Path::new("-"));
    let saved = match to {
        Some(path) => to_file(&store, image, shown, path),
        None => to_stdout(&store, image, shown),
    };
    interrupt::rest();
    if interrupt::is_asked() && saved.is_err() {
        say(&format!("interrupted: nothing of {shown} is left"));
        return Ok(interrupt::code());
    }
    let saved = saved.with_context(|| format!("save {shown}"))?;
    // Who goes by a digest must know that it is not the registry's.
    if !image.digests.is_empty() && !image.digests.contains(&saved.manifest) {
        say(&format!(
            "{shown}: id and layers are as they were; the manifest is {} there, since its layers are not compressed",
            saved.manifest
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn to_stdout(store: &Store, image: &Image, shown: &str) -> Result<Saved> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        bail!("stdout is a terminal: say `-o FILE`, or pipe it into something");
    }
    write(store, image, shown, stdout.lock())
}

/// Into a file beside `path`, which then takes its name. What is no file, such as a pipe, is written to as it is.
fn to_file(store: &Store, image: &Image, shown: &str, path: &Path) -> Result<Saved> {
    let is_other = fs::metadata(path).is_ok_and(|there| !there.is_file());
    if is_other {
        let file = File::options().write(true).open(path);
        return write(store, image, shown, file.with_context(|| format!("open {}", path.display()))?);
    }
    let beside = Beside::new(path)?;
    let saved = write(store, image, shown, &beside.file)?;
    beside.keep(path).with_context(|| format!("write {}", path.display()))?;
    Ok(saved)
}

fn write(store: &Store, image: &Image, shown: &str, to: impl Write) -> Result<Saved> {
    let bar = Bar::new(shown);
    let mut out = BufWriter::with_capacity(BUFFER, to);
    let saved = store.save(&image.id, &mut out, &|step| {
        interrupt::check()?;
        bar.show(step);
        Ok(())
    });
    bar.clear();
    if saved.is_err() {
        // What waits there is of no use to anybody.
        let _ = out.into_parts();
    }
    saved
}

/// A file that is removed unless it is kept.
struct Beside {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Beside {
    fn new(path: &Path) -> Result<Beside> {
        let name = path.file_name().with_context(|| format!("{} is no file", path.display()))?;
        let hidden = format!(".{}.{}", name.display(), std::process::id());
        let path = path.with_file_name(hidden);
        // As docker's: what is in an image may be secret.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("make {}", path.display()))?;
        Ok(Beside { path, file, kept: false })
    }

    fn keep(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.kept = true;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.path)
        {
            say(&format!("warning: {} is of no use and cannot be removed: {error}", self.path.display()));
        }
    }
}
