//! Rows to the encoded columns of a row group.
//!
//! | file | holds |
//! |---|---|
//! | `group.rs` | [`group::Groups`]: row groups of a file, begun, filled and ended |
//! | `bytes.rs` | a flat column of texts or bytes |
//! | `text.rs` `bounds.rs` | its dictionary; the least and the greatest value |
//! | `page.rs` `squeeze.rs` | the pages of a chunk; their compression |
//! | `tell.rs` | what a value index is told of a column |
//! | `run.rs` `delta.rs` | small numbers as runs, whole numbers as differences |

mod bounds;
mod bytes;
mod delta;
pub(crate) mod group;
mod page;
mod run;
mod squeeze;
mod tell;
mod text;

#[cfg(test)]
mod tests;
