//! Which layers are mounted, in whatever mount namespace: the kernel's own word, not that of an agent.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Those of the layers' folder names that an overlay anywhere on the machine has.
///
/// Another store may have a layer of the same name mounted: it then counts here too, which keeps what could go.
pub fn among(names: &HashSet<String>) -> io::Result<HashSet<String>> {
    let mut found = HashSet::new();
    let mut seen = HashSet::new();
    for process in fs::read_dir("/proc")? {
        let process = process?.path();
        // A process may end at any instant, and its namespace with it.
        let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else { continue };
        if !seen.contains(&namespace) && look(&process, names, &mut found) {
            seen.insert(namespace);
        }
    }
    Ok(found)
}

/// Adds what is mounted for one process; whether it could be asked to the end.
fn look(process: &Path, names: &HashSet<String>, found: &mut HashSet<String>) -> bool {
    let Ok(table) = File::open(process.join("mountinfo")) else { return false };
    for line in BufReader::new(table).split(b'\n') {
        let Ok(line) = line else { return false };
        let line = String::from_utf8_lossy(&line);
        // The kernel's part of the line, in which nobody's directory name comes.
        if let Some((_, overlay)) = line.rsplit_once(" - overlay ") {
            found.extend(names.iter().filter(|name| overlay.contains(name.as_str())).cloned());
        }
    }
    true
}
