//! What happens around a pod process: its birth and death, its peers, its logs, and what is left after very much.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast::protocol::{Exec, Reply, Request, RunState, Tmpfs};
use holdfast::sys::{lock, seqpacket};
use nix::sys::socket::{Shutdown, shutdown};
use serde_json::json;

use crate::world::*;

#[test]
fn a_pod_process_is_nobodys_child_says_what_it_is_and_holds_the_lock() {
    let world = World::new();
    let state = world.state();
    assert_eq!((state.hello.sandbox, &*state.hello.uid, state.hello.pause_pid), (3, "0000-uid", None));
    assert!(lock::is_held(&world.pod().join("lock")).unwrap());
    assert!(lock::take(&world.pod().join("lock")).unwrap().is_none());
    let status = fs::read_to_string(format!("/proc/{}/status", world.pid)).unwrap();
    assert!(!status.contains(&format!("PPid:\t{}\n", std::process::id())), "{status}");
    assert!(status.contains("Threads:\t1\n"), "{status}");
    let line = fs::read(format!("/proc/{}/cmdline", world.pid)).unwrap();
    assert!(line.starts_with(format!("holdfast: pod {}\0", world.sandbox.full_name).as_bytes()));
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", world.pid)).unwrap();
    assert!(cgroup.contains(&format!("{}/holdfast\n", world.sandbox.cgroup)), "{cgroup}");
    let socket = fs::metadata(world.pod().join("sock")).unwrap();
    assert!(socket.file_type().is_socket() && socket.mode() & 0o777 == 0o600);
}

#[test]
fn a_pod_process_keeps_nothing_of_ours_open() {
    // Lock, signals, socket, and /dev/null three times.
    let world = World::new();
    let lock = world.pod().join("lock").display().to_string();
    let mut expected = ["/dev/null", "/dev/null", "/dev/null", &lock, "anon_inode", "socket"];
    // Where the lock stands among them is the checkout's choice.
    expected.sort();
    eventually("only they are open", || {
        let entries = fs::read_dir(format!("/proc/{}/fd", world.pid)).unwrap();
        let links = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let mut found: Vec<_> = links.map(|link| link.display().to_string()).collect();
        found.iter_mut().for_each(|link| link.truncate(link.find(':').unwrap_or(link.len())));
        found.sort();
        found == expected
    });
}

#[test]
fn what_is_wrong_with_a_sandbox_is_said_and_nothing_stays() {
    let check = |words: &str, change: &dyn Fn(&mut holdfast::protocol::Sandbox)| {
        let binary = Path::new(env!("CARGO_BIN_EXE_holdfast"));
        let world = World::prepared(binary, |sandbox| change(sandbox));
        let (code, said) = world.launch(Command::new(binary));
        assert_eq!(code, Some(1));
        assert!(said.contains(words), "{said}");
        eventually("the lock is free", || !lock::is_held(&world.pod().join("lock")).unwrap());
    };
    check("mount a tmpfs at /no/such/place", &|sandbox| {
        sandbox.tmpfs =
            vec![Tmpfs { path: "/no/such/place".to_owned(), options: String::new(), huge: false }];
    });
    check("is not below a kubepods", &|sandbox| sandbox.cgroup = "/..".to_owned());
    check("set the host name", &|sandbox| sandbox.hostname = "x".repeat(65));
}

#[test]
fn a_tmpfs_of_the_pod_is_seen_by_its_containers_and_by_nobody_else() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shm-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let tmpfs = Tmpfs {
        path: place.to_str().unwrap().to_owned(),
        options: "mode=1777,noexec,size=65536".to_owned(),
        huge: false,
    };
    let world = World::with(|sandbox| sandbox.tmpfs = vec![tmpfs.clone()]);
    let mut config =
        config(&["/bin/sh", "-c", "echo here > /dev/shm/file; grep /dev/shm /proc/mounts; ls -ld /dev/shm"]);
    config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/dev/shm", "type": "bind", "source": tmpfs.path, "options": ["rbind", "rw"],
    }));
    let (_, text) = world.run_request(world.request("c", 0, &config));
    assert!(text.contains("tmpfs rw,nosuid,nodev,noexec") && text.contains("drwxrwxrwt"), "{text}");
    config["process"]["args"] = json!(["/bin/cat", "/dev/shm/file"]);
    assert_eq!(world.run_request(world.request("c", 1, &config)).1, "here\n");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    drop(world);
    fs::remove_dir(place).unwrap();
}

