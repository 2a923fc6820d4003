//! `completion`: a small script a shell, which asks `holdfast __complete` at each key what may come next.
//!
//! So what is offered is always what this very program understands, names of pods included, and no shell has a copy of the
//! grammar. kubectl does it alike.
//!
//! Invariant: only words that every shell takes as they stand are offered: a file may be called `$(reboot)`.

mod grammar;
mod names;

#[cfg(test)]
mod tests;

use anyhow::Result;

use super::args::{Completion, Shell, Typed};
use super::print;

/// Prints the script for a shell.
pub fn script(completion: &Completion) -> Result<()> {
    print(match completion.shell {
        Shell::Bash => include_str!("completion.bash"),
        Shell::Zsh => include_str!("completion.zsh"),
        Shell::Fish => include_str!("completion.fish"),
    })
}

/// Prints what the last word may become: a candidate a line, with a tab and a description where it has one, and in the
/// end `:files` where it may also be a path.
pub fn complete(typed: &Typed) -> Result<()> {
    let words: Vec<String> = typed.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let asked = grammar::asked(super::grammar(), &words);
    let mut out = String::new();
    for candidate in candidates(&asked) {
        match candidate.about.is_empty() {
            true => out.push_str(&format!("{}\n", candidate.word)),
            false => out.push_str(&format!("{}\t{}\n", candidate.word, candidate.about)),
        }
    }
    if asked.files {
        out.push_str(":files\n");
    }
    print(&out)
}

/// A word that may come next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    word: String,
    about: String,
}

impl Candidate {
    fn new(word: impl Into<String>, about: impl Into<String>) -> Candidate {
        Candidate { word: word.into(), about: about.into() }
    }
}

/// All that begin as the last word does.
fn candidates(asked: &grammar::Asked) -> Vec<Candidate> {
    let mut all = asked.known.clone();
    all.extend(
        names::names(asked).into_iter().map(|name| Candidate::new(format!("{}{name}", asked.before), "")),
    );
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+,".contains(c);
    let fits =
        |word: &str| word.starts_with(&asked.word) && word.chars().all(harmless) && !word.starts_with(':');
    all.retain(|candidate| fits(&candidate.word));
    all
}
