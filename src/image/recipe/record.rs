//! Writes a recipe while its layer is read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use lz4_flex::frame::FrameEncoder;

use super::{CONTENT, END, LITERAL, LITERALLY, MAGIC, MOST_KEPT, REPLACED};
use crate::image::tarball::Source;

/// A layer's tar archive, handed on, of which everything is written down that nobody says is a file's content.
pub struct Recorder<R> {
    source: R,
    recipe: Writer,
}

struct Writer {
    packed: FrameEncoder<Counted>,
    literal: Vec<u8>,
    /// So many of the bytes that come next are a file's content.
    content: u64,
    /// All bytes of the archive that came.
    length: u64,
    /// Bytes of replaced files.
    kept: u64,
    lost: Option<String>,
    /// Bytes on the disk that were told of.
    told: u64,
}

/// A file that knows how much was written to it.
struct Counted(File, u64);

impl<R: Source> Recorder<R> {
    /// Reads `source`, and writes its recipe to `path`, where nothing is yet.
    pub fn new(source: R, path: &Path) -> Result<Recorder<R>> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("make {}", path.display()))?;
        let mut packed = FrameEncoder::new(Counted(file, 0));
        packed.write_all(&MAGIC).context("begin the recipe")?;
        let (literal, content, length, kept, told) = (Vec::with_capacity(LITERAL), 0, 0, 0, 0);
        let recipe = Writer { packed, literal, content, length, kept, lost: None, told };
        Ok(Recorder { source, recipe })
    }

    /// The next `length` bytes are content of the file at `path`, from `offset` on.
    pub fn content(&mut self, path: &Path, offset: u64, length: u64) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        self.recipe.content(path, offset, length).context("write the recipe")
    }

    /// The next `length` bytes are of no use to a recipe that is lost.
    pub fn skip(&mut self, length: u64) {
        self.recipe.content = length;
    }

    /// The file at `path`, which is about to be replaced, has this content.
    pub fn replaced(&mut self, path: &Path, file: File) -> Result<()> {
        let length = file.metadata().context("look at what is replaced")?.len();
        if length == 0 {
            return Ok(());
        }
        self.recipe.kept = self.recipe.kept.saturating_add(length);
        if self.recipe.kept > MOST_KEPT {
            let what = "replaces more than 4 MiB of its own files by later ones of the same names";
            self.lost(what);
            return Ok(());
        }
        let mut content = Vec::new();
        file.take(MOST_KEPT).read_to_end(&mut content).context("keep what is replaced")?;
        self.recipe.replaced(path, &content).context("write the recipe")
    }

    /// The archive cannot be made again, since the layer `why`, a part of a sentence. The first reason counts.
    pub fn lost(&mut self, why: &str) {
        self.recipe.lost.get_or_insert_with(|| why.to_owned());
    }

    /// How many bytes the recipe has taken on the disk since this was last asked.
    pub fn grown(&mut self) -> u64 {
        let all = self.recipe.packed.get_ref().1;
        all - std::mem::replace(&mut self.recipe.told, all)
    }

    /// Reads what is left of the archive, and ends the recipe; only then it is one.
    pub fn finish(mut self) -> Result<()> {
        io::copy(&mut self, &mut io::sink()).context("read the layer")?;
        self.recipe.finish().context("write the recipe")
    }
}

impl<R: Source> Source for Recorder<R> {}

impl<R: Read> Read for Recorder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.recipe.came(&buffer[..length])?;
        Ok(length)
    }
}

impl Writer {
    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        let content = usize::try_from(self.content).unwrap_or(usize::MAX).min(bytes.len());
        self.content -= content as u64;
        let mut rest = &bytes[content..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(LITERAL - self.literal.len()));
            self.literal.extend_from_slice(now);
            rest = later;
            if self.literal.len() == LITERAL {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the literal bytes that wait, as one record.
    fn flush(&mut self) -> io::Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        let literal = std::mem::take(&mut self.literal);
        self.head(LITERALLY, &[literal.len() as u64])?;
        self.packed.write_all(&literal)?;
        self.literal = literal;
        self.literal.clear();
        Ok(())
    }

    fn content(&mut self, path: &Path, offset: u64, length: u64) -> io::Result<()> {
        self.flush()?;
        let path = path.as_os_str().as_bytes();
        self.head(CONTENT, &[offset, length, path.len() as u64])?;
        self.content = length;
        self.packed.write_all(path)
    }

    fn replaced(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.flush()?;
        let path = path.as_os_str().as_bytes();
        self.head(REPLACED, &[path.len() as u64, content.len() as u64])?;
        self.packed.write_all(path)?;
        self.packed.write_all(content)
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let why = self.lost.take().unwrap_or_default();
        self.head(END, &[self.length, why.len() as u64])?;
        self.packed.write_all(why.as_bytes())?;
        self.packed.finish()?;
        Ok(())
    }

    fn head(&mut self, kind: u8, numbers: &[u64]) -> io::Result<()> {
        self.packed.write_all(&[kind])?;
        numbers.iter().try_for_each(|number| self.packed.write_all(&number.to_le_bytes()))
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.write(bytes)?;
        self.1 += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
