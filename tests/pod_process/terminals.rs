//! Terminals, stdin, and those who attach.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use holdfast::protocol::{Attach, Exec, Reply, Request, Size, StartContainer, Stdin};
use holdfast::sys::{seqpacket, terminal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;

use crate::world::*;

/// A client that also takes descriptors.
struct Seat(Client);

impl Seat {
    fn new(world: &World) -> Seat {
        Seat(world.client())
    }

    fn send(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) {
        let packet = serde_json::to_vec(request).unwrap();
        seqpacket::send(self.0.0.as_fd(), &packet, descriptors).unwrap();
    }

    fn hear(&self) -> (Reply, Vec<OwnedFd>) {
        assert!(readable(self.0.0.as_fd(), LONG), "nothing heard");
        let packet = seqpacket::recv(self.0.0.as_fd(), holdfast::protocol::MAX_PACKET).unwrap();
        let packet = packet.expect("the connection lives");
        (serde_json::from_slice(&packet.bytes).unwrap(), packet.descriptors)
    }
}

/// Reads until `holds`, or until the end.
fn read_until(from: &mut File, holds: impl Fn(&str) -> bool) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let so_far = String::from_utf8_lossy(&text).into_owned();
        if holds(&so_far) {
            return so_far;
        }
        let mut wanted = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        assert!(poll(&mut wanted, PollTimeout::try_from(LONG).unwrap()).unwrap() > 0, "only {so_far:?}");
        match from.read(&mut buffer) {
            Ok(0) => return so_far,
            Ok(length) => text.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The end of a terminal.
            Err(_) => return so_far,
        }
    }
}

/// A command with a terminal: who asked, and the terminal's master.
fn in_terminal(world: &World, args: &[&str], size: Size) -> (Seat, File) {
    let seat = Seat::new(world);
    let args = args.iter().map(|&word| word.to_owned()).collect();
    let exec =
        Exec { name: "c".into(), args, terminal: true, size: Some(size), timeout: None, measured: false };
    seat.send(&Request::Exec(exec), &[]);
    match seat.hear() {
        (Reply::Started { .. }, mut ends) if ends.len() == 1 => (seat, File::from(ends.remove(0))),
        other => panic!("{other:?}\n{}", world.own_log()),
    }
}

const SIZE: Size = Size { rows: 12, columns: 34 };

#[test]
fn a_commands_terminal_is_one_of_the_container_controls_it_and_has_its_size() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let script = "tty; readlink /proc/self/fd/0; readlink /proc/self/fd/2; busybox stty size; : < /dev/tty && echo controlled; \
                  ls /proc/self/fd; echo $TERM; exit 3";
    let (seat, mut master) = in_terminal(&world, &["/bin/sh", "-c", script], SIZE);
    let text = read_until(&mut master, |_| false);
    let expected = "/dev/pts/0\r\n/dev/pts/0\r\n/dev/pts/0\r\n12 34\r\ncontrolled\r\n0  1  2  3\r\nxterm\r\n";
    assert_eq!(text, expected);
    assert_eq!(seat.hear().0, Reply::Exited { code: 3 });
}

#[test]
fn a_commands_terminal_belongs_to_its_user_who_can_open_it_again() {
    let world = World::new();
    let mut request = world.request("c", 0, &config(&["/bin/sleep", "1000"]));
    request.user = "redis".to_owned();
    world.start(request);
    let script = "echo by name > $(tty); echo by link > /dev/stderr; stat -c %u $(tty)";
    let (seat, mut master) = in_terminal(&world, &["/bin/sh", "-c", script], SIZE);
    assert_eq!(read_until(&mut master, |_| false), "by name\r\nby link\r\n999\r\n");
    assert_eq!(seat.hear().0, Reply::Exited { code: 0 });
}

