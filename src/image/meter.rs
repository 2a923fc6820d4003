//! How far an import is, for whoever waits for it, and who may end it.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the archive that were read; what is packed is read twice.
    pub done: u64,
    /// Bytes that there are to be read at most.
    pub of: u64,
}

/// Is told every step, the first once the store is locked. An error ends the import, which then leaves nothing.
pub type Watch<'a> = dyn Fn(Step) -> io::Result<()> + 'a;

/// Counts what is read.
pub struct Meter<'a> {
    done: Cell<u64>,
    of: Cell<u64>,
    watch: &'a Watch<'a>,
}

impl<'a> Meter<'a> {
    /// Tells `watch`.
    pub fn new(watch: &'a Watch<'a>) -> Meter<'a> {
        Meter { done: Cell::new(0), of: Cell::new(0), watch }
    }

    /// Begins, with `of` bytes to be read.
    pub fn begin(&self, of: u64) -> io::Result<()> {
        self.of.set(of);
        self.tell()
    }

    /// So far it is, whatever was read.
    pub fn reached(&self, done: u64) {
        self.done.set(done);
    }

    /// All is read that was to be read.
    pub fn end(&self) -> io::Result<()> {
        self.done.set(self.of.get());
        self.tell()
    }

    /// `file`, counted.
    pub fn reads(&'a self, file: File) -> Metered<'a> {
        Metered { file, meter: self }
    }

    fn tell(&self) -> io::Result<()> {
        let of = self.of.get();
        (self.watch)(Step { done: self.done.get().min(of), of })
    }
}

/// A file of which every byte read is counted.
pub struct Metered<'a> {
    file: File,
    meter: &'a Meter<'a>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.meter.done.set(self.meter.done.get().saturating_add(length as u64));
        self.meter.tell()?;
        Ok(length)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
