//! An image archive: a tar of documents and layers, itself plain or packed.
//!
//! Tools write the members in any order, so one pass notes where each is. A plain archive is then read by seeking; a
//! packed one is unpacked a second time, from front to back, for which small members were kept in the first pass.
//!
//! Invariant: memory is bounded by the constants below, and no member's name ever becomes a path on disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use anyhow::{Context, Result};

use super::document::MAX_DOCUMENT;
use super::meter::{Meter, Metered};
use super::stream::{self, BUFFER, Compression};
use super::tarball::{Kind, Source, Tarball};
use super::{Refused, refuse};

/// Most members: 127 layers with three members each, for some hundred images.
const MAX_MEMBERS: usize = 20_000;
/// Longest name of a member; the names that tools give have some 80 bytes.
const MAX_NAME: usize = 256;
/// Most bytes of an unpacked archive that are gone through in search of its members: twice what an image may have.
pub const MAX_ARCHIVE: u64 = 64 << 30;
/// Small members of a packed archive, kept so that it need not be unpacked again for each: one, and all together.
const KEEP_EACH: u64 = 128 << 10;
const KEEP_ALL: u64 = 4 << 20;
/// Links followed from name to name: docker save of before 2023 links equal layers once.
const MAX_LINKS: usize = 4;

/// An open archive.
pub struct Archive<'m> {
    file: File,
    meter: &'m Meter<'m>,
    members: HashMap<String, Member>,
    content: Content<'m>,
}

enum Member {
    File { offset: u64, size: u64, kept: Option<Vec<u8>> },
    Link(String),
}

/// The bytes of the unpacked archive.
enum Content<'m> {
    Seekable(BufReader<Metered<'m>>),
    /// A stream, and how far it was read.
    Forward(Box<dyn Read + 'm>, u64),
}

impl<'m> Archive<'m> {
    /// Goes through the archive once and notes its members; `meter` is told how far it is, then and later.
    pub fn open(file: File, meter: &'m Meter<'m>) -> Result<Archive<'m>> {
        let mut start = Vec::with_capacity(6);
        (&file).rewind()?;
        file.try_clone()?.take(6).read_to_end(&mut start)?;
        (&file).rewind()?;
        if start.is_empty() {
            refuse!("is empty");
        }
        let size = file.metadata()?.len();
        let metered = meter.reads(file.try_clone()?);
        let content = match Compression::of(&start)? {
            Compression::Plain => Content::Seekable(BufReader::with_capacity(BUFFER, metered)),
            _ => Content::Forward(stream::unpacked(metered, MAX_ARCHIVE)?, 0),
        };
        // What is packed is gone through twice.
        let passes = if matches!(content, Content::Seekable(..)) { 1 } else { 2 };
        meter.begin(size.saturating_mul(passes))?;
        let mut archive = Archive { file, meter, members: HashMap::new(), content };
        archive.note_members()?;
        // In what is plain there was nothing to read but the headers.
        meter.reached(size.saturating_mul(passes - 1));
        Ok(archive)
    }

    /// Whether there is a file called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Where the file `name` begins; to read several in their order.
    pub fn offset(&self, name: &str) -> Result<u64> {
        self.find(name).map(|(offset, _, _)| offset)
    }

    /// The whole file `name`, which must be small.
    pub fn document(&mut self, name: &str) -> Result<Vec<u8>> {
        let (_, size, kept) = self.find(name)?;
        if let Some(kept) = kept {
            return Ok(kept.clone());
        }
        if size > MAX_DOCUMENT {
            refuse!("{name} has {size} bytes; a document has at most {MAX_DOCUMENT}");
        }
        let mut bytes = Vec::new();
        self.reader(name)?.read_to_end(&mut bytes).with_context(|| format!("read {name}"))?;
        Ok(bytes)
    }

    /// The length of the file `name`.
    pub fn size(&self, name: &str) -> Result<u64> {
        self.find(name).map(|(_, size, _)| size)
    }

    /// Reads the file `name`; UnexpectedEof if the archive ends within it.
    pub fn reader<'a>(&'a mut self, name: &str) -> Result<impl Read + use<'a, 'm>> {
        let (offset, size, _) = self.find(name)?;
        self.content.go_to(offset, &self.file, self.meter).with_context(|| format!("find {name}"))?;
        Ok(Exactly { source: &mut self.content, left: size })
    }

    fn find(&self, name: &str) -> Result<(u64, u64, Option<&Vec<u8>>)> {
        let mut name = normal(name.as_bytes(), "");
        for _ in 0..MAX_LINKS {
            match self.members.get(&name) {
                Some(Member::File { offset, size, kept }) => return Ok((*offset, *size, kept.as_ref())),
                Some(Member::Link(target)) => name.clone_from(target),
                None => break,
            }
        }
        Err(Refused(format!("lacks {name}: is it complete?")).into())
    }

    fn note_members(&mut self) -> Result<()> {
        let packed = matches!(self.content, Content::Forward(..));
        let mut tarball = Tarball::new(&mut self.content);
        let mut keep = KEEP_ALL;
        while let Some(entry) = tarball.next_entry()? {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            if entry.path.len().max(entry.link.len()) > MAX_NAME || self.members.len() >= MAX_MEMBERS {
                refuse!("has too many members, or a name that is too long: {path:?}");
            }
            let offset = tarball.position();
            let name = normal(&entry.path, "");
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let member = match entry.kind {
                Kind::File if entry.segments.is_none() => {
                    let kept = packed && entry.size <= keep.min(KEEP_EACH);
                    let kept = kept.then(|| read_all(&mut tarball)).transpose()?;
                    keep -= kept.as_ref().map_or(0, |kept| kept.len() as u64);
                    Member::File { offset, size: entry.size, kept }
                }
                Kind::Symlink => Member::Link(normal(&entry.link, folder)),
                Kind::HardLink => Member::Link(normal(&entry.link, "")),
                _ => continue,
            };
            if self.members.insert(name, member).is_some() {
                refuse!("has two members called {path:?}");
            }
        }
        Ok(())
    }
}