/// Ctrl-C, Ctrl-Z and Ctrl-D, as bytes.
#[test]
fn what_is_typed_reaches_the_foreground_as_signals_and_the_end() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let script = "trap 'echo got INT' INT; echo ready; cat; echo after; cat; exit 5";
    let (seat, mut master) = in_terminal(&world, &["/bin/sh", "-c", script], SIZE);
    read_until(&mut master, |text| text.contains("ready"));
    master.write_all(b"\x1a").unwrap();
    master.write_all(b"hello\r").unwrap();
    read_until(&mut master, |text| text.matches("hello").count() == 2);
    master.write_all(b"\x03").unwrap();
    read_until(&mut master, |text| text.contains("got INT\r\n") && text.contains("after"));
    master.write_all(b"\x04").unwrap();
    assert_eq!(seat.hear().0, Reply::Exited { code: 5 });
}

#[test]
fn a_terminal_can_be_resized_and_the_foreground_is_told() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let script = "trap 'busybox stty size; exit' WINCH; echo ready; while true; do sleep 0.05; done";
    let (seat, mut master) = in_terminal(&world, &["/bin/sh", "-c", script], SIZE);
    read_until(&mut master, |text| text.contains("ready"));
    terminal::set_size(&master, (50, 132)).unwrap();
    read_until(&mut master, |text| text.contains("50 132"));
    assert_eq!(seat.hear().0, Reply::Exited { code: 0 });
}

#[test]
fn a_command_in_a_terminal_ends_with_the_connection_that_asked_for_it() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let (seat, mut master) =
        in_terminal(&world, &["/bin/sh", "-c", "trap '' HUP; echo on; sleep 4321"], SIZE);
    read_until(&mut master, |text| text.contains("on"));
    drop(seat);
    read_until(&mut master, |_| false);
    eventually("nothing of it is left", || !world.left_over().iter().any(|line| line.contains("exec-")));
}

/// Threat 2: what a hostile container put in the place of its terminals is opened with its own rights only, and refused.
#[test]
fn a_multiplexer_that_is_none_gives_no_terminal_and_harms_nobody() {
    let world = World::new();
    let target = world.directory.join("target");
    fs::write(&target, "untouched").unwrap();
    for (attempt, source) in [(0, "/dev/null"), (2, target.to_str().unwrap())] {
        let mut config = config(&["/bin/sleep", "1000"]);
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/dev/pts");
        mounts.push(json!({
            "destination": "/dev/pts/ptmx", "type": "bind", "source": source, "options": ["bind", "rw"],
        }));
        world.start(world.request("c", attempt, &config));
        let seat = Seat::new(&world);
        let args = vec!["/bin/true".to_owned()];
        let exec =
            Exec { name: "c".into(), args, terminal: true, size: Some(SIZE), timeout: None, measured: false };
        seat.send(&Request::Exec(exec), &[]);
        let (Reply::Failed(failure), _) = seat.hear() else { panic!() };
        assert!(failure.message.contains("/dev/pts/ptmx: it is no multiplexer"), "{failure}");
        // As its own, it is refused too.
        world.stop("c", attempt, libc::SIGKILL, std::time::Duration::ZERO);
        eventually("nothing is left", || world.left_over().is_empty());
        let mut request = world.request("c", attempt + 1, &config);
        request.terminal = true;
        assert!(world.fail(request).message.contains("it is no multiplexer"));
    }
    assert_eq!(fs::read_to_string(target).unwrap(), "untouched");
}

