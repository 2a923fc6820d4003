//! A client of HTTP/1.1, blocking, on the standard library's sockets: for pulls, each of which has threads of its own.
//!
//! By hand, since the size of the program decides: what is needed is GET, a form, redirects and proxies.
//!
//! Invariant: what lets somebody in is sent to no other scheme, host or port than the one it is for; nobody leads from https
//! to http.
//! Invariant: heads, lines and lengths are bounded; of a body as much is read as whoever asked wants.
//! Invariant: no call lasts longer than `stall` without a byte, nor than somebody waits; heads and documents are whole by then.

mod body;
mod connection;
mod head;
mod in_time;
mod names;
mod proxy;
#[cfg(test)]
mod tests;
pub mod url;

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use body::Body;
use connection::Connection;
pub use head::{Head, end_of_head};
use in_time::InTime;
pub use proxy::Proxies;
pub use url::Url;

use crate::tls;

/// Redirects that are followed, as in Go.
const MOST_REDIRECTS: usize = 10;
/// How long one address may take to answer at all: containerd's.
const DIAL: Duration = Duration::from_secs(30);
/// Most connections that wait for another request.
const MOST_IDLE: usize = 4;

/// Who asks.
#[derive(Clone)]
pub struct Client<'c> {
    /// Which requests go another way.
    pub proxies: Proxies,
    /// Longest time without a byte, or until a head or a document is whole.
    pub stall: Duration,
    /// How long one address may take to answer at all.
    pub dial: Duration,
    /// Whether somebody still waits for the answer.
    pub wanted: &'c (dyn Fn() -> bool + Sync),
    /// How others are known over https, and we to them.
    pub identities: Identities,
    /// Made of them with the first https that is asked.
    privacy: Arc<OnceLock<tls::Client>>,
    pool: Pool<'c>,
}

/// How others are known over https, and we to them.
#[derive(Clone)]
pub struct Identities {
    /// Whom we take for what he says he is.
    pub trust: tls::Trust,
    /// Who we are.
    pub own: Option<tls::Identity>,
}

impl Default for Identities {
    fn default() -> Identities {
        Identities { trust: tls::Trust::Vouched(Vec::new()), own: None }
    }
}

/// A request without a body, or with a form.
#[derive(Debug, Clone)]
pub struct Request<'r> {
    /// `GET`, `HEAD`, `POST`.
    pub method: &'r str,
    /// What for.
    pub url: &'r Url,
    /// Names and values, sent wherever a redirect leads.
    pub headers: Vec<(&'r str, String)>,
    /// What lets us in, which is sent nowhere else.
    pub authorization: Option<String>,
    /// A form.
    pub form: Option<String>,
}

/// An answer.
pub struct Response<'c> {
    /// Three digits.
    pub status: u16,
    /// Its headers.
    pub head: Head,
    /// Who answered: another than who was asked where that one said so.
    pub url: Url,
    /// What follows, not read yet.
    pub body: Body<'c>,
    /// Longest time until a document is whole.
    stall: Duration,
}

impl Response<'_> {
    /// The document that follows; fails where it has more than `most` bytes, or takes longer than the stall limit, however
    /// steadily it drips.
    pub fn document(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        InTime::new(&mut self.body, self.stall).take(most + 1).read_to_end(&mut bytes)?;
        if most < bytes.len() as u64 {
            bail!("the answer has more than {most} bytes");
        }
        Ok(bytes)
    }
}

/// Connections that wait for another request.
#[derive(Clone, Default)]
struct Pool<'c>(Arc<Mutex<Vec<Connection<'c>>>>);

impl<'c> Pool<'c> {
    fn put(&self, connection: Connection<'c>) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if MOST_IDLE <= idle.len() {
            idle.remove(0);
        }
        idle.push(connection);
    }

    fn take(&self, url: &Url) -> Option<Connection<'c>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().rposition(|connection| connection.url.same_origin(url))?;
        Some(idle.remove(at))
    }
}

