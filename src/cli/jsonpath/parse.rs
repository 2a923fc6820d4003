//! From text to a tree.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::compare::Operator;

/// How deep filters, and how deep ranges may nest.
const MOST_NESTED: usize = 32;

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text outside of braces.
    Text(String),
    /// `{…}`: steps, each from the values of the one before.
    Action(Vec<Step>),
    /// `{range …}` and what stands before its `{end}`.
    Range(Vec<Step>, Vec<Piece>),
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `"text"`, `1`, `true`: itself, whatever came before.
    Literal(Value),
    /// `.name`
    Field(String),
    /// `.*`
    Wildcard,
    /// `..`
    Recursive,
    /// `[0]`, `[-1]`, `[1:3:2]`, `[*]`
    Slice(Slice),
    /// `[0,2]`, `['a','b']`
    Union(Vec<Vec<Step>>),
    /// `[?(@.a)]`
    Exists(Vec<Step>),
    /// `[?(@.a=="b")]`
    Filter(Vec<Step>, Operator, Vec<Step>),
}

/// What stands in brackets, by position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice {
    /// The first.
    pub from: Option<i64>,
    /// The one after the last.
    pub to: Option<i64>,
    /// Every how manyth.
    pub step: Option<i64>,
    /// One element alone: there is no `to`.
    pub single: bool,
}

/// Parses a whole template.
pub fn template(text: &str) -> Result<Vec<Piece>> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let mut open: Vec<(Vec<Step>, Vec<Piece>)> = Vec::new();
    let mut pieces = Vec::new();
    while parser.at < text.len() {
        let end = parser.rest().find('{').map_or(text.len(), |found| parser.at + found);
        if end > parser.at {
            pieces.push(Piece::Text(text[parser.at..end].to_string()));
        }
        parser.at = end;
        if !parser.eat("{") {
            break;
        }
        match parser.action()? {
            (Keyword::None, steps) => pieces.push(Piece::Action(steps)),
            (Keyword::Range, steps) => {
                ensure!(open.len() < MOST_NESTED, "more than {MOST_NESTED} ranges in one another");
                open.push((steps, std::mem::take(&mut pieces)));
            }
            (Keyword::End, _) => {
                let (steps, before) = open.pop().context("not in range, nothing to end")?;
                let body = std::mem::replace(&mut pieces, before);
                pieces.push(Piece::Range(steps, body));
            }
        }
    }
    // As in kubectl, the end of the template ends what is open.
    while let Some((steps, before)) = open.pop() {
        let body = std::mem::replace(&mut pieces, before);
        pieces.push(Piece::Range(steps, body));
    }
    Ok(pieces)
}

/// What an action begins with.
#[derive(PartialEq)]
enum Keyword {
    None,
    Range,
    End,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// What follows an opening brace, with the closing one.
    fn action(&mut self) -> Result<(Keyword, Vec<Step>)> {
        let (mut keyword, mut steps) = (Keyword::None, Vec::new());
        loop {
            if self.eat("[?(") {
                steps.push(self.filter()?);
                continue;
            }
            if self.eat("..") {
                ensure!(steps.last() != Some(&Step::Recursive), "invalid multiple recursive descent");
                steps.push(Step::Recursive);
                if self.rest().starts_with(is_word) {
                    steps.push(self.field());
                }
                continue;
            }
            let before = self.at;
            match self.next() {
                None | Some('\n' | '\r') => bail!("unclosed action"),
                Some('}') => return Ok((keyword, steps)),
                // The current object: everything is about it anyway.
                Some(' ' | '@' | '$') => {}
                Some('[') => self.bracket(&mut steps)?,
                Some(quote @ ('"' | '\'')) => steps.push(self.quoted(quote)?),
                Some('.') => steps.push(self.field()),
                Some(c) if c == '+' || c == '-' || c.is_numeric() => {
                    self.at = before;
                    steps.push(self.number()?);
                }
                Some(c) if is_word(c) => {
                    self.at = before;
                    match self.until_terminator() {
                        "true" => steps.push(Step::Literal(json!(true))),
                        "false" => steps.push(Step::Literal(json!(false))),
                        "range" if steps.is_empty() && keyword == Keyword::None => keyword = Keyword::Range,
                        "end" if steps.is_empty() && keyword == Keyword::None => keyword = Keyword::End,
                        other => bail!("unrecognized identifier {other}"),
                    }
                }
                Some(c) => {
                    let shown = if c.is_control() { String::new() } else { format!(" '{c}'") };
                    bail!("unrecognized character in action: U+{:04X}{shown}", c as u32)
                }
            }
        }
    }

    /// Steps that stand for themselves inside of others.
    fn inner(&self, text: &str) -> Result<Vec<Step>> {
        ensure!(self.depth < MOST_NESTED, "more than {MOST_NESTED} filters in one another");
        let text = format!("{text}}}");
        let mut parser = Parser { text: &text, at: 0, depth: self.depth + 1 };
        let (keyword, steps) = parser.action()?;
        ensure!(keyword == Keyword::None, "a filter has no range and no end");
        Ok(steps)
    }

    fn field(&mut self) -> Step {
        match self.until_terminator() {
            "*" => Step::Wildcard,
            name => Step::Field(name.replace('\\', "")),
        }
    }

