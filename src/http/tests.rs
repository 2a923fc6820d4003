#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn an_answer_leads_where_a_browser_would_go() {
    let from = url("https://Registry.test:5000/v2/a/blobs/x?y=1");
    let check = |location: &str, expected: &str| {
        let next = from.join(location).unwrap();
        assert_eq!(
            format!("{}://{}{}", next.scheme(), next.authority(), next.target),
            expected,
            "{location}"
        );
    };
    check("/b?c=d#e", "https://registry.test:5000/b?c=d");
    check("b", "https://registry.test:5000/v2/a/blobs/b");
    check("?z", "https://registry.test:5000/v2/a/blobs/x?z");
    check("//other.test/b", "https://other.test/b");
    check("http://other.test:443/b c", "http://other.test:443/b%20c");
    check("https://[::1]:5000", "https://[::1]:5000/");
    check("https://other.test?x=://y", "https://other.test/?x=://y");
    for wrong in [
        "ftp://a/b",
        "https://",
        "https://a:0/",
        "https://a:+1/",
        "https://a:b/",
        "https://a b/",
        "https://[x]/",
        "https://u:p@a/",
    ] {
        assert!(from.join(wrong).is_err(), "{wrong}");
    }
    // A signature behind the `?` is as good as a password.
    assert_eq!(from.to_string(), "https://registry.test:5000/v2/a/blobs/x");
    assert_eq!(format!("{from:?}"), from.to_string());
    assert_eq!(
        url("http://a").with("scope", "repository:a/b:pull").target,
        "/?scope=repository%3Aa%2Fb%3Apull"
    );
}

#[test]
fn proxies_are_those_of_the_environment_as_go_has_it() {
    let proxies = |pairs: &[(&str, &str)]| {
        let all: BTreeMap<_, _> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Proxies::of(|name| all.get(name).cloned())
    };
    let some = proxies(&[
        ("HTTP_PROXY", "proxy.test:3128"),
        ("https_proxy", "http://us%65r:p%40ss@secure.test:8080/"),
        ("NO_PROXY", "plain.test, .below.test,*.star.test,10.0.0.0/8,192.0.2.1,fd00::/8,port.test:81"),
    ])
    .unwrap();
    let check = |asked: &str, expected: Option<&str>| {
        let asked = url(asked);
        assert_eq!(some.for_url(&asked).map(|proxy| proxy.url.host_port()).as_deref(), expected, "{asked}");
    };
    let (http, https) = (Some("proxy.test:3128"), Some("secure.test:8080"));
    check("http://registry.test", http);
    check("https://registry.test", https);
    for none in [
        "plain.test",
        "a.plain.test",
        "a.below.test",
        "a.star.test",
        "10.1.2.3",
        "192.0.2.1",
        "[fd12::1]",
        "localhost",
        "127.0.0.1:5000",
        "[::1]:5000",
        "port.test:81",
    ] {
        check(&format!("http://{none}"), None);
    }
    for some in
        ["below.test", "star.test", "explain.test", "11.1.2.3", "192.0.2.10", "[fe80::1]", "port.test:82"]
    {
        check(&format!("http://{some}"), http);
    }
    let shown = some.for_url(&url("https://a.test")).unwrap();
    assert_eq!(shown.authorization.as_deref(), Some("Basic dXNlcjpwQHNz"));
    assert!(!format!("{some:?}").contains("dXNl"), "{some:?}");
    assert!(proxies(&[("HTTP_PROXY", "a"), ("NO_PROXY", "*")]).unwrap().for_url(&url("http://b")).is_none());
    let wrong = proxies(&[("HTTPS_PROXY", "socks5://u:SECRET@a:1")]).unwrap_err();
    assert!(
        format!("{wrong:#}").starts_with("variable HTTPS_PROXY: ")
            && !format!("{wrong:#}").contains("SECRET")
    );
}

