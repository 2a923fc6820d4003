//! ConfigMaps and Secrets: read and checked.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value as Json;

use super::problems::Problems;
use super::{decode, names};
use crate::spec::{Document, Kind, Value};
use crate::yaml::tree::Path;

/// Most bytes of all values together (`MaxSecretSize`; kubelet's ConfigMaps have the same).
const MAX_SIZE: usize = 1 << 20;

/// Keys that a Secret of a type must have.
const REQUIRED: &[(&str, &[&str])] = &[
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

/// The ConfigMap or Secret that `json` describes, of the file at `origin`; `None` where a problem refuses it.
pub fn read(json: &Json, kind: Kind, origin: &str, problems: &mut Problems<'_>) -> Option<Document> {
    let document = match kind {
        Kind::ConfigMap => config_map(decode::decode(json, problems)?, problems),
        Kind::Secret => secret(decode::decode(json, problems)?, problems),
    };
    let path = Path::of("metadata.name");
    match document.name.as_str() {
        "" => problems.error(&path, "is missing", "add one"),
        name => super::sources::complain(&path, names::dns_subdomain(name), problems),
    }
    let path = Path::of("metadata.namespace");
    super::sources::complain(&path, names::dns_label(&document.namespace), problems);
    let all = document.data.values().chain(document.binary.values());
    let size: usize = all.map(|value| value.0.len()).sum();
    if MAX_SIZE < size {
        let message = format!("holds {size} bytes, and must hold no more than {MAX_SIZE}");
        problems.error(&Path::root(), message, "make several of it, or use a hostPath volume");
    }
    (!problems.refuse()).then(|| Document { origin: origin.to_owned(), ..document })
}

fn config_map(map: core::ConfigMap, problems: &mut Problems<'_>) -> Document {
    let texts = map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, Value(text.into_bytes())));
    let document = named(Kind::ConfigMap, map.metadata, texts.collect());
    let binary = values(map.binary_data);
    keys("data", &document.data, problems);
    keys("binaryData", &binary, problems);
    for key in binary.keys().filter(|key| document.data.contains_key(*key)) {
        problems.error(&Path::of("binaryData").key(key), "is under data too", "keep one");
    }
    Document { binary, ..document }
}

/// What is under `stringData` counts before what is under `data`, as for the API server.
fn secret(secret: core::Secret, problems: &mut Problems<'_>) -> Document {
    let data = values(secret.data);
    let texts = secret.string_data.unwrap_or_default().into_iter();
    let texts: BTreeMap<_, _> = texts.map(|(key, text)| (key, Value(text.into_bytes()))).collect();
    keys("data", &data, problems);
    keys("stringData", &texts, problems);
    let document = named(Kind::Secret, secret.metadata, data.into_iter().chain(texts).collect());
    let kind = secret.type_.unwrap_or_default();
    let required = REQUIRED.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, keys)| keys);
    for key in required.iter().filter(|key| !document.data.contains_key(**key)) {
        problems.error(&Path::of("data").key(key), format!("is missing in a Secret of type {kind}"), "");
    }
    document
}

fn named(kind: Kind, metadata: ObjectMeta, data: BTreeMap<String, Value>) -> Document {
    let namespace = metadata.namespace.filter(|namespace| !namespace.is_empty());
    Document {
        kind,
        namespace: namespace.unwrap_or_else(|| "default".to_owned()),
        name: metadata.name.unwrap_or_default(),
        origin: String::new(),
        data,
        binary: BTreeMap::new(),
    }
}

fn values(bytes: Option<BTreeMap<String, ByteString>>) -> BTreeMap<String, Value> {
    bytes.unwrap_or_default().into_iter().map(|(key, bytes)| (key, Value(bytes.0))).collect()
}

fn keys(field: &str, values: &BTreeMap<String, Value>, problems: &mut Problems<'_>) {
    for key in values.keys() {
        super::sources::complain(&Path::of(field).key(key), names::document_key(key), problems);
    }
}
