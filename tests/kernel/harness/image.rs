//! The test images: the workload program in archives made by umoci and skopeo, so by other people's tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::debian::root;
pub use super::debian::{cargo, run, tool};

/// The image that stories use.
pub const IMAGE: &str = "holdfast.test/workload:1";
/// Another one, which says so in its environment.
pub const IMAGE_2: &str = "holdfast.test/workload:2";

/// The archives of both images, made once.
pub fn archives() -> &'static [PathBuf] {
    static ARCHIVES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    ARCHIVES.get_or_init(|| ["1", "2"].into_iter().map(archive).collect())
}

/// A shell and its tools in one static program.
pub fn busybox() -> PathBuf {
    super::debian::busybox()
}

/// A copy of a program that can be executed at once.
pub fn copy_program(from: &Path, to: &Path) {
    super::debian::copy_program(from, to);
}

/// The workload program: built beside the binary under test.
pub fn workload() -> PathBuf {
    let built = super::binary().with_file_name("examples").join("workload");
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        // `cargo test --test kernel` alone does not build examples. With nothing to build this takes a moment.
        if built.parent().is_some_and(|folder| !folder.ends_with("release/examples")) {
            run(cargo().args(["build", "--quiet", "--example", "workload"]));
        }
    });
    built
}

fn archive(tag: &str) -> PathBuf {
    let workload = workload();
    let home = target().join("test-images").join(profile());
    let archive = home.join(format!("workload-{tag}.tar"));
    let this = std::env::current_exe().expect("a running program has a path");
    if is_newer(&archive, &workload) && is_newer(&archive, &this) {
        return archive;
    }
    let scratch = home.join(format!("{tag}.{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    let layout = scratch.join("layout").display().to_string();
    let image = format!("{layout}:{tag}");
    let fresh = scratch.join("image.tar");
    run(tool("umoci").args(["init", "--layout", &layout]));
    run(tool("umoci").args(["new", "--image", &image]));
    run(tool("umoci").args(["insert", "--image", &image]).arg(&workload).arg("/workload"));
    run(tool("umoci").args(["insert", "--image", &image]).arg(etc(&scratch)).arg("/etc"));
    run(tool("umoci")
        .args(["config", "--image", &image, "--config.workingdir", "/etc"])
        .args(["--config.entrypoint", "/workload", "--config.entrypoint", "echo"])
        .args(["--config.cmd", "the", "--config.cmd", "default"])
        .args(["--config.env", &format!("IMAGE={tag}"), "--config.env", "COLOUR=of the image"]));
    run(tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", &format!("oci:{image}")])
        .arg(format!("docker-archive:{}:holdfast.test/workload:{tag}", fresh.display())));
    fs::rename(fresh, &archive).unwrap();
    fs::remove_dir_all(scratch).unwrap();
    archive
}

/// Puts Debian's openssl into `folder`, with what it loads and a certificate that it signed itself, `itself.pem` and
/// `itself.key`: how it is called where that folder is mounted at `mounted`.
pub fn put_openssl(folder: &Path, mounted: &str) -> Vec<String> {
    let program = root().join("usr/bin/openssl");
    fs::copy(&program, folder.join("openssl")).unwrap();
    let mut loader = String::new();
    for library in loaded_by(&program) {
        let name = library.file_name().unwrap().to_str().unwrap();
        fs::copy(&library, folder.join(name)).unwrap();
        if name.starts_with("ld-linux") {
            loader = format!("{mounted}/{name}");
        }
    }
    let new =
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=itself", "-keyout", "itself.key"];
    run(tool("openssl").current_dir(folder).args(new).args(["-out", "itself.pem"]));
    [&loader, "--library-path", mounted, &format!("{mounted}/openssl")].map(str::to_owned).to_vec()
}

/// An archive of one image with a shell and a web server on port 80, under the names that the users' own examples ask for;
/// made once.
pub fn shell() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let home = target().join("test-images");
        let archive = home.join("shell.tar");
        if !is_newer(&archive, &busybox()) {
            let scratch = home.join(format!("shell.{}", std::process::id()));
            fs::create_dir_all(&scratch).unwrap();
            fs::rename(make_shell(&scratch), &archive).unwrap();
            fs::remove_dir_all(scratch).unwrap();
        }
        archive
    })
}

fn make_shell(scratch: &Path) -> PathBuf {
    let (root, layout) = (scratch.join("root"), scratch.join("layout").display().to_string());
    for folder in ["bin", "tmp", "www"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    copy_program(&busybox(), &root.join("bin/busybox"));
    for name in ["sh", "ls", "touch", "rm", "sleep", "cat", "echo", "nslookup", "httpd"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("www/index.html"), "hello\n").unwrap();
    let (image, archive) = (format!("{layout}:shell"), scratch.join("image.tar"));
    run(tool("umoci").args(["init", "--layout", &layout]));
    run(tool("umoci").args(["new", "--image", &image]));
    for folder in ["bin", "tmp", "www"] {
        run(tool("umoci")
            .args(["insert", "--image", &image])
            .arg(root.join(folder))
            .arg(format!("/{folder}")));
    }
    run(tool("umoci").args(["config", "--image", &image, "--config.env", "PATH=/bin"]).args([
        "--config.cmd",
        "httpd",
        "--config.cmd",
        "-f",
        "--config.cmd",
        "-h",
        "--config.cmd",
        "/www",
    ]));
    let names = ["nginx:1.14", "nginx:latest"].map(|name| format!("docker.io/library/{name}"));
    let more = names.iter().flat_map(|name| ["--additional-tag", name.as_str()]);
    run(tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet"])
        .args(more)
        .arg(format!("oci:{image}"))
        .arg(format!("docker-archive:{}:docker.io/library/busybox:1.28", archive.display())));
    archive
}

/// The loader and the libraries of a Debian program.
pub fn loaded_by(program: &Path) -> Vec<PathBuf> {
    let of_packages = ["usr/lib", "lib"].map(|folder| root().join(folder)).into_iter();
    let folders = of_packages.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let folders: Vec<_> = folders
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .map(|path| path.display().to_string())
        .collect();
    let told = run(Command::new("ldd").env("LD_LIBRARY_PATH", folders.join(":")).arg(program));
    told.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Users and groups to be found by name.
fn etc(scratch: &Path) -> PathBuf {
    let etc = scratch.join("etc");
    fs::create_dir(&etc).unwrap();
    fs::write(etc.join("passwd"), "root:x:0:0::/:\nworker:x:1234:5678::/:\n").unwrap();
    fs::write(etc.join("group"), "root:x:0:\ncrew:x:5678:\nhelpers:x:7777:worker\n").unwrap();
    fs::write(etc.join("hosts"), "# of the image\n").unwrap();
    // Nobody opens these, so that no cache has them, before a story does.
    (0..5).for_each(|number| fs::write(etc.join(format!("unread{number}")), "of the image\n").unwrap());
    etc
}

/// Whether `made` is there, and was made after `from`.
pub fn is_newer(made: &Path, from: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    time(made).is_some_and(|made| Some(made) > time(from))
}

/// The package's own `target` folder.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target")
}

/// `debug` or `release`, as the binary under test.
fn profile() -> String {
    let folder =
        super::binary().parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    folder.expect("the binary is in a folder named after its profile")
}
