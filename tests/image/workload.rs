//! What the test image runs: one static program whose first argument says what to do.
//!
//! A container's process is PID 1 of its namespace and so deaf to every signal it does not handle: `sleep` behaves like
//! any careless program, `trap-term` like a careful one.
//!
//! Its `main` is C's: Rust's own would ignore SIGPIPE before the first line, and `status` could not tell what the
//! container was given. Its arguments are C's too: musl tells them to nobody else.

#![no_main]
#![allow(unsafe_code, reason = "the name of main, and a real fault")]
#![allow(missing_docs, reason = "a program without readers of its documentation")]
#![allow(
    clippy::unwrap_used,
    reason = "a container that panics is a test that fails, with the reason in its log"
)]

use std::ffi::{CStr, c_char, c_int};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{getegid, geteuid, getgid, getgroups, gethostname, getuid};

const USAGE: &str = "usage: workload COMMAND
  echo WORDS…                 print them, exit 0
  exit CODE                   exit with CODE
  sleep                       for ever, deaf as PID 1
  trap-term [CODE]            until SIGTERM (or another that ends programs), then exit with CODE, 0 by default
  ignore-term                 for ever, saying each time that a SIGTERM came
  crash-signal N              die by signal N: 11 by a real fault, others by raising it
  diary FILE WORD END         append a line WORD to FILE and exit with the code END; where that is `run`, append the line
                              WORD-ends at SIGTERM
  steps FILE STEP…            append a byte to FILE; the n-th run does the n-th STEP: an exit code, or run
  watch DIRECTORY             hold an inotify watch on it, as a kubelet does, until SIGTERM
  listen PORT [ADDRESS]       answer every TCP connection with one HTTP page; SIGTERM ends it
  serve PORT DIRECTORY        answer a GET of /NAME by the bytes of DIRECTORY/NAME, and print it; SIGTERM ends it
  there FILE                  exit with 0 if it is there, else with 1 and a word about it
  eat-memory MIB              touch that much memory, then sleep
  write-lines N BYTES [MS]    print N lines of BYTES each, MS milliseconds apart, then as trap-term
  flood                       print lines as fast as they are taken
  fork-tree N                 N children with a child each, all deaf, then sleep
  status                      print what a process can see of itself
  status-to FILE              write what `status` prints to FILE, which then is there as a whole
  status-to FILE stay         the same, then as trap-term
  cat FILE…                   print files
  write FILE TEXT             write TEXT to FILE, then as trap-term
  write-mib FILE MIB          write so much to FILE, see it on the disk, say so, then as trap-term
  map FILE BYTES              map so much of FILE and touch it, say so, then as trap-term
  map huge BYTES              the same with huge pages that are no file's
  lease FILE                  take a lease on it, which whoever opens it waits for, then as trap-term
  advertise                   say all the while to everybody on the link that this is a router of IPv6
  until FILE                  say FILE.begun, wait for FILE
  mute PORT                   take every TCP connection and never answer; SIGTERM ends it
  say CODE FILE TEXT          write TEXT to FILE, exit with CODE
  device KIND MAJOR MINOR FILE    make the node FILE of a device (KIND is b or c), and say what came of that and of opening it
  open FILE…                  say what comes of opening each for reading and writing
  say-much FILE               try to put another file in FILE's place, grow it to 1 GiB and a word, exit with 3
  first-instruction FILE      append the clocks (boottime, monotonic, in ns) to FILE, then as trap-term";

