#![allow(clippy::unwrap_used)]

use super::*;
use crate::manifest::verdict::{Problem, Severity};

fn file(name: &str, state: FileState, problems: &[&str]) -> FileVerdict {
    let problem = |message: &&str| Problem {
        severity: if state == FileState::Accepted { Severity::Warning } else { Severity::Error },
        line: 3,
        column: 7,
        path: "spec.containers".into(),
        message: (*message).into(),
        fix: String::new(),
    };
    let problems = problems.iter().map(problem).collect();
    let (pods, documents) = (Vec::new(), Vec::new());
    FileVerdict { name: name.into(), state, pods, documents, problems, ignored: None }
}

fn verdict(files: Vec<FileVerdict>) -> Verdict {
    Verdict { version: 1, directory: "/m".into(), problem: None, files }
}

fn told(last: Option<&Verdict>, verdict: &Verdict) -> Vec<String> {
    notes(last, verdict)
        .iter()
        .map(|note| format!("{:?} {}: {}", note.kind, note.reason, note.message))
        .collect()
}

#[test]
fn a_manifest_goes_wrong_and_is_right_again() {
    let right = verdict(vec![file("web.yaml", FileState::Accepted, &[])]);
    let wrong = verdict(vec![file("web.yaml", FileState::LastGood, &["must not be empty", "b"])]);
    let refused = verdict(vec![file("web.yaml", FileState::Refused, &["must not be empty"])]);
    let warned = verdict(vec![file("web.yaml", FileState::Accepted, &["unknown field"])]);
    assert_eq!(told(None, &right), [""; 0]);
    assert_eq!(
        told(Some(&right), &wrong),
        [
            "Warning ManifestRefused: web.yaml:3:7: error: spec.containers: must not be empty (and 1 more); its pods go \
          on as it was when it was right"
        ]
    );
    assert_eq!(told(Some(&wrong), &wrong), [""; 0]);
    assert_eq!(told(Some(&wrong), &right), ["Normal ManifestAccepted: web.yaml: is right again"]);
    assert_eq!(
        told(None, &refused),
        ["Warning ManifestRefused: web.yaml:3:7: error: spec.containers: must not be empty"]
    );
    assert_eq!(
        told(Some(&right), &warned),
        ["Warning ManifestWarning: web.yaml:3:7: warning: spec.containers: unknown field"]
    );
}

#[test]
fn a_directory_that_goes_and_comes_back_is_told() {
    let there = verdict(Vec::new());
    let gone = Verdict { problem: Some("no such file or directory".into()), ..there.clone() };
    assert_eq!(told(Some(&there), &gone), ["Warning ManifestsUnreadable: /m: no such file or directory"]);
    assert_eq!(told(Some(&gone), &gone), [""; 0]);
    assert_eq!(told(Some(&gone), &there), ["Normal ManifestsReadable: /m: is read again"]);
}

#[test]
fn a_thousand_wrong_files_are_a_few_events() {
    let names = (0..1000).map(|number| format!("{number}.yaml"));
    let verdict = verdict(names.map(|name| file(&name, FileState::Refused, &["a"])).collect());
    let told = told(None, &verdict);
    assert_eq!(told.len(), MAX_NOTES + 1);
    assert_eq!(
        told[MAX_NOTES],
        "Warning ManifestsChanged: /m: 980 more files changed; `holdfast get manifests` lists all"
    );
}
