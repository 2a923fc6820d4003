//! `port-forward`: servers in pods that have a network of their own, and in one that has the node's (acceptance 14.22).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::image::{busybox, copy_program};
use crate::harness::pod::{pod, with, with_main};
use crate::harness::{SOON, World, eventually};

/// A `port-forward` that runs; it ends with the test.
struct Forward {
    process: Child,
    /// Of the node, in the order of the arguments.
    ports: Vec<u16>,
}

impl Forward {
    fn new(world: &World, name: &str, ports: &[&str]) -> Forward {
        let mut command = Command::new(crate::harness::binary());
        command.arg("--runtime-dir").arg(&world.runtime).args(["port-forward", name]).args(ports);
        command.args(["--address", "127.0.0.1"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut port = || {
            let line = told.next().expect("it says what it forwards").unwrap();
            let local =
                line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split_once(" -> "));
            local.unwrap_or_else(|| panic!("{line:?}")).0.parse().unwrap()
        };
        let ports = ports.iter().map(|_| port()).collect();
        Forward { process, ports }
    }

    fn connect(&self, number: usize) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.ports[number])).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// What comes back for `request`, to its end.
    fn ask(&self, number: usize, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect(number);
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// All that it said, once it has ended by itself, and how it ended.
    fn end(mut self) -> (Option<i32>, String) {
        let code = eventually(SOON, "port-forward ends", || self.process.try_wait().unwrap()).code();
        let mut said = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (code, said)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_that_only_the_pod_can_reach_is_reached_until_the_pod_ends() {
    is_reached_until_the_end(json!({}));
}

#[test]
fn a_server_of_users_of_the_pods_own_is_reached_until_the_pod_ends() {
    is_reached_until_the_end(json!({"hostUsers": false}));
}

fn is_reached_until_the_end(fields: Value) {
    let world = World::new();
    let server =
        with_main(pod("web", &["listen", "80"]), json!({"ports": [{"name": "http", "containerPort": 80}]}));
    world.write("web.yaml", &with(server, fields));
    world.running("web");
    eventually(SOON, "it listens", || world.log("web").contains("listening").then_some(()));

    let forward = Forward::new(&world, "web", &[":http", ":81"]);
    for _ in 0..3 {
        let page = forward.ask(0, b"GET / HTTP/1.0\r\n\r\n");
        assert!(page.ends_with(b"hello\n"), "{:?}", String::from_utf8_lossy(&page));
    }
    assert_eq!(forward.ask(1, b""), b"", "nobody listens there: the connection is closed");
    world.remove("web.yaml");
    world.gone("web");
    let (port, closed) = (forward.ports[0], forward.ports[1]);
    let (code, said) = forward.end();
    assert_eq!(code, Some(1));
    assert_eq!(said.matches(&format!("Handling connection for {port}")).count(), 3, "{said}");
    assert!(
        said.contains(&format!(
            "forwarding {closed} -> 81: connect to localhost:81 inside the pod: Connection refused"
        )),
        "{said}"
    );
    assert!(said.contains("lost connection to pod"), "{said}");
}

/// Eight million bytes there and back through one connection, beside one that says nothing, and the end of each way by itself.
#[test]
fn what_goes_through_is_whole_and_nobody_waits_for_another() {
    let world = World::new();
    copy_program(&busybox(), &world.shared().join("busybox"));
    let mut echo =
        with(pod("echo", &[]), json!({"volumes": [{"name": "s", "hostPath": {"path": world.shared()}}]}));
    echo = with_main(echo, json!({"volumeMounts": [{"name": "s", "mountPath": "/s"}]}));
    echo = with_main(
        echo,
        json!({"command": ["/s/busybox", "nc", "-ll", "-p", "7", "-e", "/s/busybox", "cat"]}),
    );
    world.write("echo.yaml", &echo);
    world.running("echo");
    let forward = Forward::new(&world, "echo", &[":7"]);
    eventually(SOON, "it answers", || (forward.ask(0, b"ping") == b"ping").then_some(()));
    let _silent = forward.connect(0);
    let sent: Vec<u8> = (0..2_000_000u32).flat_map(u32::to_le_bytes).collect();
    let stream = forward.connect(0);
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&sent).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        (&stream).read_to_end(&mut back).unwrap();
    });
    assert!(back == sent, "{} of {} bytes", back.len(), sent.len());
}

#[test]
fn a_pod_in_the_nodes_network_is_forwarded_and_what_cannot_be_is_told() {
    let world = World::new();
    let never = json!({"restartPolicy": "Never"});
    world.write("over.yaml", &with(pod("over", &["exit", "0"]), never));
    world.write("host.yaml", &with(pod("host", &["trap-term"]), json!({"hostNetwork": true})));
    world.running("host");
    world.once("over", "is over", |pod| pod.phase() == "Succeeded");
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let forward = Forward::new(&world, "host", &[&format!(":{port}")]);
    let mut client = forward.connect(0);
    let mut served = server.accept().unwrap().0;
    served.write_all(b"from the node").unwrap();
    drop(served);
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert_eq!(said, "from the node");

    let taken = format!("{port}:80");
    for (args, told) in [
        (["over", "80"], "pod is not running. Current status=Succeeded"),
        (["nobody", "80"], "not found"),
        (["host", "http"], "has no port \"http\""),
        (["host", &taken], "unable to listen on port"),
    ] {
        let output = world.cli(&["port-forward", args[0], args[1], "--address", "127.0.0.1"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(told), "{args:?}: {said}");
    }
}
