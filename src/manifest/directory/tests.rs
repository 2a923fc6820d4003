#![allow(clippy::unwrap_used)]

use super::*;
use crate::manifest::verdict::{FileState, Verdict};
use crate::spec::Kind;

const A: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: one}]}\n";
const A_EDITED: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: two}]}\n";
const A_WRONG: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\n";
const B: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {containers: [{name: c, image: one}]}\n";
const TORN: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: 'a";

fn context() -> Context {
    Context { node_name: "Node".to_owned(), directory: "/manifests/".to_owned() }
}

/// A directory in which each of `files` was written, one after the other.
fn directory(files: &[(&str, &str)]) -> Directory {
    let mut directory = Directory::new(context());
    write(&mut directory, files);
    directory
}

fn write(directory: &mut Directory, files: &[(&str, &str)]) {
    for (name, text) in files {
        directory.set(name, &FileContent::Bytes(text.as_bytes().to_vec()));
    }
}

/// `name image` of each pod that is to run.
fn running(directory: &Directory) -> Vec<String> {
    let wanted = directory.wanted();
    wanted.iter().map(|pod| format!("{} {}", pod.name, pod.containers[0].image)).collect()
}

/// Each file with its state, its pods (an older version with a `*`), and its first problem or reason.
fn told(directory: &Directory) -> Vec<String> {
    let files = directory.verdict().files.into_iter().map(|file| {
        let pods =
            file.pods.iter().map(|pod| format!(" {}{}", pod.name, if pod.last_good { "*" } else { "" }));
        let why = file.problems.first().map(ToString::to_string).or(file.ignored).unwrap_or_default();
        format!("{} {:?}{}: {why}", file.name, file.state, pods.collect::<String>())
    });
    files.collect()
}

