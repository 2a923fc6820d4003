//! A GET by the kubelet's rules (reference C.2): 200 to 399 is well; redirects are followed on the same host only; whose
//! certificate it is does not matter.

use std::fmt;
use std::io::{ErrorKind, Read, Write};

use super::stream::Stream;
use super::{Answer, Deadline, HttpGet, Outcome, address};
use crate::http;
use crate::spec::Scheme;
use crate::tls::Refused;

/// What is kept of a body.
const LONGEST_BODY: usize = 10 * 1024;
/// Longest status line and headers together: as much as Go's client would take is a way to fill our memory.
const LONGEST_HEAD: usize = 16 * 1024;
/// Redirects that are followed, as in Go.
const MOST_REDIRECTS: usize = 10;
/// Who asks, unless the manifest says otherwise: servers tell probes from visitors by it.
pub const USER_AGENT: &str = "kube-probe/1.36";

/// What is told when the time is over.
const LATE: &str = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
/// Who asks for a hook.
const HOOK_AGENT: &str = "kube-lifecycle/1.36";

/// Gets what the probe `wanted` says.
pub fn get(wanted: &HttpGet, deadline: Deadline<'_>) -> Answer {
    match fetch(wanted, USER_AGENT, deadline) {
        Ok(head) => head.judged(),
        Err((url, message)) => (Outcome::Failure, format!("Get \"{url}\": {message}")),
    }
}

/// How a hook's request was answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// As it was put.
    AsWanted,
    /// By HTTP after all, where HTTPS was wanted; by whom, host and port.
    OverHttp(String),
}

/// Gets what the hook `wanted` says, whatever status comes of it. Why not is told without its path, which may have a secret
/// in it.
///
/// Who answers HTTPS in HTTP is asked again by that, as in the kubelet, but is shown no `Authorization`.
pub fn hook(wanted: &HttpGet, deadline: Deadline<'_>) -> Result<Asked, String> {
    let speaks_http = match fetch(wanted, HOOK_AGENT, deadline) {
        Ok(_) => return Ok(Asked::AsWanted),
        Err((_, wrong @ Wrong::SpeaksHttp)) if wanted.scheme == Scheme::Https => wrong,
        Err((_, wrong)) => return Err(wrong.to_string()),
    };
    let mut plain = HttpGet { scheme: Scheme::Http, ..wanted.clone() };
    plain.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
    match fetch(&plain, HOOK_AGENT, deadline) {
        Ok(_) => Ok(Asked::OverHttp(Place::first(wanted).authority())),
        Err(_) => Err(speaks_http.to_string()),
    }
}

/// Why there is no answer.
enum Wrong {
    /// HTTPS was answered in HTTP.
    SpeaksHttp,
    /// Anything else, as a sentence.
    Otherwise(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::SpeaksHttp => f.write_str("http: server gave HTTP response to HTTPS client"),
            Wrong::Otherwise(message) => f.write_str(message),
        }
    }
}

impl From<String> for Wrong {
    fn from(message: String) -> Wrong {
        Wrong::Otherwise(message)
    }
}

/// The last answer of a request that follows redirects; else where it went wrong, and why.
fn fetch(wanted: &HttpGet, agent: &str, deadline: Deadline<'_>) -> Result<Head, (String, Wrong)> {
    let mut place = Place::first(wanted);
    for redirects in 0..=MOST_REDIRECTS {
        let head = ask(&place, wanted, agent, deadline).map_err(|message| (place.url(), message))?;
        let redirected = matches!(head.status, 301 | 302 | 303 | 307 | 308);
        match head.location.as_deref() {
            None if redirected => {
                let message = format!("{} response missing Location header", head.status);
                return Err((place.url(), message.into()));
            }
            Some(location) if redirected => match place.follow(location) {
                Some(_) if redirects == MOST_REDIRECTS => break,
                Some(next) => place = next,
                None => return Ok(head),
            },
            _ => return Ok(head),
        }
    }
    Err((place.url(), format!("stopped after {MOST_REDIRECTS} redirects").into()))
}

/// What is asked for, and where.
struct Place {
    scheme: Scheme,
    host: String,
    port: u16,
    target: String,
}

impl Place {
    fn first(wanted: &HttpGet) -> Place {
        Place {
            scheme: wanted.scheme,
            host: wanted.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: wanted.port,
            target: target(&wanted.path),
        }
    }

    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    fn url(&self) -> String {
        format!("{}://{}{}", self.scheme.word(), self.authority(), self.target)
    }

    /// Where `location` leads from here, from HTTP to HTTPS and back too; `None` if that is another host, or another protocol.
    fn follow(&self, location: &str) -> Option<Place> {
        let location = location.split('#').next().unwrap_or_default();
        let rest = match location.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Some((Scheme::Http, rest)),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Some((Scheme::Https, rest)),
            Some((scheme, _)) if !scheme.contains(['/', '?']) => return None,
            _ => location.strip_prefix("//").map(|rest| (self.scheme, rest)),
        };
        let Some((scheme, rest)) = rest else {
            let base = self.target.split('?').next().unwrap_or_default();
            let directory = base.rfind('/').map_or("/", |at| &base[..=at]);
            let path = match location {
                "" => self.target.clone(),
                _ if location.starts_with('/') => location.to_owned(),
                _ if location.starts_with('?') => format!("{base}{location}"),
                _ => format!("{directory}{location}"),
            };
            let target = target(&path);
            return Some(Place { host: self.host.clone(), target, ..*self });
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, scheme.port()),
        };
        let host = host.trim_matches(['[', ']']);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (host == self.host).then(|| Place { scheme, host: host.to_owned(), port, target: target(&path) })
    }
}