// SAFETY: the one `main` of this program; without Rust's, nothing else defines it.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, words: *const *const c_char) -> ! {
    let clocks = (now(ClockId::CLOCK_BOOTTIME), now(ClockId::CLOCK_MONOTONIC));
    let args: Vec<String> = (1..usize::try_from(count).unwrap())
        // SAFETY: `words` holds `count` pointers to texts that end with a zero, for as long as the process lives.
        .map(|at| unsafe { CStr::from_ptr(*words.add(at)) }.to_str().unwrap().to_owned())
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["echo", words @ ..] => println!("{}", words.join(" ")),
        ["exit", code] => exit(code.parse().unwrap()),
        ["sleep"] => sleep(),
        ["trap-term"] => trap_term(0),
        ["trap-term", code] => trap_term(code.parse().unwrap()),
        ["ignore-term"] => ignore_term(),
        ["crash-signal", signal] => crash(signal.parse().unwrap()),
        ["diary", file, word, end] => diary(file, word, end),
        ["steps", file, steps @ ..] => run_step(file, steps),
        ["watch", directory] => {
            term_signals().thread_block().unwrap();
            let inotify = inotify::Inotify::init().unwrap();
            inotify.watches().add(directory, inotify::WatchMask::CREATE).unwrap();
            println!("watching {directory}");
            trap_term(0);
        }
        ["listen", port] => listen(port.parse().unwrap(), "0.0.0.0"),
        ["listen", port, address] => listen(port.parse().unwrap(), address),
        ["listen-sctp", port] => listen_sctp(port.parse().unwrap()),
        ["ask-sctp", address, port] => ask_sctp(address.parse().unwrap(), port.parse().unwrap()),
        ["serve", port, directory] => serve(port.parse().unwrap(), directory),
        ["there", file] => {
            if !fs::exists(file).unwrap() {
                println!("{file} is not there");
                exit(1);
            }
        }
        ["eat-memory", mib] => eat_memory(mib.parse().unwrap()),
        ["write-lines", lines, bytes] => write_lines(lines, bytes, "0"),
        ["write-lines", lines, bytes, pause_ms] => write_lines(lines, bytes, pause_ms),
        ["flood"] => flood(),
        ["fork-tree", children] => fork_tree(children.parse().unwrap()),
        ["status"] => print!("{}", status(&args)),
        ["status-to", file] => status_to(file, &args),
        ["status-to", file, "stay"] => {
            term_signals().thread_block().unwrap();
            status_to(file, &args);
            trap_term(0);
        }
        ["cat", files @ ..] => files.iter().for_each(|file| print!("{}", fs::read_to_string(file).unwrap())),
        ["write", file, text] => {
            term_signals().thread_block().unwrap();
            fs::write(file, text).unwrap();
            trap_term(0);
        }
        ["write-mib", file, mib] => {
            term_signals().thread_block().unwrap();
            let mut out = fs::File::create(file).unwrap();
            (0..mib.parse().unwrap()).for_each(|_: u32| out.write_all(&[7; 1 << 20]).unwrap());
            out.sync_all().unwrap();
            println!("written");
            trap_term(0);
        }
        ["map", file, bytes] => {
            term_signals().thread_block().unwrap();
            map(file, bytes.parse().unwrap());
            println!("mapped");
            trap_term(0);
        }
        ["lease", file] => lease(file),
        ["advertise"] => advertise(),
        ["until", file] => {
            fs::write(format!("{file}.begun"), "").unwrap();
            while !fs::exists(file).unwrap() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        ["mute", port] => {
            term_signals().thread_block().unwrap();
            let listener = TcpListener::bind(("0.0.0.0", port.parse().unwrap())).unwrap();
            std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
            trap_term(0);
        }
        ["say", code, file, text] => {
            fs::write(file, text).unwrap();
            exit(code.parse().unwrap());
        }
        ["device", kind, major, minor, file] => {
            let number = makedev(major.parse().unwrap(), minor.parse().unwrap());
            let kind = if kind == &"b" { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
            let made = mknod(*file, kind, Mode::S_IRUSR | Mode::S_IWUSR, number);
            println!(
                "{} {}",
                made.map_or_else(|error| format!("{error:?}"), |()| "made".to_owned()),
                opened(file, false)
            );
        }
        ["open", files @ ..] => files.iter().for_each(|file| println!("{file} {}", opened(file, true))),
        ["say-much", file] => {
            let moved = fs::rename("/etc/passwd", file);
            println!("{:?} {:?}", fs::remove_file(file).map_err(|e| e.kind()), moved.map_err(|e| e.kind()));
            fs::OpenOptions::new().write(true).open(file).unwrap().set_len(1 << 30).unwrap();
            append(file, b"the end");
            exit(3);
        }
        ["first-instruction", file] => {
            term_signals().thread_block().unwrap();
            append(file, format!("{} {}\n", clocks.0, clocks.1).as_bytes());
            trap_term(0);
        }
        _ => {
            eprintln!("{USAGE}");
            exit(64);
        }
    }
    // Rust's own `main` would have done so: write out what is buffered.
    exit(0)
}

