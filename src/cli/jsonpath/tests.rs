#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn object() -> Value {
    serde_json::from_str(include_str!("object.json")).unwrap()
}

/// What is different on purpose: the template, and ours.
const OURS: &[(&str, Result<&str, &str>)] = &[
    // kubectl stops at the first empty list, and says nothing of the lists behind it.
    ("{..ports[*].containerPort}", Ok("80 443 8080")),
    ("{.spec.containers[*].ports[*].containerPort}", Ok("80 443 8080")),
    ("{range .spec.containers[*].ports[*]}{.containerPort} {end}", Ok("80 443 8080 ")),
    // Numbers are numbers.
    ("{.status.containerStatuses[?(@.restartCount==3.0)].name}", Ok("a")),
    // Filters in one another.
    ("{.spec.containers[?(@.ports[?(@.containerPort==80)])].name}", Ok("a")),
    // In JSON's words instead of Go's.
    ("{.metadata[0]}", Err("map is not array or slice")),
    ("{[*]}", Err("map is not array or slice")),
    ("{.metadata[?(@.x)]}", Err("map is not array or slice and cannot be filtered")),
    ("{.spec.containers[?(@.name=~\"a\")].name}", Err("unrecognized filter operator =")),
    // Only the verbs know that a template is missing.
    ("", Ok("")),
];

fn result(template: &str, object: &Value) -> Result<String, String> {
    let text = Template::parse(template).and_then(|template| template.text(object));
    text.map_err(|error| error.root_cause().to_string())
}

#[test]
fn templates_give_what_kubectl_gives() {
    let object = object();
    let table: Vec<Vec<Option<String>>> =
        serde_json::from_str(include_str!("by-kubectl-1.37.1.json")).unwrap();
    assert!(table.len() > 130);
    let mut wrong = Vec::new();
    for row in table {
        let template = row[0].as_deref().unwrap();
        let theirs = row[1].clone().ok_or_else(|| row[2].clone().unwrap());
        let ours = OURS.iter().find(|(ours, _)| *ours == template);
        let expected = match ours {
            Some((_, Ok(text))) => Ok(text.to_string()),
            Some((_, Err(error))) => Err(error.to_string()),
            None => theirs,
        };
        let found = result(template, &object);
        if found != expected {
            wrong.push(format!("{template}\n  expected {expected:?}\n     found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// kubectl gives what is in maps in no order.
#[test]
fn maps_are_walked_by_the_order_of_their_keys() {
    for (template, expected) in [
        ("{..name}", "web a http b c a b c"),
        ("{...name}", "web a http b c a b c"),
        ("{.metadata.labels.*}", "b w"),
        ("{range .metadata.labels.*}<{@}>{end}", "<b><w>"),
        ("{.spec.containers[2].*}", "z c [{\"containerPort\":8080}]"),
        ("{.metadata.labels..}", "{\"a\":\"b\",\"app.kubernetes.io/name\":\"w\"} b w"),
    ] {
        assert_eq!(result(template, &object()).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn an_error_names_the_template() {
    let error = Template::parse("{.a").unwrap_err();
    assert_eq!(format!("{error:#}"), "jsonpath \"{.a\": unclosed action");
    let error = Template::parse("{.spec.containers[9]}").unwrap().text(&object()).unwrap_err();
    let expected = "jsonpath \"{.spec.containers[9]}\": array index out of bounds: index 9, length 3";
    assert_eq!(format!("{error:#}"), expected);
}

#[test]
fn a_path_needs_no_braces() {
    for path in
        ["metadata.name", ".metadata.name", "{.metadata.name}", "{metadata.name}", "['metadata'].name"]
    {
        let template = Template::parse_path(path).unwrap();
        assert_eq!(template.values(&object()).unwrap(), [Cow::<Value>::Owned(json!("web"))], "{path}");
    }
    for wrong in ["", "{}", "{.a}{.b}", "a}", "{.a"] {
        assert!(Template::parse_path(wrong).is_err(), "{wrong}");
    }
}

/// What `kubectl -o jsonpath-as-json` 1.37.1 gives.
#[test]
fn values_are_given_as_json_too() {
    let template = Template::parse("{.spec.containers[*].name}{.metadata.labels}{.nope}").unwrap();
    let expected = "[\n    \"a\",\n    \"b\",\n    \"c\"\n]\n\
         [\n    {\n        \"a\": \"b\",\n        \"app.kubernetes.io/name\": \"w\"\n    }\n]\n[]\n";
    assert_eq!(template.json(&object()).unwrap(), expected);
}

#[test]
fn no_template_and_no_object_gives_without_end() {
    let mut deep = json!(1);
    (0..20).for_each(|_| deep = json!([deep]));
    let doubled = format!("{{{}}}", "[0,0]".repeat(20));
    assert_eq!(result(&doubled, &deep).unwrap_err(), "it looks at more than 1000000 values");
    let ranges = "{range ..}".repeat(33);
    assert_eq!(result(&ranges, &object()).unwrap_err(), "more than 32 ranges in one another");
    let many = json!({"a": vec![json!("x".repeat(1 << 20)); 65]});
    assert_eq!(result("{.a[*]}", &many).unwrap_err(), "it gives more than 64 MiB of text");
    let nested = format!("{{.a{}{}}}", "[?(@.a".repeat(40), ")]".repeat(40));
    assert_eq!(result(&nested, &object()).unwrap_err(), "more than 32 filters in one another");
}

/// Whatever is typed, there is an answer and no panic.
#[test]
fn no_text_is_too_odd() {
    let object = object();
    let parts = [
        "{", "}", "[", "]", "?(", ")", "@", ".", "..", "*", "'", "\"", "\\", "range ", "end", "a", "-", "9",
        ":", ",", "==", "é", "\n", " ",
    ];
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::from("{");
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(parts[usize::try_from(seed >> 33).unwrap() % parts.len()]);
        }
        let _ = result(&text, &object);
        let _ = Template::parse_path(&text);
    }
}
