//! Headers as HTTP/2 writes them (RFC 7541), as far as a client needs that which keeps no table: it says so to the server, and
//! what is then referred to must be in the table that everybody has.
//!
//! Invariant: whoever wrote the block is not trusted: what it unpacks to is bounded, and what is wrong is an error.

use std::sync::OnceLock;

/// Names and values.
pub type Headers = Vec<(String, String)>;

/// Most bytes that a block may unpack to.
const LONGEST: usize = 16 * 1024;

/// Reads a whole block.
pub fn read(block: &[u8]) -> Result<Headers, String> {
    let mut left = Block(block);
    let (mut headers, mut total) = (Headers::new(), 0);
    while let Some(first) = left.0.first().copied() {
        let (name, value) = match first {
            0x80.. => left.indexed()?,
            0x40.. => left.literal(6)?,
            // The size of the table: it has none, and no other is allowed.
            0x20.. => match left.integer(5)? {
                0 => continue,
                size => return Err(format!("a table of headers with {size} bytes, which was forbidden")),
            },
            _ => left.literal(4)?,
        };
        total += name.len() + value.len();
        if LONGEST < total {
            return Err(format!("headers of more than {LONGEST} bytes"));
        }
        headers.push((name, value));
    }
    Ok(headers)
}

/// Adds a header, the plain way: each as a text.
pub fn write(name: &str, value: &str, to: &mut Vec<u8>) {
    to.push(0);
    for text in [name, value] {
        write_integer(text.len(), to);
        to.extend_from_slice(text.as_bytes());
    }
}

/// With a prefix of 7 bits, the eighth being 0.
fn write_integer(number: usize, to: &mut Vec<u8>) {
    const PREFIX: usize = 0x7f;
    if number < PREFIX {
        return to.push(number as u8);
    }
    to.push(PREFIX as u8);
    let mut rest = number - PREFIX;
    while 0x80 <= rest {
        to.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

/// What is left of a block.
struct Block<'a>(&'a [u8]);

impl Block<'_> {
    fn indexed(&mut self) -> Result<(String, String), String> {
        let (name, value) = known(self.integer(7)?)?;
        Ok((name.to_owned(), value.to_owned()))
    }

    fn literal(&mut self, prefix: u32) -> Result<(String, String), String> {
        let name = match self.integer(prefix)? {
            0 => self.text()?,
            index => known(index)?.0.to_owned(),
        };
        Ok((name, self.text()?))
    }

    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.0.split_first().ok_or("headers that end too early")?;
        self.0 = rest;
        Ok(*first)
    }

    /// A number that begins in the lowest `prefix` bits of a byte.
    fn integer(&mut self, prefix: u32) -> Result<usize, String> {
        let most = (1usize << prefix) - 1;
        let mut number = usize::from(self.byte()?) & most;
        if number < most {
            return Ok(number);
        }
        // Three bytes are more than anything here may be long.
        for place in 0..3 {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number in the headers that is too large".to_owned())
    }

    fn text(&mut self) -> Result<String, String> {
        let packed = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or("headers that end too early")?;
        self.0 = rest;
        let bytes = if packed { unpacked(text)? } else { text.to_vec() };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn known(index: usize) -> Result<(&'static str, &'static str), String> {
    let entry = index.checked_sub(1).and_then(|at| STATIC.get(at));
    entry.copied().ok_or_else(|| format!("a header by the number {index}, which means none"))
}

/// What was packed by Huffman's code. Its codes are canonical, so that their lengths tell them.
fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let codes = codes();
    let mut text = Vec::new();
    let (mut code, mut length) = (0u32, 0u8);
    for byte in bytes {
        for place in (0..8).rev() {
            code = code << 1 | u32::from(byte >> place & 1);
            length += 1;
            if let Ok(at) = codes.binary_search_by_key(&(length, code), |(code, _)| *code) {
                text.extend(codes.get(at).map(|(_, byte)| *byte));
                (code, length) = (0, 0);
            } else if 30 <= length {
                return Err("a text in the headers that is no text".to_owned());
            }
        }
    }
    // The last byte is filled up with ones.
    if length < 8 && code == (1 << length) - 1 {
        Ok(text)
    } else {
        Err("a text in the headers that ends too early".to_owned())
    }
}

/// A code's length and the code, and the byte that it means.
type Code = ((u8, u32), u8);

fn codes() -> &'static [Code] {
    static CODES: OnceLock<Vec<Code>> = OnceLock::new();
    CODES.get_or_init(|| {
        let mut bytes: Vec<(u8, u8)> = LENGTHS.iter().copied().zip(0..=u8::MAX).collect();
        bytes.sort_unstable();
        let (mut next, mut last) = (0u32, 0);
        let mut assign = |(length, byte): (u8, u8)| {
            next <<= length - last;
            last = length;
            next += 1;
            ((length, next - 1), byte)
        };
        bytes.into_iter().map(&mut assign).collect()
    })
}

/// How many bits stand for each byte (RFC 7541, appendix B).
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26,
];

/// The table that everybody has; its first number is 1 (RFC 7541, appendix A).
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];
