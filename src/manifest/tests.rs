#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::spec::{AppArmor, Pod};

fn context() -> Context {
    Context { node_name: "Edge-1".to_owned(), directory: "/manifests".to_owned() }
}

/// The pod of `spec`, called `name`.
#[track_caller]
fn pod(name: &str, spec: Value) -> Arc<Pod> {
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    let reading = read("x.json", manifest.to_string().as_bytes(), &context());
    assert_eq!(reading.problems, []);
    Arc::clone(&reading.pods[0])
}

/// The problems of a manifest, as they are printed.
fn problems(text: &str) -> Vec<String> {
    read("x.yaml", text.as_bytes(), &context()).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_uid_is_32_digits_and_depends_on_file_node_and_document() {
    let document = json!({"b": 1, "a": [true, null, "x"]});
    let uid = |file: &str, node: &str, document: &Value| identity::uid(file, node, document, None).0;
    let own = uid("f", "n", &document);
    assert!(own.len() == 32 && own.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{own}");
    assert_eq!(
        own,
        uid("f", "n", &json!({"a": [true, null, "x"], "b": 1})),
        "whatever the order of the keys"
    );
    for other in [
        uid("g", "n", &document),
        uid("f", "m", &document),
        uid("fn", "", &document),
        uid("f", "n", &json!({"b": 1, "a": [null, true, "x"]})),
        uid("f", "n", &json!({"b": "1", "a": [true, null, "x"]})),
        uid("f", "n", &json!({"b": 1, "a": [[true, null], "x"]})),
    ] {
        assert_ne!(own, other);
    }
}

#[test]
fn a_uid_outlives_upgrades_of_the_agent() {
    // Were this to change, an upgrade would restart every pod in the field.
    let document =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "n": [1, 1.5, "é\n", true]});
    assert_eq!(identity::uid("a.yaml", "edge-1", &document, None).0, "c52282dfd0a377160d784b5e85569a04");
}

/// 11.15: a container's own field, then its annotation, then its pod's field (kubelet's `GetProfile`).
#[test]
fn the_apparmor_profile_is_the_containers_the_annotations_or_the_pods() {
    let local = |name: &str| json!({"type": "Localhost", "localhostProfile": name});
    let check = |own: Value, annotation: Option<&str>, of_pod: Value, expected: AppArmor| {
        let context = |profile: &Value| match profile {
            Value::Null => json!({}),
            profile => json!({"appArmorProfile": profile}),
        };
        let containers = json!([{"name": "c", "image": "a:1", "securityContext": context(&own)}]);
        let key = "container.apparmor.security.beta.kubernetes.io/c";
        let annotations = annotation.map(|value| json!({key: value})).unwrap_or_default();
        let manifest = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": annotations},
            "spec": {"containers": containers, "securityContext": context(&of_pod)},
        });
        let reading = read("x.json", manifest.to_string().as_bytes(), &self::context());
        assert_eq!(reading.problems, []);
        assert_eq!(reading.pods[0].containers[0].security.apparmor, expected, "{manifest}");
    };
    let named = |name: &str| AppArmor::Localhost(name.to_owned());
    check(Value::Null, None, Value::Null, AppArmor::Unsaid);
    check(Value::Null, Some(""), Value::Null, AppArmor::Unsaid);
    check(Value::Null, None, json!({"type": "RuntimeDefault"}), AppArmor::RuntimeDefault);
    check(local("own"), None, json!({"type": "Unconfined"}), named("own"));
    check(local("own"), Some("localhost/own"), json!({"type": "Unconfined"}), named("own"));
    check(Value::Null, Some("localhost/a/b"), json!({"type": "Unconfined"}), named("a/b"));
    check(Value::Null, Some("unconfined"), local("pods"), AppArmor::Unconfined);
    check(Value::Null, Some("runtime/default"), local("pods"), AppArmor::RuntimeDefault);
}

