//! `image import`.

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use super::bar::Bar;
use super::{interrupt, open};
use crate::cli::args::ImageImport;
use crate::cli::{print, say};
use crate::host::Data;
use crate::image::{ByHand, Store, nameless_message};

/// Where an archive comes from.
enum Source {
    File(PathBuf),
    Stdin,
}

/// Imports every archive that is meant, one after the other; one that is of no use stops no other.
pub fn import(data: &Data, import: &ImageImport) -> Result<ExitCode> {
    let sources = sources(&import.from)?;
    ensure!(
        import.name.is_none() || sources.len() == 1,
        "--name fits one image, and there are {} archives: import them one by one",
        sources.len()
    );
    interrupt::hear()?;
    let store = open(data)?;
    let mut failed = false;
    for source in &sources {
        let imported = one(&store, source, import);
        interrupt::rest();
        if interrupt::is_asked() && imported.is_err() {
            say(&format!("interrupted: nothing of {} was imported", shown(source)));
            return Ok(interrupt::code());
        }
        match imported {
            Ok(imported) => tell(&store, source, &imported)?,
            Err(error) => {
                say(&format!("error: {error:#}"));
                failed = true;
            }
        }
        if interrupt::is_asked() {
            return Ok(interrupt::code());
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

fn one(store: &Store, source: &Source, import: &ImageImport) -> Result<ByHand> {
    let bar = Bar::new(&match source {
        Source::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Source::Stdin => shown(source),
    });
    let watch = |step| {
        interrupt::check()?;
        bar.show(step);
        Ok(())
    };
    let name = import.name.as_ref();
    let imported = match source {
        Source::File(path) => store.import_by_hand(path, name, &watch),
        Source::Stdin => {
            stdin(store).and_then(|file| store.import_open(file, name, &watch)).context("import stdin")
        }
    };
    bar.clear();
    imported
}

/// What stdin holds: itself where it is a file, else a copy.
fn stdin(store: &Store) -> Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        bail!("it is a terminal: pipe an archive into it");
    }
    let file = File::from(stdin.as_fd().try_clone_to_owned()?);
    if file.metadata()?.is_file() { Ok(file) } else { store.spool(file) }
}

/// A line on stdout for each name, with the image's id; for people what is worth knowing besides.
fn tell(store: &Store, source: &Source, imported: &ByHand) -> Result<()> {
    for image in &imported.images {
        let none = ["<none>".to_string()];
        let names = if image.names.is_empty() { &none } else { &image.names[..] };
        print(&names.iter().map(|name| format!("{name} {}\n", image.id)).collect::<String>())?;
        let named = || -> Result<bool> {
            Ok(store.target(&image.id)?.is_some_and(|target| !target.image.names.is_empty()))
        };
        if image.names.is_empty() && !named()? {
            let path = match source {
                Source::File(path) => path,
                Source::Stdin => Path::new("-"),
            };
            say(&format!("warning: {}: {}", shown(source), nameless_message(path)));
        }
        for name in &image.moved {
            say(&format!("warning: {name} was another image's name until now"));
        }
    }
    if imported.known {
        say(&format!("{}: nothing new, it was read before and has not changed", shown(source)));
    }
    Ok(())
}

fn shown(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::Stdin => "stdin".to_string(),
    }
}

/// The archives that are meant: of a directory all files but hidden ones, by name.
fn sources(from: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in from {
        if path.as_os_str() == "-" {
            ensure!(
                !sources.iter().any(|it| matches!(it, Source::Stdin)),
                "- is there twice: stdin can be read once"
            );
            sources.push(Source::Stdin);
        } else if path.is_dir() {
            let mut files = files(path)?;
            ensure!(
                !files.is_empty(),
                "{} holds no files: name the directory that the archives are in",
                path.display()
            );
            files.sort();
            sources.extend(files.into_iter().map(Source::File));
        } else {
            // Absolute, since the store remembers it.
            let path = std::path::absolute(path).with_context(|| format!("find {}", path.display()))?;
            sources.push(Source::File(path));
        }
    }
    Ok(sources)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    if directory.join("oci-layout").exists() {
        bail!(
            "{0} is an OCI layout, not a directory of archives: make one of it by `tar -C {0} -cf image.tar .`",
            directory.display()
        );
    }
    let directory = std::path::absolute(directory)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("list {}", directory.display()))? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}