#[test]
fn a_pod_process_that_is_killed_frees_its_lock_and_its_watchers_are_told() {
    let world = World::new();
    let mut watcher = world.watch();
    let pid = world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    signal(world.pid, libc::SIGKILL);
    assert_eq!(watcher.hear_within(LONG), None);
    eventually("the lock is free", || !lock::is_held(&world.pod().join("lock")).unwrap());
    // Its containers are the agent's to kill, by their cgroup.
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    world.cgroups.kill(&world.sandbox.cgroup, LONG).unwrap();
    assert!(world.cgroups.is_empty(&world.sandbox.cgroup).unwrap());
}

#[test]
fn a_signal_that_can_be_caught_does_not_end_a_pod_process() {
    let world = World::new();
    for number in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE, libc::SIGRTMIN() + 1] {
        signal(world.pid, number);
    }
    assert_eq!(world.run(0, "exit 0").0.code, 0);
}

#[test]
fn nonsense_is_answered_and_harms_nobody() {
    let world = World::new();
    let client = world.client();
    seqpacket::send(client.0.as_fd(), b"{\"Dance\":1}", &[]).unwrap();
    let Some(Reply::Failed(failure)) = Client::hear_within(&mut Client(client.0), LONG) else { panic!() };
    assert!(failure.message.contains("Dance"), "{failure}");
    let client = world.client();
    seqpacket::send(client.0.as_fd(), &vec![b' '; 150_000], &[]).unwrap();
    assert!(matches!(Client(client.0).hear(), Reply::Failed(_)));
    let mut client = world.client();
    client.send(
        &Request::Exec(Exec {
            name: "c".into(),
            args: vec!["x".into()],
            terminal: false,
            size: None,
            timeout: None,
            measured: false,
        }),
        &[],
    );
    assert!(matches!(client.hear(), Reply::Failed(_)));
    // Descriptors that nobody asked for are closed.
    let before = descriptors(world.pid);
    let null = File::open("/dev/null").unwrap();
    let mut client = world.client();
    client.send(&Request::State, &[null.as_fd(), null.as_fd()]);
    assert!(matches!(client.hear(), Reply::State(_)));
    drop(client);
    eventually("they are closed", || descriptors(world.pid) == before);
}

#[test]
fn a_watcher_that_does_not_read_is_let_go_and_stops_nobody() {
    let world = World::new();
    let deaf = world.watch();
    // Many states, asked for and never read.
    let mut asked = 0;
    let packet = serde_json::to_vec(&Request::State).unwrap();
    nix::fcntl::fcntl(deaf.0.as_raw_fd(), nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
        .unwrap();
    let until = Instant::now() + LONG;
    loop {
        match seqpacket::send(deaf.0.as_fd(), &packet, &[]) {
            Ok(()) => asked += 1,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(_) => break,
        }
        assert!(Instant::now() < until, "still connected after {asked} states");
    }
    assert_eq!(world.run(0, "exit 0").0.code, 0);
}

fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn a_log_is_rotated_while_the_container_writes() {
    let world = World::new();
    let mut request = world.request("c", 0, &config(&["/bin/seq", "1", "20000"]));
    (request.log.max_bytes, request.log.max_files) = (64 << 10, 3);
    let path = request.log.path.clone();
    let mut watcher = world.watch();
    world.start(request);
    watcher.exited("c", 0);
    let folder = Path::new(&path).parent().unwrap();
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 64 << 10));
    let name = files[1].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("0.log.20") && name.as_bytes()[14] == b'-', "{name}");
    let text: String =
        [1, 2, 0].iter().map(|&at| text_of(&fs::read_to_string(&files[at]).unwrap())).collect();
    let numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) && numbers.last() == Some(&20000));
}