/// Threat 2, with a racer: a volume at `/dev/pts` in which somebody else swaps things while terminals are made.
#[test]
fn nothing_that_is_swapped_under_a_terminal_is_touched() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = World::new();
    let (shared, marker) = (world.directory.join("shared"), world.directory.join("marker"));
    fs::create_dir(&shared).unwrap();
    fs::write(&marker, "untouched").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let path = shared.join("ptmx");
            let all = nix::sys::stat::Mode::all();
            for turn in 0.. {
                let _ = fs::remove_file(&path);
                match turn % 5 {
                    0 => fs::write(&path, "").unwrap(),
                    1 => std::os::unix::fs::symlink("/dev/ptmx", &path).unwrap(),
                    2 => nix::unistd::mkfifo(&path, all).unwrap(),
                    3 => std::os::unix::fs::symlink(&marker, &path).unwrap(),
                    _ => {
                        let multiplexer = nix::sys::stat::makedev(5, 2);
                        nix::sys::stat::mknod(&path, nix::sys::stat::SFlag::S_IFCHR, all, multiplexer)
                            .unwrap();
                    }
                }
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let mut config = config(&["/bin/true"]);
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/dev/pts");
        mounts.push(json!({
            "destination": "/dev/pts", "type": "bind", "source": shared, "options": ["rbind", "rw"],
        }));
        let starts = (0..40).map(|attempt| {
            let request = StartContainer { terminal: true, ..world.request("c", attempt, &config) };
            world.client().ask(&Request::StartContainer(Box::new(request)))
        });
        let replies: Vec<Reply> = starts.collect();
        over.store(true, Ordering::Relaxed);
        for reply in replies {
            let Reply::Failed(failure) = reply else { panic!("{reply:?}") };
            assert!(
                failure.message.starts_with("make a terminal by the container's /dev/pts/ptmx: "),
                "{failure}"
            );
        }
    });
    assert_eq!(fs::read_to_string(marker).unwrap(), "untouched");
    eventually("nothing is left", || world.left_over().is_empty());
}

/// A reader: who asked, its two pipes, and what it may write to.
struct Attached {
    seat: Seat,
    stdout: File,
    stderr: File,
    input: Option<File>,
    terminal: bool,
}

fn attach(world: &World, stdin: bool) -> Attached {
    let (stdout, to_stdout) = std::io::pipe().unwrap();
    let (stderr, to_stderr) = std::io::pipe().unwrap();
    let seat = Seat::new(world);
    let request = Request::Attach(Attach { name: "c".into(), stdin });
    seat.send(&request, &[to_stdout.as_fd(), to_stderr.as_fd()]);
    let (Reply::Attached { terminal, stdin }, mut ends) = seat.hear() else { panic!() };
    assert_eq!(stdin, !ends.is_empty());
    let input = ends.pop().map(File::from);
    let file = |pipe: std::io::PipeReader| File::from(OwnedFd::from(pipe));
    Attached { seat, stdout: file(stdout), stderr: file(stderr), input, terminal }
}

fn refused(world: &World, stdin: bool) -> String {
    let seat = Seat::new(world);
    let (_stdout, to_stdout) = std::io::pipe().unwrap();
    let request = Request::Attach(Attach { name: "c".into(), stdin });
    seat.send(&request, &[to_stdout.as_fd(), to_stdout.as_fd()]);
    let (Reply::Failed(failure), _) = seat.hear() else { panic!() };
    failure.message
}

fn with_stdin(world: &World, attempt: u32, script: &str, stdin: Stdin) -> StartContainer {
    StartContainer { stdin, ..world.request("c", attempt, &config(&["/bin/sh", "-c", script])) }
}

#[test]
fn several_read_along_and_write_to_what_a_container_reads() {
    let world = World::new();
    let script = "while read line; do echo got $line; echo err $line >&2; done; echo never";
    let request = with_stdin(&world, 0, script, Stdin::Open);
    let log = request.log.path.clone();
    world.start(request);
    let mut first = attach(&world, true);
    let mut second = attach(&world, true);
    first.input.as_mut().unwrap().write_all(b"one\n").unwrap();
    for reader in [&mut first, &mut second] {
        assert_eq!(read_until(&mut reader.stdout, |text| text.ends_with('\n')), "got one\n");
        assert_eq!(read_until(&mut reader.stderr, |text| text.ends_with('\n')), "err one\n");
    }
    // Whoever leaves does not end it.
    drop(first);
    second.input.as_mut().unwrap().write_all(b"two\n").unwrap();
    assert_eq!(read_until(&mut second.stdout, |text| text.ends_with('\n')), "got two\n");
    drop(second);
    let mut third = attach(&world, true);
    third.input.as_mut().unwrap().write_all(b"three\n").unwrap();
    assert_eq!(read_until(&mut third.stdout, |text| text.ends_with('\n')), "got three\n");
    world.stop("c", 0, libc::SIGKILL, std::time::Duration::ZERO);
    assert_eq!(read_until(&mut third.stdout, |_| false), "");
    assert_eq!(third.seat.hear().0, Reply::Exited { code: 137 });
    let text = text_of(&fs::read_to_string(log).unwrap());
    for line in ["got one", "err one", "got two", "err two", "got three", "err three"] {
        assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{text}");
    }
}

