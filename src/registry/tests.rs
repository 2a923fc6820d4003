#![allow(clippy::unwrap_used)]

use super::challenge::{Challenge, wanted};
use super::*;
use crate::image::Reference;

const FILE: &str = r#"
mirrors:
  docker.io:
    endpoint:
    - "https://mirror.test:5443"
    - http://plain.test/cache/v2
    rewrite:
      "^library/(.*)": "hub/$1"
      "(.*)": "never/$1"
  own.test:
    endpoint: [https://own.test, "http://127.0.0.1:5000"]
  last.test:
    endpoint: ["127.0.0.1:5001", "https://last.test/v2"]
    rewrite: {"^": "x/"}
  "*":
    endpoint: [https://all.test]
  unknown: ~
configs:
  mirror.test:5443:
    auth: {username: u, password: 123}
    tls: {ca_file: /ca, cert_file: /cert, key_file: /key, insecure_skip_verify: true}
  docker.io:
    auth: {auth: dXNlcjpwYXNz}
  alone.test:
    auth: {identity_token: T}
other: [1]
"#;

fn settings(only_mirrors: bool) -> Settings {
    let docker = br#"{"auths": {"https://index.docker.io/v1/": {"auth": "aDpw"}, "*.wild.test:5000": {"username": "w"},
        "path.test": {"username": "all"}, "path.test/team": {"username": "team", "password": "x"}, "empty.test": {}}}"#;
    Settings {
        registries: Registries::read(FILE.as_bytes()).unwrap(),
        docker: DockerConfig::read(docker).unwrap(),
        only_mirrors,
    }
}

fn who(settings: &Settings, image: &str) -> Vec<String> {
    let found = settings.endpoints(&Reference::parse(image).unwrap()).unwrap();
    let shown = |endpoint: Endpoint| {
        let user = match &endpoint.credentials {
            Some(Credentials::Password { user, password }) => format!(" {user}:{password}"),
            Some(Credentials::Token(token)) => format!(" token {token}"),
            None => String::new(),
        };
        let url = endpoint.manifest("1");
        format!("{}://{}{}{user}", url.scheme(), url.authority(), url.target)
    };
    found.into_iter().map(shown).collect()
}

/// Reference G.6; `pkg/agent/containerd/config.go` of k3s is the judge where that is silent.
#[test]
fn endpoints_are_asked_in_the_order_of_registries_yaml_and_the_registry_itself_last() {
    let check =
        |image: &str, expected: &[&str]| assert_eq!(who(&settings(false), image), expected, "{image}");
    check(
        "redis",
        &[
            "https://mirror.test:5443/v2/hub/redis/manifests/1?ns=docker.io u:123",
            "http://plain.test/cache/v2/hub/redis/manifests/1?ns=docker.io",
            "https://registry-1.docker.io/v2/library/redis/manifests/1 user:pass",
        ],
    );
    check(
        "team/app",
        &[
            "https://mirror.test:5443/v2/never/team/app/manifests/1?ns=docker.io u:123",
            "http://plain.test/cache/v2/never/team/app/manifests/1?ns=docker.io",
            "https://registry-1.docker.io/v2/team/app/manifests/1 user:pass",
        ],
    );
    check(
        "own.test/a",
        &[
            "https://own.test/v2/a/manifests/1",
            "http://127.0.0.1:5000/v2/a/manifests/1?ns=own.test",
            "https://own.test/v2/a/manifests/1",
        ],
    );
    check(
        "last.test/a",
        &["http://127.0.0.1:5001/v2/x/a/manifests/1?ns=last.test", "https://last.test/v2/x/a/manifests/1"],
    );
    check(
        "other.test:5000/a",
        &[
            "https://all.test/v2/a/manifests/1?ns=other.test%3A5000",
            "https://other.test:5000/v2/a/manifests/1",
        ],
    );
    // Something is said of it, so that the one for all others does not count.
    check("alone.test/a", &["https://alone.test/v2/a/manifests/1 token T"]);
    check(
        "a.wild.test:5000/a",
        &[
            "https://all.test/v2/a/manifests/1?ns=a.wild.test%3A5000",
            "https://a.wild.test:5000/v2/a/manifests/1 w:",
        ],
    );
    let only = who(&settings(true), "other.test/a");
    assert_eq!(only, ["https://all.test/v2/a/manifests/1?ns=other.test"]);
    assert_eq!(who(&settings(true), "alone.test/a").len(), 1);
}

