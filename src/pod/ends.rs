//! How things go on and end: workers answer, children die, deadlines pass, and what is left behind is removed.

use std::process::ExitCode;
use std::time::Duration;

use super::attach::end_reading;
use super::command::{AGAIN, Command, Stage};
use super::connections::Id;
use super::job::Answer;
use super::journal;
use super::process::{Leaving, Process};
use super::run::{Begun, End, Input, Phase, Run, Spent};
use super::sandbox::PAUSE;
use super::spawn::Heard;
use crate::cgroup::{Hierarchy, worker_path};
use crate::protocol::{Exited, Notice, Reply};
use crate::status::{Failure, Reason};
use crate::sys::process::Ended;
use crate::sys::{clock, process};

/// How long an exit waits for what the container left behind to die. What hangs on a dead disk may never do so.
const LONGEST_END: Duration = Duration::from_secs(10);

/// Most characters of the reason of a failed start that are kept, and told to whoever asks later: the state of a pod's
/// containers, all together, must fit into one packet.
const LONGEST_REASON: usize = 200;

/// How long to wait before everything is killed once more.
const KILL_AGAIN: Duration = Duration::from_millis(200);

impl Process {
    /// Takes every child that ended.
    pub fn reap(&mut self) {
        while let Some(ended) = process::reap() {
            if self.pause == Some(ended.pid) {
                self.pause = None;
                if self.leaving.is_none() {
                    log::error!("the process that holds the pod's PID namespace ended with {}", ended.code);
                    self.leave(Leaving::Lost);
                }
            } else if !self.claim(ended) {
                self.unclaimed.push(ended);
            }
        }
        // Once no worker can come and say that one was its own, nobody will.
        let starting = self.runs.iter().any(|run| matches!(run.phase, Phase::Starting { .. }))
            || self.commands.iter().any(|command| matches!(command.stage, Stage::Starting(_)));
        if !starting {
            self.unclaimed.clear();
        }
        for run in &mut self.runs {
            run.remove_worker(&self.cgroups);
        }
    }

    /// Whether somebody knows the child.
    fn claim(&mut self, ended: Ended) -> bool {
        for run in &mut self.runs {
            match &run.phase {
                Phase::Running(begun) if begun.pid == ended.pid => {
                    let (at, boot) = (clock::wall(), clock::boottime());
                    let end = End { code: ended.code, signal: ended.signal, at, boot };
                    run.phase = Phase::Ending { begun: *begun, end };
                    return true;
                }
                Phase::Starting { worker, .. } if worker.pid == ended.pid => {
                    let key = run.key;
                    // Its answer may still be there to be read.
                    self.hear_of_run(key);
                    self.worker_of_run_ended(key, ended);
                    return true;
                }
                _ => {}
            }
        }
        if let Some(command) = self.commands.iter_mut().find(|command| command.worker == ended.pid) {
            (command.worker, command.cpu) = (0, ended.cpu);
            if matches!(command.stage, Stage::Running(_)) {
                return true;
            }
        }
        let Some(command) = self.commands.iter().find(|command| command.pid() == ended.pid) else {
            return false;
        };
        let key = command.key;
        match command.stage {
            Stage::Running(_) => {
                if command.measured {
                    let cpu = command.cpu + ended.cpu;
                    self.connections.send(command.asker, &Reply::Spent { cpu });
                }
                self.command_ended(key, &Reply::Exited { code: ended.code });
            }
            Stage::Starting(_) => {
                self.hear_of_command(key);
                self.worker_of_command_ended(key, ended);
            }
        }
        true
    }

    /// Takes the answer of the worker that starts a run, if there is one.
    pub fn hear_of_run(&mut self, key: u64) {
        let Some(run) = self.runs.iter_mut().find(|run| run.key == key) else { return };
        let Phase::Starting { worker, asker, .. } = &mut run.phase else { return };
        let asker = *asker;
        match worker.answer() {
            // How it ended is told when it is reaped.
            Heard::Nothing | Heard::Gone => {}
            Heard::Answer(Answer::Started { pid }, terminal) => {
                run.take_terminal(terminal);
                let begun = Begun { pid, at: clock::wall(), boot: clock::boottime() };
                run.phase = Phase::Running(begun);
                self.connections.reply(asker, &Reply::Started { pid, at: begun.at });
                self.send_stop_signals();
                self.claim_earlier(pid);
            }
            Heard::Answer(Answer::Failed(failure), _) => {
                self.start_failed(key, asker, failure.reason, failure.message);
            }
        }
    }

    /// The child `pid` may have ended before its worker could tell of it. If it did not, an end of that number is another's:
    /// numbers come again.
    fn claim_earlier(&mut self, pid: i32) {
        if process::is_child(pid) {
            self.unclaimed.retain(|ended| ended.pid != pid);
            return;
        }
        if let Some(at) = self.unclaimed.iter().rposition(|ended| ended.pid == pid) {
            let ended = self.unclaimed.remove(at);
            self.claim(ended);
        }
    }

