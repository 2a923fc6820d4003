#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use super::*;

/// Ample: no test waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    headers.iter().for_each(|(name, value)| hpack::write(name, value, &mut block));
    block
}

/// What servers begin with: settings, an acknowledgement, and that the answer begins.
fn begun() -> Vec<u8> {
    let mut bytes = frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
    bytes.extend(frame(4, 1, 0, &[]));
    bytes.extend(frame(1, 4, 1, &block(&[(":status", "200"), ("content-type", "application/grpc")])));
    bytes
}

/// A body, and an end that is well.
fn with_body(body: &[u8]) -> Vec<u8> {
    let mut bytes = begun();
    bytes.extend(frame(0, 0, 1, body));
    bytes.extend(frame(1, 5, 1, &block(&[("grpc-status", "0")])));
    bytes
}

fn with_end(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = begun();
    bytes.extend(frame(1, 5, 1, &block(headers)));
    bytes
}

/// What a probe says of a server that answers with `bytes` and then says nothing more; what it was asked, too.
fn ask(bytes: Vec<u8>, service: &str) -> (Answer, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut asked = vec![0; 24];
            stream.read_exact(&mut asked).unwrap();
            // It may be gone before all of it is written.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut asked);
            asked
        });
        let answer = check(None, port, service, LONG, Deadline::after(LONG));
        (answer, server.join().unwrap())
    })
}

#[track_caller]
fn expect(bytes: Vec<u8>, outcome: Outcome, message: &str) {
    assert_eq!(ask(bytes, "").0, (outcome, message.to_owned()));
}

#[test]
fn a_server_that_serves_is_well_and_no_other() {
    expect(with_body(&[0, 0, 0, 0, 2, 8, 1]), Outcome::Success, "service healthy");
    // With fields that are not known, of each kind that there is, and a number in two bytes.
    let more = [0, 0, 0, 0, 14, 0x12, 2, 9, 9, 8, 1, 0x1d, 1, 2, 3, 4, 0x20, 0x80, 1];
    expect(with_body(&more), Outcome::Success, "service healthy");
    for (status, name) in [(2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN"), (9, "9"), (0, "UNKNOWN")] {
        let said = format!("service unhealthy (responded with {name:?})");
        expect(with_body(&[0, 0, 0, 0, 2, 8, status]), Outcome::Failure, &said);
    }
    expect(with_body(&[0, 0, 0, 0, 0]), Outcome::Failure, "service unhealthy (responded with \"UNKNOWN\")");
}

#[test]
fn what_the_server_says_is_wrong_is_told() {
    let failed = |what: &str| format!("error: health rpc probe failed: rpc error: {what}");
    expect(
        with_end(&[("grpc-status", "5"), ("grpc-message", "unknown%20service%2")]),
        Outcome::Failure,
        &failed("code = NotFound desc = unknown service%2"),
    );
    expect(
        with_end(&[("grpc-status", "12"), ("grpc-message", "no such method")]),
        Outcome::Failure,
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): no such method",
    );
    expect(
        with_end(&[("grpc-status", "4")]),
        Outcome::Failure,
        "timeout: health rpc did not complete within 60s",
    );
    expect(with_end(&[("grpc-status", "99")]), Outcome::Failure, &failed("code = Code(99) desc = "));
    let malformed = failed("code = Internal desc = malformed grpc-status: \"-\"");
    expect(with_end(&[("grpc-status", "-")]), Outcome::Failure, &malformed);
    let trailers = failed("code = Internal desc = server closed the stream without sending trailers");
    expect(with_end(&[]), Outcome::Failure, &trailers);
    let all_at_once = frame(1, 5, 1, &block(&[(":status", "503")]));
    let unexpected = "code = Unknown desc = unexpected HTTP status code received from server: 503";
    expect(all_at_once, Outcome::Failure, &failed(unexpected));
    let no_message = failed("code = Internal desc = the answer is no HealthCheckResponse");
    for body in
        [&[][..], &[0, 0, 0], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1], &[0, 0, 0, 0, 2, 8, 0x81]]
    {
        expect(with_body(body), Outcome::Failure, &no_message);
    }
}