#[test]
fn without_any_file_the_registry_itself_is_asked_and_one_of_this_node_in_plain() {
    let none = Settings { docker: settings(false).docker, ..Settings::default() };
    let check = |image: &str, expected: &str| assert_eq!(who(&none, image), [expected], "{image}");
    check("redis:7", "https://registry-1.docker.io/v2/library/redis/manifests/1 h:p");
    check("path.test/team/a", "https://path.test/v2/team/a/manifests/1 team:x");
    check("path.test/b", "https://path.test/v2/b/manifests/1 all:");
    check("empty.test/b", "https://empty.test/v2/b/manifests/1");
    check("wild.test:5000/b", "https://wild.test:5000/v2/b/manifests/1");
    check("localhost:5000/b", "http://localhost:5000/v2/b/manifests/1");
    check("127.0.0.1:443/b", "https://127.0.0.1/v2/b/manifests/1");
    assert_eq!(
        who(&Settings { only_mirrors: true, ..none.clone() }, "redis").len(),
        1,
        "there are no mirrors"
    );
    let all = Registries::read(b"mirrors: {'*': {}}").unwrap();
    let nobody = Settings { registries: all, only_mirrors: true, ..Settings::default() };
    assert_eq!(who(&nobody, "redis"), [""; 0]);
}

#[test]
fn what_is_wrong_in_a_file_is_told_by_its_place_and_never_by_its_value() {
    for (text, expected) in [
        ("mirrors: [SECRET]", "mirrors: must be a mapping"),
        ("mirrors: {a.test: {endpoint: SECRET}}", "mirrors.a.test.endpoint: must be a list of addresses"),
        ("mirrors: {a.test: {endpoint: [[SECRET]]}}", "mirrors.a.test.endpoint: must be text"),
        ("mirrors: {a.test: {rewrite: {'(': b}}}", "mirrors.a.test.rewrite: \"(\""),
        ("configs: {a.test: {auth: SECRET}}", "configs.a.test.auth: must be a mapping"),
        ("configs: {a.test: {auth: {password: [SECRET]}}}", "configs.a.test.auth.password: must be text"),
        (
            "configs: {a.test: {auth: {auth: SECRET}}}",
            "configs.a.test.auth: auth is not name:password in base 64",
        ),
        (
            "configs: {a.test: {tls: {insecure_skip_verify: 'SECRET'}}}",
            "configs.a.test.tls.insecure_skip_verify: must be true",
        ),
        ("a: 1\n---\nb: 2", "it has several documents"),
        ("a: 'SECRET", "line 1"),
    ] {
        let wrong = format!("{:#}", Registries::read(text.as_bytes()).unwrap_err());
        assert!(wrong.contains(expected) && !wrong.contains("SECRET"), "{text}: {wrong}");
    }
    for text in ["{\"auths\": {\"a\": {\"auth\": \"SECRET\"}}}", "SECRET", "[1]", "{\"auths\": \"SECRET\"}"] {
        let wrong = format!("{:#}", DockerConfig::read(text.as_bytes()).unwrap_err());
        assert!(!wrong.contains("SECRET"), "{text}: {wrong}");
    }
    let wrong = Registries::read(b"mirrors: {'*': {endpoint: ['https://u:SECRET@a.test']}}").unwrap();
    let wrong =
        Settings { registries: wrong, ..Settings::default() }.endpoints(&Reference::parse("a").unwrap());
    let wrong = format!("{:#}", wrong.unwrap_err());
    assert!(wrong.contains("mirrors of docker.io, endpoint 1") && !wrong.contains("SECRET"), "{wrong}");
    assert_eq!(Registries::read(b"# nothing\n").unwrap(), Registries::default());
    let shown = format!("{:?}", settings(false));
    for secret in ["123", "pass", "\"T\"", "\"x\""] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

#[test]
fn a_registry_says_what_it_wants_to_be_shown() {
    let bearer = |realm: &str, service: &str, scope: &str| {
        let [realm, service, scope] = [realm, service, scope].map(str::to_owned);
        Some(Challenge::Bearer { realm, service, scope })
    };
    let of = |values: &[&str]| wanted(values.iter().copied());
    assert_eq!(
        of(&[r#"Bearer realm="https://auth.test/token",service="r, s",scope="repository:a/b:pull,push""#]),
        bearer("https://auth.test/token", "r, s", "repository:a/b:pull,push")
    );
    assert_eq!(
        of(&[r#"Basic realm="x", Bearer realm=https://a/t , error="invalid_token""#]),
        bearer("https://a/t", "", "")
    );
    assert_eq!(of(&["basic realm=\"with \\\" quote\"", "Negotiate abc=="]), Some(Challenge::Basic));
    assert_eq!(of(&["Bearer", "Digest realm=\"x\""]), None);
    for odd in
        ["", ",,,", "=", "\"", "Bearer realm=\"", "Bearer =,= ,", "Basic,Bearer realm", &"a ".repeat(9000)]
    {
        assert!(matches!(of(&[odd]), None | Some(Challenge::Basic)), "{odd}");
    }
}
