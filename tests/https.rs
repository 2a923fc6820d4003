//! Probes and hooks over HTTPS: against OpenSSL, and against whoever wants to harm us.

#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod debian;
mod openssl;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use holdfast::lifecycle::Outcome;
use holdfast::probe::{Asked, Deadline, get, hook};
use holdfast::spec::{HttpGet, Scheme};
use openssl::Papers;

/// Ample: no test waits for it to pass.
const LONG: Duration = Duration::from_secs(60);
/// Room for the largest answer, and a machine that is busy.
const SHORT: Duration = Duration::from_millis(700);

fn wanted(port: u16, path: &str) -> HttpGet {
    HttpGet { scheme: Scheme::Https, host: None, port, path: path.to_owned(), headers: Vec::new() }
}

/// Reference C.2, acceptance 6.03: not verified.
#[test]
fn whose_certificate_it_is_does_not_matter() {
    let papers = Papers::new();
    papers.signed("old", "DNS:example.com", "20200101000000Z", "20200102000000Z");
    papers.own("itself", "rsa:2048", &[]);
    for name in ["old", "itself"] {
        for version in ["-tls1_2", "-tls1_3"] {
            let server = papers.serve(name, &[version]);
            for host in [None, Some("127.0.0.1"), Some("localhost")] {
                let wanted = HttpGet { host: host.map(str::to_owned), ..wanted(server.port, "/") };
                let well = (Outcome::Success, String::new());
                assert_eq!(get(&wanted, Deadline::after(LONG)), well, "{name} {version}");
                assert_eq!(hook(&wanted, Deadline::while_it_is(&|| true)), Ok(Asked::AsWanted));
            }
        }
    }
    // Older than Go's client, and than anybody should be.
    let server = papers.serve("itself", &["-tls1", "-cipher", "ALL@SECLEVEL=0"]);
    let (outcome, message) = get(&wanted(server.port, "/"), Deadline::after(LONG));
    assert!(outcome == Outcome::Failure && message.contains("ProtocolVersion"), "{message}");
}

/// Go tells names only (SNI): with `-servername_fatal` others are sent away.
#[test]
fn a_name_is_told_and_an_address_is_not() {
    let papers = Papers::new();
    papers.own("itself", "rsa:2048", &[]);
    let more =
        ["-servername", "example.com", "-servername_fatal", "-cert2", "itself.pem", "-key2", "itself.key"];
    let server = papers.serve("itself", &more);
    let ask = |host: &str| {
        let wanted = HttpGet { host: Some(host.to_owned()), ..wanted(server.port, "/") };
        get(&wanted, Deadline::after(LONG))
    };
    let (outcome, message) = ask("localhost");
    assert!(outcome == Outcome::Failure && message.contains("UnrecognisedName"), "{message}");
    assert_eq!(ask("127.0.0.1"), (Outcome::Success, String::new()));
}

/// Statuses, headers and bodies mean the same as in HTTP.
#[test]
fn answers_are_judged_as_over_http() {
    let papers = Papers::new();
    papers.own("itself", "rsa:2048", &[]);
    let server = papers.serve_files("itself", &[]);
    let ask = |answer: &str| {
        fs::write(papers.file("answer"), answer).unwrap();
        get(&wanted(server.port, "/answer"), Deadline::after(LONG))
    };
    let url = format!("Get \"https://127.0.0.1:{}/answer\": ", server.port);
    assert_eq!(ask("HTTP/1.1 200 OK\r\n\r\n"), (Outcome::Success, String::new()));
    let broken = "HTTP probe failed with statuscode: 503";
    assert_eq!(ask("HTTP/1.1 503 Broken\r\n\r\n"), (Outcome::Failure, broken.to_owned()));
    assert_eq!(ask("HTTP/1.1 200 OK\r\n"), (Outcome::Failure, format!("{url}unexpected EOF")));
    let body = "Probe terminated redirects, Response body: as before";
    assert_eq!(ask("HTTP/1.1 304 No\r\n\r\nas before"), (Outcome::Warning, body.to_owned()));
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(200_000));
    let message = format!("{url}server response headers exceeded 16384 bytes; aborted");
    assert_eq!(ask(&endless), (Outcome::Failure, message));
}

