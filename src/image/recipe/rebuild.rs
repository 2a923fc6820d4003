//! Reads a recipe, and makes the layer's archive again.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{CONTENT, END, LITERAL, LITERALLY, MAGIC, MOST_KEPT, REPLACED};
use crate::image::limits::MAX_PATH;
use crate::image::lz4::Lz4;
use crate::image::stream::BUFFER;
use crate::sys::beneath::{Folder, Root};

/// A whole recipe.
#[derive(Debug)]
pub struct Recipe {
    path: PathBuf,
    /// Bytes of the archive that it makes.
    pub length: u64,
    replaced: Vec<Replaced>,
}

/// What was in a file until another one took its name.
#[derive(Debug)]
struct Replaced {
    path: PathBuf,
    /// How many times content had been asked for by then.
    at: u64,
    content: Vec<u8>,
}

enum Record {
    Literal(Vec<u8>),
    Content { path: PathBuf, offset: u64, length: u64 },
    Replaced { path: PathBuf, content: Vec<u8> },
    End { length: u64, lost: String },
}

/// Takes the archive, piece by piece.
pub type Out<'o> = &'o mut dyn FnMut(&[u8]) -> Result<()>;

impl Recipe {
    /// Reads the recipe at `path` once, to its end.
    ///
    /// Fails where there is none, where it is damaged, and where it says itself that the archive cannot be made again.
    pub fn open(path: &Path) -> Result<Recipe> {
        let mut records = Records::open(path)?;
        let (mut replaced, mut asked, mut kept) = (Vec::new(), 0, 0);
        loop {
            match records.next()? {
                Record::Literal(_) => {}
                Record::Content { .. } => asked += 1,
                Record::Replaced { path, content } => {
                    kept += content.len() as u64;
                    ensure!(kept <= MOST_KEPT, "its recipe is damaged: it keeps more than it may");
                    replaced.push(Replaced { path, at: asked, content });
                }
                Record::End { length, lost } if lost.is_empty() => {
                    return Ok(Recipe { path: path.to_owned(), length, replaced });
                }
                Record::End { lost, .. } => bail!("it {lost}: its archive cannot be made again"),
            }
        }
    }

    /// Hands the archive to `out`, made of the files below `layer`, in which no link is followed.
    ///
    /// Whether it is the one that it was only its digest tells.
    pub fn rebuild(&self, layer: &Path, out: Out<'_>) -> Result<()> {
        let mut records = Records::open(&self.path)?;
        let root = Root::open(layer).with_context(|| format!("open {}", layer.display()))?;
        let mut files = Files { root, folder: None, buffer: vec![0; BUFFER] };
        let mut asked = 0;
        loop {
            match records.next()? {
                Record::Literal(bytes) => out(&bytes)?,
                Record::Replaced { .. } => {}
                Record::End { .. } => return Ok(()),
                Record::Content { path, offset, length } => {
                    asked += 1;
                    let later = self.replaced.iter().find(|it| asked <= it.at && it.path == path);
                    match later {
                        Some(replaced) => out(part(&replaced.content, offset, length)?)?,
                        None => files.content(&path, offset, length, out)?,
                    }
                }
            }
        }
    }
}

fn part(content: &[u8], offset: u64, length: u64) -> Result<&[u8]> {
    let from = usize::try_from(offset).ok();
    let to = offset.checked_add(length).and_then(|to| usize::try_from(to).ok());
    let part = from.zip(to).and_then(|(from, to)| content.get(from..to));
    part.context("its recipe is damaged: it keeps less than it says")
}

/// The files of a layer.
struct Files {
    root: Root,
    /// The one that the latest file was in.
    folder: Option<(PathBuf, Folder)>,
    buffer: Vec<u8>,
}

impl Files {
    fn content(&mut self, path: &Path, offset: u64, length: u64, out: Out<'_>) -> Result<()> {
        let shown = || format!("read {:?} of it", path.display());
        let mut file = self.open(path).with_context(shown)?;
        file.seek(SeekFrom::Start(offset)).with_context(shown)?;
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let got = match file.read(&mut self.buffer[..most]) {
                Ok(0) => Err(io::Error::other("the file is shorter than it was")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                got => got,
            };
            let got = got.with_context(shown)?;
            out(&self.buffer[..got])?;
            left -= got as u64;
        }
        Ok(())
    }

    fn open(&mut self, path: &Path) -> io::Result<File> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = match self.folder.take() {
            Some((known, folder)) if known == above => folder,
            _ => self.root.folder_without_links(above)?,
        };
        let file = folder.open_file(name);
        self.folder = Some((above.to_owned(), folder));
        file
    }
}

/// The records of a recipe, in order.
struct Records(Lz4<BufReader<File>>);

impl Records {
    fn open(path: &Path) -> Result<Records> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!(
                    "it was taken in by an earlier holdfast, which kept no recipe of it: import its archive again"
                );
            }
            file => file.with_context(|| format!("open {}", path.display()))?,
        };
        let mut records = Records(Lz4::new(BufReader::with_capacity(BUFFER, file)));
        let magic = records.bytes(MAGIC.len() as u64, MAGIC.len() as u64)?;
        ensure!(magic == MAGIC, "its recipe is of another holdfast: import its archive again");
        Ok(records)
    }

    fn next(&mut self) -> Result<Record> {
        let kind = self.bytes(1, 1)?;
        match kind[..] {
            [LITERALLY] => {
                let length = self.number()?;
                Ok(Record::Literal(self.bytes(length, LITERAL as u64)?))
            }
            [CONTENT] => {
                let (offset, length, path) = (self.number()?, self.number()?, self.number()?);
                Ok(Record::Content { path: self.path(path)?, offset, length })
            }
            [REPLACED] => {
                let (path, content) = (self.number()?, self.number()?);
                Ok(Record::Replaced { path: self.path(path)?, content: self.bytes(content, MOST_KEPT)? })
            }
            [END] => {
                let (length, lost) = (self.number()?, self.number()?);
                let lost = self.bytes(lost, LITERAL as u64)?;
                Ok(Record::End { length, lost: String::from_utf8_lossy(&lost).into_owned() })
            }
            _ => bail!("its recipe is damaged: it has a record of no known kind"),
        }
    }

    fn path(&mut self, length: u64) -> Result<PathBuf> {
        let bytes = self.bytes(length, MAX_PATH as u64)?;
        Ok(PathBuf::from(OsStr::from_bytes(&bytes)))
    }

    fn number(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes).context("its recipe is damaged")?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bytes(&mut self, length: u64, most: u64) -> Result<Vec<u8>> {
        ensure!(length <= most, "its recipe is damaged: a record of {length} bytes");
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.0.read_exact(&mut bytes).context("its recipe is damaged")?;
        Ok(bytes)
    }
}
