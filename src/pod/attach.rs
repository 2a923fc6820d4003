//! Attaching to a container that runs: reading along, and writing to what it reads.

use std::os::fd::OwnedFd;

use super::connections::{Connections, Id};
use super::process::Process;
use super::readers::{MOST, Reader};
use super::run::{Input, Output, Phase, Run};
use crate::protocol::{Attach, Reply};
use crate::status::Reason;

impl Process {
    /// Lets `asker` read along, and gives it what to write to.
    pub(super) fn attach(&mut self, asker: Id, attach: &Attach, descriptors: Vec<OwnedFd>) {
        let attached = self.begin_attach(asker, attach, descriptors);
        match attached {
            Ok((terminal, input)) => {
                self.connections.owe(asker);
                let reply = Reply::Attached { terminal, stdin: input.is_some() };
                self.connections.send_with(asker, &reply, input.into_iter().collect());
            }
            Err(message) => self.connections.fail(asker, Reason::Error, message),
        }
    }

    /// Whether there is a terminal, and what to write to.
    fn begin_attach(
        &mut self,
        asker: Id,
        attach: &Attach,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(bool, Option<OwnedFd>), String> {
        let running = |run: &&mut Run| run.name == attach.name && matches!(run.phase, Phase::Running(_));
        let not_running = || format!("container {:?} does not run", attach.name);
        let run = self.runs.iter_mut().find(running).ok_or_else(not_running)?;
        let output = run.output.as_mut().ok_or_else(not_running)?;
        if output.readers.len() >= MOST {
            return Err(format!("{MOST} clients are attached to container {:?} already", attach.name));
        }
        let reader = Reader::new(asker, descriptors).map_err(|error| format!("{error:#}"))?;
        let input = if attach.stdin { handed_out(&mut run.input)? } else { None };
        output.readers.push(reader);
        Ok((matches!(run.input, Input::Terminal { .. }), input))
    }

    /// Whoever attached is gone.
    pub(super) fn detach(&mut self, asker: Id) {
        for output in self.runs.iter_mut().filter_map(|run| run.output.as_mut()) {
            output.readers.retain(|reader| reader.asker != asker);
        }
    }
}

/// What is to be written to, for one who attaches; nothing where the container reads nothing.
fn handed_out(input: &mut Input) -> Result<Option<OwnedFd>, String> {
    let another =
        |end: &OwnedFd| end.try_clone().map(Some).map_err(|error| format!("duplicate its stdin: {error}"));
    match input {
        Input::None | Input::Terminal { typed: false, .. } | Input::Terminal { ends: None, .. } => Ok(None),
        Input::Open(pipe) => another(pipe),
        Input::Terminal { ends: Some([master, _]), .. } => another(master),
        // Theirs alone from now on: so it ends with them, however they end.
        Input::Once(pipe) => pipe.take().map(Some).ok_or_else(|| {
            "its stdin was for the first who attached (stdinOnce), and is taken; leave out -i".to_owned()
        }),
    }
}

/// Tells readers that keep up again what they missed.
pub fn tell_missed(connections: &mut Connections, output: &mut Output) {
    for reader in &mut output.readers {
        // One that does not hear either is told the sum of it later.
        if connections.keeps_up(reader.asker)
            && let Some(bytes) = reader.recovered()
        {
            connections.send(reader.asker, &Reply::Missed { bytes });
        }
    }
}

/// The container ended: tells those who read along. Dropping `output` ends what they read.
pub fn end_reading(connections: &mut Connections, output: Output, code: i32) {
    for reader in output.readers {
        if let Some(bytes) = reader.missed() {
            connections.send(reader.asker, &Reply::Missed { bytes });
        }
        connections.reply(reader.asker, &Reply::Exited { code });
    }
}
