//! Files with holes, as GNU tar writes them: its own header (`S`), and PAX version 1.0.
//!
//! Versions 0.0 and 0.1 are refused by name; no tool has written them by itself since 2006.

use std::io::Read;

use anyhow::{Context, Result};

use super::header::{self, Header};
use super::pax::Records;
use super::tarball::{BLOCK, Entry, Kind, Segment, Source, Tarball};
use super::{Refused, refuse};

/// Most segments of one file, which are memory. A file with more of them has other problems.
pub const MAX_SEGMENTS: usize = 65_536;

/// Learns where the content of `entry` goes, if it has holes, and its real name and length.
pub fn read<S: Source>(
    tarball: &mut Tarball<S>,
    header: &Header,
    pax: &mut Records,
    entry: &mut Entry,
) -> Result<()> {
    let stored = entry.size;
    let (segments, real, map) = if header.type_flag() == b'S' {
        let (segments, real) = gnu(tarball, header)?;
        (segments, real, 0)
    } else if pax.has("GNU.sparse.major") {
        let version = (pax.number("GNU.sparse.major")?, pax.number("GNU.sparse.minor")?);
        if version != (Some(1), Some(0)) || entry.kind != Kind::File {
            refuse!("has holes in a format that is not supported");
        }
        entry.path = pax.take("GNU.sparse.name").context(Refused("has holes and no name".into()))?;
        let real = pax.number("GNU.sparse.realsize")?.context(Refused("has holes and no length".into()))?;
        let (segments, map) = pax_1_0(tarball)?;
        (segments, real, map)
    } else if pax.has_some("GNU.sparse.") {
        refuse!("has holes in a format of before 2006: pack it again");
    } else {
        return Ok(());
    };
    check(&segments, real, stored.checked_sub(map))?;
    (entry.size, entry.segments) = (real, Some(segments));
    Ok(())
}

/// In order, within the file, and together as long as what is stored.
fn check(segments: &[Segment], real: u64, stored: Option<u64>) -> Result<()> {
    let (mut end, mut sum) = (0_u64, 0_u64);
    for (offset, length) in segments {
        let next = offset.checked_add(*length);
        if *offset < end || next.is_none_or(|next| next > real) {
            refuse!("has holes that overlap or lie outside the file");
        }
        (end, sum) = (next.unwrap_or(end), sum + length);
    }
    if Some(sum) != stored {
        refuse!("has holes, and another length of content than they leave");
    }
    Ok(())
}

fn gnu<S: Source>(tarball: &mut Tarball<S>, header: &Header) -> Result<(Vec<Segment>, u64)> {
    let (mut segments, mut more, real) = header.sparse()?;
    while more {
        let block = tarball.header_block().context("read the archive")?;
        segments.extend(header::segments(&block[..504])?);
        more = block[504] != 0;
        limit(segments.len())?;
    }
    Ok((segments, real))
}

/// The map stands before the content: decimal numbers, one a line, padded to a block. Tells its length too.
fn pax_1_0<S: Source>(tarball: &mut Tarball<S>) -> Result<(Vec<Segment>, u64)> {
    let mut numbers = Vec::new();
    let (mut number, mut read, mut wanted) = (None::<u64>, 0, None);
    let damaged = || Refused("has holes at places that are no numbers".into());
    while wanted.is_none_or(|wanted| numbers.len() < wanted) {
        let mut block = [0; BLOCK as usize];
        tarball.read_exact(&mut block).context("read the archive")?;
        read += BLOCK;
        for byte in block {
            if wanted.is_some_and(|wanted| numbers.len() >= wanted) {
                break;
            }
            match (byte, number) {
                (b'0'..=b'9', _) => {
                    let shifted = number.unwrap_or(0).checked_mul(10);
                    number = Some(
                        shifted.and_then(|n| n.checked_add(u64::from(byte - b'0'))).with_context(damaged)?,
                    );
                }
                (b'\n', Some(count)) if wanted.is_none() => {
                    let count = usize::try_from(count).ok().with_context(damaged)?;
                    limit(count)?;
                    wanted = Some(2 * count);
                    number = None;
                }
                (b'\n', Some(value)) => {
                    numbers.push(value);
                    number = None;
                }
                _ => return Err(anyhow::Error::new(damaged())),
            }
        }
    }
    Ok((numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(), read))
}

fn limit(count: usize) -> Result<()> {
    if count > MAX_SEGMENTS {
        refuse!("has more than {MAX_SEGMENTS} holes");
    }
    Ok(())
}