/// Reference D.6.
#[test]
fn the_host_name_is_the_pods_or_its_own_cut_to_a_label() {
    let containers = json!([{"name": "c", "image": "a:1"}]);
    let long = "a".repeat(56);
    for (name, spec, expected) in [
        ("web", json!({"containers": containers}), "web-edge-1"),
        ("web", json!({"containers": containers, "hostname": "till"}), "till"),
        ("web", json!({"containers": containers, "hostname": ""}), "web-edge-1"),
        ("web", json!({"containers": containers, "hostname": "till", "hostNetwork": true}), "edge-1"),
        ("a.b", json!({"containers": containers}), "a.b-edge-1"),
        // 56 + "-edge-1" is 63; one more leaves a '-' at the end.
        (&long, json!({"containers": containers}), &format!("{long}-edge-1")),
        (&"a".repeat(62), json!({"containers": containers}), &"a".repeat(62)),
        // 9.16
        ("web", json!({"containers": containers, "hostnameOverride": "a.b"}), "a.b"),
        (
            "web",
            json!({"containers": containers, "hostnameOverride": "a", "hostname": "b", "subdomain": "c"}),
            "a",
        ),
        ("web", json!({"containers": containers, "hostnameOverride": "a".repeat(64)}), &"a".repeat(63)),
    ] {
        assert_eq!(pod(name, spec).hostname, expected);
    }
}

#[test]
fn a_subdomain_counts_where_the_name_is_the_pods_own_9_16() {
    let containers = json!([{"name": "c", "image": "a:1"}]);
    for (name, value, expected) in [
        ("setHostnameAsFQDN", json!(true), ("sub", true)),
        ("hostname", json!("a"), ("sub", false)),
        ("hostnameOverride", json!("a"), ("", false)),
        ("hostNetwork", json!(true), ("", false)),
    ] {
        let pod = pod("web", json!({"containers": containers, "subdomain": "sub", name: value}));
        assert_eq!((&*pod.subdomain, pod.hostname_as_fqdn), expected, "{name}");
    }
}

#[test]
fn names_are_refused_as_by_the_api_server_9_17() {
    let refused = |spec: Value| {
        let mut spec = spec;
        spec["containers"] = json!([{"name": "c", "image": "a:1"}]);
        let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec});
        let problems = read("x.json", manifest.to_string().as_bytes(), &context()).problems;
        problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>().join(" ")
    };
    let hosts = |ip: &str, name: &str| json!({"hostAliases": [{"ip": ip, "hostnames": ["ok", name]}]});
    let dns = |field: &str, value: Value| json!({"dnsConfig": {field: value}});
    let four = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    for (spec, expected) in [
        (json!({"subdomain": "a.b"}), "spec.subdomain"),
        (json!({"hostnameOverride": "A"}), "spec.hostnameOverride"),
        (json!({"hostnameOverride": "a".repeat(65)}), "spec.hostnameOverride"),
        (json!({"hostnameOverride": "a", "hostNetwork": true}), "spec.hostnameOverride"),
        (json!({"hostnameOverride": "a", "setHostnameAsFQDN": true}), "spec.hostnameOverride"),
        (json!({"hostnameOverride": "a", "setHostnameAsFQDN": false}), ""),
        (hosts("192.0.2.1", "a.b"), ""),
        (hosts("192.0.2", "a"), "spec.hostAliases[0].ip"),
        (hosts("::1", "a\nb"), "spec.hostAliases[0].hostnames[1]"),
        (json!({"dnsPolicy": "None"}), "spec.dnsConfig.nameservers"),
        (json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["::1"]}}), ""),
        (json!({"dnsPolicy": "none"}), "spec.dnsPolicy"),
        (dns("nameservers", json!(four)), "spec.dnsConfig.nameservers"),
        (dns("nameservers", json!(["a"])), "spec.dnsConfig.nameservers[0]"),
        (dns("searches", json!(["_a.b.", "."])), ""),
        (dns("searches", json!(["a b"])), "spec.dnsConfig.searches[0]"),
        (dns("searches", json!(vec!["a"; 33])), "spec.dnsConfig.searches"),
        (dns("searches", json!(vec![vec!["a"; 100].join("."); 11])), "spec.dnsConfig.searches"),
        (dns("options", json!([{"name": "ndots", "value": "2"}, {"name": "edns0"}])), ""),
        (dns("options", json!([{"value": "2"}])), "spec.dnsConfig.options[0].name"),
        (
            dns("options", json!([{"name": "a", "value": "b\nnameserver 192.0.2.1"}])),
            "spec.dnsConfig.options[0].value",
        ),
    ] {
        let told = spec.to_string();
        assert_eq!(refused(spec), expected, "{told}");
    }
}

