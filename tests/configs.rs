//! What configuration files mean: each `tests/configs/*.yaml` has beside it a `.txt` of what an agent would go by, with
//! what a person is told of it, or of what is wrong.
//!
//! `BLESS=1 cargo test --test configs` writes these anew; review the difference.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use holdfast::config::effective::{CommandLine, Files, effective};
use holdfast::config::{Given, Key, Origin};

/// No other file than this.
fn only(path: impl AsRef<Path>) -> Files {
    Files { main: Some(path.as_ref().to_owned()), drop_ins: None }
}

#[test]
fn configurations_mean_what_their_txt_says() {
    let mut wrong = Vec::new();
    for path in corpus() {
        let found = dump(&path, CommandLine::default());
        let expected = PathBuf::from(format!("{}.txt", path.display()));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("--- {} means\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}(BLESS=1 accepts this)", wrong.join("\n"));
}

#[test]
fn no_value_that_is_not_understood_is_ever_told() {
    for path in corpus() {
        let told = dump(&path, CommandLine::default());
        assert!(!told.contains("SECRET"), "{}:\n{told}", path.display());
    }
    let text: String = corpus().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(text.contains("SECRET"), "there was something to be kept");
}

#[test]
fn the_command_line_is_laid_over_drop_ins_over_the_file_over_defaults() {
    let path = Path::new("tests/configs/k3s.yaml");
    let from = |command_line: CommandLine, key: Key| {
        let found = effective(command_line, &only(path), Path::new("/run/holdfast")).unwrap();
        let setting = found.settings.into_iter().find(|it| it.name == key.name()).unwrap();
        (setting.value, setting.origin.to_string())
    };
    let said = |key, value: &str| CommandLine {
        givens: vec![Given::flag(key, vec![value.to_owned()])],
        ..CommandLine::default()
    };
    let plain = |key| from(CommandLine::default(), key);
    assert_eq!(plain(Key::LogMaxFiles), ("5".to_owned(), "default".to_owned()));
    assert_eq!(plain(Key::DataDir), ("/srv/k3s".to_owned(), format!("{}:3", path.display())));
    let drop_in = "tests/configs/k3s.yaml.d/20-name.yml:1".to_owned();
    assert_eq!(plain(Key::NodeName), ("edge-2".to_owned(), drop_in));
    assert_eq!(
        from(said(Key::NodeName, "edge-3"), Key::NodeName),
        ("edge-3".to_owned(), "command line".to_owned())
    );
    // As in k3s, what can be given several times is replaced as a whole.
    let args = || CommandLine { kubelet_args: vec!["v=4".to_owned()], ..CommandLine::default() };
    assert_eq!(plain(Key::MaxPods).0, "20");
    assert_eq!(from(args(), Key::MaxPods).0, "110");
    assert_eq!(from(args(), Key::Log), ("debug".to_owned(), "command line".to_owned()));
    assert_eq!(from(said(Key::NodeLabel, "a=b"), Key::NodeLabel).0, "a=b");
}

#[test]
fn a_wrong_flag_is_told_by_its_name_and_a_wrong_file_beside_it() {
    let kubelet_args = vec!["max-pods=many".to_owned(), "token=SECRET".to_owned(), "token SECRET".to_owned()];
    let command_line = CommandLine { kubelet_args, ..CommandLine::default() };
    let problems =
        effective(command_line, &only("tests/configs/none.yaml"), Path::new("/run/x")).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "tests/configs/none.yaml:1:1: it cannot be read: No such file or directory (os error 2); give a file that can be",
            "--kubelet-arg max-pods: \"many\" is no whole number; write a whole number of at least 0"
        ]
    );
    assert_eq!(problems[1].origin, Origin::CommandLine);
}

/// Bombs, and what is no file, end as fast as any other; `/dev/zero` would never.
#[test]
fn hostile_files_are_refused() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("configs");
    fs::create_dir_all(&folder).unwrap();
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        writeln!(
            laughs,
            "a{level}: &a{level} [{}*a{last}]",
            format!("*a{last}, ", last = level - 1).repeat(8),
            last = level - 1
        )
        .unwrap();
    }
    let cases =
        [("laughs", laughs), ("latin", "caf\u{e9}: [".to_owned()), ("twice", "v: 1\nv: 2\n".to_owned())];
    for (name, text) in cases {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        let problems = effective(CommandLine::default(), &only(&path), Path::new("/run/x")).unwrap_err();
        assert_eq!(problems.len(), 1, "{name}: {problems:?}");
    }
    for path in ["/dev/zero", "/proc", "/nowhere/at/all"] {
        let found = effective(CommandLine::default(), &only(path), Path::new("/run/x"));
        assert_eq!(found.unwrap_err().len(), 1, "{path}");
    }
    let many: String = (0..40_000).map(|number| format!("k{number}: {number}\n")).collect();
    let path = folder.join("many");
    fs::write(&path, many).unwrap();
    let found = effective(CommandLine::default(), &only(&path), Path::new("/run/x")).unwrap();
    assert_eq!(found.agent.notes.len(), 1);
    assert!(found.agent.notes[0].len() < 1000 && found.agent.notes[0].ends_with("and 39960 more"));
}

fn dump(path: &Path, command_line: CommandLine) -> String {
    let mut out = String::new();
    match effective(command_line, &only(path), Path::new("/run/holdfast")) {
        Ok(found) => {
            for note in &found.agent.notes {
                writeln!(out, "{note}").unwrap();
            }
            for it in found.settings.iter().filter(|it| it.origin != Origin::Default) {
                writeln!(out, "{} = {} ({})", it.name, it.value, it.origin).unwrap();
            }
        }
        Err(problems) => problems.iter().for_each(|problem| writeln!(out, "error: {problem}").unwrap()),
    }
    out
}

fn corpus() -> Vec<PathBuf> {
    let files = fs::read_dir("tests/configs").unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.is_file() && path.extension().is_none_or(|end| end != "txt")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}
