//! `hello`: the workload of the demo. Serves a small page with `$GREETING` in it, logs each request, ends on SIGTERM;
//! asked for `/crash`, it ends with an error, to be seen started again.
//!
//! It is the first process of its PID namespace, where a signal without a handler is ignored: SIGTERM comes by signalfd.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::print;

/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves on `$HOST:$PORT` (0.0.0.0:8080) until SIGTERM or SIGINT.
pub fn hello() -> Result<()> {
    let mut signals = SigSet::empty();
    [Signal::SIGTERM, Signal::SIGINT].into_iter().for_each(|signal| signals.add(signal));
    signals.thread_block()?;
    let told = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?;
    let address = format!("{}:{}", variable("HOST", "0.0.0.0"), variable("PORT", "8080"));
    // A number, not a name: the C library's resolver would be a tenth of a megabyte of the binary.
    let number: SocketAddr = address.parse().with_context(|| format!("read $HOST:$PORT, {address}"))?;
    let listener = TcpListener::bind(number).with_context(|| format!("listen on {address}"))?;
    // The port may have been 0: any that is free.
    print(&format!("hello listens on {}\n", listener.local_addr()?))?;
    loop {
        let mut descriptors =
            [PollFd::new(told.as_fd(), PollFlags::POLLIN), PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        if descriptors[0].any() == Some(true) {
            return print("hello was told to end\n");
        }
        // A client that misbehaves ends its own connection only.
        let answered = listener.accept().map_err(anyhow::Error::from).and_then(|(stream, _)| answer(&stream));
        let request = answered.unwrap_or_else(|error| format!("no answer: {error:#}"));
        print(&format!("{request}\n"))?;
        ensure!(!request.starts_with("GET /crash "), "asked to crash");
    }
}

/// Answers one request; its first line.
fn answer(mut stream: &TcpStream) -> Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // As long as a browser's headers; what is longer is not read.
    let mut lines = BufReader::new(std::io::Read::take(stream, 16 * 1024)).lines();
    let request = lines.next().context("an empty request")??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    let greeting = variable("GREETING", "hello");
    let page = format!("<!doctype html><title>hello</title><p>{greeting} from {host}\n");
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len(),
    )?;
    Ok(request)
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_string())
}
