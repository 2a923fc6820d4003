//! `WWW-Authenticate` (RFC 9110): what a registry wants to be shown.

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A token, which somebody else gives.
    Bearer {
        /// Who.
        realm: String,
        /// For whom, in their words; may be empty.
        service: String,
        /// For what, in their words; may be empty.
        scope: String,
    },
    /// A name and a password.
    Basic,
}

/// Most of a header that is looked at.
const LONGEST: usize = 8 * 1024;

/// What the headers' `values` ask for that we can give; a token first, as containerd has it.
pub fn wanted<'h>(values: impl Iterator<Item = &'h str>) -> Option<Challenge> {
    let mut all: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for value in values.filter(|value| value.len() <= LONGEST) {
        read(value, &mut all);
    }
    let bearer = all.iter().filter(|(scheme, _)| scheme == "bearer").find_map(|(_, parameters)| {
        let of = |name: &str| {
            let found = parameters.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let realm = of("realm");
        (!realm.is_empty()).then(|| Challenge::Bearer { realm, service: of("service"), scope: of("scope") })
    });
    bearer.or_else(|| all.iter().any(|(scheme, _)| scheme == "basic").then_some(Challenge::Basic))
}

/// Adds what `value` asks for: schemes, each with its parameters behind it.
fn read(value: &str, all: &mut Vec<(String, Vec<(String, String)>)>) {
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let word = word.to_ascii_lowercase();
        match after.trim_start().strip_prefix('=') {
            Some(after) => {
                let (value, after) = parameter(after.trim_start());
                if let Some((_, parameters)) = all.last_mut() {
                    parameters.push((word, value));
                }
                rest = after;
            }
            None if !word.is_empty() => {
                all.push((word, Vec::new()));
                rest = after;
            }
            None => rest = after,
        }
        rest = rest.trim_start_matches([' ', ',', '\t', '=']);
    }
}

/// A parameter's value, quoted or not, and what follows.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}
