//! Content digests: their text, and a reader that computes one on the way.

use std::fmt;
use std::io::{self, Read};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::refuse;

/// `sha256:` and 64 lower-case hexadecimal digits, never anything else: it may name a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Reads `text`; fails for other algorithms too, by name.
    pub fn parse(text: &str) -> Result<Digest> {
        let Some((algorithm, hex)) = text.split_once(':') else {
            refuse!("{text:?} is no digest: expected sha256:<64 hexadecimal digits>");
        };
        if algorithm != "sha256" {
            refuse!("digest {text:?}: only sha256 is supported");
        }
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != 64 || !hex.bytes().all(lower_hex) {
            refuse!("digest {text:?}: expected 64 lower-case hexadecimal digits");
        }
        Ok(Digest(text.to_owned()))
    }

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::from_sum(Sha256::new_with_prefix(bytes))
    }

    /// The digest of `bytes`, as bytes.
    pub fn bytes_of(bytes: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix(bytes).finalize().into()
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// Itself, as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_sum(sum: Sha256) -> Digest {
        let mut text = String::from("sha256:");
        for byte in sum.finalize() {
            text.extend(
                [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('?')),
            );
        }
        Digest(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Digest> {
        Digest::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

/// The digest of what comes piece by piece.
#[derive(Debug, Default)]
pub struct Summing(Sha256);

impl Summing {
    /// The next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all.
    pub fn finish(self) -> Digest {
        Digest::from_sum(self.0)
    }
}

/// Hands on what it reads, counted and hashed.
pub struct Hashing<R> {
    source: R,
    sum: Sha256,
}

impl<R: Read> Hashing<R> {
    /// Starts with nothing read from `source`.
    pub fn new(source: R) -> Hashing<R> {
        Hashing { source, sum: Sha256::new() }
    }

    /// Reads what is left, and tells the digest of all.
    pub fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(Digest::from_sum(self.sum))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.sum.update(&buffer[..length]);
        Ok(length)
    }
}
