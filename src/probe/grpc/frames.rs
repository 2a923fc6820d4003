//! One call over HTTP/2 (RFC 9113), on a connection of its own, to whose end nobody looks: what must be answered is, and the rest
//! of the protocol is for those who make more than one.

use std::io::{self, ErrorKind, Read, Write};

use super::hpack::{self, Headers};
use crate::probe::stream::Stream;

/// What came back.
#[derive(Debug, Default, PartialEq)]
pub struct Call {
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// What came after the body.
    pub trailers: Headers,
}

/// Why nothing came back.
#[derive(Debug, PartialEq)]
pub enum Wrong {
    /// The deadline is over.
    Late,
    /// Something else.
    Because(String),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Wrong {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Wrong::Late,
            ErrorKind::UnexpectedEof => Wrong::Because("connection closed by the server".to_owned()),
            _ => Wrong::Because(error.to_string()),
        }
    }
}

impl From<String> for Wrong {
    fn from(reason: String) -> Wrong {
        Wrong::Because(reason)
    }
}

fn wrong<T>(reason: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Because(reason.into()))
}

/// What a client begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Our one call.
const STREAM: u32 = 1;
/// Longest frame: what is allowed where nobody says more.
const LONGEST_FRAME: usize = 16 * 1024;
/// Longest headers, as they are packed.
const LONGEST_HEADERS: usize = 16 * 1024;
/// Most of a body: a health is two bytes, and some servers add fields of their own.
const LONGEST_BODY: usize = 4 * 1024;
/// Most bytes that are read in all: who says nothing but what must be answered would do so until the deadline.
const MOST: usize = 256 * 1024;

/// Types of frames.
mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const CONTINUATION: u8 = 9;
}

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// No table of headers, and nothing that we did not ask for: `SETTINGS_HEADER_TABLE_SIZE` and `SETTINGS_ENABLE_PUSH`, both 0.
const SETTINGS: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];

/// Sends a request with `headers` and `body`, which fits into a frame, and takes the answer.
pub fn call(mut stream: Stream<'_>, headers: &[(&str, &str)], body: &[u8]) -> Result<Call, Wrong> {
    let mut block = Vec::new();
    for (name, value) in headers {
        hpack::write(name, value, &mut block);
    }
    if LONGEST_FRAME < block.len().max(body.len()) {
        return wrong("the request is too long");
    }
    let mut request = PREFACE.to_vec();
    request.extend(frame(kind::SETTINGS, 0, 0, &SETTINGS));
    request.extend(frame(kind::HEADERS, END_HEADERS, STREAM, &block));
    request.extend(frame(kind::DATA, END_STREAM, STREAM, body));
    stream.write_all(&request)?;
    let mut read = 0;
    let mut answer = Answer::default();
    loop {
        let frame = Frame::read(&mut stream)?;
        read += HEAD + frame.payload.len();
        if MOST < read {
            return wrong("the server says too much");
        }
        if let Some(reply) = answer.take(frame)? {
            stream.write_all(&reply)?;
        }
        if answer.over {
            return Ok(answer.call);
        }
    }
}

/// Length of what each frame begins with.
const HEAD: usize = 9;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    let mut bytes = length.to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

impl Frame {
    fn read(stream: &mut Stream<'_>) -> Result<Frame, Wrong> {
        let mut head = [0; HEAD];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, number @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if LONGEST_FRAME < length {
            return wrong(match &head[..5] {
                b"HTTP/" => "the server speaks HTTP/1, not gRPC".to_owned(),
                _ => format!("a frame of {length} bytes: this is no gRPC, or too long"),
            });
        }
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        // The highest bit is reserved.
        let stream = u32::from_be_bytes(number) & 0x7fff_ffff;
        Ok(Frame { kind, flags, stream, payload })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without what fills it up and, in headers, without the priority.
    fn content(&self) -> Result<&[u8], Wrong> {
        let malformed = || Wrong::Because("a frame with more padding than content".to_owned());
        let (padding, mut content) = match self.payload.split_first() {
            Some((length, rest)) if self.has(PADDED) => (usize::from(*length), rest),
            None if self.has(PADDED) => return Err(malformed()),
            _ => (0, self.payload.as_slice()),
        };
        if self.kind == kind::HEADERS && self.has(PRIORITY) {
            content = content.get(5..).ok_or_else(malformed)?;
        }
        let length = content.len().checked_sub(padding).ok_or_else(malformed)?;
        content.get(..length).ok_or_else(malformed)
    }
}

/// What has come yet.
#[derive(Default)]
struct Answer {
    call: Call,
    /// A block of headers that goes on, and whether it is the last of the stream.
    block: Option<(Vec<u8>, bool)>,
    /// Whether any headers came.
    begun: bool,
    over: bool,
}

impl Answer {
    /// Takes a frame; what is to be answered.
    fn take(&mut self, frame: Frame) -> Result<Option<Vec<u8>>, Wrong> {
        if self.block.is_some() && (frame.kind, frame.stream) != (kind::CONTINUATION, STREAM) {
            return wrong("headers that something else interrupts");
        }
        match frame.kind {
            kind::SETTINGS if !frame.has(ACK) => return Ok(Some(self::frame(kind::SETTINGS, ACK, 0, &[]))),
            kind::PING if !frame.has(ACK) => {
                return Ok(Some(self::frame(kind::PING, ACK, 0, frame.payload.get(..8).unwrap_or_default())));
            }
            kind::GOAWAY => {
                // What was begun up to the stream that it names is answered still.
                let last = frame.payload.first_chunk::<4>().map(|number| u32::from_be_bytes(*number));
                if last.is_none_or(|last| last & 0x7fff_ffff < STREAM) {
                    return wrong("the server refuses connections (GOAWAY)");
                }
            }
            kind::PUSH_PROMISE => return wrong("the server pushes, which was forbidden"),
            kind::RST_STREAM if frame.stream == STREAM => {
                let code = frame.payload.first_chunk::<4>().map_or(0, |code| u32::from_be_bytes(*code));
                return wrong(format!("stream terminated by RST_STREAM with error code {code}"));
            }
            kind::HEADERS if frame.stream == STREAM => {
                self.block = Some((frame.content()?.to_vec(), frame.has(END_STREAM)));
                self.headers_end(frame.has(END_HEADERS))?;
            }
            kind::CONTINUATION => {
                let Some((block, _)) = &mut self.block else { return wrong("headers without a beginning") };
                block.extend_from_slice(&frame.payload);
                self.headers_end(frame.has(END_HEADERS))?;
            }
            kind::DATA if frame.stream == STREAM => {
                self.call.body.extend_from_slice(frame.content()?);
                if LONGEST_BODY < self.call.body.len() {
                    return wrong("an answer that is too long");
                }
                self.over = frame.has(END_STREAM);
            }
            // Windows, priorities, and what is not known yet.
            _ => {}
        }
        Ok(None)
    }

    fn headers_end(&mut self, whole: bool) -> Result<(), Wrong> {
        if self.block.as_ref().is_some_and(|(block, _)| LONGEST_HEADERS < block.len()) {
            return wrong(format!("headers of more than {LONGEST_HEADERS} bytes"));
        }
        let Some((block, last)) = self.block.take_if(|_| whole) else { return Ok(()) };
        let headers = hpack::read(&block)?;
        // 100 Continue and the like come before the answer.
        let early = headers.iter().any(|(name, value)| name == ":status" && value.starts_with('1'));
        match self.begun {
            _ if early => {}
            false => (self.call.headers, self.begun) = (headers, true),
            true => self.call.trailers = headers,
        }
        self.over = last;
        Ok(())
    }
}
