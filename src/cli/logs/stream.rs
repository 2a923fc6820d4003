//! One container's lines, and several containers' in order of time.

use std::collections::VecDeque;

use anyhow::Result;

use super::cri::{Joiner, Line, UNKNOWN};
use super::form::Form;
use super::source::{Next, Source};
use crate::cli::sink::Sink;

/// How much is read at once of a log that is printed alone.
const CHUNK: usize = 256 * 1024;

/// How much is read at once of each of several logs, all of whose lines wait for their turn.
const SMALL_CHUNK: usize = 32 * 1024;

/// Where all lines go.
pub struct Output {
    sink: Sink,
    waiting: Vec<u8>,
    buffer: Vec<u8>,
}

impl Output {
    /// Our stdout.
    pub fn new() -> Output {
        Output { sink: Sink::stdout(), waiting: Vec::new(), buffer: vec![0; CHUNK] }
    }

    /// Prints what waits; `false` when nobody reads any more.
    pub fn flush(&mut self) -> Result<bool> {
        let read = self.waiting.is_empty() || self.sink.write(&self.waiting)?;
        self.waiting.clear();
        // A chunk of empty lines is far longer with prefixes.
        self.waiting.shrink_to(4 * CHUNK);
        Ok(read)
    }

    /// Prints everything.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.sink.finish().map(drop)
    }
}

/// The lines of one container.
pub struct Stream {
    /// Their bytes.
    pub source: Source,
    joiner: Joiner,
    form: Form,
    /// Lines that others may come before.
    waiting: VecDeque<Waiting>,
    /// The time of the latest one.
    time: Vec<u8>,
}

/// A line, as it will be printed.
struct Waiting {
    time: Vec<u8>,
    bytes: Vec<u8>,
}

impl Stream {
    /// The lines of `source`, printed as `form` says.
    pub fn new(source: Source, form: Form) -> Stream {
        Stream { source, joiner: Joiner::default(), form, waiting: VecDeque::new(), time: Vec::new() }
    }

    /// Prints everything that is there by now; `false` when nobody reads it any more.
    pub fn print(&mut self, output: &mut Output) -> Result<bool> {
        let Stream { source, joiner, form, .. } = self;
        while !form.is_full() {
            let mut out = |line: Line<'_>| {
                form.put(&line, &mut output.waiting);
                Ok(())
            };
            match source.read(&mut output.buffer)? {
                Next::Bytes(length) => joiner.bytes(&output.buffer[..length], &mut out)?,
                Next::Edge => joiner.end_of_file(&mut out)?,
                Next::End => break,
            }
            if !output.flush()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Prints the line that has no end, when none will come.
    pub fn rest(&mut self, output: &mut Output) -> Result<bool> {
        let Stream { joiner, form, .. } = self;
        joiner.rest(&mut |line| {
            form.put(&line, &mut output.waiting);
            Ok(())
        })?;
        output.flush()
    }

    /// Whether as much was printed as is wanted.
    pub fn is_full(&self) -> bool {
        self.form.is_full() && self.waiting.is_empty()
    }

    /// Has lines wait, unless there are none by now.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let Stream { source, joiner, form, waiting, time } = self;
        while waiting.is_empty() && !form.is_full() {
            let mut out = |line: Line<'_>| {
                let mut bytes = Vec::new();
                form.put(&line, &mut bytes);
                if line.time != UNKNOWN {
                    line.time.clone_into(time);
                }
                if !bytes.is_empty() {
                    waiting.push_back(Waiting { time: time.clone(), bytes });
                }
                Ok(())
            };
            match source.read(buffer)? {
                Next::Bytes(length) => joiner.bytes(&buffer[..length], &mut out)?,
                Next::Edge => joiner.end_of_file(&mut out)?,
                Next::End => break,
            }
        }
        Ok(())
    }
}

/// Prints everything that is there by now of all `streams`, in order of time; `false` when nobody reads it any more.
pub fn print_all(streams: &mut [&mut Stream], output: &mut Output) -> Result<bool> {
    if let [only] = streams
        && only.waiting.is_empty()
    {
        return only.print(output);
    }
    let mut buffer = vec![0; SMALL_CHUNK];
    // What has no more by now is not asked again for every line of the others: whoever follows is told of more.
    let mut dry = vec![false; streams.len()];
    loop {
        for (stream, dry) in streams.iter_mut().zip(&mut dry).filter(|(_, dry)| !**dry) {
            stream.fill(&mut buffer)?;
            *dry = stream.waiting.is_empty();
        }
        let times = streams.iter().enumerate().filter_map(|(index, stream)| {
            let first = stream.waiting.front()?;
            Some((&first.time, index))
        });
        let Some((_, first)) = times.min() else { return output.flush() };
        if let Some(line) = streams[first].waiting.pop_front() {
            output.waiting.extend_from_slice(&line.bytes);
        }
        if output.waiting.len() >= CHUNK && !output.flush()? {
            return Ok(false);
        }
    }
}
