//! A killer: `image import` and `image pull` are killed before each of their calls that changes the disk, or before as many
//! as there is time for, and the store is never wrong.
//!
//! What a power cut takes besides, `make power-cut` shows. Root, for the owners of files in layers; no containers.
//! `HOLDFAST_KILLS` is how many kills there are, 200 unless it says otherwise, and `HOLDFAST_SEED` where they begin.
#![allow(clippy::unwrap_used)]

mod debian;
mod origin;
mod tracer;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use debian::{run, tool};
use holdfast::image::{Digest, Store};
use origin::Origin;
use serde_json::{Value, json};

/// Kills of all stories together, and how many stories share them.
const KILLS: u64 = 200;
const STORIES: u64 = 4;

#[test]
fn an_import_that_is_killed_anywhere_leaves_the_store_as_it_was_or_as_it_is_to_be() {
    let world = World::new();
    let archive = world.archive("new.tar", "t:1", &new());
    let import = ["import", archive.to_str().unwrap()];
    world.replay(&import);
    // And where a name moves from an image that has a layer of it.
    let old = world.archive("old.tar", "t:1", &new()[..1]);
    world.image(&["import", old.to_str().unwrap()]);
    world.keep();
    world.replay(&import);
}

#[test]
fn a_pull_that_is_killed_anywhere_leaves_the_store_as_it_was_or_as_it_is_to_be() {
    let world = World::new();
    let origin = Origin::open(&world.path("origin"), tool("docker-registry"));
    let push = |file: &str, layers: &[Vec<u8>]| {
        let archive = world.archive(file, "t:1", layers);
        origin.push(tool("skopeo"), &format!("docker-archive:{}", archive.display()), "t:1");
    };
    let name = origin.image("t:1");
    push("old.tar", &new()[..1]);
    world.image(&["pull", &name]);
    push("new.tar", &new());
    fs::rename(world.path("data"), world.path("old")).unwrap();
    world.replay(&["pull", &name]);
    fs::rename(world.path("old"), world.path("data")).unwrap();
    world.keep();
    world.replay(&["pull", &name]);
}

/// Three layers with everything that takes a call of its own.
fn new() -> [Vec<u8>; 3] {
    let base =
        Tar::default().folder("bin").file("bin/tool", 30_000).link(b'2', "tool", "bin/tool").folder("etc");
    let middle = Tar::default().file("etc/a", 10).link(b'1', "etc/b", "etc/a").file("etc/.wh..wh..opq", 0);
    let upper = Tar::default().file("deep/est/file", 200).file("bin/.wh.tool", 0).link(b'6', "pipe", "");
    [base, middle, upper].map(Tar::end)
}

/// A data directory and one that each kill begins with; gone at the end.
struct World {
    root: PathBuf,
}

/// What somebody sees of a store: the images that are listed, and whether they are whole.
#[derive(Debug, PartialEq)]
struct Seen {
    listed: Value,
    verified: String,
}

/// What there is in a store; that its layers are right is for `verify` to say.
#[derive(Debug, PartialEq)]
struct End {
    files: BTreeSet<PathBuf>,
    index: Value,
}

