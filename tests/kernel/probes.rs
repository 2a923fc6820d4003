//! Probes of real containers: acceptance section 7. Thresholds, delays and what comes of them in every order are played in
//! virtual time, in `lifecycle`'s own tests.

use std::fs;

use serde_json::{Value, json};

use crate::harness::image::{shell, tool};
use crate::harness::pod::{Seen, container, pod, with, with_main};
use crate::harness::{A_WHILE, SOON, World, eventually, kernel, stays_true_for};

/// `/shared` in the container is a directory that the story can write into.
fn with_shared(world: &World, pod: Value) -> Value {
    let volume = json!([{"name": "shared", "hostPath": {"path": world.shared()}}]);
    let pod = with(pod, json!({"volumes": volume}));
    with_main(pod, json!({"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}))
}

/// Every second, and the first failure counts.
fn every_second(check: Value) -> Value {
    let mut probe = json!({"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 30});
    for (name, value) in check.as_object().unwrap() {
        probe[name] = value.clone();
    }
    probe
}

fn there(file: &str) -> Value {
    every_second(json!({"exec": {"command": ["/workload", "there", file]}}))
}

fn put(world: &World, file: &str, text: &str) {
    let staged = world.shared().join("staged");
    fs::write(&staged, text).unwrap();
    fs::rename(staged, world.shared().join(file)).unwrap();
}

fn take(world: &World, file: &str) {
    fs::remove_file(world.shared().join(file)).unwrap();
}

/// The events of a pod that have `reason`, a message each.
fn events(world: &World, reason: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(&world.says(&["get", "events", "-A", "-o", "json"])).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    let with_reason = items.filter(|event| event["reason"] == reason);
    with_reason.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
}

fn told(world: &World, reason: &str, words: &str) {
    eventually(SOON, &format!("an event {reason}: {words}"), || {
        events(world, reason).iter().any(|message| message.contains(words)).then_some(())
    });
}

fn is_ready(pod: &Seen) -> bool {
    pod.is("Ready") && pod.is("ContainersReady") && pod.main()["ready"] == true
}

/// 7.03, 7.04
#[test]
fn a_liveness_that_fails_restarts_the_container_and_one_that_holds_does_not() {
    let world = World::new();
    put(&world, "healthy", "");
    let live = with_main(pod("live", &["trap-term"]), json!({"livenessProbe": there("/shared/healthy")}));
    world.write("live.yaml", &with_shared(&world, live));
    let seen = world.running("live");
    stays_true_for(A_WHILE, "nothing is restarted", || {
        world.pod("live").is_some_and(|now| now.life() == seen.life())
    });
    let top = world.says(&["top", "--probes"]);
    let name = world.pod_name("live");
    let line = top.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{top}"));
    assert!(line.contains("main") && line.contains("liveness") && line.contains("success"), "{top}");
    take(&world, "healthy");
    world.once("live", "is restarted", |pod| 1 <= pod.restarts());
    put(&world, "healthy", "");
    told(&world, "Unhealthy", "Liveness probe failed: /shared/healthy is not there");
    told(&world, "Killing", "Container main failed liveness probe, will be restarted");
}

/// 7.02, and back.
#[test]
fn readiness_follows_its_probe_both_ways_and_restarts_nothing() {
    let world = World::new();
    let ready = with_main(pod("ready", &["trap-term"]), json!({"readinessProbe": there("/shared/ready")}));
    world.write("ready.yaml", &with_shared(&world, ready));
    let unready = |pod: &Seen| pod.phase() == "Running" && !pod.is("Ready") && pod.main()["ready"] == false;
    world.once("ready", "runs and is not ready", unready);
    told(&world, "Unhealthy", "Readiness probe failed: /shared/ready is not there");
    let next = "container main is ready once its readiness probe succeeds, which is asked every 1s";
    let described = world.says(&["describe", "pod", &world.pod_name("ready")]);
    assert!(described.contains(next), "{described}");
    put(&world, "ready", "");
    world.once("ready", "is ready", is_ready);
    take(&world, "ready");
    let seen = world.once("ready", "is not ready any more", unready);
    assert_eq!(seen.restarts(), 0);
    let conditions = seen.0["status"]["conditions"].as_array().unwrap();
    let of_ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
    assert_eq!(of_ready["message"], "containers with unready status: [main]");
}

/// 7.13, 7.14: the liveness fails from the start, and is not asked before the startup probe succeeded.
#[test]
fn a_startup_probe_holds_the_others_back() {
    let world = World::new();
    let startup = json!({"exec": {"command": ["/workload", "there", "/shared/up"]}, "periodSeconds": 1,
        "failureThreshold": 600, "timeoutSeconds": 5});
    let slow = with_main(
        pod("slow", &["trap-term"]),
        json!({"startupProbe": startup, "livenessProbe": there("/shared/healthy")}),
    );
    world.write("slow.yaml", &with_shared(&world, slow));
    let starting =
        |pod: &Seen| pod.phase() == "Running" && pod.main()["started"] == false && !pod.is("Ready");
    world.once("slow", "runs and has not started", starting);
    told(&world, "Unhealthy", "Startup probe failed: /shared/up is not there");
    stays_true_for(A_WHILE, "nobody asks its liveness", || {
        world.pod("slow").is_some_and(|pod| starting(&pod) && pod.restarts() == 0)
    });
    put(&world, "up", "");
    world.once("slow", "is restarted", |pod| 1 <= pod.restarts());
    told(&world, "Killing", "Container main failed liveness probe, will be restarted");
}

/// 7.12
#[test]
fn a_startup_probe_that_fails_restarts_the_container() {
    let world = World::new();
    let broken = with_main(pod("broken", &["trap-term"]), json!({"startupProbe": there("/not/there")}));
    world.write("broken.yaml", &broken);
    world.once("broken", "is restarted", |pod| 1 <= pod.restarts());
    told(&world, "Killing", "Container main failed startup probe, will be restarted");
}

/// 7.08: all that the probe started is killed with it, whatever process group it went to.
#[test]
fn a_timeout_is_a_failure_and_kills_all_that_the_probe_started() {
    let world = World::new();
    let tree = json!({"exec": {"command": ["/workload", "fork-tree", "3"]}, "timeoutSeconds": 1, "periodSeconds": 1});
    world.write("tree.yaml", &with_main(pod("tree", &["trap-term"]), json!({"readinessProbe": tree})));
    told(
        &world,
        "Unhealthy",
        "Readiness probe failed: command timed out: \"/workload fork-tree 3\" timed out after 1s",
    );
    let seen = world.pod("tree").unwrap();
    assert_eq!((seen.restarts(), seen.is("Ready")), (0, false));
    // Between two of them nothing is left but the container.
    world.write(
        "tree.yaml",
        &with_main(
            pod("tree", &["trap-term"]),
            json!({"readinessProbe": {
        "exec": {"command": ["/workload", "fork-tree", "3"]}, "timeoutSeconds": 3, "periodSeconds": 6}}),
        ),
    );
    let uid = eventually(SOON, "the new pod runs", || {
        let new = world.pod("tree").filter(|pod| pod.uid() != seen.uid() && pod.phase() == "Running")?;
        events(&world, "Started").len().ge(&2).then(|| new.uid())
    });
    eventually(SOON, "the probe's tree has come", || {
        (1 < world.place().container_processes(&uid).len()).then_some(())
    });
    eventually(SOON, "the probe's tree is gone, and the container is there", || {
        (world.place().container_processes(&uid).len() == 1).then_some(())
    });
}

/// Threat 15. 10 KiB are kept of what a probe prints, and the agent does not grow by the rest.
#[test]
fn a_probe_that_floods_is_read_and_forgotten() {
    let world = World::new();
    let flood = json!({"exec": {"command": ["/workload", "flood"]}, "timeoutSeconds": 2, "periodSeconds": 1});
    world.write("calm.yaml", &pod("calm", &["trap-term"]));
    world.running("calm");
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", world.agent())).unwrap().count();
    // The most that it ever had, since what is read is forgotten when the probe is over.
    let most = || kernel::figure(&format!("/proc/{}/status", world.agent()), "VmHWM");
    let (before, open) = (most(), descriptors());
    world.write("flood.yaml", &with_main(pod("flood", &["trap-term"]), json!({"readinessProbe": flood})));
    told(&world, "Unhealthy", "timed out after 2s");
    let after = most();
    assert!(after < before + 8 * 1024, "the agent has {before} kB, then {after} kB");
    world.remove("flood.yaml");
    world.gone("flood");
    eventually(SOON, "no descriptor of it is left", || (descriptors() <= open).then_some(()));
}

/// 7.05, 7.06, 7.10, 7.11, and the pod's own network: nothing listens there on the node.
#[test]
fn http_and_tcp_ask_in_the_pods_network() {
    let world = World::new();
    put(&world, "ok", "HTTP/1.1 204 No Content\r\n\r\n");
    put(&world, "healthz", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    put(&world, "redirected", "HTTP/1.1 302 Found\r\nLocation: /healthz\r\nContent-Length: 0\r\n\r\n");
    put(&world, "away", "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/x\r\nContent-Length: 3\r\n\r\ngo!");
    let web = with_shared(&world, pod("web", &["serve", "8080", "/shared"]));
    let http = |path: &str| every_second(json!({"httpGet": {"path": path, "port": "http"}}));
    let mut web = with_main(
        web,
        json!({
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": every_second(json!({"tcpSocket": {"port": 8080}})),
            "livenessProbe": http("/redirected"),
            "startupProbe": {"httpGet": {"path": "/ok", "port": 8080}, "periodSeconds": 1, "failureThreshold": 600},
        }),
    );
    let mut other = container("other", &["trap-term"]);
    // The same loopback, since it is the same pod.
    other["startupProbe"] =
        json!({"httpGet": {"path": "/away", "port": 8080}, "periodSeconds": 1, "failureThreshold": 600});
    web["spec"]["containers"].as_array_mut().unwrap().push(other);
    world.write("web.yaml", &web);
    let seen = world.running("web");
    told(&world, "ProbeWarning", "Startup probe warning: Probe terminated redirects, Response body: go!");
    stays_true_for(A_WHILE, "all answers are good", || {
        world.pod("web").is_some_and(|now| now.life() == seen.life())
    });
    put(&world, "healthz", "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
    world.once("web", "is restarted", |pod| 1 <= pod.restarts());
    put(&world, "healthz", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    told(&world, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500");
    world.running("web");
}

/// etcd in the network of a pod, as upstream's own row has it: a server of gRPC's own makers.
struct Etcd(std::process::Child);

impl Etcd {
    fn start(world: &World, uid: &str, port: u16) -> Etcd {
        let pod_process = eventually(SOON, "a pod process", || world.place().pod_process(uid));
        let client = format!("http://127.0.0.1:{port}");
        let peer = format!("http://127.0.0.1:{}", port + 1);
        let mut command = std::process::Command::new("nsenter");
        command.arg(format!("--net=/proc/{pod_process}/ns/net")).arg(tool("etcd").get_program());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        command.arg("--data-dir").arg(world.shared().join("etcd"));
        let log = fs::File::create(world.shared().join("etcd.log")).unwrap();
        Etcd(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// 7.17, against a server that others wrote.
#[test]
fn grpc_asks_a_server_for_its_health() {
    let world = World::new();
    let grpc = |port: u16, service: &str| every_second(json!({"grpc": {"port": port, "service": service}}));
    let startup =
        json!({"grpc": {"port": 2379}, "periodSeconds": 1, "failureThreshold": 600, "timeoutSeconds": 30});
    let mut pod = with_main(
        pod("health", &["trap-term"]),
        json!({"startupProbe": startup, "livenessProbe": grpc(2379, "")}),
    );
    let mut unknown = container("unknown", &["trap-term"]);
    (unknown["startupProbe"], unknown["readinessProbe"]) = (startup.clone(), grpc(2379, "no.such"));
    let mut closed = container("closed", &["trap-term"]);
    (closed["startupProbe"], closed["livenessProbe"]) = (startup, grpc(2333, ""));
    pod["spec"]["containers"].as_array_mut().unwrap().extend([unknown, closed]);
    world.write("health.yaml", &pod);
    let uid = world.once("health", "runs", |pod| pod.phase() == "Running").uid();
    told(&world, "Unhealthy", "Startup probe failed: error: failed to connect service at");
    let _etcd = Etcd::start(&world, &uid, 2379);
    let started = |pod: &Seen| pod.main()["started"] == true && pod.main()["ready"] == true;
    let seen = world.once("health", "main has started", started);
    world.once("health", "closed is restarted", |pod| pod.container("closed")["restartCount"] != 0);
    told(
        &world,
        "Unhealthy",
        "Liveness probe failed: error: failed to connect service at \"127.0.0.1:2333\"",
    );
    told(
        &world,
        "Unhealthy",
        "Readiness probe failed: error: health rpc probe failed: rpc error: code = NotFound",
    );
    stays_true_for(A_WHILE, "who serves is left alone", || {
        world.pod("health").is_some_and(|now| now.restarts() == 0 && now.main() == seen.main())
    });
    assert_eq!(world.pod("health").unwrap().container("unknown")["ready"], false);
}

/// 7.19
#[test]
fn the_next_agent_restarts_nothing_and_flips_nothing() {
    let mut world = World::new();
    put(&world, "healthy", "");
    let probes = json!({"startupProbe": there("/shared/healthy"), "livenessProbe": there("/shared/healthy"),
        "readinessProbe": there("/shared/healthy")});
    let kept = with_main(pod("kept", &["trap-term"]), probes);
    world.write("kept.yaml", &with_shared(&world, kept));
    let seen = world.running("kept");
    let same = |now: &Seen| is_ready(now) && now.main()["started"] == true && now.life() == seen.life();
    let transition = |pod: &Seen| {
        let conditions = pod.0["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == "Ready").unwrap()["lastTransitionTime"]
            .clone()
    };
    for _ in 0..3 {
        world.kill_agent();
        assert!(world.pod("kept").is_some_and(|now| same(&now)), "while no agent runs");
        world.start_agent();
        let pid = world.agent();
        stays_true_for(A_WHILE, "all is as it was", || world.pod("kept").is_some_and(|now| same(&now)));
        assert_eq!(world.agent(), pid);
    }
    assert_eq!(transition(&world.pod("kept").unwrap()), transition(&seen));
    // And its probes are asked on.
    take(&world, "healthy");
    world.once("kept", "is restarted", |pod| 1 <= pod.restarts());
    put(&world, "healthy", "");
}

/// 7.09: what the probe left behind does not hold its answer up.
#[test]
fn the_exit_code_counts_whatever_the_probe_left_behind() {
    let world = World::new();
    fs::copy(shell(), world.archives().join("shell.tar")).unwrap();
    let probe = every_second(json!({"exec": {"command": ["sh", "-c", "sleep 600 & exit 1"]}}));
    let fields = json!({"image": "busybox:1.28", "command": ["sleep", "600"], "livenessProbe": probe});
    let short = with(pod("live", &[]), json!({"terminationGracePeriodSeconds": 1}));
    world.write("live.yaml", &with_main(short, fields));
    world.once("live", "is restarted", |pod| 1 <= pod.restarts());
    told(&world, "Killing", "Container main failed liveness probe, will be restarted");
    assert_eq!(events(&world, "Unhealthy"), ["Liveness probe failed: "]);
}

/// 7.21: nobody fails by the load of the probes themselves.
#[test]
fn many_probes_every_second_all_succeed() {
    let world = World::new();
    let names: Vec<String> = (0..12).map(|number| format!("often{number}")).collect();
    for (name, check) in names.iter().zip(
        [
            json!({"exec": {"command": ["/workload", "echo"]}}),
            json!({"httpGet": {"port": 8080}}),
            json!({"tcpSocket": {"port": 8080}}),
        ]
        .iter()
        .cycle(),
    ) {
        let probe = every_second(check.clone());
        let mut ready = probe.clone();
        ready["initialDelaySeconds"] = json!(1);
        let fields = json!({"livenessProbe": ready, "readinessProbe": ready});
        world.write(&format!("{name}.yaml"), &with_main(pod(name, &["listen", "8080"]), fields));
    }
    let before: Vec<String> = names.iter().map(|name| world.running(name).life()).collect();
    stays_true_for(A_WHILE, "all are ready, and none was restarted", || {
        let now: Vec<String> = world.pods().iter().filter(|pod| pod.is("Ready")).map(Seen::life).collect();
        before.iter().all(|life| now.contains(life))
    });
}

/// Threat 6
#[test]
fn a_probes_command_has_no_descriptors_but_three() {
    let world = World::new();
    let fourth = every_second(json!({"exec": {"command": ["/workload", "there", "/proc/self/fd/3"]}}));
    world.write("fds.yaml", &with_main(pod("fds", &["trap-term"]), json!({"readinessProbe": fourth})));
    told(&world, "Unhealthy", "/proc/self/fd/3 is not there");
}
