//! `registries.yaml`, as k3s reads it (reference G.6).
//!
//! Fields that k3s does not know either mean nothing, as there. What is wrong is told by its place, never by its value.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value};

use super::Credentials;
use crate::yaml;

/// Who has images, and what lets us in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries {
    /// By the registry's host, `*` for all others.
    pub mirrors: Vec<(String, Mirror)>,
    /// By the host that is asked, with its port where it has one.
    pub configs: Vec<(String, Config)>,
}

/// Who is asked in place of a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirror {
    /// In this order.
    pub endpoints: Vec<String>,
    /// Regular expressions, and what stands in place of what they find in a repository's name. The first that changes it counts.
    pub rewrites: Vec<(String, String)>,
}

/// How a host is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// What lets us in.
    pub auth: Option<Credentials>,
    /// How it is known.
    pub tls: Tls,
}

/// How a host is known, and we to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who vouches for it, beside those who do so for everybody.
    pub ca_file: Option<PathBuf>,
    /// Our certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Whoever answers is the right one.
    pub insecure_skip_verify: bool,
}

impl Registries {
    /// Reads a file; an empty one says nothing.
    pub fn read(bytes: &[u8]) -> Result<Registries> {
        let documents = yaml::documents(bytes).map_err(|invalid| {
            anyhow!("line {}, column {}: {}", invalid.at.line, invalid.at.column, invalid.message)
        })?;
        let document = match &documents[..] {
            [] => return Ok(Registries::default()),
            [document] => document.to_json(),
            _ => bail!("it has several documents: leave one of them"),
        };
        let top = map(&document, "the file")?;
        let each = |key: &str| -> Result<Vec<(String, Value)>> {
            let Some(value) = top.get(key) else { return Ok(Vec::new()) };
            Ok(map(value, key)?.iter().map(|(host, value)| (host.clone(), value.clone())).collect())
        };
        let mirrors = each("mirrors")?.into_iter().map(|(host, value)| {
            let place = format!("mirrors.{host}");
            Ok((host, mirror(map(&value, &place)?, &place)?))
        });
        let configs = each("configs")?.into_iter().map(|(host, value)| {
            let place = format!("configs.{host}");
            Ok((host, config(map(&value, &place)?, &place)?))
        });
        Ok(Registries { mirrors: mirrors.collect::<Result<_>>()?, configs: configs.collect::<Result<_>>()? })
    }

    /// What stands in for `registry`: its own entry, else that for all others unless there is something said of it elsewhere.
    pub fn mirror(&self, registry: &str) -> Option<&Mirror> {
        let of = |host: &str| self.mirrors.iter().find(|(known, _)| known == host).map(|(_, mirror)| mirror);
        of(registry).or_else(|| of("*").filter(|_| self.config(registry).is_none()))
    }

    /// How `host` is asked.
    pub fn config(&self, host: &str) -> Option<&Config> {
        self.configs.iter().find(|(known, _)| known == host).map(|(_, config)| config)
    }
}

fn mirror(fields: &Map<String, Value>, place: &str) -> Result<Mirror> {
    let endpoints = match fields.get("endpoint") {
        None => Vec::new(),
        Some(Value::Array(items)) => {
            let each = items.iter().map(|item| string(item, &format!("{place}.endpoint")));
            each.collect::<Result<_>>()?
        }
        Some(_) => bail!("{place}.endpoint: must be a list of addresses"),
    };
    let mut rewrites = Vec::new();
    if let Some(value) = fields.get("rewrite") {
        let place = format!("{place}.rewrite");
        for (pattern, to) in map(value, &place)? {
            regex::Regex::new(pattern).with_context(|| format!("{place}: {pattern:?}"))?;
            rewrites.push((pattern.clone(), string(to, &place)?));
        }
    }
    Ok(Mirror { endpoints, rewrites })
}

fn config(fields: &Map<String, Value>, place: &str) -> Result<Config> {
    let mut config = Config::default();
    if let Some(auth) = fields.get("auth") {
        let place = format!("{place}.auth");
        let auth = map(auth, &place)?;
        let field = |name: &str| -> Result<String> {
            auth.get(name).map_or(Ok(String::new()), |value| string(value, &format!("{place}.{name}")))
        };
        let given = Given {
            username: field("username")?,
            password: field("password")?,
            auth: field("auth")?,
            identity_token: field("identity_token")?,
        };
        config.auth = given.read().with_context(|| place.clone())?;
    }
    if let Some(tls) = fields.get("tls") {
        let place = format!("{place}.tls");
        let tls = map(tls, &place)?;
        let path = |name: &str| -> Result<Option<PathBuf>> {
            let text = tls.get(name).map(|value| string(value, &format!("{place}.{name}"))).transpose()?;
            Ok(text.filter(|text| !text.is_empty()).map(PathBuf::from))
        };
        let insecure = match tls.get("insecure_skip_verify") {
            None => false,
            Some(Value::Bool(insecure)) => *insecure,
            Some(_) => bail!("{place}.insecure_skip_verify: must be true or false"),
        };
        config.tls = Tls {
            ca_file: path("ca_file")?,
            cert_file: path("cert_file")?,
            key_file: path("key_file")?,
            insecure_skip_verify: insecure,
        };
    }
    Ok(config)
}

/// What lets somebody in, in the ways in which it is written.
pub struct Given {
    /// A name.
    pub username: String,
    /// What goes with it.
    pub password: String,
    /// Both in base 64.
    pub auth: String,
    /// What is given for another token.
    pub identity_token: String,
}

impl Given {
    /// In the order in which containerd takes them; nothing where all is empty.
    pub fn read(self) -> Result<Option<Credentials>> {
        if !self.username.is_empty() {
            return Ok(Some(Credentials::Password { user: self.username, password: self.password }));
        }
        if !self.identity_token.is_empty() {
            return Ok(Some(Credentials::Token(self.identity_token)));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let pair = STANDARD.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        // docker fills up with zero bytes.
        let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
        let (user, password) = pair.context("auth is not name:password in base 64")?;
        let (user, password) = (user.to_owned(), password.trim_matches('\0').to_owned());
        Ok(Some(Credentials::Password { user, password }))
    }
}

fn map<'v>(value: &'v Value, place: &str) -> Result<&'v Map<String, Value>> {
    value.as_object().with_context(|| format!("{place}: must be a mapping"))
}

/// What go-yaml takes for a string; numbers among them, since nobody quotes a password of digits.
fn string(value: &Value, place: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        _ => bail!("{place}: must be text"),
    }
}
