#![allow(clippy::unwrap_used)]

use super::*;

fn check(lower: &[&str], upper: &str, expected: Result<&str, &str>) {
    let overlay = Overlay {
        no_devices: false,
        layers: "/l".to_owned(),
        lower: lower.iter().map(|&name| name.to_owned()).collect(),
        upper: upper.to_owned(),
        work: "/w".to_owned(),
    };
    match (options(&overlay, None), expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
        (found, expected) => panic!("{found:?}, expected {expected:?}"),
    }
}

#[test]
fn layers_are_named_relative_and_the_uppermost_first() {
    check(&["b", "a"], "/u", Ok("lowerdir=b:a,upperdir=/u,workdir=/w"));
}

#[test]
fn a_path_cannot_add_an_option() {
    check(&["a"], "/u,userxattr", Ok("lowerdir=a,upperdir=/u\\,userxattr,workdir=/w"));
    check(&["a"], "/u\\", Ok("lowerdir=a,upperdir=/u\\\\,workdir=/w"));
}

#[test]
fn a_layer_cannot_be_somewhere_else() {
    for name in ["../a", "/a", "a:b", "a,b", "a\\b", "", ".", ".."] {
        check(&[name], "/u", Err("cannot be the name of a layer"));
    }
    check(&[], "/u", Err("no layer"));
}

#[test]
fn more_layers_than_fit_are_refused_by_count() {
    let name = "f".repeat(64);
    check(&[&*name; 60], "/u", Ok(&format!("lowerdir={},upperdir=/u,workdir=/w", [&*name; 60].join(":"))));
    check(&[&*name; 64], "/u", Err("64 layers need"));
}
