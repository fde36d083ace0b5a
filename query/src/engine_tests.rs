//! What the engine promises, asked of a real store: the same rows from tail and parts, ranges, limits, tenants.

use arrow::array::RecordBatch;
use datafusion::physical_plan::collect;
use datafusion::prelude::{col, lit};
use futures::TryStreamExt;
use serde_json::{Value, json};
use tracelake_model::{Caller, Fault, Table, TenantId, TimeRange, UnixNano, column};

use crate::config::Config;
use crate::engine::{Order, Scan};
use crate::fixture::{House, NOW, cells};

const SECOND: i64 = 1_000_000_000;

fn trace(number: u8) -> String {
    format!("{number:02x}").repeat(16)
}

/// Span `number` starts `number` seconds after [`NOW`].
fn span(number: u8) -> Value {
    let start = NOW.0 + i64::from(number) * SECOND;
    json!({
        "trace_id": trace(number), "span_id": format!("{number:02x}").repeat(8),
        "parent_span_id": if number.is_multiple_of(2) { json!(null) } else { json!("1122334455667788") },
        "service_name": if number.is_multiple_of(3) { "cart" } else { "front" },
        "name": format!("op{number}"), "kind": 1 + number % 5, "status_code": number % 3,
        "start_unix_nano": start, "end_unix_nano": start + 1000, "duration_ns": 1000,
        "http_response_status_code": 200 + i64::from(number), "http_route": "/cart",
        "attributes_rest": "{\"shop.cart\":7,\"ratio\":1.0,\"gift\":true}",
        "resource_attributes": "{\"service.name\":\"cart\",\"k8s.namespace.name\":\"shop\",\"n\":1}",
        "k8s_namespace_name": "shop",
        "events": [{"time": start + 5, "name": "exception", "attributes": "{\"exception.type\":\"E\"}", "dropped": 0}],
        "links": [{"trace_id": trace(9), "span_id": "1122334455667788", "trace_state": null, "attributes": null,
                   "flags": 0, "dropped": 0}],
    })
}

async fn rows(house: &House, ask: Scan) -> Vec<RecordBatch> {
    let stream = house.engine.rows(&TenantId::default(), Table::Spans, ask).await.expect("a stream");
    stream.try_collect().await.expect("rows")
}

async fn names(house: &House, ask: Scan) -> String {
    cells(&rows(house, Scan { columns: vec![column::NAME], ..ask }).await)
}

/// One row of every kind of table, asked for all its shown columns.
const EVERY_VIEW: &[&str] = &[
    "SELECT * FROM spans ORDER BY start_time",
    "SELECT * FROM logs ORDER BY time",
    "SELECT * FROM metrics ORDER BY time",
    "SELECT * FROM audit ORDER BY seq",
    "SELECT * FROM exceptions ORDER BY time",
    "SELECT * FROM issues ORDER BY fingerprint",
    "SELECT * FROM alerts",
    "SELECT * FROM notices",
    "SELECT count(*), min(start_time), max(start_time), max(duration_ns) FROM spans",
    "SELECT kind, count(*), min(start_time) FROM spans GROUP BY kind ORDER BY kind",
    "SELECT l.body, s.name FROM logs l JOIN spans s ON l.trace_id = s.trace_id AND l.span_id = s.span_id ORDER BY 2",
    "SELECT attr(attributes, 'shop.cart'), attr_int(attributes, 'http.response.status_code') FROM spans ORDER BY 2",
];

async fn fill(house: &House) {
    house.append(Table::Spans, &(1..=6).map(span).collect::<Vec<_>>()).await;
    let time = NOW.0;
    let log = json!({"time_unix_nano": time, "observed_unix_nano": 0, "service_name": "cart", "severity_number": 17,
        "severity_text": "ERROR", "body": "out of stock", "body_type": "string", "trace_id": trace(1),
        "span_id": "0101010101010101", "exception_type": "StockError", "attributes_rest": "{\"sku\":\"a\"}"});
    // Equal log records are both kept.
    house.append(Table::Logs, &[log.clone(), log]).await;
    let metric = json!({"time_unix_nano": time, "start_unix_nano": 0, "name": "m", "type": "gauge", "value": 1.5,
        "service_name": "cart", "attributes": "{\"a\":1}", "bucket_counts": [1, 2], "explicit_bounds": [0.5],
        "exemplars": [{"time": time, "value": 1.0, "value_int": null, "trace_id": null, "span_id": null,
                       "attributes": null}]});
    house.append(Table::Metrics, &[metric]).await;
    let record = json!({"record_id": "r1", "time_unix_nano": time, "action": "login", "attributes": "{\"ip\":\"::1\"}",
        "record_hash": "00"});
    house.append(Table::Audit, &[record]).await;
    let exception = |at: i64, message: &str, service: &str| {
        json!({"time_unix_nano": at, "service_name": service, "type": "StockError", "message": message,
            "fingerprint": "f1", "source": "log", "trace_id": trace(1), "service_version": "1.0"})
    };
    let thrown = [exception(time, "old", "cart"), exception(time + SECOND, "new", "front")];
    house.append(Table::Exceptions, &thrown).await;
    let alert = json!({"time_unix_nano": time, "rule_id": "r", "rule_kind": "any", "severity": "critical", "group": "{}",
        "episode": "e", "state": "firing", "title": "t", "first_seen_unix_nano": time, "last_seen_unix_nano": time,
        "count": 1, "trace_id": trace(1)});
    house.append(Table::Alerts, &[alert]).await;
    let notice = json!({"time_unix_nano": time, "notice_id": "n", "rule_id": "r", "receiver_id": "ops",
        "type": "alert.firing", "title": "t", "attempt": 1, "status": "retrying",
        "next_attempt_unix_nano": time + SECOND, "answer": "503"});
    house.append(Table::Notices, &[notice]).await;
}

