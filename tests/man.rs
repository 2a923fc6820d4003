//! The manual pages: one a command, and fit for print.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod debian;
mod terminal;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn each_command_has_a_page_that_can_be_set() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    let _ = fs::remove_dir_all(&folder);
    let mut command = debian::cargo();
    command.args(["run", "--quiet", "--locked", "--example", "man"]).arg(&folder);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let grammar = holdfast::cli::grammar();
    let verbs = grammar.get_subcommands().filter(|verb| !verb.is_hide_set());
    let wanted: BTreeSet<String> = verbs.map(|verb| format!("holdfast-{}.1", verb.get_name())).collect();
    let pages = fs::read_dir(&folder).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = pages.collect();
    assert!(pages.contains("holdfast.1"));
    assert_eq!(wanted.difference(&pages).collect::<Vec<_>>(), [""; 0], "commands without a page");
    for page in pages {
        let mandoc = terminal::folder().join("mandoc");
        let lint = Command::new(&mandoc)
            .args(["-T", "lint", "-W", "error"])
            .arg(folder.join(&page))
            .output()
            .unwrap();
        assert!(lint.status.success(), "{page}: {}", String::from_utf8_lossy(&lint.stdout));
        let set = Command::new(&mandoc).args(["-T", "utf8"]).arg(folder.join(&page)).output().unwrap();
        let text = String::from_utf8(set.stdout).unwrap();
        // A bold letter is one struck twice.
        assert!(text.contains("E\u{8}EX\u{8}XI") || text.contains("S\u{8}SE\u{8}EE\u{8}E"), "{page}: {text}");
    }
}
