#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::Parser;
use serde_json::json;

use super::sort::natural;
use super::*;
use crate::cli::args::{Arguments, Verb};

const NOW: &str = "2026-11-21T22:00:00Z";

fn objects(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/get/tables").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn table(kind: Kind, objects: &[Value], columns: &Columns) -> String {
    let now = NOW.parse().unwrap();
    let head = rows::head(kind, columns);
    let rows: Vec<_> = objects.iter().flat_map(|object| rows::rows(kind, object, columns, now)).collect();
    assert!(rows.iter().all(|row| row.len() <= head.len()));
    Table::new(head).lines(&rows, |_, cell| cell.to_string())
}

/// The table of the objects in `<objects>.json` is what is in `<expected>.txt`.
#[track_caller]
fn check(kind: Kind, from: &str, columns: &Columns, expected: &str) {
    let table = table(kind, &objects(&format!("{from}.json")), columns);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/get/tables").join(expected);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(table == expected, "expected\n{expected}\nfound\n{table}");
}

fn wide() -> Columns {
    Columns { wide: true, ..Columns::default() }
}

/// Each pod is called after what its line shows: every branch of kubectl's `printPod`.
#[test]
fn pods_are_summed_up_as_kubectl_does() {
    check(Kind::Pods, "pods", &Columns::default(), "pods.txt");
    check(Kind::Pods, "pods", &Columns { namespace: true, ..wide() }, "pods-wide.txt");
    let labels = vec!["app".to_string(), "app.kubernetes.io/name".to_string()];
    let columns = Columns { labels, all_labels: true, kind: true, ..Columns::default() };
    check(Kind::Pods, "pods", &columns, "pods-labels.txt");
}

#[test]
fn events_are_listed_as_kubectl_does() {
    check(Kind::Events, "events", &Columns::default(), "events.txt");
    check(Kind::Events, "events", &wide(), "events-wide.txt");
    check(
        Kind::Events,
        "events",
        &Columns { counted: true, namespace: true, ..Columns::default() },
        "events-verb.txt",
    );
}

#[test]
fn nodes_are_listed_as_kubectl_does() {
    check(Kind::Nodes, "nodes", &Columns::default(), "nodes.txt");
    check(Kind::Nodes, "nodes", &wide(), "nodes-wide.txt");
}

#[test]
fn images_have_a_line_for_each_name() {
    check(Kind::Images, "images", &Columns::default(), "images.txt");
    check(Kind::Images, "images", &wide(), "images-wide.txt");
}

#[test]
fn files_have_a_line_for_each_problem() {
    check(Kind::Manifests, "manifests", &Columns::default(), "manifests.txt");
}

#[test]
fn lines_that_come_later_stand_below_the_earlier() {
    let mut table = Table::new(vec!["NAME".into(), "AGE".into()]);
    let mut lines = |cells: &[&str]| {
        let row = cells.iter().map(ToString::to_string).collect();
        table.lines(&[row], |_, cell| cell.to_string())
    };
    assert_eq!(lines(&["web", "1s"]), "NAME   AGE\nweb    1s\n");
    assert_eq!(lines(&["a-longer-name", "1s"]), "a-longer-name   1s\n");
    assert_eq!(lines(&["web", "2s"]), "web             2s\n");
    assert_eq!(Table::new(vec!["NAME".into()]).lines(&[], |_, cell| cell.to_string()), "");
}

#[test]
fn sizes_are_decimal_and_of_three_digits() {
    for (bytes, expected) in [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (4_266_000, "4.27MB"),
        (41_234_567, "41.2MB"),
        (999_499_999, "999MB"),
        (999_500_000, "1GB"),
        (u64::MAX, "18.4EB"),
    ] {
        assert_eq!(images::size(bytes), expected, "{bytes}");
    }
}

fn parsed(words: &[&str]) -> Result<Request> {
    let all = ["holdfast", "get"].iter().chain(words);
    let Verb::Get(get) = Arguments::try_parse_from(all)?.verb else { bail!("not get") };
    Request::of_get(&get)
}

#[track_caller]
fn check_targets(words: &[&str], expected: &[(Kind, &[&str])]) {
    let request = parsed(words).unwrap();
    let found: Vec<(Kind, Vec<&str>)> = request
        .queries
        .iter()
        .map(|query| (query.target.kind, query.target.names.iter().map(String::as_str).collect()))
        .collect();
    let expected: Vec<(Kind, Vec<&str>)> =
        expected.iter().map(|(kind, names)| (*kind, names.to_vec())).collect();
    assert_eq!(found, expected, "{words:?}");
}

#[track_caller]
fn check_wrong(words: &[&str], expected: &str) {
    let error = parsed(words).map(|_| ()).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.starts_with(expected), "{words:?}: {error}");
    assert!(!error.contains('\n'), "{words:?}: {error}");
}

