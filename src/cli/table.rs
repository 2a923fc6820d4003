//! Tables, as kubectl lays them out.

use jiff::Timestamp;

use super::colour;
use super::get::rows::{self, Columns};
use super::harmless::line;
use super::read::Found;

/// Narrowest column, and the room between two: kubectl's.
const MIN: usize = 6;
const PADDING: usize = 3;

/// A table whose lines may come bit by bit: what comes later stands below what came before.
#[derive(Debug, Default)]
pub struct Table {
    head: Option<Vec<String>>,
    widths: Vec<usize>,
}

impl Table {
    /// With a line that names the columns.
    pub fn new(head: Vec<String>) -> Table {
        Table { head: Some(head), widths: Vec::new() }
    }

    /// Without one.
    pub fn headless() -> Table {
        Table::default()
    }

    /// Lines for `rows`, made harmless and painted by `paint`, which gets a cell and its place; the first time after the
    /// head.
    pub fn lines(&mut self, rows: &[Vec<String>], paint: impl Fn(usize, &str) -> String) -> String {
        if rows.is_empty() {
            return String::new();
        }
        let cells = |row: &Vec<String>| -> Vec<String> {
            row.iter().enumerate().map(|(at, cell)| paint(at, &line(cell))).collect()
        };
        let head = self.head.take();
        let rows: Vec<Vec<String>> = head.into_iter().chain(rows.iter().map(cells)).collect();
        self.widths.resize(rows.iter().map(Vec::len).max().unwrap_or(0).max(self.widths.len()), MIN);
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(colour::width(cell) + PADDING);
            }
        }
        let mut out = String::new();
        for row in &rows {
            let mut blanks = 0;
            for (width, cell) in self.widths.iter().zip(row) {
                if !cell.is_empty() {
                    out.extend(std::iter::repeat_n(' ', blanks));
                    out.push_str(cell);
                    blanks = 0;
                }
                blanks += width.saturating_sub(colour::width(cell));
            }
            out.push('\n');
        }
        out
    }
}

/// `get pods` of these pods, with the usual columns.
pub fn pods(pods: &[Found], now: Timestamp) -> String {
    let columns = Columns::default();
    let kind = super::get::Kind::Pods;
    let rows: Vec<_> = pods.iter().flat_map(|pod| rows::rows(kind, &pod.pod.object, &columns, now)).collect();
    let head = rows::head(kind, &columns);
    let inks = rows::inks(&head);
    Table::new(head).lines(&rows, |at, cell| inks.paint(at, cell))
}