#[test]
fn a_full_disk_loses_output_counts_it_and_stops_nobody() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("full-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let tmpfs = Tmpfs {
        path: place.to_str().unwrap().to_owned(),
        options: "size=64k,mode=755".to_owned(),
        huge: false,
    };
    let world = World::with(|sandbox| sandbox.tmpfs = vec![tmpfs]);
    let mut request = world.request("c", 0, &config(&["/bin/seq", "1", "20000"]));
    let logs = place.join("pod/c");
    let seen = |path: &Path| format!("/proc/{}/root{}", world.pid, path.display());
    fs::create_dir_all(seen(&logs)).unwrap();
    request.log.path = logs.join("0.log").to_str().unwrap().to_owned();
    let mut watcher = world.watch();
    world.start(request);
    assert_eq!(watcher.exited("c", 0).code, 0);
    let dropped = world.state().dropped;
    let kept = fs::read(seen(&logs.join("0.log"))).unwrap();
    assert!(kept.ends_with(b"\n") && kept.len() <= 64 << 10, "{}", kept.len());
    // Each record is its number and 40 bytes around it.
    let all: u64 = (1..=20000u32).map(|number| 41 + u64::from(number.ilog10()) + 1).sum();
    assert_eq!(dropped + kept.len() as u64, all);
    drop(world);
    fs::remove_dir(place).unwrap();
}

#[test]
fn a_command_gives_its_output_and_its_exit_code() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    assert_eq!(
        world.executed(&["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]),
        (7, "out\nerr\n".to_owned())
    );
    assert_eq!(world.executed(&["/bin/sh", "-c", "kill -9 $$"]).0, 137);
    // Many at once, and nothing of them stays.
    let commands: Vec<_> = (0..20).map(|number| world.exec(&["/bin/echo", &number.to_string()])).collect();
    for (number, command) in commands.into_iter().enumerate() {
        assert_eq!(command.end(), (0, format!("{number}\n")));
    }
    eventually("nothing of them is left", || {
        world.left_over().iter().all(|line| !line.contains("exec-") && !line.contains(".sock"))
    });
    let state =
        fs::read_dir(world.pod().join("runtime/c-0")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(state.into_iter().all(|name| !name.to_str().unwrap().starts_with("tenant-")));
}

#[test]
fn a_command_reads_what_it_is_given() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (mut output, to) = std::io::pipe().unwrap();
    let mut client = world.client();
    let exec = Exec {
        name: "c".into(),
        args: vec!["cat".into()],
        terminal: false,
        size: None,
        timeout: None,
        measured: false,
    };
    client.send(&Request::Exec(exec), &[reader.as_fd(), to.as_fd(), to.as_fd()]);
    drop((reader, to));
    writer.write_all(b"hello").unwrap();
    drop(writer);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    assert!(matches!(client.hear(), Reply::Started { .. }));
    assert_eq!(client.hear(), Reply::Exited { code: 0 });
}

/// As on a slow board: the time is over before there is anything but a worker.
#[test]
fn a_command_that_does_not_start_in_its_time_is_told_so() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let mut command = world.exec_with(&["/bin/true"], |exec| exec.timeout = Some(Duration::ZERO));
    let reply = command.client.hear();
    let Reply::Failed(failure) = reply else { panic!("{reply:?}") };
    assert!(failure.message.contains("within its timeout"), "{}", failure.message);
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_all_it_started() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let script = "sleep 4321 & sleep 4321";
    let running =
        world.exec_with(&["/bin/sh", "-c", script], |exec| exec.timeout = Some(Duration::from_millis(400)));
    let begun = Instant::now();
    assert_eq!(running.end().0, 137);
    assert!(begun.elapsed() < Duration::from_secs(5));
    let (_, text) = world.executed(&["/bin/sh", "-c", "cat /proc/[0-9]*/cmdline"]);
    assert!(!text.contains("4321"), "{text}");
}