    fn worker_of_run_ended(&mut self, key: u64, ended: Ended) {
        let Some(run) = self.runs.iter().find(|run| run.key == key) else { return };
        let Phase::Starting { asker, .. } = run.phase else { return };
        let message = self.how_worker_ended(&run.cgroup, ended);
        self.start_failed(key, asker, Reason::RunContainerError, message);
    }

    fn how_worker_ended(&self, cgroup: &str, ended: Ended) -> String {
        if oom_killed(&self.cgroups, cgroup) {
            return "the memory limit is too small to start in: the worker was killed for memory".to_owned();
        }
        match ended.signal {
            Some(signal) => format!("the worker that starts it was killed by signal {signal}"),
            None => format!("the worker that starts it exited with {} and said nothing", ended.code),
        }
    }

    fn kill_worker(&self, key: u64) {
        let Some(run) = self.runs.iter().find(|run| run.key == key) else { return };
        if let Phase::Starting { worker, .. } = &run.phase {
            // Ours and not reaped yet. It may not be in the cgroup yet.
            let _ = process::signal(worker.pid, libc::SIGKILL);
        }
    }

    /// A run did not begin: kills what there is of it and tells.
    fn start_failed(&mut self, key: u64, asker: Id, reason: Reason, message: String) {
        let Some(run) = self.runs.iter_mut().find(|run| run.key == key) else { return };
        // Who asked is told why. It is not written down here: values of Secrets may be in it.
        log::warn!("container {} was not started: {reason}", run.id());
        let failure = Failure::new(reason, message);
        let kept = failure.message.chars().take(LONGEST_REASON).collect::<String>();
        run.phase = Phase::Failed(Failure::new(reason, kept));
        run.stop = None;
        if let Some(mut output) = run.output.take() {
            output.drain(&mut self.scratch);
        }
        run.input = Input::None;
        self.connections.reply(asker, &Reply::Failed(failure));
        run.sweep(&self.cgroups, &self.directory.join("runtime"));
    }

    /// Takes the answer of the worker that starts a command, if there is one.
    pub fn hear_of_command(&mut self, key: u64) {
        let Some(command) = self.commands.iter_mut().find(|command| command.key == key) else { return };
        let Stage::Starting(worker) = &mut command.stage else { return };
        match worker.answer() {
            Heard::Nothing | Heard::Gone => {}
            Heard::Answer(Answer::Started { pid }, terminal) => {
                command.stage = Stage::Running(pid);
                if !command.doomed && command.kill_at.is_some_and(|at| at > clock::boottime()) {
                    command.kill_at = command.timeout_at;
                }
                // Its terminal's other end is the command's own: it ends with those who have it open.
                let master = terminal.into_iter().take(1).collect();
                self.connections.send_with(command.asker, &Reply::Started { pid, at: clock::wall() }, master);
                self.claim_earlier(pid);
            }
            Heard::Answer(Answer::Failed(failure), _) => self.command_ended(key, &Reply::Failed(failure)),
        }
    }

    fn worker_of_command_ended(&mut self, key: u64, ended: Ended) {
        let Some(command) = self.commands.iter().find(|command| command.key == key) else { return };
        if matches!(command.stage, Stage::Starting(_)) {
            let message = match command.timeout_at {
                Some(at) if at <= clock::boottime() => {
                    "it did not start within its timeout and was killed".to_owned()
                }
                _ => self.how_worker_ended(&command.cgroup, ended),
            };
            self.command_ended(key, &Reply::Failed(Failure::new(Reason::RunContainerError, message)));
        }
    }

    /// A command is over. What it started and left behind goes on, as it does elsewhere, unless it was to be killed.
    fn command_ended(&mut self, key: u64, reply: &Reply) {
        let Some(at) = self.commands.iter().position(|command| command.key == key) else { return };
        let command = self.commands.remove(at);
        let late = command.kill_at.is_some_and(|at| at <= clock::boottime());
        let doomed = command.doomed || late || matches!(reply, Reply::Failed(_));
        if doomed {
            self.kill_command(&command);
        }
        self.connections.reply(command.asker, reply);
        let (name, attempt) = command.container;
        if let Some(run) = self.runs.iter_mut().find(|run| run.name == name && run.attempt == attempt) {
            // For a moment its worker may still be in it.
            run.spend(Spent::new(command.cgroup, doomed), &self.cgroups);
        }
    }

    fn kill_command(&self, command: &Command) {
        if let Err(error) = self.cgroups.kill_now(&command.cgroup) {
            log::warn!("{}: {error:#}", command.name);
        }
    }

