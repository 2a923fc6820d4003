//! What a pod calls itself and whom it asks for others, seen from inside.

use std::fs;

use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::pod::{pod, with};

/// A world whose agent is configured as for a cluster with a domain.
fn of_a_cluster() -> World {
    let mut world = World::without_agent();
    let of_node = world.shared().join("resolv.conf");
    fs::write(&of_node, "search plant.example\nnameserver 192.0.2.1\noptions ndots:1\n").unwrap();
    let config =
        format!("resolvConf: {}\nclusterDNS: [10.43.0.10]\nclusterDomain: c.local\n", of_node.display());
    world.kubelet_config = Some(config);
    world.start_agent();
    world
}

/// What `args` of the workload say in a pod with `spec`.
fn inside(world: &World, name: &str, args: &[&str], spec: Value) -> String {
    let once = with(pod(name, args), json!({"restartPolicy": "Never"}));
    world.write(&format!("{name}.yaml"), &with(once, spec));
    world.once(name, "has ended", |pod| pod.phase() == "Succeeded");
    world.log(name)
}

/// 9.13
#[test]
fn host_aliases_are_in_etc_hosts_also_in_the_nodes_network() {
    let world = World::new();
    let aliases = json!([{"ip": "192.0.2.7", "hostnames": ["plc", "plc.lan"]}, {"ip": "fd00::7", "hostnames": ["hmi"]}]);
    let further = "\n# Entries added by HostAliases.\n192.0.2.7\tplc\tplc.lan\nfd00::7\thmi\n";
    for (name, host_network) in [("own", false), ("nodes", true)] {
        let spec = json!({"hostAliases": aliases, "hostNetwork": host_network});
        let hosts = inside(&world, name, &["cat", "/etc/hosts"], spec);
        assert!(hosts.starts_with("# Kubernetes-managed hosts file") && hosts.ends_with(further), "{hosts}");
    }
}

/// 9.15, 9.16
#[test]
fn the_kernel_and_etc_hosts_know_the_pod_by_the_names_it_asks_for() {
    let world = of_a_cluster();
    let whole = "web.sub.default.svc.c.local";
    let short_and_whole = format!("127.0.0.1\t{whole}\tweb\n");
    let overridden = "127.0.0.1\tx.y\n";
    for (name, spec, hostname, line) in [
        ("short", json!({"hostname": "web"}), "web", "127.0.0.1\tweb\n"),
        ("both", json!({"hostname": "web", "subdomain": "sub"}), "web", &*short_and_whole),
        (
            "whole",
            json!({"hostname": "web", "subdomain": "sub", "setHostnameAsFQDN": true}),
            whole,
            &*short_and_whole,
        ),
        (
            "over",
            json!({"hostname": "web", "subdomain": "sub", "hostnameOverride": "x.y"}),
            "x.y",
            overridden,
        ),
    ] {
        let hosts = inside(&world, &format!("{name}-hosts"), &["cat", "/etc/hosts"], spec.clone());
        assert!(hosts.ends_with(&format!("allrouters\n{line}")), "{name}: {hosts}");
        let file = inside(&world, &format!("{name}-file"), &["cat", "/etc/hostname"], spec.clone());
        assert_eq!(file, format!("{hostname}\n"), "{name}");
        let status = inside(&world, &format!("{name}-kernel"), &["status"], spec);
        assert!(status.lines().any(|told| told == format!("hostname: {hostname}")), "{name}: {status}");
        assert!(status.lines().any(|told| told == format!("env.HOSTNAME: {hostname}")), "{name}: {status}");
    }
}

/// 9.15
#[test]
fn a_name_that_the_kernel_does_not_take_keeps_the_pod_waiting_with_an_event() {
    let world = of_a_cluster();
    let fields = json!({"hostname": "web", "subdomain": "s".repeat(44), "setHostnameAsFQDN": true});
    world.write("long.yaml", &with(pod("long", &["trap-term"]), fields));
    let seen = world.once("long", "has an event", |pod| {
        pod.main()["state"]["waiting"]["message"].as_str().is_some_and(|message| message.contains("FQDN"))
    });
    assert_eq!((&*seen.phase(), &*seen.reason()), ("Pending", "ContainerCreating"));
    let described = world.says(&["describe", "pod", &world.pod_name("long")]);
    let event = described.lines().find(|line| line.contains("FailedCreatePodSandBox"));
    let event = event.unwrap_or_else(|| panic!("{described}"));
    assert!(event.contains("(64 characters is the max, 68 characters requested)"), "{event}");
}

/// 14.11
#[test]
fn a_pods_own_name_servers_are_asked_alone_or_after_the_others() {
    let world = of_a_cluster();
    let config = json!({
        "nameservers": ["192.0.2.9"], "searches": ["lan"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    });
    for (policy, expected) in [
        ("None", "search lan\nnameserver 192.0.2.9\noptions ndots:2 edns0\n"),
        (
            "Default",
            "search plant.example lan\nnameserver 192.0.2.1\nnameserver 192.0.2.9\noptions ndots:2 edns0\n",
        ),
        (
            "ClusterFirst",
            "search default.svc.c.local svc.c.local c.local plant.example lan\nnameserver 10.43.0.10\n\
             nameserver 192.0.2.9\noptions ndots:2 edns0\n",
        ),
    ] {
        let name = policy.to_lowercase();
        let spec = json!({"dnsPolicy": policy, "dnsConfig": config});
        assert_eq!(inside(&world, &name, &["cat", "/etc/resolv.conf"], spec), expected, "{policy}");
    }
}
