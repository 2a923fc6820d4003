//! A probe in one line, as kubectl writes it.

use serde_json::Value;

use crate::cli::field::{list, number, text};

/// `http-get http://:8080/healthz delay=3s timeout=1s period=3s #success=1 #failure=3`
pub fn line(probe: &Value) -> String {
    format!(
        "{} delay={}s timeout={}s period={}s #success={} #failure={}",
        check(probe),
        number(probe, "/initialDelaySeconds"),
        number(probe, "/timeoutSeconds"),
        number(probe, "/periodSeconds"),
        number(probe, "/successThreshold"),
        number(probe, "/failureThreshold"),
    )
}

fn check(probe: &Value) -> String {
    if let Some(exec) = probe.get("exec") {
        let words: Vec<&str> = list(exec, "/command").iter().filter_map(Value::as_str).collect();
        return format!("exec [{}]", words.join(" "));
    }
    if let Some(get) = probe.get("httpGet") {
        let host = match text(get, "/host") {
            host if host.contains(':') => format!("[{host}]"),
            host => host.to_string(),
        };
        let scheme = match text(get, "/scheme") {
            "" => "http".to_string(),
            scheme => scheme.to_lowercase(),
        };
        let slash =
            if text(get, "/path").starts_with('/') || text(get, "/path").is_empty() { "" } else { "/" };
        return format!("http-get {scheme}://{host}:{}{slash}{}", port(get), escaped(text(get, "/path")));
    }
    if let Some(socket) = probe.get("tcpSocket") {
        return format!("tcp-socket {}:{}", text(socket, "/host"), port(socket));
    }
    if let Some(grpc) = probe.get("grpc") {
        return format!("grpc <pod>:{} {}", number(grpc, "/port"), text(grpc, "/service"));
    }
    "unknown".to_string()
}

/// A number or a port's name.
fn port(of: &Value) -> String {
    match &of["port"] {
        Value::String(name) => name.clone(),
        Value::Null => "0".to_string(),
        number => number.to_string(),
    }
}

/// A path as it stands in a URL: kubectl's is Go's, so that `?` in it, which a probe takes for a query, becomes `%3F`.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte.into()),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
