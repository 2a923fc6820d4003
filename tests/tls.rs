//! Connections over TLS, against OpenSSL.

#![allow(missing_docs, reason = "each name is a sentence")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod debian;
mod openssl;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use holdfast::tls::{Client, Connection, Identity, Refused, Trust};
use openssl::Papers;

const HERE: &str = "IP:127.0.0.1,DNS:localhost";
const LONG_AGO: &str = "20200101000000Z";
const MUCH_LATER: &str = "20991231000000Z";

/// What a server on `port` of loopback, called `host`, says to a GET; else why there is no connection.
fn ask(client: &Client, host: &str, port: u16) -> Result<String, String> {
    let connection = client.connect(host, TcpStream::connect(("127.0.0.1", port)).unwrap());
    let told = |refused| match refused {
        Refused::SpeaksHttp => "speaks HTTP".to_owned(),
        Refused::Otherwise(error) => error.to_string(),
    };
    talk(connection.map_err(told)?).map_err(|error| error.to_string())
}

fn talk(mut connection: Connection<TcpStream>) -> std::io::Result<String> {
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    match connection.read_to_string(&mut answer) {
        // The page is whole by then: openssl ends by closing.
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

fn vouched(files: &[PathBuf]) -> Client {
    Client::new(&Trust::Vouched(files.to_vec()), None).unwrap()
}

#[track_caller]
fn well(answer: &Result<String, String>) {
    assert!(answer.as_ref().is_ok_and(|page| page.starts_with("HTTP/1.0 200 ok")), "{answer:?}");
}

#[track_caller]
fn refused(answer: &Result<String, String>, why: &str) {
    assert!(answer.as_ref().is_err_and(|told| told.contains(why)), "{answer:?}");
}

#[test]
fn who_is_vouched_for_is_trusted_by_name_and_address() {
    let papers = Papers::new();
    papers.signed("here", HERE, LONG_AGO, MUCH_LATER);
    papers.signed("there", "DNS:example.com", LONG_AGO, MUCH_LATER);
    papers.signed("old", HERE, LONG_AGO, "20200102000000Z");
    papers.own("stranger", "rsa:2048", &["-addext", &format!("subjectAltName={HERE}")]);
    let client = vouched(&[papers.file("ca.pem")]);
    for version in ["-tls1_2", "-tls1_3"] {
        let here = papers.serve("here", &[version]);
        well(&ask(&client, "127.0.0.1", here.port));
        well(&ask(&client, "localhost", here.port));
        refused(&ask(&client, "example.com", here.port), "not valid for name");
        refused(&ask(&vouched(&[]), "localhost", here.port), "UnknownIssuer");
        refused(&ask(&client, "localhost", papers.serve("there", &[version]).port), "not valid for name");
        refused(&ask(&client, "localhost", papers.serve("old", &[version]).port), "certificate expired");
        refused(
            &ask(&client, "localhost", papers.serve("stranger", &[version]).port),
            "invalid peer certificate",
        );
    }
}

/// Old, weak, for somebody else, of a kind that nobody can verify here.
#[test]
fn anybody_may_show_anything() {
    let papers = Papers::new();
    papers.signed("old", "DNS:example.com", LONG_AGO, "20200102000000Z");
    papers.own("weak", "rsa:1024", &[]);
    papers.own("p521", "ec:secp521r1", &[]);
    papers.own("ed25519", "ed25519", &[]);
    let client = Client::of_anybody().unwrap();
    // In TLS 1.2 the curve of a certificate must be one that we could agree on keys by, and P-521 is none.
    let names: [(&str, &[&str]); 2] =
        [("-tls1_2", &["old", "weak", "ed25519"]), ("-tls1_3", &["old", "weak", "ed25519", "p521"])];
    for (version, names) in names {
        for name in names {
            let server = papers.serve(name, &[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
            let answer = ask(&client, "127.0.0.1", server.port);
            assert!(answer.is_ok(), "{name} {version}: {answer:?}");
            well(&answer);
        }
    }
}

#[test]
fn we_show_who_we_are() {
    let papers = Papers::new();
    papers.signed("here", HERE, LONG_AGO, MUCH_LATER);
    papers.signed("we", "DNS:we", LONG_AGO, MUCH_LATER);
    let trust = Trust::Vouched(vec![papers.file("ca.pem")]);
    let identity = |certificate: &str, key: &str| Identity {
        certificate: papers.file(certificate),
        key: papers.file(key),
    };
    let known = Client::new(&trust, Some(&identity("we.pem", "we.key"))).unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let server =
            papers.serve("here", &[version, "-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"]);
        well(&ask(&known, "localhost", server.port));
        refused(&ask(&vouched(&[papers.file("ca.pem")]), "localhost", server.port), "received fatal alert");
    }
    let wrong = Client::new(&trust, Some(&identity("we.pem", "here.key"))).unwrap_err();
    assert!(format!("{wrong:#}").contains("we.pem: "), "{wrong:#}");
}

/// Each says which file, and what to do.
#[test]
fn files_that_are_of_no_use_are_named() {
    let papers = Papers::new();
    fs::write(papers.file("empty"), "").unwrap();
    fs::write(papers.file("broken"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(papers.file("no-x509"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    fs::write(papers.file("long"), vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    fs::create_dir(papers.file("folder")).unwrap();
    debian::run(std::process::Command::new("mkfifo").arg(papers.file("pipe")));
    for (name, why) in [
        ("empty", "no certificate in it; it should be PEM"),
        ("ca.key", "no certificate in it; it should be PEM"),
        ("broken", "read the certificates in "),
        ("no-x509", "trust the certificates in "),
        ("long", "longer than 1048576 bytes"),
        ("folder", "it is no file"),
        ("pipe", "it is no file"),
        ("missing", "No such file"),
    ] {
        let file = papers.file(name);
        let error = Client::new(&Trust::Vouched(vec![file.clone()]), None).unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains(why) && told.contains(file.to_str().unwrap()), "{name}: {told}");
    }
    let identity = Identity { certificate: papers.file("ca.pem"), key: papers.file("ca.pem") };
    let told = format!("{:#}", Client::new(&Trust::Anybody, Some(&identity)).unwrap_err());
    assert!(told.contains("read the private key in ") && told.contains("ca.pem"), "{told}");
}

#[test]
fn plain_http_is_known_by_its_first_word() {
    for (said, known) in
        [("HTTP/1.1 400 Bad Request\r\n\r\n", true), ("HTTP", false), ("SSH-2.0-x\r\n", false), ("", false)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = listener.accept().unwrap().0;
                // All of it, else the answer is lost in a reset.
                let mut hello = [0; 5];
                stream.read_exact(&mut hello).unwrap();
                let mut rest = vec![0; u16::from_be_bytes([hello[3], hello[4]]).into()];
                stream.read_exact(&mut rest).unwrap();
                stream.write_all(said.as_bytes()).unwrap();
            });
            let client = Client::of_anybody().unwrap();
            let connection = client.connect("localhost", TcpStream::connect(("127.0.0.1", port)).unwrap());
            assert_eq!(matches!(connection, Err(Refused::SpeaksHttp)), known, "{said:?}");
            assert!(connection.is_err());
        });
    }
}
