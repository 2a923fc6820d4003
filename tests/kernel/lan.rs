//! A machine whose pods have a network, and its neighbours in a LAN: what leads from the one to the other, and what does not.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::image::tool;
use crate::harness::pod::{pod, with_main};
use crate::harness::{Machine, SOON, World, eventually};
use crate::network::{address, alone, answers, bridge, inside, machine};

/// A machine with an address in a LAN, and a neighbour there; both know no other way.
pub fn in_a_lan() -> (World, Arc<Machine>, Machine) {
    let (machine, neighbour) = (Arc::new(Machine::new()), Machine::new());
    let addresses = (("lan0", "192.0.2.1/24"), ("lan0", "192.0.2.9/24"));
    machine.connect(addresses.0, &neighbour, addresses.1);
    let mut world = World::without_agent();
    world.machine = Some(machine.clone());
    (world, machine, neighbour)
}

/// A server at port 80 of a pod that is to be found at `ports` of the node.
pub fn published(name: &str, ports: Value) -> Value {
    with_main(pod(name, &["listen", "80"]), json!({"ports": ports}))
}

/// What a server hears a packet from.
pub fn heard(socket: &UdpSocket, words: &[u8]) -> SocketAddr {
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut buffer = [0; 64];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], words);
    from
}

/// Whether nobody answers there, be it at once or not at all.
fn closed(from: &Machine, to: &str) -> bool {
    from.inside(|| TcpStream::connect_timeout(&to.parse().unwrap(), Duration::from_millis(300)).is_err())
}

pub fn rules(machine: &Machine) -> String {
    machine.run(tool("nft").args(["list", "ruleset"]))
}

/// 14.11
#[test]
fn a_host_port_is_open_to_the_lan_to_pods_and_to_the_node_and_closes_with_its_pod() {
    let (mut world, machine, lan) = in_a_lan();
    machine.run(tool("nft").args(["add", "table", "ip", "others"]));
    let foreign = rules(&machine);
    world.start_agent();
    let ports = json!([
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 80, "hostPort": 8081, "hostIP": "192.0.2.1"},
        {"containerPort": 80, "hostPort": 8082, "hostIP": "127.0.0.1"},
    ]);
    world.write("web.yaml", &published("web", ports));
    world.write("other.yaml", &pod("other", &["trap-term"]));
    let (web, _) = (world.running("web"), world.running("other"));
    let (own, other) = (inside(&world, "web"), inside(&world, "other"));
    for (from, to) in [
        (&lan, "192.0.2.1:8080"),
        (&lan, "192.0.2.1:8081"),
        (&other, "192.0.2.1:8080"),
        (&other, "10.42.0.1:8080"),
        (&own, "192.0.2.1:8080"),
        (&machine, "192.0.2.1:8080"),
        (&machine, "127.0.0.1:8080"),
        (&machine, "127.0.0.1:8082"),
    ] {
        answers(from, to);
    }
    for (from, to) in [
        (&lan, "192.0.2.1:80"),
        (&lan, "192.0.2.1:8082"),
        (&machine, "127.0.0.1:8081"),
        (&other, "10.42.0.1:8081"),
    ] {
        assert!(closed(from, to), "{to}");
    }
    assert!(rules(&machine).starts_with(&foreign), "{}", rules(&machine));

    // The next agent makes them anew, whatever became of them, and those of a dead pod go.
    world.kill_agent();
    machine.run(tool("nft").args(["delete", "table", "inet", &bridge(&machine)]));
    assert!(closed(&lan, "192.0.2.1:8080"));
    world.start_agent();
    answers(&lan, "192.0.2.1:8080");
    let before = rules(&machine).lines().count();
    world.remove("web.yaml");
    world.gone("web");
    assert!(closed(&lan, "192.0.2.1:8080"));
    let address = address(&web);
    assert!(!rules(&machine).contains(&format!("{address} . 80")), "{}", rules(&machine));
    assert!(rules(&machine).lines().count() < before);
    world.down();
    assert_eq!(rules(&machine), foreign);
    eventually(SOON, "nothing is left", || (machine.links() == ["lan0", "lo"]).then_some(()));
}

