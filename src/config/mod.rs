//! Configuration: flags > environment > file > default, read once at start into one [`Config`] of the wings' own.
//!
//! | file | holds |
//! |---|---|
//! | `schema.rs` `storage.rs` | [`Config`] and its keys: name, default, sentence, where it goes |
//! | `section.rs` | the one table of sections and keys |
//! | `tenant.rs` | the keys that single tenants may have otherwise |
//! | `value.rs` | text forms of sizes, durations, addresses |
//! | `load.rs` | the layers, refusal of what is unknown, all problems at once |
//! | `check.rs` | what must hold between keys |
//! | `reference.rs` | the documentation and the commented file, made from the table |

pub(crate) mod check;
pub(crate) mod load;
pub(crate) mod reference;
pub(crate) mod schema;
pub(crate) mod section;
pub(crate) mod storage;
pub(crate) mod tenant;
pub(crate) mod value;
