#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::api::published;

fn found(published: &[u8]) -> Found {
    Found { uid: "6381e895".into(), pod: published::read(published).unwrap() }
}

fn page(found: &Found, verdict: &Value, now: &str) -> String {
    pod::page(&pod::Told { found, verdict, now: now.parse().unwrap(), events: true })
}

/// What kubectl says of such objects is asked in `tests/kubectl`; here is the whole page, with what is ours.
fn check(published: &[u8], now: &str, expected: &str) {
    assert_eq!(page(&found(published), &Value::Null, now), expected);
}

#[test]
fn a_crashing_pod_is_described_as_kubectl_does() {
    check(include_bytes!("crashing.json"), "2026-11-21T22:39:24Z", include_str!("crashing.txt"));
}

#[test]
fn a_pod_that_takes_too_long_to_end_says_since_when() {
    check(include_bytes!("ending.json"), "2026-11-21T21:21:30Z", include_str!("ending.txt"));
}

#[test]
fn a_pod_that_may_still_take_its_time_says_until_when() {
    let page = page(&found(include_bytes!("ending.json")), &Value::Null, "2026-11-21T21:19:45Z");
    let status = page.lines().find(|line| line.starts_with("Status:")).unwrap();
    assert_eq!(status, "Status:                    Terminating (until Sat, 21 Nov 2026 21:20:00 +0000)");
}

#[test]
fn an_object_of_any_shape_is_described_without_a_panic() {
    let shapes = ["{}", "[]", "null", "{\"spec\": {\"containers\": [1, {\"env\": 3}], \"volumes\": [null]}}"];
    for shape in shapes {
        let published = format!(
            "{{\"version\": 1, \"object\": {shape}, \"events\": [{shape}], \"manifest\": \"\", \"log_directory\": \"\"}}"
        );
        let page = page(&found(published.as_bytes()), &json!([shape]), "2026-11-21T21:19:45Z");
        assert!(page.starts_with("Name:"), "{shape}");
    }
}

/// A line, and the mark below it.
fn marked(text: &str, line: i64, column: i64) -> Option<String> {
    let (shown, mark) = source::Source::of(text).line(line, column)?;
    Some(format!("{shown}\n{}^", " ".repeat(mark)))
}

#[test]
fn the_mark_stands_below_the_column_whatever_the_line_holds() {
    assert_eq!(marked("a: 1\nb: 2\r\n", 2, 4).unwrap(), "b: 2\n   ^");
    assert_eq!(marked("\t\u{1b}x: ü", 1, 6).unwrap(), "^I^[x: ü\n       ^");
    assert_eq!(marked("ab", 1, 99).unwrap(), "ab\n  ^");
    let long = format!("{}X{}", "a".repeat(5000), "b".repeat(5000));
    assert_eq!(
        marked(&long, 1, 5001).unwrap(),
        format!("...{}X{}...\n{}^", "a".repeat(70), "b".repeat(29), " ".repeat(73))
    );
    for (line, column) in [(0, 1), (3, 1), (1, 0), (-1, -1), (i64::MIN, i64::MIN)] {
        assert_eq!(marked("a\nb", line, column), None, "{line}:{column}");
    }
}

#[test]
fn no_line_is_shown_of_a_file_that_may_hold_a_secret() {
    for text in ["kind: Secret\ndata: {a: c2VjcmV0}", "{\"kind\":\"Secret\"}", "'Secret", "kind: SecretList"]
    {
        assert_eq!(marked(text, 1, 1), None, "{text}");
    }
    assert!(marked("secretName: x", 1, 1).is_some());
    assert!(marked("imagePullSecrets: x", 1, 1).is_some());
}
