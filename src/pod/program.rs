//! The last steps of a container's process, or of a command in it, before it becomes the image's program; and how it is heard
//! whether it did.
//!
//! User and capabilities are dropped by then, and namespaces and root entered. What is left is the signals, the descriptors, a
//! terminal, finding the program, and saying why it could not be executed.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{AccessFlags, access, execve, pipe2};

use super::job::Answer;
use crate::bundle::SECCOMP;
use crate::protocol::Size;
use crate::status::Failure;
use crate::sys::terminal::{self, Pair};
use crate::sys::{process, seccomp, seqpacket, signal, working_directory};

/// What `PATH` is where the environment has none, as in containerd.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What executes a program, and what it needs for that.
#[derive(Clone)]
pub struct Program {
    /// Where the reason is written when it cannot be executed. Closed by `execve`: silence and an end is success.
    pub complaint: Rc<OwnedFd>,
    /// The terminal that it is to have.
    pub terminal: Option<Terminal>,
    /// The seccomp program that is to be loaded before.
    pub filter: Option<Rc<Vec<u8>>>,
}

/// A terminal that is to be made in the container, by the process that will have it.
///
/// So nothing but this process's own rights goes into it, whatever a hostile container put at `/dev/pts`; it belongs to the
/// process's user, who can open it again by its name; and that name is one of the container's.
#[derive(Clone)]
pub struct Terminal {
    /// How large it is at first.
    pub size: Option<Size>,
    /// Where its two ends are sent.
    pub to: Rc<OwnedFd>,
}

/// What makes terminals, in the container.
const MULTIPLEXER: &str = "/dev/pts/ptmx";

impl Terminal {
    fn make(&self) -> io::Result<()> {
        let Pair { master, slave } = terminal::pair(Path::new(MULTIPLEXER))?;
        if let Some(Size { rows, columns }) = self.size {
            terminal::set_size(&slave, (rows, columns))?;
        }
        seqpacket::send(self.to.as_fd(), b"terminal", &[master.as_fd(), slave.as_fd()])?;
        terminal::become_standard(slave)
    }
}

impl Program {
    /// Becomes the program. Returns only with the reason why it did not work, which was told then.
    pub fn execute(&self, arguments: &[String], environment: &[String]) -> String {
        let reason = self.try_to(arguments, environment);
        self.complain(&reason);
        reason
    }

    /// Tells why there is nothing to be heard of a program.
    pub fn complain(&self, reason: &str) {
        // The pod process reads it; there is nobody else to tell.
        let _ = nix::unistd::write(&*self.complaint, reason.as_bytes());
    }

    fn try_to(&self, arguments: &[String], environment: &[String]) -> String {
        let Some(name) = arguments.first() else { return "no command specified".to_owned() };
        let ready = signal::reset().and_then(|()| process::close_on_exec(3));
        if let Err(error) = ready {
            return format!("prepare to execute {name:?}: {error}");
        }
        // What leads to it may be the container's work, also of an earlier run.
        match working_directory::is_inside() {
            Ok(true) => {}
            Ok(false) => return format!("exec: {name:?}: the working directory is not in the container"),
            Err(error) => return format!("exec: {name:?}: look at the working directory: {error}"),
        }
        if let Some(Err(error)) = self.terminal.as_ref().map(Terminal::make) {
            return format!("make a terminal by the container's {MULTIPLEXER}: {error}");
        }
        let path = match find(name, environment) {
            Ok(path) => path,
            Err(reason) => return format!("exec: {name:?}: {reason}"),
        };
        let (Ok(path), Some(arguments), Some(environment)) =
            (CString::new(path), c_strings(arguments), c_strings(environment))
        else {
            return format!("exec: {name:?}: a zero byte in the command or in its environment");
        };
        // Last of all: what is called behind this must be what it permits.
        if let Some(Err(error)) = self.filter.as_ref().map(|filter| seccomp::load(filter)) {
            return format!("load the seccomp program: {error}");
        }
        let Err(error) = execve(&path, &arguments, &environment);
        format!("exec: {name:?}: {}", explained(error))
    }
}

/// The file to execute. A name with a slash is a path; another is looked for in PATH, as execvp(3) does, but never
/// relative to the working directory.
fn find(name: &str, environment: &[String]) -> Result<String, String> {
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let path = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let mut forbidden = false;
    for directory in path.unwrap_or(DEFAULT_PATH).split(':').filter(|directory| directory.starts_with('/')) {
        let file = format!("{}/{name}", directory.trim_end_matches('/'));
        let Ok(metadata) = Path::new(&file).metadata() else { continue };
        if !metadata.is_file() {
            continue;
        }
        if metadata.permissions().mode() & 0o111 != 0 && access(&*file, AccessFlags::X_OK).is_ok() {
            return Ok(file);
        }
        forbidden = true;
    }
    Err(if forbidden { "permission denied" } else { "executable file not found in $PATH" }.to_owned())
}

