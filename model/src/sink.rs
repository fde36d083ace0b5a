//! How wings hand records on: the sink that makes them durable, the taps that see them, the decoder for a replay.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::batch::Batch;
use crate::fault::Fault;
use crate::request::{Header, Request};
use crate::tenant::TenantId;
use crate::time::UnixNano;

/// A place in the WAL. Grows by one with every frame, never reused within one WAL; 0 comes before the first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Proof that a request is on disk, or as near to it as its tenant chose (`durability` in storage's configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Where it stands. For a duplicate, where the first one stands.
    pub position: Position,
    /// The very payload was durable already; nothing was stored again.
    pub duplicate: bool,
}

/// Why a request was not taken. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// What kind of failure: [`Fault::Overloaded`] and [`Fault::Unavailable`] are worth a retry.
    pub fault: Fault,
    /// What happened and what to do.
    pub detail: String,
    /// When to come back, where a retry makes sense.
    pub retry_after: Option<Duration>,
}

/// Where a derived row came from. A source writes in the order of its positions; a position that is already covered
/// is acknowledged and not stored again, which makes a tap's repeated work exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Who computed it: `exceptions`, `alerts`, `notices`. Names one ordered stream.
    pub name: &'static str,
    /// How far this stream is once these rows are stored; strictly growing within a tenant and stream.
    pub position: u64,
}

/// Rows computed by us from stored rows.
#[derive(Clone, Debug)]
pub struct Derived {
    /// Whose.
    pub tenant: TenantId,
    /// The stream and its position.
    pub source: Source,
    /// The rows; all batches are stored together or not at all.
    pub batches: Vec<Batch>,
}

/// Makes records durable.
///
/// Ordering: two appends that overlap may land in either order. Empty cases: a request without batches is
/// acknowledged without being stored. Errors: a [`Refusal`] means that nothing was stored; a dropped future may or may
/// not have stored its request.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Appends one payload and all the rows it decoded to, atomically; returns when it is on disk, or as near to it as
    /// its tenant chose.
    async fn append(&self, request: Request) -> Result<Receipt, Refusal>;
    /// Why any append would be refused now, whatever it holds: for doors, before they read and decode a body in vain.
    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
    /// Appends derived rows once by their source position; never shown to taps.
    async fn append_derived(&self, derived: Derived) -> Result<Receipt, Refusal>;
    /// The stream's last durable position for a tenant; 0 when it never wrote.
    fn derived_position(&self, tenant: &TenantId, source: &'static str) -> u64;
}

/// A durable request as taps see it.
#[derive(Clone, Debug)]
pub struct Durable {
    /// Its place in the WAL.
    pub position: Position,
    /// Whose.
    pub tenant: TenantId,
    /// When it was received.
    pub received: UnixNano,
    /// Its rows.
    pub batches: Arc<[Batch]>,
}

/// Sees every durable request (never derived rows), in WAL order, from one thread at a time.
///
/// `observe` returns quickly: a tap that needs long work hands it to a bounded queue of its own and may block only when
/// that is full. After a restart a tap sees again every frame past its own [`Tap::position`], so what it does must be
/// repeatable: same input, same outcome, same ids.
pub trait Tap: Send + Sync {
    /// For logs and metrics.
    fn name(&self) -> &'static str;
    /// How far this tap's outcome is durable; storage keeps the WAL beyond it. `None`: needs nothing kept, sees no replay.
    fn position(&self) -> Option<Position>;
    /// One durable request.
    fn observe(&self, durable: &Durable);
}

/// A payload that cannot be decoded at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct DecodeError {
    /// What kind of failure.
    pub fault: Fault,
    /// What is wrong and where.
    pub detail: String,
}

/// Turns a payload into batches. Pure: the same header and bytes yield the same batches, at the door and at a replay.
pub trait Decoder: Send + Sync {
    /// Decodes one payload. Rows of `audit` leave `seq` 0: storage fills it from the header.
    fn decode(&self, header: &Header, payload: &Bytes) -> Result<Vec<Batch>, DecodeError>;
}