#[test]
fn in_the_nodes_network_every_port_is_one_of_the_nodes() {
    let ports = json!([
        {"containerPort": 80}, {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "192.0.2.1"},
        {"containerPort": 81, "hostIP": "0.0.0.0"},
    ]);
    let containers = json!([{"name": "c", "image": "a:1", "ports": ports}]);
    let on_host = pod("web", json!({"containers": containers, "hostNetwork": true}));
    let shown: Vec<_> = on_host.host_ports.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["TCP 80", "UDP 192.0.2.1:53", "TCP 81"]);
    let inits = json!([
        {"name": "i", "image": "a:1", "ports": [{"containerPort": 82}]},
        {"name": "s", "image": "a:1", "ports": [{"containerPort": 83}], "restartPolicy": "Always"},
    ]);
    let pod_with = json!({"containers": containers, "initContainers": inits, "hostNetwork": true});
    let shown: Vec<_> = pod("web", pod_with).host_ports.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["TCP 83", "TCP 80", "UDP 192.0.2.1:53", "TCP 81"], "of what goes on");
    let containers = json!([{"name": "c", "image": "a:1", "ports": [{"containerPort": 80}]}]);
    assert_eq!(pod("web", json!({"containers": containers})).host_ports, []);
}

/// Reference D.3.
#[test]
fn the_class_follows_from_requests_and_limits() {
    use crate::spec::Qos::{self, BestEffort, Burstable, Guaranteed};
    let cases: &[(&[Value], Qos)] = &[
        (&[json!({})], BestEffort),
        (&[json!({"limits": {"ephemeral-storage": 1}})], BestEffort),
        (&[json!({"limits": {"cpu": 0, "memory": "0"}})], BestEffort),
        (&[json!({"limits": {"cpu": 1, "memory": 1}})], Guaranteed),
        (
            &[json!({"limits": {"cpu": 1, "memory": "1Ki"}, "requests": {"cpu": "1000m", "memory": 1024}})],
            Guaranteed,
        ),
        (&[json!({"limits": {"cpu": 1, "memory": 2}, "requests": {"memory": 1}})], Burstable),
        (&[json!({"limits": {"cpu": 1}})], Burstable),
        (&[json!({"requests": {"memory": 1}})], Burstable),
        (&[json!({"limits": {"cpu": 1, "memory": 1}}), json!({})], Burstable),
    ];
    for (resources, qos) in cases {
        let container =
            |(place, resources)| json!({"name": format!("c{place}"), "image": "a:1", "resources": resources});
        let containers: Vec<_> = resources.iter().enumerate().map(container).collect();
        let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": containers}});
        let reading = read("x", manifest.to_string().as_bytes(), &context());
        assert_eq!(reading.pods[0].qos, *qos, "{resources:?}");
    }
}

