//! Columns, as kubectl makes them: Go's `text/tabwriter`.
//!
//! Cells end with a tab; what follows a line's last tab is text that belongs to no column. A column is as wide as its
//! widest cell in consecutive lines that have it, so that each paragraph of a description finds its own width.

use super::colour::width;

/// `text` with its tabs made blanks: each column at least `min` wide, `padding` between its widest cell and the next.
pub fn align(text: &str, min: usize, padding: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut table = Table { lines, min, padding, out: String::with_capacity(text.len() * 2) };
    table.format(0, table.lines.len(), &mut Vec::new());
    table.out
}

struct Table<'t> {
    lines: Vec<Vec<&'t str>>,
    min: usize,
    padding: usize,
    out: String,
}

impl Table<'_> {
    /// Writes the lines `from..to`, of which all have the columns in `widths`.
    fn format(&mut self, mut from: usize, to: usize, widths: &mut Vec<usize>) {
        let column = widths.len();
        let mut at = from;
        while at < to {
            if !self.has(at, column) {
                at += 1;
                continue;
            }
            self.write(from, at, widths);
            from = at;
            while at < to && self.has(at, column) {
                at += 1;
            }
            let cells = self.lines[from..at].iter().map(|line| width(line[column]) + self.padding);
            let wide = cells.max().unwrap_or(0).max(self.min);
            widths.push(wide);
            self.format(from, at, widths);
            widths.pop();
            from = at;
        }
        self.write(from, to, widths);
    }

    fn has(&self, line: usize, column: usize) -> bool {
        column + 1 < self.lines[line].len()
    }

    fn write(&mut self, from: usize, to: usize, widths: &[usize]) {
        for line in &self.lines[from..to] {
            for (column, cell) in line.iter().enumerate() {
                self.out.push_str(cell);
                if let Some(wide) = widths.get(column) {
                    let blanks = wide.saturating_sub(width(cell));
                    self.out.extend(std::iter::repeat_n(' ', blanks));
                }
            }
            self.out.push('\n');
        }
    }
}
