use super::*;

fn finding(level: Level, area: &'static str, what: &str, fix: &str) -> Finding {
    Finding { level, area, what: what.into(), fix: fix.into() }
}

fn found() -> Vec<Finding> {
    vec![
        finding(Level::Ok, "kernel", "Linux 6.1", ""),
        finding(Level::Ok, "kernel", "overlay file systems", ""),
        finding(Level::Ok, "kernel", "seccomp filters", ""),
        finding(Level::Ok, "disk", "/d: 3.0G of 8.0G free (37%)", ""),
        finding(Level::Problem, "disk", "/l: 1.0M of 8.0G free (0%)", "remove what is not needed"),
        finding(Level::Warning, "leftovers", "logs of \u{1b}[2J", "remove them\nnow"),
        finding(Level::Unseen, "agent", "/run/holdfast may not be looked at", "run this as root"),
    ]
}

#[test]
fn what_is_well_is_one_line_and_what_is_not_says_what_to_do() {
    let expected = "\
ok       kernel       Linux 6.1; overlay file systems; and 1 more
problem  disk         /l: 1.0M of 8.0G free (0%)
                      -> remove what is not needed
warning  leftovers    logs of ^[[2J
                      -> remove them^Jnow
unseen   agent        /run/holdfast may not be looked at
                      -> run this as root
1 problem, 1 warning, 1 thing could not be looked at
";
    assert_eq!(page(&found(), false), expected);
    assert_eq!(page(&found(), true).lines().count(), expected.lines().count() + 3);
    assert_eq!(page(&found()[..1], false), "ok       kernel       Linux 6.1\nall is well\n");
}

#[test]
fn the_worst_is_the_verdict_and_programs_are_told_all() {
    let found = found();
    assert_eq!(worst(&found), Level::Problem);
    assert_eq!(worst(&found[..3]), Level::Ok);
    assert_eq!(worst(&[]), Level::Ok);
    // What could not be seen is no fault.
    assert!(Level::Unseen < Level::Warning);
    let told = value(&found);
    assert_eq!((&told["version"], &told["verdict"]), (&json!(1), &json!("problem")));
    let expected = json!({"level": "ok", "area": "kernel", "what": "Linux 6.1", "fix": ""});
    assert_eq!((&told["findings"][0], told["findings"].as_array().map(Vec::len)), (&expected, Some(7)));
}
