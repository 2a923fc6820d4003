#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use super::*;
use crate::spec::Scheme;

/// Ample: no test waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

/// Answers each connection by the next of `answers`, in which `PORT` is where it listens; what was asked, and what came of
/// a probe of `path` with `headers`.
fn ask(answers: &[&str], path: &str, headers: &[(&str, &str)]) -> (Vec<String>, Answer) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let wanted = HttpGet { scheme: Scheme::Http, host: None, port, path: path.to_owned(), headers };
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let serve = |answer: &&str| {
                let mut stream = listener.accept().unwrap().0;
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                stream.write_all(answer.replace("PORT", &port.to_string()).as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..length]).replace(&port.to_string(), "PORT")
            };
            answers.iter().map(serve).collect::<Vec<_>>()
        });
        let answer = get(&wanted, Deadline::after(LONG));
        (server.join().unwrap(), (answer.0, answer.1.replace(&port.to_string(), "PORT")))
    })
}

#[track_caller]
fn check(answers: &[&str], outcome: Outcome, message: &str) {
    let (asked, answer) = ask(answers, "/", &[]);
    assert_eq!((asked.len(), answer), (answers.len(), (outcome, message.to_owned())));
}

#[test]
fn statuses_from_200_to_399_are_well() {
    check(&["HTTP/1.1 200 OK\r\n\r\nhello"], Outcome::Success, "");
    check(&["HTTP/1.0 204 No Content\n\n"], Outcome::Success, "");
    check(&["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"], Outcome::Success, "");
    check(&["HTTP/1.1 400 Bad\r\n\r\n"], Outcome::Failure, "HTTP probe failed with statuscode: 400");
    check(&["HTTP/1.1 500\r\n\r\n"], Outcome::Failure, "HTTP probe failed with statuscode: 500");
    let left = "Probe terminated redirects, Response body: as before";
    check(&["HTTP/1.1 304 Not Modified\r\n\r\nas before"], Outcome::Warning, left);
}

#[test]
fn what_is_no_answer_is_a_failure() {
    let failed = |what: &str| format!("Get \"http://127.0.0.1:PORT/\": {what}");
    check(&[""], Outcome::Failure, &failed("EOF"));
    check(&["HTTP/1.1 200 OK\r\n"], Outcome::Failure, &failed("unexpected EOF"));
    check(&["SSH-2.0-x\r\n\r\n"], Outcome::Failure, &failed("malformed HTTP response"));
    check(&["HTTP/1.1 2 OK\r\n\r\n"], Outcome::Failure, &failed("malformed HTTP response"));
}

/// Threat 15: what is read has an end.
#[test]
fn headers_without_an_end_are_given_up() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(4000));
    let message = "Get \"http://127.0.0.1:PORT/\": server response headers exceeded 16384 bytes; aborted";
    // The server may be told so while it still writes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || drop(listener.accept().unwrap().0.write_all(endless.as_bytes())));
    let wanted =
        HttpGet { scheme: Scheme::Http, host: None, port, path: "/".to_owned(), headers: Vec::new() };
    let (outcome, told) = get(&wanted, Deadline::after(LONG));
    server.join().unwrap();
    assert_eq!((outcome, told.replace(&port.to_string(), "PORT")), (Outcome::Failure, message.to_owned()));
}

#[test]
fn a_long_body_is_cut() {
    let long = format!("HTTP/1.1 300 Many\r\n\r\n{}", "x".repeat(20_000));
    let (_, (outcome, message)) = ask(&[&long], "/", &[]);
    let words = "Probe terminated redirects, Response body: ".len();
    assert_eq!((outcome, message.len()), (Outcome::Warning, words + 10 * 1024));
}