impl<'c> Client<'c> {
    /// One that asks for as long as it is `wanted`.
    pub fn new(proxies: Proxies, stall: Duration, wanted: &'c (dyn Fn() -> bool + Sync)) -> Client<'c> {
        let (identities, privacy, pool) = Default::default();
        Client { proxies, stall, dial: DIAL, wanted, identities, privacy, pool }
    }

    /// How connections become private.
    fn privacy(&self) -> Result<tls::Client> {
        if let Some(made) = self.privacy.get() {
            return Ok(made.clone());
        }
        let made = tls::Client::new(&self.identities.trust, self.identities.own.as_ref())?;
        Ok(self.privacy.get_or_init(|| made).clone())
    }

    /// Asks, and asks on where the answer leads. Fails with what was asked, without what follows a `?`, and why.
    pub fn ask(&self, request: &Request<'_>) -> Result<Response<'c>> {
        let mut url = request.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let asked = Request {
                url: &url,
                authorization: request.authorization.clone().filter(|_| url.same_origin(request.url)),
                ..request.clone()
            };
            let verb = || format!("{} \"{url}\"", request.method);
            let response = self.once(&asked).with_context(verb)?;
            let leads = matches!(response.status, 301 | 302 | 303 | 307 | 308) && request.form.is_none();
            let location = response.head.get("location").filter(|_| leads);
            let Some(location) = location else { return Ok(response) };
            let next = url.join(location).context("it leads elsewhere").with_context(verb)?;
            if url.is_https && !next.is_https {
                bail!("{}: it leads from https to {next}, which is not followed", verb());
            }
            url = next;
        }
        bail!("{} \"{}\": stopped after {MOST_REDIRECTS} redirects", request.method, request.url)
    }

    /// Asks once; once more where a connection that was kept turns out to be gone.
    fn once(&self, request: &Request<'_>) -> Result<Response<'c>> {
        if let Some(connection) = self.pool.take(request.url) {
            match self.exchange(connection, request) {
                Err(error) if (self.wanted)() => log::debug!("ask on a new connection: {error:#}"),
                done => return done,
            }
        }
        self.exchange(Connection::new(self, request.url)?, request)
    }

    fn exchange(&self, mut connection: Connection<'c>, request: &Request<'_>) -> Result<Response<'c>> {
        let text = self.written(&connection, request)?;
        connection.write_all(text.as_bytes())?;
        let head = head::read(&mut connection, self.stall)?;
        let framing = head.framing(request.method == "HEAD")?;
        let pool = head.stays().then(|| self.pool.clone());
        let status = head.status;
        let body = Body::new(connection, framing, pool);
        Ok(Response { status, head, url: request.url.clone(), body, stall: self.stall })
    }

    fn written(&self, connection: &Connection<'_>, request: &Request<'_>) -> Result<String> {
        let (method, url) = (request.method, request.url);
        let target = match connection.by_proxy {
            true => format!("http://{}{}", url.authority(), url.target),
            false => url.target.clone(),
        };
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", url.authority());
        text.push_str(concat!(
            "User-Agent: holdfast/",
            env!("CARGO_PKG_VERSION"),
            "\r\nAccept-Encoding: identity\r\n"
        ));
        let authorization = request.authorization.clone().map(|value| ("Authorization", value));
        let proxy = self.proxies.for_url(url).filter(|_| connection.by_proxy);
        let proxy =
            proxy.and_then(|proxy| proxy.authorization.clone()).map(|value| ("Proxy-Authorization", value));
        for (name, value) in request.headers.iter().cloned().chain(authorization).chain(proxy) {
            if value.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
                bail!("the value of {name} has a character that is not for headers");
            }
            text.extend([name, ": ", &value, "\r\n"]);
        }
        if let Some(form) = &request.form {
            text.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            text.push_str(&format!("Content-Length: {}\r\n\r\n{form}", form.len()));
        } else {
            text.push_str("\r\n");
        }
        Ok(text)
    }
}