/// As in Go: it is the host that must be the same.
#[test]
fn redirects_lead_from_http_to_https_and_back() {
    let papers = Papers::new();
    papers.own("itself", "rsa:2048", &[]);
    let secure = papers.serve_files("itself", &[]);
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    let to = |place: String| format!("HTTP/1.0 302 Found\r\nLocation: {place}\r\n\r\n");
    fs::write(papers.file("to-plain"), to(format!("http://127.0.0.1:{port}/end"))).unwrap();
    fs::write(papers.file("to-end"), to(format!("//127.0.0.1:{}/end", secure.port))).unwrap();
    fs::write(papers.file("end"), "HTTP/1.0 200 OK\r\n\r\n").unwrap();
    fs::write(papers.file("away"), to("https://192.0.2.1/".to_owned())).unwrap();
    let answer = |answer: &str| {
        let mut stream = plain.accept().unwrap().0;
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).lines().next().unwrap().to_owned()
    };
    let ask = |wanted: HttpGet, answers: &str| {
        std::thread::scope(|scope| {
            let server = scope.spawn(|| answer(answers));
            let told = get(&wanted, Deadline::after(LONG));
            (server.join().unwrap(), told)
        })
    };
    let well = (Outcome::Success, String::new());
    let end = "GET /end HTTP/1.1".to_owned();
    assert_eq!(ask(wanted(secure.port, "/to-plain"), "HTTP/1.0 200 OK\r\n\r\n"), (end, well.clone()));
    let begin = HttpGet { scheme: Scheme::Http, ..wanted(port, "/begin") };
    let asked = ask(begin, &to(format!("HTTPS://127.0.0.1:{}/to-end", secure.port)));
    assert_eq!(asked, ("GET /begin HTTP/1.1".to_owned(), well));
    let (outcome, _) = get(&wanted(secure.port, "/away"), Deadline::after(LONG));
    assert_eq!(outcome, Outcome::Warning);
}

/// Answers each connection in plain HTTP, whatever is said; what that was, as far as it is text.
fn plainly(listener: &TcpListener, status: &str) -> String {
    let mut stream = listener.accept().unwrap().0;
    let mut said = vec![0; 4096];
    let length = stream.read(&mut said).unwrap();
    stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).unwrap();
    String::from_utf8_lossy(&said[..length]).into_owned()
}

/// Reference B.8: asked again, without what opens doors; a probe is not.
#[test]
fn a_hook_falls_back_to_http_and_a_probe_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut wanted = wanted(port, "/?token=secret");
    wanted.headers =
        vec![("authorization".to_owned(), "Bearer secret".to_owned()), ("X-A".to_owned(), "1".to_owned())];
    let speaks_http = "http: server gave HTTP response to HTTPS client";
    std::thread::scope(|scope| {
        let server =
            scope.spawn(|| [plainly(&listener, "400 Bad Request"), plainly(&listener, "404 Not Found")]);
        let place = format!("127.0.0.1:{port}");
        assert_eq!(hook(&wanted, Deadline::after(LONG)), Ok(Asked::OverHttp(place)));
        let [_, again] = server.join().unwrap();
        assert!(again.starts_with("GET /?token=secret HTTP/1.1\r\n") && again.contains("X-A: 1"), "{again}");
        assert!(!again.to_lowercase().contains("authorization"), "{again}");
    });
    std::thread::scope(|scope| {
        let server = scope.spawn(|| plainly(&listener, "400 Bad Request"));
        let failed = format!("Get \"https://127.0.0.1:{port}/?token=secret\": {speaks_http}");
        assert_eq!(get(&wanted, Deadline::after(LONG)), (Outcome::Failure, failed));
        server.join().unwrap();
    });
    // Nobody answers the second time: what is told is the first.
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            plainly(&listener, "400 Bad Request");
            drop(listener.accept().unwrap());
        });
        assert_eq!(hook(&wanted, Deadline::after(LONG)), Err(speaks_http.to_owned()));
        server.join().unwrap();
    });
}