#[track_caller]
fn check(directory: &Directory, pods: &[&str], files: &[&str]) {
    assert_eq!(running(directory), pods);
    let told = told(directory);
    assert_eq!(told.len(), files.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(files) {
        assert!(told.starts_with(expected), "{told:?} is not {expected:?}");
    }
}

/// Acceptance 1.18 and 1.19; row 30 of the threats.
#[test]
fn what_editors_and_tools_leave_is_listed_with_the_reason_but_not_run() {
    let ignored = [
        "#a.yaml#",
        ".a.yaml",
        ".a.yaml.swp",
        "4913",
        "5036",
        "README.md",
        "a.yaml.bak",
        "a.yaml.dpkg-new",
        "a.yaml.swp",
        "a.yaml___jb_tmp___",
        "a.yaml~",
        "sedAbC123",
    ];
    for name in ignored {
        let directory = directory(&[(name, A)]);
        check(&directory, &[], &[&format!("{name} Ignored: ")]);
        assert!(
            directory.verdict().files[0].ignored.as_ref().is_some_and(|reason| reason.len() > 10),
            "{name}"
        );
    }
    for name in ["a.yaml", "a.yml", "a.json", "a.YAML", "a", "a.b.yaml", "sediment", "49", "4914"] {
        assert!(Directory::reads(name), "{name}");
        check(&directory(&[(name, A)]), &["a-node one"], &[&format!("{name} Accepted a-node: ")]);
    }
}

/// Acceptance 1.20.
#[test]
fn what_is_no_file_is_listed_and_others_run() {
    let mut directory = directory(&[("a.yaml", A)]);
    for (name, content, state) in [
        ("b", FileContent::Directory, "b Ignored: a directory"),
        ("c", FileContent::Socket, "c Ignored: a socket"),
        ("d", FileContent::Fifo, "d Ignored: a FIFO"),
        ("e", FileContent::Device, "e Ignored: a device"),
        ("f", FileContent::TooLarge(11 << 20), "f Ignored: too large: 11534336 bytes"),
        (
            "g",
            FileContent::Unreadable("permission denied".to_owned()),
            "g Refused: 1:1: error: cannot be read: perm",
        ),
    ] {
        assert!(directory.set(name, &content));
        assert!(!directory.set(name, &content), "nothing changed");
        check(&directory, &["a-node one"], &["a.yaml Accepted", state]);
        assert!(directory.gone(name));
    }
}

/// Acceptance 1.21.
#[test]
fn a_broken_new_file_disturbs_no_other() {
    let directory = directory(&[("a.yaml", A), ("b.yaml", TORN), ("c.yaml", B)]);
    check(
        &directory,
        &["a-node one", "b-node one"],
        &["a.yaml Accepted a-node: ", "b.yaml Refused: 3:18: error: not YAML", "c.yaml Accepted"],
    );
}

/// Acceptance 1.22: the last good version goes on, under its own uid.
#[test]
fn a_broken_edit_keeps_what_ran() {
    let wrongs = [
        TORN,
        A_WRONG,
        "",
        "# nothing\n",
        "x",
        "{",
        "kind: Pod",
        "\u{0}",
        "apiVersion: v1\nkind: List\nitems: 5\n",
    ];
    for wrong in wrongs {
        let mut directory = directory(&[("a.yaml", A)]);
        let uid = directory.wanted()[0].uid.clone();
        write(&mut directory, &[("a.yaml", wrong)]);
        check(&directory, &["a-node one"], &["a.yaml LastGood a-node*: "]);
        assert_eq!(directory.wanted()[0].uid, uid, "{wrong:?}");
        write(&mut directory, &[("a.yaml", TORN)]);
        check(&directory, &["a-node one"], &["a.yaml LastGood a-node*: "]);
        write(&mut directory, &[("a.yaml", A)]);
        check(&directory, &["a-node one"], &["a.yaml Accepted a-node: "]);
        assert_eq!(directory.wanted()[0].uid, uid, "mended");
        write(&mut directory, &[("a.yaml", wrong)]);
        assert!(directory.gone("a.yaml"));
        check(&directory, &[], &[]);
    }
}

/// After a power cut nothing is known of a file but what it held when all of it was last right.
#[test]
fn a_file_that_is_wrong_from_the_start_runs_what_it_last_held() {
    for wrong in [TORN, "", A_WRONG] {
        let mut first = Directory::new(context());
        assert!(first.is_new("a.yaml"));
        first.recall("a.yaml", A.as_bytes());
        assert!(first.is_new("a.yaml"), "nothing was seen of it yet");
        write(&mut first, &[("a.yaml", wrong)]);
        check(&first, &["a-node one"], &["a.yaml LastGood a-node*: "]);
        assert_eq!(first.wanted()[0].uid, directory(&[("a.yaml", A)]).wanted()[0].uid);
        assert!(!first.is_new("a.yaml") && !first.is_right("a.yaml"));
        write(&mut first, &[("a.yaml", B)]);
        check(&first, &["b-node one"], &["a.yaml Accepted b-node: "]);
        assert!(first.is_right("a.yaml"));
    }
}

/// What still runs is newer than what was last right as a whole.
#[test]
fn what_runs_is_not_replaced_by_what_is_recalled() {
    let edited = directory(&[("a.yaml", A_EDITED)]).wanted()[0].clone();
    let both = format!("{A}---\n{B}");
    let mut next = Directory::new(context());
    next.remember(edited);
    next.recall("a.yaml", both.as_bytes());
    write(&mut next, &[("a.yaml", TORN)]);
    check(&next, &["a-node two", "b-node one"], &["a.yaml LastGood a-node* b-node*: "]);
}

/// Each document may be what is wrong: such a file as a whole is nothing to go back to.
#[test]
fn a_file_is_right_when_all_of_it_is() {
    let partly = directory(&[("a.yaml", &format!("{A}---\n{A_WRONG}")), ("b.yaml", B), ("notes.txt", A)]);
    assert_eq!(
        ["a.yaml", "b.yaml", "notes.txt", "c.yaml"].map(|name| partly.is_right(name)),
        [false, true, false, false]
    );
    let mut later = directory(&[("b.yaml", B)]);
    later.set("b.yaml", &FileContent::Unreadable("input/output error".to_owned()));
    assert!(!later.is_right("b.yaml"));
}

/// Row 30 of the threats: a name that turns into something else is not a name that is gone.
#[test]
fn a_file_that_becomes_something_else_keeps_what_ran() {
    let contents = [
        FileContent::Directory,
        FileContent::Fifo,
        FileContent::Device,
        FileContent::Socket,
        FileContent::TooLarge(1 << 40),
        FileContent::Unreadable("input/output error".to_owned()),
    ];
    for content in contents {
        let mut directory = directory(&[("a.yaml", A)]);
        directory.set("a.yaml", &content);
        check(&directory, &["a-node one"], &["a.yaml LastGood a-node*: 1:1: error: "]);
        write(&mut directory, &[("a.yaml", A_EDITED)]);
        check(&directory, &["a-node two"], &["a.yaml Accepted a-node: "]);
    }
}

#[test]
fn of_a_file_with_several_documents_the_right_ones_change_and_the_wrong_ones_stay() {
    let mut directory = directory(&[("x", &format!("{A}---\n{B}"))]);
    check(&directory, &["a-node one", "b-node one"], &["x Accepted a-node b-node: "]);
    write(&mut directory, &[("x", &format!("{A_WRONG}---\n{}", B.replace("one", "new")))]);
    check(&directory, &["b-node new", "a-node one"], &["x LastGood b-node a-node*: 4:"]);
    // What has left the file ends, though another document is wrong.
    write(&mut directory, &[("x", A_WRONG)]);
    check(&directory, &["a-node one"], &["x LastGood a-node*: "]);
    // A new name that is wrong may be the old one, renamed.
    write(&mut directory, &[("x", &A_WRONG.replace("name: a", "name: other"))]);
    check(&directory, &["a-node one"], &["x LastGood a-node*: "]);
    // Something that is no pod keeps only what it may have been.
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n";
    write(&mut directory, &[("x", &format!("{A}---\n{service}"))]);
    check(&directory, &["a-node one"], &["x Partial a-node: "]);
    write(&mut directory, &[("x", &format!("{B}---\n{service}"))]);
    check(&directory, &["b-node one"], &["x Partial b-node: "]);
    write(&mut directory, &[("x", &service.replace("name: s", "name: b"))]);
    check(&directory, &["b-node one"], &["x LastGood b-node*: "]);
    // Where it cannot be told who is wrong, all that is not replaced stays.
    write(&mut directory, &[("x", &format!("{A}---\n{B}"))]);
    write(&mut directory, &[("x", &format!("{A_EDITED}---\napiVersion: v1\n"))]);
    check(&directory, &["a-node two", "b-node one"], &["x LastGood a-node b-node*: "]);
}

#[test]
fn of_a_new_file_with_several_documents_the_right_ones_run() {
    let directory = directory(&[("x", &format!("{A_WRONG}---\n{B}"))]);
    check(
        &directory,
        &["b-node one"],
        &["x Partial b-node: 4:21: error: spec.containers[0].image: must not be empty"],
    );
}

/// Acceptance 1.23.
#[test]
fn a_renamed_file_is_another_pod() {
    let mut directory = directory(&[("a.yaml", A)]);
    let uid = directory.wanted()[0].uid.clone();
    directory.gone("a.yaml");
    write(&mut directory, &[("b.yaml", A)]);
    check(&directory, &["a-node one"], &["b.yaml Accepted"]);
    assert_ne!(directory.wanted()[0].uid, uid);
}

/// Acceptance 1.24.
#[test]
fn of_two_files_with_the_same_pod_the_first_runs_and_the_other_is_reported() {
    let mut directory = directory(&[("b.yaml", A), ("c.yaml", &format!("{A_EDITED}---\n{B}"))]);
    check(
        &directory,
        &["a-node one", "b-node one"],
        &[
            "b.yaml Accepted a-node: ",
            "c.yaml Partial b-node: 3:12: error: metadata.name: the pod default/a-node runs from \"b.yaml\"",
        ],
    );
    write(&mut directory, &[("a.yaml", A_EDITED)]);
    check(
        &directory,
        &["a-node two", "b-node one"],
        &["a.yaml Accepted", "b.yaml Refused", "c.yaml Partial"],
    );
    directory.gone("a.yaml");
    check(&directory, &["a-node one", "b-node one"], &["b.yaml Accepted", "c.yaml Partial"]);
    // A broken first file goes on holding the name.
    write(&mut directory, &[("b.yaml", A_WRONG)]);
    check(&directory, &["a-node one", "b-node one"], &["b.yaml LastGood", "c.yaml Partial"]);
    directory.gone("b.yaml");
    check(&directory, &["a-node two", "b-node one"], &["c.yaml Accepted"]);
    let twice = format!("{A}---\n{A_EDITED}");
    write(&mut directory, &[("c.yaml", &twice)]);
    check(
        &directory,
        &["a-node one"],
        &["c.yaml Partial a-node: 8:12: error: metadata.name: the pod default/a-node is in"],
    );
}

/// Acceptance 1.25.
#[test]
fn a_directory_that_vanishes_is_told_and_ends_nothing() {
    let mut directory = directory(&[("a.yaml", A), ("b.yaml", B)]);
    assert_eq!(directory.verdict().problem, None);
    directory.vanished("no such directory");
    check(&directory, &["a-node one", "b-node one"], &["a.yaml Accepted", "b.yaml Accepted"]);
    assert_eq!(directory.verdict().problem.as_deref(), Some("no such directory"));
    assert!(directory.listed(["b.yaml"]), "it came back with one file less");
    check(&directory, &["b-node one"], &["b.yaml Accepted"]);
    assert_eq!(directory.verdict().problem, None);
    assert!(!directory.listed(["b.yaml"]));
    assert!(directory.listed([]), "an empty directory is an order");
    check(&directory, &[], &[]);
}

#[test]
fn a_touched_file_or_a_changed_comment_changes_nothing() {
    let mut directory = directory(&[("a.yaml", A)]);
    let uid = directory.wanted()[0].uid.clone();
    assert!(!directory.set("a.yaml", &FileContent::Bytes(A.as_bytes().to_vec())), "touched");
    let same = [
        format!("# a comment\n{A}"),
        format!("{A}---\n{B}"),
        "kind: Pod\nspec:\n  containers:\n  - image: 'one'\n    name: c\nmetadata: {name: a}\napiVersion: \"v1\"\n".to_owned(),
        r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": null},
            "spec": {"containers": [{"name": "c", "image": "one"}]}}"#.to_owned(),
        format!("apiVersion: v1\nkind: List\nitems:\n- {}", A.trim_end().replace('\n', "\n  ")),
    ];
    for text in same {
        write(&mut directory, &[("a.yaml", &text)]);
        assert_eq!(directory.wanted()[0].uid, uid, "{text}");
    }
    for text in
        [A_EDITED.to_owned(), A.replace("name: a", "name: a, labels: {x: y}"), format!("{A}unknown: 1\n")]
    {
        write(&mut directory, &[("a.yaml", &text)]);
        assert_eq!(directory.wanted().len(), 1, "{text}");
        assert_ne!(directory.wanted()[0].uid, uid, "{text}");
    }
}

