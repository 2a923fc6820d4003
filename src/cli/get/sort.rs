//! `--sort-by`: by a field, as kubectl compares.

use std::cmp::Ordering;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::cli::jsonpath::{Template, numbers};
use crate::manifest::Quantity;

/// Sorts objects by what `path` finds in each; those where it finds nothing come first. Equal ones keep their order.
///
/// Fails where it finds nothing in any.
pub fn sort(objects: &mut Vec<Value>, path: &Template, written: &str) -> Result<()> {
    let mut keyed = Vec::with_capacity(objects.len());
    for object in objects.drain(..) {
        let key = path.values(&object)?.into_iter().next().map(|value| value.into_owned());
        keyed.push((key, object));
    }
    if !keyed.is_empty() && keyed.iter().all(|(key, _)| key.is_none()) {
        bail!("couldn't find any field with path {written:?} in the list of objects");
    }
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) => compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    objects.extend(keyed.into_iter().map(|(_, object)| object));
    Ok(())
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => numbers(a, b),
        (Value::String(a), Value::String(b)) => match (Quantity::parse(a), Quantity::parse(b)) {
            (Some(a), Some(b)) => a.milli().cmp(&b.milli()),
            _ => natural(a, b),
        },
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        // What cannot be compared with each other stands by what it is.
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// Texts with their numbers by size: `web-9` before `web-10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(first), Some(second)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let (one, rest) = digits(a);
            let (other, other_rest) = digits(b);
            let (short, other_short) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
            let order = short.len().cmp(&other_short.len()).then_with(|| short.cmp(other_short));
            // Of two that are equal, the one with fewer noughts comes first.
            let order = order.then_with(|| one.len().cmp(&other.len()));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (rest, other_rest);
        } else if first != second {
            return first.cmp(&second);
        } else {
            (a, b) = (&a[first.len_utf8()..], &b[second.len_utf8()..]);
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}