/// What opening a file comes to: nothing is read or written.
fn opened(file: &str, writing: bool) -> String {
    let opened = fs::OpenOptions::new().read(true).write(writing).custom_flags(libc::O_NONBLOCK).open(file);
    match opened {
        Ok(_) => "opened".to_owned(),
        Err(error) => format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap())),
    }
}

/// The clock, in nanoseconds.
fn now(clock: ClockId) -> u128 {
    Duration::from(clock_gettime(clock).unwrap()).as_nanos()
}

fn sleep() -> ! {
    loop {
        std::thread::park();
    }
}

fn term_signals() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1])
}

/// Waits for a signal that ends programs, names it, exits.
///
/// Who shows a sign of life before, blocks the signals before that: PID 1 would miss what comes in between.
fn trap_term(code: i32) -> ! {
    let signals = term_signals();
    signals.thread_block().unwrap();
    let signal = signals.wait().unwrap();
    println!("ended by {signal}");
    exit(code)
}

fn diary(file: &str, word: &str, end: &str) -> ! {
    let signals = term_signals();
    signals.thread_block().unwrap();
    append(file, format!("{word}\n").as_bytes());
    if end != "run" {
        exit(end.parse().unwrap());
    }
    signals.wait().unwrap();
    append(file, format!("{word}-ends\n").as_bytes());
    exit(0)
}

fn ignore_term() -> ! {
    let signals = term_signals();
    signals.thread_block().unwrap();
    println!("deaf");
    loop {
        println!("ignored {}", signals.wait().unwrap());
    }
}

fn crash(signal: i32) {
    let signal = Signal::try_from(signal).unwrap();
    if signal == Signal::SIGSEGV {
        // SAFETY: not safe, and meant so: PID 1 does not die of a raised signal, but of a real fault.
        unsafe { std::ptr::null_mut::<u8>().with_addr(8).write_volatile(1) };
    }
    raise(signal).unwrap();
    // PID 1 ignores what it raises itself.
    eprintln!("{signal} did not end this process");
    exit(65);
}

fn lease(file: &str) -> ! {
    let mut signals = term_signals();
    // By it the kernel asks for the lease back.
    signals.add(Signal::SIGIO);
    signals.thread_block().unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    // SAFETY: the descriptor is open, and the command takes a number.
    let taken = unsafe { nix::libc::fcntl(file.as_raw_fd(), nix::libc::F_SETLEASE, nix::libc::F_WRLCK) };
    println!("{}", if taken == 0 { "taken".to_owned() } else { std::io::Error::last_os_error().to_string() });
    trap_term(0)
}

