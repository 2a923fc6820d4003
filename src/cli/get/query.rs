//! Which objects are asked for, and where they are read from.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::images;
use super::kind::{Kind, Target};
use crate::cli::field::{list, text};
use crate::cli::select::{Fields, Labels};
use crate::cli::{node, read};
use crate::host::Runtime;

/// What is asked for of one kind.
#[derive(Debug, Clone)]
pub struct Query {
    /// The kind and the names.
    pub target: Target,
    /// A namespace; all where absent.
    pub namespace: Option<String>,
    /// What labels must be.
    pub labels: Labels,
    /// What fields must be.
    pub fields: Fields,
    /// For events: what they are about, a kind and a name.
    pub about: Option<(Kind, String)>,
    /// For events: of which types; of all where there is none.
    pub types: Vec<&'static str>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The objects, those that are named in the order of the names.
    pub objects: Vec<Value>,
    /// Names that nothing has.
    pub missing: Vec<String>,
}

/// The fields by which a kind can be selected.
pub fn fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pods => &[
            "metadata.name",
            "metadata.namespace",
            "spec.hostNetwork",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.nominatedNodeName",
            "status.phase",
            "status.podIP",
        ],
        Kind::Events => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.fieldPath",
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "type",
        ],
        Kind::Nodes => &["metadata.name", "spec.unschedulable"],
        Kind::Manifests => &["name", "state"],
        Kind::Images => &["id", "platform"],
    }
}

impl Query {
    /// Everything of the kind.
    pub fn all(kind: Kind) -> Query {
        Query {
            target: Target { kind, names: Vec::new() },
            namespace: None,
            labels: Labels::default(),
            fields: Fields::default(),
            about: None,
            types: Vec::new(),
        }
    }

    /// What there is of it now. `agent_runs` tells whether what was published is true by itself.
    pub fn find(&self, runtime: &Runtime, agent_runs: bool) -> Result<Found> {
        let kind = self.target.kind;
        let mut objects = match kind {
            Kind::Pods => self.pods(runtime, agent_runs)?,
            Kind::Nodes => {
                // An agent of an earlier version published no object.
                let node = node::node(runtime)?.map(|node| node.published.object);
                node.filter(|object| !object.is_null()).into_iter().collect()
            }
            Kind::Events => node::events(runtime)?,
            Kind::Images => images::images(runtime)?,
            Kind::Manifests => files(&verdict(runtime)?),
        };
        objects.retain(|object| self.wants(object));
        let names = &self.target.names;
        let place = |object: &Value| names.iter().position(|name| kind.is_called(object, name));
        let is_missing = |name: &&String| !objects.iter().any(|object| kind.is_called(object, name));
        let missing = names.iter().filter(is_missing).cloned().collect();
        objects.sort_by_key(place);
        Ok(Found { objects, missing })
    }

    /// Whether an object is asked for.
    fn wants(&self, object: &Value) -> bool {
        let kind = self.target.kind;
        let namespace = || text(object, "/metadata/namespace");
        let names = &self.target.names;
        (!kind.is_namespaced() || self.namespace.as_ref().is_none_or(|wanted| namespace() == wanted))
            && (names.is_empty() || names.iter().any(|name| kind.is_called(object, name)))
            && self.labels.holds(object)
            && self.fields.holds(object)
            && (self.types.is_empty() || self.types.contains(&text(object, "/type")))
            && self.about.as_ref().is_none_or(|(kind, name)| is_about(object, *kind, name))
    }

    fn pods(&self, runtime: &Runtime, agent_runs: bool) -> Result<Vec<Value>> {
        let mut found = read::all(runtime)?;
        // Those alone are asked that are shown; what runs says nothing of names and labels.
        found.retain(|found| self.fields.reads_status() || self.wants(&found.pod.object));
        if !agent_runs {
            read::correct(runtime, &mut found);
        }
        Ok(found.into_iter().map(|found| found.pod.object).collect())
    }

    /// What to say of a name that nothing has.
    pub fn not_found(&self, name: &str) -> String {
        let kind = self.target.kind;
        let word = kind.singular();
        match (&self.namespace, kind) {
            (Some(namespace), _) if kind.is_namespaced() => {
                let plural = format!("{word}s");
                format!(
                    "{word} {name:?} not found in namespace {namespace:?}; `holdfast get {plural} -A` lists all"
                )
            }
            (_, Kind::Manifests) => format!("{word} {name:?} not found"),
            _ => format!("{word} {name:?} not found; `holdfast get {word}s` lists all"),
        }
    }
}

/// Whether an event is about this one.
fn is_about(event: &Value, kind: Kind, name: &str) -> bool {
    let involved = text(event, "/involvedObject/kind");
    if !involved.eq_ignore_ascii_case(kind.singular()) {
        return false;
    }
    // As the object would be that it tells of.
    let object = json!({
        "metadata": {"name": text(event, "/involvedObject/name")},
        "spec": {"nodeName": text(event, "/source/host")},
    });
    kind.is_called(&object, name)
}

/// `manifests.json`
pub fn verdict(runtime: &Runtime) -> Result<Value> {
    let path = runtime.manifests();
    match read::file(&path)? {
        Some(verdict) => Ok(verdict),
        None => bail!("there is no {}: start an agent with `holdfast agent`", path.display()),
    }
}

fn files(verdict: &Value) -> Vec<Value> {
    list(verdict, "/files").to_vec()
}

/// What `objects` are as one document: that of one object where one was asked for by name, else a list.
pub fn document(
    runtime: &Runtime,
    kind: Option<Kind>,
    mut objects: Vec<Value>,
    named: bool,
) -> Result<Value> {
    match kind {
        Some(Kind::Manifests) => {
            let mut verdict = verdict(runtime)?;
            verdict["files"] = objects.into();
            Ok(verdict)
        }
        Some(Kind::Images) => Ok(json!({ "images": objects })),
        _ => {
            objects.iter_mut().for_each(Value::sort_all_objects);
            if named && objects.len() == 1 {
                return objects.pop().context("one object");
            }
            Ok(
                json!({"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}),
            )
        }
    }
}