/// 12.08: once a pod says something itself, nobody looks at its containers.
#[test]
fn the_class_of_a_pod_with_resources_of_its_own_follows_from_those_alone() {
    use crate::spec::Qos::{BestEffort, Burstable, Guaranteed};
    for (own, qos) in [
        (json!({"limits": {"cpu": 1, "memory": "1Gi"}}), Guaranteed),
        (json!({"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 1, "memory": "64Mi"}}), Burstable),
        (json!({"requests": {"cpu": "100m"}}), Burstable),
        (json!({"limits": {"cpu": 0}}), BestEffort),
        (json!({}), Guaranteed),
    ] {
        let container =
            json!({"name": "c", "image": "a:1", "resources": {"limits": {"cpu": 1, "memory": 1}}});
        let containers =
            if own == json!({}) { json!([container]) } else { json!([{"name": "c", "image": "a:1"}]) };
        let pod = pod("a", json!({"resources": own, "containers": containers}));
        assert_eq!(pod.qos, qos, "{own}");
        assert_eq!(pod.resources.is_some(), own != json!({}), "{own}");
    }
}

/// `defaultPodRequests` and `defaultHugePagePodLimits` of the API server.
#[test]
fn a_pod_that_says_what_it_may_use_asks_for_what_its_containers_do() {
    let amounts = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}});
    let huge = json!({"limits": {"cpu": 1, "hugepages-2Mi": "4Mi"}});
    let spec = json!({
        "resources": {"limits": {"cpu": 4, "memory": "1024Mi", "hugepages-1Gi": "1Gi"}},
        "initContainers": [
            {"name": "i", "image": "a:1", "resources": {"requests": {"memory": "512Mi"}}},
            {"name": "s", "image": "a:1", "restartPolicy": "Always", "resources": amounts("100m", "10Mi")},
        ],
        "containers": [
            {"name": "c", "image": "a:1", "resources": amounts("200m", "20Mi")},
            {"name": "d", "image": "a:1", "resources": huge},
        ],
    });
    let object: Value = serde_json::from_str(&pod("a", spec).object).unwrap();
    let limits = json!({"cpu": "4", "memory": "1Gi", "hugepages-1Gi": "1Gi", "hugepages-2Mi": "4Mi"});
    let requests = json!({"cpu": "1300m", "memory": "512Mi", "hugepages-1Gi": "1Gi", "hugepages-2Mi": "4Mi"});
    assert_eq!(object["spec"]["resources"], json!({"limits": limits, "requests": requests}));
}

/// What a real kubelet 1.36.2 published of a pod, but for what the API server's admission added
/// (`preemptionPolicy`, `priority`, the mirror's annotations and owner).
#[test]
fn the_object_shown_is_what_the_kubelet_shows() {
    let text = "
apiVersion: v1
kind: Pod
metadata: {name: t1, labels: {app: t1}}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: localhost/busybox:1.35
    imagePullPolicy: Never
    command: [/bin/sh]
    volumeMounts: [{name: out, mountPath: /out}]
  volumes:
  - {name: out, hostPath: {path: /srv/out, type: Directory}}
";
    let pod = &read("t1.yaml", text.as_bytes(), &context()).pods[0];
    let uid = &pod.uid.0;
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "annotations": {"kubernetes.io/config.hash": uid, "kubernetes.io/config.source": "file"},
            "labels": {"app": "t1"},
            "name": "t1-edge-1",
            "namespace": "default",
            "uid": uid,
        },
        "spec": {
            "containers": [{
                "command": ["/bin/sh"],
                "image": "localhost/busybox:1.35",
                "imagePullPolicy": "Never",
                "name": "c",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "volumeMounts": [{"mountPath": "/out", "name": "out"}],
            }],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true,
            "hostNetwork": true,
            "nodeName": "edge-1",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"effect": "NoExecute", "operator": "Exists"}],
            "volumes": [{"hostPath": {"path": "/srv/out", "type": "Directory"}, "name": "out"}],
        },
    });
    assert_eq!(serde_json::from_str::<Value>(&pod.object).unwrap(), expected);
    assert_eq!(pod.origin, "/manifests/t1.yaml");
}

#[test]
fn no_value_of_a_manifest_is_told() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: c, image: a, env: [";
    for text in [
        format!("{secret}stringData: {{pin: 987654}}\n"),
        format!("{secret}stringData: {{pin: [987654]}}\n"),
        format!("{secret}data: {{pin: 987654}}\n"),
        format!("{secret}data: {{pin: 'geheim 987654'}}\n"),
        format!("{secret}data: '987654'\n"),
        format!("{secret}immutable: '987654'\n"),
        format!("{secret}data: 987654 987654: 987654\n"),
        format!("{pod}{{name: A, value: 987654}}]}}\n"),
        format!("{pod}{{name: A, value: \"\\0987654\"}}]}}\n"),
    ] {
        let told = problems(&text);
        assert_eq!(told.len(), 1, "{text}: {told:?}");
        assert!(!told[0].contains("987654"), "{told:?}");
    }
}

