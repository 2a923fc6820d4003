//! The problems found in one object, collected with their places.

use super::verdict::{Problem, Severity};
use crate::yaml::tree::{Node, Path, Position};

/// Most problems told of one file: a hostile file must not make the published verdict larger than itself.
const MAX_PROBLEMS: usize = 100;

/// Collects what is wrong with the object at `node`.
pub struct Problems<'a> {
    node: &'a Node,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// None yet.
    pub fn new(node: &'a Node) -> Problems<'a> {
        Problems { node, found: Vec::new() }
    }

    /// The object is refused since `path` is wrong.
    pub fn error(&mut self, path: &Path, message: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Error, path, message.into(), fix.into());
    }

    /// The object is accepted, but `path` may not do what was meant.
    pub fn warning(&mut self, path: &Path, message: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Warning, path, message.into(), fix.into());
    }

    /// Whether any of them refuses the object.
    pub fn refuse(&self) -> bool {
        self.found.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// All of them, by position.
    pub fn finish(self) -> Vec<Problem> {
        let mut found = self.found;
        found.sort_by_key(|problem| (problem.line, problem.column));
        found
    }

    /// Notes one more; what [`bounded`] would cut anyhow is not looked for.
    fn add(&mut self, severity: Severity, path: &Path, message: String, fix: String) {
        if self.found.iter().filter(|problem| problem.severity == severity).count() > MAX_PROBLEMS {
            return;
        }
        self.found.push(problem(severity, self.node.locate(path), path, message, fix));
    }
}

/// A problem at `at`.
pub fn problem(severity: Severity, at: Position, path: &Path, message: String, fix: String) -> Problem {
    Problem { severity, line: at.line, column: at.column, path: path.to_string(), message, fix }
}

/// `problems` cut to a bearable number, errors first to stay, with a last one that says so.
pub fn bounded(mut problems: Vec<Problem>) -> Vec<Problem> {
    if problems.len() > MAX_PROBLEMS {
        problems.sort_by_key(|problem| problem.severity == Severity::Warning);
        let Problem { severity, line, column, .. } = problems[MAX_PROBLEMS];
        problems.truncate(MAX_PROBLEMS);
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let message = format!("only {MAX_PROBLEMS} problems are told, and there are more");
        problems.push(problem(severity, Position { line, column }, &Path::root(), message, String::new()));
    }
    problems
}
