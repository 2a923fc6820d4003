//! `cp`.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Args;

use super::Namespace;

/// What to copy, and to where.
#[derive(Debug, Args)]
pub struct Cp {
    /// What to copy: LOCAL, or [NAMESPACE/]POD:PATH
    #[arg(value_name = "FROM")]
    pub from: String,
    /// To where: [NAMESPACE/]POD:PATH, or LOCAL
    #[arg(value_name = "TO")]
    pub to: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// The container [default: the pod's first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// Leave owners and permissions to the container's tar
    #[arg(long)]
    pub no_preserve: bool,
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Local(PathBuf),
    /// In a container.
    Pod {
        /// Where it was given.
        namespace: Option<String>,
        /// The pod's name.
        name: String,
        /// As its tar understands it.
        path: String,
    },
}

impl Place {
    /// As kubectl reads it; and what begins with `.` or `/` is on this machine, also with a colon in it.
    pub fn parse(text: &str) -> Result<Place> {
        let place = match text.split_once(':') {
            Some((pod, path)) if !text.starts_with(['.', '/']) => {
                let (namespace, name) = match pod.split_once('/') {
                    Some((namespace, name)) => (Some(namespace.to_string()), name),
                    None => (None, pod),
                };
                let plain = !name.is_empty() && !name.contains('/') && namespace.as_deref() != Some("");
                ensure!(plain, "{text:?}: write [NAMESPACE/]POD:PATH, or ./FILE for a file with a colon");
                Place::Pod { namespace, name: name.to_string(), path: path.to_string() }
            }
            _ => Place::Local(PathBuf::from(text)),
        };
        match &place {
            Place::Pod { path, .. } if path.is_empty() => bail!("{text:?}: the path must not be empty"),
            Place::Local(path) if path.as_os_str().is_empty() => bail!("a path must not be empty"),
            _ => Ok(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_kubectl_reads_them() {
        let pod = |namespace: Option<&str>, name: &str, path: &str| Place::Pod {
            namespace: namespace.map(Into::into),
            name: name.into(),
            path: path.into(),
        };
        let read = |text| Place::parse(text).ok();
        assert_eq!(read("web:/etc/hosts"), Some(pod(None, "web", "/etc/hosts")));
        assert_eq!(read("prod/web:a:b"), Some(pod(Some("prod"), "web", "a:b")));
        for local in ["file", "./a:b", "/a:b", "dir/file", "../x:y"] {
            assert_eq!(read(local), Some(Place::Local(local.into())));
        }
        for wrong in ["", ":x", "web:", "a/b/c:x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
