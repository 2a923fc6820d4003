//! Manifests to be written and pods as seen by `get -o json`.

use serde_json::{Value, json};

use super::image::IMAGE;

/// A Pod with one container called `main` that runs the workload with `args`. A manifest may be JSON in a `.yaml` file.
pub fn pod(name: &str, args: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            // Short, so that a story that forgets to end its containers well still ends soon.
            "terminationGracePeriodSeconds": 5,
            "containers": [container("main", args)],
        },
    })
}

/// A container that runs the workload with `args`.
pub fn container(name: &str, args: &[&str]) -> Value {
    let command: Vec<&str> = ["/workload"].iter().chain(args).copied().collect();
    json!({"name": name, "image": IMAGE, "command": command})
}

/// `pod` with `fields` laid over its spec.
pub fn with(mut pod: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields of a spec: {fields}") };
    for (name, value) in fields {
        pod["spec"][name] = value;
    }
    pod
}

/// `pod` with `fields` laid over its first container.
pub fn with_main(mut pod: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields of a container: {fields}") };
    for (name, value) in fields {
        pod["spec"]["containers"][0][name] = value;
    }
    pod
}

/// A pod as the command line shows it.
#[derive(Debug, Clone)]
pub struct Seen(pub Value);

impl Seen {
    fn text(&self, pointer: &str) -> String {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.text("/metadata/namespace"), self.name())
    }

    /// Name, the node's included.
    pub fn name(&self) -> String {
        self.text("/metadata/name")
    }

    pub fn uid(&self) -> String {
        self.text("/metadata/uid")
    }

    pub fn phase(&self) -> String {
        self.text("/status/phase")
    }

    /// Whether its deletion has begun.
    pub fn is_terminating(&self) -> bool {
        !self.0["metadata"]["deletionTimestamp"].is_null()
    }

    /// Whether the condition holds.
    pub fn is(&self, condition: &str) -> bool {
        let conditions = self.0["status"]["conditions"].as_array();
        let found = conditions.into_iter().flatten().find(|found| found["type"] == condition);
        found.is_some_and(|found| found["status"] == "True")
    }

    /// The status of one container; null where there is none.
    pub fn container(&self, name: &str) -> &Value {
        let mut containers = self.containers();
        containers.find(|found| found["name"] == name).unwrap_or(&Value::Null)
    }

    /// The statuses of all containers, init containers first.
    fn containers(&self) -> impl Iterator<Item = &Value> {
        let fields = ["initContainerStatuses", "containerStatuses"].into_iter();
        fields.filter_map(|field| self.0["status"][field].as_array()).flatten()
    }

    /// The status of the container called `main`.
    pub fn main(&self) -> &Value {
        self.container("main")
    }

    pub fn restarts(&self) -> u64 {
        self.main()["restartCount"].as_u64().unwrap_or_default()
    }

    /// Exit code of `main`, if it has ended.
    pub fn exit_code(&self) -> Option<i64> {
        self.main()["state"]["terminated"]["exitCode"].as_i64()
    }

    /// Why `main` waits or has ended.
    pub fn reason(&self) -> String {
        let state = &self.main()["state"];
        let reason = ["waiting", "terminated"].into_iter().find_map(|kind| state[kind]["reason"].as_str());
        reason.unwrap_or_default().to_owned()
    }

    /// Everything a replacement or a restart would change: identity, container IDs and restart counts.
    pub fn life(&self) -> String {
        let runs = self.containers().map(|seen| format!("{} {}", seen["containerID"], seen["restartCount"]));
        format!("{} {}", self.uid(), runs.collect::<Vec<_>>().join(", "))
    }
}
