//! Reads tar archives, entry by entry: V7, ustar, GNU and PAX, as GNU tar and Go's archive/tar both read them.
//!
//! Where those two would see different files in the same bytes, the archive is refused: an archive that shows one thing
//! to a scanner and another to the node is an attack. (The `tar` crate reads extension headers of any length into
//! memory and takes the first of repeated PAX records where the others take the last.)
//!
//! Invariant: memory is bounded by [`MAX_EXTENSION`] and [`MAX_SEGMENTS`], whatever the archive says.

use std::io::{self, Read};

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;

use super::header::{self, Header};
use super::{pax, refuse, sparse};

/// Headers, and what content is padded to.
pub const BLOCK: u64 = 512;
/// Longest extension header, in bytes: the limit of Go's archive/tar.
const MAX_EXTENSION: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of an earlier entry.
    HardLink,
    /// A character device: major, minor.
    Character(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One file, folder, link or node.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As written: may be absolute, or hold `..`.
    pub path: Vec<u8>,
    /// What a link points to, as written.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions, with set-user-ID and the like.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change.
    pub mtime: TimeSpec,
    /// Length of the file, holes included.
    pub size: u64,
    /// Extended attributes, in the archive's order.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the content goes, if the file has holes, in order.
    pub segments: Option<Vec<Segment>>,
}

/// Offset and length of content between holes.
pub type Segment = (u64, u64);

/// Where a tar archive comes from.
pub trait Source: Read {
    /// Goes on by `count` bytes; UnexpectedEof if there are fewer.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        match io::copy(&mut self.take(count), &mut io::sink())? == count {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A tar archive, read from front to back.
pub struct Tarball<S> {
    source: S,
    position: u64,
    /// Content of the present entry that was not read yet.
    content: u64,
    padding: u64,
}

/// Headers that describe the entry after them.
#[derive(Default)]
struct Extensions {
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Option<pax::Records>,
}

impl<S: Source> Tarball<S> {
    /// Starts at the first header.
    pub fn new(source: S) -> Tarball<S> {
        Tarball { source, position: 0, content: 0, padding: 0 }
    }

    /// How many bytes of the archive are behind: where the content of the entry begins that was just told.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the archive comes from, which was read up to here.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Where the archive comes from, of which there may be more behind its last entry.
    pub fn into_source(self) -> S {
        self.source
    }