/// What must be answered is; what may come in parts may; what is of no interest is passed over.
#[test]
fn an_answer_may_come_in_every_way_that_the_protocol_has() {
    let head = block(&[(":status", "200"), ("a", &"b".repeat(300))]);
    let mut bytes = frame(4, 0, 0, &[]);
    bytes.extend(frame(6, 0, 0, b"pingpong"));
    bytes.extend(frame(8, 0, 0, &[0, 0, 1, 0]));
    bytes.extend(frame(0xfa, 0xff, 0, b"of tomorrow"));
    bytes.extend(frame(1, 4, 1, &block(&[(":status", "103")])));
    // Filled up, with a priority, and in three parts.
    let (first, rest) = head.split_at(10);
    let padded = [&[3, 0, 0, 0, 0, 7][..], first, &[0, 0, 0]].concat();
    bytes.extend(frame(1, 0x28, 1, &padded));
    bytes.extend(frame(9, 0, 1, &rest[..5]));
    bytes.extend(frame(9, 4, 1, &rest[5..]));
    bytes.extend(frame(0, 8, 1, &[2, 0, 0, 0, 0, 0, 0]));
    bytes.extend(frame(0, 0, 1, &[2, 8, 1]));
    bytes.extend(frame(0, 0, 3, b"of another stream"));
    // One that ends when this call did.
    bytes.extend(frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
    bytes.extend(frame(1, 5, 1, &block(&[("grpc-status", "0")])));
    let (answer, asked) = ask(bytes, "");
    assert_eq!(answer, (Outcome::Success, "service healthy".to_owned()));
    let replies = [frame(4, 1, 0, &[]), frame(6, 1, 0, b"pingpong")].concat();
    assert!(asked.ends_with(&replies), "{asked:?}");
}

#[test]
fn the_request_is_the_one_that_servers_know() {
    let (_, asked) = ask(with_body(&[0, 0, 0, 0, 2, 8, 1]), "my.Service");
    assert!(asked.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x0c\x04\0\0\0\0\0"), "{asked:?}");
    let body = frame(0, 1, 1, b"\0\0\0\0\x0c\x0a\x0amy.Service");
    assert!(asked.windows(body.len()).any(|part| part == body), "{asked:?}");
    let text = String::from_utf8_lossy(&asked);
    for part in
        ["/grpc.health.v1.Health/Check", "application/grpc", "trailers", "kube-probe/1.36", "127.0.0.1:"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let long = request(&"s".repeat(300));
    assert_eq!(long[..8], [0, 0, 0, 1, 47, 10, 0xac, 2]);
}

/// Whoever is asked may say anything.
#[test]
fn nonsense_is_a_failure_and_nothing_that_never_ends_is_read() {
    let failed = |what: &str| format!("error: health rpc probe failed: {what}");
    let closed = failed("connection closed by the server");
    expect(Vec::new(), Outcome::Failure, &closed);
    expect(begun(), Outcome::Failure, &closed);
    expect(begun()[..20].to_vec(), Outcome::Failure, &closed);
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    expect(http, Outcome::Failure, &failed("the server speaks HTTP/1, not gRPC"));
    let ssh = b"SSH-2.0-OpenSSH_9\r\n".to_vec();
    let what = "a frame of 5460808 bytes: this is no gRPC, or too long";
    expect(ssh, Outcome::Failure, &failed(what));
    let after = |rest: Vec<u8>| [begun(), rest].concat();
    for (rest, what) in [
        (frame(3, 0, 1, &[0, 0, 0, 7]), "stream terminated by RST_STREAM with error code 7"),
        (frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0]), "the server refuses connections (GOAWAY)"),
        (frame(7, 0, 0, &[]), "the server refuses connections (GOAWAY)"),
        (frame(5, 4, 1, &[0, 0, 0, 2]), "the server pushes, which was forbidden"),
        (frame(9, 4, 1, &[]), "headers without a beginning"),
        (
            frame(1, 0, 1, &[]).into_iter().chain(frame(0, 0, 1, &[])).collect(),
            "headers that something else interrupts",
        ),
        (frame(0, 8, 1, &[9, 0]), "a frame with more padding than content"),
        (frame(0, 8, 1, &[]), "a frame with more padding than content"),
        (frame(1, 0x24, 1, &[0, 0]), "a frame with more padding than content"),
        (frame(0, 0, 1, &[0; 5000]), "an answer that is too long"),
        (frame(1, 4, 1, &[0xbe]), "a header by the number 62, which means none"),
        (frame(1, 4, 1, &[0x80]), "a header by the number 0, which means none"),
        (frame(1, 4, 1, &[0x00]), "headers that end too early"),
        (frame(1, 4, 1, &[0xff, 0xff, 0xff, 0xff, 0xff]), "a number in the headers that is too large"),
        (frame(1, 4, 1, &[0x3f, 0xe1, 0x1f]), "a table of headers with 4096 bytes, which was forbidden"),
        (frame(1, 4, 1, &[0, 0x84, 0xff, 0xff, 0xff, 0xff]), "a text in the headers that is no text"),
        // A code, and five bits more than fill a byte up.
        (frame(1, 4, 1, &[0, 0x82, 0x07, 0xff]), "a text in the headers that ends too early"),
    ] {
        expect(after(rest), Outcome::Failure, &failed(what));
    }
    let many = |part: Vec<u8>| after(part.iter().copied().cycle().take(400_000).collect());
    expect(many(frame(6, 0, 0, b"pingpong")), Outcome::Failure, &failed("the server says too much"));
    let endless = after([frame(1, 0, 1, &[]), frame(9, 0, 1, &[0; 16000]).repeat(9)].concat());
    expect(endless, Outcome::Failure, &failed("headers of more than 16384 bytes"));
    // Each of them names a header of 52 bytes by one.
    let unpacks = after(frame(1, 5, 1, &[0xa0; 16000]));
    expect(unpacks, Outcome::Failure, &failed("headers of more than 16384 bytes"));
}

#[test]
fn one_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let timeout = Duration::from_millis(50);
    let (outcome, message) = check(None, port, "", timeout, Deadline::after(timeout));
    assert_eq!((outcome, &*message), (Outcome::Failure, "timeout: health rpc did not complete within 50ms"));
    drop(listener);
    let (outcome, message) = check(None, port, "", LONG, Deadline::after(LONG));
    assert_eq!(outcome, Outcome::Failure);
    assert!(message.starts_with("error: failed to connect service at \"127.0.0.1:"), "{message}");
}

/// RFC 7541, C.4.1 and C.6.1, without the parts that need a table.
#[test]
fn packed_headers_are_unpacked() {
    let packed = [0x04, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    let read = hpack::read(&packed).unwrap();
    assert_eq!(read, [(":path".to_owned(), "www.example.com".to_owned())]);
    let status = [0x08, 0x82, 0x64, 0x02];
    assert_eq!(hpack::read(&status).unwrap(), [(":status".to_owned(), "302".to_owned())]);
    let date = [
        0x0f, 0x12, 0x96, 0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b,
        0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
    ];
    assert_eq!(
        hpack::read(&date).unwrap()[0],
        ("date".to_owned(), "Mon, 21 Oct 2013 20:13:21 GMT".to_owned())
    );
    let both = [0x82, 0x20, 0x88];
    let both: Vec<_> = hpack::read(&both).unwrap().into_iter().map(|(name, value)| name + &value).collect();
    assert_eq!(both, [":methodGET", ":status200"]);
    let mut written = Vec::new();
    hpack::write("x", &"y".repeat(400), &mut written);
    assert_eq!(hpack::read(&written).unwrap(), [("x".to_owned(), "y".repeat(400))]);
}
