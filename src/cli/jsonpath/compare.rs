//! How filters compare.

use std::cmp::Ordering;

use anyhow::{Result, bail};
use serde_json::Value;

use super::parse::outside_quotes;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    /// What stands left and right of the first operator that is in no quotes and no brackets; `None` where there is none.
    pub fn split(text: &str) -> Result<Option<(&str, Operator, &str)>> {
        let mut depth = 0_usize;
        let found = outside_quotes(text).find(|(_, c)| {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && "!<>=".contains(*c)
        });
        let Some((at, _)) = found.filter(|(at, _)| *at > 0) else { return Ok(None) };
        let (left, rest) = text.split_at(at);
        let right = rest.trim_start_matches(['!', '<', '>', '=']);
        let operator = match &rest[..rest.len() - right.len()] {
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            other => bail!("unrecognized filter operator {other}"),
        };
        Ok(Some((left, operator, right)))
    }

    /// Whether it holds. Fails for values of different kinds, as in kubectl.
    pub fn holds(self, left: &Value, right: &Value) -> Result<bool> {
        let order = match (left, right) {
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Number(_), Value::Number(_)) => numbers(left, right),
            (Value::Bool(left), Value::Bool(right)) => match self {
                Operator::Equal => return Ok(left == right),
                Operator::NotEqual => return Ok(left != right),
                _ => bail!("invalid type for comparison"),
            },
            (Value::String(_) | Value::Number(_) | Value::Bool(_), _) if is_basic(right) => {
                bail!("incompatible types for comparison")
            }
            _ => bail!("invalid type for comparison"),
        };
        Ok(match self {
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
        })
    }
}

fn is_basic(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// Two numbers by size.
pub fn numbers(left: &Value, right: &Value) -> Ordering {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.cmp(&right),
        // JSON has no other numbers, and none that are not comparable.
        _ => left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal),
    }
}
