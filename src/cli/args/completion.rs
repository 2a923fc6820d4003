//! `completion`, and what its scripts ask.

use clap::{Args, ValueEnum};

/// Which shell.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell
    pub shell: Shell,
}

/// Shells whose completion is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}

/// A command line that is being typed.
#[derive(Debug, Args)]
pub struct Typed {
    /// Its words after the program's, the last one unfinished
    #[arg(last = true, value_name = "WORD")]
    pub words: Vec<std::ffi::OsString>,
}
