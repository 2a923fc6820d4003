//! Registries without an end (threats 12 to 14): whatever they answer, and for however long, `image pull` ends with one
//! sentence, after few questions, with little memory, and nothing of it is left.
#![allow(clippy::unwrap_used)]

mod debian;
mod openssl;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use holdfast::image::Digest;
use openssl::Papers;
use serde_json::{Value, json};

/// Most that the program may allocate, in KiB.
const MEMORY_KIB: u32 = 48 << 10;
/// Most bytes that it lets itself be sent: the longest document, and what sockets hold on both sides.
const MOST_BYTES: u64 = 24 << 20;
/// Most questions of one pull: documents, and a few tries for each of two layers.
const MOST_QUESTIONS: usize = 20;

/// An answer: what comes once, and then what comes for ever, unless it is empty.
#[derive(Clone, Default)]
struct Answer {
    once: Vec<u8>,
    forever: Vec<u8>,
}

fn once(text: &str) -> Answer {
    Answer { once: text.as_bytes().to_vec(), forever: Vec::new() }
}

fn forever(head: &str, piece: &str) -> Answer {
    Answer { forever: piece.repeat(1 + (16 << 10) / piece.len()).into_bytes(), ..once(head) }
}

/// An answer with a body, as it should be.
fn whole(kind: &str, body: &[u8]) -> Answer {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Answer { once: [head.as_bytes(), body].concat(), forever: Vec::new() }
}

/// A registry with the image `x:1`, of which a question that has a certain word in it gets another answer.
struct Registry {
    port: u16,
    image: Image,
    instead: Arc<Mutex<Vec<(String, Answer)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    sent: Arc<AtomicU64>,
}

/// Its documents and its layer.
#[derive(Clone)]
struct Image {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl Image {
    fn new() -> Image {
        let mut header = tar::Header::new_ustar();
        header.set_path("file").unwrap();
        header.set_mode(0o644);
        header.set_size(0);
        header.set_cksum();
        let layer = [&header.as_bytes()[..], &[0; 1024]].concat();
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({"architecture": architecture, "os": "linux", "rootfs": {"diff_ids": [Digest::of(&layer)]}});
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "config": {"digest": Digest::of(&config), "size": config.len()},
            "layers": [{"digest": Digest::of(&layer), "size": layer.len()}],
        });
        Image { manifest: manifest.to_string().into_bytes(), config, layer }
    }

    fn answer(&self, head: &str) -> Answer {
        let blob = |bytes: &[u8]| format!("/v2/x/blobs/{}", Digest::of(bytes));
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path.split('?').next().unwrap_or_default() {
            "/v2/x/manifests/1" => whole("application/vnd.oci.image.manifest.v1+json", &self.manifest),
            path if path == blob(&self.config) => whole("application/octet-stream", &self.config),
            path if path == blob(&self.layer) => whole("application/octet-stream", &self.layer),
            _ => once("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        }
    }
}

impl Registry {
    fn new() -> Registry {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let registry = Registry {
            port: listener.local_addr().unwrap().port(),
            image: Image::new(),
            instead: Arc::default(),
            asked: Arc::default(),
            sent: Arc::default(),
        };
        let (image, instead, asked, sent) =
            (registry.image.clone(), registry.instead.clone(), registry.asked.clone(), registry.sent.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
                let other = instead.lock().unwrap().iter().find(|(word, _)| head.contains(word)).cloned();
                asked.lock().unwrap().push(head.clone());
                let answer = other.map_or_else(|| image.answer(&head), |(_, answer)| answer);
                let sent = sent.clone();
                std::thread::spawn(move || send(stream, &answer, &sent));
            }
        });
        registry
    }

    /// From now on who asks with `word` gets `answer`; the first that fits counts.
    fn says(&self, word: &str, answer: Answer) {
        self.instead.lock().unwrap().push((word.to_owned(), answer));
    }

    fn name(&self) -> String {
        format!("127.0.0.1:{}/x:1", self.port)
    }

    /// What was asked, and forgets it and what it was told to say.
    fn take(&self) -> (Vec<String>, u64) {
        self.instead.lock().unwrap().clear();
        (std::mem::take(&mut self.asked.lock().unwrap()), self.sent.swap(0, Ordering::AcqRel))
    }
}

fn send(mut stream: TcpStream, answer: &Answer, sent: &AtomicU64) {
    let mut piece = &answer.once;
    while stream.write_all(piece).is_ok() && !answer.forever.is_empty() {
        sent.fetch_add(answer.forever.len() as u64, Ordering::AcqRel);
        piece = &answer.forever;
    }
}

/// A data directory; gone at the end.
struct World(PathBuf);

