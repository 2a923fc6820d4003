//! Archives of servers that people run: Debian's programs with what they load, put together by umoci and skopeo.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::debian::root;
use super::image::{is_newer, loaded_by, run, target, tool};

/// What an image is made of.
struct Recipe {
    /// The archive is called after it.
    short: &'static str,
    /// What a manifest asks for.
    name: &'static str,
    /// Where in Debian's packages and in the image, the first of them its entry point.
    programs: &'static [&'static str],
    /// Files and what is in them.
    files: &'static [(&'static str, &'static str)],
    /// Folders without anything.
    folders: &'static [&'static str],
}

/// Redis, called what the README's example asks for.
pub fn redis() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        made(&Recipe {
            short: "redis",
            name: "docker.io/library/redis:latest",
            programs: &["usr/bin/redis-server", "usr/bin/redis-cli"],
            files: &[],
            folders: &[],
        })
    })
}

/// nginx, as `docker.io/library/nginx:1.22`; what it reads is to be mounted.
pub fn nginx() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        made(&Recipe {
            short: "nginx",
            name: "docker.io/library/nginx:1.22",
            programs: &["usr/sbin/nginx"],
            files: &[
                ("etc/passwd", "root:x:0:0::/:\nwww-data:x:33:33::/:\n"),
                ("etc/group", "root:x:0:\nwww-data:x:33:\n"),
            ],
            folders: &["var/log/nginx", "var/lib/nginx", "run"],
        })
    })
}

/// etcd with its client, as `quay.io/coreos/etcd:3.4`.
pub fn etcd() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        made(&Recipe {
            short: "etcd",
            name: "quay.io/coreos/etcd:3.4",
            programs: &["usr/bin/etcd", "usr/bin/etcdctl"],
            files: &[],
            folders: &["data"],
        })
    })
}

/// The archive of it, made once.
fn made(recipe: &Recipe) -> PathBuf {
    let home = target().join("test-images");
    let archive = home.join(format!("{}.tar", recipe.short));
    let newest = recipe.programs.iter().all(|program| is_newer(&archive, &root().join(program)));
    if !newest {
        let scratch = home.join(format!("{}.{}", recipe.short, std::process::id()));
        fs::create_dir_all(&scratch).unwrap();
        fs::rename(make(recipe, &scratch), &archive).unwrap();
        fs::remove_dir_all(scratch).unwrap();
    }
    archive
}

fn make(recipe: &Recipe, scratch: &Path) -> PathBuf {
    let tree = scratch.join("tree");
    let put = |name: &str, from: &Path| {
        let to = tree.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    for name in recipe.programs {
        let program = root().join(name);
        put(name, &program);
        for library in loaded_by(&program) {
            let file = library.file_name().unwrap().to_str().unwrap();
            // The loader is asked for by its own path, and looks into /lib by default.
            ["lib", "lib64"].iter().for_each(|folder| put(&format!("{folder}/{file}"), &library));
        }
    }
    for (name, content) in recipe.files {
        fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
        fs::write(tree.join(name), content).unwrap();
    }
    for name in recipe.folders {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    let layout = scratch.join("layout").display().to_string();
    let image = format!("{layout}:{}", recipe.short);
    let archive = scratch.join("image.tar");
    run(tool("umoci").args(["init", "--layout", &layout]));
    run(tool("umoci").args(["new", "--image", &image]));
    for entry in fs::read_dir(&tree).unwrap().flatten() {
        let name = format!("/{}", entry.file_name().display());
        run(tool("umoci").args(["insert", "--image", &image]).arg(entry.path()).arg(name));
    }
    let program = format!("/{}", recipe.programs[0]);
    run(tool("umoci").args(["config", "--image", &image, "--config.entrypoint", &program]));
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &format!("oci:{image}")]).arg(format!(
        "docker-archive:{}:{}",
        archive.display(),
        recipe.name
    )));
    archive
}