#[test]
fn more_problems_than_anybody_reads_are_cut() {
    let fields: String = (0..500).map(|number| format!("unknown{number}: 1\n")).collect();
    let told = problems(&format!("apiVersion: v1\nkind: Pod\n{fields}metadata: {{name: a}}\n"));
    assert_eq!(told.len(), 101);
    assert!(
        told[0].starts_with("1:1: error: spec.containers"),
        "errors are told before warnings: {}",
        told[0]
    );
    assert!(told[100].contains("there are more"), "{}", told[100]);
    let documents = "a: 1\n---\n".repeat(500);
    assert_eq!(problems(&documents).len(), 101);
}

/// Of a container with `ports` and this probe of `kind`: what is wrong with it.
fn wrong_with(kind: &str, probe: Value) -> Vec<String> {
    let ports = json!([{"name": "http", "containerPort": 8080}]);
    let container = json!({"name": "c", "image": "a:1", "ports": ports, kind: probe});
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container]}});
    let problems = read("x.json", manifest.to_string().as_bytes(), &context()).problems;
    let path = format!("spec.containers[0].{kind}");
    let short = |path_of: &str| path_of.strip_prefix(&path).unwrap().trim_start_matches('.').to_owned();
    problems.iter().map(|problem| format!("{}: {}", short(&problem.path), problem.message)).collect()
}

/// Reference C.1, and what the API server refuses.
#[test]
fn a_wrong_probe_is_refused_with_its_field() {
    let (live, ready) = ("livenessProbe", "readinessProbe");
    let exec = |more: Value| {
        let mut probe = json!({"exec": {"command": ["true"]}});
        more.as_object().unwrap().iter().for_each(|(name, value)| probe[name] = value.clone());
        probe
    };
    let get = |field: &str, value: Value| {
        let mut get = json!({"port": 80});
        get[field] = value;
        json!({ "httpGet": get })
    };
    let socket = |port: Value| json!({"tcpSocket": {"port": port}});
    for (kind, probe, expected) in [
        (live, exec(json!({})), ""),
        (live, exec(json!({"timeoutSeconds": 0, "periodSeconds": 0, "failureThreshold": 0})), ""),
        (live, json!({}), ": asks nothing"),
        (live, exec(json!({"tcpSocket": {"port": 1}})), ": must not ask in more than one way"),
        (live, json!({"exec": {}}), "exec.command: must not be empty"),
        (live, json!({"exec": {"command": ["a\0"]}}), "exec.command[0]: must not contain a NUL character"),
        (live, exec(json!({"periodSeconds": -1})), "periodSeconds: must not be negative"),
        (live, exec(json!({"successThreshold": 2})), "successThreshold: must be 1 for a liveness probe"),
        (ready, exec(json!({"successThreshold": 2})), ""),
        (live, exec(json!({"terminationGracePeriodSeconds": 5})), ""),
        (
            live,
            exec(json!({"terminationGracePeriodSeconds": 0})),
            "terminationGracePeriodSeconds: must be between 1 and 31622400 seconds",
        ),
        (
            ready,
            exec(json!({"terminationGracePeriodSeconds": 5})),
            "terminationGracePeriodSeconds: must not be set: a readiness probe ends nothing",
        ),
        (live, socket(json!("http")), ""),
        (live, socket(json!("8080")), ""),
        (live, socket(json!(0)), "tcpSocket.port: must be between 1 and 65535"),
        (live, socket(json!("65536")), "tcpSocket.port: must be between 1 and 65535"),
        (live, socket(json!("https")), "tcpSocket.port: no port of the container is called \"https\""),
        (live, json!({"grpc": {"port": 65535, "service": ""}}), ""),
        (live, json!({"grpc": {"port": 0}}), "grpc.port: must be between 1 and 65535"),
        (live, json!({"grpc": {"port": 65536}}), "grpc.port: must be between 1 and 65535"),
        (live, get("scheme", json!("http")), "httpGet.scheme: must be one of HTTP, HTTPS"),
        (live, get("host", json!("localhost")), ""),
        (
            live,
            get("host", json!("example.com")),
            "httpGet.host: not supported yet: names of hosts in probes and hooks",
        ),
        (
            live,
            get("httpHeaders", json!([{"name": "A B", "value": ""}])),
            "httpGet.httpHeaders[0].name: must be letters, digits and '-', like X-Probe",
        ),
        (
            live,
            get("httpHeaders", json!([{"name": "A", "value": "b\r\nHost: c"}])),
            "httpGet.httpHeaders[0].value: must not contain control characters",
        ),
    ] {
        let told = probe.to_string();
        assert_eq!(wrong_with(kind, probe).join("\n"), expected, "{told}");
    }
}