#[test]
fn a_command_ends_with_the_connection_that_asked_for_it() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let mut running = world.exec(&["/bin/sh", "-c", "sleep 4321 & echo on; sleep 4321"]);
    let mut byte = [0];
    running.output.read_exact(&mut byte).unwrap();
    let Running { client, mut output } = running;
    drop(client);
    // Its output ends: nobody holds the pipe any more.
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "n\n");
    eventually("nothing of it is left", || !world.left_over().iter().any(|line| line.contains("exec-")));
}

/// Its end is first noticed by what cannot be told it: that it was started.
#[test]
fn a_command_ends_with_a_connection_that_takes_nothing_any_more() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let mut client = world.client();
    shutdown(client.0.as_raw_fd(), Shutdown::Read).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let exec = Exec {
        name: "c".to_owned(),
        args: ["/bin/sleep", "4321"].map(str::to_owned).to_vec(),
        terminal: false,
        size: None,
        timeout: None,
        measured: false,
    };
    client.send(&Request::Exec(exec), &[null.as_fd(), writer.as_fd(), writer.as_fd()]);
    drop(writer);
    // Its output ends, though it said nothing and the connection is not closed.
    assert!(readable(reader.as_fd(), LONG), "it goes on");
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
    eventually("nothing of it is left", || !world.left_over().iter().any(|line| line.contains("exec-")));
    drop(client);
}

#[test]
fn what_a_command_leaves_behind_goes_on_and_ends_with_the_container() {
    let world = World::new();
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    assert_eq!(world.executed(&["/bin/sh", "-c", "sleep 4321 >/dev/null 2>&1 & exit 0"]).0, 0);
    let (_, text) = world.executed(&["/bin/sh", "-c", "cat /proc/[0-9]*/cmdline"]);
    assert!(text.contains("4321"), "{text}");
    world.stop("c", 0, libc::SIGKILL, Duration::ZERO);
    eventually("nothing is left", || world.left_over().is_empty());
}

#[test]
fn a_command_in_a_container_that_does_not_run_is_refused_and_one_that_runs_ends_with_it() {
    let world = World::new();
    let mut running = world.exec(&["/bin/true"]);
    let Reply::Failed(failure) = running.client.hear() else { panic!() };
    assert!(failure.message.contains("\"c\" does not run"), "{failure}");
    world.start(world.request("c", 0, &config(&["/bin/sleep", "1000"])));
    let mut running = world.exec(&["/bin/sleep", "1000"]);
    assert!(matches!(running.client.hear(), Reply::Started { .. }));
    world.stop("c", 0, libc::SIGKILL, Duration::ZERO);
    assert_eq!(running.client.hear(), Reply::Exited { code: 137 });
}

#[test]
fn a_hundred_starts_leave_nothing_behind() {
    let world = World::new();
    let children = || fs::read_to_string(format!("/proc/{0}/task/{0}/children", world.pid)).unwrap();
    world.run(0, "exit 0");
    eventually("nothing is left", || world.left_over().is_empty() && children().is_empty());
    let before = descriptors(world.pid);
    for attempt in 1..=100 {
        if attempt % 3 == 0 {
            world.fail(world.request("c", attempt, &config(&["missing"])));
        } else {
            assert_eq!(world.run(attempt, "echo $$").0.code, 0);
        }
    }
    eventually("nothing is left", || world.left_over().is_empty() && children().is_empty());
    assert_eq!(descriptors(world.pid), before);
    assert!(matches!(world.state().runs[..], [RunState::Exited(_)]));
}
