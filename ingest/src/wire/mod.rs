//! The protobuf walker: reads OTLP messages from their bytes without building a tree of the request.
//!
//! A walk knows two kinds of trouble. Bytes that are not protobuf are [`field::Malformed`] and end the request. A record
//! that is protobuf but not acceptable (text that is not UTF-8, values too deep, times too great) sets the walk's fault
//! and is refused alone. Records borrow from the payload. Singular fields that come twice are merged as protobuf says.
//!
//! | file | holds |
//! |---|---|
//! | `field.rs` | tags, varints, fixed and length-delimited fields |
//! | `value.rs` | `AnyValue`, `KeyValue`, and the walk's state |
//! | `key.rs` | the keys of attributes, checked once a request |
//! | `origin.rs` | resource and scope; the way down to the records |
//! | `span.rs` `log.rs` `metric.rs` | one record each |

pub(crate) mod field;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod metric;
pub(crate) mod origin;
pub(crate) mod span;
pub(crate) mod value;
