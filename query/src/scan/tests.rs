//! A trace is read out of the parts that hold it and no others; rows come in the order in which they were stored; parts
//! that are read are held.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tracelake_model::{Caller, Table, TenantId, TraceId, column};

use crate::engine::{Engine, Scan};
use crate::fixture::{House, NOW, cells};
use crate::http::asking::get;
use crate::scan::provider::DATA_URL;
use crate::view::trace;

/// Notes which files are read.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn ObjectStore>,
    read: Mutex<BTreeSet<String>>,
}

impl Watched {
    /// Puts itself between an engine and its files.
    fn watch(engine: &Engine) -> Arc<Self> {
        let watched = Arc::new(Self { inner: engine.store().object_store(), read: Mutex::default() });
        let url = ObjectStoreUrl::parse(DATA_URL).expect("a URL");
        engine.runtime().register_object_store(url.as_ref(), Arc::clone(&watched) as Arc<dyn ObjectStore>);
        watched
    }

    /// The parts that were read since the last call.
    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.read.lock())
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watched")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.read.lock().insert(at.to_string());
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read.lock().insert(at.to_string());
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn id(trace: u8) -> String {
    format!("{trace:02x}").repeat(16)
}

fn span(trace: u8, number: u8, name: &str, start: i64) -> Value {
    json!({"trace_id": id(trace), "span_id": format!("{number:02x}").repeat(8), "service_name": "cart", "name": name,
        "kind": 2, "start_unix_nano": NOW.0 + start, "end_unix_nano": NOW.0 + start + 5, "duration_ns": 5})
}

fn log(trace: u8) -> Value {
    json!({"trace_id": id(trace), "span_id": "0101010101010101", "service_name": "cart", "body": format!("of {trace}"),
        "time_unix_nano": NOW.0 - i64::from(trace) * 1_000_000_000, "severity_number": 9})
}

fn places(house: &House, table: Table) -> Vec<String> {
    let snapshot = house.store.snapshot(&TenantId::default());
    snapshot.parts(table).iter().map(|part| part.location.to_string()).collect()
}

/// Five parts of each table; trace 200 is in the second and the fourth.
async fn five_parts() -> House {
    let house = House::new();
    for part in 1..=5_u8 {
        let also = part.is_multiple_of(2).then_some(200);
        let traces: Vec<u8> = (0..40).map(|trace| part * 40 - 40 + trace).chain(also).collect();
        let spans: Vec<Value> = traces.iter().map(|trace| span(*trace, part, &format!("op{part}"), 7)).collect();
        house.append(Table::Spans, &spans).await;
        house.append(Table::Logs, &traces.iter().map(|trace| log(*trace)).collect::<Vec<_>>()).await;
        house.flush().await;
    }
    house
}

#[tokio::test]
async fn a_trace_is_read_out_of_the_parts_that_hold_it_and_no_others() {
    let house = five_parts().await;
    let watched = Watched::watch(&house.engine);
    let (spans, logs) = (places(&house, Table::Spans), places(&house, Table::Logs));
    let holders = |parts: &[String]| BTreeSet::from([parts[1].clone(), parts[3].clone()]);
    let tenant = TenantId::default();
    let found = trace::read(&house.engine, &tenant, TraceId([200; 16])).await.expect("an answer").expect("a trace");
    assert_eq!(found.outline.spans.len(), 2);
    assert_eq!(watched.take(), holders(&spans), "one trace");
    assert!(trace::read(&house.engine, &tenant, TraceId([201; 16])).await.expect("an answer").is_none());
    assert_eq!(watched.take(), BTreeSet::new(), "a trace that is nowhere");
    for (query, expected, places) in [
        (format!("SELECT name FROM spans WHERE trace_id = '{}' ORDER BY name", id(200)), "op2; op4", holders(&spans)),
        (
            format!("SELECT name FROM spans WHERE trace_id IN ('{}', '{}')", id(3), id(201)),
            "op1",
            spans[..1].iter().cloned().collect(),
        ),
        (format!("SELECT count(*) FROM logs WHERE trace_id = '{}'", id(200)), "2", holders(&logs)),
    ] {
        assert_eq!(house.cells(&query).await, expected, "{query}");
        assert_eq!(watched.take(), places, "{query}");
    }
    for query in [format!("trace_id={}", id(200)), format!("q=trace_id:{}", id(200))] {
        let answer = get(&house, &format!("/api/v1/logs?{query}")).await;
        assert_eq!(answer["logs"].as_array().expect("logs").len(), 2, "{query}");
        assert_eq!(watched.take(), holders(&logs), "{query}");
    }
    // The second step of a search reads the traces that the first one found.
    let wanted = BTreeSet::from([vec![3; 16], vec![170; 16]]);
    let snapshot = Arc::new(house.store.snapshot(&tenant));
    let rows = house.engine.rows_of_traces(&snapshot, Table::Spans, wanted, &[column::NAME]).await.expect("a stream");
    assert_eq!(cells(&rows.try_collect::<Vec<_>>().await.expect("rows")), "op1; op5");
    assert_eq!(watched.take(), [&spans[0], &spans[4]].into_iter().cloned().collect());
}