fn explained(error: Errno) -> &'static str {
    match error {
        Errno::ENOENT => "no such file or directory (it, or the interpreter that it names)",
        Errno::EACCES => "permission denied",
        Errno::ENOEXEC => "exec format error: not a program for this machine, or a script without #!",
        other => other.desc(),
    }
}

fn c_strings(list: &[String]) -> Option<Vec<CString>> {
    list.iter().map(|word| CString::new(word.as_str()).ok()).collect()
}

/// A process that was started.
pub struct Started {
    /// Its process ID; our sibling's.
    pub pid: i32,
    /// Both ends of its terminal, the master first.
    pub terminal: Option<[OwnedFd; 2]>,
}

/// Where it is heard what became of a [`Program`], which runs in another process.
pub struct Outcome {
    complaints: File,
    seat: Option<OwnedFd>,
}

/// What executes a program, and where it is heard whether it did. `terminal` says whether it is to have one, and how large.
///
/// The first is to be dropped in this process once the other one has it.
pub fn prepare(terminal: Option<Option<Size>>) -> Result<(Program, Outcome)> {
    let (complaints, complaint) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
    let (seat, terminal) = match terminal {
        None => (None, None),
        Some(size) => {
            let (ours, theirs) = seqpacket::pair().context("make a socket pair")?;
            (Some(ours), Some(Terminal { size, to: Rc::new(theirs) }))
        }
    };
    Ok((
        Program { complaint: Rc::new(complaint), terminal, filter: None },
        Outcome { complaints: File::from(complaints), seat },
    ))
}

impl Program {
    /// The descriptors that it needs.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let terminal = self.terminal.iter().map(|terminal| terminal.to.as_fd());
        terminal.chain([self.complaint.as_fd()]).collect()
    }
}

impl Outcome {
    /// Waits until the program was executed, or could not be: then why.
    pub fn complaint(&self) -> Option<String> {
        let mut text = Vec::new();
        // What came before an error is all that can be told; a pipe has none.
        let _ = (&self.complaints).take(4096).read_to_end(&mut text);
        (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
    }

    /// The ends of the terminal, which were sent before the program was executed. A container that may trace processes may
    /// have sent something else in their stead, on which the pod process could hang.
    pub fn terminal(self) -> Result<Option<[OwnedFd; 2]>> {
        let Some(seat) = self.seat else { return Ok(None) };
        let ends = || -> Result<[OwnedFd; 2]> {
            fcntl(seat.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let packet = seqpacket::recv(seat.as_fd(), 64)?.context("nothing came")?;
            let ends = <[OwnedFd; 2]>::try_from(packet.descriptors).ok();
            let [master, slave] = ends.context("not two ends came")?;
            ensure!(terminal::is_master(master.as_fd())?, "no terminal came");
            Ok([master, slave])
        };
        ends().map(Some).context("take the terminal over")
    }
}

/// The seccomp program of a bundle that has one.
pub fn filter(bundle: &Path) -> Result<Vec<u8>> {
    let path = bundle.join(SECCOMP);
    fs::read(&path).with_context(|| format!("read the seccomp program {}", path.display()))
}

/// Sets the soft and the hard limit of open files, as far as that is allowed here.
pub fn limit_files(nofile: (u64, u64)) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("ask for the limit of open files")?;
    // Without CAP_SYS_RESOURCE a hard limit can only fall.
    let wanted = (nofile.0.min(hard), nofile.1.min(hard));
    if wanted != (soft, hard) && wanted.1 > 0 {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.0, wanted.1).context("set the limit of open files")?;
    }
    Ok(())
}

/// Tells the pod process what was started, or why not.
pub fn answer(seat: BorrowedFd<'_>, started: Result<Started, Failure>) -> Result<()> {
    let (answer, terminal) = match started {
        Ok(Started { pid, terminal }) => (Answer::Started { pid }, terminal),
        Err(failure) => (Answer::Failed(failure), None),
    };
    let answer = serde_json::to_vec(&answer).context("write the answer")?;
    let ends: Vec<_> = terminal.iter().flatten().map(AsFd::as_fd).collect();
    seqpacket::send(seat, &answer, &ends).context("send the answer")
}
