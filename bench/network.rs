//! A pod's network: how long it takes to have one and to give it back, and what a port of the node carries.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use holdfast::host::Runtime;
use holdfast::network::Network;
use holdfast::spec::{HostPort, Pod, Protocol, Uid};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::clock::{median, now, soon};
use crate::harness::image::{run, target, tool};
use crate::harness::{Machine, World, eventually, servers};
use crate::pull::of_podman;
use crate::table::{middle, plain};

/// Pods that have a network all the while.
const OTHERS: usize = 20;

/// Prints both.
pub fn measure(runs: usize) {
    attached(runs);
    carried(runs.min(5));
}

/// Links, addresses, routes and rules of one more pod, made and taken back: what the agent waits for. What the kernel clears away
/// behind a network that ended holds up whoever makes the next one; so each begins when that is over.
fn attached(runs: usize) {
    let world = World::without_agent();
    fs::create_dir_all(&world.runtime).unwrap();
    let machine = Machine::new();
    let network = Network::new(&Runtime::new(&world.runtime), Some(Vec::new()));
    let pod = |number: usize, ports: &[Protocol]| {
        let number = u16::try_from(number).unwrap();
        let port = |protocol: &Protocol| HostPort {
            address: None,
            protocol: *protocol,
            port: 8000 + number,
            container: 80,
        };
        let host_ports = ports.iter().map(port).collect();
        Pod { uid: Uid(format!("{number:032}")), host_ports, ..Pod::default() }
    };
    let connect = |pod: &Pod, inside: &Machine| {
        let addresses = machine.inside(|| network.attach(pod, inside.file()).unwrap());
        assert!(!addresses.is_empty(), "{:?}", network.warning());
    };
    let others: Vec<Machine> = (0..OTHERS).map(|_| Machine::new()).collect();
    others.iter().enumerate().for_each(|(number, inside)| connect(&pod(number, &[Protocol::Tcp]), inside));
    let links = machine.links();
    let once = |pod: Pod| {
        let inside = Machine::new();
        let before = now();
        connect(&pod, &inside);
        machine.inside(|| network.detach(&pod.uid).unwrap());
        let took = now() - before;
        drop(inside);
        soon("its links are gone", || (machine.links() == links).then_some(()));
        took
    };
    for (what, ports) in [
        ("attach and detach of a pod's network", &[][..]),
        ("the same with a hostPort", &[Protocol::Tcp]),
        ("the same with one of UDP", &[Protocol::Udp]),
    ] {
        let times = (0..runs).map(|number| once(pod(OTHERS + number, ports))).collect();
        plain(what, format!("{:.1} ms", median(times).as_secs_f64() * 1e3));
    }
}

/// Requests in a second: to nginx in a pod by a port of the node, to nginx on the node, and to nginx behind a port of podman's.
fn carried(runs: usize) {
    let (machine, lan) = (Arc::new(Machine::new()), Machine::new());
    machine.connect(("lan0", "192.0.2.1/24"), &lan, ("lan0", "192.0.2.9/24"));
    let mut world = World::without_agent();
    world.machine = Some(machine.clone());
    fs::copy(servers::nginx(), world.archives().join("nginx.tar")).unwrap();
    let folder = world.shared();
    fs::write(folder.join("index.html"), "hello\n").unwrap();
    let config = |root: &str, port: u16| {
        format!(
            "worker_processes 1;\nuser root root;\nerror_log stderr;\npid {root}/{port}.pid;\nevents {{}}\nhttp {{\n  access_log off;\n\
             \x20 client_body_temp_path {root}/{port}.body; proxy_temp_path {root}/{port}.proxy;\n\
             \x20 fastcgi_temp_path {root}/{port}.fast; uwsgi_temp_path {root}/{port}.uw; scgi_temp_path {root}/{port}.sc;\n\
             \x20 server {{ listen {port}; root {root}; }}\n}}\n"
        )
    };
    fs::write(folder.join("pod.conf"), config("/shared", 80)).unwrap();
    fs::write(folder.join("node.conf"), config(&folder.display().to_string(), 8081)).unwrap();
    fs::write(folder.join("podman.conf"), config("/shared", 82)).unwrap();
    world.start_agent();
    world.write(
        "nginx.yaml",
        &json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nginx"},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "shared", "hostPath": {"path": folder}}],
                "containers": [{
                    "name": "main", "image": "nginx:1.22", "imagePullPolicy": "Never",
                    "args": ["-c", "/shared/pod.conf", "-e", "stderr", "-g", "daemon off;"],
                    "ports": [{"containerPort": 80, "hostPort": 8080}],
                    // As much of the processor as the others get without asking.
                    "resources": {"requests": {"cpu": "1"}},
                    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
                }],
            },
        }),
    );
    world.running("nginx");
    let on_node = machine.inside(|| {
        let mut nginx = tool("nginx");
        nginx.arg("-c").arg(folder.join("node.conf")).args(["-e", "stderr", "-g", "daemon off;"]);
        Ended(nginx.stderr(Stdio::null()).spawn().unwrap())
    });
    let load = |port: u16, time: &str| -> Option<f64> {
        let address = format!("http://192.0.2.1:{port}/");
        let mut wrk = tool("wrk");
        wrk.args(["--threads", "1", "--connections", "16", "--duration", time, &address]);
        let said = lan.inside(|| answer(&mut wrk));
        let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?.trim().parse().ok()?;
        (0.0 < rate && !said.contains("Non-2xx")).then_some(rate)
    };
    let by_podman = Podman::run(&world, &machine, &folder);
    for port in PORTS {
        soon("nginx answers", || load(port, "1s"));
    }
    // One after the other, so that whatever else the computer does falls upon all.
    let rounds: Vec<_> = (0..runs).map(|_| PORTS.map(|port| load(port, "3s").unwrap())).collect();
    let [ours, node, podman] = [0, 1, 2].map(|at| middle(rounds.iter().map(|round| round[at]).collect()));
    drop((on_node, by_podman));
    plain("requests a second through a hostPort", format!("{ours:.0}"));
    plain("requests a second, nginx on the node", format!("{node:.0}   x {:.2}", ours / node));
    plain("requests a second, by podman", format!("{podman:.0}   x {:.2}", ours / podman));
    world.remove("nginx.yaml");
    eventually(crate::harness::SOON, "the pod is gone", || world.pod("nginx").is_none().then_some(()));
}

