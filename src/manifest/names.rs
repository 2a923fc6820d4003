//! What names may look like: the API server's rules, each as a complaint or none.

/// Longest DNS label (RFC 1123).
pub const MAX_LABEL: usize = 63;

/// Longest DNS subdomain (RFC 1123).
pub const MAX_SUBDOMAIN: usize = 253;

/// What is wrong with `name`, if anything.
pub type Complaint = Option<String>;

/// Container, volume and namespace names: one DNS label.
pub fn dns_label(name: &str) -> Complaint {
    if name.len() > MAX_LABEL {
        return Some(format!("must be no more than {MAX_LABEL} characters, this has {}", name.len()));
    }
    let rule = "must be lower case letters, digits and '-', and begin and end with a letter or digit";
    (!is_dns_label(name)).then(|| format!("{rule}, like my-name: {name:?} is not"))
}

/// Pod and object names: DNS labels with dots between.
pub fn dns_subdomain(name: &str) -> Complaint {
    if name.len() > MAX_SUBDOMAIN {
        return Some(format!("must be no more than {MAX_SUBDOMAIN} characters, this has {}", name.len()));
    }
    let rule = "must be lower case letters, digits, '-' and '.', and begin and end with a letter or digit";
    let fits = name.split('.').all(is_dns_label);
    (!fits).then(|| format!("{rule}, like my-name: {name:?} is not"))
}

/// Domains that a resolver looks in: the relaxed rule, GA since 1.34, with underscores and a final dot.
pub fn search_domain(name: &str) -> Complaint {
    let plain = name.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(name).replace('_', "a");
    let fits = name == "." || dns_subdomain(&plain).is_none();
    let rule = "must be a domain of at most 253 lower case letters, digits, '-', '_' and '.'";
    (!fits).then(|| format!("{rule}, like lan.example: {name:?} is not"))
}

/// Names of ports (`IANA_SVC_NAME`).
pub fn port_name(name: &str) -> Complaint {
    let fits = name.len() <= 15
        && is_dns_label(name)
        && !name.contains("--")
        && name.bytes().any(|byte| byte.is_ascii_lowercase());
    let rule = "must be at most 15 lower case letters, digits and single '-', with a letter among them";
    (!fits).then(|| format!("{rule}, like http: {name:?} is not"))
}

/// Keys of labels and annotations: `name` or `prefix.example/name`.
pub fn qualified(key: &str) -> Complaint {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|prefix| dns_subdomain(prefix).is_some()) {
        return Some(format!(
            "the part before '/' must be a DNS subdomain, like example.com: {key:?} has none"
        ));
    }
    let fits = !name.is_empty() && label_value(name).is_none();
    let rule =
        "must be at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit";
    (!fits).then(|| format!("the name {rule}: {key:?} is not"))
}

/// Values of labels.
pub fn label_value(value: &str) -> Complaint {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = value.is_empty()
        || (value.len() <= MAX_LABEL
            && ends(value.bytes().next())
            && ends(value.bytes().last())
            && value.bytes().all(part));
    let rule =
        "must be at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit";
    (!fits).then(|| rule.to_owned())
}

/// Longest path of a file (PATH_MAX less the zero byte at its end).
const MAX_PATH: usize = 4095;

/// Names of environment variables: the relaxed rule, GA since 1.34.
pub fn env_name(name: &str) -> Complaint {
    let fits = !name.is_empty() && name.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'=');
    (!fits).then(|| format!("must be printable ASCII characters without '=': {name:?} is not"))
}

/// Keys of ConfigMaps and Secrets, which are also names of files (`IsConfigMapKey`).
pub fn document_key(key: &str) -> Complaint {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = !key.is_empty() && key.len() <= MAX_SUBDOMAIN && key.bytes().all(part);
    let fits = fits && key != "." && !key.starts_with("..");
    (!fits).then(|| {
        format!(
            "must be at most 253 letters, digits, '-', '_' and '.', and not begin with '..': {key:?} is not"
        )
    })
}

/// Paths of files in a volume: relative, and not out of it (`validateLocalNonReservedPath`).
pub fn file_path(path: &str) -> Complaint {
    let whole = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    match () {
        () if path.is_empty() => Some("must not be empty".to_owned()),
        () if path.starts_with('/') => Some("must be a relative path".to_owned()),
        () if path.starts_with("..") => Some("must not begin with '..'".to_owned()),
        () if !whole => Some("must not have empty parts, '.' or '..' in it".to_owned()),
        () if path.contains(['\0', '\n']) || path.len() > MAX_PATH => {
            Some(format!("must be no more than {MAX_PATH} characters, without NUL and line feed"))
        }
        () => None,
    }
}

fn is_dns_label(name: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(part) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Complaint, good: &[&str], bad: &[&str]) {
        for name in good {
            assert_eq!(rule(name), None, "{name:?}");
        }
        for name in bad {
            assert!(rule(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn names_follow_the_api_servers_rules() {
        let long = "a".repeat(64);
        let longer = "a.".repeat(127) + "a";
        check(dns_label, &["a", "a-1", "0"], &["", "-a", "a-", "A", "a.b", "a_b", "é", &long]);
        check(dns_subdomain, &["a", "a.b", "a-1.b"], &["", ".", "a..b", "a.-b", "A.b", "a/b", &longer]);
        check(
            search_domain,
            &["a", "a.b.", ".", "_tcp.a_b", &longer[2..]],
            &["", "..", "A", "a..b", "a b", "a/b", &longer],
        );
        check(port_name, &["http", "a-1", "8080a"], &["", "80", "a--b", "HTTP", "sixteen-letters-x"]);
        check(
            qualified,
            &["app", "a.b/c", "app.kubernetes.io/Name_1"],
            &["", "/a", "a/", "a/b/c", "-a", "A.b/c", &long],
        );
        check(label_value, &["", "a", "A_b.c-1"], &["-a", "a-", "a b", "a/b", &long]);
        check(document_key, &["a", ".a", "a..b", "A_b-1.c"], &["", ".", "..", "..a", "a/b", "a b", "é"]);
        let deep = "a/".repeat(2100) + "a";
        check(
            file_path,
            &["a", "a/b", ".a", "a..b"],
            &["", "/a", "..a", "a/../b", "a//b", "a/", "./a", &deep],
        );
        check(env_name, &["A", "a.b-c", "1 2", "!"], &["", "A=", "é", "a\nb"]);
    }
}
