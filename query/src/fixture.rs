//! For tests: a real store in a temporary directory, fed with rows written as JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use bytes::Bytes;
use datafusion::common::DataFusionError;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tracelake_model::{
    Batch, Caller, Clock, ContentType, DecodeError, DecodeLimits, Decoder, Derived, Encoding, Fault, Header,
    ManualClock, Request, Signal, Sink, Source, Table, TenantId, UnixNano, column,
};
use tracelake_storage::Store;

use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;

/// The present of every house: 2023-11-14T22:13:20Z.
pub(crate) const NOW: UnixNano = UnixNano(1_700_000_000_000_000_000);

/// A store and an engine over it.
pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Arc<Engine>,
    appended: AtomicU64,
    dir: TempDir,
}

/// Tests never replay a log.
struct NoReplay;

impl Decoder for NoReplay {
    fn decode(&self, _: &Header, _: &Bytes) -> Result<Vec<Batch>, DecodeError> {
        Err(DecodeError { fault: Fault::Internal, detail: "this store replays nothing".to_owned() })
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::open(tempfile::tempdir().expect("a directory"), config)
    }

    /// Ends and begins again on the same directory.
    pub(crate) async fn reopen(self) -> Self {
        let Self { store, engine, appended, dir } = self;
        store.close().await.expect("an orderly end");
        let config = engine.config().clone();
        drop((store, engine));
        Self { appended, ..Self::open(dir, config) }
    }

    fn open(dir: TempDir, config: Config) -> Self {
        let storage = tracelake_storage::Config {
            data_dir: dir.path().join("data"),
            // Only `flush` moves rows to parts.
            flush_interval: Duration::from_secs(3600),
            ..Default::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
        let store = Store::open(storage, Arc::clone(&clock), Arc::new(NoReplay)).expect("an open store");
        let engine = Engine::new(Arc::clone(&store), config, clock);
        store.attach(engine.tap()).expect("an attached tap");
        store.start().expect("a started store");
        Self { store, engine, appended: AtomicU64::new(0), dir }
    }

    /// Appends rows of one table to the default tenant.
    pub(crate) async fn append(&self, table: Table, rows: &[Value]) {
        self.append_to(&TenantId::default(), table, rows).await;
    }

    pub(crate) async fn append_to(&self, tenant: &TenantId, table: Table, rows: &[Value]) {
        let batch = batch(table, rows);
        let count = self.appended.fetch_add(1, Ordering::Relaxed) + 1;
        let derived = matches!(table, Table::Exceptions | Table::Alerts | Table::Notices) || table.has_generations();
        if derived {
            let source = Source { name: "exceptions", position: count };
            let derived = Derived { tenant: tenant.clone(), source, batches: vec![batch] };
            self.store.append_derived(derived).await.expect("derived rows");
            return;
        }
        let signal = match table {
            Table::Spans => Signal::Traces,
            Table::Metrics => Signal::Metrics,
            Table::Audit => Signal::Audit,
            _ => Signal::Logs,
        };
        let header = Header {
            tenant: tenant.clone(),
            signal,
            content_type: ContentType::Protobuf,
            encoding: Encoding::Identity,
            received: NOW,
            decoder: 1,
            limits: DecodeLimits::default(),
            hash: None,
            accepted: vec![(table, u32::try_from(rows.len()).expect("few rows"))],
            refused: 0,
            audit_seq: 0,
        };
        let payload = Bytes::from(count.to_be_bytes().to_vec());
        self.store.append(Request { header, payload, batches: vec![batch] }).await.expect("rows");
    }

    pub(crate) async fn flush(&self) {
        self.store.flush().await.expect("a flush");
    }

    /// Runs a statement as the default tenant.
    pub(crate) async fn ask(&self, query: &str) -> Result<Vec<RecordBatch>, Error> {
        self.ask_with(query, &[]).await
    }

    pub(crate) async fn ask_with(&self, query: &str, params: &[Value]) -> Result<Vec<RecordBatch>, Error> {
        let caller = Caller::anonymous(TenantId::default());
        let answer = self.engine.sql(&caller, query, params).await?;
        answer.stream.try_collect().await.map_err(|fault: DataFusionError| Error::from(fault))
    }

    /// The answer as a table of text.
    pub(crate) async fn table(&self, query: &str) -> String {
        let batches = self.ask(query).await.unwrap_or_else(|fault| panic!("{query}: {fault:?}"));
        pretty_format_batches(&batches).expect("a table").to_string()
    }

    /// The answer's cells as text, rows joined by `; `, cells by `|`.
    pub(crate) async fn cells(&self, query: &str) -> String {
        let batches = self.ask(query).await.unwrap_or_else(|fault| panic!("{query}: {fault:?}"));
        cells(&batches)
    }
}

/// Cells as text, rows joined by `; `, cells by `|`.
pub(crate) fn cells(batches: &[RecordBatch]) -> String {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| {
                let mut text = String::new();
                crate::http::cell::push_text(&mut text, column, row).expect("a cell");
                text
            });
            rows.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    rows.join("; ")
}

/// Rows of a table from JSON objects over its file columns: ids as hex, columns left out as NULL, 0 or empty.
pub(crate) fn batch(table: Table, rows: &[Value]) -> Batch {
    let plain = table.file_schema();
    let lines = rows.iter().map(|row| {
        let mut line: Map<String, Value> = row.as_object().expect("an object").clone();
        for name in line.keys() {
            assert!(plain.field_with_name(name).is_ok(), "{table} has no column {name}");
        }
        for field in plain.fields().iter().filter(|field| !field.is_nullable()) {
            line.entry(field.name().clone()).or_insert_with(|| empty(field.name(), field.data_type()));
        }
        Value::Object(line)
    });
    let lines: Vec<Value> = lines.collect();
    let mut reader = arrow::json::ReaderBuilder::new(Arc::clone(&plain)).build_decoder().expect("a decoder");
    reader.serialize(&lines).expect("rows of this table");
    let rows = reader.flush().expect("rows").expect("at least one row");
    let interned = table.schema();
    let columns = interned.fields().iter().zip(rows.columns());
    let columns = columns.map(|(field, column)| cast(column, field.data_type()).expect("interned"));
    let rows = RecordBatch::try_new(Arc::clone(&interned), columns.collect()).expect("a batch");
    Batch::new(table, rows).expect("the table's own columns")
}

fn empty(name: &str, data_type: &DataType) -> Value {
    match (name, data_type) {
        (column::RESOURCE_ATTRIBUTES | column::ATTRIBUTES, _) => json!("{}"),
        (column::TRACE_ID, _) => json!("000102030405060708090a0b0c0d0e0f"),
        (column::SPAN_ID, _) => json!("0001020304050607"),
        (_, DataType::Utf8) => json!(""),
        _ => json!(0),
    }
}