/// Ports of nginx in a pod, on the node, and in podman's container.
const PORTS: [u16; 3] = [8080, 8081, 8082];

/// nginx in a container of podman's, with its bridge and its rules.
struct Podman<'m> {
    machine: &'m Machine,
    storage: String,
    /// Controllers that containers on this computer had by cgroup v2.
    controllers: String,
}

/// Where v2 stands beside v1.
const UNIFIED: &str = "/sys/fs/cgroup/unified/cgroup.subtree_control";
const PARENT: &str = "holdfast-bench";

impl Podman<'_> {
    fn run<'m>(world: &World, machine: &'m Machine, folder: &Path) -> Podman<'m> {
        let storage = world.dir.join("podman").display().to_string();
        let controllers = fs::read_to_string(UNIFIED).unwrap_or_default();
        let podman = Podman { machine, storage, controllers };
        podman.says(&["load", "--input", &servers::nginx().display().to_string()]);
        let shared = format!("{}:/shared", folder.display());
        podman.says(
            &[
                &["run", "--detach", "--name", "nginx", "--network", "podman", "--publish", "8082:82"][..],
                &["--cgroup-parent", &format!("/{PARENT}")],
                &[
                    "--volume",
                    &shared,
                    "nginx:1.22",
                    "-c",
                    "/shared/podman.conf",
                    "-e",
                    "stderr",
                    "-g",
                    "daemon off;",
                ],
            ]
            .concat(),
        );
        podman
    }

    fn says(&self, words: &[&str]) {
        // crun refuses hybrid cgroups. Whoever installs podman has iptables where it looks for them.
        let path = format!("{}:{}", target().join("debian/bin").display(), std::env::var("PATH").unwrap());
        let mut podman = of_podman(&self.storage);
        podman.args(["--runtime", "runc"]).args(words).env("PATH", path);
        self.machine.inside(|| run(&mut podman));
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        self.says(&["rm", "--force", "--time", "1", "nginx"]);
        self.says(&["system", "reset", "--force"]);
        // It leaves its cgroup, and what it took for cgroup v2 nobody else can mount.
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let group = hierarchy.path().join(PARENT);
            soon("podman's cgroup is gone", || {
                let _ = fs::remove_dir(group.join("conmon"));
                let _ = fs::remove_dir(&group);
                (!group.exists()).then_some(())
            });
        }
        for taken in fs::read_to_string(UNIFIED).unwrap_or_default().split_whitespace() {
            if !self.controllers.split_whitespace().any(|name| name == taken) {
                fs::write(UNIFIED, format!("-{taken}")).unwrap();
            }
        }
    }
}

fn answer(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// A program that ends with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // By force it would leave its worker.
        crate::harness::kernel::signal(i32::try_from(self.0.id()).unwrap(), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}