/// What is only passed on is nobody's (CVE-2025-67499); who neither is nor asks the node reaches its loopback not at all
/// (CVE-2020-8558).
#[test]
fn ports_of_others_are_theirs_and_the_nodes_loopback_is_its_own() {
    let (mut world, machine, lan) = in_a_lan();
    let (far, ours) = (Machine::new(), ("far0", "198.51.100.1/24"));
    machine.connect(ours, &far, ("far0", "198.51.100.9/24"));
    lan.ip("route add default via 192.0.2.1");
    far.ip("route add default via 198.51.100.1");
    world.start_agent();
    let ports = json!([{"containerPort": 80, "hostPort": 8080}]);
    world.write("web.yaml", &published("web", ports));
    world.running("web");
    answers(&lan, "192.0.2.1:8080");
    // Through the machine, to the same port of somebody else.
    let listener = far.inside(|| std::net::TcpListener::bind("0.0.0.0:8080").unwrap());
    listener.set_nonblocking(true).unwrap();
    let passed =
        lan.inside(|| TcpStream::connect_timeout(&"198.51.100.9:8080".parse().unwrap(), SOON).unwrap());
    let accepted = eventually(SOON, "it arrives there", || listener.accept().ok());
    assert_eq!(accepted.1, passed.local_addr().unwrap());

    let secret = machine.inside(|| UdpSocket::bind("127.0.0.1:700").unwrap());
    let open = machine.inside(|| UdpSocket::bind("0.0.0.0:701").unwrap());
    let pod = inside(&world, "web");
    pod.inside(|| fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap());
    let reaches = |from: &Machine, what: &str| {
        from.inside(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.send_to(what.as_bytes(), what).unwrap();
        });
    };
    reaches(&pod, "10.42.0.1:701");
    heard(&open, b"10.42.0.1:701");
    pod.ip("address delete 127.0.0.1/8 dev lo");
    pod.ip("route add 127.0.0.0/8 via 10.42.0.1 dev eth0");
    reaches(&pod, "127.0.0.1:700");
    lan.inside(|| fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap());
    lan.ip("address delete 127.0.0.1/8 dev lo");
    lan.ip("route add 127.0.0.0/8 via 192.0.2.1 dev lan0");
    reaches(&lan, "127.0.0.1:700");
    reaches(&lan, "192.0.2.1:701");
    assert_eq!(heard(&open, b"192.0.2.1:701").ip().to_string(), "192.0.2.9");
    // To the node, as if by the node itself.
    pod.ip("address add 127.0.0.9/32 dev eth0");
    pod.inside(|| {
        let socket = UdpSocket::bind("127.0.0.9:0").unwrap();
        socket.send_to(b"as the node", "10.42.0.1:701").unwrap();
    });
    reaches(&pod, "10.42.0.1:701");
    assert_eq!(heard(&open, b"10.42.0.1:701").ip().to_string(), address(&world.running("web")));
    secret.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(secret.recv_from(&mut [0; 64]).is_err(), "a pod spoke to the node's loopback");
}

#[test]
fn pods_go_out_by_the_nodes_address_and_udp_comes_in_with_its_own() {
    let (mut world, machine, lan) = in_a_lan();
    world.kubelet_config = Some("podCIDR: 10.99.1.0/24,fd42:99::/64\n".to_owned());
    machine.ip("address add 2001:db8::1/64 dev lan0 nodad");
    lan.ip("address add 2001:db8::9/64 dev lan0 nodad");
    world.start_agent();
    let ports = json!([
        {"containerPort": 53, "hostPort": 53, "protocol": "UDP"},
        {"containerPort": 53, "hostPort": 5000, "protocol": "SCTP"},
    ]);
    world.write("dns.yaml", &with_main(pod("dns", &["trap-term"]), json!({"ports": ports})));
    world.running("dns");
    let pod = inside(&world, "dns");
    let served = pod.inside(|| UdpSocket::bind("[::]:53").unwrap());
    for (node, neighbour) in [("192.0.2.1", "192.0.2.9"), ("2001:db8::1", "2001:db8::9")] {
        let (node, neighbour): (IpAddr, IpAddr) = (node.parse().unwrap(), neighbour.parse().unwrap());
        let client = lan.inside(|| UdpSocket::bind((neighbour, 0)).unwrap());
        client.send_to(b"question", (node, 53)).unwrap();
        let from = heard(&served, b"question");
        assert_eq!(from.ip().to_canonical(), neighbour, "the source is kept");
        served.send_to(b"answer", from).unwrap();
        assert_eq!(heard(&client, b"answer"), SocketAddr::new(node, 53));

        let outside = lan.inside(|| UdpSocket::bind((neighbour, 700)).unwrap());
        let unspecified = if node.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let out = pod.inside(|| UdpSocket::bind(unspecified).unwrap());
        out.send_to(b"out", (neighbour, 700)).unwrap();
        let from = heard(&outside, b"out");
        assert_eq!(from.ip(), node, "it bears the node's address");
        outside.send_to(b"back", from).unwrap();
        assert_eq!(heard(&out, b"back"), SocketAddr::new(neighbour, 700));
    }
    assert!(rules(&machine).contains("sctp . 5000 : 10.99.1.2 . 53"), "{}", rules(&machine));
}