/// `path` as it may stand in a request: what would end the line or the word is written as `%20` and the like.
fn target(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.split('#').next().unwrap_or_default().bytes() {
        match byte {
            0x21..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The beginning of an answer.
struct Head {
    status: u16,
    location: Option<String>,
    body: Vec<u8>,
}

impl Head {
    fn judged(self) -> Answer {
        match self.status {
            200..300 => (Outcome::Success, String::new()),
            300..400 => {
                let body = String::from_utf8_lossy(&self.body).into_owned();
                (Outcome::Warning, format!("Probe terminated redirects, Response body: {body}"))
            }
            status => (Outcome::Failure, format!("HTTP probe failed with statuscode: {status}")),
        }
    }
}

fn request(place: &Place, wanted: &HttpGet, agent: &str) -> String {
    let given = |name: &str| wanted.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let host =
        wanted.headers.iter().rfind(|(name, value)| name.eq_ignore_ascii_case("host") && !value.is_empty());
    let host = host.map_or_else(|| place.authority(), |(_, value)| value.clone());
    let mut request = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n", place.target);
    let defaults = [("User-Agent", agent), ("Accept", "*/*")].into_iter();
    let defaults = defaults.filter(|(name, _)| !given(name));
    let given = wanted.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // An empty one says that the default is not wanted either. Ours is the last word on whether the connection stays.
    let given = given.filter(|(name, value)| {
        let special = ["User-Agent", "Accept"].iter().any(|special| special.eq_ignore_ascii_case(name));
        let ours = ["Host", "Connection"].iter().any(|ours| ours.eq_ignore_ascii_case(name));
        !(ours || special && value.is_empty())
    });
    for (name, value) in defaults.chain(given) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request + "Connection: close\r\n\r\n"
}

/// Asks, and reads what is needed of the answer.
fn ask(place: &Place, wanted: &HttpGet, agent: &str, deadline: Deadline<'_>) -> Result<Head, Wrong> {
    let literal = Some(place.host.as_str()).filter(|host| *host != "localhost");
    let mut stream = Stream::connect(address(literal, place.port), deadline)?;
    let request = request(place, wanted, agent);
    match place.scheme {
        Scheme::Http => Ok(exchange(&mut stream, &request)?),
        Scheme::Https => match stream.secured(&place.host) {
            Ok(mut stream) => Ok(exchange(&mut stream, &request)?),
            Err(Refused::SpeaksHttp) => Err(Wrong::SpeaksHttp),
            Err(Refused::Otherwise(error)) => Err(Wrong::Otherwise(match error.kind() {
                ErrorKind::TimedOut if deadline.left().is_none() => LATE.to_owned(),
                ErrorKind::TimedOut => "net/http: TLS handshake timeout".to_owned(),
                ErrorKind::UnexpectedEof => "EOF".to_owned(),
                ErrorKind::InvalidData => format!("tls: {error}"),
                _ => error.to_string(),
            })),
        },
    }
}

/// Says `request` and reads what is needed of the answer.
fn exchange(stream: &mut (impl Read + Write), request: &str) -> Result<Head, String> {
    let wrong = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => LATE.to_owned(),
        _ => error.to_string(),
    };
    stream.write_all(request.as_bytes()).map_err(wrong)?;
    let mut read = Vec::new();
    loop {
        if let Some(end) = http::end_of_head(&read) {
            let rest = read.split_off(end);
            let (_, parsed) = http::Head::parse(&read).ok_or("malformed HTTP response")?;
            let location = parsed.get("location").map(str::to_owned);
            let mut head = Head { status: parsed.status, location, body: Vec::new() };
            // 100 Continue and the like come before the answer.
            if (100..200).contains(&head.status) && head.status != 101 {
                read = rest;
                continue;
            }
            head.body = rest;
            if (300..400).contains(&head.status) {
                while head.body.len() < LONGEST_BODY && matches!(more(stream, &mut head.body), Ok(1..)) {}
            }
            head.body.truncate(LONGEST_BODY);
            return Ok(head);
        }
        if LONGEST_HEAD < read.len() {
            return Err(format!("server response headers exceeded {LONGEST_HEAD} bytes; aborted"));
        }
        match more(stream, &mut read).map_err(wrong)? {
            0 if read.is_empty() => return Err("EOF".to_owned()),
            0 => return Err("unexpected EOF".to_owned()),
            _ => {}
        }
    }
}

fn more(stream: &mut impl Read, into: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut chunk = [0; 4096];
    let count = stream.read(&mut chunk)?;
    into.extend_from_slice(&chunk[..count]);
    Ok(count)
}