    /// The next entry, whose content may then be read; `None` at the end of the archive.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_content().context("read the archive")?;
            let Some(header) = self.next_header()? else {
                if extensions.any() {
                    refuse!("ends after a header that describes a file, without the file");
                }
                return Ok(None);
            };
            match header.type_flag() {
                b'L' => set_once(
                    &mut extensions.long_path,
                    header::until_zero(&self.extension(&header)?).to_vec(),
                )?,
                b'K' => set_once(
                    &mut extensions.long_link,
                    header::until_zero(&self.extension(&header)?).to_vec(),
                )?,
                b'x' => set_once(&mut extensions.pax, pax::Records::parse(&self.extension(&header)?)?)?,
                // Go leaves global headers to its caller, and forgets then what it was to tell of the next file.
                b'g' if extensions.any() => {
                    refuse!("has a global PAX header between a file and what describes it")
                }
                // GNU tar applies them; git writes a comment into one.
                b'g' => pax::Records::parse(&self.extension(&header)?)?.refuse_meaning()?,
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    fn next_header(&mut self) -> Result<Option<Header>> {
        let mut block = [0; BLOCK as usize];
        let mut length = 0;
        while length < block.len() {
            match self.source.read(&mut block[length..]) {
                // GNU tar and Go both take the end of the file for the end of the archive.
                Ok(0) if length == 0 => return Ok(None),
                Ok(0) => refuse!("ends in the middle of a header: is it complete?"),
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("read the archive"),
            }
        }
        self.position += BLOCK;
        Header::parse(block)
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry> {
        let Extensions { long_path, long_link, pax } = extensions;
        let mut pax = pax.unwrap_or_default();
        if long_path.is_some() && pax.has("path") || long_link.is_some() && pax.has("linkpath") {
            refuse!("gives a name in two ways at once: it could mean two files");
        }
        // GNU tar takes it for the name, Go for none.
        if ["path", "linkpath"].iter().any(|key| pax.is_empty(key))
            || long_path.as_ref().is_some_and(Vec::is_empty)
        {
            refuse!("gives an empty name to a file that has one: it could mean two files");
        }
        let path = pax.take("path").or(long_path).map_or_else(|| header.path(), Ok)?;
        let link = pax.take("linkpath").or(long_link).unwrap_or_else(|| header.link());
        let shown = String::from_utf8_lossy(&path).into_owned();
        let kind = header.kind(&path).with_context(|| format!("entry {shown:?}"))?;
        let told = pax.number("size")?;
        if kind == Kind::HardLink && told.is_some_and(|told| 0 < told) {
            refuse!("entry {shown:?} is a hard link with content: readers disagree about what follows");
        }
        let stored = told.map_or_else(|| header.size(), Ok)?;
        // By its header a hard link may tell the length of the file it names; there is no content behind it.
        let stored = if kind == Kind::HardLink { 0 } else { stored };
        if stored > 0 && kind != Kind::File {
            refuse!("entry {shown:?} has content, but is no file");
        }
        self.content = stored;
        self.padding = stored.next_multiple_of(BLOCK) - stored;
        let mut entry = Entry {
            kind,
            mode: header.mode()? & 0o7777,
            uid: header::id(pax.number("uid")?.map_or_else(|| header.uid(), Ok)?)?,
            gid: header::id(pax.number("gid")?.map_or_else(|| header.gid(), Ok)?)?,
            mtime: pax.time("mtime")?.map_or_else(|| header.mtime(), Ok)?,
            size: stored,
            attributes: pax.attributes(),
            segments: None,
            path,
            link,
        };
        sparse::read(self, header, &mut pax, &mut entry).with_context(|| format!("entry {shown:?}"))?;
        if [&entry.path, &entry.link].iter().any(|name| name.contains(&0)) {
            refuse!("entry {shown:?} has a zero byte in its name");
        }
        Ok(entry)
    }

    /// The content of an extension header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>> {
        let length = header.size()?;
        if length > MAX_EXTENSION {
            refuse!("has an extension header of {length} bytes; more than {MAX_EXTENSION} are not supported");
        }
        self.content = length;
        self.padding = length.next_multiple_of(BLOCK) - length;
        let mut content = Vec::new();
        self.read_to_end(&mut content).context("read the archive")?;
        Ok(content)
    }

    /// One block that belongs to the present header, not to the content.
    pub(super) fn header_block(&mut self) -> io::Result<[u8; BLOCK as usize]> {
        let mut block = [0; BLOCK as usize];
        self.source.read_exact(&mut block)?;
        self.position += BLOCK;
        Ok(block)
    }

    fn skip_content(&mut self) -> io::Result<()> {
        self.source.skip(self.content)?;
        // `umoci insert` ends its layers without the last file's padding. GNU tar complains and Go does not, but both
        // see the same files.
        match self.source.skip(self.padding) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            skipped => skipped?,
        }
        self.position = self.position.saturating_add(self.content).saturating_add(self.padding);
        (self.content, self.padding) = (0, 0);
        Ok(())
    }
}

impl<S: Source> Read for Tarball<S> {
    /// Content of the present entry, holes left out; UnexpectedEof if the archive ends within it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let length = self.source.read(&mut buffer[..most])?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.content -= length as u64;
        self.position += length as u64;
        Ok(length)
    }
}

impl Extensions {
    fn any(&self) -> bool {
        self.long_path.is_some() || self.long_link.is_some() || self.pax.is_some()
    }
}

fn set_once<T>(place: &mut Option<T>, value: T) -> Result<()> {
    if place.replace(value).is_some() {
        refuse!("describes one file twice: it could mean two files");
    }
    Ok(())
}
