//! The pod process's own log: `<pod-directory>/log`, and `log.old` before it, on tmpfs and therefore short.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sys::clock;

/// Length at which a new file is begun, in bytes.
const LONGEST: u64 = 32 * 1024;

struct Diary(PathBuf);

/// Sends what the pod process logs to `path` from now on.
pub fn begin(path: &Path) -> Result<()> {
    open(path).with_context(|| format!("open {}", path.display()))?;
    log::set_boxed_logger(Box::new(Diary(path.to_owned()))).context("set the logger")?;
    log::set_max_level(log::LevelFilter::Info);
    Ok(())
}

/// The log, to be handed to a worker as its stderr.
pub fn open(path: &Path) -> std::io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LONGEST) {
        fs::rename(path, path.with_extension("old"))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl log::Log for Diary {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let time = jiff::Timestamp::from_nanosecond(clock::wall().0.into()).unwrap_or_default();
        let line = format!("{time:.3} {} {}\n", record.level(), record.args());
        // There is nowhere to say that this fails.
        let _ = open(&self.0).and_then(|mut file| file.write_all(line.as_bytes()));
    }

    fn flush(&self) {}
}