impl<'m> Content<'m> {
    fn go_to(&mut self, offset: u64, file: &File, meter: &'m Meter<'m>) -> Result<()> {
        match self {
            Content::Seekable(source) => {
                source.seek(SeekFrom::Start(offset))?;
            }
            Content::Forward(source, at) => {
                if offset < *at {
                    (&mut &*file).rewind()?;
                    (*source, *at) = (stream::unpacked(meter.reads(file.try_clone()?), MAX_ARCHIVE)?, 0);
                }
                let distance = offset - *at;
                self.skip(distance)?;
            }
        }
        Ok(())
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Content::Seekable(source) => source.read(buffer),
            Content::Forward(source, at) => {
                let length = source.read(buffer)?;
                *at += length as u64;
                Ok(length)
            }
        }
    }
}

impl Source for &mut Content<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        (**self).skip(count)
    }
}

impl Source for Content<'_> {
    /// Behind the end of a plain file nothing is missed here: reading there says it.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        match self {
            Content::Seekable(source) => source.seek_relative(count.try_into().map_err(io::Error::other)?),
            Content::Forward(source, at) => {
                let skipped = io::copy(&mut source.take(count), &mut io::sink())?;
                *at += skipped;
                if skipped == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
        }
    }
}

/// So many bytes of a source, and no fewer.
struct Exactly<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let length = self.source.read(&mut buffer[..most])?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= length as u64;
        Ok(length)
    }
}

fn read_all(source: &mut impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).context("read the archive")?;
    Ok(bytes)
}

/// A member's name as a key: `./a//b` and `../a/b`, seen from the folder `x`, are `a/b`.
fn normal(name: &[u8], folder: &str) -> String {
    let name = String::from_utf8_lossy(name);
    let folder = if name.starts_with('/') { "" } else { folder };
    let mut parts = Vec::new();
    for part in folder.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
