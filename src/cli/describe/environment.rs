//! The environment of a container: values as written, and where the others come from.

use serde_json::Value;

use super::page::Page;
use crate::cli::field::{called, containers, holds, list, pairs, text};
use crate::manifest::Quantity;

/// `envFrom`.
pub fn from(page: &mut Page, wanted: &Value) {
    let sources = list(wanted, "/envFrom");
    if sources.is_empty() {
        return;
    }
    page.line(2, "Environment Variables from:");
    for source in sources {
        let (kind, reference) = match (source.get("configMapRef"), source.get("secretRef")) {
            (Some(reference), _) => ("ConfigMap", reference),
            (None, Some(reference)) => ("Secret", reference),
            (None, None) => ("", &Value::Null),
        };
        let prefix = match text(source, "/prefix") {
            "" => String::new(),
            prefix => format!(" with prefix '{prefix}'"),
        };
        let optional = format!("Optional: {}", holds(reference, "/optional"));
        page.cells(3, &[text(reference, "/name"), &format!("{kind}{prefix}"), &optional]);
    }
}

/// `env`.
pub fn variables(page: &mut Page, object: &Value, wanted: &Value) {
    let variables = list(wanted, "/env");
    if variables.is_empty() {
        page.row(2, "Environment", "<none>");
        return;
    }
    page.line(2, "Environment:");
    for variable in variables {
        let name = text(variable, "/name");
        let Some(source) = variable.get("valueFrom").filter(|source| source.is_object()) else {
            page.row(3, name, text(variable, "/value"));
            continue;
        };
        let label = format!("{name}:");
        if let Some(field) = source.get("fieldRef") {
            let path = text(field, "/fieldPath");
            let version = match text(field, "/apiVersion") {
                "" => "v1",
                version => version,
            };
            page.row(3, name, &format!("{} ({version}:{path})", of_object(object, path)));
        } else if let Some(resource) = source.get("resourceFieldRef") {
            let what = text(resource, "/resource");
            page.row(3, name, &format!("{} ({what})", of_resources(object, wanted, resource)));
        } else if let Some(key) = source.get("secretKeyRef") {
            let set = format!("<set to the key '{}' in secret '{}'>", text(key, "/key"), text(key, "/name"));
            page.cells(3, &[&label, &set, &format!("Optional: {}", holds(key, "/optional"))]);
        } else if let Some(key) = source.get("configMapKeyRef") {
            let set =
                format!("<set to the key '{}' of config map '{}'>", text(key, "/key"), text(key, "/name"));
            page.cells(3, &[&label, &set, &format!("Optional: {}", holds(key, "/optional"))]);
        } else if let Some(key) = source.get("fileKeyRef") {
            let (path, volume) = (text(key, "/path"), text(key, "/volumeName"));
            let set = format!("<set to the key '{}' of {path} in volume '{volume}'>", text(key, "/key"));
            page.cells(3, &[&label, &set, &format!("Optional: {}", holds(key, "/optional"))]);
        }
    }
}

/// What a field path leads to, of those that kubectl follows: `status.podIP`, say, it leaves to the node.
fn of_object(object: &Value, path: &str) -> String {
    match path {
        "metadata.name" | "metadata.namespace" | "metadata.uid" => {
            text(object, &format!("/{}", path.replace('.', "/"))).to_string()
        }
        _ => ["labels", "annotations"]
            .into_iter()
            .find_map(|kind| {
                let key = path.strip_prefix("metadata.")?.strip_prefix(kind)?.strip_prefix("['")?;
                let key = key.strip_suffix("']")?;
                let pairs = pairs(object, &format!("/metadata/{kind}"));
                pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
            })
            .unwrap_or_default(),
    }
}

/// An amount of a container's resources, divided and rounded up; what is not limited is what the node has.
fn of_resources(object: &Value, wanted: &Value, reference: &Value) -> String {
    let what = text(reference, "/resource");
    let container = match text(reference, "/containerName") {
        "" => wanted,
        name => called(containers(object), name).unwrap_or(wanted),
    };
    let Some((kind, resource)) = what.split_once('.') else { return String::new() };
    let amounts = pairs(container, &format!("/resources/{kind}"));
    let amount = amounts.iter().find(|(name, _)| *name == resource);
    let amount = amount.and_then(|(_, amount)| Quantity::parse(amount)).map_or(0, Quantity::milli);
    let divisor = match &reference["divisor"] {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    };
    // `0` is what the API server writes for none.
    let divisor = divisor.map(Quantity::milli).filter(|divisor| *divisor > 0).unwrap_or(1000);
    match (amount + divisor - 1) / divisor {
        0 if matches!(what, "limits.cpu" | "limits.memory") => "node allocatable".to_string(),
        amount => amount.to_string(),
    }
}
