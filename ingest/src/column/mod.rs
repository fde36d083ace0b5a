//! What a walk fills: rows of the four ingested tables, column by column.
//!
//! | file | holds |
//! |---|---|
//! | `interned.rs` | dictionary columns: each distinct text once |
//! | `sparse.rs` | columns that most rows leave null, and lists |
//! | `assemble.rs` | named columns put into their table's order |
//! | `attribute.rs` | attributes tidied, promoted or kept as JSON text |
//! | `resource.rs` | what resource and scope bring along, interned by run |
//! | `span.rs` `event.rs` `log.rs` `metric.rs` `exemplar.rs` | rows of the tables |
//! | `audit.rs` `audit_row.rs` | which attribute means what in an audit record; its rows and hash |

pub(crate) mod assemble;
pub(crate) mod attribute;
pub(crate) mod audit;
pub(crate) mod audit_row;
pub(crate) mod event;
pub(crate) mod exemplar;
pub(crate) mod interned;
pub(crate) mod log;
pub(crate) mod metric;
pub(crate) mod resource;
pub(crate) mod span;
pub(crate) mod sparse;
