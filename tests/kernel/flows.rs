//! Who speaks by UDP all the while, and what the machine remembers of that.

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

/// A flow of UDP is remembered for half a minute after its last packet.
#[test]
fn who_asks_all_the_while_meets_the_pod_that_comes_the_one_after_it_and_then_the_node() {
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
        let pod = named(&world);
        let server = listens(&pod);
        meets(&client, &server, which);
        meets(&own, &server, which);
        drop((server, pod));
        world.remove("dns.yaml");
        world.gone("dns");
    }
    let server = listens(&machine);
    meets(&client, &server, "the node");
    meets(&own, &server, "the node");
}
