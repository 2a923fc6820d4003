//! The network of pods. Each story's agent runs in a machine of its own, whose links nobody else sees.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::image::tool;
use crate::harness::pod::{container, pod, with, with_main};
use crate::harness::{Machine, SOON, Seen, World, eventually};

/// A world whose agent runs in a machine that is connected to no other.
pub fn alone() -> World {
    let mut world = World::without_agent();
    world.machine = Some(Arc::new(Machine::new()));
    world.start_agent();
    world
}

pub fn machine(world: &World) -> Arc<Machine> {
    world.machine.clone().unwrap()
}

/// The network that a pod sees.
pub fn inside(world: &World, name: &str) -> Machine {
    let uid = world.pod(name).unwrap().uid();
    Machine::of(world.place().pod_process(&uid).unwrap())
}

pub fn address(pod: &Seen) -> String {
    pod.0["status"]["podIP"].as_str().unwrap_or_else(|| panic!("no address: {}", pod.0["status"])).to_owned()
}

/// What a server says to somebody in `from`, or why it says nothing.
pub fn ask(from: &Machine, to: &str) -> Result<String, std::io::Error> {
    let to: SocketAddr = to.parse().unwrap();
    from.inside(|| {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

pub fn answers(from: &Machine, to: &str) {
    eventually(SOON, &format!("{to} answers"), || {
        ask(from, to).ok().filter(|page| page.ends_with("hello\n"))
    });
}

/// A server with a sidecar's view of the pod: its variables and its hosts.
fn server(name: &str) -> Value {
    let env = json!([
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "PODS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
    ]);
    let command = json!(["/workload", "echo", "$(POD) $(PODS)"]);
    let mut once = container("once", &[]);
    (once["env"], once["command"]) = (env, command);
    let probe = json!({"httpGet": {"port": 80}, "periodSeconds": 1});
    let pod = with_main(pod(name, &["listen", "80"]), json!({"readinessProbe": probe}));
    with(pod, json!({"initContainers": [once], "hostname": "web"}))
}

/// The names of the links of pods, without the bridge's own.
fn ports(world: &World) -> Vec<String> {
    let links = machine(world).links();
    links.into_iter().filter(|name| name.starts_with("hf") && name.contains('-')).collect()
}

/// 9.14, 14.11
#[test]
fn pods_reach_each_other_and_the_node_and_know_their_addresses_under_any_agent() {
    let mut world = alone();
    let machine = machine(&world);
    let before = machine.links();
    for name in ["one", "two"] {
        world.write(&format!("{name}.yaml"), &server(name));
    }
    // Ready by a probe that went to the pod's own address.
    let (one, two) = (world.running("one"), world.running("two"));
    let addresses = [address(&one), address(&two)];
    assert!(addresses.iter().all(|it| it.starts_with("10.42.0.")) && addresses[0] != addresses[1]);
    assert_eq!(one.0["status"]["podIPs"], json!([{"ip": addresses[0]}]));
    let said = world.says(&["logs", &world.pod_name("one"), "-c", "once"]);
    assert_eq!(said, format!("{0} {0}\n", addresses[0]));
    let hosts = String::from_utf8(world.exec("one", &["cat", "/etc/hosts"]).stdout).unwrap();
    assert!(hosts.lines().any(|line| line == format!("{}\tweb", addresses[0])), "{hosts}");

    for to in &addresses {
        answers(&machine, &format!("{to}:80"));
        answers(&inside(&world, "one"), &format!("{to}:80"));
    }
    let pod = inside(&world, "two");
    let listener = machine.inside(|| std::net::TcpListener::bind("10.42.0.1:0").unwrap());
    let node = listener.local_addr().unwrap();
    pod.inside(|| TcpStream::connect_timeout(&node, Duration::from_secs(5)).unwrap());
    assert!(pod.ip("route").contains("default via 10.42.0.1 dev eth0"), "{}", pod.ip("route"));
    for link in ["all", "default", "eth0"] {
        let path = format!("/proc/sys/net/ipv6/conf/{link}/accept_ra");
        assert_eq!(pod.inside(|| fs::read_to_string(&path).unwrap()), "0\n", "{link}");
    }
    // Whoever holds a network keeps its links.
    drop(pod);
    let alias = format!("alias default/{}", world.pod_name("one"));
    assert!(machine.ip("link show").contains(&alias), "{}", machine.ip("link show"));

    // The next agent finds all as it was, and gives nobody an address that somebody had.
    let links = machine.links();
    assert_eq!(links.len(), before.len() + 3, "{links:?}");
    world.kill_agent();
    world.start_agent();
    assert_eq!([address(&world.running("one")), address(&world.running("two"))], addresses);
    assert_eq!(machine.links(), links);
    world.remove("two.yaml");
    world.gone("two");
    world.write("three.yaml", &server("three"));
    let third = address(&world.running("three"));
    assert!(!addresses.contains(&third), "{third}");
    answers(&inside(&world, "three"), &format!("{}:80", addresses[0]));

    world.down();
    eventually(SOON, "no link is left", || (machine.links() == before).then_some(()));
}

#[test]
fn a_server_on_the_loopback_alone_is_not_ready_and_port_forward_reaches_it() {
    let world = alone();
    let probe = json!({"tcpSocket": {"port": 80}, "periodSeconds": 1});
    let serves = with_main(pod("web", &["listen", "80", "127.0.0.1"]), json!({"readinessProbe": probe}));
    world.write("web.yaml", &serves);
    let seen = world.once("web", "runs", |pod| pod.phase() == "Running");
    let refused = format!("dial tcp {}:80: connect: connection refused", address(&seen));
    eventually(SOON, "the probe is refused", || {
        world.says(&["describe", "pod", &world.pod_name("web")]).contains(&refused).then_some(())
    });
    assert!(!world.pod("web").unwrap().is("Ready"));
    answers(&inside(&world, "web"), "127.0.0.1:80");
}

#[test]
fn a_lost_pod_gets_another_address_and_nothing_of_the_dead_stays() {
    let mut world = alone();
    let machine = machine(&world);
    for name in ["one", "two"] {
        world.write(&format!("{name}.yaml"), &pod(name, &["trap-term"]));
    }
    let (one, two) = (world.running("one"), world.running("two"));
    // All at once. One pod's network is held by somebody else, and nothing but its link tells of it. Another's link is a port too.
    let held = inside(&world, "two");
    world.kill_agent();
    for (pid, _) in world.place().processes() {
        crate::harness::kernel::signal(pid, Signal::SIGKILL);
    }
    fs::remove_dir_all(world.runtime.join("pods").join(two.uid())).unwrap();
    world.remove("two.yaml");
    let bridge = bridge(&machine);
    machine.ip("link add foreign-1 type veth peer name foreign-2");
    machine.ip(&format!("link set foreign-1 master {bridge}"));
    world.start_agent();
    world.once("one", "is up again", |pod| pod.is("Ready") && address(pod) != address(&one));
    eventually(SOON, "one link is left", || (ports(&world).len() == 1).then_some(()));
    assert!(machine.links().contains(&"foreign-1".to_owned()));
    assert_eq!(held.links(), ["lo"]);
}

#[test]
fn a_range_that_the_machine_knows_is_left_alone_and_one_that_is_named_is_used() {
    let mut world = World::without_agent();
    let (machine, lan) = (Machine::new(), Machine::new());
    machine.connect(("lan0", "10.42.0.7/16"), &lan, ("lan0", "10.42.0.8/16"));
    world.machine = Some(Arc::new(machine));
    world.start_agent();
    world.write("one.yaml", &pod("one", &["trap-term"]));
    assert_eq!(address(&world.running("one")), "10.43.0.2");
    world.down();
    world.kubelet_config = Some("podCIDR: 10.99.1.0/24,fd42:99::/64\n".to_owned());
    world.start_agent();
    let seen = world.running("one");
    assert_eq!(seen.0["status"]["podIPs"], json!([{"ip": "10.99.1.2"}, {"ip": "fd42:99::2"}]));
    answers_ping(&inside(&world, "one"), "fd42:99::1");
}

/// Whether the node's own address is reached: a connection is refused by it, and not lost.
fn answers_ping(from: &Machine, node: &str) {
    let error = ask(from, &format!("[{node}]:9")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{error}");
}

/// Where a right is missing, pods run all the same.
#[test]
fn a_machine_that_cannot_connect_pods_says_so_and_runs_them() {
    let mut world = World::without_agent();
    world.machine = Some(Arc::new(Machine::new()));
    world.through = vec!["unshare", "-m", "sh", "-c", READ_ONLY, "sh"];
    world.start_agent();
    for name in ["one", "two"] {
        world.write(&format!("{name}.yaml"), &pod(name, &["trap-term"]));
    }
    assert!(world.running("one").0["status"]["podIP"].is_null());
    world.running("two");
    let hosts = String::from_utf8(world.exec("one", &["cat", "/etc/hosts"]).stdout).unwrap();
    assert!(hosts.contains("127.0.0.1\tone"), "{hosts}");
    let warning = "this machine cannot connect pods to the network";
    let events = world.says(&["get", "events", "-A"]);
    assert_eq!(events.matches(warning).count(), 1, "{events}");
    assert!(world.says(&["describe", "node"]).contains(warning));
    let machine = machine(&world);
    world.down();
    eventually(SOON, "nothing is left", || (machine.links() == ["lo"]).then_some(()));
}

/// The kernel's settings cannot be written, as in many containers.
const READ_ONLY: &str =
    "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec \"$@\"";

#[test]
fn the_tools_that_look_on_are_there() {
    let machine = Machine::new();
    assert_eq!(machine.links(), ["lo"]);
    assert_eq!(machine.run(tool("nft").args(["list", "ruleset"])), "");
}

/// The name of the bridge.
pub fn bridge(machine: &Machine) -> String {
    machine.links().into_iter().find(|name| name.starts_with("hf") && !name.contains('-')).unwrap()
}