    /// Does what is due, and looks at what was to go away.
    pub fn look_again(&mut self) {
        let now = clock::boottime();
        self.give_up_starts(now);
        for run in &mut self.runs {
            run.remove_spent(&self.cgroups, now);
            let running = matches!(run.phase, Phase::Running(_) | Phase::Starting { .. });
            if running && run.stop.is_some_and(|stop| stop.kill_at <= now) {
                run.kill(&self.cgroups);
                run.stop = run.stop.map(|stop| super::run::Stopping { kill_at: now + KILL_AGAIN, ..stop });
            }
        }
        for at in 0..self.commands.len() {
            let Some(command) = self.commands.get(at).filter(|c| c.kill_at.is_some_and(|at| at <= now))
            else {
                continue;
            };
            self.kill_command(command);
            // Ours, and not reaped. It may not be in the group yet, and the container may have moved it out of there.
            let _ = process::signal(command.pid(), libc::SIGKILL);
            if let Some(command) = self.commands.get_mut(at) {
                command.doomed = true;
                command.kill_at = Some(now + AGAIN);
            }
        }
        self.finish_runs(now);
    }

    fn give_up_starts(&mut self, now: Duration) {
        let late = |run: &Run| match &run.phase {
            Phase::Starting { deadline, .. } => {
                *deadline <= now || run.stop.is_some_and(|stop| stop.kill_at <= now)
            }
            _ => false,
        };
        let late: Vec<u64> = self.runs.iter().filter(|run| late(run)).map(|run| run.key).collect();
        for key in late {
            let Some(run) = self.runs.iter().find(|run| run.key == key) else { continue };
            let Phase::Starting { asker, deadline, .. } = run.phase else { continue };
            let message = if deadline <= now {
                "it did not start in time; everything it started was killed"
            } else {
                "it was stopped before it ran"
            };
            self.kill_worker(key);
            self.start_failed(key, asker, Reason::RunContainerError, message.to_owned());
        }
    }

    /// Ends the runs whose processes are gone, and removes what is left of those that ended.
    fn finish_runs(&mut self, now: Duration) {
        let runtime = self.runtime();
        for at in 0..self.runs.len() {
            let Some(run) = self.runs.get_mut(at).filter(|run| run.retry.is_none_or(|(at, _)| at <= now))
            else {
                continue;
            };
            if let Phase::Ending { begun, end } = run.phase {
                if !run.emptied(&self.cgroups) && now < end.boot + LONGEST_END {
                    continue;
                }
                if let Some(mut output) = run.output.take() {
                    output.drain(&mut self.scratch);
                    end_reading(&mut self.connections, output, end.code);
                }
                run.input = Input::None;
                let oom_killed = oom_killed(&self.cgroups, &run.cgroup);
                let exited = exited(run, begun, end, oom_killed);
                run.phase = Phase::Exited(exited.clone());
                self.tell(exited);
            }
            if let Some(run) = self.runs.get_mut(at).filter(|run| run.over()) {
                run.sweep(&self.cgroups, &runtime);
            }
        }
    }

    /// Writes an exit down, then tells it.
    fn tell(&mut self, exited: Exited) {
        if let Err(error) = journal::append(&self.directory.join("exits"), &exited) {
            // Those who watch and those who ask still hear of it.
            log::error!("{error:#}");
        }
        self.connections.tell(&Reply::Notice(Notice::Exited(exited)));
    }

    /// The exit code, once this process was to leave and nothing is left.
    pub fn left(&mut self) -> Option<ExitCode> {
        let why = self.leaving?;
        let all_gone = self.commands.is_empty() && self.runs.iter().all(|run| run.over() && run.swept);
        if !all_gone {
            return None;
        }
        if self.sandbox.share_process_namespace && !self.pause_is_gone() {
            return None;
        }
        // Whoever connects from now on is told so by the kernel.
        let _ = std::fs::remove_file(self.directory.join("sock"));
        match why {
            Leaving::Lost => Some(ExitCode::FAILURE),
            Leaving::Told(asker) => {
                self.connections.reply(asker, &Reply::Done);
                Some(ExitCode::SUCCESS)
            }
        }
    }

    /// Kills the process that holds the PID namespace, and removes its cgroup; false until that is done. The children
    /// that end wake the loop up.
    fn pause_is_gone(&mut self) -> bool {
        let cgroup = format!("{}/{PAUSE}", self.sandbox.cgroup);
        if self.pause.is_some() {
            if let Err(error) = self.cgroups.kill_now(&cgroup) {
                log::warn!("{error:#}");
            }
            return false;
        }
        let worker = self.cgroups.remove_now(&worker_path(&cgroup));
        if let Err(error) = worker.and(self.cgroups.remove_now(&cgroup)) {
            log::warn!("{error:#}");
        }
        true
    }
}

/// Whether the kernel killed something in `cgroup` for memory. To be asked before that is removed.
fn oom_killed(cgroups: &Hierarchy, cgroup: &str) -> bool {
    let kills = cgroups.oom_kills(cgroup);
    kills.inspect_err(|error| log::warn!("look for kills for memory: {error:#}")).is_ok_and(|kills| kills > 0)
}

fn exited(run: &Run, begun: Begun, end: End, oom_killed: bool) -> Exited {
    Exited {
        name: run.name.clone(),
        attempt: run.attempt,
        code: end.code,
        signal: end.signal,
        oom_killed,
        // One that ended before its worker could say so.
        started: begun.at.min(end.at),
        finished: end.at,
        finished_boot: end.boot,
        ran: end.boot.saturating_sub(begun.boot),
    }
}
