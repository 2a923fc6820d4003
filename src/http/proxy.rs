//! Which requests go by a proxy, as Go has it: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, or in small letters.

use std::fmt;
use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::url::{Url, decoded};

/// What the environment says of proxies.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<String>,
}

/// One proxy.
#[derive(Clone)]
pub struct Proxy {
    /// Where it is; only its host and port count.
    pub url: Url,
    /// What it is told of who asks: the value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// Without what lets somebody in.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Proxies {
    /// What `variable` gives for the names of the environment's variables.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Proxies> {
        let either = |name: &str| {
            let found = variable(name).filter(|value| !value.is_empty());
            (found.map(|value| (name.to_owned(), value)))
                .or_else(|| variable(&name.to_lowercase()).map(|value| (name.to_lowercase(), value)))
                .filter(|(_, value)| !value.is_empty())
        };
        let proxy = |name: &str| {
            let read =
                |(name, value): (String, String)| proxy(&value).with_context(|| format!("variable {name}"));
            either(name).map(read).transpose()
        };
        let except = either("NO_PROXY").map(|(_, value)| value).unwrap_or_default();
        let except = except.split(',').map(|word| word.trim().to_ascii_lowercase());
        let except = except.filter(|word| !word.is_empty()).collect();
        Ok(Proxies { http: proxy("HTTP_PROXY")?, https: proxy("HTTPS_PROXY")?, except })
    }

    /// The proxy by which `url` is asked, if it is one.
    pub fn for_url(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.is_https { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.is_excepted(url))
    }

    fn is_excepted(&self, url: &Url) -> bool {
        let address: Option<IpAddr> = url.host.parse().ok();
        if url.host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.except.iter().any(|word| {
            if word == "*" {
                return true;
            }
            if let (Some(address), Some((network, bits))) = (address, word.split_once('/')) {
                let network = network.parse::<IpAddr>().ok().zip(bits.parse::<u32>().ok());
                return network.is_some_and(|(network, bits)| is_within(address, network, bits));
            }
            let (name, port) = match super::url::split_port(word.trim_start_matches(['*', '.'])) {
                Ok(found) => found,
                Err(_) => return false,
            };
            if port.is_some_and(|port| port != url.port) {
                return false;
            }
            let below = url.host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'));
            match address {
                Some(address) => name.parse().is_ok_and(|other: IpAddr| other == address),
                // `.example.com` has not example.com itself.
                None => below || url.host == name && !word.starts_with(['.', '*']),
            }
        })
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let differ = address.to_bits() ^ network.to_bits();
            differ.leading_zeros() >= bits
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let differ = address.to_bits() ^ network.to_bits();
            differ.leading_zeros() >= bits
        }
        _ => false,
    }
}

fn proxy(text: &str) -> Result<Proxy> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let (url, user) = Url::with_user(&text)?;
    if url.is_https {
        bail!("a proxy that is itself asked by https is not supported: write http://");
    }
    let authorization = user.map(|user| {
        let user = user.split_once(':').unwrap_or((&user, ""));
        let pair = format!("{}:{}", decoded(user.0), decoded(user.1));
        format!("Basic {}", STANDARD.encode(pair))
    });
    Ok(Proxy { url, authorization })
}
