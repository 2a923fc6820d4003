#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::api::published;

fn found() -> Found {
    let ports = json!([{"name": "web", "containerPort": 80}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]);
    let object = json!({"metadata": {"name": "web-edge"}, "spec": {"containers": [{"ports": ports}]}});
    let pod = published::Pod {
        version: published::VERSION,
        object,
        events: Vec::new(),
        manifest: String::new(),
        log_directory: String::new(),
        next: None,
    };
    Found { uid: "1".into(), pod }
}

#[test]
fn a_port_is_a_number_or_a_name_and_the_nodes_may_be_another() {
    let parse = |words: &str| Forward::parse(words, &found()).map(|it| (it.local, it.remote));
    let right = [
        ("80", (80, 80)),
        ("8080:80", (8080, 80)),
        (":80", (0, 80)),
        ("web", (80, 80)),
        ("8080:web", (8080, 80)),
        ("0:web", (0, 80)),
    ];
    for (words, ports) in right {
        assert_eq!(parse(words).unwrap(), ports, "{words}");
    }
    let wrong = [
        ("0", "must be > 0"),
        ("80:0", "must be > 0"),
        ("80:", "has no port \"\""),
        ("65536", "has no port \"65536\": give its number"),
        ("x:80", "\"x\" is no port"),
        ("70000:80", "\"70000\" is no port"),
        ("dns", "only TCP"),
        ("1:2:3", "has no port \"2:3\""),
    ];
    for (words, told) in wrong {
        let error = format!("{:#}", parse(words).unwrap_err());
        assert!(error.contains(told), "{words}: {error}");
    }
}

#[test]
fn a_port_that_nobody_chose_is_the_same_at_all_addresses_and_one_of_localhost_is_enough() {
    let any = Forward { local: 0, remote: 80 };
    let listeners = any.listen(&["127.0.0.1".to_owned(), "127.0.0.2".to_owned()]).unwrap();
    let ports: Vec<u16> =
        listeners.iter().map(|(listener, _)| listener.local_addr().unwrap().port()).collect();
    assert!(ports[0] > 0 && ports[0] == ports[1] && listeners[1].1.local == ports[0], "{ports:?}");
    let taken = Forward { local: ports[0], remote: 80 };
    let error = taken.listen(&["127.0.0.1".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("unable to listen on port") && error.contains("in use"), "{error}");
    let error = taken.listen(&["example".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("write an IP address or localhost"), "{error}");
}
