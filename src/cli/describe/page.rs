//! The paper of a description: indented rows of a label and a value, aligned at the end.
//!
//! Invariant: everything put on it is made harmless here, so that no caller can forget.

use crate::cli::{harmless, tabs};

/// What was written so far.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// A line that belongs to no column.
    pub fn line(&mut self, level: usize, text: &str) {
        self.indent(level);
        self.0.push_str(&harmless::line(text));
        self.0.push('\n');
    }

    /// A label and its value; further lines of the value stand below its first.
    pub fn row(&mut self, level: usize, label: &str, value: &str) {
        let mut lines = value.trim_end_matches('\n').split('\n');
        self.cells(level, &[&format!("{label}:"), lines.next().unwrap_or_default()]);
        lines.for_each(|line| self.cells(level, &["", line]));
    }

    /// As [`Page::row`], if there is a value.
    pub fn row_unless_empty(&mut self, level: usize, label: &str, value: &str) {
        if !value.is_empty() {
            self.row(level, label, value);
        }
    }

    /// A label and several values below each other; `<none>` where there are none.
    pub fn rows(&mut self, level: usize, label: &str, values: Vec<String>) {
        let values = if values.is_empty() { "<none>".to_string() } else { values.join("\n") };
        self.row(level, label, &values);
    }

    /// Cells of a table.
    pub fn cells(&mut self, level: usize, cells: &[&str]) {
        self.indent(level);
        let cells: Vec<String> = cells.iter().map(|cell| harmless::line(cell)).collect();
        self.0.push_str(&cells.join("\t"));
        self.0.push('\n');
    }

    /// The page, aligned as kubectl does: 2 between columns.
    pub fn finish(self) -> String {
        tabs::align(&self.0, 0, 2).lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    fn indent(&mut self, level: usize) {
        self.0.extend(std::iter::repeat_n("  ", level));
    }
}
