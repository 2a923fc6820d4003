//! TLS of connections that we make: blocking, over whatever reads and writes, by `rustls` with `ring`.
//!
//! Invariant: only who asked for it by [`Trust::Anybody`] takes a peer for what it says it is: probes and hooks, as in the
//! kubelet, and what an operator says is not to be verified.
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

use anyhow::{Context, Result};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

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
    /// TLS 1.2 and 1.3; HTTP/1.1 is what will be spoken.
    ///
    /// Fails, by the file's name, where one of those cannot be read or is not what it should be.
    pub fn new(trust: &Trust, identity: Option<&Identity>) -> Result<Client> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .context("set up TLS")?;
        let builder = match trust {
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(anybody::Anybody))
            }
            Trust::Vouched(files) => builder.with_root_certificates(trust::roots(files)?),
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = read(identity)?;
                let wrong =
                    || format!("use {} with {}", identity.key.display(), identity.certificate.display());
                builder.with_client_auth_cert(chain, key).with_context(wrong)?
            }
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Client(Arc::new(config)))
    }
}

fn read(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = trust::certificates(&identity.certificate)?;
    let key = trust::text(&identity.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key);
    Ok((chain, key.with_context(|| format!("read the private key in {}", identity.key.display()))?))
}
