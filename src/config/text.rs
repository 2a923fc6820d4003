//! What a directory, a cgroup and a node's name must look like; the errors are sentences that follow the flag's name.

use std::path::{Component, Path, PathBuf};

/// A directory as somebody gives it.
pub fn directory(path: &str) -> Result<PathBuf, String> {
    let given = Path::new(path);
    if !given.is_absolute() {
        return Err("must be an absolute path, one that begins with /".to_string());
    }
    if given.components().any(|component| component == Component::ParentDir) {
        return Err("must not contain ..".to_string());
    }
    // Components leave out doubled and trailing slashes and dots.
    Ok(given.components().collect())
}

/// A cgroup as somebody gives it: a directory's rules.
pub fn cgroup(path: &str) -> Result<String, String> {
    let path = directory(path)?;
    path.into_os_string().into_string().map_err(|_| "must be UTF-8".to_string())
}

/// A node's name as somebody gives it: lower-cased, and a DNS subdomain of at most 253 characters as Kubernetes asks for.
pub fn node_name(name: &str) -> Result<String, String> {
    let name = name.to_lowercase();
    let label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("must consist of letters, digits, '-' and '.', and begin and end with a letter or digit"
            .to_string());
    }
    Ok(name)
}