impl World {
    fn new() -> World {
        let world = World { root: nix::unistd::mkdtemp("/tmp/holdfast-killer-XXXXXX").unwrap() };
        fs::write(world.path("registries.yaml"), "{}").unwrap();
        fs::create_dir(world.path("before")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("data/agent/holdfast/images")
    }

    fn arguments(&self, args: &[&str]) -> Vec<String> {
        let mut all =
            vec!["image".to_owned(), "--data-dir".to_owned(), self.path("data").display().to_string()];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        if args[0] == "pull" {
            all.extend(["--private-registry".to_owned(), self.path("registries.yaml").display().to_string()]);
        }
        all
    }

    /// Says `image …`, which goes well.
    #[track_caller]
    fn image(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        let output = command.args(self.arguments(args)).env_clear().env("HOME", &self.root).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output
    }

    /// Says it again, and never comes to the change of the disk that is number `last`.
    fn traced(&self, args: &[&str], last: Option<u64>) -> tracer::Run {
        let mut command = tracer::traced(env!("CARGO_BIN_EXE_holdfast"));
        command.args(self.arguments(args)).env_clear().env("HOME", &self.root);
        let log = fs::File::create(self.path("log")).unwrap();
        tracer::run(command.stdout(log.try_clone().unwrap()).stderr(log), last)
    }

    /// What there is now is what each kill begins with.
    fn keep(&self) {
        fs::remove_dir_all(self.path("before")).unwrap();
        fs::rename(self.path("data"), self.path("before")).unwrap();
    }

    fn begin(&self) {
        if self.path("data").exists() {
            fs::remove_dir_all(self.path("data")).unwrap();
        }
        run(Command::new("cp").arg("-a").arg(self.path("before")).arg(self.path("data")));
    }

    fn seen(&self) -> Seen {
        let listed = self.image(&["ls", "-o", "json"]).stdout;
        // Tells by its exit code that all of them are whole.
        let verified = self.image(&["verify"]).stdout;
        Seen {
            listed: serde_json::from_slice(&listed).unwrap(),
            verified: String::from_utf8(verified).unwrap(),
        }
    }

    fn end(&self) -> End {
        let store = self.store();
        let mut files = BTreeSet::new();
        let list = |folder: &Path| -> Vec<PathBuf> {
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        for path in list(&store) {
            let inside = if path.is_dir() { list(&path) } else { Vec::new() };
            let named = |path: PathBuf| path.strip_prefix(&store).unwrap().to_owned();
            files.extend(inside.into_iter().chain([path]).map(named));
        }
        // Made when somebody has to ask what is mounted.
        files.remove(Path::new("mounting"));
        let [index, copy] =
            ["index.json", "index.copy"].map(|name| fs::read_to_string(store.join(name)).unwrap());
        assert_eq!(index, copy);
        let mut index: Value = serde_json::from_str(&index).unwrap();
        for image in index["images"].as_array_mut().unwrap() {
            for layer in image["layers"].as_array_mut().unwrap() {
                // It has the times of folders that nobody lists, which are those of the unpacking.
                layer.as_object_mut().unwrap().remove("seal").unwrap();
            }
        }
        End { files, index }
    }

    /// Kills what `args` say at every n-th change of the disk; leaves no data directory.
    fn replay(&self, args: &[&str]) {
        self.begin();
        let old = self.seen();
        let undisturbed = self.traced(args, None);
        assert_eq!(undisturbed.code, Some(0), "{}", fs::read_to_string(self.path("log")).unwrap());
        let (new, end) = (self.seen(), self.end());
        assert_ne!(old, new);
        let empty = |folder: &str| {
            end.files.iter().all(|path| !path.starts_with(folder) || path == Path::new(folder))
        };
        assert!(empty("tmp") && empty("partial") && empty("aside"), "{end:?}");

        let (points, seed) = points(undisturbed.changes);
        let (mut killed, mut kept) = (0, 0);
        for point in &points {
            self.begin();
            let run = self.traced(args, Some(*point));
            let at = || {
                format!(
                    "{args:?}, killed before change {point} of {}: {run:?}, seed {seed}",
                    undisturbed.changes
                )
            };
            let seen = self.seen();
            assert!(seen == old || seen == new, "{}: {seen:?}", at());
            killed += u64::from(run.code.is_none());
            kept += u64::from(seen == old);
            assert!(run.code.is_none_or(|code| code == 0), "{}", at());
            // An agent would tell of damage, and there is none.
            assert!(!Store::read(&self.store()).unwrap().index_is_lost(), "{}", at());
            self.image(args);
            assert_eq!(self.seen(), new, "{}", at());
            assert_eq!(self.end(), end, "{}", at());
        }
        let all = points.len() as u64;
        println!(
            "{args:?}: {} changes of the disk, {killed} kills: {kept} times the old state, {} times the new one",
            undisturbed.changes,
            all - kept
        );
        // Where threads fetch, the last few changes of one run may not come in another one.
        assert!(all - killed <= all / 10, "only {killed} of {all} were killed");
        assert!(0 < kept && kept < all, "{kept} of {all}");
        fs::remove_dir_all(self.path("data")).unwrap();
    }

    /// An archive of an image in docker's layout.
    fn archive(&self, file: &str, name: &str, layers: &[Vec<u8>]) -> PathBuf {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/tool"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let names: Vec<String> = (0..layers.len()).map(|at| format!("{at}.tar")).collect();
        let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": names}]);
        let mut tar = Tar::default();
        for (name, layer) in names.iter().zip(layers) {
            tar.entry(b'0', name, "", layer);
        }
        tar.entry(b'0', "config.json", "", config.to_string().as_bytes());
        tar.entry(b'0', "manifest.json", "", manifest.to_string().as_bytes());
        fs::File::create(self.path(file)).unwrap().write_all(&tar.end()).unwrap();
        self.path(file)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Where to kill, of `changes`: everywhere if there is time for it, else evenly, elsewhere with another seed, and at the end.
fn points(changes: u64) -> (Vec<u64>, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let wanted = number("HOLDFAST_KILLS").unwrap_or(KILLS).div_ceil(STORIES);
    let seed = number("HOLDFAST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let count = wanted.min(changes);
    let evenly = (0..count - 1).map(|at| (at * changes + seed % changes) / count);
    (evenly.chain([changes - 1]).collect(), seed)
}

/// A tar archive in the making.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(&mut self, kind: u8, path: &str, link: &str, content: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_path(path).unwrap();
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000_000);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    fn file(mut self, path: &str, size: usize) -> Tar {
        self.entry(b'0', path, "", &vec![b'x'; size]);
        self
    }

    fn folder(mut self, path: &str) -> Tar {
        self.entry(b'5', path, "", b"");
        self
    }

    fn link(mut self, kind: u8, path: &str, target: &str) -> Tar {
        self.entry(kind, path, target, b"");
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
