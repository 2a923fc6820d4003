//! TLS of connections that we make: blocking, over whatever reads and writes, by `rustls` with `ring`.
//!
//! Invariant: only who asked for it by [`Trust::Anybody`] or [`Client::of_anybody`] takes a peer for what it says it is: what an
//! operator says is not to be verified, and probes and hooks, as in the kubelet.
//! Invariant: nothing outlives a connection: neither a session nor a ticket.
//! Invariant: a peer is hostile until it is verified: what it can have us keep is bounded by `rustls` to some ten kilobytes, and
//! how long it may take by the stream below.

mod anybody;
mod connection;
#[cfg(test)]
mod tests;
mod trust;

use std::path::PathBuf;
use std::sync::Arc;

use anybody::Anybody;
use anyhow::{Context, Result};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};

pub use connection::{Connection, Refused};

/// Whom we talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Whoever is there.
    Anybody,
    /// Whom Mozilla's authorities vouch for, which are built in, or those of this machine, or those of these PEM files.
    Vouched(Vec<PathBuf>),
}

/// PEM files by which we show who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Our certificate, and those between it and the authority, in this order.
    pub certificate: PathBuf,
    /// Its key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// How connections are made. Cheap to clone, and good for any number of them.
#[derive(Debug, Clone)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    /// One that trusts `trust`, and shows `identity` to whoever asks for it. Files are read here and now.
    ///
    /// Fails, by the file's name, where one of those cannot be read or is not what it should be.
    pub fn new(trust: &Trust, identity: Option<&Identity>) -> Result<Client> {
        let builder = match trust {
            Trust::Anybody => begin()?.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)),
            Trust::Vouched(files) => begin()?.with_root_certificates(trust::roots(files)?),
        };
        let Some(identity) = identity else { return Ok(Client::made(builder.with_no_client_auth())) };
        let (chain, key) = read(identity)?;
        let wrong = || format!("use {} with {}", identity.key.display(), identity.certificate.display());
        Ok(Client::made(builder.with_client_auth_cert(chain, key).with_context(wrong)?))
    }

    /// One that trusts whoever is there, and reads nothing.
    pub fn of_anybody() -> Result<Client> {
        let builder = begin()?.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
        Ok(Client::made(builder.with_no_client_auth()))
    }

    fn made(mut config: ClientConfig) -> Client {
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Client(Arc::new(config))
    }
}

/// All that is agreed on but whom to trust: TLS 1.2 and 1.3.
fn begin() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    builder.with_safe_default_protocol_versions().context("set up TLS")
}

fn read(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = trust::certificates(&identity.certificate)?;
    let key = trust::text(&identity.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key);
    Ok((chain, key.with_context(|| format!("read the private key in {}", identity.key.display()))?))
}