#[test]
fn names_are_found_in_the_file_of_hosts_and_by_asking() {
    let hosts = "127.0.0.1 localhost\n::1 box\n192.0.2.7\tREGISTRY.test box # registry.other\nnonsense registry.test\n";
    let found = |name: &str| names::of_hosts(hosts, name).iter().map(IpAddr::to_string).collect::<Vec<_>>();
    assert_eq!(found("registry.test"), ["192.0.2.7"]);
    assert_eq!(found("box"), ["192.0.2.7", "::1"]);
    assert_eq!(found("registry.other"), [""; 0]);

    let question = names::question(0x1234, "a.test", 1).unwrap();
    assert_eq!(question[12..], *b"\x01a\x04test\0\0\x01\0\x01");
    assert!(names::question(1, "a..test", 1).is_none() && names::question(1, &"a".repeat(64), 1).is_none());
    let answer = |flags: [u8; 2], count: u8, records: &[u8]| {
        [&question[..2], &flags, &[0, 1, 0, count, 0, 0, 0, 0], &question[12..], records].concat()
    };
    // A name that is another's, whose address follows.
    let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x04\x01b\xc0\x0e";
    let address = b"\x01b\xc0\x0e\0\x01\0\x01\0\0\0\x09\0\x04\xc0\0\x02\x01";
    let whole = answer([0x81, 0x80], 2, &[&alias[..], address].concat());
    let read = |answer: &[u8]| names::read(answer, &question, 1);
    assert_eq!(read(&whole), Some(names::Answer::Whole(vec!["192.0.2.1".parse().unwrap()])));
    assert_eq!(read(&answer([0x81, 0x83], 0, &[])), Some(names::Answer::Whole(Vec::new())));
    assert_eq!(read(&answer([0x81, 0x82], 0, &[])), Some(names::Answer::Refused(2)));
    assert_eq!(read(&answer([0x83, 0x80], 0, &[])), Some(names::Answer::Cut));
    // Neither a question, nor another's answer, nor one that is cut anywhere.
    assert_eq!(read(&answer([0x01, 0], 0, &[])), None);
    assert_eq!(names::read(&whole, &names::question(0x1235, "a.test", 1).unwrap(), 1), None);
    assert_eq!(names::read(&whole, &names::question(0x1234, "b.test", 1).unwrap(), 1), None);
    for length in 0..whole.len() {
        assert_eq!(read(&whole[..length]), None, "{length} bytes");
    }
}

/// A server of one connection after the other, that says each of `answers` to a request, and what it was asked. An empty one
/// ends the connection.
fn server(answers: Vec<Vec<u8>>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let mut asked = Vec::new();
        let mut answers = answers.into_iter().peekable();
        while answers.peek().is_some() {
            let (mut stream, _) = listener.accept().unwrap();
            loop {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 {
                        break;
                    }
                    request.push(byte[0]);
                }
                if request.is_empty() {
                    break;
                }
                asked.push(String::from_utf8(request).unwrap());
                let Some(answer) = answers.next().filter(|answer| !answer.is_empty()) else { break };
                let close = answer.windows(5).any(|part| part == b"close")
                    || !answer.windows(6).any(|part| part == b"ength:" || part == b"chunke");
                stream.write_all(&answer).unwrap();
                if close || answers.peek().is_none() {
                    break;
                }
            }
        }
        asked
    };
    (port, std::thread::spawn(serve))
}

fn get<'c>(client: &Client<'c>, url: &Url, secret: Option<&str>) -> Result<(u16, Vec<u8>)> {
    let authorization = secret.map(str::to_owned);
    let mut response =
        client.ask(&Request { method: "GET", url, headers: Vec::new(), authorization, form: None })?;
    let mut body = Vec::new();
    response.body.read_to_end(&mut body)?;
    Ok((response.status, body))
}

fn client() -> Client<'static> {
    Client::new(Proxies::default(), Duration::from_secs(20), &|| true)
}

fn answers(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|answer| answer.as_bytes().to_vec()).collect()
}

#[test]
fn bodies_end_in_three_ways_and_connections_are_used_again() {
    let (port, served) = server(answers(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\ntw\r\n001\r\no\r\n0\r\nT: x\r\n\r\n",
        "",
        "HTTP/1.1 404 Not Found\r\n\r\nthree",
    ]));
    let client = client();
    let url = url(&format!("http://127.0.0.1:{port}/x"));
    let got = |secret| get(&client, &url, secret).unwrap();
    assert_eq!(got(None), (200, b"one".to_vec()));
    assert_eq!(got(None), (200, b"two".to_vec()));
    // The server ends the connection instead of answering: another is made.
    assert_eq!(got(None), (404, b"three".to_vec()));
    assert_eq!(served.join().unwrap().len(), 4);
}

