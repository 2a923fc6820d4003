//! The paper of a description: indented rows of a label and a value, aligned at the end.
//!
//! Invariant: everything put on it is made harmless here, so that no caller can forget.

use crate::cli::colour::Ink;
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

    /// As [`Page::line`], painted.
    pub fn painted_line(&mut self, level: usize, ink: Ink, text: &str) {
        self.indent(level);
        self.0.push_str(&ink.paint(&harmless::line(text)));
        self.0.push('\n');
    }

    /// A label and its value; further lines of the value stand below its first.
    pub fn row(&mut self, level: usize, label: &str, value: &str) {
        self.painted_row(level, label, None, value);
    }

    /// As [`Page::row`], with its value in `ink`.
    pub fn painted_row(&mut self, level: usize, label: &str, ink: Option<Ink>, value: &str) {
        let mut label = format!("{}:", harmless::line(label));
        for line in value.trim_end_matches('\n').split('\n') {
            let line = harmless::line(line);
            let line = ink.map_or_else(|| line.clone(), |ink| ink.paint(&line));
            self.indent(level);
            self.0.push_str(&format!("{label}\t{line}\n"));
            label.clear();
        }
    }

    /// A further line of the value above, painted.
    pub fn painted_row_below(&mut self, level: usize, ink: Ink, value: &str) {
        self.indent(level);
        self.0.push_str(&format!("\t{}\n", ink.paint(&harmless::line(value))));
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
        self.painted_cells(level, None, cells);
    }

    /// As [`Page::cells`], with the first in `ink`.
    pub fn painted_cells(&mut self, level: usize, ink: Option<Ink>, cells: &[&str]) {
        self.indent(level);
        let mut cells: Vec<String> = cells.iter().map(|cell| harmless::line(cell)).collect();
        if let (Some(ink), Some(first)) = (ink, cells.first_mut()) {
            *first = ink.paint(first);
        }
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
