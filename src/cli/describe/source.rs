//! The lines of a manifest that a problem is about.
//!
//! Read anew, beneath the manifests directory, so what is shown is what is there now. Nothing is shown of a file that may
//! hold a Secret: values of Secrets are on no page.

use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::cli::harmless;
use crate::manifest::MAX_BYTES;
use crate::sys::beneath::Root;

/// How many characters of a line are shown, most of them before the mark.
const WIDTH: usize = 100;
const AFTER: usize = 30;

/// A file's lines.
pub enum Source {
    /// All of them.
    Lines(Vec<String>),
    /// Why they are not shown.
    Hidden(String),
}

impl Source {
    /// Reads the file `name` of `directory`.
    pub fn read(directory: &str, name: &str) -> Source {
        let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
        let read = || {
            let mut bytes = Vec::new();
            let file = Root::open(Path::new(directory))?.file(Path::new(name))?;
            file.take(limit).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Source::Hidden("it is gone, or a link that leads out of the directory".to_string())
            }
            Err(error) => Source::Hidden(error.to_string()),
            Ok(bytes) => Source::of(&String::from_utf8_lossy(&bytes)),
        }
    }

    /// The lines of `text`.
    pub fn of(text: &str) -> Source {
        if may_hold_a_secret(text) {
            return Source::Hidden("the file speaks of a Secret".to_string());
        }
        Source::Lines(text.split('\n').map(|line| line.trim_end_matches('\r').to_string()).collect())
    }

    /// Line `line`, harmless and cut, and how many characters stand before its column `column`; both from 1.
    pub fn line(&self, line: i64, column: i64) -> Option<(String, usize)> {
        let Source::Lines(lines) = self else { return None };
        let line = lines.get(usize::try_from(line.checked_sub(1)?).ok()?)?;
        let before = usize::try_from(column.checked_sub(1)?).ok()?;
        let characters: Vec<char> = line.chars().collect();
        let before = before.min(characters.len());
        let from = before.saturating_sub(WIDTH - AFTER);
        let to = characters.len().min(from + WIDTH);
        let dots = |cut: bool| if cut { "..." } else { "" };
        let piece = |characters: &[char]| harmless::line(&characters.iter().collect::<String>());
        let start = format!("{}{}", dots(from > 0), piece(&characters[from..before]));
        let shown = format!("{start}{}{}", piece(&characters[before..to]), dots(to < characters.len()));
        Some((shown, start.chars().count()))
    }
}

/// Whether a word of the text begins with `Secret`, as the kind of every such document and list does, however written.
fn may_hold_a_secret(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices("Secret").any(|(at, _)| !text[..at].ends_with(word))
}
