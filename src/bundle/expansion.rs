//! `$(VAR)` in commands, arguments and environment (reference D.1).
//!
//! `$(X)` is replaced where X is known and stays as written where it is not; `$$` is one `$`; what does not end, such as
//! `$(X`, stays; a value that was put in is not looked at again.

use crate::spec::EnvVar;

/// `command` with its references replaced by those of `variables` that say their value: what the kubelet expands in the
/// commands of probes.
pub fn expand_static(command: &[String], variables: &[EnvVar]) -> Vec<String> {
    let lookup = |name: &str| variables.iter().rfind(|it| it.name == name).map(|it| it.value.as_str());
    command.iter().map(|word| expand(word, lookup)).collect()
}

/// `text` with its references replaced by what `lookup` knows.
pub fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}
