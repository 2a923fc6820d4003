//! Addresses of things: `scheme://host[:port]/path?query`, of http and https alone.

use std::fmt;

use anyhow::{Result, bail, ensure};

/// Longest address that is followed.
const LONGEST: usize = 16 * 1024;

/// An address.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS is spoken.
    pub is_https: bool,
    /// A name or an address, in lower case, without brackets.
    pub host: String,
    /// The port, the scheme's own where none is given.
    pub port: u16,
    /// What is asked for there: the path, with what follows a `?`; begins with `/`.
    pub target: String,
}

impl Url {
    /// Reads an address; a user's name and password in it are given apart, as they stand there.
    pub fn with_user(text: &str) -> Result<(Url, Option<String>)> {
        ensure!(text.len() <= LONGEST, "an address of more than {LONGEST} bytes");
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => bail!("it is no address that begins with http:// or https://"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user.to_owned()), authority),
            None => (None, authority),
        };
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok((Url { is_https, host, port, target: escaped(&target) }, user))
    }

    /// Reads an address; one with a user in it is none.
    pub fn parse(text: &str) -> Result<Url> {
        match Url::with_user(text)? {
            (url, None) => Ok(url),
            (_, Some(_)) => bail!("there is a user's name in the address, which belongs elsewhere"),
        }
    }

    /// Where `location`, as an answer from here gives it, leads.
    pub fn join(&self, location: &str) -> Result<Url> {
        let scheme = location.split_once("://").map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| !scheme.contains(['/', '?', '#'])) {
            return Url::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.scheme()));
        }
        let location = location.split('#').next().unwrap_or_default();
        let path = self.target.split('?').next().unwrap_or_default();
        let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
        let target = match location.chars().next() {
            None => self.target.clone(),
            Some('/') => location.to_owned(),
            Some('?') => format!("{path}{location}"),
            Some(_) => format!("{folder}{location}"),
        };
        ensure!(target.len() <= LONGEST, "an address of more than {LONGEST} bytes");
        Ok(Url { target: escaped(&target), ..self.clone() })
    }

    /// With `more` behind its path.
    pub fn below(&self, more: &str) -> Url {
        let target = format!("{}{more}", self.target.trim_end_matches('/'));
        Url { target: escaped(&target), ..self.clone() }
    }

    /// `name=value`, behind what it asks for already.
    pub fn with(&self, name: &str, value: &str) -> Url {
        let mark = if self.target.contains('?') { '&' } else { '?' };
        let mut target = format!("{}{mark}{name}=", self.target);
        push_encoded(&mut target, value);
        Url { target, ..self.clone() }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// Whether `other` is at the same place: scheme, host and port.
    pub fn same_origin(&self, other: &Url) -> bool {
        (self.is_https, &self.host, self.port) == (other.is_https, &other.host, other.port)
    }

    /// Host and port, the latter unless it is the scheme's own.
    pub fn authority(&self) -> String {
        let host = bracketed(&self.host);
        let own = if self.is_https { 443 } else { 80 };
        if self.port == own { host } else { format!("{host}:{}", self.port) }
    }

    /// Host and port, in any case.
    pub fn host_port(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

/// Without what follows a `?`: links to storage have a signature there that is as good as a password.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{}://{}{path}", self.scheme(), self.authority())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A host, in lower case and without brackets, and its port.
pub fn split_port(authority: &str) -> Result<(String, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
        Some(Some(inner)) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
        Some(_) => bail!("there is no address in the brackets"),
        None => host,
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    ensure!(!host.is_empty() && host.len() <= 253 && host.bytes().all(fits), "there is no host in it");
    let port = match port {
        None | Some("") => None,
        Some(port) => match port.parse::<u16>() {
            Ok(number) if 0 < number && !port.starts_with('+') => Some(number),
            _ => bail!("its port is none"),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// As it may stand in a request: what would end the line or the word is written as `%20` and the like.
fn escaped(target: &str) -> String {
    let mut out = String::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            0x21..=0x7e => out.push(char::from(byte)),
            _ => push_byte(&mut out, byte),
        }
    }
    out
}

/// `value` as it may stand in a query or a form.
pub fn push_encoded(out: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => push_byte(out, byte),
        }
    }
}

/// What `%20` and the like stand for, in text that came in an address.
pub fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let hex = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(16 * high + low).unwrap_or_default());
                rest = &after[2..];
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn push_byte(out: &mut String, byte: u8) {
    out.push('%');
    for digit in [byte >> 4, byte & 15] {
        out.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}