fn advertise() -> ! {
    use nix::libc::{
        self, AF_INET6, IPPROTO_ICMPV6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, SOCK_RAW, sockaddr_in6,
    };
    // A router for half an hour.
    let advertisement = [134u8, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    // What comes from farther away than the link is nobody's word.
    let hops: c_int = 255;
    // SAFETY: all zeros are an address, of no family.
    let mut everybody: sockaddr_in6 = unsafe { std::mem::zeroed() };
    everybody.sin6_family = AF_INET6 as libc::sa_family_t;
    everybody.sin6_addr.s6_addr = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
    // SAFETY: numbers alone.
    let socket = unsafe { libc::socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6) };
    let length = size_of_val(&hops) as libc::socklen_t;
    // SAFETY: the option is read from `hops`, whose length is given.
    unsafe { libc::setsockopt(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, (&raw const hops).cast(), length) };
    let (bytes, length) = (advertisement.as_ptr(), size_of_val(&everybody) as libc::socklen_t);
    loop {
        // SAFETY: packet and address are read, both as long as is said. It fails as long as there is no address to send from.
        unsafe { libc::sendto(socket, bytes.cast(), 16, 0, (&raw const everybody).cast(), length) };
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn append(file: &str, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
    file.write_all(bytes).unwrap();
}

fn run_step(file: &str, steps: &[&str]) {
    append(file, b".");
    let run = usize::try_from(fs::metadata(file).unwrap().len()).unwrap();
    match steps.get(run - 1).or(steps.last()).copied() {
        None | Some("run") => trap_term(0),
        Some(code) => exit(code.parse().unwrap()),
    }
}

fn listen(port: u16, address: &str) -> ! {
    term_signals().thread_block().unwrap();
    let listener = TcpListener::bind((address, port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The request is of no interest, but unread bytes would turn the answer into a reset.
            let _ = stream.read(&mut [0; 4096]);
            let page = "hello\n";
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        }
    });
    println!("listening on {port}");
    trap_term(0)
}

fn sctp() -> OwnedFd {
    // SAFETY: numbers alone.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP) };
    Errno::result(socket).expect("this kernel has SCTP");
    // SAFETY: it was just made, and is nobody else's.
    unsafe { OwnedFd::from_raw_fd(socket) }
}

fn place(address: Ipv4Addr, port: u16) -> (libc::sockaddr_in, libc::socklen_t) {
    // SAFETY: all zeros are an address, of no family.
    let mut place: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    place.sin_family = libc::AF_INET as libc::sa_family_t;
    place.sin_port = port.to_be();
    place.sin_addr.s_addr = u32::from(address).to_be();
    (place, size_of::<libc::sockaddr_in>() as libc::socklen_t)
}

/// Says hello to whoever connects.
fn listen_sctp(port: u16) -> ! {
    term_signals().thread_block().unwrap();
    let (socket, (place, length)) = (sctp(), place(Ipv4Addr::UNSPECIFIED, port));
    // SAFETY: the address is read, as long as is said.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const place).cast(), length) };
    Errno::result(bound).unwrap();
    // SAFETY: a descriptor and a number.
    Errno::result(unsafe { libc::listen(socket.as_raw_fd(), 8) }).unwrap();
    println!("listening on {port}");
    let listener = TcpListener::from(socket);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Whoever asked may be gone.
            let _ = stream.unwrap().write_all(b"hello\n");
        }
    });
    trap_term(0)
}

fn ask_sctp(address: Ipv4Addr, port: u16) {
    let (socket, (place, length)) = (sctp(), place(address, port));
    // SAFETY: the address is read, as long as is said.
    let connected = unsafe { libc::connect(socket.as_raw_fd(), (&raw const place).cast(), length) };
    let answer = Errno::result(connected).map_err(std::io::Error::from).and_then(|_| {
        let mut answer = [0; 64];
        let length = TcpStream::from(socket).read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    });
    match answer {
        Ok(answer) => print!("{answer}"),
        Err(error) => println!("{error}"),
    }
}

/// What the files hold is a whole answer, status line and all.
fn serve(port: u16, directory: &str) -> ! {
    term_signals().thread_block().unwrap();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
    println!("serving {directory} on {port}");
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..length]);
            let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            println!("asked for /{path}");
            let missing = || b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
            let answer = fs::read(format!("{directory}/{path}")).unwrap_or_else(|_| missing());
            let _ = stream.write_all(&answer);
        }
    });
    trap_term(0)
}

fn eat_memory(mib: usize) -> ! {
    let mut eaten = Vec::new();
    for _ in 0..mib {
        eaten.push(vec![1u8; 1024 * 1024]);
    }
    println!("ate {} MiB", eaten.len());
    sleep()
}

fn write_lines(lines: &str, bytes: &str, pause_ms: &str) -> ! {
    let (lines, bytes) = (lines.parse::<usize>().unwrap(), bytes.parse::<usize>().unwrap());
    let pause = Duration::from_millis(pause_ms.parse().unwrap());
    term_signals().thread_block().unwrap();
    for number in 0..lines {
        println!("{:x<bytes$}", format!("{number} "));
        std::thread::sleep(pause);
    }
    trap_term(0)
}

fn flood() -> ! {
    let line = format!("{}\n", "flood ".repeat(20));
    let mut out = std::io::stdout().lock();
    loop {
        out.write_all(line.as_bytes()).unwrap();
    }
}

/// Children in process groups of their own, so that only their cgroup holds them together.
#[allow(clippy::zombie_processes, reason = "they never end by themselves")]
fn fork_tree(children: u32) -> ! {
    for _ in 0..children {
        let mut child = Command::new("/proc/self/exe");
        child.arg0("child").process_group(0);
        match children {
            1 => child.arg("ignore-term"),
            _ => child.args(["fork-tree", "1"]),
        };
        child.spawn().unwrap();
    }
    println!("planted {children}");
    sleep()
}

