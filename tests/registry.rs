//! `holdfast image pull` from Debian's `docker-registry`, and from registries that are slow, wrong, cut or endless.
//!
//! Root, for the owners of files in layers; no containers. `tests/debian.sh` brings the tools.
#![allow(clippy::unwrap_used)]

mod debian;
mod layers;
mod openssl;
mod origin;
mod pty;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use debian::{run, tool};
use holdfast::image::{Digest, sample};
use openssl::Papers;
use origin::{NAME, Origin, PASSWORD, Wire};
use serde_json::{Value, json};

/// A data directory, and what is to be known of registries; gone at the end.
struct World {
    root: PathBuf,
}

impl World {
    fn new() -> World {
        let world = World { root: nix::unistd::mkdtemp("/tmp/holdfast-registry-XXXXXX").unwrap() };
        world.knows("{}");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes `registries.yaml`.
    fn knows(&self, text: &str) {
        fs::write(self.path("registries.yaml"), text).unwrap();
    }

    fn image(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.arg("image").arg("--data-dir").arg(self.path("data")).args(args);
        // Neither the tester's passwords nor his proxies.
        command.env_clear().env("HOME", &self.root).output().unwrap()
    }

    fn pull(&self, image: &str) -> Output {
        let registries = self.path("registries.yaml").display().to_string();
        // Of those with mirrors nobody else is asked: there may be no network.
        let flags = ["pull", "--disable-default-registry-endpoint", "--private-registry", &registries];
        self.image(&[&flags[..], &[image]].concat())
    }

    /// Pulls it, which goes well; the id.
    #[track_caller]
    fn pulls(&self, image: &str) -> String {
        let output = self.pull(image);
        assert!(output.status.success(), "{}", err(&output));
        let out = String::from_utf8(output.stdout).unwrap();
        out.trim_end().rsplit(' ').next().unwrap().to_owned()
    }

    /// Pulls it, which fails with all of `words`; the sentence.
    #[track_caller]
    fn fails(&self, image: &str, words: &[&str]) -> String {
        let output = self.pull(image);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
        said
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.image(args);
        assert!(output.status.success(), "{}", err(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What lies below `folder` of the store.
    fn store(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("data/agent/holdfast/images").join(folder));
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// An image whose program is `bytes` that cannot be packed any smaller; for skopeo.
    fn archive(&self, file: &str, bytes: usize) -> String {
        let mut sum = Digest::bytes_of(file.as_bytes());
        let mut content = Vec::with_capacity(bytes + 32);
        while content.len() < bytes {
            content.extend(sum);
            sum = Digest::bytes_of(&sum);
        }
        fs::write(self.path("program"), content).unwrap();
        sample(&self.path("program"), &self.path(file), "sample:1").unwrap();
        format!("docker-archive:{}", self.path(file).display())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn open(world: &World) -> Origin {
    Origin::open(&world.path("origin"), tool("docker-registry"))
}

/// Acceptance 14.07: by tag, without one, by digest; one id by every way; a tag that means another image now.
#[test]
fn an_image_comes_by_its_tag_or_its_digest_and_from_a_mirror_under_its_own_name() {
    let world = World::new();
    let origin = open(&world);
    origin.push(tool("skopeo"), &world.archive("one.tar", 1000), "team/app:latest");
    let name = origin.image("team/app");
    let id = world.pulls(&name);
    let again = world.pull(&format!("{name}:latest"));
    assert!(again.status.success() && err(&again).contains("nothing new"), "{}", err(&again));
    let objects: Value = serde_json::from_str(&world.says(&["inspect", &name])).unwrap();
    let digest = objects[0]["repoDigests"][0].as_str().unwrap().rsplit('@').next().unwrap().to_owned();
    let listed = run(tool("skopeo")
        .args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
        .arg(format!("docker://{name}")));
    assert_eq!(digest, listed.trim());
    assert_eq!(world.pulls(&format!("{name}@{digest}")), id);
    world.says(&["verify"]);

    // A mirror has it by another name, and it is here under the one that was asked for.
    world.knows(&format!("mirrors: {{shop.test: {{endpoint: ['http://127.0.0.1:1', 'http://{}'], rewrite: {{'^front/': team/}}}}}}", origin.image("v2")));
    assert_eq!(world.pulls("shop.test/front/app"), id);
    assert!(world.says(&["ls"]).contains("shop.test/front/app"), "{}", world.says(&["ls"]));

    origin.push(tool("skopeo"), &world.archive("two.tar", 2000), "team/app:latest");
    assert_ne!(world.pulls(&name), id);
    let names: Value = serde_json::from_str(&world.says(&["inspect", &id])).unwrap();
    assert_eq!(names[0]["repoTags"], json!(["shop.test/front/app:latest"]), "the tag is the other one's");
    assert_eq!(world.store("partial"), Vec::<PathBuf>::new());
    world.fails(&origin.image("team/app:2"), &["failed to resolve reference", "not found"]);
    world.fails("127.0.0.1:1/x", &["dial tcp 127.0.0.1:1: connect: connection refused"]);
}

/// What is damaged comes again as what it was, though its tag means another image by now; what is whole is not fetched.
#[test]
fn a_damaged_image_without_an_archive_is_made_again_by_its_registry() {
    let world = World::new();
    let origin = open(&world);
    origin.push(tool("skopeo"), &world.archive("one.tar", 1000), "app:1");
    let name = origin.image("app:1");
    let id = world.pulls(&name);
    origin.push(tool("skopeo"), &world.archive("two.tar", 2000), "app:1");
    let registries = world.path("registries.yaml").display().to_string();
    let flags =
        ["verify", "--repair", "--disable-default-registry-endpoint", "--private-registry", &registries];
    for damage in [
        |path: &Path| fs::write(path, "another").unwrap(),
        |path: &Path| fs::remove_file(path).unwrap(),
        |path: &Path| fs::remove_dir_all(path.parent().unwrap()).unwrap(),
    ] {
        damage(&world.store("layers")[0].join("holdfast"));
        let repaired = world.image(&flags);
        assert!(repaired.status.success(), "{}", err(&repaired));
        let words = format!("{name}: made again by {}@sha256:", name.trim_end_matches(":1"));
        assert!(err(&repaired).contains(&words), "{}", err(&repaired));
        world.says(&["verify"]);
        assert!(world.says(&["ls"]).contains(&id[7..20]));
    }
    let config = world.store("configs").remove(0);
    fs::write(config, "{}").unwrap();
    let repaired = world.image(&flags);
    assert!(repaired.status.success(), "{}", err(&repaired));
    fs::write(world.store("layers")[0].join("holdfast"), "another").unwrap();
    drop(origin);
    let repaired = world.image(&flags);
    assert_eq!(repaired.status.code(), Some(1));
    assert!(
        err(&repaired).contains("connection refused")
            && err(&repaired).contains("holdfast image import FILE")
    );
    assert_eq!(fs::read(world.store("layers")[0].join("holdfast")).unwrap(), b"another");
}

/// Acceptance 8.08: who may not is told what to do; and nobody is told any password.
#[test]
fn who_may_not_is_told_and_a_password_is_taken_from_either_file_and_told_to_nobody() {
    let world = World::new();
    let origin = Origin::locked(&world.path("origin"), tool("docker-registry"));
    origin.push(tool("skopeo"), &world.archive("one.tar", 1000), "own:1");
    let name = origin.image("own:1");
    let host = format!("127.0.0.1:{}", origin.port);
    let denied = world.fails(&name, &["status 401", "may require authorization", "registries.yaml"]);
    world.knows(&format!("configs: {{'{host}': {{auth: {{username: {NAME}, password: wrong-SECRET}}}}}}"));
    let wrong = world.fails(&name, &["status 401", "credentials for it are not accepted"]);
    assert!(!format!("{denied}{wrong}").contains("SECRET"), "{wrong}");
    // Taken up as it is now.
    world.knows(&format!("configs: {{'{host}': {{auth: {{username: {NAME}, password: '{PASSWORD}'}}}}}}"));
    let id = world.pulls(&name);
    world.says(&["rm", &name]);

    world.knows("{}");
    world.fails(&name, &["status 401"]);
    fs::create_dir(world.path(".docker")).unwrap();
    // `printf porter:open:sesame | base64`
    let docker = json!({"auths": {format!("http://{host}"): {"auth": "cG9ydGVyOm9wZW46c2VzYW1l"}}});
    fs::write(world.path(".docker/config.json"), docker.to_string()).unwrap();
    assert_eq!(world.pulls(&name), id);
}

/// Over TLS: the registry shows who it is, we do, and nobody is believed unseen.
#[test]
fn a_private_registry_and_a_pull_show_each_other_who_they_are() {
    let world = World::new();
    let papers = Papers::new();
    papers.signed("here", "IP:127.0.0.1", "20200101000000Z", "20991231000000Z");
    papers.signed("us", "DNS:us", "20200101000000Z", "20991231000000Z");
    open(&world).push(tool("skopeo"), &world.archive("one.tar", 1000), "own:1");
    let origin = Origin::private(&world.path("origin"), tool("docker-registry"), papers.file("").as_path());
    let name = format!("shop.test:{}/own:1", origin.port);
    let host = format!("127.0.0.1:{}", origin.port);
    let knows = |tls: &str| {
        let mirrors = format!("mirrors: {{'shop.test:{}': {{endpoint: ['https://{host}']}}}}", origin.port);
        world.knows(&format!("{mirrors}\nconfigs: {{'{host}': {{tls: {{{tls}}}}}}}"));
    };
    let file = |name: &str| papers.file(name).display().to_string();
    let (ca, certificate, key) = (file("ca.pem"), file("us.pem"), file("us.key"));
    let ours = format!("cert_file: {certificate}, key_file: {key}");
    knows(&ours);
    world.fails(&name, &["tls: invalid peer certificate: UnknownIssuer"]);
    knows(&format!("ca_file: {ca}"));
    // Which alert that is differs with the version of the server's TLS.
    world.fails(&name, &["received fatal alert: "]);
    knows(&format!("ca_file: {ca}, cert_file: {certificate}"));
    world.fails(&name, &["cert_file and key_file go together"]);
    knows(&format!("ca_file: {ca}, cert_file: {certificate}, key_file: {}", file("none.key")));
    world.fails(&name, &["none.key"]);
    knows(&format!("ca_file: {ca}, {ours}"));
    let id = world.pulls(&name);
    world.says(&["rm", &name]);
    knows(&format!("insecure_skip_verify: true, {ours}"));
    assert_eq!(world.pulls(&name), id);
    // By https where http is spoken.
    let plain = open(&world);
    world.knows(&format!("mirrors: {{shop.test: {{endpoint: ['https://127.0.0.1:{}']}}}}", plain.port));
    world.fails("shop.test/own:1", &["server gave HTTP response to HTTPS client"]);
}

/// What came is not fetched twice: neither within a pull whose connections are cut, nor by the next one.
#[test]
fn a_layer_that_is_cut_goes_on_where_it_stood() {
    const SIZE: u64 = 3 << 20;
    /// Heads, the manifest, the configuration, of a few tries.
    const BESIDES: u64 = 64 << 10;
    let world = World::new();
    let origin = open(&world);
    origin.push(tool("skopeo"), &world.archive("large.tar", usize::try_from(SIZE).unwrap()), "large:1");
    let wire = Wire::new(origin.port, 1 << 20, true);
    world.knows(&format!("mirrors: {{large.test: {{endpoint: ['http://{}']}}}}", wire.host()));
    world.fails("large.test/large:1", &["bytes are here"]);
    let kept: u64 = world.store("partial").iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!((900 << 10..1 << 20).contains(&kept), "{kept} bytes kept");
    wire.allow(1 << 20);
    world.fails("large.test/large:1", &["bytes are here"]);
    wire.allow(u64::MAX);
    let id = world.pulls("large.test/large:1");
    assert!((SIZE..SIZE + BESIDES).contains(&wire.came()), "{} bytes came of {SIZE}", wire.came());
    world.says(&["verify"]);
    assert_eq!(world.store("partial"), Vec::<PathBuf>::new());

    // What lies there from before a power cut may be anything: it is thrown away, and the layer is right.
    world.says(&["rm", &id]);
    wire.allow(1 << 20);
    world.fails("large.test/large:1", &["bytes are here"]);
    let [half] = &world.store("partial")[..] else { panic!("one layer is half here") };
    let mut bytes = fs::read(half).unwrap();
    bytes[1000..2000].fill(0);
    fs::write(half, bytes).unwrap();
    wire.allow(u64::MAX);
    assert_eq!(world.pulls("large.test/large:1"), id);
    world.says(&["verify"]);
}

/// An answer: status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// A registry that says what it is told to, and what it was asked.
struct Liar {
    port: u16,
    says: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    fn new() -> Liar {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (says, asked) =
            (Arc::<Mutex<BTreeMap<String, Answer>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (of_says, of_asked) = (says.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &of_says, &of_asked);
            }
        });
        Liar { port, says, asked }
    }

    fn says(&self, path: &str, status: u16, headers: &[(&'static str, &str)], body: &[u8]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.says.lock().unwrap().insert(path.to_owned(), (status, headers, body.to_vec()));
    }

    /// It has an image `x:1` of one layer that the manifest gives as `layer`, and says this of it.
    fn has(&self, layer: &[u8], size: usize) -> String {
        self.has_as(layer, &Digest::of(layer), size)
    }

    /// As [`Liar::has`], of a layer that is said to be `diff_id` when it is unpacked.
    fn has_as(&self, layer: &[u8], diff_id: &Digest, size: usize) -> String {
        let digest = Digest::of(layer);
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({"architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(&config), "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size,
                "urls": [format!("http://127.0.0.1:{}/foreign", self.port)]}],
        });
        let kind = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
        self.says("/v2/x/manifests/1", 200, &kind, manifest.to_string().as_bytes());
        self.says(&format!("/v2/x/blobs/{}", Digest::of(&config)), 200, &[], &config);
        let blob = format!("/v2/x/blobs/{digest}");
        self.says(&blob, 200, &[], layer);
        blob
    }

    fn image(&self) -> String {
        format!("127.0.0.1:{}/x:1", self.port)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Answers one request and ends the connection. What is asked is told with what lets in, if that was shown.
fn answer(mut stream: TcpStream, says: &Mutex<BTreeMap<String, Answer>>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let shown =
        headers.iter().filter(|line| line.starts_with("Authorization: ") || line.starts_with("Range: "));
    let shown: String = shown.map(|line| format!(" {}", line.split_once(": ").unwrap().1)).collect();
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(format!("{target}{shown}"));
    let path = target.split('?').next().unwrap_or_default();
    let key = [format!("{path}{shown}"), path.to_owned()];
    let says = says.lock().unwrap();
    let found = key.iter().find_map(|key| says.get(key)).cloned();
    let (status, headers, body) = found.unwrap_or((404, Vec::new(), Vec::new()));
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Content-Length") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    let _ = stream.write_all(&[head.as_bytes(), b"\r\n", &body].concat());
}

/// A tar archive of one file.
fn layer(folder: &Path) -> Vec<u8> {
    fs::write(folder.join("file"), "content").unwrap();
    let tar = folder.join("layer.tar");
    run(Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(&tar).arg("file"));
    fs::read(tar).unwrap()
}

/// Threats 12 and 13 by way of a registry: one clear reason each, and nothing of it left.
#[test]
fn a_registry_that_lies_is_found_out_and_leaves_nothing() {
    let world = World::new();
    let liar = Liar::new();
    let image = liar.image();
    let good = layer(&world.root);
    let mut bad = good.clone();
    bad[600] ^= 1;
    let blob = liar.has(&good, good.len());
    let refuses = |words: &[&str]| {
        world.fails(&image, words);
        for folder in ["partial", "tmp", "layers", "configs"] {
            let left = world
                .store(folder)
                .into_iter()
                .filter(|path| path.metadata().unwrap().len() != 0 || path.is_dir());
            assert_eq!(left.count(), 0, "{folder}");
        }
        liar.asked()
    };
    liar.says(&blob, 200, &[], &bad);
    refuses(&["damaged or was tampered with", "layer sha256:"]);
    liar.says(&blob, 200, &[], &good[..100]);
    refuses(&["has 100 bytes there"]);
    liar.says(&blob, 503, &[], b"{\"errors\": [{\"code\": \"UNAVAILABLE\", \"message\": \"SECRET\"}]}");
    let asked = refuses(&["unexpected status 503 UNAVAILABLE"]);
    assert_eq!(asked.iter().filter(|line| line.starts_with(&blob)).count(), 3, "{asked:?}");
    liar.says(&blob, 403, &[], b"");
    let asked = refuses(&["status 403", "access denied"]);
    assert_eq!(asked.iter().filter(|line| line.starts_with(&blob)).count(), 1, "{asked:?}");
    liar.says(&blob, 302, &[("Location", "ftp://127.0.0.1/x")], b"");
    refuses(&["it leads elsewhere"]);

    let manifest =
        |body: &[u8], kind: &str| liar.says("/v2/x/manifests/1", 200, &[("Content-Type", kind)], body);
    manifest(br#"{"manifests": [], "layers": [], "config": {}}"#, "");
    refuses(&["has both manifests and layers"]);
    manifest(&vec![b' '; 5 << 20], "application/vnd.oci.image.manifest.v1+json");
    refuses(&["more than 4194304 bytes"]);
    manifest(b"<html>", "text/html");
    refuses(&["is no valid document"]);
    manifest(br#"{"config": {"digest": "sha256:../../x", "size": 1}, "layers": []}"#, "");
    refuses(&["64 lower-case hexadecimal digits"]);
    let wrong = liar.has(&good, 40 << 30);
    liar.says(&wrong, 200, &[], &good);
    refuses(&["may have at most"]);
    let by_digest = format!("{}@{}", image.trim_end_matches(":1"), Digest::of(b"another"));
    liar.says(&format!("/v2/x/manifests/{}", Digest::of(b"another")), 200, &[], b"{}");
    world.fails(&by_digest, &["instead of sha256:"]);

    // And after all that it may say the truth.
    liar.has(&good, good.len());
    world.pulls(&image);
    assert!(
        !liar.asked().iter().any(|line| line.contains("foreign")),
        "nobody follows a manifest's own addresses"
    );
    world.says(&["verify"]);
}

/// Ranges are a favour: who ignores them, or has another part, is asked for all of it.
#[test]
fn a_registry_without_ranges_gives_the_whole_layer() {
    let world = World::new();
    let liar = Liar::new();
    let good = layer(&world.root);
    let blob = liar.has(&good, good.len());
    let partial = world.path("data/agent/holdfast/images/partial").join(&blob[blob.len() - 64..]);
    let range = "bytes=1000-";
    let other = [("Content-Range", format!("bytes 999-{}/{}", good.len() - 1, good.len()))];
    let other: Vec<(&'static str, &str)> =
        other.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (status, headers) in [(200, &[][..]), (206, &other[..]), (416, &[][..])] {
        fs::create_dir_all(partial.parent().unwrap()).unwrap();
        fs::write(&partial, &good[..1000]).unwrap();
        let body = if status == 416 { &[][..] } else { &good[..] };
        liar.says(&format!("{blob} {range}"), status, headers, body);
        liar.asked();
        let id = world.pulls(&liar.image());
        assert!(liar.asked().contains(&format!("{blob} {range}")), "{status}");
        world.says(&["rm", &id]);
    }
    // More than it may have, and less than was said, of which the rest comes later.
    fs::write(&partial, [&good[..], b"more"].concat()).unwrap();
    world.pulls(&liar.image());
}

/// Threat 14: the token's giver is shown the password, the registry the token, and whoever else neither.
#[test]
fn a_token_is_fetched_where_the_registry_says_and_shown_to_nobody_else() {
    let world = World::new();
    let (liar, giver, storage) = (Liar::new(), Liar::new(), Liar::new());
    let good = layer(&world.root);
    let blob = liar.has(&good, good.len());
    let realm = format!("Bearer realm=\"http://127.0.0.1:{}/token\",service=\"shop\"", giver.port);
    let manifest = liar.says.lock().unwrap().remove("/v2/x/manifests/1").unwrap();
    liar.says("/v2/x/manifests/1", 401, &[("WWW-Authenticate", &realm)], b"");
    liar.says.lock().unwrap().insert("/v2/x/manifests/1 Bearer T0KEN".to_owned(), manifest);
    // Where the bytes are nobody is shown anything, even if asked for it.
    let there = format!("http://127.0.0.1:{}/bytes?sig=S1G", storage.port);
    liar.says(&blob, 307, &[("Location", &there)], b"");
    storage.says("/bytes", 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"");
    giver.says("/token", 401, &[], b"");
    // `printf porter:SECRET | base64`
    giver.says("/token Basic cG9ydGVyOlNFQ1JFVA==", 200, &[], b"{\"token\": \"T0KEN\"}");
    world.fails(&liar.image(), &["failed to authorize", "401"]);
    world.knows(&format!(
        "configs: {{'127.0.0.1:{}': {{auth: {{username: porter, password: SECRET}}}}}}",
        liar.port
    ));
    giver.asked();
    let said = world.fails(&liar.image(), &["status 401", "/bytes"]);
    assert!(!["SECRET", "T0KEN", "S1G"].iter().any(|secret| said.contains(secret)), "{said}");
    assert_eq!(
        giver.asked()[0],
        "/token?service=shop&scope=repository%3Ax%3Apull Basic cG9ydGVyOlNFQ1JFVA=="
    );
    assert_eq!(storage.asked(), ["/bytes?sig=S1G"]);
    storage.says("/bytes", 200, &[], &good);
    world.pulls(&liar.image());
    assert_eq!(storage.asked(), ["/bytes?sig=S1G"]);
}
