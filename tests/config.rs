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
        vec!["private-registry", "/r", "command", "line"],
        vec!["disable-default-registry-endpoint", "false", "default"],
        vec!["verbose", "debug", "command", "line"],
        vec!["clusterDNS", "<none>", "default"],
    ] {
        assert!(lines.contains(&wanted), "{wanted:?} in\n{out}");
    }
    let err = text(&output.stderr);
    assert!(err.contains("token (the node joins no cluster)"), "{err}");
    assert!(!format!("{out}{err}").contains("SECRET"));
    let output = holdfast(&[&args[..], &["-o", "json"]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = document["settings"].as_array().unwrap().iter().find(|it| it["name"] == "node-name").unwrap();
    assert_eq!((&name["value"], &name["origin"]), (&"edge-1".into(), &format!("{file}:1").into()));
    assert_eq!(document["notes"].as_array().unwrap().len(), 1);
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

/// As in kubelet's own test of it (kubelet_config_dir_test.go): what is later lies over what is earlier, and mappings merge.
#[test]
fn parts_of_a_configuration_are_laid_over_it_by_name() {
    let folder = folder("parts");
    let head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    let write = |name: &str, fields: &str| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), format!("{head}{fields}")).unwrap();
    };
    write("main.yaml", "maxPods: 10\npodPidsLimit: 50\nsystemReserved: {cpu: 100m, memory: 1Gi}\n");
    write("parts/20-b.conf", "maxPods: 30\nsystemReserved:\n  memory: 2Gi\n");
    write("parts/10-a.conf", "maxPods: 20\nclusterDNS: [10.0.0.1, 10.0.0.2]\n");
    write("parts/30/c.conf", "clusterDNS: [10.0.0.3]\nnonsense: 1\n");
    write("parts/40-d.yaml", "maxPods: 40\n");
    fs::write(folder.join("parts/50-empty.conf"), "").unwrap();
    let text_of = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (main, parts) = (text_of("main.yaml"), text_of("parts"));
    let shown = |more: &[&str]| {
        let output = holdfast(&[&["config", "--config-dir", &parts][..], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("is not known and does nothing: nonsense"), "{output:?}");
        let out = text(&output.stdout);
        let cells = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        out.lines().map(cells).collect::<Vec<_>>()
    };
    let lines = shown(&["--config", &main]);
    for wanted in [
        format!("maxPods 30 {parts}/20-b.conf:3"),
        format!("podPidsLimit 50 {main}:4"),
        format!("systemReserved cpu=100m,memory=2Gi {parts}/20-b.conf:4"),
        format!("clusterDNS 10.0.0.3 {parts}/30/c.conf:3"),
    ] {
        assert!(lines.contains(&wanted), "{wanted} in {lines:#?}");
    }
    assert!(shown(&[]).contains(&format!("systemReserved memory=2Gi {parts}/20-b.conf:4")), "alone");
    assert!(shown(&["--kubelet-arg", "max-pods=7"]).contains(&"maxPods 7 command line".to_owned()));
    fs::write(folder.join("parts/15-wrong.conf"), "maxPods: 1\n").unwrap();
    let output = holdfast(&["config", "--config-dir", &parts]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains(&format!("{parts}/15-wrong.conf:1:1: ")) && told.contains("kind: KubeletConfiguration"),
        "{told}"
    );
    let output = holdfast(&["config", "--config-dir", &text_of("gone")]);
    assert!(text(&output.stderr).contains("it cannot be read: No such file or directory"), "{output:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn doctor_looks_where_a_configuration_says() {
    let folder = folder("doctor");
    let file = folder.join("config.yaml");
    let (data, run) = (folder.join("data"), folder.join("run"));
    fs::write(&file, format!("data-dir: {}\n", data.display())).unwrap();
    let doctor = |flags: &[&str]| {
        let place = ["doctor", "--runtime-dir", run.to_str().unwrap()];
        holdfast(&[&place[..], flags].concat())
    };
    let file = file.to_str().unwrap();
    let manifests = data.join("agent/pod-manifests").display().to_string();
    assert!(text(&doctor(&["--config", file, "-v"]).stdout).contains(&manifests));
    assert!(!text(&doctor(&["-v"]).stdout).contains(&manifests));
    let other = folder.join("other").display().to_string();
    let flagged = text(&doctor(&["--config", file, "--pod-manifest-path", &other, "-v"]).stdout);
    assert!(flagged.contains(&other) && !flagged.contains(&manifests), "{flagged}");
    fs::write(folder.join("config.yaml"), "kubelet-arg: [max-pods=many]\n").unwrap();
    let wrong = doctor(&["--config", file]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(1), String::new()));
    assert!(text(&wrong.stderr).contains(&format!("{file}:1:")), "{}", text(&wrong.stderr));
    fs::remove_dir_all(folder).unwrap();
}
