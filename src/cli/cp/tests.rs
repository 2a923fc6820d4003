#![allow(clippy::unwrap_used)]
//! Streams that no honest tar writes.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::pack::pack;
use super::unpack::{Done, unpack, unpack_keeping};

/// A directory with `secret` in it, and the destination `to`.
struct Ground(PathBuf);

impl Ground {
    fn new() -> Ground {
        let root = nix::unistd::mkdtemp("/tmp/holdfast-cp-XXXXXX").unwrap();
        fs::write(root.join("secret"), "secret").unwrap();
        fs::create_dir(root.join("outside")).unwrap();
        Ground(root)
    }

    fn to(&self) -> PathBuf {
        self.0.join("to")
    }

    /// What the stream made of the destination: every name, and the texts of files.
    fn unpack(&self, stream: &[u8]) -> (anyhow::Result<Done>, Vec<String>) {
        let done = unpack(stream, b"src", &self.to());
        assert_eq!(fs::read_to_string(self.0.join("secret")).unwrap(), "secret");
        assert_eq!(fs::read_dir(self.0.join("outside")).unwrap().count(), 0);
        let all = fs::read_dir(&self.0).unwrap().count();
        assert_eq!(all, if self.to().exists() { 3 } else { 2 }, "something beside the destination");
        let mut found = Vec::new();
        list(&self.to(), "", &mut found);
        found.sort();
        (done, found)
    }