#[tokio::test]
async fn every_answer_is_the_same_before_and_after_a_flush() {
    let house = House::new();
    fill(&house).await;
    let mut before = Vec::new();
    for query in EVERY_VIEW {
        before.push(house.table(query).await);
    }
    house.flush().await;
    let snapshot = house.store.snapshot(&TenantId::default());
    assert!(!snapshot.parts(Table::Spans).is_empty() && snapshot.tail(Table::Spans).is_empty());
    for (query, expected) in EVERY_VIEW.iter().zip(&before) {
        assert_eq!(&house.table(query).await, expected, "{query}");
    }
    // Parts and a tail together.
    house.append(Table::Spans, &[span(7)]).await;
    assert_eq!(house.cells("SELECT count(*), max(name) FROM spans").await, "7|op7");
    assert_eq!(house.cells("SELECT count(*) FROM logs").await, "2");
}

#[tokio::test]
async fn every_shown_column_has_its_value() {
    let house = House::new();
    fill(&house).await;
    let check = async |query: &str, expected: &str| assert_eq!(house.cells(query).await, expected, "{query}");
    check(
        "SELECT trace_id, span_id, parent_span_id, kind, status_code, start_time, duration_ns FROM spans WHERE name = 'op1'",
        "01010101010101010101010101010101|0101010101010101|1122334455667788|SERVER|OK|\
         2023-11-14T22:13:21.000000000Z|1000",
    )
    .await;
    check(
        "SELECT attributes FROM spans WHERE name = 'op1'",
        "{\"http.response.status_code\":201,\"http.route\":\"/cart\",\"shop.cart\":7,\"ratio\":1.0,\"gift\":true}",
    )
    .await;
    check(
        "SELECT attr(attributes, 'http.response.status_code'), attr_int(attributes, 'http.response.status_code'), \
         attr_int(attributes, 'shop.cart'), attr_double(attributes, 'ratio'), attr_bool(attributes, 'gift'), \
         attr_int(attributes, 'http.route'), attr(attributes, 'none'), attr(attributes, 'http.route'), \
         attr(resource_attributes, 'k8s.namespace.name'), attr_int(resource_attributes, 'n'), \
         attr(resource_attributes, 'service.name') FROM spans WHERE name = 'op1'",
        "201|201|7|1.0|true|||/cart|shop|1|cart",
    )
    .await;
    check(
        "SELECT events[1]['time'], events[1]['name'], links[1]['trace_id'] FROM spans WHERE name = 'op1'",
        "2023-11-14T22:13:21.000000005Z|exception|09090909090909090909090909090909",
    )
    .await;
    check(
        "SELECT time, observed_time, severity_number, body, attributes FROM logs LIMIT 1",
        "2023-11-14T22:13:20.000000000Z||17|out of stock|{\"exception.type\":\"StockError\",\"sku\":\"a\"}",
    )
    .await;
    check(
        "SELECT time, start_time, type, value, bucket_counts, exemplars[1]['time'], attr_int(attributes, 'a') FROM metrics",
        "2023-11-14T22:13:20.000000000Z||gauge|1.5|[\"1\",\"2\"]|2023-11-14T22:13:20.000000000Z|1",
    )
    .await;
    check("SELECT seq, record_id, action, attr(attributes, 'ip') FROM audit", "1|r1|login|::1").await;
    check(
        "SELECT fingerprint, type, message, services, versions, first_seen, last_seen, count FROM issues",
        "f1|StockError|new|[\"cart\",\"front\"]|[\"1.0\"]|2023-11-14T22:13:20.000000000Z|\
         2023-11-14T22:13:21.000000000Z|2",
    )
    .await;
    check(
        "SELECT rule_id, \"group\", state, first_seen, count FROM alerts",
        "r|{}|firing|2023-11-14T22:13:20.000000000Z|1",
    )
    .await;
    check(
        "SELECT receiver_id, attempt, status, next_attempt FROM notices",
        "ops|1|retrying|2023-11-14T22:13:21.000000000Z",
    )
    .await;
}

