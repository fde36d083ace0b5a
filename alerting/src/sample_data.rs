//! Batches, a sink, documents and a receiver for this wing's tests. Deliberately nothing that ships.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, Int8Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use async_trait::async_trait;
use model::{
    Batch, Derived, Document, DocumentError, DocumentStore, Durable, Expect, Position, Receipt, Refusal, Request, Sink,
    Table, TenantId, UnixNano, column, event_fields,
};
use parking_lot::Mutex;
use tracelake_model as model;

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: UnixNano = UnixNano(1_767_225_600_000_000_000);
pub(crate) const TRACE: [u8; 16] = [0xab; 16];

/// A log record with what tests care about.
#[derive(Clone)]
pub(crate) struct Line {
    pub time: i64,
    pub service: &'static str,
    pub severity: i8,
    pub body: &'static str,
    /// JSON text of attributes that are not promoted.
    pub rest: Option<&'static str>,
    pub exception_type: Option<&'static str>,
    pub exception_message: Option<&'static str>,
    pub resource: &'static str,
}

pub(crate) fn line(body: &'static str) -> Line {
    Line {
        time: NOW.0,
        service: "checkout",
        severity: 9,
        body,
        rest: None,
        exception_type: None,
        exception_message: None,
        resource: r#"{"service.name":"checkout","k8s.namespace.name":"shop"}"#,
    }
}

fn interned<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(values.collect::<DictionaryArray<Int32Type>>())
}

fn filled(table: Table, rows: usize, mut known: HashMap<&str, ArrayRef>) -> Batch {
    let blank = |field: &Arc<Field>| -> ArrayRef {
        match (field.is_nullable(), field.data_type()) {
            (true, kind) => new_null_array(kind, rows),
            (false, DataType::Int64) => Arc::new(Int64Array::from(vec![0; rows])),
            (false, DataType::Int8) => Arc::new(Int8Array::from(vec![0; rows])),
            (false, DataType::Binary) => Arc::new(BinaryArray::from_iter_values(vec![[1_u8; 8]; rows])),
            (false, _) => interned(vec![""; rows].into_iter()),
        }
    };
    let schema = table.schema();
    let columns =
        schema.fields().iter().map(|field| known.remove(field.name().as_str()).unwrap_or_else(|| blank(field)));
    let columns: Vec<ArrayRef> = columns.collect();
    Batch::new(table, RecordBatch::try_new(schema, columns).unwrap()).unwrap()
}

pub(crate) fn logs(lines: &[Line]) -> Batch {
    let texts =
        |of: fn(&Line) -> Option<&'static str>| -> ArrayRef { Arc::new(lines.iter().map(of).collect::<StringArray>()) };
    let known: HashMap<&str, ArrayRef> = HashMap::from([
        (column::TIME_UNIX_NANO, Arc::new(lines.iter().map(|l| l.time).collect::<Int64Array>()) as ArrayRef),
        (column::SERVICE_NAME, interned(lines.iter().map(|l| l.service))),
        (column::SEVERITY_NUMBER, Arc::new(lines.iter().map(|l| l.severity).collect::<Int8Array>())),
        (column::BODY, texts(|l| Some(l.body))),
        (column::ATTRIBUTES_REST, texts(|l| l.rest)),
        ("exception_type", texts(|l| l.exception_type)),
        ("exception_message", texts(|l| l.exception_message)),
        (column::RESOURCE_ATTRIBUTES, interned(lines.iter().map(|l| l.resource))),
        (column::TRACE_ID, Arc::new(BinaryArray::from_iter_values(lines.iter().map(|_| TRACE)))),
    ]);
    filled(Table::Logs, lines.len(), known)
}

