//! As much of an API server as kubectl needs to be shown what holdfast published: it lists and gets, from memory.
//!
//! Selectors are the server's work in Kubernetes, so they are here; tables are too, and are not.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::{Value, json};

/// Listens on loopback for as long as the test runs.
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub address: String,
}

/// What is served: core/v1 objects, and of which resource each is.
pub type Objects = Vec<(&'static str, Value)>;

impl Server {
    /// Serves `objects`.
    pub fn start(objects: Objects) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let objects = Arc::new(objects);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let objects = Arc::clone(&objects);
                // A client that goes away in the middle is no failure of the test.
                std::thread::spawn(move || answer(connection, &objects).ok());
            }
        });
        Server { address }
    }
}

/// Reads one request, answers it, and hangs up.
fn answer(connection: TcpStream, objects: &Objects) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let target = request.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (code, body) = match find(path, query, objects) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", not_found(path)),
    };
    let body = body.to_string();
    let mut connection = connection;
    write!(
        connection,
        "HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len(),
    )
}

fn not_found(path: &str) -> Value {
    let parts: Vec<&str> = path.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let kind = parts.iter().rev().nth(1).copied().unwrap_or_default();
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "code": 404,
        "message": format!("{kind} \"{name}\" not found"), "details": {"name": name, "kind": kind},
    })
}

/// The answer to a GET; `None` where there is nothing.
fn find(path: &str, query: &str, objects: &Objects) -> Option<Value> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (namespace, rest) = match parts.as_slice() {
        ["api"] => return Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        ["apis"] => return Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})),
        ["api", "v1"] => return Some(resources()),
        ["api", "v1", "namespaces", namespace, rest @ ..] => (Some(*namespace), rest),
        ["api", "v1", rest @ ..] => (None, rest),
        _ => return None,
    };
    let (resource, name) = match rest {
        [resource] => (*resource, None),
        [resource, name] => (*resource, Some(*name)),
        _ => return None,
    };
    let kind =
        resources()["resources"].as_array()?.iter().find(|known| known["name"] == resource)?["kind"].clone();
    let here = objects.iter().filter(|(of, _)| *of == resource).map(|(_, object)| object);
    let mut here =
        here.filter(|object| namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace));
    if let Some(name) = name {
        return here.find(|object| object["metadata"]["name"] == name).cloned();
    }
    let (labels, fields) = (parameter(query, "labelSelector"), parameter(query, "fieldSelector"));
    let items: Vec<&Value> =
        here.filter(|object| has_labels(object, &labels) && has_fields(object, &fields)).collect();
    let kind = format!("{}List", kind.as_str()?);
    Some(json!({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
}

fn resources() -> Value {
    let resource = |name: &str, kind: &str, short: &str, namespaced: bool| {
        json!({"name": name, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind,
            "verbs": ["get", "list"], "shortNames": [short]})
    };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": [
        resource("pods", "Pod", "po", true),
        resource("events", "Event", "ev", true),
        resource("nodes", "Node", "no", false),
    ]})
}

/// A parameter of a query, decoded; empty where it is not there.
fn parameter(query: &str, name: &str) -> String {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let mut pieces = value.unwrap_or_default().split('%');
    let mut out = pieces.next().unwrap_or_default().replace('+', " ").into_bytes();
    for piece in pieces {
        out.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        out.extend_from_slice(piece[2..].replace('+', " ").as_bytes());
    }
    String::from_utf8(out).unwrap()
}

/// `a.b=c,d!=e`
fn has_fields(object: &Value, selector: &str) -> bool {
    selector.split(',').filter(|one| !one.is_empty()).all(|one| {
        let (path, wanted, same) = match one.split_once("!=") {
            Some((path, wanted)) => (path, wanted, false),
            None => {
                let (path, wanted) = one.split_once('=').unwrap();
                (path, wanted.trim_start_matches('='), true)
            }
        };
        let found = object.pointer(&format!("/{}", path.replace('.', "/")));
        (found.and_then(Value::as_str).unwrap_or_default() == wanted) == same
    })
}

/// `a=b,c!=d,e,!f,g in (h,i),j notin (k)`
fn has_labels(object: &Value, selector: &str) -> bool {
    let label = |key: &str| object["metadata"]["labels"][key.trim()].as_str();
    split_outside_brackets(selector).into_iter().filter(|one| !one.trim().is_empty()).all(|one| {
        let among = |list: &str, found: Option<&str>| {
            let values = list.trim().trim_matches(['(', ')']).to_string();
            found.is_some_and(|found| values.split(',').any(|value| value.trim() == found))
        };
        if let Some((key, list)) = one.split_once(" notin ") {
            !among(list, label(key))
        } else if let Some((key, list)) = one.split_once(" in ") {
            among(list, label(key))
        } else if let Some((key, value)) = one.split_once("!=") {
            label(key) != Some(value.trim())
        } else if let Some((key, value)) = one.split_once('=') {
            label(key) == Some(value.trim_start_matches('=').trim())
        } else if let Some(key) = one.trim().strip_prefix('!') {
            label(key).is_none()
        } else {
            label(&one).is_some()
        }
    })
}

fn split_outside_brackets(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut inside = false;
    for c in text.chars() {
        match c {
            ',' if !inside => parts.push(String::new()),
            _ => {
                inside = (inside || c == '(') && c != ')';
                parts.last_mut().unwrap().push(c);
            }
        }
    }
    parts
}
