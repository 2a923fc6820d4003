//! Which containers are meant, and which run of each.

use std::io;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Result, bail, ensure};

use super::files::Directory;
use super::gone;
use crate::cli::field::{called, statuses, text};
use crate::cli::read::{self, Found, Selection};
use crate::cli::select::Labels;
use crate::cli::{args, choose, say};
use crate::host::Runtime;

/// A container whose log is meant.
pub struct Wanted {
    /// Its pod.
    pub found: Rc<Found>,
    /// Its name.
    pub container: String,
}

/// A run of a container.
pub enum Run {
    /// The files of this one.
    Logged(Directory, u32),
    /// It never wrote.
    Silent,
    /// None has begun yet, for this reason.
    Waiting(String),
}

/// The containers that are asked for, in the order of pods and in theirs.
pub fn containers(runtime: &Runtime, logs: &args::Logs) -> Result<Vec<Wanted>> {
    let namespace = &logs.namespace.namespace;
    let pods = match (&logs.name, &logs.selector) {
        (Some(name), _) => vec![pod(runtime, namespace, name, logs.log_dir.as_deref())?],
        (None, selector) => {
            let labels = Labels::parse(selector.as_deref().unwrap_or_default())?;
            let selection = Selection { namespace: Some(namespace.clone()), name: None };
            let mut pods = read::pods(runtime, &selection)?;
            pods.retain(|found| labels.holds(&found.pod.object));
            if pods.is_empty() {
                say(&format!("No resources found in {namespace} namespace."));
            }
            pods
        }
    };
    let mut wanted = Vec::new();
    for found in pods {
        let found = Rc::new(found);
        let names = match logs.all_containers {
            true => choose::names(&found).into_iter().map(str::to_string).collect(),
            false => vec![choose::container(&found, logs.container())?],
        };
        wanted.extend(names.into_iter().map(|container| Wanted { found: found.clone(), container }));
    }
    let (count, most) = (wanted.len(), logs.max_log_requests);
    ensure!(
        !logs.follow || count <= most,
        "{count} logs are to be followed at once, at most {most} are; use --max-log-requests to allow more"
    );
    Ok(wanted)
}

/// The pod called `name`, also one that is gone and left its logs.
fn pod(runtime: &Runtime, namespace: &str, name: &str, log_dir: Option<&Path>) -> Result<Found> {
    read::pod(runtime, namespace, name).or_else(|error| {
        // Who may not look does not know that it is gone.
        if error.chain().any(|cause| cause.is::<io::Error>()) {
            return Err(error);
        }
        gone::pod(runtime, log_dir, namespace, name)?.ok_or(error)
    })
}

impl Wanted {
    /// The run that is asked for: the latest, or the one before it.
    pub fn run(&self, previous: bool) -> Result<Run> {
        let directory = self.directory()?;
        let status = called(statuses(&self.found.pod.object), &self.container);
        let waiting = status.map(|status| text(status, "/state/waiting/reason")).unwrap_or_default();
        let mut attempts: Vec<u32> = match &directory {
            Some(directory) => directory.logs()?.iter().map(|log| log.attempt).collect(),
            None => Vec::new(),
        };
        attempts.sort_unstable();
        attempts.dedup();
        // A container that waits has ended: its latest run is the one before the next.
        let back = if previous && waiting.is_empty() { 2 } else { 1 };
        let attempt = match attempts.len().checked_sub(back) {
            Some(index) => attempts[index],
            None if previous => bail!(
                "previous terminated container {:?} in pod {:?} not found",
                self.container,
                self.found.name()
            ),
            None if !waiting.is_empty() => return Ok(Run::Waiting(waiting.to_string())),
            None => 0,
        };
        Ok(directory.map_or(Run::Silent, |directory| Run::Logged(directory, attempt)))
    }

    /// The container's directory; `None` where it never wrote.
    fn directory(&self) -> Result<Option<Directory>> {
        let path = Path::new(&self.found.pod.log_directory);
        let (Some(root), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            bail!("{:?} is no log directory", self.found.pod.log_directory);
        };
        let Some(root) = Directory::open(root)? else { return Ok(None) };
        let Some(pod) = root.enter(name)? else { return Ok(None) };
        pod.enter(&self.container)
    }
}
