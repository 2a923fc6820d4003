#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::tree::Path;
use super::*;

#[track_caller]
fn check(text: &str, expected: &[Value]) {
    let found: Vec<_> = documents(text.as_bytes()).unwrap().iter().map(|node| node.to_json()).collect();
    assert_eq!(found, expected, "{text}");
}

#[track_caller]
fn check_invalid(text: &str, line: u32, part: &str) {
    let invalid = documents(text.as_bytes()).unwrap_err();
    assert!(invalid.message.contains(part), "{text:?}: {}", invalid.message);
    assert_eq!(invalid.at.line, line, "{text:?}: {}", invalid.message);
}

#[test]
fn scalars_are_what_go_yaml_makes_of_them() {
    for (text, expected) in [
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0O17", json!(15)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("-0x10", json!(-16)),
        ("-010", json!(-8)),
        ("+12", json!(12)),
        ("1_000", json!(1000)),
        ("08", json!(8)),
        ("1.0", json!(1)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("1e3", json!(1000)),
        ("1.5e-3", json!(0.0015)),
        ("9223372036854775807", json!(9_223_372_036_854_775_807_i64)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("--", json!("--")),
        ("+", json!("+")),
        ("0x", json!("0x")),
        ("0x-1", json!("0x-1")),
        ("1.2.3", json!("1.2.3")),
        ("1:30", json!("1:30")),
        ("64Mi", json!("64Mi")),
        ("1e", json!("1e")),
        ("2026-11-21", json!("2026-11-21")),
        ("2026-11-21T22:00:00Z", json!("2026-11-21T22:00:00Z")),
        ("yes", json!(true)),
        ("On", json!(true)),
        ("y", json!(true)),
        ("NO", json!(false)),
        ("off", json!(false)),
        ("tRUE", json!("tRUE")),
        ("'yes'", json!("yes")),
        ("\"0644\"", json!("0644")),
        ("!!str 0644", json!("0644")),
        ("! 0644", json!("0644")),
        ("!!int \"12\"", json!(12)),
        ("!!float 1", json!(1)),
        ("!mine 1", json!("1")),
        ("!!binary aG9s\n    ZGZhc3Q=", json!("holdfast")),
        ("|\n    yes\n", json!("yes\n")),
        (">-\n    a\n    b\n", json!("a b")),
        ("null", json!(null)),
        ("~", json!(null)),
        ("NULL", json!(null)),
        ("nil", json!("nil")),
    ] {
        let found = documents(format!("[{{a: 0}}]\n---\n- {text}\n").as_bytes()).unwrap();
        assert_eq!(found[1].to_json(), json!([expected]), "{text:?}");
    }
}

#[test]
fn tags_that_do_not_fit_and_numbers_that_json_lacks_are_refused() {
    check_invalid("a: !!int x", 1, "no int");
    check_invalid("a: !!bool 1", 1, "no bool");
    check_invalid("a: !!binary '*'", 1, "base64");
    check_invalid("a: 1\nb: .inf", 2, "JSON has no number");
}

#[test]
fn all_documents_of_a_file_are_read_and_empty_ones_passed_over() {
    check("a: 1\n---\n---\n# only a comment\n---\nb: 2\n...\n", &[json!({"a": 1}), json!({"b": 2})]);
    check("", &[]);
    check("# nothing\n", &[]);
    check("\u{feff}a: 1", &[json!({"a": 1})]);
    check("a: 1\r\nb: 2\r\n", &[json!({"a": 1, "b": 2})]);
}

#[test]
fn json_is_read_with_tabs_surrogates_and_several_values() {
    check(
        "{\n\t\"a\": [1, 2.50, -3],\n\t\"b\": \"\\ud83d\\ude00\\/\"\n}\n",
        &[json!({"a": [1, 2.5, -3], "b": "😀/"})],
    );
    check("{\"a\": {}} {\"b\": [], \"c\": null}", &[json!({"a": {}}), json!({"b": []})]);
    // Not JSON, but YAML in flow style.
    check("{a: 1, b: [yes]}", &[json!({"a": 1, "b": [true]})]);
    check_invalid("{\n \"a\": 1,\n \"a\": 2\n}", 3, "there twice, first in line 2");
    check_invalid("{\n \"a\": 1\n", 3, "not JSON: a ','");
    check_invalid("{\"a\": \"x", 1, "no end");
    check_invalid("{\"a\": [}", 1, "not JSON: a value");
}

#[test]
fn positions_point_at_the_key_or_the_item() {
    let text = "spec:\n  containers:\n  - name: a\n    image: b\n  - {name: ü, image: c}\n";
    let json = "{\"spec\":\n {\"containers\": [\n  {\"name\": \"a\",\n    \"image\": 1}, {\"ü\": 0, \"image\": 1}]}}";
    for (text, path, line, column) in [
        (text, Path::of("spec"), 1, 1),
        (text, Path::of("spec.containers").index(0).key("image"), 4, 5),
        (text, Path::of("spec.containers").index(1), 5, 5),
        (text, Path::of("spec.containers").index(1).key("image"), 5, 15),
        (text, Path::of("spec.containers").index(1).key("ports").index(3), 5, 5),
        (text, Path::of("metadata.name"), 1, 1),
        (json, Path::of("spec.containers").index(0).key("image"), 4, 5),
        (json, Path::of("spec.containers").index(1).key("image"), 4, 27),
    ] {
        let found = documents(text.as_bytes()).unwrap()[0].locate(&path);
        assert_eq!((found.line, found.column), (line, column), "{path}");
    }
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    let text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\n\
                one: {<<: *base, b: 9}\nboth: {<<: [*base, *more], d: 5}\ncopy: [*base]\n\"<<\": plain\n";
    let found = documents(text.as_bytes()).unwrap()[0].to_json();
    assert_eq!(found["one"], json!({"b": 9, "a": 1}));
    assert_eq!(found["both"], json!({"d": 5, "a": 1, "b": 2, "c": 4}));
    assert_eq!(found["copy"], json!([{"a": 1, "b": 2}]));
    assert_eq!(found["<<"], json!("plain"));
    check_invalid("a: &a [*a]", 1, "inside what it names");
    check_invalid("a: 1\nb: {<<: 1}", 2, "merge key");
    check_invalid("a: &x 1\n---\nb: *x", 3, "");
}

#[test]
fn keys_are_words_and_none_is_there_twice() {
    check("{1: a, yes: b, 1.5: c}", &[json!({"1": "a", "true": "b", "1.5": "c"})]);
    check_invalid("a: 1\nb: 2\na: 3", 3, "\"a\" is there twice, first in line 1");
    check_invalid("x:\n  true: 1\n  yes: 2", 3, "there twice");
    check_invalid("? [a]\n: 1", 1, "a key must be a word");
    check_invalid("~: 1", 1, "must not be null");
}

#[test]
fn a_key_without_a_value_is_as_good_as_absent_but_among_free_names() {
    check("a:\nb: {c: }\nd: [~]", &[json!({"b": {}, "d": [null]})]);
    check("data: {k: v, x: }\n", &[json!({"data": {"k": "v", "x": ""}})]);
    check("labels:\n  a:\n  b: c", &[json!({"labels": {"a": "", "b": "c"}})]);
}

#[test]
fn broken_text_is_told_with_its_place_and_what_to_do() {
    let tab = documents(b"a:\n\tb: 1\n").unwrap_err();
    assert!(tab.fix.contains("spaces"), "{tab:?}");
    assert_eq!(tab.at.line, 2);
    check_invalid("a: 'open\n", 1, "not YAML");
    check_invalid("a: b: c", 1, "not YAML");
    check_invalid("a: [1\nb: 2\n", 2, "not YAML");
    let latin = documents(b"a: 1\nb: \xe4\n").unwrap_err();
    assert_eq!((latin.at.line, latin.at.column), (2, 4));
}