/// What becomes of a probe with `time` that is answered by `chunks`, with a pause after each, and then by silence: why it
/// failed, how long that took, and how many bytes it let itself be sent.
fn endure(
    time: Duration,
    chunks: impl Iterator<Item = Vec<u8>> + Send,
    pause: Duration,
) -> (String, Duration, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut sent = 0;
            // Fails when the other end has gone.
            for chunk in chunks {
                if stream.write_all(&chunk).is_err() {
                    return sent;
                }
                sent += chunk.len();
                std::thread::sleep(pause);
            }
            let _ = stream.read_to_end(&mut Vec::new());
            sent
        });
        let begun = Instant::now();
        let (outcome, message) = get(&wanted(port, "/"), Deadline::after(time));
        let took = begun.elapsed();
        assert_eq!(outcome, Outcome::Failure);
        (message, took, server.join().unwrap())
    })
}

/// A TLS record.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3], &length[..], content].concat()
}

const CHANGE_CIPHER: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// Threat 15: who only takes time gets no more of it than the probe has.
#[test]
fn a_handshake_without_an_end_ends_with_the_time() {
    let late = "Client.Timeout exceeded while awaiting headers)";
    let (message, took, _) = endure(SHORT, std::iter::empty(), Duration::ZERO);
    assert!(message.ends_with(late) && (SHORT..LONG).contains(&took), "{took:?}: {message}");
    // A message that says to be long, a byte a record.
    let begin = std::iter::once(record(HANDSHAKE, &[2, 0, 0xff, 0]));
    let slow = begin.chain(std::iter::repeat_with(|| record(HANDSHAKE, &[0])));
    let (message, took, _) = endure(SHORT, slow, Duration::from_millis(5));
    assert!(message.ends_with(late) && (SHORT..LONG).contains(&took), "{took:?}: {message}");
}

/// Threat 15: who sends without an end is left at once, whatever it is. Sockets alone hold some megabytes.
#[test]
fn floods_are_not_drunk() {
    const LARGEST: usize = 1 << 14;
    let floods: [(&str, Vec<u8>, Vec<u8>); 8] = [
        ("zeroes", vec![], vec![0; LARGEST]),
        ("records longer than any", vec![], [&[HANDSHAKE, 3, 3, 0xff, 0xff][..], &[2; 0xffff]].concat()),
        (
            "a message longer than any",
            record(HANDSHAKE, &[2, 0xff, 0xff, 0xff]),
            record(HANDSHAKE, &[0; LARGEST]),
        ),
        ("warnings", vec![], record(ALERT, &[1, 90])),
        ("changes of ciphers", vec![], record(CHANGE_CIPHER, &[1])),
        ("nothing at all", vec![], record(HANDSHAKE, &[])),
        ("data before it is time", vec![], record(DATA, &[0; LARGEST])),
        ("hellos without an end", vec![], record(HANDSHAKE, &[0, 0, 0, 0])),
    ];
    for (name, first, then) in floods {
        // Many at a time, or the flood is our own writing.
        let then = then.repeat((1 << 17) / then.len() + 1);
        let flood = std::iter::once(first).chain(std::iter::repeat(then));
        let (message, took, sent) = endure(LONG, flood, Duration::ZERO);
        assert!(took < LONG / 2, "{name}: {took:?}, {message}");
        assert!(sent < 16 << 20, "{name}: {sent} bytes, {message}");
    }
}