#[tokio::test]
async fn predicates_give_the_same_rows_wherever_they_are_computed() {
    let house = House::new();
    house.append(Table::Spans, &(1..=3).map(span).collect::<Vec<_>>()).await;
    house.flush().await;
    house.append(Table::Spans, &(4..=6).map(span).collect::<Vec<_>>()).await;
    // The same route as an integer, and under an id that is no hex.
    let mut odd = span(7);
    odd["http_route"] = json!(null);
    odd["attributes_rest"] = json!("{\"http.route\":5,\"$$x\":1}");
    house.append(Table::Spans, &[odd]).await;
    let check = async |predicate: &str, expected: &str| {
        let query = format!("SELECT name FROM spans WHERE {predicate} ORDER BY name");
        assert_eq!(house.cells(&query).await, expected, "{predicate}");
        // Computed row by row, over columns that a subquery has hidden from every rewrite.
        let slow =
            format!("SELECT name FROM (SELECT *, row_number() OVER () FROM spans) WHERE {predicate} ORDER BY name");
        assert_eq!(house.cells(&slow).await, expected, "row by row: {predicate}");
    };
    check(&format!("trace_id = '{}'", trace(2)), "op2").await;
    check(&format!("trace_id = '{}'", trace(0xaa).to_uppercase()), "").await;
    check(&format!("trace_id IN ('{}', '{}', 'zz')", trace(2), trace(5)), "op2; op5").await;
    check(&format!("trace_id <> '{}' AND start_time < '2023-11-14T22:13:23Z'", trace(2)), "op1").await;
    check("kind = 'INTERNAL'", "op5").await;
    check("kind IN ('CLIENT', 'SERVER')", "op1; op2; op6; op7").await;
    check("kind = 'NONSENSE'", "").await;
    check("status_code = 'ERROR'", "op2; op5").await;
    check("NOT (status_code = 'ERROR' OR status_code = 'OK')", "op3; op6").await;
    check("parent_span_id IS NULL", "op2; op4; op6").await;
    check("start_time >= '2023-11-14T22:13:22Z' AND start_time <= '2023-11-14T22:13:24Z'", "op2; op3; op4").await;
    check("'2023-11-14T22:13:25Z' <= start_time", "op5; op6; op7").await;
    check("attr(attributes, 'http.route') = '5'", "op7").await;
    check("attr(attributes, 'http.route') <> '/cart'", "op7").await;
    check("attr(attributes, 'http.route') IN ('/cart', '5') AND name > 'op5'", "op6; op7").await;
    check("NOT (attr(attributes, 'http.route') = '/cart')", "op7").await;
    check("attr_int(attributes, '$x') = 1", "op7").await;
    check("attr_int(attributes, 'http.response.status_code') > 205", "op6; op7").await;
    check("attr(attributes, 'http.response.status_code') = '203'", "op3").await;
}

