//! Selectors, in kubectl's grammar: which objects are meant, by their labels or by their fields.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::field::text;

/// What labels must be: `a=b,c!=d,e in (f,g),h,!i`. Empty: anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<(String, Rule)>);

/// What one label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Exists,
    Missing,
    /// One of these.
    In(Vec<String>),
    /// None of these; missing will do.
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl Labels {
    /// Reads a selector.
    pub fn parse(text: &str) -> Result<Labels> {
        let mut tokens = tokens(text).into_iter().peekable();
        let mut rules = Vec::new();
        while tokens.peek().is_some() {
            rules.push(requirement(text, &mut tokens)?);
            match tokens.next() {
                None => break,
                Some(comma) => {
                    ensure!(comma == ",", "selector {text:?}: found {comma:?}, expected ',' or the end");
                    ensure!(tokens.peek().is_some(), "selector {text:?}: found nothing behind the last ','");
                }
            }
        }
        Ok(Labels(rules))
    }

    /// Whether `metadata.labels` of the object are so.
    pub fn holds(&self, object: &Value) -> bool {
        self.0.iter().all(|(key, rule)| {
            let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
            let value =
                labels.and_then(|labels| labels.get(key)).map(|value| value.as_str().unwrap_or_default());
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match rule {
                Rule::Exists => value.is_some(),
                Rule::Missing => value.is_none(),
                Rule::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
                Rule::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
                Rule::Greater(than) => number().is_some_and(|number| number > *than),
                Rule::Less(than) => number().is_some_and(|number| number < *than),
            }
        })
    }
}

/// Words and signs.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let signs = ["!=", "==", "=", "!", ",", "(", ")", "<", ">"];
        let sign = signs.iter().find(|sign| rest.starts_with(**sign)).map(|sign| sign.len());
        let word = rest.find(|c: char| c.is_whitespace() || "=!,()<>".contains(c)).unwrap_or(rest.len());
        let length = sign.unwrap_or(word).max(first.len_utf8());
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

type Tokens<'t> = std::iter::Peekable<std::vec::IntoIter<&'t str>>;

fn is_word(token: &str) -> bool {
    !token.is_empty() && !token.starts_with(['=', '!', ',', '(', ')', '<', '>'])
}

fn requirement(selector: &str, tokens: &mut Tokens<'_>) -> Result<(String, Rule)> {
    let key = |token: Option<&str>| match token {
        Some(key) if is_word(key) => Ok(key.to_string()),
        other => {
            bail!("selector {selector:?}: found {:?}, expected a label or '!'", other.unwrap_or_default())
        }
    };
    if tokens.next_if_eq(&"!").is_some() {
        return Ok((key(tokens.next())?, Rule::Missing));
    }
    let key = key(tokens.next())?;
    let Some(operator) = tokens.next_if(|token| *token != ",") else { return Ok((key, Rule::Exists)) };
    let number = |tokens: &mut Tokens<'_>| {
        let value = value(tokens);
        value.parse().map_err(|_| anyhow::anyhow!("selector {selector:?}: {value:?} is no whole number"))
    };
    let rule = match operator {
        "=" | "==" => Rule::In(vec![value(tokens)]),
        "!=" => Rule::NotIn(vec![value(tokens)]),
        "in" => Rule::In(values(selector, tokens)?),
        "notin" => Rule::NotIn(values(selector, tokens)?),
        ">" => Rule::Greater(number(tokens)?),
        "<" => Rule::Less(number(tokens)?),
        other => bail!("selector {selector:?}: found {other:?}, expected one of: =, !=, ==, in, notin, >, <"),
    };
    Ok((key, rule))
}

/// The value behind an operator; nothing is the empty one.
fn value(tokens: &mut Tokens<'_>) -> String {
    tokens.next_if(|token| is_word(token)).unwrap_or_default().to_string()
}

/// `(a,b)`
fn values(selector: &str, tokens: &mut Tokens<'_>) -> Result<Vec<String>> {
    let wrong = |found: Option<&str>, expected: &str| {
        anyhow::anyhow!("selector {selector:?}: found {:?}, expected {expected}", found.unwrap_or_default())
    };
    match tokens.next() {
        Some("(") => {}
        other => return Err(wrong(other, "'('")),
    }
    let mut values = Vec::new();
    loop {
        values.push(value(tokens));
        match tokens.next() {
            Some(")") => return Ok(values),
            Some(",") => {}
            other => return Err(wrong(other, "',' or ')'")),
        }
    }
}

/// What fields must be: `status.phase=Running,metadata.name!=web`. Empty: anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    pointer: String,
    value: String,
    is: bool,
}