/// Spans of one service, each with one event of a name and JSON attributes.
pub(crate) fn spans(events: &[(&str, &str)]) -> Batch {
    let rows = events.len();
    let fields = event_fields();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![NOW.0; rows])),
        Arc::new(events.iter().map(|event| Some(event.0)).collect::<StringArray>()),
        Arc::new(events.iter().map(|event| Some(event.1)).collect::<StringArray>()),
        new_null_array(&DataType::Int64, rows),
    ];
    let all = StructArray::new(fields.clone(), columns, None);
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    let lists = ListArray::new(item, OffsetBuffer::from_lengths(vec![1; rows]), Arc::new(all), None);
    let span_ids: Vec<[u8; 8]> = (1..=rows as u64).map(u64::to_be_bytes).collect();
    let known: HashMap<&str, ArrayRef> = HashMap::from([
        (column::START_UNIX_NANO, Arc::new(Int64Array::from(vec![NOW.0; rows])) as ArrayRef),
        (column::SERVICE_NAME, interned(vec!["payment"; rows].into_iter())),
        (column::TRACE_ID, Arc::new(BinaryArray::from_iter_values(vec![TRACE; rows]))),
        (column::SPAN_ID, Arc::new(BinaryArray::from_iter_values(span_ids))),
        (column::EVENTS, Arc::new(lists)),
        (column::RESOURCE_ATTRIBUTES, interned(vec![r#"{"service.name":"payment"}"#; rows].into_iter())),
    ]);
    filled(Table::Spans, rows, known)
}

pub(crate) fn durable(position: u64, received: UnixNano, batches: Vec<Batch>) -> Durable {
    Durable { position: Position(position), tenant: TenantId::default(), received, batches: batches.into() }
}

/// Remembers derived rows the way storage does: once by stream and position.
#[derive(Default)]
pub(crate) struct RecordingSink {
    pub stored: Mutex<Vec<Derived>>,
}

impl RecordingSink {
    pub(crate) fn rows(&self, table: Table) -> usize {
        let stored = self.stored.lock();
        stored.iter().flat_map(|d| &d.batches).filter(|b| b.table() == table).map(Batch::row_count).sum()
    }
}

#[async_trait]
impl Sink for RecordingSink {
    async fn append(&self, _: Request) -> Result<Receipt, Refusal> {
        Ok(Receipt { position: Position(0), duplicate: false })
    }

    async fn append_derived(&self, derived: Derived) -> Result<Receipt, Refusal> {
        let duplicate = derived.source.position <= self.derived_position(&derived.tenant, derived.source.name);
        if !duplicate {
            self.stored.lock().push(derived);
        }
        Ok(Receipt { position: Position(0), duplicate })
    }

    fn derived_position(&self, tenant: &TenantId, source: &'static str) -> u64 {
        let stored = self.stored.lock();
        let own = stored.iter().filter(|d| d.tenant == *tenant && d.source.name == source);
        own.map(|d| d.source.position).max().unwrap_or(0)
    }
}

type Place = (String, String, String);

/// Documents in memory.
#[derive(Default)]
pub(crate) struct MemoryDocuments {
    /// By tenant, kind and id: body and version.
    all: Mutex<BTreeMap<Place, (String, u64)>>,
}

impl MemoryDocuments {
    fn document(id: &str, (body, version): &(String, u64)) -> Document {
        Document { id: id.to_owned(), body: body.clone(), version: version.to_string() }
    }
}

#[async_trait]
impl DocumentStore for MemoryDocuments {
    async fn list(&self, tenant: &TenantId, kind: &str) -> Result<Vec<Document>, DocumentError> {
        let all = self.all.lock();
        let own = all.iter().filter(|((t, k, _), _)| t == tenant.as_str() && k == kind);
        Ok(own.map(|((_, _, id), found)| Self::document(id, found)).collect())
    }

    async fn get(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<Option<Document>, DocumentError> {
        let key = (tenant.to_string(), kind.to_owned(), id.to_owned());
        Ok(self.all.lock().get(&key).map(|found| Self::document(id, found)))
    }

    async fn put(
        &self,
        tenant: &TenantId,
        kind: &str,
        id: &str,
        body: &str,
        expect: Expect,
    ) -> Result<Document, DocumentError> {
        let key = (tenant.to_string(), kind.to_owned(), id.to_owned());
        let mut all = self.all.lock();
        let before = all.get(&key).map(|(_, version)| *version);
        let fits = match &expect {
            Expect::Absent => before.is_none(),
            Expect::Version(version) => before.is_some_and(|before| before.to_string() == *version),
            Expect::Any => true,
        };
        if !fits {
            return Err(DocumentError::Conflict(id.to_owned()));
        }
        let entry = (body.to_owned(), before.unwrap_or(0) + 1);
        let document = Self::document(id, &entry);
        all.insert(key, entry);
        Ok(document)
    }

    async fn delete(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<bool, DocumentError> {
        Ok(self.all.lock().remove(&(tenant.to_string(), kind.to_owned(), id.to_owned())).is_some())
    }
}
