//! What is new in what became of the manifests: for the log and for the ring of events.

use log::{error, warn};

use super::publish::Note;
use crate::manifest::verdict::{FileState, FileVerdict, Verdict};
use crate::status::EventKind;

/// Events of one change of the directory; what is beyond is counted in one more.
const MAX_NOTES: usize = 20;

/// Tells the log what is wrong and was not told before.
pub fn log(last: Option<&Verdict>, verdict: &Verdict) {
    let told = |file: &&FileVerdict| last.is_some_and(|last| last.files.contains(file));
    for file in verdict.files.iter().filter(|file| !told(file)) {
        for problem in &file.problems {
            warn!("{}/{}:{problem}", verdict.directory, file.name);
        }
    }
    if let Some(problem) = &verdict.problem {
        error!("{}: {problem}", verdict.directory);
    }
}

/// The events that lead from `last` to `verdict`.
pub fn notes(last: Option<&Verdict>, verdict: &Verdict) -> Vec<Note> {
    let mut notes = Vec::new();
    let directory = &verdict.directory;
    match (last.and_then(|last| last.problem.as_ref()), &verdict.problem) {
        (before, Some(problem)) if before != Some(problem) => {
            notes.push(warning("ManifestsUnreadable", format!("{directory}: {problem}")));
        }
        (Some(_), None) => notes.push(normal("ManifestsReadable", format!("{directory}: is read again"))),
        _ => {}
    }
    let before = |name: &str| last.and_then(|last| last.files.iter().find(|file| file.name == name));
    let of_files = verdict.files.iter().filter_map(|file| of_file(before(&file.name), file));
    let mut of_files: Vec<Note> = of_files.collect();
    if MAX_NOTES < of_files.len() {
        let more = of_files.len() - MAX_NOTES;
        of_files.truncate(MAX_NOTES);
        let message = format!("{directory}: {more} more files changed; `holdfast get manifests` lists all");
        of_files.push(warning("ManifestsChanged", message));
    }
    notes.extend(of_files);
    notes
}

/// The first thing that is wrong with a file, or that it is right again.
fn of_file(before: Option<&FileVerdict>, file: &FileVerdict) -> Option<Note> {
    let wrong = |state| matches!(state, FileState::Refused | FileState::Partial | FileState::LastGood);
    if before == Some(file) {
        return None;
    }
    let first = file.problems.first().map(|problem| {
        let more = match file.problems.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        format!("{}:{problem}{more}", file.name)
    });
    match (file.state, first) {
        (FileState::LastGood, Some(first)) => {
            Some(warning("ManifestRefused", format!("{first}; its pods go on as it was when it was right")))
        }
        (FileState::Refused | FileState::Partial, Some(first)) => Some(warning("ManifestRefused", first)),
        (FileState::Accepted, Some(first)) if before.is_none_or(|it| it.problems != file.problems) => {
            Some(warning("ManifestWarning", first))
        }
        (FileState::Accepted, None) if before.is_some_and(|it| wrong(it.state)) => {
            Some(normal("ManifestAccepted", format!("{}: is right again", file.name)))
        }
        _ => None,
    }
}

fn warning(reason: &'static str, message: String) -> Note {
    Note { kind: EventKind::Warning, reason, message }
}

fn normal(reason: &'static str, message: String) -> Note {
    Note { kind: EventKind::Normal, reason, message }
}

#[cfg(test)]
mod tests;
