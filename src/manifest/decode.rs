//! JSON to core/v1 objects, with everything strange in it told by its path.

use k8s_openapi::api::core::v1 as core;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problems::Problems;
use super::tracked::{Trace, Tracked};
use crate::yaml::tree::Path;

/// `document` as a Pod without its status, which is not the manifest's to say; otherwise as [`decode`].
///
/// Part by part: the code that reads a status would be a fiftieth of the binary.
pub fn pod(document: &Value, problems: &mut Problems<'_>) -> Option<core::Pod> {
    let mut pod = core::Pod::default();
    let mut whole = true;
    for (key, value) in document.as_object().into_iter().flatten() {
        let path = Path::root().key(key);
        match key.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => match at(path, value, problems) {
                Some(metadata) => pod.metadata = Option::unwrap_or_default(metadata),
                None => whole = false,
            },
            "spec" => match at(path, value, problems) {
                Some(spec) => pod.spec = spec,
                None => whole = false,
            },
            _ => unknown(&path, problems),
        }
    }
    whole.then_some(pod)
}

/// `value` as a `T`. Unknown fields are warnings; a field of the wrong type is an error, and `None`.
pub fn decode<T: DeserializeOwned>(value: &Value, problems: &mut Problems<'_>) -> Option<T> {
    at(Path::root(), value, problems)
}

fn unknown(path: &Path, problems: &mut Problems<'_>) {
    let fix = "check spelling and indentation, or remove it";
    problems.warning(path, "is not a field that Kubernetes knows", fix);
}

/// `value`, which is what `path` leads to.
fn at<T: DeserializeOwned>(path: Path, value: &Value, problems: &mut Problems<'_>) -> Option<T> {
    let trace = Trace::at(path);
    let decoded = T::deserialize(Tracked { value, trace: &trace });
    let (strange, wrong) = trace.seen();
    strange.iter().for_each(|path| unknown(path, problems));
    match decoded {
        Ok(object) => Some(object),
        Err(error) => {
            let (message, fix) = plain(&error.to_string()).unwrap_or_else(|| unreadable(&wrong));
            problems.error(&wrong, message, fix);
            None
        }
    }
}

/// serde's message in plain words, and what to do. The value itself is left out: it may be a secret.
fn plain(message: &str) -> Option<(String, &'static str)> {
    let (found, expected) = parts(message)?;
    let expected = match expected {
        "a string" | "a borrowed string" => "a string",
        "a boolean" => "true or false",
        "i32" | "i64" | "u32" | "u64" | "u16" => "a whole number",
        "a sequence" => "a list",
        text if text.contains("base64") => "base64 text",
        _ => "of another kind",
    };
    let fix = match (found, expected) {
        ("a number" | "true or false", "a string") => "put it in quotes",
        ("a string", "true or false" | "a whole number") => "remove the quotes, or write such a value",
        ("a mapping", "a list") => "begin each item with '- '",
        _ => "",
    };
    let message = match (found, expected) {
        ("a mapping", "of another kind") => "has a value of the wrong kind: a mapping".to_owned(),
        (found, "of another kind") => format!("has a value of the wrong kind: {found}"),
        ("a number", "a whole number") => "must be a whole number within its limits".to_owned(),
        (found, expected) if found == expected => format!("must be {expected} within its limits"),
        (found, expected) => format!("must be {expected}, not {found}"),
    };
    Some((message, fix))
}

/// What to say of a value that has the right type, but not the right form: bytes or a time.
fn unreadable(path: &Path) -> (String, &'static str) {
    let path = path.to_string();
    if path.starts_with("data") || path.starts_with("binaryData") {
        (
            "must be base64".to_owned(),
            "encode it with base64; a Secret also takes plain text under stringData",
        )
    } else {
        ("has a value that cannot be read".to_owned(), "")
    }
}

/// What was found and what was expected, out of `invalid type: integer `5`, expected a string`.
fn parts(message: &str) -> Option<(&'static str, &str)> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (_, expected) = rest.rsplit_once(", expected ")?;
    let found = match rest.split([' ', ',']).next()? {
        "string" => "a string",
        "integer" | "floating" => "a number",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a mapping",
        "null" | "unit" => "empty",
        _ => "of another kind",
    };
    Some((found, expected))
}