/// Reference C.1.
#[test]
fn a_probe_gets_the_kubelets_defaults() {
    let probe = json!({"httpGet": {"port": "http", "path": "healthz?a=b"}, "timeoutSeconds": 0});
    let ports = json!([{"name": "http", "containerPort": 8080}]);
    let container = json!({"name": "c", "image": "a:1", "ports": ports, "startupProbe": probe});
    let pod = pod("a", json!({"containers": [container]}));
    let probe = pod.containers[0].probes.startup.clone().unwrap();
    let seconds = |seconds| std::time::Duration::from_secs(seconds);
    assert_eq!(
        (probe.initial_delay, probe.timeout, probe.period, probe.grace),
        (seconds(0), seconds(1), seconds(10), None)
    );
    assert_eq!((probe.success_threshold, probe.failure_threshold), (1, 3));
    let crate::spec::Check::Http(get) = probe.check else { panic!("no httpGet") };
    assert_eq!((get.port, &*get.path, get.host), (8080, "/healthz?a=b", None));
    let object: Value = serde_json::from_str(&pod.object).unwrap();
    let shown = &object["spec"]["containers"][0]["startupProbe"];
    assert_eq!((&shown["periodSeconds"], &shown["httpGet"]["scheme"]), (&json!(10), &json!("HTTP")));
}

/// The API server's rules; and where no file can be.
#[test]
fn how_a_container_ends_is_validated_8_06_6_08() {
    let wrong = |os: &str, container: Value| {
        let os = Some(os).filter(|os| !os.is_empty()).map(|name| json!({ "name": name }));
        let mut spec = json!({"os": os, "containers": [container]});
        spec["containers"][0]["name"] = json!("c");
        spec["containers"][0]["image"] = json!("a:1");
        let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec});
        let problems = problems(&manifest.to_string()).into_iter();
        problems.map(|problem| problem.split_once("error: spec.").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let signal = |signal: &str| json!({"lifecycle": {"stopSignal": signal}});
    for fine in ["SIGTERM", "SIGRTMIN", "SIGRTMIN+15", "SIGRTMAX-14", "SIGRTMAX", "SIGCLD"] {
        assert_eq!(wrong("linux", signal(fine)), [""; 0], "{fine}");
    }
    for bad in
        ["TERM", "15", "sigterm", "SIGRTMIN+16", "SIGRTMIN+0", "SIGRTMIN+01", "SIGRTMAX-15", "SIGNULL", ""]
    {
        let told = wrong("linux", signal(bad));
        let expected = format!(
            "containers[0].lifecycle.stopSignal: {bad:?} is not the name of a signal; write it like SIGUSR1"
        );
        assert_eq!(told, [expected], "{bad}");
    }
    assert_eq!(
        wrong("", signal("SIGTERM")),
        [
            "containers[0].lifecycle.stopSignal: must not be set while spec.os.name is empty; add spec.os: {name: linux}"
        ]
    );
    let place = |path: &str| json!({ "terminationMessagePath": path });
    for fine in ["", "/dev/termination-log", "tmp/my-log", "/tmp//./x", "/processes"] {
        assert_eq!(wrong("linux", place(fine)), [""; 0], "{fine}");
    }
    for bad in ["/", "//.", "/dev/", "/proc/1/environ", "proc", "/tmp/../proc/x", "/a\0b"] {
        assert_eq!(wrong("linux", place(bad)).len(), 1, "{bad:?}");
    }
    assert_eq!(
        wrong("linux", json!({"terminationMessagePolicy": "Log"})),
        ["containers[0].terminationMessagePolicy: must be one of File, FallbackToLogsOnError"]
    );
}

