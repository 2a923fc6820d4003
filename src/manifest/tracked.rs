//! A JSON value as serde reads it, with the path of what is read at hand: to tell which fields nobody asked for, and which
//! one is wrong.
//!
//! The crates that do this wrap each other's visitors, which made 0.3 MB of code out of the types of core/v1.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Value, map};

use crate::yaml::tree::Path;

/// What is seen on the way.
pub struct Trace {
    /// What the whole value is.
    root: Path,
    at: RefCell<Path>,
    unknown: RefCell<Vec<Path>>,
    wrong: RefCell<Option<Path>>,
}

impl Trace {
    /// Of a value that `path` leads to.
    pub fn at(path: Path) -> Trace {
        Trace { root: path.clone(), at: path.into(), unknown: RefCell::default(), wrong: RefCell::default() }
    }

    /// Fields that nobody asked for, and the place of the error, if there was one.
    pub fn seen(self) -> (Vec<Path>, Path) {
        (self.unknown.into_inner(), self.wrong.into_inner().unwrap_or(self.root))
    }

    /// Reads what is at `below`. The innermost place of an error is kept.
    fn enter<T>(&self, below: Path, read: impl FnOnce() -> Result<T, Wrong>) -> Result<T, Wrong> {
        let outer = self.at.replace(below);
        let read = read();
        let below = self.at.replace(outer);
        if read.is_err() {
            self.wrong.borrow_mut().get_or_insert(below);
        }
        read
    }

    fn here(&self) -> Path {
        self.at.borrow().clone()
    }
}

/// Why a value cannot be read, in serde's words.
#[derive(Debug)]
pub struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Wrong {
        Wrong(message.to_string())
    }
}

/// A value that is read.
#[derive(Clone, Copy)]
pub struct Tracked<'v> {
    /// The value.
    pub value: &'v Value,
    /// Where to note what is seen.
    pub trace: &'v Trace,
}

impl<'v> Deserializer<'v> for Tracked<'v> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let trace = self.trace;
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items { items, next: 0, trace }),
            Value::Object(fields) => visitor.visit_map(Fields { fields: fields.iter(), value: None, trace }),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.trace.unknown.borrow_mut().push(self.trace.here());
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <V: Visitor<'v>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

struct Items<'v> {
    items: &'v [Value],
    next: usize,
    trace: &'v Trace,
}

impl<'v> SeqAccess<'v> for Items<'v> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some(value) = self.items.get(self.next) else { return Ok(None) };
        let (trace, below) = (self.trace, self.trace.at.borrow().index(self.next));
        self.next += 1;
        trace.enter(below, || seed.deserialize(Tracked { value, trace })).map(Some)
    }
}

struct Fields<'v> {
    fields: map::Iter<'v>,
    /// Of the key that was told last.
    value: Option<(&'v str, &'v Value)>,
    trace: &'v Trace,
}

impl<'v> MapAccess<'v> for Fields<'v> {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some((key, value)) = self.fields.next() else { return Ok(None) };
        self.value = Some((key, value));
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let (key, value) = self.value.take().ok_or_else(|| Wrong("a value without a key".to_owned()))?;
        let (trace, below) = (self.trace, self.trace.at.borrow().key(key));
        trace.enter(below, || seed.deserialize(Tracked { value, trace }))
    }
}
