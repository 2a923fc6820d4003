//! Files of variables: `KEY='value'`, as the kubelet reads them for `fileKeyRef`.
//!
//! The value is in single quotes, may be several lines long, and has no escapes; lines that are empty or begin with `#` say
//! nothing.

use std::iter::Peekable;
use std::str::Lines;

/// The last value of `key` in `text`; `None` where there is none.
///
/// # Errors
/// The number of the first line that is something else, from 1; the file is not used then, since nobody knows what was meant.
pub fn value(text: &str, key: &str) -> Result<Option<String>, usize> {
    let mut found = None;
    let mut lines = text.lines().peekable();
    let mut number = 0;
    while let Some(line) = lines.next() {
        number += 1;
        let line = line.trim_start();
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, rest) = line.split_once('=').ok_or(number)?;
        let rest = rest.strip_prefix('\'').ok_or(number)?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(number);
        }
        let (value, further) = quoted(rest, &mut lines).ok_or(number)?;
        number += further;
        if name == key {
            found = Some(value);
        }
    }
    Ok(found)
}

/// What is up to the closing quote, and how many further lines it takes. After it there may be white space or a comment.
fn quoted(first: &str, lines: &mut Peekable<Lines<'_>>) -> Option<(String, usize)> {
    let mut value = String::new();
    let (mut rest, mut further) = (first, 0);
    loop {
        match rest.split_once('\'') {
            Some((end, after)) => {
                value.push_str(end);
                let after = after.trim_start();
                return (after.is_empty() || after.starts_with('#')).then_some((value, further));
            }
            None => {
                value.push_str(rest);
                value.push('\n');
                rest = lines.next()?;
                further += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_is_read_as_the_kubelet_reads_it() {
        let text = "# a comment\n\n  A='1'\nB='two\n lines' # so\nA='last'\nEMPTY=''\nHASH='#x=y'\r\n";
        for (key, expected) in [
            ("A", Some("last")),
            ("B", Some("two\n lines")),
            ("EMPTY", Some("")),
            ("HASH", Some("#x=y")),
            ("lines", None),
        ] {
            assert_eq!(value(text, key), Ok(expected.map(str::to_owned)), "{key}");
        }
        assert_eq!(value("", "A"), Ok(None));
    }

    #[test]
    fn what_is_written_otherwise_is_told_by_its_line() {
        for (text, line) in [
            ("A=1", 1),
            ("A='1'\nB=\"2\"", 2),
            ("A='1\n2'\nB", 3),
            ("A='1'x", 1),
            ("A='1", 1),
            ("='1'", 1),
            ("A ='1'", 1),
            ("export A='1'", 1),
        ] {
            assert_eq!(value(text, "A"), Err(line), "{text:?}");
        }
    }
}
