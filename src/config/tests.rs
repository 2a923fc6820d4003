#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn one_directory_written_in_several_ways_is_one_directory() {
    for path in ["/srv/pods", "/srv/pods/", "/srv//pods///", "/srv/./pods/."] {
        assert_eq!(directory(path), Ok(PathBuf::from("/srv/pods")), "{path}");
        assert_eq!(directory(path).map(|path| path.as_os_str().to_owned()), Ok("/srv/pods".into()), "{path}");
    }
    assert_eq!(directory("/"), Ok(PathBuf::from("/")));
}

#[test]
fn a_relative_path_is_refused() {
    for path in ["", "pods", "./pods", "../pods"] {
        assert!(directory(path).is_err_and(|error| error.contains("absolute")), "{path}");
    }
    assert!(directory("/srv/../etc").is_err());
}

#[test]
fn a_node_name_is_a_lower_case_dns_subdomain() {
    assert_eq!(node_name("Edge-1.Plant"), Ok("edge-1.plant".to_string()));
    for name in ["", "a_b", "-a", "a-", "a..b", "a/b", &"a".repeat(254)] {
        assert!(node_name(name).is_err(), "{name}");
    }
}

#[test]
fn each_default_is_what_it_must_be() {
    let mut agent = Agent::new(Path::new("/run/x"));
    for key in Key::ALL {
        let values: Vec<String> = key.default().iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(set::set(&mut agent, key, &values), Ok(()), "{key:?}");
    }
    assert_eq!(agent, Agent::new(Path::new("/run/x")));
    assert_eq!(agent.pod_manifest_path, Path::new("/var/lib/rancher/k3s/agent/pod-manifests"));
    assert_eq!((agent.log_max_bytes, agent.log_max_files), (10 << 20, 5));
    assert_eq!((agent.max_restart_period, agent.max_pods), (Duration::from_secs(300), 110));
    assert_eq!(agent.pod_pids_limit, None);
    assert_eq!((agent.pulls_at_once(), agent.pull_qps, agent.pull_burst), (3, 5, 10));
}

#[test]
fn durations_are_gos() {
    let cases = [
        ("20s", 20_000),
        ("1m30s", 90_000),
        ("1.5h", 5_400_000),
        ("0.25s", 250),
        (".5s", 500),
        ("1500ms", 1500),
        ("2000us", 2),
        ("2000µs", 2),
        ("+1s", 1000),
        ("0", 0),
        ("0s", 0),
        ("1.00000000000000000000000001s", 1000),
    ];
    for (text, milliseconds) in cases {
        assert_eq!(values::duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in ["", "20", "s", "-1s", "1 s", "1d", "1..5s", ".s", "99999999999999h", "1s2", "\u{a0}1s"] {
        assert_eq!(values::duration(text), None, "{text:?}");
    }
}

#[test]
fn a_field_as_a_flag_is_called_as_in_the_kubelet() {
    let cases = [
        ("cpuCFSQuota", "cpu-cfs-quota"),
        ("containerLogMaxSize", "container-log-max-size"),
        ("clusterDNS", "cluster-dns"),
        ("podCIDR", "pod-cidr"),
        ("cgroupsPerQOS", "cgroups-per-qos"),
        ("port", "port"),
    ];
    for (field, flag) in cases {
        assert_eq!(kubelet::dashed(field), flag);
    }
    for (flag, key) in [
        ("pod-max-pids", Key::PodPidsLimit),
        ("v", Key::Log),
        ("node-labels", Key::NodeLabel),
        ("resolv-conf", Key::ResolvConf),
        ("pod-manifest-path", Key::PodManifestPath),
        ("hostname-override", Key::NodeName),
        ("max-pods", Key::MaxPods),
        ("registry-qps", Key::PullQps),
        ("registry-burst", Key::PullBurst),
        ("serialize-image-pulls", Key::SerializePulls),
        ("max-parallel-image-pulls", Key::MaxParallelPulls),
    ] {
        assert_eq!(kubelet::flag(flag), Some(given::Means::Is(key)), "{flag}");
    }
    assert_eq!(kubelet::flag("max-nodes"), None);
}

#[test]
fn verbosity_is_a_word_or_a_number() {
    let mut agent = Agent::new(Path::new("/run/x"));
    let mut level = |text: &str| set::set(&mut agent, Key::Log, &[text.to_owned()]).map(|()| agent.log);
    for (text, wanted) in
        [("2", "INFO"), ("4", "DEBUG"), ("true", "DEBUG"), ("10", "TRACE"), ("info", "INFO")]
    {
        assert_eq!(level(text).unwrap().to_string(), wanted, "{text}");
    }
    assert!(level("loud").is_err());
}

/// A name that is there twice would mean what is written first; one in the wrong order is not found by who reads.
#[test]
fn each_name_is_in_its_table_once_and_leads_to_something() {
    let fields: Vec<&str> = kubelet::FIELDS.iter().map(|(name, _)| *name).collect();
    assert!(fields.is_sorted_by(|a, b| a < b), "sorted, each once");
    let otherwise: Vec<&str> = kubelet::OTHERWISE.iter().map(|(flag, _)| *flag).collect();
    assert!(otherwise.is_sorted_by(|a, b| a < b));
    for (flag, field) in kubelet::OTHERWISE {
        assert!(fields.contains(field), "{flag} is of {field}");
    }
    let flags: Vec<&str> = kubelet::FLAGS.iter().map(|(name, _)| *name).collect();
    assert!(flags.is_sorted_by(|a, b| a < b));
    let dashed: Vec<String> = fields.iter().map(|field| kubelet::dashed(field)).collect();
    for flag in flags.iter().chain(&otherwise) {
        let as_field = dashed.iter().any(|dashed| dashed == flag);
        assert!(
            !as_field || kubelet::OTHERWISE.iter().any(|(known, _)| known == flag),
            "{flag} is a field too"
        );
    }
    let of_agents = k3s::FLAGS.iter().chain(k3s::OURS).map(|(name, _)| *name);
    let mut of_k3s: Vec<&str> = of_agents.chain(k3s::OF_SERVER.iter().copied()).collect();
    of_k3s.sort_unstable();
    assert!(of_k3s.is_sorted_by(|a, b| a < b), "each once");
}

/// A reason is for people, each in a line of a list.
#[test]
fn each_reason_fits_a_list_in_one_line() {
    let tables = kubelet::FIELDS.iter().chain(kubelet::FLAGS).chain(k3s::FLAGS).chain(k3s::OURS);
    for (name, means) in tables {
        if let given::Means::NotYet(why) | given::Means::Nothing(why) = means {
            assert!(!why.is_empty() && why.len() <= 60 && !why.contains(['(', ')']), "{name}: {why}");
        }
    }
}