#[tokio::test]
async fn rows_come_in_range_order_and_number() {
    let house = House::new();
    house.append(Table::Spans, &(1..=3).map(span).collect::<Vec<_>>()).await;
    house.flush().await;
    house.append(Table::Spans, &(4..=6).map(span).collect::<Vec<_>>()).await;
    let newest = vec![Order { column: column::START_UNIX_NANO, descending: true }];
    let at = |second: i64| UnixNano(NOW.0 + second * SECOND);
    let ordered = Scan { order: newest.clone(), ..Scan::default() };
    assert_eq!(names(&house, ordered).await, "op6; op5; op4; op3; op2; op1");
    let top = Scan { order: newest.clone(), limit: Some(4), ..Scan::default() };
    assert_eq!(names(&house, top).await, "op6; op5; op4; op3");
    // The start is inside, the end is not.
    let part = Scan { range: TimeRange { start: at(2), end: at(5) }, order: newest.clone(), ..Scan::default() };
    assert_eq!(names(&house, part).await, "op4; op3; op2");
    let filter = Some(col(column::SERVICE_NAME).eq(lit("cart")));
    assert_eq!(names(&house, Scan { filter, order: newest, ..Scan::default() }).await, "op6; op3");
    let some = rows(&house, Scan { limit: Some(2), ..Scan::default() }).await;
    assert_eq!(some.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    assert!(some.iter().all(|batch| batch.schema().fields() == Table::Spans.file_schema().fields()));
}

#[tokio::test]
async fn parts_outside_the_time_asked_are_not_opened() {
    let house = House::new();
    for number in 1..=5 {
        house.append(Table::Spans, &[span(number)]).await;
        house.flush().await;
    }
    let figure = |result: &str| {
        let stats = house.engine.stats();
        let label = ("result", result.to_owned());
        let found = stats.iter().find(|s| s.name == "tracelake_query_parts_total" && s.labels.contains(&label));
        found.expect("a sample").value
    };
    assert_eq!(house.cells("SELECT name FROM spans WHERE start_time = '2023-11-14T22:13:22Z'").await, "op2");
    assert_eq!((figure("read"), figure("pruned")), (1.0, 4.0));
    let query = format!("SELECT name FROM spans WHERE trace_id = '{}'", trace(4));
    assert_eq!(house.cells(&query).await, "op4");
    assert_eq!((figure("read"), figure("pruned")), (2.0, 8.0));
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows_only() {
    let house = House::new();
    let other = TenantId::new("other").expect("a tenant");
    house.append(Table::Spans, &[span(1)]).await;
    house.append_to(&other, Table::Spans, &[span(2)]).await;
    let caller = Caller::anonymous(other);
    let answer = house.engine.sql(&caller, "SELECT name FROM spans", &[]).await.expect("an answer");
    let batches: Vec<_> = answer.stream.try_collect().await.expect("rows");
    assert_eq!(cells(&batches), "op2");
    assert_eq!(house.cells("SELECT name FROM spans").await, "op1");
}

#[tokio::test]
async fn an_answer_past_its_rows_is_cut_and_says_so() {
    let house = House::with(Config { sql_rows: 4, ..Config::default() });
    let caller = Caller::anonymous(TenantId::default());
    for (count, truncated) in [(3, false), (4, false), (5, true), (50_000, true)] {
        let query = format!("SELECT * FROM generate_series(1, {count})");
        let mut answer = house.engine.sql(&caller, &query, &[]).await.expect("an answer");
        let mut got = 0;
        while let Some(batch) = answer.stream.try_next().await.expect("rows") {
            got += batch.num_rows();
        }
        assert_eq!((got, answer.is_truncated()), (count.min(4), truncated), "{count}");
    }
}

#[tokio::test]
async fn a_statement_past_its_time_is_stopped() {
    let house = House::with(Config { sql_seconds: 1, ..Config::default() });
    let endless = "SELECT count(*) FROM generate_series(1, 10000000000) a";
    let refused = house.ask(endless).await.expect_err("too long");
    assert_eq!(refused.kind(), Fault::Timeout, "{refused:?}");
}

#[tokio::test]
async fn a_statement_past_its_memory_is_refused_and_frees_what_it_held() {
    let house = House::with(Config { sql_memory: 2 << 20, ..Config::default() });
    let hungry = "SELECT count(*) FROM (SELECT DISTINCT value FROM generate_series(1, 5000000))";
    let refused = house.ask(hungry).await.expect_err("too much");
    assert_eq!(refused.kind(), Fault::TooLarge, "{refused:?}");
    assert_eq!(house.cells("SELECT 1").await, "1");
}

#[tokio::test]
async fn a_statement_over_the_number_that_may_run_is_sent_away() {
    let house = House::with(Config { sql_concurrent_max: 1, ..Config::default() });
    let caller = Caller::anonymous(TenantId::default());
    let first = house.engine.sql(&caller, "SELECT 1", &[]).await.expect("the first");
    let second = house.engine.sql(&caller, "SELECT 1", &[]).await.expect_err("one too many");
    assert_eq!(second.kind(), Fault::Overloaded);
    drop(first);
    assert!(house.engine.sql(&caller, "SELECT 1", &[]).await.is_ok());
}

#[tokio::test]
async fn a_session_stays_at_its_snapshot() {
    let house = House::new();
    house.append(Table::Spans, &[span(1)]).await;
    let session = house.engine.session(&TenantId::default()).expect("a session");
    house.append(Table::Spans, &[span(2)]).await;
    house.flush().await;
    for _ in 0..2 {
        let statement = tracelake_statement::statement("SELECT name FROM spans").expect("a statement");
        let plan = tracelake_statement::plan(&session.state(), statement).await.expect("a plan");
        let plan = session.state().create_physical_plan(&plan).await.expect("a physical plan");
        assert_eq!(cells(&collect(plan, session.task_ctx()).await.expect("rows")), "op1");
    }
}
