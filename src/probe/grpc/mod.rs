//! Asking a server for its health over gRPC: one call of `grpc.health.v1.Health/Check`, without TLS, as the kubelet does.
//!
//! By hand: what is needed is one request and one short answer of one kind, and a gRPC library would be larger than all of
//! what it is for.
//!
//! Invariant: whoever is asked is not trusted: what is read is bounded, by bytes and by the deadline.

mod frames;
mod hpack;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::http::USER_AGENT;
use super::stream::Stream;
use super::{Answer, Deadline, Outcome, address};
use frames::{Call, Wrong};
use hpack::Headers;

/// The method.
const PATH: &str = "/grpc.health.v1.Health/Check";

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u64 = 1;

/// Codes of gRPC (`google.golang.org/grpc/codes`), by their names.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
const DEADLINE_EXCEEDED: usize = 4;
const UNIMPLEMENTED: usize = 12;

/// Whether `service` of the server at `port` of `host` says that it serves; the server as a whole where the name is empty. `timeout` is
/// what the deadline was made of, to show.
pub fn check(
    host: Option<&str>,
    port: u16,
    service: &str,
    timeout: Duration,
    deadline: Deadline<'_>,
) -> Answer {
    let to = address(host, port);
    let stream = match Stream::connect(to, deadline) {
        Ok(stream) => stream,
        Err(error) if deadline.left().is_none() => {
            let message = format!("timeout: failed to connect service \"{to}\" within {timeout:?}: {error}");
            return (Outcome::Failure, message);
        }
        Err(error) => {
            return (Outcome::Failure, format!("error: failed to connect service at \"{to}\": {error}"));
        }
    };
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", &to.to_string()),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", USER_AGENT),
        ("grpc-timeout", &milliseconds(deadline)),
    ];
    match frames::call(stream, &headers, &request(service)) {
        Ok(call) => judged(&call, timeout),
        Err(Wrong::Late) => (Outcome::Failure, late(timeout)),
        Err(Wrong::Because(reason)) => {
            (Outcome::Failure, format!("error: health rpc probe failed: {reason}"))
        }
    }
}

fn late(timeout: Duration) -> String {
    format!("timeout: health rpc did not complete within {timeout:?}")
}

/// At most eight digits, by the protocol.
fn milliseconds(deadline: Deadline<'_>) -> String {
    let left = deadline.left().unwrap_or_default().as_millis().clamp(1, 99_999_999);
    format!("{left}m")
}

/// A `HealthCheckRequest` with what comes before each message: that it is not compressed, and its length.
fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, a text.
        message.push(0x0a);
        let mut length = service.len();
        while 0x80 <= length {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

fn judged(call: &Call, timeout: Duration) -> Answer {
    match outcome(call) {
        Ok(SERVING) => (Outcome::Success, "service healthy".to_owned()),
        Ok(other) => {
            let name = usize::try_from(other).ok().and_then(|other| STATUSES.get(other));
            let name = name.map_or_else(|| other.to_string(), |name| (*name).to_owned());
            (Outcome::Failure, format!("service unhealthy (responded with {name:?})"))
        }
        Err(Refusal { code: UNIMPLEMENTED, message }) => {
            let what = "this server does not implement the grpc health protocol (grpc.health.v1.Health)";
            (Outcome::Failure, format!("error: {what}: {message}"))
        }
        Err(Refusal { code: DEADLINE_EXCEEDED, .. }) => (Outcome::Failure, late(timeout)),
        Err(Refusal { code, message }) => {
            let code = CODES.get(code).map_or_else(|| format!("Code({code})"), |code| (*code).to_owned());
            let error = format!("rpc error: code = {code} desc = {message}");
            (Outcome::Failure, format!("error: health rpc probe failed: {error}"))
        }
    }
}

/// Why there is no answer.
struct Refusal {
    code: usize,
    message: String,
}

fn refusal(code: usize, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

/// The serving status that came, or why none did.
fn outcome(call: &Call) -> Result<u64, Refusal> {
    const UNKNOWN: usize = 2;
    const INTERNAL: usize = 13;
    // What ends a call may come with what begins it.
    let told = |name: &str| value(&call.trailers, name).or_else(|| value(&call.headers, name));
    let Some(code) = told("grpc-status") else {
        return Err(match value(&call.headers, ":status") {
            Some("200") => refusal(INTERNAL, "server closed the stream without sending trailers"),
            // By the protocol's table from HTTP, of which this is the only one that is judged by itself.
            Some("404") => refusal(UNIMPLEMENTED, "unexpected HTTP status code received from server: 404"),
            Some(status) => {
                refusal(UNKNOWN, format!("unexpected HTTP status code received from server: {status}"))
            }
            None => refusal(INTERNAL, "malformed header: missing HTTP status"),
        });
    };
    match code.parse() {
        Ok(0) => {}
        Ok(code) => return Err(refusal(code, plain(told("grpc-message").unwrap_or_default()))),
        Err(_) => return Err(refusal(INTERNAL, format!("malformed grpc-status: {code:?}"))),
    }
    let malformed = || refusal(INTERNAL, "the answer is no HealthCheckResponse");
    let (prefix, message) = call.body.split_first_chunk::<5>().ok_or_else(malformed)?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || u32::from_be_bytes(length) as usize != message.len() {
        return Err(malformed());
    }
    serving_status(message).ok_or_else(malformed)
}

fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A text in which `%41` stands for `A`, as gRPC writes messages.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut left = text.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let number =
            rest.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let number = number.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(number.unwrap_or(*first));
        left = if number.is_some() { rest.get(2..).unwrap_or_default() } else { rest };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Field 1 of a message; 0 where it has none. `None` where this is no message.
fn serving_status(message: &[u8]) -> Option<u64> {
    let (mut status, mut left) = (0, message);
    while !left.is_empty() {
        let key = varint(&mut left)?;
        let skipped = match key & 7 {
            0 => {
                let number = varint(&mut left)?;
                if key >> 3 == 1 {
                    status = number;
                }
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut left)?).ok()?,
            5 => 4,
            _ => return None,
        };
        left = left.get(skipped..)?;
    }
    Some(status)
}

fn varint(left: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (first, rest) = left.split_first()?;
        *left = rest;
        number |= u64::from(first & 0x7f).checked_shl(7 * place)?;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