    /// What stands before whatever ends a name, which a backslash hides.
    fn until_terminator(&mut self) -> &'t str {
        let from = self.at;
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices() {
            if !escaped && " \t\r\n.,[]$@{}".contains(c) {
                self.at = from + offset;
                return &self.text[from..self.at];
            }
            escaped = !escaped && c == '\\';
        }
        self.at = self.text.len();
        &self.text[from..]
    }

    fn number(&mut self) -> Result<Step> {
        let rest = self.rest();
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let length = digits.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(digits.len());
        let text = &rest[..rest.len() - digits.len() + length];
        self.at += text.len();
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Step::Literal(json!(number)));
        }
        let number: f64 = text.parse().ok().with_context(|| format!("cannot parse number {text}"))?;
        Ok(Step::Literal(json!(number)))
    }

    fn quoted(&mut self, quote: char) -> Result<Step> {
        let length = quoted_length(self.rest(), quote).context("unterminated quoted string")?;
        let text = &self.rest()[..length];
        self.at += length + quote.len_utf8();
        Ok(Step::Literal(Value::String(unescape(text)?)))
    }

    /// What stands in brackets that is no filter.
    fn bracket(&mut self, steps: &mut Vec<Step>) -> Result<()> {
        let length = self.rest().find([']', '\n']).unwrap_or(self.rest().len());
        let text = &self.rest()[..length];
        self.at += length;
        ensure!(self.eat("]"), "unterminated array");
        if text.contains(',') {
            let each = text.split(',').map(|item| self.inner(&format!("[{}]", item.trim_matches(' '))));
            steps.push(Step::Union(each.collect::<Result<_>>()?));
            return Ok(());
        }
        let key = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
        match key.filter(|key| !key.contains('\'')) {
            Some(key) => steps.extend(self.inner(&format!(".{key}"))?),
            None => steps.push(Step::Slice(slice(text)?)),
        }
        Ok(())
    }

    /// What follows `[?(`.
    fn filter(&mut self) -> Result<Step> {
        let length = closing(self.rest()).context("unterminated filter")?;
        let text = &self.rest()[..length];
        self.at += length + 1;
        ensure!(self.eat("]"), "unclosed array expect ]");
        let Some((left, operator, right)) = Operator::split(text)? else {
            return Ok(Step::Exists(self.inner(text)?));
        };
        Ok(Step::Filter(self.inner(left)?, operator, self.inner(right)?))
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Bytes before the next `quote` that no backslash hides; `None` where the line ends first.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (offset, c) in text.char_indices() {
        match c {
            '\n' => return None,
            _ if c == quote && !escaped => return Some(offset),
            _ => escaped = !escaped && c == '\\',
        }
    }
    None
}

/// Bytes before the `)` that closes what stands before `text`.
fn closing(text: &str) -> Option<usize> {
    outside_quotes(text)
        .scan(1_usize, |depth, (offset, c)| {
            match c {
                '(' => *depth += 1,
                ')' => *depth -= 1,
                _ => {}
            }
            Some((offset, c, *depth))
        })
        .take_while(|(_, c, _)| *c != '\n')
        .find_map(|(offset, _, depth)| (depth == 0).then_some(offset))
}

/// The characters that stand in no quotes, with their places.
pub fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut skip = 0;
    text.char_indices().filter(move |(offset, c)| {
        if *offset < skip {
            return false;
        }
        if matches!(c, '"' | '\'') {
            // Without its end, a quote hides everything.
            let inside = quoted_length(&text[offset + 1..], *c).unwrap_or(text.len());
            skip = offset + 1 + inside + 1;
            return false;
        }
        true
    })
}

/// `from:to:step`, each of which may be missing; `*` is all.
fn slice(text: &str) -> Result<Slice> {
    let text = if text == "*" { ":" } else { text };
    let parts: Vec<&str> = text.split(':').collect();
    let allowed = |c: char| c == '-' || c == ':' || c.is_ascii_digit();
    ensure!(parts.len() <= 3 && text.chars().all(allowed), "invalid array index {text}");
    let number = |at: usize| -> Result<Option<i64>> {
        let part = parts.get(at).copied().unwrap_or_default();
        if part.is_empty() {
            return Ok(None);
        }
        let number = part.parse().ok().with_context(|| format!("array index {part} is not a number"))?;
        Ok(Some(number))
    };
    Ok(Slice { from: number(0)?, to: number(1)?, step: number(2)?, single: parts.len() == 1 })
}

/// Go's escapes.
fn unescape(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escape = chars.next().context("a backslash at the end of a quoted string")?;
        if escape.is_digit(8) {
            let rest: String = chars.by_ref().take(2).collect();
            let number = u8::from_str_radix(&format!("{escape}{rest}"), 8).ok().filter(|_| rest.len() == 2);
            out.push(number.map(char::from).with_context(|| format!("unquote string {text:?}"))?);
            continue;
        }
        let digits = match escape {
            'a' => Err('\u{7}'),
            'b' => Err('\u{8}'),
            'f' => Err('\u{c}'),
            'n' => Err('\n'),
            'r' => Err('\r'),
            't' => Err('\t'),
            'v' => Err('\u{b}'),
            '\\' | '\'' | '"' => Err(escape),
            'x' => Ok(2),
            'u' => Ok(4),
            'U' => Ok(8),
            _ => bail!("unquote string {text:?} error invalid syntax"),
        };
        out.push(match digits {
            Err(plain) => plain,
            Ok(digits) => {
                let number: String = chars.by_ref().take(digits).collect();
                let number = u32::from_str_radix(&number, 16).ok().filter(|_| number.len() == digits);
                number.and_then(char::from_u32).with_context(|| format!("unquote string {text:?}"))?
            }
        });
    }
    Ok(out)
}
