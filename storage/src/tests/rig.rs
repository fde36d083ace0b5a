//! A store without threads on a simulated disk, fed with lines of text, read back from tail and parts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, Int8Array, Int64Array, RecordBatch, StringArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tracelake_model::{
    Batch, ContentType, DecodeError, DecodeLimits, Decoder, Derived, Encoding, Fault, Header, ManualClock, Request,
    Signal, Source, Table, TenantId, UnixNano, column,
};

use crate::config::Config;
use crate::core::Core;
use crate::dedup::Outcome;
use crate::disk::Disk;
use crate::error::Error;
use crate::files::disk::DiskFiles;
use crate::files::file::{Chunks, Files};
use crate::open;
use crate::seam::Seams;
use crate::simulation::SimDisk;
use crate::snapshot::Snapshot;

pub(crate) const START: UnixNano = UnixNano(1_700_000_000_000_000_000);

/// Lines `logs TEXT`, `audit TEXT`, `spans TEXT` become rows of these tables.
pub(crate) struct LineDecoder;

impl Decoder for LineDecoder {
    fn decode(&self, header: &Header, payload: &Bytes) -> Result<Vec<Batch>, DecodeError> {
        let fault = |detail: &str| DecodeError { fault: Fault::Invalid, detail: detail.to_owned() };
        let text = std::str::from_utf8(payload).map_err(|_| fault("no text"))?;
        let of = |table: Table| {
            let name = table.as_str();
            let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            let texts: Vec<String> = lines.map(str::to_owned).collect();
            (!texts.is_empty()).then(|| batch(table, &texts, header.received))
        };
        Ok([Table::Logs, Table::Audit, Table::Spans].into_iter().filter_map(of).collect())
    }
}

/// Rows whose text stands in `body` (or another text column), everything else plain.
pub(crate) fn batch(table: Table, texts: &[String], time: UnixNano) -> Batch {
    let schema = table.schema();
    let columns = schema.fields().iter().map(|field| fill(table, field, texts, time)).collect();
    Batch::new(table, RecordBatch::try_new(schema, columns).expect("columns fit")).expect("schema fits")
}

pub(crate) fn text_column(table: Table) -> &'static str {
    match table {
        Table::Audit => column::RECORD_ID,
        Table::Exceptions => column::FINGERPRINT,
        Table::Spans => column::NAME,
        _ => column::BODY,
    }
}

fn fill(table: Table, field: &Field, texts: &[String], time: UnixNano) -> ArrayRef {
    let rows = texts.len();
    if field.name() == text_column(table) {
        return match field.data_type() {
            DataType::Utf8 => Arc::new(StringArray::from_iter_values(texts)),
            _ => Arc::new(texts.iter().map(|text| Some(text.as_str())).collect::<DictionaryArray<Int32Type>>()),
        };
    }
    if field.name() == table.time_column() {
        return Arc::new(Int64Array::from_value(time.0, rows));
    }
    match field.data_type() {
        _ if field.is_nullable() => new_null_array(field.data_type(), rows),
        DataType::Int64 => Arc::new(Int64Array::from_value(0, rows)),
        DataType::Binary => Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n([7; 16], rows))),
        DataType::Int8 => Arc::new(Int8Array::from_value(0, rows)),
        DataType::Utf8 => Arc::new(StringArray::from_iter_values(std::iter::repeat_n("", rows))),
        DataType::Dictionary(..) => {
            Arc::new(std::iter::repeat_n(Some("x"), rows).collect::<DictionaryArray<Int32Type>>())
        }
        other => panic!("a required column of type {other}"),
    }
}

/// A request of lines; its payload is its identity.
pub(crate) fn request(text: &str, received: UnixNano) -> Request {
    let (header, payload) = unread(text, &TenantId::default(), received);
    let batches = LineDecoder.decode(&header, &payload).expect("lines");
    Request { header, payload, batches }
}

/// A store's documents on a disk.
pub(crate) fn documents(disk: Arc<dyn Disk>, config: &Config) -> Arc<dyn Files> {
    Arc::new(DiskFiles::new(disk, &config.data_dir.join("documents")))
}

/// The header and payload of a request of lines.
pub(crate) fn unread(text: &str, tenant: &TenantId, received: UnixNano) -> (Header, Bytes) {
    let payload = Bytes::from(text.to_owned());
    let header = Header {
        tenant: tenant.clone(),
        signal: Signal::Logs,
        content_type: ContentType::Protobuf,
        encoding: Encoding::Identity,
        received,
        decoder: 1,
        limits: DecodeLimits::default(),
        hash: Some(xxhash_rust::xxh3::xxh3_128(&payload).to_le_bytes()),
        accepted: Vec::new(),
        refused: 0,
        audit_seq: 0,
    };
    (header, payload)
}

/// A derived append of one exception.
pub(crate) fn derived(position: u64) -> Derived {
    let batches = vec![batch(Table::Exceptions, &[format!("e{position}")], START)];
    Derived { tenant: TenantId::default(), source: Source { name: "exceptions", position }, batches }
}

