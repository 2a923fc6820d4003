//! One header block of a tar archive: fields at fixed places.

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;

use super::refuse;
use super::tarball::{BLOCK, Kind, Segment};

/// A header whose checksum is right.
pub struct Header([u8; BLOCK as usize]);

impl Header {
    /// Reads a block; `None` for the zeros that end an archive.
    pub fn parse(block: [u8; BLOCK as usize]) -> Result<Option<Header>> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum = |range: &[u8]| range.iter().map(|byte| i64::from(*byte)).sum::<i64>();
        let expected = sum(&block[..148]) + sum(&[b' '; 8]) + sum(&block[156..]);
        if number(&block[148..156]).ok() != Some(expected) {
            refuse!("is no tar archive, or a damaged one: a header has a wrong checksum");
        }
        Ok(Some(Header(block)))
    }

    /// The letter that tells what follows.
    pub fn type_flag(&self) -> u8 {
        self.0[156]
    }

    /// What the entry called `path` is; fails for kinds that images do not have.
    pub fn kind(&self, path: &[u8]) -> Result<Kind> {
        let device =
            || -> Result<(u32, u32)> { Ok((id(self.number(329..337)?)?, id(self.number(337..345)?)?)) };
        Ok(match self.type_flag() {
            // Before there was a type for directories, the slash told.
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => device().map(|(major, minor)| Kind::Character(major, minor))?,
            b'4' => device().map(|(major, minor)| Kind::Block(major, minor))?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => refuse!("is of the kind {:?}, which images do not have", char::from(other)),
        })
    }

    /// The name, with ustar's prefix.
    pub fn path(&self) -> Result<Vec<u8>> {
        let name = until_zero(&self.0[..100]);
        let is_time = |field: &[u8]| field[0] == 0 || number(field).is_ok();
        if self.0[257..265] == *b"ustar  \0" && !(is_time(&self.0[345..357]) && is_time(&self.0[357..369])) {
            // Go takes it for a prefix then, since it once wrote such.
            refuse!("has a time that is no number where the beginning of a name could be");
        }
        let prefix = if self.0[257..263] == *b"ustar\0" { until_zero(&self.0[345..500]) } else { b"" };
        Ok(match prefix {
            b"" => name.to_vec(),
            prefix => [prefix, b"/", name].concat(),
        })
    }

    /// What a link points to.
    pub fn link(&self) -> Vec<u8> {
        until_zero(&self.0[157..257]).to_vec()
    }

    /// Permission bits, and sometimes the type's.
    pub fn mode(&self) -> Result<u32> {
        id(self.number(100..108)?)
    }

    /// Owner.
    pub fn uid(&self) -> Result<u64> {
        self.number(108..116)
    }

    /// Group.
    pub fn gid(&self) -> Result<u64> {
        self.number(116..124)
    }

    /// Bytes of content behind the header.
    pub fn size(&self) -> Result<u64> {
        self.number(124..136)
    }

    /// Last change, in seconds; before 1970 too.
    pub fn mtime(&self) -> Result<TimeSpec> {
        Ok(TimeSpec::new(number(&self.0[136..148])?, 0))
    }

    /// The fields of GNU's sparse header: up to four segments, whether more blocks of them follow, the real length.
    pub fn sparse(&self) -> Result<(Vec<Segment>, bool, u64)> {
        Ok((segments(&self.0[386..482])?, self.0[482] != 0, self.number(483..495)?))
    }

    fn number(&self, range: std::ops::Range<usize>) -> Result<u64> {
        unsigned(&self.0[range])
    }
}

/// Pairs of offset and length, up to the first empty one.
pub fn segments(fields: &[u8]) -> Result<Vec<Segment>> {
    let used = fields.chunks_exact(24).take_while(|pair| pair[0] != 0);
    used.map(|pair| Ok((unsigned(&pair[..12])?, unsigned(&pair[12..])?))).collect()
}

/// A user, group or device number, or a mode: what 32 bits hold.
pub fn id(number: u64) -> Result<u32> {
    u32::try_from(number)
        .ok()
        .with_context(|| super::Refused(format!("has an owner or device {number}, beyond 32 bits")))
}

/// A field up to its first zero byte.
pub fn until_zero(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or(field)
}

fn unsigned(field: &[u8]) -> Result<u64> {
    u64::try_from(number(field)?)
        .ok()
        .with_context(|| super::Refused("has a negative number in a header".into()))
}

/// A number in octal, or in base 256 if the first bit is set; an empty field is 0, as in Go and GNU tar.
fn number(field: &[u8]) -> Result<i64> {
    if field[0] & 0x80 != 0 {
        return base_256(field);
    }
    let text = until_zero(field).trim_ascii();
    let valid = text.iter().all(|byte| (b'0'..=b'7').contains(byte)) && text.len() <= 20;
    if !valid {
        refuse!("has {:?} where a header wants an octal number", String::from_utf8_lossy(text));
    }
    Ok(text.iter().fold(0, |sum, digit| sum << 3 | i64::from(digit - b'0')))
}

/// Two's complement, whose first bit is the mark and whose second is the sign.
fn base_256(field: &[u8]) -> Result<i64> {
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let start = if negative { -1_i128 } else { 0 };
    let bytes = std::iter::once(&first).chain(&field[1..]);
    let number = bytes.fold(start, |sum, byte| sum << 8 | i128::from(*byte));
    i64::try_from(number)
        .ok()
        .with_context(|| super::Refused("has a number beyond 63 bits in a header".into()))
}
