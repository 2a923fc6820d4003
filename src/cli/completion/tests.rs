#![allow(clippy::unwrap_used)]

use super::*;

/// The words that `line` may end with, as far as the grammar knows them.
fn known(line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(str::to_string).collect();
    let asked = grammar::asked(crate::cli::grammar(), &words);
    candidates(&asked).into_iter().map(|candidate| candidate.word).collect()
}

/// The name of the value that comes last.
fn value(line: &str) -> Option<String> {
    let words: Vec<String> = line.split(' ').map(str::to_string).collect();
    grammar::asked(crate::cli::grammar(), &words).name
}

#[test]
fn verbs_flags_and_kinds_come_from_the_grammar() {
    assert_eq!(known("des"), ["describe"]);
    assert!(known("").contains(&"logs".to_string()));
    assert!(!known("").iter().any(|verb| verb.starts_with("__") || verb == "hello"), "hidden ones stay so");
    assert_eq!(known("describe --show"), ["--show-events"]);
    assert_eq!(known("describe p"), ["pod"]);
    assert_eq!(known("describe -n default -A man"), ["manifest"]);
    assert_eq!(known("--color a"), ["auto", "always"]);
    assert_eq!(known("get --color=ne"), ["--color=never"]);
    assert_eq!(known("nonsense -x --y z "), [""; 0]);
}

#[test]
fn a_value_is_known_by_its_name() {
    for (line, name) in [
        ("logs ", Some("POD")),
        ("logs -f -n x ", Some("POD")),
        ("logs web -c ", Some("CONTAINER")),
        ("logs web --container=", Some("CONTAINER")),
        ("exec -it", None),
        ("exec web -- ls ", None),
        ("logs -n ", Some("NAMESPACE")),
        ("describe pod ", Some("NAME")),
        ("describe pod web ", Some("NAME")),
        ("describe pod/", Some("NAME")),
        ("logs web ", Some("CONTAINER")),
    ] {
        assert_eq!(value(line).as_deref(), name, "{line:?}");
    }
}

#[test]
fn a_path_is_the_shell_s_to_complete() {
    for (line, files) in
        [("--runtime-dir /r", true), ("agent --data-dir ", true), ("logs ", false), ("agent ", false)]
    {
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        assert_eq!(grammar::asked(crate::cli::grammar(), &words).files, files, "{line:?}");
    }
}