#[test]
fn after_a_restart_of_the_agent_a_broken_file_still_keeps_what_ran() {
    let ran = directory(&[("a.yaml", A), ("b.yaml", B)]).wanted();
    let mut directory = Directory::new(context());
    for pod in &ran {
        directory.remember(Arc::clone(pod));
    }
    assert_eq!(directory.wanted(), ran, "nothing ends before the directory was read");
    write(&mut directory, &[("a.yaml", TORN)]);
    directory.listed(["a.yaml"]);
    assert_eq!(directory.wanted(), ran[..1]);
    check(&directory, &["a-node one"], &["a.yaml LastGood a-node*: 3:18"]);
    write(&mut directory, &[("a.yaml", A)]);
    check(&directory, &["a-node one"], &["a.yaml Accepted a-node: "]);
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v, x: }\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: geheim}\n";

/// `kind/name` of each document, and its value under `k`.
fn documents(directory: &Directory) -> Vec<String> {
    let documents = directory.documents();
    let all = documents.all().map(|it| {
        let value = it.data.get("k").map(|value| String::from_utf8(value.0.clone()).unwrap());
        format!("{}/{} {}", it.kind, it.name, value.unwrap_or_default())
    });
    all.collect()
}

#[test]
fn config_maps_and_secrets_are_kept_beside_the_pods() {
    let mut directory = directory(&[("a.yaml", &format!("{MAP}---\n{SECRET}---\n{A}"))]);
    assert_eq!(documents(&directory), ["ConfigMap/m v", "Secret/s "]);
    let map = directory.documents();
    let map = map.get(Kind::ConfigMap, "default", "m").unwrap();
    assert_eq!((map.data["x"].0.as_slice(), map.origin.as_str()), (&b""[..], "/manifests/a.yaml"));
    write(&mut directory, &[("a.yaml", TORN)]);
    assert_eq!(documents(&directory).len(), 2, "kept as the file was last right");
    check(&directory, &["a-node one"], &["a.yaml LastGood a-node*: "]);
    write(&mut directory, &[("a.yaml", MAP)]);
    assert_eq!(documents(&directory), ["ConfigMap/m v"]);
    check(&directory, &[], &["a.yaml Accepted: "]);
    // A file of documents alone goes on as well.
    write(&mut directory, &[("a.yaml", TORN)]);
    check(&directory, &[], &["a.yaml LastGood: 3:18"]);
    directory.set("a.yaml", &FileContent::Directory);
    check(&directory, &[], &["a.yaml LastGood: 1:1: error: a directory"]);
    assert_eq!(documents(&directory), ["ConfigMap/m v"]);
    directory.gone("a.yaml");
    assert_eq!(documents(&directory), [""; 0]);
}