#[test]
fn stdin_that_is_for_the_first_ends_with_it_even_if_it_is_killed() {
    let world = World::new();
    let script = "cat; echo end; while true; do sleep 0.05; done";
    world.start(with_stdin(&world, 0, script, Stdin::Once));
    let mut first = attach(&world, true);
    assert!(refused(&world, true).contains("stdinOnce"));
    let mut reader = attach(&world, false);
    first.input.as_mut().unwrap().write_all(b"hello\n").unwrap();
    drop(first);
    assert_eq!(read_until(&mut reader.stdout, |text| text.ends_with("end\n")), "hello\nend\n");
    assert!(refused(&world, true).contains("is taken"));
}

#[test]
fn a_container_without_stdin_reads_the_end_at_once() {
    let world = World::new();
    let (exited, text) = world.run(0, "cat; readlink /proc/self/fd/0");
    assert_eq!((exited.code, &*text), (0, "/dev/null\n"));
    world.start(world.request("c", 1, &config(&["/bin/sleep", "1000"])));
    let attached = attach(&world, true);
    assert!(attached.input.is_none() && !attached.terminal);
}

#[test]
fn a_container_can_have_a_terminal_whose_output_is_logged_and_shown() {
    let world = World::new();
    let script = "tty; ls /proc/self/fd; : < /dev/tty && echo controlled; read line; echo got $line; busybox stty size; \
                  exit 4";
    let mut request = with_stdin(&world, 0, script, Stdin::Once);
    request.terminal = true;
    let log = request.log.path.clone();
    let mut watcher = world.watch();
    world.start(request);
    let text = || text_of(&fs::read_to_string(&log).unwrap());
    eventually("it asks", || text().contains("controlled"));
    let first = attach(&world, true);
    assert!(first.terminal);
    drop(first);
    // A terminal is not closed by one who leaves.
    let mut second = attach(&world, true);
    let mut input = second.input.take().unwrap();
    terminal::set_size(&input, (24, 80)).unwrap();
    input.write_all(b"typed\r").unwrap();
    let shown = read_until(&mut second.stdout, |_| false);
    assert_eq!(shown, "typed\r\ngot typed\r\n24 80\r\n");
    assert_eq!(second.seat.hear().0, Reply::Exited { code: 4 });
    assert_eq!(watcher.exited("c", 0).code, 4);
    let lines: Vec<String> = text().lines().map(str::to_owned).collect();
    let expected =
        ["/dev/pts/0", "0  1  2  3", "controlled", "typed", "got typed", "24 80"].map(str::to_owned);
    assert_eq!(lines, expected);
    // Nothing is hidden: `lines` takes the carriage returns with the line ends.
    assert!(fs::read_to_string(&log).unwrap().contains("stdout F got typed\r\n"));
    eventually("nothing is left", || world.left_over().is_empty());
}

#[test]
fn a_container_that_closes_its_terminal_goes_on_and_can_open_it_again() {
    let world = World::new();
    let script = "exec < /dev/null > /dev/null 2>&1; sleep 0.2; echo again > /dev/pts/0; exit 6";
    let mut request = with_stdin(&world, 0, script, Stdin::None);
    request.terminal = true;
    let log = request.log.path.clone();
    let mut watcher = world.watch();
    world.start(request);
    assert_eq!(watcher.exited("c", 0).code, 6);
    assert_eq!(text_of(&fs::read_to_string(log).unwrap()), "again\n");
}

