//! `holdfast config`, and an agent with a wrong configuration: the binary, without root, agent or containers.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder of one test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("config-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn holdfast(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(args).stdin(Stdio::null()).env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_value_is_shown_with_where_it_comes_from() {
    let folder = folder("shown");
    let file = folder.join("config.yaml");
    fs::write(&file, "node-name: edge-1\nkubelet-arg:\n- max-pods=20\ntoken: SECRET\n").unwrap();
    let file = file.to_str().unwrap();
    let args = ["config", "--config", file, "--resolv-conf", "/etc/other", "-v", "--private-registry", "/r"];
    let output = holdfast(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "VALUE", "FROM"]);
    for wanted in [
        vec!["data-dir", "/var/lib/rancher/k3s", "default"],
        vec!["node-name", "edge-1", &format!("{file}:1")],
        vec!["maxPods", "20", &format!("{file}:3")],
        vec!["resolv-conf", "/etc/other", "command", "line"],
        vec!["verbose", "debug", "command", "line"],
        vec!["clusterDNS", "<none>", "default"],
    ] {
        assert!(lines.contains(&wanted), "{wanted:?} in\n{out}");
    }
    let err = text(&output.stderr);
    assert!(err.contains("token (the node joins no cluster)"), "{err}");
    assert!(err.contains("not built yet and does nothing: --private-registry"), "{err}");
    assert!(!format!("{out}{err}").contains("SECRET"));
    let output = holdfast(&[&args[..], &["-o", "json"]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = document["settings"].as_array().unwrap().iter().find(|it| it["name"] == "node-name").unwrap();
    assert_eq!((&name["value"], &name["origin"]), (&"edge-1".into(), &format!("{file}:1").into()));
    assert_eq!(document["notes"].as_array().unwrap().len(), 2);
    assert_eq!(text(&output.stderr), "", "notes are in the document");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn flags_of_k3s_and_kubelet_are_called_alike_and_win() {
    let folder = folder("flags");
    let file = folder.join("kubelet.yaml");
    let kind = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    fs::write(&file, format!("{kind}staticPodPath: /one\nmaxPods: 5\ncontainerLogMaxFiles: 7\n")).unwrap();
    let output = holdfast(&[
        "config",
        "-c",
        file.to_str().unwrap(),
        "-d",
        "/srv/data/",
        "--hostname-override",
        "Edge-7",
        "--pod-manifest-path",
        "/two",
        "--node-label",
        "a=b",
        "--node-label",
        "c=d",
        "--kubelet-arg",
        "max-pods=6",
        "--kubelet-arg=system-reserved=cpu=1",
        "-o",
        "json",
    ]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = |name: &str| {
        let found = document["settings"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
        format!("{} {}", found["value"].as_str().unwrap(), found["origin"].as_str().unwrap())
    };
    assert_eq!(shown("data-dir"), "/srv/data command line");
    assert_eq!(shown("node-name"), "edge-7 command line");
    assert_eq!(shown("pod-manifest-path"), "/two command line");
    assert_eq!(shown("node-label"), "a=b,c=d command line");
    assert_eq!(shown("maxPods"), "6 command line");
    assert_eq!(shown("systemReserved"), "cpu=1 command line");
    assert_eq!(shown("containerLogMaxFiles"), format!("7 {}:5", file.display()));
    fs::remove_dir_all(folder).unwrap();
}

/// As the agent: before it looks for root, a directory or another agent.
#[test]
fn a_wrong_value_stops_the_start_with_its_place_and_what_to_do() {
    let folder = folder("wrong");
    let file = folder.join("config.yaml");
    fs::write(&file, "data-dir: /srv\nnode-name: a_b\n  \nresolv-conf: etc\n").unwrap();
    let place = file.display().to_string();
    let wanted = format!(
        "error: {place}:2:1: node-name: must consist of letters, digits, '-' and '.', and begin and end with a letter or \
         digit; write another name\nerror: {place}:4:1: resolv-conf: must be an absolute path, one that begins with /; write \
         the whole path\n"
    );
    let runtime = folder.join("run");
    for verb in ["config", "agent"] {
        let output = holdfast(&["--runtime-dir", runtime.to_str().unwrap(), verb, "--config", &place]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{verb}");
        assert_eq!(text(&output.stderr), wanted, "{verb}");
        assert!(!runtime.exists(), "{verb}");
    }
    let output = holdfast(&["config", "--config", "/nowhere.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: /nowhere.yaml:1:1: it cannot be read: No such file"));
    let output = holdfast(&["config", "--kubelet-arg", "cluster-dns=dns.example"]);
    assert_eq!(
        text(&output.stderr),
        "error: --kubelet-arg cluster-dns: \"dns.example\" is no address; write the number of a server such as 10.43.0.10\n"
    );
    assert_eq!(holdfast(&["config", "--data-dir", "srv"]).status.code(), Some(2), "clap's, as before");
    fs::remove_dir_all(folder).unwrap();
}

/// Names in a file may hold anything; a terminal gets none of it raw.
#[test]
fn names_and_values_from_a_file_are_harmless_on_a_terminal() {
    let folder = folder("harmless");
    let file = folder.join("config.yaml");
    fs::write(&file, "\"a\\u001b]0;x\\a\": 1\ncluster-init: 1\nkubelet-arg: \"max-pods\\u001b[2J=1\"\n")
        .unwrap();
    let output = holdfast(&["config", "--config", file.to_str().unwrap()]);
    let all = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && !all.contains(&0x1b) && !all.contains(&7), "{}", text(&all));
    fs::write(&file, "v: \"\\u001b[2J\"\n").unwrap();
    let output = holdfast(&["config", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.contains(&0x1b), "{}", text(&output.stderr));
    fs::remove_dir_all(folder).unwrap();
}
