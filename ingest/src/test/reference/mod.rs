//! A second decoder to hold the first against: slow, plain, and sharing no code with it but the model's words.
//!
//! | file | holds |
//! |---|---|
//! | `message.rs` | OTLP's messages for prost, with text as bytes and messages inside kept raw |
//! | `value.rs` | attribute values and what is done to too many and too long ones |
//! | `cell.rs` | rows as the text of their cells |
//! | `row.rs` | the rows of a request |
//! | `point.rs` | rows of data points |
//!
//! prost reads every message; what it does not tell, it is asked again. It refuses a whole request for one text that is
//! not UTF-8 and knows no depth beyond 100 messages. The product differs there on purpose, and the rules are written out
//! here: text is bytes whose every occurrence is looked at, messages inside stay raw and are read one by one, all
//! occurrences of one field joined, which is how protobuf defines merging.

mod cell;
mod message;
mod point;
mod row;
mod value;

pub(crate) use cell::{Expected, Row};
pub(crate) use row::expected;
