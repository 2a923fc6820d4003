//! Names to addresses: `/etc/hosts`, and the servers of `/etc/resolv.conf`.
//!
//! By hand, since the C library's resolver would load libraries that a static program has none of.
//!
//! Invariant: whoever answers is not trusted further than that it knows the question; what it sends is bounded.

use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

/// Most servers asked, and most addresses taken: the C library's limit, and enough to try.
const MOST_SERVERS: usize = 3;
const MOST_ADDRESSES: usize = 8;
/// Most names that a name may stand for, as it is searched.
const MOST_SEARCHED: usize = 6;
/// What a server is asked for (RFC 1035, RFC 3596).
const TYPES: [u16; 2] = [1, 28];

/// How names are found.
struct Settings {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    dots: usize,
    timeout: Duration,
    attempts: u32,
}

/// The addresses of `host`, those of version 4 first; at least one. Fails in Go's words, for which people search, and at once
/// when nobody waits for them any more.
pub fn addresses(host: &str, wanted: &dyn Fn() -> bool) -> Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let name = host.trim_end_matches('.');
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let known = of_hosts(&fs::read_to_string("/etc/hosts").unwrap_or_default(), name);
    if !known.is_empty() {
        return Ok(known);
    }
    let settings = settings(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    for name in candidates(host, &settings) {
        let found = ask_all(&settings, &name, wanted).map_err(|why| anyhow!("lookup {host}: {why}"))?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    bail!("lookup {host}: no such host")
}

/// What a file of hosts says of `name`.
pub(super) fn of_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if let Some(Ok(address)) = words.next().map(str::parse)
            && words.any(|word| word.eq_ignore_ascii_case(name))
        {
            found.push(address);
        }
    }
    found.sort_by_key(IpAddr::is_ipv6);
    found.truncate(MOST_ADDRESSES);
    found
}

fn settings(text: &str) -> Settings {
    let mut settings = Settings {
        servers: Vec::new(),
        search: Vec::new(),
        dots: 1,
        timeout: Duration::from_secs(5),
        attempts: 2,
    };
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address = words.next().and_then(|word| word.parse().ok());
                settings.servers.extend(address.map(|address: IpAddr| SocketAddr::new(address, 53)));
            }
            Some("domain" | "search") => settings.search = words.map(str::to_owned).collect(),
            Some("options") => words.for_each(|word| option(&mut settings, word)),
            _ => {}
        }
    }
    if settings.servers.is_empty() {
        settings.servers.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    settings.servers.truncate(MOST_SERVERS);
    settings
}

/// With the limits of resolv.conf(5).
fn option(settings: &mut Settings, word: &str) {
    let Some((name, Ok(value))) = word.split_once(':').map(|(name, value)| (name, value.parse::<u32>()))
    else {
        return;
    };
    match name {
        "ndots" => settings.dots = value.min(15) as usize,
        "timeout" => settings.timeout = Duration::from_secs(value.clamp(1, 30).into()),
        "attempts" => settings.attempts = value.clamp(1, 5),
        _ => {}
    }
}

/// The names that `host` may stand for, in the order in which they are tried.
fn candidates(host: &str, settings: &Settings) -> Vec<String> {
    if let Some(whole) = host.strip_suffix('.') {
        return vec![whole.to_owned()];
    }
    let own = std::iter::once(host.to_owned());
    let searched = settings.search.iter().map(|domain| format!("{host}.{}", domain.trim_matches('.')));
    let searched = searched.take(MOST_SEARCHED);
    match settings.dots <= host.matches('.').count() {
        true => own.chain(searched).collect(),
        false => searched.chain(own).collect(),
    }
}