#[test]
fn what_is_cut_or_could_be_read_in_two_ways_is_an_error() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ncut", "unexpected end of file"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n9\r\ncut",
            "unexpected end of file",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\ncut!\r\n",
            "malformed chunked",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n+3\r\ncut\r\n",
            "malformed chunked",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\ntwo!", "two lengths"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\none", "length is no number"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nboth",
            "encoded in a way",
        ),
        ("SSH-2.0-x\r\n\r\nclose", "malformed HTTP response"),
    ] {
        let (port, served) = server(answers(&[answer]));
        let wrong = get(&client(), &url(&format!("http://127.0.0.1:{port}/")), None).unwrap_err();
        assert!(format!("{wrong:#}").contains(expected), "{answer:?}: {wrong:#}");
        served.join().unwrap();
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}\r\nclose", "y".repeat(100_000));
    let (port, served) = server(vec![endless.into_bytes()]);
    let wrong = get(&client(), &url(&format!("http://127.0.0.1:{port}/")), None).unwrap_err();
    assert!(format!("{wrong:#}").contains("headers exceeded"), "{wrong:#}");
    drop(served);
}

/// Threat 14: what lets in stays with whom it is for, wherever that one leads us.
#[test]
fn a_redirect_takes_no_credentials_along_and_never_leads_to_plain_http() {
    let (other, other_served) = server(answers(&["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhere"]));
    let there =
        format!("HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:{other}/y?sig=1\r\n\r\n");
    let (port, served) =
        server(answers(&["HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: /x2\r\n\r\n", &there]));
    let asked = url(&format!("http://127.0.0.1:{port}/x"));
    assert_eq!(get(&client(), &asked, Some("Bearer SECRET")).unwrap(), (200, b"here".to_vec()));
    let (own, others) = (served.join().unwrap(), other_served.join().unwrap());
    assert!(own.iter().all(|request| request.contains("Authorization: Bearer SECRET\r\n")), "{own:?}");
    assert!(
        others[0].starts_with("GET /y?sig=1 HTTP/1.1\r\n") && !others[0].contains("SECRET"),
        "{others:?}"
    );

    let around = "HTTP/1.1 301 X\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n";
    let (port, served) = server(answers(&[around; MOST_REDIRECTS + 1]));
    let wrong = get(&client(), &url(&format!("http://127.0.0.1:{port}/x")), None).unwrap_err();
    assert!(wrong.to_string().ends_with("stopped after 10 redirects"), "{wrong}");
    served.join().unwrap();
}

#[test]
fn a_proxy_is_told_the_whole_address_and_its_own_password() {
    let (port, served) = server(answers(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]));
    let mut client = client();
    client.proxies =
        Proxies::of(|name| (name == "HTTP_PROXY").then(|| format!("u:p@127.0.0.1:{port}"))).unwrap();
    assert_eq!(get(&client, &url("http://registry.test:5000/v2/?a=b"), None).unwrap(), (200, b"ok".to_vec()));
    let asked = served.join().unwrap();
    assert!(
        asked[0]
            .starts_with("GET http://registry.test:5000/v2/?a=b HTTP/1.1\r\nHost: registry.test:5000\r\n")
    );
    assert!(asked[0].contains("Proxy-Authorization: Basic dTpw\r\n"), "{asked:?}");
}

/// Acceptance 14.07: a pull honours its timeout.
#[test]
fn nobody_waits_for_whom_nobody_waits() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let asked = url(&format!("http://{}/", silent.local_addr().unwrap()));
    let stalled = Client::new(Proxies::default(), Duration::from_millis(50), &|| true);
    let wrong = get(&stalled, &asked, None).unwrap_err();
    assert!(format!("{wrong:#}").contains("nothing came for"), "{wrong:#}");
    let unwanted = Client::new(Proxies::default(), Duration::from_secs(600), &|| false);
    let wrong = get(&unwanted, &asked, None).unwrap_err();
    assert!(format!("{wrong:#}").contains("nobody waits"), "{wrong:#}");
    drop(silent);
    let wrong = get(&stalled, &asked, None).unwrap_err();
    assert!(format!("{wrong:#}").ends_with("connect: connection refused"), "{wrong:#}");
}

/// Threat 12: bytes that come in time, each of them, and an end that never does.
#[test]
fn who_only_drips_is_not_waited_for() {
    for beginning in ["HTTP/1.1 200 OK\r\nX-Drip: ", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = url(&format!("http://{}/", listener.local_addr().unwrap()));
        let dripping = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(beginning.as_bytes()).unwrap();
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let client = Client::new(Proxies::default(), Duration::from_millis(200), &|| true);
        let request =
            Request { method: "GET", url: &asked, headers: Vec::new(), authorization: None, form: None };
        let whole = client.ask(&request).and_then(|mut response| response.document(1 << 20));
        assert!(format!("{:#}", whole.unwrap_err()).ends_with("the answer did not end in 0 s"));
        dripping.join().unwrap();
    }
}
