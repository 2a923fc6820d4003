//! TLS by somebody else: certificates of every kind, and servers that show them, by OpenSSL.
#![allow(dead_code, reason = "each crate of tests uses its part")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::debian::{run, tool};

/// A folder of keys and certificates, which goes with it.
pub struct Papers {
    folder: PathBuf,
}

impl Papers {
    /// An empty one with an authority `ca` in it.
    pub fn new() -> Papers {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("holdfast-papers-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let papers = Papers { folder };
        papers.own("ca", "ec:prime256v1", &["-addext", "basicConstraints=critical,CA:TRUE"]);
        // What `openssl ca` wants to remember.
        fs::write(papers.file("index"), "").unwrap();
        let settings = "[ca]\ndefault_ca = ours\n[ours]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
                        default_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n";
        fs::write(papers.file("settings"), settings).unwrap();
        papers
    }

    /// The path of a file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// OpenSSL, in the folder.
    fn openssl(&self, args: &[&str]) -> Command {
        let mut command = tool("openssl");
        command.current_dir(&self.folder).args(args);
        command
    }

    /// Makes `name.key` of the kind `key`, as `rsa:2048` or `ec:secp521r1`, and `name.pem`, signed by itself.
    pub fn own(&self, name: &str, key: &str, more: &[&str]) {
        self.key(name, key);
        let mut command = self.openssl(&["req", "-x509", "-sha256", "-key", &format!("{name}.key")]);
        run(command.args(["-out", &format!("{name}.pem"), "-subj", &format!("/CN={name}")]).args(more));
    }

    /// Makes `name.key` and `name.pem`, signed by the authority for `names` (`IP:127.0.0.1,DNS:localhost`) from and until
    /// (`20200101000000Z`).
    pub fn signed(&self, name: &str, names: &str, from: &str, until: &str) {
        self.key(name, "ec:prime256v1");
        let (key, pem, request) = (format!("{name}.key"), format!("{name}.pem"), format!("{name}.request"));
        run(&mut self.openssl(&[
            "req",
            "-new",
            "-key",
            &key,
            "-out",
            &request,
            "-subj",
            &format!("/CN={name}"),
        ]));
        let extensions = format!("{name}.extensions");
        fs::write(self.file(&extensions), format!("subjectAltName = {names}\n")).unwrap();
        let mut command =
            self.openssl(&["ca", "-batch", "-notext", "-config", "settings", "-cert", "ca.pem"]);
        command.args(["-keyfile", "ca.key", "-extfile", &extensions, "-in", &request, "-out", &pem]);
        run(command.args(["-startdate", from, "-enddate", until]));
    }

    fn key(&self, name: &str, kind: &str) {
        let (algorithm, how) = kind.split_once(':').unwrap_or((kind, ""));
        let mut command = self.openssl(&["genpkey", "-algorithm", algorithm, "-out", &format!("{name}.key")]);
        match algorithm {
            "rsa" => command.args(["-pkeyopt", &format!("rsa_keygen_bits:{how}")]),
            "ec" => command.args(["-pkeyopt", &format!("ec_paramgen_curve:{how}")]),
            _ => &mut command,
        };
        run(&mut command);
    }

    /// A server on loopback that shows `name.pem`, with further words of `openssl s_server`. It answers whatever is asked by
    /// HTTP with 200.
    pub fn serve(&self, name: &str, more: &[&str]) -> Server {
        self.listen(name, &[&["-www"], more].concat())
    }

    /// The same, but what is asked for is the name of a file here, with an answer to the letter.
    pub fn serve_files(&self, name: &str, more: &[&str]) -> Server {
        self.listen(name, &[&["-HTTP"], more].concat())
    }

    fn listen(&self, name: &str, more: &[&str]) -> Server {
        let mut command = self.openssl(&["s_server", "-accept", "127.0.0.1:0"]);
        command.args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")]).args(more);
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert!(0 < told.read_line(&mut line).unwrap(), "s_server {more:?} ended before it listened");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().rsplit_once(':').unwrap().1.parse().unwrap();
            }
        };
        // What it says of each connection must go somewhere.
        std::thread::spawn(move || told.read_to_end(&mut Vec::new()));
        Server { process, port }
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl AsRef<Path> for Papers {
    fn as_ref(&self) -> &Path {
        &self.folder
    }
}

/// A server, which ends with it.
pub struct Server {
    process: Child,
    /// Where it listens.
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
