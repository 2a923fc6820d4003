//! What becomes of each field that this agent does not (yet) use: the one list of it.
//!
//! A field that changes order, identity, isolation or data refuses its pod by name until it is built; its row is removed
//! by the change that builds it. A field without consequence here has a row that says why it may be ignored, so that
//! `every_field_of_core_v1_is_used_or_has_a_row` (tests) notices each field that a new Kubernetes brings.
//!
//! Invariant: no field that is neither used nor listed is passed over in silence.

mod rows;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::problems::Problems;
use crate::yaml::tree::Path;

pub use rows::ROWS;

/// One field, or several that share their fate.
pub struct Row {
    /// The field's path: `[]` for each item of a list, `a|b` for either, `*` for any key, `a-*` for keys that begin so;
    /// `containers` for init containers too.
    pub field: &'static str,
    /// Whether what was found there is concerned at all.
    pub when: fn(&Found<'_>) -> bool,
    /// What becomes of the pod.
    pub fate: Fate,
    /// Why.
    pub why: &'static str,
    /// What to do; empty where nothing need be done.
    pub fix: &'static str,
}

/// What becomes of a pod that uses a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Refused until it is built.
    NotYet,
    /// Refused for good.
    Never,
    /// Accepted with a warning.
    Warned,
    /// Accepted without a word.
    Ignored,
}

/// A field as it was found in a pod.
pub struct Found<'a> {
    /// Its last name.
    pub key: &'a str,
    /// Its value.
    pub value: &'a Value,
    /// The whole pod.
    pub pod: &'a Value,
}

/// Reports every field of `pod` that has a row.
pub fn check(pod: &Value, problems: &mut Problems<'_>) {
    for row in ROWS.iter().filter(|row| row.fate != Fate::Ignored) {
        visit(pod, row.field, &Path::root(), &mut |path, key, value| {
            if (row.when)(&Found { key, value, pod }) {
                report(row, path, problems);
            }
        });
    }
}

fn report(row: &Row, path: &Path, problems: &mut Problems<'_>) {
    match row.fate {
        Fate::NotYet => problems.error(path, format!("not supported yet: {}", row.why), row.fix),
        Fate::Never => problems.error(path, format!("not possible here: {}", row.why), row.fix),
        Fate::Warned => problems.warning(path, row.why, row.fix),
        Fate::Ignored => {}
    }
}

/// Is told a field's path, its last name, and its value.
type Finder<'a> = dyn FnMut(&Path, &str, &Value) + 'a;

/// Calls `found` for everything below `value` that `pattern` names.
fn visit(value: &Value, pattern: &str, at: &Path, found: &mut Finder<'_>) {
    let (first, rest) = pattern.split_once('.').map_or((pattern, None), |(first, rest)| (first, Some(rest)));
    let (name, each) = first.strip_suffix("[]").map_or((first, false), |name| (name, true));
    let Value::Object(fields) = value else { return };
    for (key, below) in fields.iter().filter(|(key, _)| name.split('|').any(|name| matches(name, key))) {
        let path = at.key(key);
        match (each, below, rest) {
            (false, below, None) => found(&path, key, below),
            (false, below, Some(rest)) => visit(below, rest, &path, found),
            (true, Value::Array(items), rest) => {
                for (index, item) in items.iter().enumerate() {
                    match rest {
                        Some(rest) => visit(item, rest, &path.index(index), found),
                        None => found(&path.index(index), key, item),
                    }
                }
            }
            (true, ..) => {}
        }
    }
}

/// What is said of containers is said of init containers too.
fn matches(name: &str, key: &str) -> bool {
    if name == "containers" && key == "initContainers" {
        return true;
    }
    name.strip_suffix('*').map_or(name == key, |start| key.starts_with(start))
}