/// Upstream's default for all of them, and the kubelet's way with a path that is not absolute.
#[test]
fn last_words_are_said_where_the_manifest_says() {
    for (fields, path, or_log) in [
        (json!({}), "/dev/termination-log", false),
        (json!({"terminationMessagePolicy": "FallbackToLogsOnError"}), "/dev/termination-log", true),
        (json!({"terminationMessagePath": "tmp/a", "terminationMessagePolicy": "File"}), "/tmp/a", false),
    ] {
        let mut container = fields;
        container["name"] = json!("c");
        container["image"] = json!("a:1");
        let pod = pod("web", json!({"containers": [container]}));
        let words = &pod.containers[0].last_words;
        assert_eq!((words.path.as_str(), words.or_log), (path, or_log));
    }
}

/// The API server's rules for hooks, and its defaults.
#[test]
fn a_wrong_hook_is_refused_with_its_field_6_07() {
    let wrong = |hook: Value| {
        let lifecycle = json!({"preStop": hook});
        let ports = json!([{"name": "http", "containerPort": 8080}]);
        let container = json!({"name": "c", "image": "a:1", "ports": ports, "lifecycle": lifecycle});
        let spec = json!({"terminationGracePeriodSeconds": 20, "containers": [container]});
        let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec});
        let problems = read("x.json", manifest.to_string().as_bytes(), &context()).problems;
        let path = "spec.containers[0].lifecycle.preStop";
        let short = |of: &str| of.strip_prefix(path).unwrap().trim_start_matches('.').to_owned();
        let told = problems.iter().map(|problem| format!("{}: {}", short(&problem.path), problem.message));
        told.collect::<Vec<_>>().join("\n")
    };
    let late = "sleep.seconds: must be between 0 and terminationGracePeriodSeconds, which is 20";
    for (hook, expected) in [
        (json!({"exec": {"command": ["a"]}}), ""),
        (json!({"sleep": {"seconds": 0}}), ""),
        (json!({"sleep": {"seconds": 20}}), ""),
        (json!({"httpGet": {"port": "http"}}), ""),
        (json!({}), ": does nothing"),
        (json!({"exec": {"command": ["a"]}, "sleep": {"seconds": 1}}), ": must not do more than one thing"),
        (json!({"exec": {}}), "exec.command: must not be empty"),
        (json!({"sleep": {"seconds": 21}}), late),
        (json!({"sleep": {"seconds": -1}}), late),
        (json!({"httpGet": {"port": "https"}}), "httpGet.port: no port of the container is called \"https\""),
        (json!({"httpGet": {"port": 1, "scheme": "HTTPS"}}), ""),
        (json!({"httpGet": {"port": 1, "scheme": "https"}}), "httpGet.scheme: must be one of HTTP, HTTPS"),
        (json!({"tcpSocket": {"port": 1}}), "tcpSocket: not possible here: Kubernetes never built it"),
    ] {
        let told = hook.to_string();
        assert_eq!(wrong(hook), expected, "{told}");
    }
    let lifecycle = json!({"postStart": {"httpGet": {"port": "http", "path": "a?b=c"}}, "preStop": {"sleep": {"seconds": 5}}});
    let ports = json!([{"name": "http", "containerPort": 8080}]);
    let container = json!({"name": "c", "image": "a:1", "ports": ports, "lifecycle": lifecycle});
    let pod = pod("web", json!({"containers": [container]}));
    let hooks = &pod.containers[0].hooks;
    let get = spec::HttpGet {
        scheme: spec::Scheme::Http,
        host: None,
        port: 8080,
        path: "/a?b=c".into(),
        headers: Vec::new(),
    };
    assert_eq!(hooks.post_start, Some(spec::Hook::Http(get)));
    assert_eq!(hooks.pre_stop, Some(spec::Hook::Sleep(std::time::Duration::from_secs(5))));
    let object: Value = serde_json::from_str(&pod.object).unwrap();
    let shown = &object["spec"]["containers"][0]["lifecycle"]["postStart"]["httpGet"];
    assert_eq!(shown["scheme"], json!("HTTP"));
}
