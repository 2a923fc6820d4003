#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;

fn source(kind: Kind, name: &str, optional: bool, items: &[(&str, &str)]) -> Projection {
    let item = |(key, path): &(&str, &str)| Item { key: (*key).into(), path: (*path).into(), mode: 0o400 };
    let items = items.iter().map(item).collect();
    Projection::Document { kind, name: name.into(), optional, items, mode: 0o644 }
}

/// `path mode text` of each file, or what is wrong.
fn files(sources: &[Projection]) -> Result<Vec<String>, String> {
    let binary = [("bin".to_owned(), Value(vec![b'x']))].into();
    let map = Document { binary, ..Document::example(Kind::ConfigMap, "m", &[("a", b"1"), ("b", b"2")]) };
    let secret = Document::example(Kind::Secret, "s", &[("a", b"hush")]);
    let documents = [map, secret].into_iter().map(Arc::new).collect();
    let allocatable = Amounts { cpu_milli: 1500, memory: 10, storage: 20 };
    let contents = Contents { documents: &documents, allocatable, in_memory: true };
    let pod = Pod { namespace: "default".into(), origin: "/m/web.yaml".into(), ..Pod::default() };
    let text = |value: Value| String::from_utf8(value.0).unwrap();
    let payload = payload(&pod, sources, &contents)?;
    Ok(payload.into_iter().map(|(path, (mode, value))| format!("{path} {mode:o} {}", text(value))).collect())
}

#[test]
fn every_key_is_a_file_unless_some_are_chosen() {
    let all = source(Kind::ConfigMap, "m", false, &[]);
    assert_eq!(files(std::slice::from_ref(&all)).unwrap(), ["a 644 1", "b 644 2", "bin 644 x"]);
    let chosen = source(Kind::ConfigMap, "m", false, &[("b", "deep/b"), ("bin", "x")]);
    assert_eq!(files(&[chosen]).unwrap(), ["deep/b 400 2", "x 400 x"]);
    let secret = source(Kind::Secret, "s", false, &[]);
    assert_eq!(files(&[all, secret]).unwrap(), ["a 644 hush", "b 644 2", "bin 644 x"], "the later counts");
}

#[test]
fn what_is_missing_is_left_out_where_it_is_optional_and_told_where_not() {
    let optional = [
        source(Kind::ConfigMap, "none", true, &[]),
        source(Kind::Secret, "s", true, &[("none", "n"), ("a", "a")]),
    ];
    assert_eq!(files(&optional).unwrap(), ["a 400 hush"]);
    for (wanted, message) in [
        (
            source(Kind::Secret, "none", false, &[]),
            "secret \"none\" not found; write the Secret none of namespace",
        ),
        (
            source(Kind::ConfigMap, "m", false, &[("c", "c")]),
            "references non-existent config key: c; add it to the ConfigMap default/m in /m/m.yaml",
        ),
        (source(Kind::Secret, "s", false, &[("c", "c")]), "references non-existent secret key: c; add it"),
    ] {
        let told = files(&[wanted]).unwrap_err();
        assert!(told.starts_with(message), "{told}");
    }
}

/// 9.08
#[test]
fn what_the_pod_tells_of_itself_is_in_files() {
    use crate::spec::{Allocatable, Resource};
    let file = |path: &str, source| DownwardFile { path: path.into(), mode: 0o600, source };
    let cpu = ValueSource::Allocatable(Allocatable { resource: Resource::Cpu, divisor: 1000 });
    let downward = vec![file("labels", ValueSource::Text("a=\"b\"".into())), file("cpu", cpu)];
    assert_eq!(files(&[Projection::Downward(downward)]).unwrap(), ["cpu 600 2", "labels 600 a=\"b\""]);
}
