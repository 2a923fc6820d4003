//! Owners and modes: whoever may write a manifest, or reach into the state, is root.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Findings, Place};
use crate::host;

const STICKY: u32 = 0o1000;
const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

pub fn check(place: &Place) -> Findings {
    let mut findings = Findings::new("directories");
    let (runtime, data) = (&place.runtime, &place.data);
    for path in host::private(runtime, data).iter().chain([&data.store()]) {
        look(&mut findings, path, |findings, found| own(findings, path, found));
    }
    let archives = data.archives();
    let shared = [archives.as_path(), &place.manifests, &place.log_dir];
    for path in shared {
        look(&mut findings, path, |findings, found| shared_one(findings, path, found));
    }
    let mut above: Vec<&Path> = shared
        .iter()
        .chain([&place.data_dir.as_path(), &runtime.root()])
        .flat_map(|path| path.ancestors().skip(1))
        .collect();
    above.sort_unstable();
    above.dedup();
    for path in above {
        look(&mut findings, path, |findings, found| ancestor(findings, path, found));
    }
    manifests(&mut findings, place);
    findings
}

/// Looks at a directory; one that is not there is for the agent to make.
fn look(findings: &mut Findings, path: &Path, then: impl FnOnce(&mut Findings, &Metadata)) {
    match fs::symlink_metadata(path) {
        Ok(found) => then(findings, &found),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => findings.unseen(path, &error),
    }
}

/// Ours alone: nobody else may even look.
fn own(findings: &mut Findings, path: &Path, found: &Metadata) {
    let mode = found.mode() & 0o7777;
    if !found.is_dir() {
        let what = format!("{} is no directory", path.display());
        return findings.problem(what, "move it away, then start the agent: it makes the directory");
    }
    if found.uid() != 0 || mode & 0o077 != 0 {
        let what = format!(
            "{} has owner {} and mode {mode:04o}: others reach the state of pods",
            path.display(),
            found.uid()
        );
        return findings.problem(what, format!("as root: chown root {0}; chmod 0700 {0}", path.display()));
    }
    findings.ok(format!("{} is closed to others", path.display()));
}

fn shared_one(findings: &mut Findings, path: &Path, found: &Metadata) {
    let at = fs::metadata(path);
    let found = at.as_ref().unwrap_or(found);
    if !found.is_dir() {
        let what = format!("{} is no directory", path.display());
        return findings.problem(what, "move it away, and make a directory in its place");
    }
    match may_write(found) {
        Some(who) => findings.problem(
            format!("{who} may write into {}, and so be root on this node", path.display()),
            format!("as root: chown root {0}; chmod go-w {0}", path.display()),
        ),
        None => findings.ok(format!("{} is written by root alone", path.display())),
    }
}

/// A directory above: whoever may write there may put another one in the place of ours, unless it is sticky.
fn ancestor(findings: &mut Findings, path: &Path, found: &Metadata) {
    if found.is_dir()
        && found.mode() & STICKY == 0
        && let Some(who) = may_write(found)
    {
        let what = format!("{who} may write into {}, and so replace what is in it", path.display());
        findings.problem(what, format!("as root: chown root {0}; chmod go-w {0}", path.display()));
    }
}

/// Who else than root may write.
fn may_write(found: &Metadata) -> Option<String> {
    let mode = found.mode();
    match () {
        () if mode & OTHERS_WRITE != 0 => Some("everybody".to_string()),
        () if mode & GROUP_WRITE != 0 && found.gid() != 0 => Some(format!("group {}", found.gid())),
        () if found.uid() != 0 => Some(format!("user {}", found.uid())),
        () => None,
    }
}

/// Manifests that others than root may change.
fn manifests(findings: &mut Findings, place: &Place) {
    let directory = &place.manifests;
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries.flatten(),
        // An agent that runs has made it: that it is gone is the agent's to tell.
        Err(error) if error.kind() == ErrorKind::NotFound && place.agent_runs == Some(true) => return,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let what = format!("there is no {}", directory.display());
            return findings.warning(what, "the agent makes it; name another one by --pod-manifest-path");
        }
        Err(error) => return findings.unseen(directory, &error),
    };
    let open = entries.filter_map(|entry| {
        let who = may_write(&fs::metadata(entry.path()).ok()?)?;
        Some((entry.file_name().to_string_lossy().into_owned(), who))
    });
    let mut open: Vec<(String, String)> = open.collect();
    open.sort();
    if let Some((name, who)) = open.first() {
        let more = match open.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        findings.problem(
            format!("{who} may change {}{more}, and so be root on this node", directory.join(name).display()),
            format!("as root: chown root {0}/*; chmod go-w {0}/*", directory.display()),
        );
    }
}
