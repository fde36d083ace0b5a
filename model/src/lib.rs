//! The words two wings must agree on: tenants, times, ids, columns, tables, batches, and the traits between wings.
//!
//! Nothing here does I/O, knows a wire format, or imports another crate of ours. A thing belongs here only when two
//! wings would break if they disagreed about it.
//!
//! | file | holds |
//! |---|---|
//! | `tenant.rs` | [`TenantId`], [`Caller`], [`Permission`] |
//! | `time.rs` | [`UnixNano`], [`TimeRange`], [`Clock`], time text in requests and answers |
//! | `id.rs` | [`TraceId`], [`SpanId`] and hex |
//! | `value.rs` | [`Value`]: one attribute value and its JSON text form |
//! | `column.rs` `semconv.rs` `table.rs` | column names, promoted attributes, table schemas and sort keys |
//! | `batch.rs` `request.rs` | checked rows; one payload with its header and batches |
//! | `null.rs` | columns without a value, shared by all batches |
//! | `sink.rs` | [`Sink`], [`Tap`], [`Decoder`]: how wings hand records on |
//! | `document.rs` | small JSON documents that people edit |
//! | `fault.rs` | kinds of failure with their HTTP and gRPC numbers; the problem body |
//! | `sample.rs` `stage.rs` | one self-metric sample of a wing; what a stage of a record's way cost |

mod batch;
pub mod column;
mod document;
mod fault;
mod id;
mod null;
mod request;
mod sample;
pub mod semconv;
mod sink;
mod stage;
mod table;
mod tenant;
mod time;
mod value;

pub use batch::{Batch, BatchError};
pub use document::{Document, DocumentError, DocumentStore, Expect};
pub use fault::{Fault, Problem};
pub use id::{IdError, SpanId, TraceId, from_hex, to_hex};
pub use null::{is_null_column, null_column};
pub use request::{ContentType, DecodeLimits, Encoding, Header, PayloadHash, Request, Signal};
pub use sample::{Sample, SampleKind};
pub use sink::{DecodeError, Decoder, Derived, Durable, Position, Receipt, Refusal, Sink, Source, Tap};
pub use stage::{Stage, StageName};
pub use table::{
    SortKey, Table, event_fields, example_fields, exemplar_fields, latency_fields, link_fields, quantile_fields,
};
pub use tenant::{Caller, Permission, TenantError, TenantId};
pub use time::{Clock, ManualClock, SystemClock, TimeError, TimeRange, UnixNano};
pub use value::{Value, ValueError, push_json_int, push_json_string};