#[test]
fn of_two_documents_of_one_name_the_first_counts_and_the_other_is_reported() {
    let other = MAP.replace("k: v", "k: other");
    let mut directory = directory(&[("b.yaml", MAP), ("c.yaml", &other)]);
    assert_eq!(documents(&directory), ["ConfigMap/m v"]);
    let twice =
        "c.yaml Refused: 3:12: error: metadata.name: the ConfigMap default/m is taken from \"b.yaml\"";
    check(&directory, &[], &["b.yaml Accepted: ", twice]);
    directory.gone("b.yaml");
    assert_eq!(documents(&directory), ["ConfigMap/m other"]);
    write(&mut directory, &[("c.yaml", &format!("{MAP}---\n{other}"))]);
    assert_eq!(documents(&directory), ["ConfigMap/m v"]);
    check(
        &directory,
        &[],
        &["c.yaml Partial: 8:12: error: metadata.name: the ConfigMap default/m is in this file"],
    );
    // A Secret of the same name is something else.
    write(&mut directory, &[("c.yaml", &format!("{MAP}---\n{}", SECRET.replace("name: s", "name: m")))]);
    check(&directory, &[], &["c.yaml Accepted: "]);
}

#[test]
fn a_document_that_no_file_has_is_told_where_it_is_named() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n    image: one\n    \
         env:\n    - {name: X, valueFrom: {configMapKeyRef: {name: m, key: k}}}\n    envFrom:\n    - secretRef: {name: s}\n    \
         - secretRef: {name: none, optional: true}\n  volumes:\n  - {name: v, configMap: {name: m, items: [{key: other, path: p}]}}\n";
    let mut directory = directory(&[("a.yaml", pod)]);
    let told = |directory: &Directory| -> Vec<String> {
        let problems = directory.verdict().files.into_iter().flat_map(|file| file.problems);
        problems.map(|problem| problem.to_string().split(';').next().unwrap().to_owned()).collect()
    };
    let map = "there is no ConfigMap default/m";
    assert_eq!(
        told(&directory),
        [
            format!("9:47: warning: spec.containers[0].env[0].valueFrom.configMapKeyRef.name: {map}"),
            "11:19: warning: spec.containers[0].envFrom[0].secretRef.name: there is no Secret default/s"
                .to_owned(),
            format!("14:27: warning: spec.volumes[0].configMap.name: {map}"),
        ]
    );
    assert_eq!(directory.verdict().files[0].state, FileState::Accepted);
    write(&mut directory, &[("b.yaml", &format!("{MAP}---\n{SECRET}"))]);
    assert_eq!(
        told(&directory),
        ["14:27: warning: spec.volumes[0].configMap.name: the ConfigMap default/m has no key \"other\""]
    );
    write(&mut directory, &[("b.yaml", &format!("{}---\n{SECRET}", MAP.replace("k: v", "other: z, k: v")))]);
    assert_eq!(told(&directory), [""; 0]);
}

