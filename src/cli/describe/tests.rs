#![allow(clippy::unwrap_used)]

use super::*;
use crate::api::published;

/// The texts are kubectl 1.32's for the same objects, but for three lines of our own, what a waiting container's message
/// is, and messages of several lines, which kubectl lets fall out of their column.
fn check(published: &str, now: &str, expected: &str) {
    let pod: published::Pod = published::read(published.as_bytes()).unwrap();
    let found = Found { uid: "6381e895".into(), pod };
    assert_eq!(super::pod(&found, now.parse().unwrap()), expected);
}

#[test]
fn a_crashing_pod_is_described_as_kubectl_does() {
    check(include_str!("crashing.json"), "2026-11-21T22:39:24Z", include_str!("crashing.txt"));
}

#[test]
fn a_pod_that_takes_too_long_to_end_says_since_when() {
    check(include_str!("ending.json"), "2026-11-21T21:21:30Z", include_str!("ending.txt"));
}

#[test]
fn a_pod_that_may_still_take_its_time_says_until_when() {
    let found = Found { uid: String::new(), pod: published::read(include_bytes!("ending.json")).unwrap() };
    let page = super::pod(&found, "2026-11-21T21:19:45Z".parse().unwrap());
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
        let found = Found { uid: String::new(), pod: published::read(published.as_bytes()).unwrap() };
        assert!(super::pod(&found, now()).starts_with("Name:"), "{shape}");
    }
}