#[test]
fn redirects_are_followed_on_the_same_host() {
    let to = |place: &str| format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\n\r\n");
    for (place, target) in [
        ("/b?c", "/b?c"),
        ("b", "/a/b"),
        ("?c", "/a/x?c"),
        ("http://127.0.0.1:PORT/b#d", "/b"),
        ("//127.0.0.1:PORT", "/"),
    ] {
        let (asked, answer) = ask(&[&to(place), "HTTP/1.1 200 OK\r\n\r\n"], "/a/x?y", &[]);
        assert_eq!(answer.0, Outcome::Success, "{place}: {}", answer.1);
        assert!(asked[1].starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{place}: {}", asked[1]);
    }
}

/// Threat 31: another host is not asked, nor one that only looks the same.
#[test]
fn redirects_to_another_host_are_a_warning() {
    for place in [
        "http://192.0.2.1/",
        "http://127.0.0.1@192.0.2.1/",
        "http://192.0.2.1:80@127.0.0.2/",
        "//localhost:PORT/",
        "ftp://127.0.0.1:PORT/",
        "http://[::1]:PORT/",
    ] {
        check(
            &[&format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\n\r\nbye")],
            Outcome::Warning,
            "Probe terminated redirects, Response body: bye",
        );
    }
}

#[test]
fn the_eleventh_redirect_is_a_failure() {
    let on = "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n";
    check(&[on; 11], Outcome::Failure, "Get \"http://127.0.0.1:PORT/\": stopped after 10 redirects");
    let nowhere = "Get \"http://127.0.0.1:PORT/\": 301 response missing Location header";
    check(&["HTTP/1.1 301 Moved\r\n\r\n"], Outcome::Failure, nowhere);
}

#[test]
fn headers_as_the_kubelet_sends_them() {
    let well = "HTTP/1.1 200 OK\r\n\r\n";
    let (asked, _) = ask(&[well], "/a b?c=\u{e9}#d", &[("X-A", "1"), ("X-A", "2"), ("Host", "example.com")]);
    assert_eq!(
        asked[0],
        "GET /a%20b?c=%C3%A9 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\n\
         X-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n"
    );
    let (asked, _) = ask(&[well], "/", &[("user-agent", "me"), ("accept", ""), ("Connection", "keep-alive")]);
    assert_eq!(
        asked[0],
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nuser-agent: me\r\nConnection: close\r\n\r\n"
    );
}

/// A port that nobody listens on, nor can meanwhile: it is the near end of a connection.
fn closed_port() -> (TcpListener, TcpStream, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = taken.local_addr().unwrap().port();
    (listener, taken, port)
}

#[test]
fn nobody_there_is_a_failure() {
    let (_listener, _taken, port) = closed_port();
    let refused = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert_eq!(tcp(None, port, Deadline::after(LONG)), (Outcome::Failure, refused.clone()));
    let wanted =
        HttpGet { scheme: Scheme::Http, host: None, port, path: "/x".to_owned(), headers: Vec::new() };
    let message = format!("Get \"http://127.0.0.1:{port}/x\": {refused}");
    assert_eq!(get(&wanted, Deadline::after(LONG)), (Outcome::Failure, message));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(tcp(Some("127.0.0.1"), port, Deadline::after(LONG)), (Outcome::Success, String::new()));
}

#[test]
fn who_says_nothing_is_a_failure_when_the_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let wanted =
        HttpGet { scheme: Scheme::Http, host: None, port, path: "/".to_owned(), headers: Vec::new() };
    let (outcome, message) = get(&wanted, Deadline::after(Duration::from_millis(50)));
    assert_eq!(outcome, Outcome::Failure);
    // Whether the time is over while it connects or later is the machine's affair.
    assert!(message.contains("context deadline exceeded") || message.contains("i/o timeout"), "{message}");
    let late = tcp(None, port, Deadline::after(Duration::ZERO));
    assert_eq!(late, (Outcome::Failure, format!("dial tcp 127.0.0.1:{port}: i/o timeout")));
}

/// Reference B.8: a hook is content with any status, and does not tell what it asked.
#[test]
fn a_hook_takes_any_answer_and_gives_up_what_is_of_no_use() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let wanted = HttpGet {
        scheme: Scheme::Http,
        host: None,
        port,
        path: "/?token=secret".to_owned(),
        headers: Vec::new(),
    };
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 500 Broken\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        assert_eq!(hook(&wanted, Deadline::after(LONG)), Ok(Asked::AsWanted));
        let asked = server.join().unwrap();
        assert!(
            asked.starts_with("GET /?token=secret ") && asked.contains("User-Agent: kube-lifecycle/1.36")
        );
    });
    // Somebody takes the connection and never answers.
    let looks = std::cell::Cell::new(0);
    let of_use = || {
        looks.set(looks.get() + 1);
        looks.get() < 4
    };
    let message = hook(&wanted, Deadline::while_it_is(&of_use)).unwrap_err();
    assert!(message.contains("deadline exceeded"), "{message}");
    drop(listener);
    let message = hook(&wanted, Deadline::after(LONG)).unwrap_err();
    assert!(message.ends_with("connection refused") && !message.contains("secret"), "{message}");
}
