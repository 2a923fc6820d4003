//! Debian's `docker-registry` on loopback, and a wire to it that counts, and holds or cuts what comes.
#![allow(dead_code, reason = "each crate of tests uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A registry that ends with this.
pub struct Origin {
    server: Child,
    pub port: u16,
}

/// Name and password of [`Origin::locked`], and its line of an htpasswd file: bcrypt, the only one that it takes.
pub const NAME: &str = "porter";
pub const PASSWORD: &str = "open:sesame";
const LINE: &str = "porter:$2b$04$HOkeM5mCfeCmCc7PBIzy3e4MBgm4muF1MU2MFDfHWjfxOmKKVrWE.\n";

impl Origin {
    /// For everybody; what it has is in `folder`.
    pub fn open(folder: &Path, tool: Command) -> Origin {
        Origin::start(folder, tool, "", "")
    }

    /// Over TLS with `here.pem`, for who shows what `ca.pem` signed; of `papers`.
    pub fn private(folder: &Path, tool: Command, papers: &Path) -> Origin {
        let file = |name: &str| papers.join(name).display().to_string();
        let (certificate, key, ca) = (file("here.pem"), file("here.key"), file("ca.pem"));
        let tls = format!(", tls: {{certificate: {certificate}, key: {key}, clientcas: [{ca}]}}");
        Origin::start(folder, tool, &tls, "")
    }

    /// For who knows [`NAME`] and [`PASSWORD`].
    pub fn locked(folder: &Path, tool: Command) -> Origin {
        Origin::start(folder, tool, "", &passwords(folder))
    }

    /// Over TLS with `here.pem` of `papers`, for who knows [`NAME`] and [`PASSWORD`].
    pub fn guarded(folder: &Path, tool: Command, papers: &Path) -> Origin {
        let file = |name: &str| papers.join(name).display().to_string();
        let tls = format!(", tls: {{certificate: {}, key: {}}}", file("here.pem"), file("here.key"));
        Origin::start(folder, tool, &tls, &passwords(folder))
    }

    fn start(folder: &Path, mut tool: Command, tls: &str, more: &str) -> Origin {
        fs::create_dir_all(folder).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'{tls}}}\n{more}",
            folder.join("storage").display()
        );
        fs::write(&config, text).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        tool.arg("serve").arg(&config).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = tool.spawn().unwrap();
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(server.try_wait().unwrap().is_none(), "the registry ended: {}", log());
            assert!(begun.elapsed() < Duration::from_secs(20), "the registry does not come up: {}", log());
            thread::sleep(Duration::from_millis(10));
        }
        Origin { server, port }
    }

    /// `127.0.0.1:PORT/name`.
    pub fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// Brings the image that `from` means for skopeo here as `name`; prints what skopeo prints.
    pub fn push(&self, mut skopeo: Command, from: &str, name: &str) {
        skopeo.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
        skopeo.args(["--dest-creds", &format!("{NAME}:{PASSWORD}")]);
        skopeo.args([from, &format!("docker://{}", self.image(name))]);
        let output = skopeo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What a registry's configuration says of who may ask it.
fn passwords(folder: &Path) -> String {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join("htpasswd");
    fs::write(&file, LINE).unwrap();
    format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", file.display())
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A port of its own in front of a registry.
pub struct Wire {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    /// Bytes that came through it towards whoever asks.
    came: AtomicU64,
    /// So many more may come; whoever is cut there is ended, or waits.
    gate: Mutex<Gate>,
    opened: Condvar,
}

#[derive(Clone, Copy)]
struct Gate {
    left: u64,
    cuts: bool,
}

impl Wire {
    /// To `port`, through which `first` bytes come at first; then it `cuts` all connections or holds them.
    pub fn new(to: u16, first: u64, cuts: bool) -> Wire {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let gate = Mutex::new(Gate { left: first, cuts });
        let state = Arc::new(State { came: AtomicU64::new(0), gate, opened: Condvar::new() });
        let of_thread = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let state = of_thread.clone();
                thread::spawn(move || {
                    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { return };
                    let (mut asks, mut answers) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut asks, &mut answers);
                        let _ = answers.shutdown(Shutdown::Both);
                    });
                    state.carry(far, near);
                });
            }
        });
        Wire { port, state }
    }

    /// Bytes that came so far.
    pub fn came(&self) -> u64 {
        self.state.came.load(Ordering::Acquire)
    }

    /// So many more may come.
    pub fn allow(&self, more: u64) {
        self.state.gate.lock().unwrap().left = more;
        self.state.opened.notify_all();
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl State {
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut sent = 0;
            while sent < count {
                let Some(may) = self.may((count - sent) as u64) else {
                    let _ = to.shutdown(Shutdown::Both);
                    return;
                };
                let end = sent + usize::try_from(may).unwrap();
                if to.write_all(&buffer[sent..end]).is_err() {
                    return;
                }
                self.came.fetch_add(may, Ordering::AcqRel);
                sent = end;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }

    /// How many of `wanted` bytes may come; none where the connection is to end.
    fn may(&self, wanted: u64) -> Option<u64> {
        let mut gate = self.gate.lock().unwrap();
        loop {
            let may = gate.left.min(wanted);
            gate.left -= may;
            if 0 < may {
                return Some(may);
            }
            if gate.cuts {
                return None;
            }
            gate = self.opened.wait(gate).unwrap();
        }
    }
}
