use super::*;

fn pod(namespace: &str, name: &str) -> Pod {
    let (name, node_name) = (format!("{name}-edge"), "edge".to_owned());
    Pod { namespace: namespace.into(), hostname: name.clone(), name, node_name, ..Pod::default() }
}

/// What pods of `namespace` read below `hosts`, each pod having the address of its place in `pods`.
fn read(hosts: &str, namespace: &str, pods: &[Pod]) -> String {
    let addresses: Vec<[IpAddr; 1]> =
        (2..).take(pods.len()).map(|it| [IpAddr::from([10, 42, 0, it])]).collect();
    let found: Vec<_> =
        pods.iter().zip(&addresses).map(|(pod, addresses)| Found { pod, addresses }).collect();
    let text = with_names(hosts.to_owned(), &names(&found, namespace, "c.local"));
    text.strip_prefix(hosts).expect("what was there stays in front").to_owned()
}

const TITLE: &str = "\n# Pods of this node.\n";

#[test]
fn short_names_are_those_of_ones_own_namespace() {
    let pods = [pod("shop", "web"), pod("lab", "web")];
    let of_shop = "10.42.0.2\tweb\tweb-edge\tweb.shop\tweb-edge.shop\n10.42.0.3\tweb.lab\tweb-edge.lab\n";
    assert_eq!(read("", "shop", &pods), format!("{TITLE}{of_shop}"));
    let of_lab = "10.42.0.2\tweb.shop\tweb-edge.shop\n10.42.0.3\tweb\tweb-edge\tweb.lab\tweb-edge.lab\n";
    assert_eq!(read("", "lab", &pods), format!("{TITLE}{of_lab}"));
    let of_others = "10.42.0.2\tweb.shop\tweb-edge.shop\n10.42.0.3\tweb.lab\tweb-edge.lab\n";
    assert_eq!(read("", "default", &pods), format!("{TITLE}{of_others}"));
}

#[test]
fn a_subdomain_makes_more_names_and_the_nodes_own_is_nobodys() {
    let of_cluster = Pod { hostname: "db-0".into(), subdomain: "db".into(), ..pod("shop", "sql") };
    let of_node = Pod { host_network: true, hostname: "edge".into(), ..pod("shop", "proxy") };
    let expected = "10.42.0.2\tsql\tsql-edge\tdb-0\tdb-0.db\tsql.shop\tsql-edge.shop\tdb-0.shop\tdb-0.db.shop\t\
                    db-0.db.shop.svc.c.local\n10.42.0.3\tproxy\tproxy-edge\tproxy.shop\tproxy-edge.shop\n";
    assert_eq!(read("", "shop", &[of_cluster, of_node]), format!("{TITLE}{expected}"));
}

#[test]
fn a_name_leads_to_one_pod_and_what_the_pod_says_itself_counts() {
    let disguised = Pod { hostname: "web".into(), ..pod("shop", "other") };
    let told = read("", "shop", &[disguised.clone(), pod("shop", "web")]);
    assert!(told.contains("10.42.0.3\tweb\t") && told.matches("\tweb\t").count() == 1, "{told}");
    let hosts = "127.0.0.1\tlocalhost\n192.0.2.1\tWEB other.shop # web-edge\n";
    let told = read(hosts, "shop", &[disguised, pod("shop", "web"), pod("shop", "localhost")]);
    let expected = "10.42.0.2\tother\tother-edge\tother-edge.shop\n10.42.0.3\tweb-edge\tweb.shop\tweb-edge.shop\n\
                    10.42.0.4\tlocalhost-edge\tlocalhost.shop\tlocalhost-edge.shop\n";
    assert_eq!(told, format!("{TITLE}{expected}"));
}

#[test]
fn who_has_no_address_is_not_found_and_who_has_two_is_twice() {
    let pods = [pod("shop", "web"), pod("shop", "none")];
    let both = [IpAddr::from([10, 42, 0, 2]), "fd42::2".parse().expect("an address")];
    let found = [Found { pod: &pods[0], addresses: &both }, Found { pod: &pods[1], addresses: &[] }];
    let names = names(&found, "lab", "");
    let expected = "10.42.0.2\tweb.shop\tweb-edge.shop\nfd42::2\tweb.shop\tweb-edge.shop\n";
    assert_eq!(with_names(String::new(), &names), format!("{TITLE}{expected}"));
    assert_eq!(with_names("x".into(), &Names::default()), "x");
}

#[test]
fn no_line_is_longer_than_resolvers_read() {
    let told = read("", "shop", &[pod("shop", &"a".repeat(240)), pod("shop", "web")]);
    assert!(told.lines().all(|line| line.len() < 512), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("10.42.0.2\taaa")).count(), 3);
}
