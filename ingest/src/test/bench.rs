//! A sink that remembers, a wing over it, and cells of batches as text.

use std::sync::{Arc, Mutex};

use arrow::array::Array;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use bytes::Bytes;
use tracelake_model::{
    Batch, Caller, ContentType, DecodeLimits, Derived, Encoding, Header, ManualClock, Permission, Position, Receipt,
    Refusal, Request, Signal, Sink, Table, TenantId, UnixNano,
};

use crate::config::Config;
use crate::decode::{self, Context, Decoded};
use crate::error::Error;
use crate::ingest::Ingest;

/// The time that tests show.
pub(crate) const NOW: UnixNano = UnixNano(1_700_000_000_000_000_000);

/// Remembers what it was given, or refuses everything.
#[derive(Default)]
pub(crate) struct Recorder {
    requests: Mutex<Vec<Request>>,
    refusal: Mutex<Option<Refusal>>,
    full: Mutex<Option<Refusal>>,
}

impl Recorder {
    pub(crate) fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock().expect("not poisoned") = Some(refusal);
    }

    /// Says from now on that it takes nothing, before it is given anything.
    pub(crate) fn fill(&self, refusal: Refusal) {
        *self.full.lock().expect("not poisoned") = Some(refusal);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl Sink for Recorder {
    async fn append(&self, request: Request) -> Result<Receipt, Refusal> {
        if let Some(refusal) = self.refusal.lock().expect("not poisoned").clone() {
            return Err(refusal);
        }
        let mut requests = self.requests.lock().expect("not poisoned");
        let duplicate =
            requests.iter().any(|known| known.header.hash.is_some_and(|hash| request.header.hash == Some(hash)));
        if !duplicate {
            requests.push(request);
        }
        Ok(Receipt { position: Position(requests.len() as u64), duplicate })
    }

    fn check(&self) -> Result<(), Refusal> {
        self.full.lock().expect("not poisoned").clone().map_or(Ok(()), Err)
    }

    async fn append_derived(&self, _derived: Derived) -> Result<Receipt, Refusal> {
        unreachable!("doors derive nothing")
    }

    fn derived_position(&self, _tenant: &TenantId, _source: &'static str) -> u64 {
        0
    }
}

pub(crate) fn wing(config: Config) -> (Arc<Ingest>, Arc<Recorder>) {
    let sink = Arc::new(Recorder::default());
    let clock = Arc::new(ManualClock::new(NOW));
    (Ingest::new(config, Arc::<Recorder>::clone(&sink), clock), sink)
}

pub(crate) fn caller() -> Caller {
    Caller::anonymous(TenantId::default())
}

pub(crate) fn reader_only() -> Caller {
    Caller { permissions: Arc::from([Permission::Read]), ..caller() }
}

/// Decodes plain bytes with default limits.
pub(crate) fn decoded(signal: Signal, content_type: ContentType, plain: &[u8]) -> Result<Decoded, Error> {
    decoded_within(DecodeLimits::default(), signal, content_type, plain)
}

pub(crate) fn decoded_within(
    limits: DecodeLimits,
    signal: Signal,
    content_type: ContentType,
    plain: &[u8],
) -> Result<Decoded, Error> {
    decode::decode(Context { decoder: decode::VERSION, signal, content_type, received: NOW, limits }, plain)
}

/// Decodes protobuf that must yield exactly one batch.
pub(crate) fn rows(signal: Signal, plain: &[u8]) -> Batch {
    let mut batches = decoded(signal, ContentType::Protobuf, plain).expect("decodes").batches;
    assert_eq!(batches.len(), 1);
    batches.remove(0)
}

/// The header that a door would give these bytes.
pub(crate) fn header(signal: Signal, content_type: ContentType, encoding: Encoding) -> Header {
    Header {
        tenant: TenantId::default(),
        signal,
        content_type,
        encoding,
        received: NOW,
        decoder: decode::VERSION,
        limits: DecodeLimits::default(),
        hash: None,
        accepted: Vec::new(),
        refused: 0,
        audit_seq: 0,
    }
}

/// One cell as text; `NULL` when it is null.
pub(crate) fn cell(batch: &Batch, column: &str, row: usize) -> String {
    let column = batch.rows().column_by_name(column).unwrap_or_else(|| panic!("column {column}"));
    if column.is_null(row) { "NULL".to_owned() } else { array_value_to_string(column, row).expect("displays") }
}

/// Checks cells of one row.
pub(crate) fn check_cells(batch: &Batch, row: usize, expected: &[(&str, &str)]) {
    for (column, value) in expected {
        assert_eq!(&cell(batch, column, row), value, "{} row {row} column {column}", batch.table());
    }
}

pub(crate) fn batch_of(batches: &[Batch], table: Table) -> &Batch {
    batches.iter().find(|batch| batch.table() == table).unwrap_or_else(|| panic!("no batch of {table}"))
}

pub(crate) fn gzip(plain: &[u8]) -> Bytes {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("writes to memory");
    Bytes::from(encoder.finish().expect("writes to memory"))
}