/// What the first server that answers says of `name`; nothing where there is no such name.
fn ask_all(settings: &Settings, name: &str, wanted: &dyn Fn() -> bool) -> Result<Vec<IpAddr>> {
    let mut wrong = None;
    for _ in 0..settings.attempts {
        for server in &settings.servers {
            if !wanted() {
                bail!("nobody waits for it any more");
            }
            let mut found = Vec::new();
            let mut failed = None;
            for kind in TYPES {
                match ask(*server, name, kind, settings.timeout) {
                    Ok(addresses) => found.extend(addresses),
                    Err(error) => failed = Some(error),
                }
            }
            // Some servers know nothing of the second kind, and keep silent.
            let Some(error) = failed.filter(|_| found.is_empty()) else {
                found.truncate(MOST_ADDRESSES);
                return Ok(found);
            };
            wrong = Some(match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("on {server}: i/o timeout"),
                _ => format!("on {server}: {error}"),
            });
        }
    }
    bail!("{}", wrong.unwrap_or_default())
}

/// Asks `server` once.
fn ask(server: SocketAddr, name: &str, kind: u16, timeout: Duration) -> io::Result<Vec<IpAddr>> {
    let id = random();
    let question = question(id, name, kind).ok_or_else(|| io::Error::other("the name is none"))?;
    let any: IpAddr =
        if server.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(&question)?;
    let end = Instant::now() + timeout;
    let mut answer = vec![0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut answer)?;
        // What does not belong to the question may be anybody's.
        if let Some(read) = read(&answer[..length], &question, kind) {
            return match read {
                Answer::Cut => over_tcp(server, &question, kind, timeout),
                Answer::Whole(addresses) => Ok(addresses),
                Answer::Refused(code) => Err(io::Error::other(format!("server misbehaving (code {code})"))),
            };
        }
    }
}

fn over_tcp(server: SocketAddr, question: &[u8], kind: u16, timeout: Duration) -> io::Result<Vec<IpAddr>> {
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?.to_be_bytes();
    stream.write_all(&[&length, question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    match read(&answer, question, kind) {
        Some(Answer::Whole(addresses)) => Ok(addresses),
        _ => Err(io::Error::other("server misbehaving")),
    }
}

/// Nobody outside can tell the next one: the standard library's keys are the kernel's random numbers.
fn random() -> u16 {
    let bytes = std::hash::RandomState::new().build_hasher().finish().to_be_bytes();
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// A question in the words of RFC 1035; `None` for what is no name.
pub(super) fn question(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut bytes = id.to_be_bytes().to_vec();
    // To be followed further by the server; one question.
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    (name.len() < 254).then_some(bytes)
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is more than fits into a datagram.
    Cut,
    Whole(Vec<IpAddr>),
    Refused(u8),
}

/// Reads an answer to `question`; `None` for what is none.
pub(super) fn read(answer: &[u8], question: &[u8], kind: u16) -> Option<Answer> {
    let asked = question.get(12..)?;
    let same = answer.get(..2)? == question.get(..2)? && answer.get(2)? & 0x80 != 0;
    let echoed = answer.get(12..12 + asked.len())?;
    if !same || !echoed.eq_ignore_ascii_case(asked) {
        return None;
    }
    match answer.get(3)? & 15 {
        // No error, and no such name.
        0 | 3 => {}
        code => return Some(Answer::Refused(code)),
    }
    if answer.get(2)? & 2 != 0 {
        return Some(Answer::Cut);
    }
    let number = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    let mut at = 12 + asked.len();
    let mut found = Vec::new();
    for _ in 0..number(6)? {
        at = behind_name(answer, at)?;
        let (is, length) = (number(at)?, usize::from(number(at + 8)?));
        let content = answer.get(at + 10..at + 10 + length)?;
        if is == kind {
            let v4 = <[u8; 4]>::try_from(content).ok().map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
            let v6 = <[u8; 16]>::try_from(content).ok().map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)));
            found.extend(v4.or(v6));
        }
        at += 10 + length;
    }
    Some(Answer::Whole(found))
}

/// Where what follows the name at `at` begins.
fn behind_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}