    #[track_caller]
    fn check(&self, stream: &[u8], refused: bool, expected: &[&str]) {
        let (done, found) = self.unpack(stream);
        assert_eq!(
            (done.is_err(), &*found),
            (refused, &*expected.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "{done:?}"
        );
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn list(folder: &Path, before: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{name}/"), found);
            found.push(format!("{name}/"));
        } else if entry.file_type().unwrap().is_file() {
            found.push(format!("{name}={}", fs::read_to_string(entry.path()).unwrap()));
        } else {
            found.push(format!("{name}!"));
        }
    }
}

/// An entry as it stands in the stream, whatever it says.
fn entry(kind: u8, name: &str, link: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(mode);
    header.set_uid(12345);
    header.set_gid(12345);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    if matches!(kind, b'3' | b'4') {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(b'0', name, "", 0o644, content.as_bytes())
}

fn dir(name: &str) -> Vec<u8> {
    entry(b'5', name, "", 0o755, b"")
}

fn stream(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

#[test]
fn a_tree_becomes_the_destination_and_a_file_goes_into_a_directory() {
    let ground = Ground::new();
    let tree =
        [dir("./src/"), file("./src/a", "A"), dir("src/d"), file("src/d/b", "B"), file("src/new/c", "C")];
    ground.check(&stream(&tree), false, &["a=A", "d/", "d/b=B", "new/", "new/c=C"]);
    ground.check(
        &stream(&[file("./src", "one")]),
        false,
        &["a=A", "d/", "d/b=B", "new/", "new/c=C", "src=one"],
    );
    let ground = Ground::new();
    assert_eq!(
        unpack(&*stream(&[file("src", "x")]), b"src", &ground.to().join("deep/file")).unwrap(),
        Done::Copied
    );
    assert_eq!(fs::read_to_string(ground.to().join("deep/file")).unwrap(), "x");
    let ground = Ground::new();
    ground.check(&stream(&[]), false, &[]);
}

#[test]
fn names_that_lead_out_are_refused_and_the_others_copied() {
    for name in [
        "src/../../outside/x",
        "../outside/x",
        "src/..",
        "/src/x",
        "/etc/x",
        "other/x",
        "src/a/../../../outside/x",
    ] {
        let ground = Ground::new();
        let inner = stream(&[dir("src"), file(name, "bad"), file("src/good", "good")]);
        ground.check(&inner, true, &["good=good"]);
    }
}

#[test]
fn symbolic_links_are_neither_made_nor_written_through() {
    let ground = Ground::new();
    let outside = ground.0.join("outside");
    let through = [
        dir("src"),
        entry(b'2', "src/link", outside.to_str().unwrap(), 0o777, b""),
        file("src/link/x", "x"),
        entry(b'2', "src/up", "..", 0o777, b""),
        entry(b'2', "src/file", "../secret", 0o777, b""),
        file("src/file", "mine"),
    ];
    // The links are not there: what follows makes a directory and a file of those names.
    ground.check(&stream(&through), false, &["file=mine", "link/", "link/x=x"]);
    // Links that are there already: those of a container that sees the destination, too.
    let ground = Ground::new();
    fs::create_dir(ground.to()).unwrap();
    symlink(ground.0.join("outside"), ground.to().join("link")).unwrap();
    symlink(ground.0.join("secret"), ground.to().join("file")).unwrap();
    let through = [
        dir("src"),
        file("src/link/x", "x"),
        dir("src/link"),
        dir("src/link/d"),
        file("src/file", "bad"),
        entry(b'1', "src/hard", "src/file", 0o644, b""),
        file("src/good", "good"),
    ];
    ground.check(&stream(&through), true, &["file!", "good=good", "link!"]);
    // The destination of one file is a link.
    let ground = Ground::new();
    symlink(ground.0.join("secret"), ground.to()).unwrap();
    assert!(ground.unpack(&stream(&[file("src", "bad")])).0.is_err());
}

#[test]
fn hard_links_lead_to_files_of_the_tree_alone() {
    let ground = Ground::new();
    let good = [dir("src"), file("src/a", "A"), entry(b'1', "src/b", "./src/a", 0o644, b"")];
    ground.check(&stream(&good), false, &["a=A", "b=A"]);
    // Written anew, it is no longer the other's file.
    ground.check(&stream(&[dir("src"), file("src/b", "B")]), false, &["a=A", "b=B"]);
    for to in
        ["../secret", "/etc/passwd", "src/../../secret", "src/d", "src", "other", "src/none", "src/pipe"]
    {
        let ground = Ground::new();
        fs::create_dir(ground.to()).unwrap();
        nix::unistd::mkfifo(&ground.to().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let bad = [dir("src"), dir("src/d"), entry(b'1', "src/b", to, 0o644, b""), file("src/b", "over")];
        ground.check(&stream(&bad), true, &["b=over", "d/", "pipe!"]);
    }
    let ground = Ground::new();
    assert!(ground.unpack(&stream(&[entry(b'1', "src", "/etc/passwd", 0o644, b"")])).0.is_err());
}

#[test]
fn devices_and_pipes_are_left_out_and_those_that_are_there_are_not_opened() {
    let ground = Ground::new();
    let nodes = [b'3', b'4', b'6'].map(|kind| entry(kind, "src/node", "", 0o666, b""));
    ground.check(&stream(&[dir("src"), nodes.concat(), file("src/a", "A")]), false, &["a=A"]);
    nix::unistd::mkfifo(&ground.to().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    ground.check(&stream(&[dir("src"), file("src/pipe", "bad")]), true, &["a=A", "pipe!"]);
    assert!(fs::symlink_metadata(ground.to().join("pipe")).unwrap().file_type().is_fifo());
    let place = ground.to().join("pipe");
    assert!(
        unpack(&*stream(&[file("src", "x")]), b"src", &place).is_err(),
        "nor is the one file's own place"
    );
    assert!(fs::symlink_metadata(place).unwrap().file_type().is_fifo());
}

#[test]
fn set_user_id_and_owners_are_not_taken_over() {
    let ground = Ground::new();
    let modes = [
        entry(b'5', "src", "", 0o7777, b""),
        entry(b'5', "src/d", "", 0o7777, b""),
        entry(b'0', "src/a", "", 0o6777, b"A"),
        entry(b'0', "src/b", "", 0, b"B"),
    ];
    ground.check(&stream(&modes), false, &["a=A", "b=B", "d/"]);
    let ours = fs::metadata(&ground.0).unwrap();
    for (name, most, least) in [("a", 0o777, 0o700), ("b", 0o600, 0o600), ("d", 0o777, 0o700)] {
        let found = fs::metadata(ground.to().join(name)).unwrap();
        let mode = found.permissions().mode() & 0o7777;
        assert!(mode & !most == 0 && mode & least == least, "{name}: {mode:o}");
        assert_eq!((found.uid(), found.gid()), (ours.uid(), ours.gid()), "{name}");
    }
}

#[test]
fn a_name_that_comes_twice_is_the_latter_and_never_another_kind() {
    let ground = Ground::new();
    ground.check(&stream(&[dir("src"), file("src/a", "1"), file("src/a", "2"), dir("src")]), false, &["a=2"]);
    ground.check(
        &stream(&[dir("src"), dir("src/a"), file("src/a/x", "x"), file("src/b", "b")]),
        true,
        &["a=2", "b=b"],
    );
    ground.check(
        &stream(&[dir("src"), dir("src/d"), file("src/d", "x"), file("src", "x")]),
        true,
        &["a=2", "b=b", "d/"],
    );
    let ground = Ground::new();
    ground.check(&stream(&[file("src", "1"), file("src", "2")]), true, &[]);
}

#[test]
fn a_stream_that_ends_early_leaves_no_half_file() {
    let ground = Ground::new();
    let whole = stream(&[dir("src"), file("src/a", "A"), entry(b'0', "src/b", "", 0o644, &[b'b'; 5000])]);
    ground.check(&whole[..4096], true, &["a=A"]);
    let ground = Ground::new();
    assert!(ground.unpack(&stream(&[file("src/a", "what is it in?")])).0.is_err());
}

#[test]
fn names_with_control_characters_and_long_ones_do_no_harm() {
    let ground = Ground::new();
    let names = [dir("src"), file("src/\u{1b}[31m\n", "x"), file(&format!("src/{}", "n".repeat(90)), "y")];
    let (done, found) = ground.unpack(&stream(&names));
    assert_eq!((done.unwrap(), found.len()), (Done::Copied, 2));
    let long = format!("src/{}", "n".repeat(300));
    let endless = format!("src{}", "/d".repeat(4000));
    for name in [long, endless] {
        let ground = Ground::new();
        let header = entry(b'L', "././@LongLink", "", 0, name.as_bytes());
        ground.check(
            &stream(&[dir("src"), header, file("src/x", "x"), file("src/good", "g")]),
            true,
            &["good=g"],
        );
    }
}

/// A source of zeros without end.
#[test]
fn a_header_without_end_is_refused_before_it_fills_the_memory() {
    for kind in [b'L', b'K', b'x', b'g'] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(1 << 40);
        header.set_cksum();
        let ground = Ground::new();
        let mut read = 0_u64;
        let endless = Counted(&mut read, io::Cursor::new(header.as_bytes().to_vec()).chain(io::repeat(b'x')));
        assert!(unpack(endless, b"src", &ground.to()).is_err());
        assert!(read < 4 * 1024 * 1024, "{read}");
    }
}

/// Every disk is too full for somebody who keeps all of it free: 64 MiB would fit well.
#[test]
fn what_would_fill_the_disk_is_broken_off_and_leaves_no_half_file() {
    let mut header = tar::Header::new_gnu();
    header.set_path("src/large").unwrap();
    header.set_size(64 << 20);
    header.set_mode(0o644);
    header.set_cksum();
    let large = || {
        let before = [dir("src"), file("src/a", "A"), header.as_bytes().to_vec()].concat();
        io::Cursor::new(before).chain(io::repeat(0).take((64 << 20) + 1024))
    };
    let ground = Ground::new();
    let mut read = 0;
    let done = unpack_keeping(100, Counted(&mut read, large()), b"src", &ground.to());
    assert!(format!("{:#}", done.unwrap_err()).contains("the disk is nearly full"));
    assert!(read < 32 << 20, "{read}");
    assert_eq!(ground.unpack(&[0; 1024]).1, ["a=A"]);
    unpack(large(), b"src", &ground.to()).unwrap();
    // Empty files take room, too.
    let many: Vec<Vec<u8>> = (0..5000).map(|number| file(&format!("src/{number}"), "")).collect();
    let ground = Ground::new();
    let done = unpack_keeping(100, &*stream(&[vec![dir("src")], many].concat()), b"src", &ground.to());
    assert!(format!("{:#}", done.unwrap_err()).contains("the disk is nearly full"));
}

/// Somebody who may write to what is copied exchanges files and directories for links, again and again.
#[test]
fn what_a_link_leads_to_is_not_sent_whenever_it_took_the_name() {
    let ground = Ground::new();
    let from = ground.0.join("from");
    fs::create_dir_all(from.join("dir")).unwrap();
    fs::create_dir(ground.0.join("private")).unwrap();
    fs::write(from.join("file"), "harmless").unwrap();
    fs::write(from.join("dir/secret"), "harmless").unwrap();
    fs::write(ground.0.join("private/secret"), "secret").unwrap();
    symlink(ground.0.join("secret"), from.join("link")).unwrap();
    symlink(ground.0.join("private"), from.join("link-dir")).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for (one, other) in [("file", "link"), ("dir", "link-dir")] {
                    exchange(&from.join(one), &from.join(other));
                }
            }
        });
        let mut whole = 0;
        for _ in 0..3000 {
            let mut sent = Vec::new();
            whole += usize::from(pack(&mut sent, &from, Path::new("x")).is_ok());
            let mut archive = tar::Archive::new(&*sent);
            for mut entry in archive.entries().unwrap().filter_map(Result::ok) {
                let mut text = String::new();
                // Of an archive that was broken off, the last content may be short.
                let _ = entry.read_to_string(&mut text);
                if text == "secret" {
                    over.store(true, std::sync::atomic::Ordering::Relaxed);
                    panic!("{:?} was sent", entry.path().unwrap());
                }
            }
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(whole > 0, "nothing was ever sent whole");
    });
    fs::remove_dir_all(&from).unwrap();
    fs::remove_dir_all(ground.0.join("private")).unwrap();
}