impl Fields {
    /// Reads a selector over the fields that are `known`.
    pub fn parse(text: &str, known: &[&str]) -> Result<Fields> {
        let mut fields = Vec::new();
        for term in split(text, ',').into_iter().filter(|term| !term.is_empty()) {
            let (at, operator) = ["!=", "==", "="]
                .iter()
                .filter_map(|operator| term.find(operator).map(|at| (at, *operator)))
                .min_by_key(|(at, operator)| (*at, usize::MAX - operator.len()))
                .ok_or_else(|| anyhow::anyhow!("field selector {text:?}: {term:?} is not FIELD=VALUE"))?;
            let name = &term[..at];
            ensure!(
                known.contains(&name),
                "field label not supported: {name}; there are: {}",
                known.join(", ")
            );
            let value = unescape(&term[at + operator.len()..]);
            fields.push(Field {
                pointer: format!("/{}", name.replace('.', "/")),
                value,
                is: operator != "!=",
            });
        }
        Ok(Fields(fields))
    }

    /// Whether one of them is of the status, which changes.
    pub fn reads_status(&self) -> bool {
        self.0.iter().any(|field| field.pointer.starts_with("/status/"))
    }

    /// Whether the fields of the object are so.
    pub fn holds(&self, object: &Value) -> bool {
        self.0.iter().all(|field| {
            let found = match object.pointer(&field.pointer) {
                Some(Value::Bool(truth)) => truth.to_string(),
                // As Kubernetes has it for switches that are not set.
                None if field.pointer.ends_with("/hostNetwork")
                    || field.pointer.ends_with("/unschedulable") =>
                {
                    "false".to_string()
                }
                _ => text(object, &field.pointer).to_string(),
            };
            (found == field.value) == field.is
        })
    }
}

/// The parts between `separator`, where no backslash hides it.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut from, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[from..at]);
            from = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[from..]);
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(selector: &str, expected: bool) {
        let object = json!({"metadata": {"labels": {"app": "web", "app.kubernetes.io/name": "x", "tier": "front", "n": "7", "empty": ""}}});
        assert_eq!(Labels::parse(selector).unwrap().holds(&object), expected, "{selector}");
    }

    #[test]
    fn labels_are_selected_in_kubectls_grammar() {
        for holds in [
            "",
            "app",
            "app=web",
            "app==web",
            " app = web ",
            "app!=db",
            "none!=x",
            "!none",
            "! none",
            "app in (db,web)",
            "app in(web)",
            "app notin (db)",
            "none notin (a,b)",
            "n>6",
            "n<8",
            "empty=",
            "empty",
            "empty in (,x)",
            "app.kubernetes.io/name=x",
            "app=web,tier=front",
            "app in (web, db), tier, !none",
        ] {
            check(holds, true);
        }
        for fails in [
            "none",
            "app=db",
            "app!=web",
            "!app",
            "app in (db)",
            "app notin (db,web)",
            "none in (a)",
            "n>7",
            "app>1",
            "app=",
            "app=web,tier=back",
            "none=",
        ] {
            check(fails, false);
        }
    }

    #[test]
    fn a_wrong_selector_is_told_of() {
        for (wrong, expected) in [
            ("=x", "found \"=\", expected a label or '!'"),
            ("a b", "found \"b\", expected one of"),
            ("a=b c", "found \"c\", expected ',' or the end"),
            ("a,", "found nothing behind the last ','"),
            ("a in b", "found \"b\", expected '('"),
            ("a in (b", "found \"\", expected ',' or ')'"),
            ("a>b", "\"b\" is no whole number"),
            ("!", "found \"\", expected a label"),
            ("a in", "found \"\", expected '('"),
        ] {
            let error = Labels::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(expected), "{wrong}: {error}");
        }
    }

    #[test]
    fn fields_are_selected_in_kubectls_grammar() {
        let object = json!({"metadata": {"name": "a=b,c"}, "spec": {"hostNetwork": true}, "status": {"phase": "Running"}});
        let known =
            ["metadata.name", "status.phase", "status.podIP", "spec.hostNetwork", "spec.unschedulable"];
        let holds = |text: &str| Fields::parse(text, &known).map(|fields| fields.holds(&object));
        for (selector, expected) in [
            ("", true),
            ("status.phase=Running", true),
            ("status.phase==Running", true),
            ("status.phase!=Running", false),
            ("status.phase=Running,metadata.name!=x", true),
            ("status.phase=Running,metadata.name=x", false),
            ("metadata.name=a\\=b\\,c", true),
            ("status.podIP=", true),
            ("status.podIP!=", false),
            ("spec.hostNetwork=true", true),
            ("spec.unschedulable=false", true),
        ] {
            assert_eq!(holds(selector).unwrap(), expected, "{selector}");
        }
        assert!(holds("status.phase").unwrap_err().to_string().contains("is not FIELD=VALUE"));
        let unknown = holds("spec.x=y").unwrap_err().to_string();
        assert!(
            unknown.starts_with("field label not supported: spec.x; there are: metadata.name, "),
            "{unknown}"
        );
    }
}
