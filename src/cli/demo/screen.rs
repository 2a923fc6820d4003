//! The table of pods, and what is wrong with the manifests. On a terminal it is drawn over itself, each second too, since
//! ages grow; elsewhere it is printed when something but the time has changed.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::field::{list, text};
use crate::cli::harmless;
use crate::cli::read;
use crate::cli::table;
use crate::cli::wait::{self, Wait};
use crate::cli::{now, print};
use crate::host::Runtime;

/// Fewer than any terminal has.
const ROWS: usize = 20;

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
        let problems = match read::file::<Value>(&runtime.manifests())? {
            Some(verdict) => problems(&verdict),
            None => String::new(),
        };
        let terminal = std::io::stdout().is_terminal();
        // Seen from 1970, every age is the same.
        let seen_from = if terminal { now() } else { Timestamp::UNIX_EPOCH };
        let compared = format!("{}{problems}", table::pods(&pods, seen_from));
        if self.drawn.as_ref() == Some(&compared) {
            return Ok(());
        }
        let table = match pods.is_empty() {
            true => "No pods.\n".to_string(),
            false => table::pods(&pods, now()),
        };
        let table = format!("{table}{problems}");
        let over = match self.drawn.is_some() {
            true => format!("\x1b[{}F\x1b[J", self.lines),
            false => String::new(),
        };
        self.lines = table.lines().count();
        self.drawn = Some(compared);
        match terminal {
            // Not wrapped at the edge, so that a line is a row and can be drawn over.
            true => print(&format!("{over}\x1b[?7l{table}\x1b[?7h")),
            false => print(&table),
        }
    }

    /// When to draw again though nothing has changed. What is longer than a screen cannot be drawn over, and waits.
    pub fn due(&self) -> Option<Instant> {
        let fits = self.lines < ROWS && std::io::stdout().is_terminal();
        fits.then(|| Instant::now() + Duration::from_secs(1))
    }
}

/// A few short lines for each manifest that is not as it should be.
fn problems(verdict: &Value) -> String {
    let mut lines = String::new();
    for file in list(verdict, "/files") {
        for problem in list(file, "/problems") {
            let (name, line) = (text(file, "/name"), &problem["line"]);
            let path = Some(text(problem, "/path")).filter(|path| !path.is_empty());
            let path = path.map(|path| format!("{path}: ")).unwrap_or_default();
            let (severity, message) = (text(problem, "/severity"), text(problem, "/message"));
            lines.push_str(&harmless::line(&format!("{name}, line {line}: {severity}: {path}{message}")));
            lines.push('\n');
            if !text(problem, "/fix").is_empty() {
                lines.push_str(&harmless::line(&format!("  {}", text(problem, "/fix"))));
                lines.push('\n');
            }
        }
        if text(file, "/state") == "last-good" {
            lines.push_str("  Its pod goes on as it was.\n");
        }
    }
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}