#[test]
fn kinds_and_names_are_read_as_kubectl_reads_them() {
    check_targets(&["pods"], &[(Kind::Pods, &[])]);
    check_targets(&["po", "a", "b"], &[(Kind::Pods, &["a", "b"])]);
    check_targets(&["all"], &[(Kind::Pods, &[])]);
    check_targets(&["PODS.v1."], &[(Kind::Pods, &[])]);
    check_targets(&["pod/a", "node/n", "po/b"], &[(Kind::Pods, &["a", "b"]), (Kind::Nodes, &["n"])]);
    check_targets(&["pods,no,ev"], &[(Kind::Pods, &[]), (Kind::Nodes, &[]), (Kind::Events, &[])]);
    check_targets(&["image/docker.io/library/redis:7"], &[(Kind::Images, &["docker.io/library/redis:7"])]);
    check_targets(&["images", "docker.io/library/redis"], &[(Kind::Images, &["docker.io/library/redis"])]);
    check_targets(&["manifest", "a.yaml"], &[(Kind::Manifests, &["a.yaml"])]);
    check_wrong(&["pod/a", "b"], "\"b\": where one is written as KIND/NAME, all are");
    check_wrong(&["pods", "pod/b"], "\"pod/b\": write KIND NAME… or KIND/NAME…");
    check_wrong(&["pod/default/a"], "\"pod/default/a\": write KIND/NAME; the namespace is given by -n");
    check_wrong(&["pod/"], "\"pod/\": where one is written");
}

#[test]
fn what_a_cluster_has_and_a_node_has_not_is_explained() {
    check_wrong(
        &["deploy"],
        "there are no deployments on this node; pods come from manifests: holdfast get pods",
    );
    check_wrong(&["deployments.apps"], "there are no deployments on this node");
    check_wrong(&["deployment/web"], "there are no deployments on this node");
    check_wrong(
        &["svc"],
        "there are no services on this node; a port in a pod is reached by holdfast port-forward",
    );
    check_wrong(&["cm"], "there are no configmaps on this node; files of the manifests directory hold them");
    check_wrong(&["ns"], "there are no namespaces on this node; ");
    check_wrong(
        &["widgets"],
        "there is no kind \"widgets\"; there are pods (po), manifests, events (ev), images, nodes (no)",
    );
}

#[test]
fn flags_that_do_not_go_together_are_told() {
    check_wrong(&["pods", "a", "-l", "x=y"], "name cannot be provided when a selector is specified");
    check_wrong(&["pods,nodes", "-w"], "watch is only supported on one kind - 2 kinds were asked for");
    check_wrong(&["images", "-l", "a"], "images have no labels");
    check_wrong(
        &["pods", "--field-selector", "x=y"],
        "field label not supported: x; there are: metadata.name, ",
    );
    check_wrong(&["pods", "--sort-by", "{.a}{.b}"], "\"{.a}{.b}\" is not one path");
    check_wrong(&["pods", "-o", "csv"], "unable to match a printer suitable for the output format \"csv\"");
    check_wrong(&["pods", "-o", "jsonpath"], "template format specified but no template given");
    check_wrong(&["pods", "-o", "jsonpath={.a"], "jsonpath \"{.a\": unclosed action");
    check_wrong(&["pods", "-o", "custom-columns=A"], "custom-columns: \"A\" is not HEAD:PATH");
    check_wrong(&["pods", "-o", "jsonpath-file=/nowhere"], "read /nowhere: ");
}

fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect()
}

#[track_caller]
fn check_sorted(path: &str, expected: &[&str]) {
    let mut objects = vec![
        json!({"metadata": {"name": "web-10"}, "n": 3, "q": "1Gi", "t": "2026-11-21T21:58:00Z"}),
        json!({"metadata": {"name": "web-9"}, "n": 10, "q": "900Mi", "t": "2025-11-21T21:58:00Z"}),
        json!({"metadata": {"name": "db"}, "n": 1.5, "t": "2027-11-21T21:58:00Z", "b": true}),
    ];
    sort::sort(&mut objects, &Template::parse_path(path).unwrap(), path).unwrap();
    assert_eq!(names(&objects), expected, "{path}");
}

#[test]
fn objects_are_sorted_as_kubectl_compares() {
    check_sorted(".metadata.name", &["db", "web-9", "web-10"]);
    check_sorted("metadata.name", &["db", "web-9", "web-10"]);
    check_sorted("{.n}", &["db", "web-10", "web-9"]);
    check_sorted(".q", &["db", "web-9", "web-10"]);
    check_sorted(".t", &["web-9", "web-10", "db"]);
    check_sorted(".b", &["web-10", "web-9", "db"]);
    let mut objects = vec![json!({"a": 1})];
    let error = sort::sort(&mut objects, &Template::parse_path(".x").unwrap(), ".x").unwrap_err();
    assert_eq!(error.to_string(), "couldn't find any field with path \".x\" in the list of objects");
    sort::sort(&mut Vec::new(), &Template::parse_path(".x").unwrap(), ".x").unwrap();
    let mut words = vec!["a10b", "a9", "a", "a09", "a10", "b", "", "a9z"];
    words.sort_by(|a, b| natural(a, b));
    assert_eq!(words, ["", "a", "a9", "a9z", "a09", "a10", "a10b", "b"]);
}

#[test]
fn custom_columns_show_what_their_paths_find() {
    let Format::Columns(columns) =
        Format::parse(Some("custom-columns=NAME:.metadata.name,A:{.a[0,1]},N:none,L:.l")).unwrap()
    else {
        panic!()
    };
    let object = json!({"metadata": {"name": "x"}, "a": ["y", 2], "l": {"k": "v"}});
    assert_eq!(format::custom(&columns, &object).unwrap(), ["x", "y,2", "<none>", "{\"k\":\"v\"}"]);
    assert_eq!(columns.iter().map(|(head, _)| head.as_str()).collect::<Vec<_>>(), ["NAME", "A", "N", "L"]);
}

#[test]
fn json_does_not_steer_the_terminal_and_is_the_same_value() {
    let value = serde_json::json!({"a\u{9b}": "\u{1b}[2J\u{85}\u{202e}ä\u{7f}"});
    let text = json(&value).unwrap();
    assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{text:?}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
}
