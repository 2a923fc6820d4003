//! The architecture, checked. Runs with `cargo test`; needs nothing but the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, tests apart. Long enough for one idea, too short for two.
const MAX_LINES: usize = 400;

/// Which area may use which: an area may only use areas of a lower rank.
///
/// Equal rank means mutual ignorance, on purpose: `image` does not know that there are networks.
const RANKS: &[(u8, &[&str])] = &[
    (0, &["spec", "status", "yaml"]),
    (1, &["api", "sys", "tls"]),
    (2, &["host", "http", "manifest", "lifecycle", "bundle", "protocol", "seccomp"]),
    (3, &["image", "network", "volume", "cgroup", "probe", "config"]),
    (4, &["registry"]),
    (5, &["agent", "pod"]),
    // It starts the agent, and ends what one left.
    (6, &["cli"]),
    (7, &["main", "lib"]),
];

/// Areas without effects, and the words that would give them one.
const PURE: &[&str] =
    &["spec", "status", "yaml", "api", "manifest", "lifecycle", "bundle", "protocol", "seccomp"];
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "Instant",
    "SystemTime",
    "smol",
    "nix::",
    "log::",
];

/// Things with one home: a crate, a keyword.
const HOMES: &[(&str, &[&str])] = &[
    ("libcontainer::", &["pod"]),
    ("unsafe ", &["sys"]),
    ("rustls::", &["tls"]),
    ("smol::", &["agent", "image", "network", "volume", "probe", "protocol"]),
];

#[test]
fn files_are_short() {
    for source in sources() {
        let lines = source.text.lines().count();
        let is_test = source.path.ends_with("tests.rs");
        assert!(is_test || lines <= MAX_LINES, "{}: {lines} lines", source.path.display());
    }
}

#[test]
fn dependencies_point_down() {
    for source in sources() {
        for (number, line) in source.code() {
            for other in line.split("crate::").skip(1) {
                let other = other.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                let Some(other) = other.filter(|other| !other.is_empty()) else { continue };
                let fine = other == source.area || rank(other) < rank(&source.area);
                assert!(fine, "{}:{number}: {} uses {other}", source.path.display(), source.area);
            }
        }
    }
}

#[test]
fn the_core_is_pure() {
    for source in sources().iter().filter(|source| PURE.contains(&source.area.as_str())) {
        for (number, line) in source.code() {
            for word in EFFECTS {
                assert!(!line.contains(word), "{}:{number}: {word}", source.path.display());
            }
        }
    }
}

#[test]
fn everything_has_one_home() {
    for source in sources() {
        for (word, homes) in HOMES.iter().filter(|(_, homes)| !homes.contains(&&*source.area)) {
            for (number, line) in source.code() {
                let at = source.path.display();
                assert!(!line.contains(word), "{at}:{number}: {word} belongs in {homes:?}");
            }
        }
    }
}

fn rank(area: &str) -> u8 {
    let found = RANKS.iter().find(|(_, areas)| areas.contains(&area));
    found.unwrap_or_else(|| panic!("src/{area} has no rank: add it to RANKS")).0
}

struct Source {
    path: PathBuf,
    /// First path component under `src/`, without `.rs`.
    area: String,
    text: String,
}

impl Source {
    /// Numbered lines, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// A file that nobody declares is not compiled, and is read all the same.
#[test]
fn each_file_is_a_module() {
    let all = sources();
    for source in &all {
        let name = source.path.file_stem().expect("a file").to_string_lossy();
        let folder = source.path.parent().expect("below src");
        let (module, above) = match &*name {
            "main" | "lib" => continue,
            "mod" => (folder.file_name().expect("below src"), folder.parent().expect("below src")),
            _ => (source.path.file_stem().expect("a file"), folder),
        };
        let parents = ["mod.rs", "lib.rs", "main.rs"].map(|file| above.join(file));
        let declares = format!("mod {};", module.to_string_lossy());
        let declared = all.iter().any(|parent| {
            let is_above = parents.contains(&parent.path) || parent.path.with_extension("") == above;
            is_above
                && parent.code().any(|(_, line)| line.trim().trim_start_matches("pub ").ends_with(&declares))
        });
        assert!(declared, "{}: no file has {declares:?}", source.path.display());
    }
}

/// systemd gives up for good after five failed starts in ten seconds, unless it is told not to.
#[test]
fn the_unit_never_gives_an_agent_up() {
    let unit = fs::read_to_string("systemd/holdfast.service").expect("the unit is there");
    let (before, service) = unit.split_once("\n[Service]\n").expect("the unit has a section Service");
    assert!(before.starts_with("[Unit]\n") && before.lines().any(|line| line == "StartLimitIntervalSec=0"));
    for line in ["Restart=always", "RestartSec=2"] {
        assert!(service.lines().any(|known| known == line), "{line}");
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("tests run in the package root") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                let area = area(&path);
                found.push(Source { path, area, text });
            }
        }
    }
    assert!(!found.is_empty());
    found
}

fn area(path: &Path) -> String {
    let inside = path.strip_prefix("src").expect("found under src");
    let first = inside.components().next().expect("not src itself");
    Path::new(first.as_os_str()).with_extension("").to_string_lossy().into_owned()
}