/// The texts of a table, tail and parts together, with `seq` where it has one; sorted.
pub(crate) fn rows(files: &dyn Files, snapshot: &Snapshot, table: Table) -> Vec<(String, i64)> {
    let mut batches = snapshot.tail(table).to_vec();
    for part in snapshot.parts(table) {
        let file = files.open(&part.location).map(Chunks).expect("a live part exists");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a part").build().expect("a reader");
        batches.extend(reader.map(|batch| batch.expect("rows")));
    }
    let mut found = Vec::new();
    for batch in batches {
        let texts = batch.column_by_name(text_column(table)).expect("text").as_string::<i32>().clone();
        let seq = batch.column_by_name(column::SEQ).map(|seq| seq.as_primitive::<Int64Type>().clone());
        found.extend(
            (0..texts.len()).map(|row| (texts.value(row).to_owned(), seq.as_ref().map_or(0, |seq| seq.value(row)))),
        );
    }
    found.sort();
    found
}

/// Puts appends into one group; how each ended.
pub(crate) fn settle(core: &Core, appends: Vec<BoxFuture<'_, Outcome>>) -> Vec<Outcome> {
    let first: Vec<_> = appends.into_iter().map(|mut append| ((&mut append).now_or_never(), append)).collect();
    while core.write_step(false) {}
    let end = |(ended, append): (Option<Outcome>, BoxFuture<'_, Outcome>)| {
        ended.or_else(|| append.now_or_never()).expect("the step settles every append")
    };
    first.into_iter().map(end).collect()
}

/// A store whose steps the test makes.
pub(crate) struct Rig {
    pub(crate) disk: SimDisk,
    pub(crate) clock: ManualClock,
    pub(crate) config: Config,
    pub(crate) decoder: Arc<dyn Decoder>,
    /// Where its tables are instead of the disk.
    pub(crate) place: Option<Arc<dyn Files>>,
    open: Option<Arc<Core>>,
}

impl Rig {
    /// An open, accepting store with small segments.
    pub(crate) fn new() -> Self {
        let mut rig = Self::closed();
        rig.reopen().expect("an empty directory opens");
        rig
    }

    pub(crate) fn closed() -> Self {
        let clock = ManualClock::new(START);
        let config = Config {
            data_dir: PathBuf::from("/server"),
            wal_segment_bytes: 4096,
            wal_bytes_max: 1 << 20,
            ..Config::default()
        };
        Self::on(SimDisk::new(clock.clone()), clock, config, Arc::new(LineDecoder))
    }

    /// A closed store on a disk that may hold one.
    pub(crate) fn on(disk: SimDisk, clock: ManualClock, config: Config, decoder: Arc<dyn Decoder>) -> Self {
        Self { disk, clock, config, decoder, place: None, open: None }
    }

    /// Ends the process.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// Where its tables are.
    pub(crate) fn files(&self) -> Arc<dyn Files> {
        let disk = || Arc::new(DiskFiles::new(Arc::new(self.disk.clone()), &self.config.data_dir.join("data")));
        self.place.clone().unwrap_or_else(|| disk())
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        self.open.as_ref().expect("it is open")
    }

    /// Ends the process (not the power), and starts again.
    pub(crate) fn reopen(&mut self) -> Result<(), Error> {
        self.open = None;
        let seams = Seams {
            clock: Arc::new(self.clock.clone()),
            decoder: Arc::clone(&self.decoder),
            disk: Arc::new(self.disk.clone()),
            files: self.files(),
            documents: documents(Arc::new(self.disk.clone()), &self.config),
        };
        let core = open::open(self.config.clone(), &seams)?;
        core.accepting.store(true, Ordering::SeqCst);
        self.open = Some(Arc::new(core));
        Ok(())
    }

    /// Cuts the power and starts again.
    pub(crate) fn crash(&mut self, seed: u64) {
        self.open = None;
        self.disk.crash(seed);
        self.reopen().expect("a crashed store opens");
    }

    /// Puts requests into one group, and tells how each ended.
    pub(crate) fn send_all(&self, texts: &[&str]) -> Vec<Outcome> {
        self.clock.advance(Duration::from_millis(1));
        let received = tracelake_model::Clock::now(&self.clock);
        let core = self.core();
        let appends: Vec<_> = texts.iter().map(|text| core.append(request(text, received)).boxed()).collect();
        settle(core, appends)
    }

    pub(crate) fn send(&self, text: &str) -> Outcome {
        self.send_all(&[text]).remove(0)
    }

    pub(crate) fn send_derived(&self, position: u64) -> Outcome {
        settle(self.core(), vec![self.core().append_derived(derived(position)).boxed()]).remove(0)
    }

    pub(crate) fn rows(&self, table: Table) -> Vec<(String, i64)> {
        let snapshot = self.core().tail.lock().snapshot(&TenantId::default());
        rows(self.core().files.as_ref(), &snapshot, table)
    }

    pub(crate) fn texts(&self, table: Table) -> Vec<String> {
        self.rows(table).into_iter().map(|(text, _)| text).collect()
    }
}
