//! One layer, fetched: from where it stands, until it is what its digest says.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};

use super::ask::{Refused, Session};
use super::pull::Progress;
use crate::image::{Digest, Partial, Summing};

/// Tries in a row that brought nearly nothing, and how much that is.
const MOST_TRIES: u32 = 3;
const NEARLY_NOTHING: u64 = 64 << 10;
/// Before the first of them, and twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(500);
const BUFFER: usize = 64 << 10;

/// What is to be fetched.
pub struct Wanted<'w> {
    /// Of it as it comes.
    pub digest: &'w Digest,
    /// Bytes that it has.
    pub size: u64,
    /// Whether anybody waits for it.
    pub wanted: &'w (dyn Fn() -> bool + Sync),
    /// Is told of what came.
    pub progress: &'w Progress,
}

/// Why no more came.
enum Wrong {
    /// Whoever was asked has no more; somebody else may.
    There(Error),
    /// It may go better at once.
    Again(Error),
    /// It is ours.
    Here(Error),
}

/// A layer's file so far, and the sum over it.
struct Sofar {
    partial: Partial,
    sum: Summing,
    have: u64,
    /// What is there was fetched by somebody else, some time ago.
    found: bool,
}

/// Fetches the rest of a layer into `partial` from the first of `sessions` that has it, beginning with number `first`.
///
/// What came stays for the next time whatever happens, unless it is not what the digest says.
pub fn fetch(
    sessions: &[Session<'_>],
    first: usize,
    wanted: &Wanted<'_>,
    partial: Partial,
) -> Result<Partial> {
    let mut sofar = Sofar { partial, sum: Summing::default(), have: 0, found: true };
    sofar.look(wanted)?;
    let mut wrongs: Vec<String> = Vec::new();
    let (before, from) = sessions.split_at(first.min(sessions.len()));
    for session in from.iter().chain(before) {
        match from_one(session, wanted, &mut sofar) {
            Ok(()) => return Ok(sofar.partial),
            Err(Wrong::Here(error)) => return Err(error),
            Err(Wrong::There(error) | Wrong::Again(error)) => wrongs.push(format!("{error:#}")),
        }
        if !(wanted.wanted)() {
            break;
        }
    }
    let Wanted { digest, size, .. } = wanted;
    Err(anyhow!("layer {digest}, of which {} of {size} bytes are here: {}", sofar.have, wrongs.join("; ")))
}

fn from_one(session: &Session<'_>, wanted: &Wanted<'_>, sofar: &mut Sofar) -> Result<(), Wrong> {
    let mut tries = 0;
    loop {
        if sofar.have == wanted.size {
            match sofar.judge(wanted) {
                Err(Wrong::Again(_)) => {}
                judged => return judged,
            }
        }
        let before = sofar.have;
        let wrong = match more(session, wanted, sofar) {
            Ok(()) => continue,
            Err(Wrong::Again(error)) => error,
            Err(wrong) => return Err(wrong),
        };
        tries = if sofar.have.saturating_sub(before) < NEARLY_NOTHING { tries + 1 } else { 1 };
        if MOST_TRIES <= tries || !(wanted.wanted)() {
            return Err(Wrong::Again(wrong));
        }
        log::debug!("layer {}: go on at {} of {} bytes: {wrong:#}", wanted.digest, sofar.have, wanted.size);
        std::thread::sleep(PAUSE * (1 << tries));
    }
}

impl Sofar {
    /// Takes in what is there.
    fn look(&mut self, wanted: &Wanted<'_>) -> Result<()> {
        self.sum = Summing::default();
        self.have = self.partial.file.metadata().context("look at what is there")?.len();
        if wanted.size < self.have {
            self.begin_anew(wanted)?;
        }
        let mut buffer = vec![0; BUFFER];
        self.partial.file.rewind()?;
        let mut left = self.have;
        while 0 < left {
            match self.partial.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    self.sum.add(&buffer[..count]);
                    left = left.saturating_sub(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A card that forgets: what cannot be read is fetched again.
                Err(_) => return self.begin_anew(wanted),
            }
        }
        wanted.progress.came(self.have);
        Ok(())
    }

    fn begin_anew(&mut self, wanted: &Wanted<'_>) -> Result<()> {
        self.partial.file.set_len(0).context("begin the layer anew")?;
        self.partial.file.seek(SeekFrom::Start(0))?;
        wanted.progress.went(self.have);
        (self.sum, self.have, self.found) = (Summing::default(), 0, false);
        Ok(())
    }

    /// All of it is there: whether it is right. What is not goes at once, and where somebody else began it, it is fetched anew.
    fn judge(&mut self, wanted: &Wanted<'_>) -> Result<(), Wrong> {
        let actual = std::mem::take(&mut self.sum).finish();
        if actual == *wanted.digest {
            return Ok(());
        }
        let found = self.found;
        self.begin_anew(wanted).map_err(Wrong::Here)?;
        let what = anyhow!("it came with the digest {actual}: it is damaged or was tampered with");
        Err(if found { Wrong::Again(what) } else { Wrong::There(what) })
    }
}

/// Asks once, and takes what comes.
fn more(session: &Session<'_>, wanted: &Wanted<'_>, sofar: &mut Sofar) -> Result<(), Wrong> {
    let url = session.endpoint.blob(wanted.digest.as_str());
    let range = (0 < sofar.have).then(|| ("Range", format!("bytes={}-", sofar.have)));
    let response = session.get(&url, range.as_slice()).map_err(|error| {
        let status = error.downcast_ref::<Refused>().map(|refused| refused.status);
        match status {
            Some(429 | 500..) | None => Wrong::Again(error),
            Some(_) => Wrong::There(error),
        }
    })?;
    let told = response.head.get("content-range").map(str::to_owned);
    match response.status {
        206 if begins_at(told.as_deref(), sofar.have, wanted.size) => {}
        // Ranges are not for everybody.
        200 => {
            if 0 < sofar.have {
                sofar.begin_anew(wanted).map_err(Wrong::Here)?;
            }
            let length = response.head.get("content-length").and_then(|length| length.parse::<u64>().ok());
            if let Some(length) = length.filter(|length| *length != wanted.size) {
                let what = anyhow!("GET \"{url}\": it has {length} bytes there");
                return Err(Wrong::There(what));
            }
        }
        _ => {
            sofar.begin_anew(wanted).map_err(Wrong::Here)?;
            return Err(Wrong::Again(anyhow!("GET \"{url}\": another part came than was asked for")));
        }
    }
    let mut body = response.body;
    let mut buffer = vec![0; BUFFER];
    while sofar.have < wanted.size {
        let most = usize::try_from(wanted.size - sofar.have).unwrap_or(BUFFER).min(BUFFER);
        let cut =
            |error: io::Error| Wrong::Again(Error::new(error).context(format!("GET \"{url}\": it was cut")));
        let count = match body.read(&mut buffer[..most]) {
            Ok(0) => return Err(cut(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) => return Err(cut(error)),
        };
        sofar.partial.take(count as u64).map_err(Wrong::Here)?;
        let kept = sofar.partial.file.write_all(&buffer[..count]);
        kept.context("keep what came of the layer").map_err(Wrong::Here)?;
        sofar.sum.add(&buffer[..count]);
        sofar.have += count as u64;
        wanted.progress.came(count as u64);
    }
    // With the last byte read, the connection is good for another request.
    Ok(())
}

/// Whether an answer's range is what is missing.
fn begins_at(told: Option<&str>, have: u64, size: u64) -> bool {
    let Some(range) = told.and_then(|told| told.trim().strip_prefix("bytes ")) else { return false };
    let Some((range, all)) = range.split_once('/') else { return false };
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse::<u64>().ok());
    start == Some(have) && (all == "*" || all.parse() == Ok(size))
}