fn exchange(one: &Path, other: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn what_is_copied_into_a_directory_keeps_its_own_name() {
    let ground = Ground::new();
    symlink("secret", ground.0.join("current")).unwrap();
    for (from, expected) in [
        ("current", "current"),
        ("outside", "outside"),
        ("outside/", "outside"),
        ("outside/.", "outside"),
        ("outside/../outside", "outside"),
    ] {
        assert_eq!(super::own_name(&ground.0.join(from)).unwrap(), expected, "{from}");
    }
    assert!(super::own_name(&ground.0.join("outside/..")).unwrap().starts_with("holdfast-cp-"));
    assert!(super::own_name(Path::new("/")).is_err());
    fs::remove_file(ground.0.join("current")).unwrap();
}

struct Counted<'c, R>(&'c mut u64, R);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.1.read(buffer)?;
        *self.0 += length as u64;
        Ok(length)
    }
}

#[test]
fn paths_in_containers_are_split_where_tar_is_to_begin() {
    for (path, folder, name) in [
        ("/etc/nginx", "/etc", "nginx"),
        ("/etc/nginx/", "/etc", "nginx"),
        ("/etc/../../x", "/", "x"),
        ("/", "/", "."),
        (".", "./", "."),
        ("a", "./", "a"),
        ("-f", "./", "-f"),
        ("./a//b/.", "./a", "b"),
        ("../a", "./..", "a"),
        ("a/../..", "./..", "."),
    ] {
        assert_eq!(super::split(path), (folder.to_string(), name.to_string()), "{path}");
    }
}
