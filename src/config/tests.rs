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
