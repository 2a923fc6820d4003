//! `holdfast check`, as a person on a laptop and a CI job meet it.

#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod debian;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A directory that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn write(&self, name: &str, text: &str) -> &Place {
        fs::write(self.0.join(name), text).unwrap();
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Exit code, stdout, stderr.
type Said = (i32, String, String);

fn check(place: &Path, arguments: &[&str]) -> Said {
    say(Command::new(env!("CARGO_BIN_EXE_holdfast")).arg("check").args(arguments).current_dir(place))
}

fn say(command: &mut Command) -> Said {
    let out = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  containers:\n  - name: c\n    image: i\n"
    )
}

#[test]
fn a_right_manifest_says_nothing_on_stdout() {
    let place = Place::new("right");
    place.write("web.yaml", &pod("web"));
    let (code, out, error) = check(&place.0, &["web.yaml"]);
    assert_eq!((code, &*out), (0, ""));
    assert_eq!(error, "1 file judged: 1 accepted, 0 refused; 1 pod would run; 0 errors, 0 warnings\n");
    assert_eq!(check(&place.0, &["-q", "web.yaml"]), (0, String::new(), String::new()));
}

#[test]
fn what_is_wrong_is_told_with_path_line_column_field_and_remedy() {
    let place = Place::new("wrong");
    place.write("web.yaml", &pod("web").replace("image: i", "image: ''"));
    let (code, out, error) = check(&place.0, &["./web.yaml"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("./web.yaml:8:5: error: spec.containers[0].image: "), "{out}");
    assert!(out.contains("; "), "it says what to do: {out}");
    assert!(error.contains("0 accepted, 1 refused"), "{error}");
}

#[test]
fn warnings_refuse_nothing() {
    let place = Place::new("warning");
    place.write("web.yaml", &format!("{}  nodeSelektor: {{}}\n", pod("web")));
    let (code, out, _) = check(&place.0, &["web.yaml"]);
    assert_eq!(code, 0);
    assert!(out.contains(": warning: spec.nodeSelektor: "), "{out}");
    assert_eq!(check(&place.0, &["--quiet", "web.yaml"]).1, "");
}

#[test]
fn what_a_pod_names_and_no_given_file_holds_is_a_warning_where_it_is_named() {
    let place = Place::new("named");
    let of_map =
        "    envFrom:\n    - configMapRef: {name: settings}\n    - secretRef: {name: none, optional: true}\n";
    place.write("web.yaml", &(pod("web") + of_map));
    let (code, out, _) = check(&place.0, &["web.yaml"]);
    let warning = "web.yaml:10:22: warning: spec.containers[0].envFrom[0].configMapRef.name: there is no ConfigMap \
         default/settings; write the ConfigMap into this file or another one beside it; until it is there, the pod waits\n";
    assert_eq!((code, &*out), (0, warning));
    place.write(
        "settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n",
    );
    let (code, out, error) = check(&place.0, &["web.yaml", "settings.yaml"]);
    assert_eq!((code, &*out), (0, ""));
    let summary = "2 files judged: 2 accepted, 0 refused, with 1 of ConfigMap and Secret; 1 pod would run; 0 errors, 0 warnings\n";
    assert_eq!(error, summary);
    place.write("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: geheim!}\n");
    let (code, out, error) = check(&place.0, &["secret.yaml"]);
    assert_eq!(code, 1);
    assert!(
        out.starts_with("secret.yaml:4:8: error: data.a: must be base64; encode it with base64; a Secret"),
        "{out}"
    );
    assert!(!format!("{out}{error}").contains("geheim"), "{out}");
}

#[test]
fn two_files_that_ask_for_one_pod_are_told_of_each_other() {
    let place = Place::new("twice");
    place.write("b.yaml", &pod("web")).write("a.yaml", &pod("web"));
    // The order in which they are named does not matter, as it does not in a directory.
    let (code, out, _) = check(&place.0, &["b.yaml", "a.yaml"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("b.yaml:4:3: error: metadata.name: "), "{out}");
    assert!(out.contains("\"a.yaml\""), "{out}");
}

#[test]
fn two_files_of_one_name_are_judged_apart() {
    let place = Place::new("apart");
    fs::create_dir(place.0.join("other")).unwrap();
    place.write("web.yaml", &pod("web")).write("other/web.yaml", "kind: [");
    let (code, out, _) = check(&place.0, &["web.yaml", "other/web.yaml"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("other/web.yaml:"), "{out}");
    assert!(!out.contains("\nweb.yaml") && !out.starts_with("web.yaml"), "{out}");
}

#[test]
fn a_directory_is_listed_as_the_agent_would() {
    let place = Place::new("directory");
    fs::create_dir(place.0.join("more")).unwrap();
    place.write("web.yaml", &pod("web")).write("web.yaml.bak", "nonsense").write("README.md", "words");
    let (code, out, error) = check(Path::new("/"), &[place.0.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{error}");
    for (name, why) in [("web.yaml.bak", "backup"), ("README.md", "extension"), ("more", "directory")] {
        let told =
            out.lines().find(|line| line.starts_with(&format!("{}/{name}: note: ", place.0.display())));
        assert!(told.is_some_and(|line| line.contains(why)), "{name}: {out}");
    }
    assert!(error.contains("1 file judged") && error.contains("3 not read"), "{error}");
}

#[test]
fn what_cannot_be_judged_is_two_whatever_else_is_right() {
    let place = Place::new("unjudged");
    place.write("web.yaml", &pod("web"));
    let path = place.0.join("fifo.yaml");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    fs::create_dir(place.0.join("empty")).unwrap();
    fs::File::create(place.0.join("huge.yaml")).unwrap().set_len((10 << 20) + 1).unwrap();
    std::os::unix::fs::symlink("nowhere", place.0.join("link.yaml")).unwrap();
    for (name, why) in [
        ("absent.yaml", "No such file"),
        ("fifo.yaml", "not a file"),
        ("empty", "no manifest"),
        ("huge.yaml", "at most 10485760"),
        ("link.yaml", "No such file"),
    ] {
        let (code, out, error) = check(&place.0, &["web.yaml", name]);
        assert_eq!((code, &*out), (2, ""), "{name}: {error}");
        assert!(error.contains(&format!("error: {name}: ")) && error.contains(why), "{name}: {error}");
    }
    assert_eq!(check(&place.0, &[]).0, 2, "nothing is named");
    assert_eq!(check(&place.0, &["--no-such-flag", "web.yaml"]).0, 2);
}

#[test]
fn stdin_is_a_file_too() {
    let place = Place::new("stdin");
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(["check", "-"]).current_dir(&place.0).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(pod("W").as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8(out.stdout).unwrap().starts_with("stdin:4:3: error: metadata.name: "));
}

#[test]
fn a_file_whose_name_the_agent_ignores_is_judged_with_a_warning() {
    let place = Place::new("name");
    place.write("web.yaml.bak", &pod("web"));
    let (code, out, _) = check(&place.0, &["web.yaml.bak"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("web.yaml.bak:1:1: warning: the agent does not read a file of this name"),
        "{out}"
    );
}

#[test]
fn the_nodes_name_matters_where_it_is_told() {
    let place = Place::new("node");
    let long = "n".repeat(240);
    place.write("web.yaml", &format!("{}  nodeName: edge-1\n", pod("a-long-pod-name")));
    assert_eq!(check(&place.0, &["web.yaml"]), {
        let summary = "1 file judged: 1 accepted, 0 refused; 1 pod would run; 0 errors, 0 warnings\n";
        (0, String::new(), summary.to_owned())
    });
    let (code, out, _) = check(&place.0, &["--node-name", "edge-2", "web.yaml"]);
    assert_eq!(code, 0);
    assert!(out.contains("spec.nodeName") && out.contains("edge-2"), "{out}");
    let (code, out, _) = check(&place.0, &["--node-name", &long, "web.yaml"]);
    assert_eq!(code, 1, "name and node together are too long");
    assert!(out.contains("metadata.name"), "{out}");
}

#[test]
fn json_is_the_published_verdict_of_each_file() {
    let place = Place::new("json");
    place.write("web.yaml", &pod("web")).write("bad.yaml", &pod("W"));
    let (code, out, error) = check(&place.0, &["-o", "json", "."]);
    assert_eq!((code, &*error), (1, ""));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["nodeName"], "node");
    let files = value["files"].as_array().unwrap();
    assert_eq!(files[0]["path"], "./bad.yaml");
    assert_eq!(files[0]["state"], "refused");
    assert_eq!(files[0]["problems"][0]["line"], 4);
    assert_eq!(files[1]["pods"][0]["name"], "web-node");
}

#[test]
fn it_needs_no_rights_and_touches_nothing() {
    let place = Place::new("nobody");
    place.write("web.yaml", &pod("web"));
    // A copy in a place that everybody may enter, whatever the checkout's rights are.
    let open = std::env::temp_dir().join(format!("holdfast-check-{}", std::process::id()));
    fs::create_dir(&open).unwrap();
    for (from, name, mode) in [
        (Path::new(env!("CARGO_BIN_EXE_holdfast")), "holdfast", 0o755),
        (&place.0.join("web.yaml"), "web.yaml", 0o644),
    ] {
        debian::copy_program(from, &open.join(name));
        fs::set_permissions(open.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(open.join("holdfast"));
    command.args(["check", "web.yaml", "."]).current_dir(&open);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let said = say(&mut command);
    fs::remove_dir_all(&open).unwrap();
    assert_eq!(said.0, 0, "{said:?}");
    // The binary lies in the directory too.
    assert!(said.1.lines().all(|line| line.starts_with("./holdfast: note: not read: too large")), "{said:?}");
}

#[test]
fn hostile_names_and_values_steer_no_terminal() {
    let place = Place::new("hostile");
    place.write("w\x1b[2Jeb.yaml", &pod("\"a\\e[2Jb\"")).write("x\u{202e}.bak", "");
    let (code, out, error) = check(&place.0, &["--color=never", "."]);
    assert_eq!(code, 1);
    let steers = |c: char| c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!out.contains(steers) && !error.contains(steers), "{out:?} {error:?}");
    assert!(out.contains("w^[[2Jeb.yaml"), "{out}");
}