#[tokio::test]
async fn a_trace_that_is_partly_in_memory_is_whole() {
    let house = five_parts().await;
    let more: Vec<Value> =
        (0..250).map(|number| span(if number % 50 == 0 { 200 } else { 7 }, 9, "late", number)).collect();
    house.append(Table::Spans, &more).await;
    let query = format!("SELECT count(*) FROM spans WHERE trace_id = '{}'", id(200));
    assert_eq!(house.cells(&query).await, "7");
    let found = trace::read(&house.engine, &TenantId::default(), TraceId([200; 16])).await.expect("an answer");
    assert_eq!(found.expect("a trace").outline.spans.len(), 3, "five rows are of one span");
}

/// Names of the rows of a table as a scan gives them.
async fn scanned(house: &House) -> String {
    let ask = Scan { columns: vec![column::NAME], as_stored: true, ..Scan::default() };
    let rows = house.engine.rows(&TenantId::default(), Table::Spans, ask).await.expect("a stream");
    cells(&rows.try_collect::<Vec<_>>().await.expect("rows"))
}

#[tokio::test]
async fn rows_come_as_they_were_stored_and_the_last_of_a_span_counts() {
    let house = House::new();
    let shown = async |house: &House| {
        let found = trace::read(&house.engine, &TenantId::default(), TraceId([1; 16])).await.expect("an answer");
        let found = found.expect("a trace");
        assert_eq!(found.outline.spans.len(), 1, "one span");
        let searched = get(house, "/api/v1/traces?service=cart").await;
        assert_eq!(searched["traces"][0]["matched"][0]["name"], json!(found.span(0).name));
        found.span(0).name
    };
    let mut stored = Vec::new();
    // Each one is stored after the one before, whatever its time is.
    for (number, start) in [(0, 50), (1, 90), (2, 10), (3, 70), (4, 30), (5, 60)] {
        let name = format!("op{number}");
        house.append(Table::Spans, &[span(1, 1, &name, start * 1_000_000_000)]).await;
        stored.push(name.clone());
        assert_eq!(shown(&house).await, name, "in memory");
        if number != 2 && number != 5 {
            house.flush().await;
            assert_eq!(shown(&house).await, name, "in a part");
        }
        assert_eq!(scanned(&house).await, stored.join("; "));
    }
}

#[tokio::test]
async fn parts_are_held_as_long_as_an_answer_reads_them() {
    let house = five_parts().await;
    let part = Arc::clone(&house.store.snapshot(&TenantId::default()).parts(Table::Spans)[0]);
    let caller = Caller::anonymous(TenantId::default());
    let snapshot = Arc::new(house.store.snapshot(&TenantId::default()));
    let rows = house.engine.rows(&caller.tenant, Table::Spans, Scan::default()).await.expect("a stream");
    let one = BTreeSet::from([vec![200; 16]]);
    let picked = house.engine.rows_of_traces(&snapshot, Table::Spans, one, &[]).await.expect("a stream");
    drop(snapshot);
    let answer = house.engine.sql(&caller, "SELECT * FROM spans", &[]).await.expect("an answer");
    // From now on snapshots have another list of parts; only who reads holds the old one.
    house.append(Table::Spans, &[span(1, 1, "op", 1)]).await;
    house.flush().await;
    let held = Arc::strong_count(&part);
    drop(rows);
    let without_rows = Arc::strong_count(&part);
    drop(picked);
    let without_picked = Arc::strong_count(&part);
    drop(answer);
    let free = Arc::strong_count(&part);
    // All three may share one list, which goes with the last of them.
    assert!(
        held >= without_rows && without_rows >= without_picked && without_picked > free,
        "{held} {without_rows} {without_picked} {free}"
    );
}