const RESTARTED: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: \
     {holdfast.io/restart-on-config-change: 'true'}}\nspec: {containers: [{name: c, image: one, envFrom: [{configMapRef: \
     {name: m, optional: true}}], env: [{name: U, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]}]}\n";

/// Its content is a part of the pod, where the pod asks for that: in whatever file, after whatever restart.
#[test]
fn a_pod_that_asks_for_it_is_another_one_for_each_content() {
    let uid = |directory: &Directory| directory.wanted()[0].uid.clone();
    let mut directory = directory(&[("p.yaml", RESTARTED)]);
    let absent = uid(&directory);
    write(&mut directory, &[("m.yaml", MAP)]);
    let first = uid(&directory);
    assert_ne!(first, absent);
    let pod = &directory.wanted()[0];
    assert_eq!(pod.containers[0].env[0].from, Some(spec::ValueSource::Text(first.0.clone())));
    assert!(pod.object.contains(&first.0));
    assert_eq!(directory.verdict().files[1].pods[0].uid, first.0);
    write(&mut directory, &[("m.yaml", &format!("# a comment\n{MAP}---\n{SECRET}"))]);
    assert_eq!(uid(&directory), first, "nothing that it names changed");
    write(&mut directory, &[("m.yaml", TORN)]);
    assert_eq!(uid(&directory), first, "what was last right counts");
    write(&mut directory, &[("m.yaml", &MAP.replace("k: v", "k: w"))]);
    assert!(![&absent, &first].contains(&&uid(&directory)));
    write(&mut directory, &[("m.yaml", MAP)]);
    assert_eq!(uid(&directory), first);
    directory.listed(["p.yaml"]);
    assert_eq!(uid(&directory), absent);
    // Others do not care.
    let mut calm = Directory::new(context());
    write(&mut calm, &[("p.yaml", &RESTARTED.replace("'true'", "'false'"))]);
    let before = uid(&calm);
    write(&mut calm, &[("m.yaml", MAP)]);
    assert_eq!(uid(&calm), before);
    write(&mut calm, &[("p.yaml", &RESTARTED.replace("'true'", "'yes'"))]);
    check(&calm, &["a-node one"], &["m.yaml Accepted", "p.yaml LastGood a-node*: 3:"]);
}

#[test]
fn documents_are_recalled_as_they_were_last_right() {
    let before = directory(&[("a.yaml", MAP), ("b.yaml", RESTARTED)]);
    let mut next = Directory::new(context());
    next.recall("a.yaml", MAP.as_bytes());
    next.recall("b.yaml", RESTARTED.as_bytes());
    write(&mut next, &[("a.yaml", TORN), ("b.yaml", TORN)]);
    assert_eq!(next.documents(), before.documents());
    assert_eq!(next.wanted(), before.wanted(), "the content that it was made for is recalled too");
    check(&next, &["a-node one"], &["a.yaml LastGood: ", "b.yaml LastGood a-node*: "]);
}

/// Threat 27: whoever prints what he holds prints no value.
#[test]
fn no_value_is_in_what_is_told_of_a_document() {
    let directory = directory(&[("a.yaml", SECRET)]);
    for text in [
        format!("{directory:?}"),
        format!("{:?}", directory.documents()),
        format!("{:?}", directory.verdict()),
    ] {
        assert!(text.contains("\"s\"") && !text.contains("geheim"), "{text}");
    }
}

#[test]
fn a_verdict_is_written_and_read_again() {
    let directory = directory(&[("a.yaml", A), ("b", TORN), ("c~", A), ("d.yaml", A_EDITED)]);
    let verdict = directory.verdict();
    assert_eq!(verdict.directory, "/manifests/");
    let json = serde_json::to_string(&verdict).unwrap();
    assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
    assert!(json.contains(r#""state":"refused""#) && json.contains(r#""severity":"error""#), "{json}");
}
