//! `make demo`, as a person tries it: look, edit, break, kill, remove, Ctrl-C.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::harness::kernel::signal;
use crate::harness::{Place, SOON, World, binary, eventually};

/// The demo's process; cleared away by force if the story fails.
struct Demo {
    child: Child,
    printed: PathBuf,
}

impl Demo {
    fn start(printed: PathBuf) -> Demo {
        let out = fs::File::create(&printed).unwrap();
        let mut demo = Command::new(binary());
        demo.arg("demo").stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        Demo { child: demo.spawn().unwrap(), printed }
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.printed).unwrap()
    }

    /// The word that begins with `start`, once it is printed.
    fn word(&self, start: &str) -> String {
        eventually(SOON, &format!("the demo prints {start}…"), || {
            let printed = self.printed();
            printed.split_whitespace().find(|word| word.starts_with(start)).map(str::to_owned)
        })
    }

    fn place(&self) -> Place {
        let manifests = PathBuf::from(self.word("/tmp/holdfast-demo-"));
        let root: PathBuf = manifests.components().take(3).collect();
        let name = root.file_name().unwrap().to_string_lossy().into_owned();
        Place { paths: vec![root], cgroup_root: format!("/{name}") }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.printed());
            self.place().clear();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One page, whatever its status; `None` if nobody answers.
fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}

#[test]
fn the_demo_shows_the_main_job_and_leaves_nothing() {
    let world = World::without_agent();
    let mut demo = Demo::start(world.dir.join("demo"));
    let place = demo.place();
    let manifests = PathBuf::from(demo.word("/tmp/holdfast-demo-"));
    let manifest = fs::read_dir(&manifests).unwrap().next().unwrap().unwrap().path();
    let address = demo.word("http://").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let page = |word: &str| {
        eventually(SOON, &format!("the page says {word}"), || {
            get(&address, "/").filter(|page| page.contains(word))
        })
    };
    page("hello");
    eventually(SOON, "the table says Running", || demo.printed().contains("Running").then_some(()));

    let text = fs::read_to_string(&manifest).unwrap();
    replace(&manifest, &text.replace("value: hello", "value: servus"));
    page("servus");
    replace(&manifest, "apiVersion: v1\nkind: Pod\nspec\n");
    get(&address, "/crash");
    page("servus");
    fs::remove_file(&manifest).unwrap();
    eventually(SOON, "the page is gone", || get(&address, "/").is_none().then_some(()));
    replace(&manifest, &text);
    page("hello");

    signal(i32::try_from(demo.child.id()).unwrap(), Signal::SIGINT);
    let status = eventually(SOON, "the demo ends on Ctrl-C", || demo.child.try_wait().unwrap());
    assert!(status.success(), "{}", demo.printed());
    assert_eq!(place.left(), Vec::<String>::new());
    assert_eq!(place.cgroups(), Vec::<PathBuf>::new());
    assert!(!place.paths[0].exists());
}

fn replace(manifest: &Path, text: &str) {
    let staged = manifest.with_file_name(".staged");
    fs::write(&staged, text).unwrap();
    fs::rename(staged, manifest).unwrap();
}
