//! Hooks and probes that ask by HTTPS, in the pod's own network. What becomes of the connection itself is told by
//! `tests/https.rs`.

use std::fs;

use serde_json::{Value, json};

use crate::harness::image::put_openssl;
use crate::harness::pod::{container, pod, with};
use crate::harness::{SOON, World, eventually};
use crate::hooks::kill;

fn get(path: &str, port: u16) -> Value {
    json!({"httpGet": {"path": path, "port": port, "scheme": "HTTPS"}})
}

/// An init container that goes on, and that others wait for until it answers `probe`.
fn sidecar(name: &str, args: &[&str], mut probe: Value) -> Value {
    let mut sidecar = container(name, args);
    (probe["periodSeconds"], probe["failureThreshold"], probe["timeoutSeconds"]) =
        (json!(1), json!(60), json!(30));
    (sidecar["restartPolicy"], sidecar["startupProbe"]) = (json!("Always"), probe);
    sidecar
}

/// 6.03: the certificate is its own, and nobody vouches for it. B.8: who speaks HTTP after all is asked by that.
#[test]
fn hooks_and_probes_may_ask_by_https() {
    let world = World::new();
    for file in ["up", "begun", "ends"] {
        fs::write(world.shared().join(file), "HTTP/1.0 204 Well\r\n\r\n").unwrap();
    }
    let serve = ["s_server", "-HTTP", "-accept", "8443", "-cert", "itself.pem", "-key", "itself.key"];
    let command = [put_openssl(&world.shared(), "/shared"), serve.map(str::to_owned).to_vec()].concat();
    let mut secure = sidecar("secure", &[], get("/up", 8443));
    (secure["command"], secure["workingDir"]) = (json!(command), json!("/shared"));
    secure["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
    let plain = sidecar("plain", &["serve", "8080", "/etc"], json!({"tcpSocket": {"port": 8080}}));
    let mut main = container("main", &["trap-term"]);
    main["lifecycle"] = json!({"postStart": get("/begun", 8443), "preStop": get("/ends", 8443)});
    let mut last = container("last", &["trap-term"]);
    last["lifecycle"] = json!({"postStart": get("/fallback", 8080)});
    last["readinessProbe"] = get("/up", 8443);
    let web = with(
        pod("web", &[]),
        json!({
            "initContainers": [secure, plain],
            // The last one holds the pod, so that the log can be read.
            "containers": [main, last, container("deaf", &["ignore-term"])],
            "volumes": [{"name": "shared", "hostPath": {"path": world.shared()}}],
            "terminationGracePeriodSeconds": 600,
        }),
    );
    world.write("web.yaml", &web);
    world.running("web");
    let name = world.pod_name("web");
    let log = |container: &str| world.says(&["logs", &name, "-c", container]);
    let asked = log("secure");
    assert!(
        asked.contains("FILE:up") && asked.contains("FILE:begun") && !asked.contains("FILE:ends"),
        "{asked}"
    );
    assert!(log("plain").contains("asked for /fallback"), "{}", log("plain"));
    let events = || -> Vec<String> {
        let list: Value = serde_json::from_str(&world.says(&["get", "events", "-A", "-o", "json"])).unwrap();
        let told = |event: &Value| format!("{}: {}", event["reason"], event["message"]).replace('"', "");
        list["items"].as_array().unwrap().iter().map(told).collect()
    };
    let told = "LifecycleHTTPFallback: request to HTTPS lifecycle hook 127.0.0.1:8080 got HTTP response, retry with \
                HTTP succeeded";
    eventually(SOON, told, || events().iter().any(|event| event == told).then_some(()));
    world.remove("web.yaml");
    eventually(SOON, "the hook at the end is answered", || log("secure").contains("FILE:ends").then_some(()));
    kill(&world, "web");
    assert!(!events().iter().any(|event| event.starts_with("Failed")), "{:?}", events());
}
