//! Selectors of labels, as kubectl reads them: `app=web,tier!=back,env in (a,b),!old`.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What labels must be like: all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    is: Is,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    There,
    NotThere,
    OneOf(Vec<String>),
    /// True where there is no such label, too.
    NoneOf(Vec<String>),
}

impl Selector {
    /// Reads `text`; an empty one selects everything. Fails where it is no selector, with what to write.
    pub fn parse(text: &str) -> Result<Selector> {
        let parts = parts(text);
        let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
        let read = |part| {
            requirement(part).with_context(|| format!("selector {text:?}: write app=web, app!=web or app"))
        };
        parts.map(read).collect::<Result<_>>().map(Selector)
    }

    /// Whether the labels of `object` are such.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|Requirement { key, is }| {
            let label = object["metadata"]["labels"][key].as_str();
            let among =
                |values: &[String]| label.is_some_and(|label| values.iter().any(|value| value == label));
            match is {
                Is::There => label.is_some(),
                Is::NotThere => label.is_none(),
                Is::OneOf(values) => among(values),
                Is::NoneOf(values) => !among(values),
            }
        })
    }
}

/// The requirements, at the commas that are in no brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|c| {
        inside = (inside || c == '(') && c != ')';
        c == ',' && !inside
    })
    .collect()
}

fn requirement(part: &str) -> Result<Requirement> {
    let set = |key: &str, list: &str| {
        let list = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')'));
        let list = list.context("a set of values stands in brackets, as in `app in (web,db)`")?;
        let values = list.split(',').map(|value| value.trim().to_string()).collect();
        Ok::<_, anyhow::Error>((key.trim().to_string(), values))
    };
    let one = |key: &str, value: &str| (key.trim().to_string(), vec![value.trim().to_string()]);
    let (key, is) = if let Some((key, list)) = part.split_once(" notin ") {
        set(key, list).map(|(key, values)| (key, Is::NoneOf(values)))?
    } else if let Some((key, list)) = part.split_once(" in ") {
        set(key, list).map(|(key, values)| (key, Is::OneOf(values)))?
    } else if let Some((key, value)) = part.split_once("!=") {
        let (key, values) = one(key, value);
        (key, Is::NoneOf(values))
    } else if let Some((key, value)) = part.split_once('=') {
        let (key, values) = one(key, value.strip_prefix('=').unwrap_or(value));
        (key, Is::OneOf(values))
    } else if let Some(key) = part.strip_prefix('!') {
        (key.trim().to_string(), Is::NotThere)
    } else {
        (part.to_string(), Is::There)
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() || !key.chars().all(fine) {
        bail!("{key:?} is no key of a label");
    }
    let values = match &is {
        Is::OneOf(values) | Is::NoneOf(values) => values.as_slice(),
        Is::There | Is::NotThere => &[],
    };
    if let Some(value) = values.iter().find(|value| !value.chars().all(fine)) {
        bail!("{value:?} is no value of a label");
    }
    Ok(Requirement { key, is })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_selected_as_kubectl_selects_them() {
        let pod = json!({"metadata": {"labels": {"app": "web", "x.io/tier": "front", "empty": ""}}});
        for (selector, matches) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("app=web", true),
            ("app==web", true),
            ("app = web , x.io/tier=front", true),
            ("app=web,x.io/tier=back", false),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (db, web)", true),
            ("app in (db),app", false),
            ("app notin (db,cache)", true),
            ("other notin (db)", true),
            ("empty=", true),
            ("other=", false),
        ] {
            assert_eq!(Selector::parse(selector).unwrap().matches(&pod), matches, "{selector}");
            assert!(Selector::parse("!app").unwrap().matches(&json!({"metadata": 3})));
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for wrong in ["=x", "a b", "app in web", "app=a=b", "app in (a", "!", "\u{1b}=x", "a=\u{202e}"] {
            assert!(Selector::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
