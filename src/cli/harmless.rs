//! Text of others, made harmless: what a manifest or a container says never steers the terminal of the one who reads.
//!
//! Control characters become what `cat -v` shows of them, and so do the invisible ones that turn the direction of
//! writing around, with which a line can be made to read as another.

use std::fmt::Write;

/// One line of text: line feeds and tabs are made visible too, since they would move what follows.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

/// JSON that was written: it escapes C0 alone, and what else steers a terminal can only be inside a string.
pub fn json(text: String) -> String {
    let steers = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(steers) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            _ if steers(c) => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
        out
    })
}

/// A stream of bytes; characters that are cut in two by a read are put together again.
#[derive(Default)]
pub struct Stream {
    cut: Vec<u8>,
}

impl Stream {
    /// The next piece. Line feeds and tabs stay; the carriage return before a line feed goes.
    pub fn text(&mut self, bytes: &[u8]) -> String {
        self.cut.extend_from_slice(bytes);
        let rest = self.cut.split_off(whole(&self.cut));
        let bytes = std::mem::replace(&mut self.cut, rest);
        Stream::show(&bytes)
    }

    /// What was held back and never continued.
    pub fn rest(&mut self) -> String {
        Stream::show(&std::mem::take(&mut self.cut))
    }

    fn show(bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\n' | '\t' => out.push(c),
                _ => push(&mut out, c),
            }
        }
        out
    }
}

/// How many of `bytes` to show now: all but a character, or a line end, that has only begun.
fn whole(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return bytes.len() - 1;
    }
    let begun = (1..=3.min(bytes.len())).find(|back| bytes[bytes.len() - back] >= 0xC0);
    match begun.map(|back| (back, bytes[bytes.len() - back])) {
        Some((back, 0xC0..=0xDF)) if back < 2 => bytes.len() - back,
        Some((back, 0xE0..=0xEF)) if back < 3 => bytes.len() - back,
        Some((back, 0xF0..=0xF7)) if back < 4 => bytes.len() - back,
        _ => bytes.len(),
    }
}

fn push(out: &mut String, c: char) {
    match c {
        '\0'..='\u{1f}' => out.extend(['^', char::from(c as u8 + 0x40)]),
        '\u{7f}' => out.push_str("^?"),
        '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            // Writing to a string does not fail.
            let _ = write!(out, "<U+{:04X}>", c as u32);
        }
        _ => out.push(c),
    }
}