/// Everything that a leak would show in, one `name: value` a line.
fn status(args: &[&str]) -> String {
    let mut out = String::new();
    let told = &mut out;
    let hostname = gethostname().unwrap();
    writeln!(told, "hostname: {}", hostname.to_string_lossy()).unwrap();
    writeln!(told, "pid: {}", std::process::id()).unwrap();
    writeln!(told, "cwd: {}", std::env::current_dir().unwrap().display()).unwrap();
    writeln!(told, "uid: {} {}", getuid(), geteuid()).unwrap();
    writeln!(told, "gid: {} {}", getgid(), getegid()).unwrap();
    writeln!(told, "groups: {}", words(getgroups().unwrap())).unwrap();
    writeln!(told, "args: {}", words(args)).unwrap();
    writeln!(told, "fds: {}", descriptors().join(" ")).unwrap();
    for field in fs::read_to_string("/proc/self/status").unwrap().lines() {
        let kept = ["Sig", "Shd", "Cap", "NoNewPrivs", "Seccomp:", "Groups", "NSpid", "Threads", "Umask"];
        if kept.iter().any(|prefix| field.starts_with(prefix)) {
            writeln!(told, "status.{}", field.replace(":\t", ": ").trim_end()).unwrap();
        }
    }
    if let Ok(profile) = fs::read_to_string("/proc/self/attr/apparmor/current") {
        writeln!(told, "apparmor: {}", profile.trim()).unwrap();
    }
    writeln!(told, "oom_score_adj: {}", fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim())
        .unwrap();
    for limit in fs::read_to_string("/proc/self/limits").unwrap().lines().skip(1) {
        writeln!(told, "limit: {limit}").unwrap();
    }
    for (name, value) in std::env::vars() {
        writeln!(told, "env.{name}: {value}").unwrap();
    }
    for line in fs::read_to_string("/proc/self/cgroup").unwrap().lines() {
        writeln!(told, "cgroup: {line}").unwrap();
    }
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
        writeln!(told, "mount: {line}").unwrap();
    }
    for name in ["ipc", "mnt", "net", "pid", "uts", "user", "cgroup"] {
        writeln!(told, "ns.{name}: {}", fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display())
            .unwrap();
    }
    for line in fs::read_to_string("/proc/net/dev").unwrap().lines().skip(2) {
        writeln!(told, "link: {}", line.split(':').next().unwrap().trim()).unwrap();
    }
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let processes = processes.filter(|name| name.to_string_lossy().parse::<u32>().is_ok()).count();
    writeln!(told, "processes: {processes}").unwrap();
    out
}

fn status_to(file: &str, args: &[&str]) {
    let staged = format!("{file}.{}", std::process::id());
    fs::write(&staged, status(args)).unwrap();
    fs::rename(staged, file).unwrap();
}

fn words(items: impl IntoIterator<Item = impl ToString>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// Open descriptors, without the one that reads them.
fn descriptors() -> Vec<String> {
    let folder = fs::read_dir("/proc/self/fd").unwrap();
    let names: Vec<String> =
        folder.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.into_iter().filter(|name| fs::read_link(format!("/proc/self/fd/{name}")).is_ok()).collect()
}

/// Exits with 1 and the reason where it cannot have the memory.
fn map(file: &str, bytes: usize) {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
    let length = std::num::NonZeroUsize::new(bytes).unwrap();
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let mapped = if file == "huge" {
        // SAFETY: a new mapping, wherever the kernel puts it.
        unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB) }
    } else {
        let file =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(file).unwrap();
        // SAFETY: a new mapping, wherever the kernel puts it; nobody else has one of this file.
        unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0) }
    };
    let mapped = mapped.unwrap_or_else(|error| {
        println!("mmap: {error}");
        exit(1);
    });
    for at in (0..bytes).step_by(4096) {
        // SAFETY: `at` is within the mapping, which is writable.
        unsafe { mapped.cast::<u8>().add(at).write(1) };
    }
}
