//! SQL functions.
//!
//! | file | holds |
//! |---|---|
//! | `attr.rs` | `attr, attr_int, attr_double, attr_bool`: one attribute out of a JSON text |
//! | `attributes.rs` | all attributes of a record as one JSON text, from promoted columns and the rest |
//! | `hex.rs` | ids as lower-case hex |
//! | `label.rs` | span kinds and status codes by name |
//! | `now.rs` | the present by the engine's clock |
//!
//! Only `attr*` and `now` can be called by name; the others stand in the views. `sql/rewrite.rs` turns comparisons on
//! them into comparisons on the columns beneath.

pub(crate) mod attr;
pub(crate) mod attributes;
pub(crate) mod hex;
pub(crate) mod label;
pub(crate) mod now;
