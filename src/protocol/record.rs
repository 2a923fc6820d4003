//! The format of container logs: `<RFC 3339 time> <stdout|stderr> <F|P> <text>`, where P is a piece of a line that goes
//! on in the same stream.

use memchr::memchr;

/// Time, stream (0 is stdout), whether the line ends here, text; of one line of a log without its line feed. `None` for
/// what is none: a disk that was full cuts them.
pub fn log_record(record: &[u8]) -> Option<(&[u8], usize, bool, &[u8])> {
    let (time, rest) = record.split_at(memchr(b' ', record)?);
    let (stream, rest) = match rest.get(..8)? {
        b" stdout " => (0, &rest[8..]),
        b" stderr " => (1, &rest[8..]),
        _ => return None,
    };
    let whole = match rest.first()? {
        b'F' => true,
        b'P' => false,
        _ => return None,
    };
    match rest.get(1) {
        None => Some((time, stream, whole, &[])),
        Some(b' ') => Some((time, stream, whole, &rest[2..])),
        // Tags are separated by colons, of which the first is this one.
        Some(b':') => Some((time, stream, whole, memchr(b' ', rest).map_or(&[][..], |end| &rest[end + 1..]))),
        Some(_) => None,
    }
}
