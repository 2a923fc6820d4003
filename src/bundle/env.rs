//! The variables that a manifest gives a container (reference D.1).

use std::collections::BTreeMap;
use std::fmt;

use super::{env_file, expansion};
use crate::api::Amounts;
use crate::spec::{
    Address, Allocatable, Container, Document, Documents, EnvFrom, Kind, Pod, Resource, ValueSource,
};
use crate::status::{Failure, Reason};

/// Names and values, in order, no name twice. Values may be secret: `Debug` tells names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(Vec<(String, String)>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Variables {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Gives `name` a value, in the place of an earlier one. What has no name is nothing.
    pub fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(variable) => variable.1 = value,
            None if name.is_empty() => {}
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// As much of `all` as `asked` asks for: divided, and rounded up.
pub fn divided(all: Amounts, asked: Allocatable) -> String {
    let amount = match asked.resource {
        Resource::Cpu => all.cpu_milli,
        Resource::Memory => all.memory,
        Resource::EphemeralStorage => all.storage,
    };
    amount.div_ceil(asked.divisor.max(1)).to_string()
}

/// What values come from, beside the manifest.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// All ConfigMaps and Secrets.
    pub documents: &'a Documents,
    /// The node's address, if it has one.
    pub host_ip: Option<&'a str>,
    /// The pod's addresses, if it has any.
    pub pod_ips: Vec<String>,
    /// What the node has for pods.
    pub allocatable: Amounts,
    /// What is in each file that a variable comes from, by volume and path, or why it cannot be read.
    pub files: BTreeMap<(String, String), Result<String, String>>,
}

/// The manifest's variables: what `envFrom` brings, then `env`, each expanded by those before it. References see these only:
/// neither the image's variables nor PATH nor HOSTNAME, as in the kubelet.
///
/// Fails with `CreateContainerConfigError` where something that is not optional is not there, with what would cure it.
pub fn own(pod: &Pod, container: &Container, around: &Surroundings<'_>) -> Result<Variables, Failure> {
    let reader = Reader { pod, around };
    let mut variables = Variables::default();
    for from in &container.env_from {
        reader.all(from, &mut variables).map_err(config)?;
    }
    for variable in &container.env {
        let value = match &variable.from {
            None => Some(expansion::expand(&variable.value, |name| variables.get(name))),
            Some(source) => reader.one(source).map_err(config)?,
        };
        if let Some(value) = value {
            variables.set(&variable.name, value);
        }
    }
    Ok(variables)
}

fn config(message: String) -> Failure {
    Failure::new(Reason::CreateContainerConfigError, message)
}

struct Reader<'a> {
    pod: &'a Pod,
    around: &'a Surroundings<'a>,
}

impl Reader<'_> {
    /// Every key of a ConfigMap or Secret.
    fn all(&self, from: &EnvFrom, variables: &mut Variables) -> Result<(), String> {
        let Some(document) = self.document(from.kind, &from.name, from.optional)? else { return Ok(()) };
        for (key, value) in &document.data {
            let text = self.text(from.kind, &from.name, key, &value.0)?;
            variables.set(&format!("{}{key}", from.prefix), text);
        }
        Ok(())
    }

    /// One value; `None` where it is optional and not there.
    fn one(&self, source: &ValueSource) -> Result<Option<String>, String> {
        match source {
            ValueSource::Text(text) => Ok(Some(text.clone())),
            ValueSource::Address(address) => Ok(Some(self.address(*address))),
            ValueSource::Allocatable(asked) => Ok(Some(divided(self.around.allocatable, *asked))),
            ValueSource::Key { kind, name, key, optional } => self.key(*kind, name, key, *optional),
            ValueSource::File { volume, path, key, optional } => self.file(volume, path, key, *optional),
        }
    }

    fn document(&self, kind: Kind, name: &str, optional: bool) -> Result<Option<&Document>, String> {
        let Pod { namespace, origin, .. } = self.pod;
        self.around.documents.find(kind, namespace, name, optional, origin)
    }

    fn key(&self, kind: Kind, name: &str, key: &str, optional: bool) -> Result<Option<String>, String> {
        let Some(document) = self.document(kind, name, optional)? else { return Ok(None) };
        match document.data.get(key) {
            Some(value) => self.text(kind, name, key, &value.0).map(Some),
            None if optional => Ok(None),
            None => {
                let namespace = &self.pod.namespace;
                let why = match document.binary.contains_key(key) {
                    true => " under data: what is under binaryData is for files only",
                    false => "",
                };
                Err(format!(
                    "couldn't find key {key} in {kind} {namespace}/{name}; add it to {}{why}",
                    document.origin
                ))
            }
        }
    }

    fn text(&self, kind: Kind, name: &str, key: &str, bytes: &[u8]) -> Result<String, String> {
        let bad = |what: &str| {
            format!("key {key} in {kind} {}/{name} {what}, and cannot be a variable", self.pod.namespace)
        };
        let text = std::str::from_utf8(bytes).map_err(|_| bad("is not UTF-8 text"))?;
        if text.contains('\0') { Err(bad("has a NUL byte in it")) } else { Ok(text.to_owned()) }
    }

    /// What is not known is empty, as in the kubelet.
    fn address(&self, address: Address) -> String {
        match address {
            Address::HostIp | Address::HostIps => self.around.host_ip.unwrap_or_default().to_owned(),
            Address::PodIp => self.around.pod_ips.first().cloned().unwrap_or_default(),
            Address::PodIps => self.around.pod_ips.join(","),
        }
    }

    fn file(&self, volume: &str, path: &str, key: &str, optional: bool) -> Result<Option<String>, String> {
        let place = (volume.to_owned(), path.to_owned());
        let text = match self.around.files.get(&place) {
            Some(Ok(text)) => text,
            _ if optional => return Ok(None),
            Some(Err(why)) => return Err(format!("read file {path:?} of volume {volume:?}: {why}")),
            None => return Err(format!("file {path:?} of volume {volume:?} was not read")),
        };
        let value = env_file::value(text, key)
            .map_err(|line| format!("file {path:?} of volume {volume:?}: line {line} is not KEY='value'"))?;
        match value {
            None if !optional => Err(format!(
                "environment variable key {key:?} not found in file {path:?} of volume {volume:?}"
            )),
            value => Ok(value),
        }
    }
}
