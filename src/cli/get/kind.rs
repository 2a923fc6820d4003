//! What can be listed.

use anyhow::{Result, bail};
use serde_json::Value;

use super::super::field::{list, text};
use super::super::habits;
use crate::image::Reference;

/// A kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// core/v1 Pods.
    Pods,
    /// Files of the manifests directory.
    Manifests,
    /// core/v1 Events.
    Events,
    /// Images in the store.
    Images,
    /// The core/v1 Node.
    Nodes,
}

impl Kind {
    /// The kind that is called `word`, in any spelling of kubectl. Fails with what there is instead.
    pub fn parse(word: &str) -> Result<Kind> {
        let lower = word.to_lowercase();
        // `pods.v1.` and `deployments.apps` too.
        let name = lower.split('.').next().unwrap_or_default();
        Ok(match name {
            // Of what kubectl counts among `all`, there are pods.
            "pods" | "pod" | "po" | "all" => Kind::Pods,
            "manifests" | "manifest" => Kind::Manifests,
            "events" | "event" | "ev" => Kind::Events,
            "images" | "image" => Kind::Images,
            "nodes" | "node" | "no" => Kind::Nodes,
            _ => match habits::absent(name) {
                Some(why) => bail!(why),
                None => bail!(
                    "there is no kind {word:?}; there are pods (po), manifests, events (ev), images, nodes (no)"
                ),
            },
        })
    }

    /// One of it, as in `pod/NAME`.
    pub fn singular(self) -> &'static str {
        match self {
            Kind::Pods => "pod",
            Kind::Manifests => "manifest",
            Kind::Events => "event",
            Kind::Images => "image",
            Kind::Nodes => "node",
        }
    }

    /// Whether each has a namespace.
    pub fn is_namespaced(self) -> bool {
        matches!(self, Kind::Pods | Kind::Events)
    }

    /// Whether each is an object of core/v1, with metadata; the others are documents of their own.
    pub fn is_core(self) -> bool {
        matches!(self, Kind::Pods | Kind::Events | Kind::Nodes)
    }

    /// The name of one.
    pub fn name(self, object: &Value) -> &str {
        match self {
            Kind::Pods | Kind::Events | Kind::Nodes => text(object, "/metadata/name"),
            Kind::Manifests => text(object, "/name"),
            Kind::Images => match text(object, "/repoTags/0") {
                "" => text(object, "/id"),
                name => name,
            },
        }
    }

    /// Whether a person who types `name` means this one.
    pub fn is_called(self, object: &Value, name: &str) -> bool {
        match self {
            Kind::Pods => {
                let (own, node) = (self.name(object), text(object, "/spec/nodeName"));
                own == name || own.strip_suffix(node).and_then(|own| own.strip_suffix('-')) == Some(name)
            }
            Kind::Images => {
                let whole = Reference::parse(name).map(|reference| reference.to_string()).ok();
                let names = list(object, "/repoTags").iter().chain(list(object, "/repoDigests"));
                let id = text(object, "/id");
                let begins = name.len() >= 4 && id.trim_start_matches("sha256:").starts_with(name);
                id == name
                    || begins
                    || names.filter_map(Value::as_str).any(|own| Some(own) == whole.as_deref())
            }
            _ => self.name(object) == name,
        }
    }

    /// What makes it the same one again.
    pub fn identity(self, object: &Value) -> (String, String, String) {
        let part = |pointer: &str| text(object, pointer).to_string();
        match self {
            Kind::Pods => (part("/metadata/namespace"), part("/metadata/name"), part("/metadata/uid")),
            // An event that is told again stays the same; a node has but one life.
            Kind::Events | Kind::Nodes => {
                (part("/metadata/namespace"), part("/metadata/name"), String::new())
            }
            Kind::Manifests => (String::new(), part("/name"), String::new()),
            Kind::Images => (String::new(), part("/id"), String::new()),
        }
    }
}

/// What is asked for: a kind, and names of it; all without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Of which kind.
    pub kind: Kind,
    /// Which of them.
    pub names: Vec<String>,
}

/// Reads `pods a b`, `pods,nodes`, `pod/a node/b`.
pub fn targets(what: &str, names: &[String]) -> Result<Vec<Target>> {
    if !what.contains('/') {
        let kinds: Vec<Kind> = what.split(',').map(Kind::parse).collect::<Result<_>>()?;
        if let Some(name) = names.iter().find(|name| name.contains('/') && kinds != [Kind::Images]) {
            bail!("{name:?}: write KIND NAME… or KIND/NAME…; the namespace is given by -n");
        }
        return Ok(kinds.into_iter().map(|kind| Target { kind, names: names.to_vec() }).collect());
    }
    let mut targets: Vec<Target> = Vec::new();
    for text in std::iter::once(what).chain(names.iter().map(String::as_str)) {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) if !name.is_empty() => (Kind::parse(kind)?, name.to_string()),
            _ => bail!("{text:?}: where one is written as KIND/NAME, all are"),
        };
        if name.contains('/') && kind != Kind::Images {
            bail!("{text:?}: write KIND/NAME; the namespace is given by -n");
        }
        match targets.iter_mut().find(|target| target.kind == kind) {
            Some(target) => target.names.push(name),
            None => targets.push(Target { kind, names: vec![name] }),
        }
    }
    Ok(targets)
}
