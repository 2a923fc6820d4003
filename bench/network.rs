//! A pod's network: how long it takes to have one and to give it back, and what a port of the node carries.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use holdfast::host::Runtime;
use holdfast::network::Network;
use holdfast::spec::{HostPort, Pod, Protocol, Uid};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::clock::{median, now, soon};
use crate::harness::image::tool;
use crate::harness::{Machine, World, eventually, servers};
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

/// Requests in a second: to nginx in a pod by a port of the node, and to nginx on the node.
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
    for port in [8080, 8081] {
        soon("nginx answers", || load(port, "1s"));
    }
    let rates = (0..runs).map(|_| (load(8080, "3s").unwrap(), load(8081, "3s").unwrap()));
    let (ours, theirs): (Vec<f64>, Vec<f64>) = rates.unzip();
    let (ours, theirs) = (middle(ours), middle(theirs));
    drop(on_node);
    plain("requests a second through a hostPort", format!("{ours:.0}"));
    plain("requests a second, nginx on the node", format!("{theirs:.0}   x {:.2}", ours / theirs));
    world.remove("nginx.yaml");
    eventually(crate::harness::SOON, "the pod is gone", || world.pod("nginx").is_none().then_some(()));
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
