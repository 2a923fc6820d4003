//! Who speaks by UDP all the while, and what the machine remembers of that.

use std::fs;
use std::net::UdpSocket;

use serde_json::json;

use crate::harness::pod::{pod, with_main};
use crate::harness::{Machine, SOON, World, eventually};
use crate::lan::in_a_lan;
use crate::network::inside;

/// Listens at port 53 there.
fn listens(machine: &Machine) -> UdpSocket {
    let socket = machine.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    socket.set_nonblocking(true).unwrap();
    socket
}

/// `client` is heard by `server`, for which it asks without a pause that would let anybody forget it.
fn meets(client: &UdpSocket, server: &UdpSocket, what: &str) {
    eventually(SOON, what, || {
        // That nobody listens there is told by the next call.
        let _ = client.send(b"question");
        server.recv_from(&mut [0; 64]).ok()
    });
}

fn named(world: &World) -> Machine {
    let ports = json!([{"containerPort": 53, "hostPort": 53, "protocol": "UDP"}]);
    world.write("dns.yaml", &with_main(pod("dns", &["trap-term"]), json!({"ports": ports})));
    world.running("dns");
    inside(world, "dns")
}

/// Has `machine` remember so many flows that the kernel is asked for those that matter, for half a minute.
fn many(machine: &Machine, lan: &Machine) {
    let socket = lan.inside(|| UdpSocket::bind("192.0.2.9:0").unwrap());
    for port in 10_000..12_500 {
        socket.send_to(b"nobody listens", ("192.0.2.1", port)).unwrap();
    }
    let count = machine.inside(|| fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").unwrap());
    assert!(2000 < count.trim().parse().unwrap(), "{count}");
}

#[test]
fn who_asks_all_the_while_meets_the_pod_that_comes_the_one_after_it_and_then_the_node() {
    ask_all_the_while(|_, _| ());
}

#[test]
fn so_does_who_is_one_of_many() {
    ask_all_the_while(many);
}

/// A flow of UDP is remembered for half a minute after its last packet. `before` is done before each pod comes or goes.
fn ask_all_the_while(before: impl Fn(&Machine, &Machine)) {
    let (mut world, machine, lan) = in_a_lan();
    world.start_agent();
    // With the first pod there are rules, and flows are remembered.
    world.write("first.yaml", &pod("first", &["trap-term"]));
    world.running("first");
    let client = lan.inside(|| UdpSocket::bind("192.0.2.9:5000").unwrap());
    let own = machine.inside(|| UdpSocket::bind("127.0.0.1:5000").unwrap());
    for (socket, to) in [(&client, "192.0.2.1:53"), (&own, "127.0.0.1:53")] {
        socket.connect(to).unwrap();
        let _ = socket.send(b"question");
    }
    for which in ["the pod that comes", "the one after it"] {
        before(&machine, &lan);
        let pod = named(&world);
        let server = listens(&pod);
        meets(&client, &server, which);
        meets(&own, &server, which);
        drop((server, pod));
        before(&machine, &lan);
        world.remove("dns.yaml");
        world.gone("dns");
    }
    let server = listens(&machine);
    meets(&client, &server, "the node");
    meets(&own, &server, "the node");
}
