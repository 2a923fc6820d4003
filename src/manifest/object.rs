//! What a document is: a Pod, a list of objects, something that is kept for pods, or something that is refused.

use std::sync::Arc;

use super::problems::Problems;
use super::{Beside, Context, Reading, Refused, documents, identity, pod, uses};
use crate::spec::Kind;
use crate::yaml::tree::{Content, Node, Path};

/// Reads the documents of one file into a [`Reading`].
pub struct Reader<'a> {
    /// Name of the file in its directory.
    pub file: &'a str,
    /// Where it is read.
    pub context: &'a Context,
    /// What was read so far.
    pub reading: Reading,
}

impl Reader<'_> {
    /// Takes what `node` holds.
    pub fn document(&mut self, node: &Node) {
        self.object(node, None);
    }

    /// Takes an object; `of_list` says what it is where it leaves that out, as the items of a PodList do.
    fn object(&mut self, node: &Node, of_list: Option<&str>) {
        let mut problems = Problems::new(node);
        let Some((version, kind)) = kind_of(node, of_list, &mut problems) else {
            return self.refuse(node, problems);
        };
        match (version, kind) {
            ("v1", "List" | "PodList" | "ConfigMapList" | "SecretList") => {
                self.list(node, kind, &mut problems)
            }
            ("v1", "Pod") => self.pod(node, &mut problems),
            ("v1", "ConfigMap") => self.kept(node, Kind::ConfigMap, &mut problems),
            ("v1", "Secret") => self.kept(node, Kind::Secret, &mut problems),
            _ => {
                let (message, fix) = other_kind(version, kind);
                problems.error(&Path::of("kind"), message, fix);
            }
        }
        if problems.refuse() {
            self.refuse(node, problems);
        } else {
            self.reading.problems.extend(problems.finish());
        }
    }

    fn list(&mut self, node: &Node, kind: &str, problems: &mut Problems<'_>) {
        let of_list = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
        match node.get("items") {
            Some(items) if !items.is_null() => match items.items() {
                Some(items) => items.iter().for_each(|item| self.object(item, of_list)),
                None => problems.error(&Path::of("items"), "must be a list", "begin each item with '- '"),
            },
            _ => {}
        }
    }

    fn pod(&mut self, node: &Node, problems: &mut Problems<'_>) {
        let document = node.to_json();
        let restarts = uses::restarts(&document).unwrap_or_else(|()| {
            let path = Path::of("metadata.annotations").key(uses::RESTART);
            problems.error(&path, "must be \"true\" or \"false\"", "put it in quotes");
            false
        });
        let Some(pod) = pod::read(&document, self.file, self.context, None, problems) else { return };
        let path = Path::of("metadata.name");
        if self.reading.pods.iter().any(|other| other.full_name() == pod.full_name()) {
            let message = format!("the pod {} is in this file already; the first one runs", pod.full_name());
            return problems.error(&path, message, "give each its own name");
        }
        self.reading.beside.push(Beside {
            at: node.locate(&path),
            uses: uses::of(&pod, node),
            document: restarts.then(|| Arc::new(document)),
        });
        self.reading.pods.push(pod);
    }

    /// A ConfigMap or Secret.
    fn kept(&mut self, node: &Node, kind: Kind, problems: &mut Problems<'_>) {
        let origin = self.context.path_of(self.file);
        let Some(document) = documents::read(&node.to_json(), kind, &origin, problems) else { return };
        let path = Path::of("metadata.name");
        if self.reading.documents.iter().any(|other| other.full_name() == document.full_name()) {
            let (namespace, name) = (&document.namespace, &document.name);
            let message =
                format!("the {kind} {namespace}/{name} is in this file already; the first one counts");
            return problems.error(&path, message, "give each its own name");
        }
        self.reading.documents.push(Arc::new(document));
        self.reading.places.push(node.locate(&path));
    }

    /// Files the problems, and remembers whose they are, so that what ran of it before may go on.
    fn refuse(&mut self, node: &Node, problems: Problems<'_>) {
        self.reading.problems.extend(problems.finish());
        let metadata = |field: &str| {
            let found = node.get("metadata").and_then(|metadata| metadata.get(field)?.text());
            found.filter(|text| !text.is_empty())
        };
        let kind = node.get("kind").and_then(|kind| kind.text()).unwrap_or("Pod");
        let name = metadata("name").filter(|_| !kind.ends_with("List")).map(|name| {
            let namespace = metadata("namespace").unwrap_or("default");
            format!("{namespace}/{}", identity::static_name(name, &self.context.node()))
        });
        self.reading.refused.push(match name {
            Some(name) if kind == "Pod" => Refused::Pod(name),
            Some(name) => Refused::Other(name),
            None => Refused::Unknown,
        });
    }
}

/// `apiVersion` and `kind` of `node`, or plain words about what is missing.
fn kind_of<'a>(
    node: &'a Node,
    of_list: Option<&'a str>,
    problems: &mut Problems<'_>,
) -> Option<(&'a str, &'a str)> {
    if !matches!(node.content, Content::Map(_)) {
        problems.error(&Path::root(), "is no Kubernetes object", "begin with apiVersion: v1 and kind: Pod");
        return None;
    }
    let field = |name: &str| node.get(name).and_then(|value| value.text()).filter(|text| !text.is_empty());
    let version = field("apiVersion").or(of_list.map(|_| "v1"));
    let kind = field("kind").or(of_list);
    if version.is_none() {
        problems.error(&Path::of("apiVersion"), "is missing", "add apiVersion: v1");
    }
    if kind.is_none() {
        problems.error(&Path::of("kind"), "is missing", "add kind: Pod");
    }
    version.zip(kind)
}

/// Why another kind is refused, and what to do instead.
fn other_kind(version: &str, kind: &str) -> (String, String) {
    let template = "copy spec.template into a Pod: its metadata, with a name added, and its spec";
    let fix = match kind {
        "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" => {
            format!("{template}; for several replicas write several Pods")
        }
        "DaemonSet" | "PodTemplate" => template.to_owned(),
        "Job" => format!("{template}, with restartPolicy: OnFailure"),
        "CronJob" => {
            "copy spec.jobTemplate.spec.template into a Pod and start it by a timer of the host".to_owned()
        }
        "Service" => "use hostNetwork: true in the Pod and reach it at the node's address".to_owned(),
        "Ingress" => "run the proxy as a Pod of its own with hostNetwork: true".to_owned(),
        "Namespace" => "remove it: a namespace exists by being named in metadata.namespace".to_owned(),
        "PersistentVolume" | "PersistentVolumeClaim" => "use a hostPath volume in the Pod".to_owned(),
        "KubeletConfiguration" => {
            "it configures the agent: move it elsewhere, and start `holdfast agent --config` with it"
                .to_owned()
        }
        "Pod" | "ConfigMap" | "Secret" | "List" | "PodList" => {
            return (
                format!("is a {kind} of apiVersion {version:?}, which is unknown"),
                "write apiVersion: v1".to_owned(),
            );
        }
        _ if close_to_pod(kind) => "write kind: Pod".to_owned(),
        _ => "remove it".to_owned(),
    };
    (format!("is {kind:?}: this agent runs Pods, and keeps ConfigMaps and Secrets for them"), fix)
}

/// Whether somebody who wrote `kind` meant a Pod: case, plural, a letter too many.
fn close_to_pod(kind: &str) -> bool {
    let mut letters: Vec<char> = kind.trim().to_lowercase().trim_end_matches('s').chars().collect();
    letters.dedup();
    letters.iter().eq(&['p', 'o', 'd'])
}
