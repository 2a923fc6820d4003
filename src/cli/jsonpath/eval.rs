//! From a tree and an object to values.

use std::borrow::Cow;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::parse::{Piece, Slice, Step};

/// Most values that are looked at: some ten times what `{..}` gives of three hundred pods.
pub const MOST: usize = 1_000_000;

/// A value of the object, or one of the template.
type Found<'v> = Cow<'v, Value>;

/// Takes the values of one action.
type Each<'e, 'v> = dyn FnMut(Vec<Found<'v>>) -> Result<()> + 'e;

/// One evaluation.
pub struct Eval<'v> {
    object: Found<'v>,
    left: usize,
}

impl<'v> Eval<'v> {
    /// Of `object`.
    pub fn new(object: &'v Value) -> Eval<'v> {
        Eval { object: Cow::Borrowed(object), left: MOST }
    }

    /// Gives the values of each piece to `each`, in order.
    pub fn pieces(&mut self, pieces: &[Piece], each: &mut Each<'_, 'v>) -> Result<()> {
        for piece in pieces {
            self.spend(1)?;
            match piece {
                Piece::Text(text) => each(vec![Cow::Owned(json!(text))])?,
                Piece::Action(steps) => {
                    let values = self.steps(vec![self.object.clone()], steps)?;
                    each(values)?;
                }
                Piece::Range(steps, body) => {
                    for value in self.steps(vec![self.object.clone()], steps)? {
                        let outer = std::mem::replace(&mut self.object, value);
                        let done = self.pieces(body, each);
                        self.object = outer;
                        done?;
                    }
                }
            }
        }
        Ok(())
    }

    fn steps(&mut self, mut values: Vec<Found<'v>>, steps: &[Step]) -> Result<Vec<Found<'v>>> {
        for step in steps {
            values = self.step(values, step)?;
            self.spend(values.len())?;
        }
        Ok(values)
    }

    fn spend(&mut self, values: usize) -> Result<()> {
        ensure!(values <= self.left, "it looks at more than {MOST} values");
        self.left -= values;
        Ok(())
    }

    fn step(&mut self, values: Vec<Found<'v>>, step: &Step) -> Result<Vec<Found<'v>>> {
        let mut out = Vec::new();
        match step {
            Step::Literal(value @ Value::String(_)) => out.push(Cow::Owned(value.clone())),
            Step::Literal(value) => out.extend(values.iter().map(|_| Cow::Owned(value.clone()))),
            Step::Field(name) => out.extend(values.iter().filter_map(|value| field(value, name))),
            Step::Wildcard => {
                for value in &values {
                    match &**value {
                        // Go's strings are bytes.
                        Value::String(text) => {
                            self.spend(text.len())?;
                            out.extend(text.bytes().map(|byte| Cow::Owned(json!(byte))));
                        }
                        _ => out.extend(children(value)),
                    }
                }
            }
            Step::Recursive => {
                for value in &values {
                    self.descend(value, &mut out)?;
                }
            }
            Step::Slice(slice) => {
                for value in values.iter().filter(|value| !value.is_null()) {
                    cut(value, *slice, &mut out)?;
                }
            }
            Step::Union(each) => {
                for steps in each {
                    out.extend(self.steps(values.clone(), steps)?);
                }
            }
            Step::Exists(_) | Step::Filter(..) => {
                for value in &values {
                    self.filter(value, step, &mut out)?;
                }
            }
        }
        Ok(out)
    }

    /// The value and all below it that have something in them.
    fn descend(&mut self, value: &Found<'v>, out: &mut Vec<Found<'v>>) -> Result<()> {
        self.spend(1)?;
        match &**value {
            Value::String(text) if !text.is_empty() => out.push(value.clone()),
            _ => {
                let children = children(value);
                if !children.is_empty() {
                    out.push(value.clone());
                }
                for child in children {
                    self.descend(&child, out)?;
                }
            }
        }
        Ok(())
    }

    fn filter(&mut self, value: &Found<'v>, step: &Step, out: &mut Vec<Found<'v>>) -> Result<()> {
        ensure!(value.is_array(), "{} is not array or slice and cannot be filtered", kind(value));
        for item in children(value) {
            let passes = match step {
                // What cannot be looked for is not there.
                Step::Exists(steps) => {
                    self.steps(vec![item.clone()], steps).is_ok_and(|found| !found.is_empty())
                }
                Step::Filter(left, operator, right) => {
                    let left = self.steps(vec![item.clone()], left)?;
                    let right = self.steps(vec![item.clone()], right)?;
                    match (left.as_slice(), right.as_slice()) {
                        ([], _) | (_, []) => false,
                        ([left], [right]) => operator.holds(left, right)?,
                        _ => bail!("can only compare one element at a time"),
                    }
                }
                _ => false,
            };
            if passes {
                out.push(item);
            }
        }
        Ok(())
    }
}

/// The value of a key.
fn field<'v>(value: &Found<'v>, name: &str) -> Option<Found<'v>> {
    match value {
        Cow::Borrowed(value) => value.as_object()?.get(name).map(Cow::Borrowed),
        // The template's own values have no fields.
        Cow::Owned(_) => None,
    }
}

/// What is in a list, or in a map by the order of its keys: kubectl has none.
fn children<'v>(value: &Found<'v>) -> Vec<Found<'v>> {
    match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(fields)) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            fields.into_iter().map(|(_, value)| Cow::Borrowed(value)).collect()
        }
        _ => Vec::new(),
    }
}

/// The elements that a slice names.
fn cut<'v>(value: &Found<'v>, slice: Slice, out: &mut Vec<Found<'v>>) -> Result<()> {
    ensure!(value.is_array(), "{} is not array or slice", kind(value));
    let items = children(value);
    let length = i64::try_from(items.len())?;
    let from_end = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    let from = from_end(slice.from.unwrap_or(0));
    let to = match slice.to {
        _ if slice.single => from.saturating_add(1),
        Some(to) => from_end(to),
        None => length,
    };
    if from == to {
        return Ok(());
    }
    let inside = |at: i64, most: i64| (0..=most).contains(&at);
    ensure!(inside(from, length - 1), "array index out of bounds: index {from}, length {length}");
    ensure!(inside(to, length), "array index out of bounds: index {}, length {length}", to - 1);
    ensure!(from < to, "starting index {from} is greater than ending index {to}");
    let step = slice.step.unwrap_or(1);
    ensure!(step > 0, "step must be > 0");
    let (from, count) = (usize::try_from(from)?, usize::try_from(to - from)?);
    out.extend(items.into_iter().skip(from).take(count).step_by(usize::try_from(step)?));
    Ok(())
}

/// What a value is, in messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}
