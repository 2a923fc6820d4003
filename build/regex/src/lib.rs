//! Regular expressions by `regex-lite`, whose authors and interface are those of `regex`, under the latter's name.
//!
//! oci-spec and libcontainer ask for `regex` with its tables of Unicode: 0.7 MB for eight expressions, none of which has
//! a letter outside of ASCII in it. What is asked of those that have (`\w`, `\d`) is ASCII here, as it is in Go, where
//! the grammar of references to images comes from.

pub use regex_lite::*;