/// Threat 15: who attaches and does not read loses what goes past, is told how much, and holds up nobody.
#[test]
fn a_reader_that_is_slow_is_told_what_it_missed_and_the_log_has_it() {
    let world = World::new();
    let script = "read go; seq 1 40000; read go; echo after; sleep 1000";
    let mut request = with_stdin(&world, 0, script, Stdin::Open);
    request.log.max_bytes = 64 << 20;
    let log = request.log.path.clone();
    world.start(request);
    let mut slow = attach(&world, true);
    slow.input.as_mut().unwrap().write_all(b"go\n").unwrap();
    let text = || text_of(&fs::read_to_string(&log).unwrap());
    eventually("all is logged", || text().ends_with("\n40000\n"));
    let all = text().len();
    // What fitted into the pipe is all there is of it.
    let mut kept = vec![0; 65536];
    slow.stdout.read_exact(&mut kept).unwrap();
    slow.input.as_mut().unwrap().write_all(b"go\n").unwrap();
    let more = read_until(&mut slow.stdout, |text| text.ends_with("after\n"));
    assert_eq!(more, "after\n");
    assert_eq!(slow.seat.hear().0, Reply::Missed { bytes: (all - 65536) as u64 });
}

#[test]
fn what_is_no_pipe_is_no_reader() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let file = File::create(world.directory.join("file")).unwrap();
    for descriptors in [vec![file.as_fd(), file.as_fd()], vec![]] {
        let seat = Seat::new(&world);
        seat.send(&Request::Attach(Attach { name: "c".into(), stdin: false }), &descriptors);
        let (Reply::Failed(failure), _) = seat.hear() else { panic!() };
        assert!(failure.message.contains("pipe"), "{failure}");
    }
    let seat = Seat::new(&world);
    seat.send(&Request::Attach(Attach { name: "other".into(), stdin: false }), &[]);
    let (Reply::Failed(failure), _) = seat.hear() else { panic!() };
    assert!(failure.message.contains("\"other\" does not run"), "{failure}");
}

/// Threat 15. `HOLDFAST_SOAK=10000` for as many as the list asks for.
#[test]
fn many_commands_and_readers_leave_no_descriptor_process_cgroup_or_memory() {
    let count = std::env::var("HOLDFAST_SOAK").ok().and_then(|count| count.parse().ok()).unwrap_or(150);
    let world = World::new();
    let request = with_stdin(&world, 0, "while read line; do echo $line; done", Stdin::Open);
    world.start(request);
    let round = |number: u32| match number % 3 {
        0 => assert_eq!(world.executed(&["/bin/echo", "x"]), (0, "x\n".to_owned())),
        1 => {
            let (seat, mut master) = in_terminal(&world, &["/bin/echo", "x"], SIZE);
            assert_eq!(read_until(&mut master, |_| false), "x\r\n");
            assert_eq!(seat.hear().0, Reply::Exited { code: 0 });
        }
        _ => {
            let mut reader = attach(&world, true);
            reader.input.as_mut().unwrap().write_all(b"x\n").unwrap();
            assert_eq!(read_until(&mut reader.stdout, |text| text.ends_with('\n')), "x\n");
        }
    };
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", world.pid)).unwrap().count();
    let children = || {
        let text = fs::read_to_string(format!("/proc/{0}/task/{0}/children", world.pid)).unwrap();
        text.split_whitespace().count()
    };
    // Lock, signals, socket, three times /dev/null; stdin, stdout and stderr of the container, its log and the folder of that.
    let settled = || {
        eventually("nothing of them is left", || {
            let left = world.left_over().iter().filter(|line| line.contains("exec-")).count();
            left == 0 && children() == 1 && descriptors() == 11
        });
    };
    (0..30).for_each(round);
    settled();
    let memory = anonymous(world.pid);
    (0..count).for_each(round);
    settled();
    let now = anonymous(world.pid);
    println!("after {count}: {now} KiB of its own, {memory} before");
    // The heap settles within some tens of KiB; ten bytes lost each time would be 98 after 10,000.
    assert!(now <= memory + 96, "{memory} KiB before, {now} after {count}");
}

/// Memory that is no file's, in KiB.
fn anonymous(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