#[test]
fn a_host_port_is_open_to_the_lan_by_ipv6_and_at_one_address_of_it() {
    let (mut world, machine, lan) = in_a_lan();
    world.kubelet_config = Some("podCIDR: 10.99.1.0/24,fd42:99::/64\n".to_owned());
    for address in ["2001:db8::1", "2001:db8::2"] {
        machine.ip(&format!("address add {address}/64 dev lan0 nodad"));
    }
    lan.ip("address add 2001:db8::9/64 dev lan0 nodad");
    world.start_agent();
    let ports = json!([
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 80, "hostPort": 8081, "hostIP": "2001:db8::2"},
    ]);
    // It listens for both families where it listens for IPv6.
    let web = with_main(published("web", ports), json!({"command": ["/workload", "listen", "80", "::"]}));
    world.write("web.yaml", &web);
    world.write("other.yaml", &pod("other", &["trap-term"]));
    world.running("web");
    world.running("other");
    let (own, other) = (inside(&world, "web"), inside(&world, "other"));
    for (from, to) in [
        (&lan, "[2001:db8::1]:8080"),
        (&lan, "[2001:db8::2]:8081"),
        (&lan, "192.0.2.1:8080"),
        (&other, "[2001:db8::1]:8080"),
        (&other, "[fd42:99::1]:8080"),
        (&own, "[2001:db8::2]:8081"),
        (&machine, "[2001:db8::1]:8080"),
    ] {
        answers(from, to);
    }
    for (from, to) in [
        (&lan, "[2001:db8::1]:8081"),
        (&lan, "192.0.2.1:8081"),
        (&machine, "[::1]:8080"),
        (&lan, "[2001:db8::1]:80"),
    ] {
        assert!(closed(from, to), "{to}");
    }
}

/// CVE-2020-10749: whoever says that it is a router takes in who listens, and no pod does, nor the node at its bridge.
#[test]
fn a_pod_that_says_it_is_a_router_is_believed_by_nobody_but_who_wants_to() {
    let world = alone();
    let node = machine(&world);
    world.write("router.yaml", &pod("router", &["advertise"]));
    world.write("victim.yaml", &pod("victim", &["trap-term"]));
    ["router", "victim"].into_iter().for_each(|name| drop(world.running(name)));
    let victim = inside(&world, "victim");
    let naive = Machine::new();
    naive.plug(("eth0", "10.42.0.200/24"), &node, "naive0", &bridge(&node));
    let ways = |machine: &Machine| machine.ip("-6 route show default");
    eventually(SOON, "who wants to takes it in", || ways(&naive).contains("via fe80:").then_some(()));
    assert_eq!([ways(&victim), ways(&node)], ["", ""]);
    node.ip("link delete naive0");
}

#[test]
fn a_bridge_of_somebody_else_is_left_alone_and_said_to_be_in_the_way() {
    let mut world = alone();
    let node = machine(&world);
    world.write("web.yaml", &pod("web", &["trap-term"]));
    world.running("web");
    let name = bridge(&node);
    world.down();
    eventually(SOON, "the bridge is gone", || (node.links() == ["lo"]).then_some(()));
    node.ip(&format!("link add {name} type bridge"));
    node.ip(&format!("link set {name} alias another's"));
    world.start_agent();
    let waits = world.once("web", "waits", |pod| pod.reason() == "ContainerCreating");
    assert!(waits.0["status"]["podIP"].is_null());
    eventually(SOON, "an event tells of it", || {
        let told = world.says(&["describe", "pod", &world.pod_name("web")]);
        let why = format!("there is a link {name} already, and it is not of this agent");
        told.contains(&why).then_some(())
    });
    assert!(node.ip(&format!("link show {name}")).contains("state DOWN"));
    assert_eq!(node.ip(&format!("-4 address show dev {name}")), "");
    node.ip(&format!("link delete {name}"));
    address(&world.running("web"));
}

/// As a reload of `nftables.service` does, whose file begins with that.
#[test]
fn rules_that_somebody_cleared_away_are_back_after_the_next_look() {
    let (mut world, machine, lan) = in_a_lan();
    world.kubelet_config = Some("fileCheckFrequency: 1s\n".to_owned());
    world.start_agent();
    let ports = json!([{"containerPort": 80, "hostPort": 8080}]);
    world.write("web.yaml", &published("web", ports));
    world.running("web");
    answers(&lan, "192.0.2.1:8080");
    let before = rules(&machine);
    machine.run(tool("nft").args(["flush", "ruleset"]));
    eventually(SOON, "the rules are back", || (rules(&machine) == before).then_some(()));
    answers(&lan, "192.0.2.1:8080");
}