impl World {
    fn new() -> World {
        let world = World(nix::unistd::mkdtemp("/tmp/holdfast-endless-XXXXXX").unwrap());
        world.knows("{}");
        world
    }

    fn knows(&self, text: &str) {
        fs::write(self.0.join("registries.yaml"), text).unwrap();
    }

    fn image(&self, args: &[&str]) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -d $1; shift; exec \"$@\"", "sh", &MEMORY_KIB.to_string()]);
        command.arg(env!("CARGO_BIN_EXE_holdfast")).arg("image").arg("--data-dir").arg(self.0.join("data"));
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.0).output().unwrap()
    }

    fn pull(&self, image: &str) -> Output {
        let registries = self.0.join("registries.yaml").display().to_string();
        self.image(&["pull", "--disable-default-registry-endpoint", "--private-registry", &registries, image])
    }

    /// The pull fails with `words`, in one line, and leaves nothing.
    #[track_caller]
    fn fails(&self, image: &str, words: &str) -> String {
        let output = self.pull(image);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        // Before it there may be a line of how much is needed.
        let (first, last) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
        assert!(last.starts_with("error: ") && last.contains(words), "{words:?} in {said}");
        assert!(first.is_empty() || first.ends_with("are here") && first.lines().count() == 1, "{said}");
        for folder in ["tmp", "partial", "layers", "configs"] {
            let entries = fs::read_dir(self.0.join("data/agent/holdfast/images").join(folder));
            // A layer of which nothing came is an empty file, by which others wait.
            let left = entries.into_iter().flatten().flatten().map(|entry| entry.metadata().unwrap());
            assert_eq!(left.filter(|look| look.is_dir() || 0 < look.len()).count(), 0, "{words:?}: {folder}");
        }
        said
    }

    #[track_caller]
    fn pulls(&self, image: &str) {
        let output = self.pull(image);
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_registry_without_an_end_is_left_in_time() {
    let (world, registry) = (World::new(), Registry::new());
    let (config, layer) = (Digest::of(&registry.image.config), Digest::of(&registry.image.layer));
    let (config, layer) = (config.as_str(), layer.as_str());
    let ok = "HTTP/1.1 200 OK\r\n";
    let body = || forever(&format!("{ok}\r\n"), " ");
    let chunked = || forever(&format!("{ok}Transfer-Encoding: chunked\r\n\r\n"), "z\r\n");
    let chunks = || {
        let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
        forever(&format!("{ok}Transfer-Encoding: chunked\r\n\r\n"), &chunk)
    };
    let hundred = || forever(&format!("{ok}Content-Length: 104857600\r\n\r\n"), " ");
    let headers = || forever(ok, "X: y\r\n");
    let line = || forever(ok, "X");
    let interim = || forever("", "HTTP/1.1 100 Continue\r\n\r\n");
    let trailers = || forever(&format!("{ok}Transfer-Encoding: chunked\r\n\r\n0\r\n"), "X: y\r\n");
    let size = || forever(&format!("{ok}Transfer-Encoding: chunked\r\n\r\n"), "0");
    let too_long = "more than 4194304 bytes";
    for (word, answer, expected) in [
        ("/manifests/", body(), too_long),
        ("/manifests/", chunks(), too_long),
        ("/manifests/", hundred(), too_long),
        ("/manifests/", chunked(), "malformed chunked encoding"),
        ("/manifests/", headers(), "headers exceeded"),
        ("/manifests/", line(), "headers exceeded"),
        ("/manifests/", interim(), "malformed HTTP response"),
        ("/manifests/", trailers(), "malformed chunked encoding"),
        ("/manifests/", size(), "malformed chunked encoding"),
        (config, body(), too_long),
        (config, hundred(), too_long),
        // As much as was said of it is taken, and that is not what its digest says.
        (layer, body(), "damaged or was tampered with"),
        (layer, chunks(), "damaged or was tampered with"),
        (layer, hundred(), "it has 104857600 bytes there"),
        (layer, headers(), "headers exceeded"),
    ] {
        registry.says(word, answer);
        world.fails(&registry.name(), expected);
        let (asked, sent) = registry.take();
        assert!(asked.len() <= MOST_QUESTIONS, "{expected}: {asked:?}");
        assert!(sent <= MOST_BYTES, "{expected}: {sent} bytes");
    }
    world.pulls(&registry.name());
}

/// One that is never well, one that never believes us, and one that leads around.
#[test]
fn a_registry_that_always_says_no_is_asked_a_few_times() {
    let (world, registry) = (World::new(), Registry::new());
    let layer = Digest::of(&registry.image.layer);
    let no = |status: u16, header: &str| {
        once(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n{header}\r\n"))
    };
    let port = registry.port;
    let bearer = format!("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\"\r\n");
    let token = || whole("application/json", b"{\"token\": \"T0KEN\"}");
    let basic = "WWW-Authenticate: Basic realm=\"x\"\r\n";
    world.knows(&format!("configs: {{'127.0.0.1:{port}': {{auth: {{username: u, password: p}}}}}}"));
    let cases: [(&[(&str, Answer)], &str); 8] = [
        (&[("/manifests/", no(500, ""))], "unexpected status 500"),
        (&[("/manifests/", no(429, "Retry-After: 1000000\r\n"))], "too many requests"),
        (&[(layer.as_str(), no(502, ""))], "unexpected status 502"),
        (&[("/manifests/", no(401, basic))], "status 401"),
        (&[("/manifests/", no(401, &bearer)), ("/token", token())], "status 401"),
        (&[("/manifests/", no(401, &bearer)), ("/token", no(401, &bearer))], "failed to authorize"),
        (
            &[("/manifests/", no(401, &bearer)), ("/token", forever("HTTP/1.1 200 OK\r\n\r\n", " "))],
            "more than 1048576 bytes",
        ),
        (&[("/manifests/", no(307, "Location: /v2/x/manifests/1?again\r\n"))], "stopped after 10 redirects"),
    ];
    for (answers, expected) in cases {
        answers.iter().for_each(|(word, answer)| registry.says(word, answer.clone()));
        let said = world.fails(&registry.name(), expected);
        assert!(!said.contains("T0KEN"), "{said}");
        let (asked, _) = registry.take();
        assert!(asked.len() <= MOST_QUESTIONS, "{expected}: {asked:?}");
    }
    world.pulls(&registry.name());
}

/// What a registry says of digests is not asked: what came is hashed.
#[test]
fn a_digest_that_is_said_is_no_digest_that_is_right() {
    let (world, registry) = (World::new(), Registry::new());
    let manifest = registry.image.manifest.clone();
    let lie = Digest::of(b"another");
    let head = format!(
        "HTTP/1.1 200 OK\r\nDocker-Content-Digest: {lie}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        manifest.len()
    );
    registry.says("/manifests/", Answer { once: [head.as_bytes(), &manifest].concat(), ..Answer::default() });
    world.pulls(&registry.name());
    let told = world.image(&["inspect", &registry.name()]).stdout;
    let told: Value = serde_json::from_slice(&told).unwrap();
    let digests = told[0]["repoDigests"].to_string();
    assert!(digests.contains(Digest::of(&manifest).as_str()) && !digests.contains(lie.as_str()), "{digests}");
    // Asked for by the digest that it lies about.
    let by_digest = format!("127.0.0.1:{}/x@{lie}", registry.port);
    let said = String::from_utf8(world.pull(&by_digest).stderr).unwrap();
    assert!(said.contains(&format!("instead of {lie}: it was tampered with")), "{said}");
}

/// Threat 14: who speaks https is believed when he says where to go on, but never to plain http.
#[test]
fn nobody_is_led_from_https_to_http() {
    let (world, registry, papers) = (World::new(), Registry::new(), Papers::new());
    papers.signed("here", "IP:127.0.0.1", "20200101000000Z", "20991231000000Z");
    let server = papers.serve_files("here", &[]);
    world.knows(&format!(
        "mirrors: {{shop.test: {{endpoint: ['https://127.0.0.1:{0}']}}}}\n\
         configs: {{'127.0.0.1:{0}': {{auth: {{username: u, password: SECRET}}, tls: {{ca_file: {1}}}}}}}",
        server.port,
        papers.file("ca.pem").display()
    ));
    fs::create_dir_all(papers.file("v2/x/manifests")).unwrap();
    let says = |answer: String| fs::write(papers.file("v2/x/manifests/1?ns=shop.test"), answer).unwrap();
    let plain = format!("http://127.0.0.1:{}", registry.port);
    says(format!("HTTP/1.0 307 X\r\nContent-Length: 0\r\nLocation: {plain}/v2/x/manifests/1\r\n\r\n"));
    world.fails(
        "shop.test/x:1",
        &format!("it leads from https to {plain}/v2/x/manifests/1, which is not followed"),
    );
    let realm = format!("WWW-Authenticate: Bearer realm=\"{plain}/token\"");
    says(format!("HTTP/1.0 401 X\r\nContent-Length: 0\r\n{realm}\r\n\r\n"));
    world.fails("shop.test/x:1", "which is not asked since it is not https");
    assert_eq!(registry.take().0, [""; 0]);
}
