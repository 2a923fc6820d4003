//! The table of pods, drawn anew when something but the time has changed.

use std::io::IsTerminal;

use anyhow::Result;
use jiff::Timestamp;

use crate::cli::read;
use crate::cli::table::{self, Columns};
use crate::cli::wait::{self, Wait};
use crate::cli::{now, print};
use crate::host::Runtime;

/// What is on the screen.
#[derive(Default)]
pub struct Screen {
    /// The table as it was drawn, ages left out.
    drawn: Option<String>,
    lines: usize,
}

impl Screen {
    /// Draws the table if it has changed, and has `wait` wait for the next change.
    pub fn show(&mut self, runtime: &Runtime, wait: &mut Wait) -> Result<()> {
        // Watched before it is read, so that no change falls between.
        wait.add(runtime.root(), wait::entries())?;
        wait.add(&runtime.pods(), wait::entries())?;
        for uid in read::uids(runtime)? {
            wait.add(runtime.pod(&uid).root(), wait::entries())?;
        }
        let pods = read::all(runtime)?;
        // Seen from 1970, every age is the same.
        let ageless = table::pods(&pods, Columns::default(), Timestamp::UNIX_EPOCH);
        if self.drawn.as_ref() == Some(&ageless) {
            return Ok(());
        }
        let table = match pods.is_empty() {
            true => "No pods.\n".to_string(),
            false => table::pods(&pods, Columns::default(), now()),
        };
        let over = match std::io::stdout().is_terminal() && self.drawn.is_some() {
            true => format!("\x1b[{}F\x1b[J", self.lines),
            false => String::new(),
        };
        self.lines = table.lines().count();
        self.drawn = Some(ageless);
        print(&format!("{over}{table}"))
    }
}
