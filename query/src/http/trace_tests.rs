//! What a trace's page is told: what belongs to the trace, what is odd about it, and traces of any size.

use std::time::Instant;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde_json::{Value, json};
use tracelake_model::Table;

use crate::fixture::House;
use crate::http::asking::{BEGIN, SECOND, anyone, fetch, get, in_memory_and_in_files, shop, trace_id};

fn summary_of(trace: u64) -> String {
    format!("/api/v1/traces/{}?view=summary", trace_id(trace))
}

#[tokio::test]
async fn a_summary_tells_what_belongs_to_the_trace() {
    let house = House::new();
    let mut spans = shop(2);
    let link =
        |trace: u64, span: &str| json!([{"trace_id": trace_id(trace), "span_id": span, "flags": 0, "dropped": 0}]);
    spans[0]["links"] = link(9, "00000000000000cc");
    // A span of the second trace names one of the first.
    spans[5]["links"] = link(1, "0000000000000013");
    house.append(Table::Spans, &spans).await;
    let log = |span: Option<&str>, severity: i8| {
        json!({"time_unix_nano": BEGIN + SECOND, "service_name": "cart", "severity_number": severity, "body": "x",
            "trace_id": trace_id(1), "span_id": span})
    };
    let cart = Some("0000000000000013");
    house.append(Table::Logs, &[log(cart, 9), log(cart, 17), log(None, 21), log(Some("0000000000000011"), 9)]).await;
    let exception = json!({"time_unix_nano": BEGIN + SECOND, "service_name": "cart", "type": "E", "message": "no",
        "fingerprint": "f", "source": "log", "trace_id": trace_id(1), "span_id": cart});
    house.append(Table::Exceptions, &[exception]).await;
    in_memory_and_in_files(&house, async |house| {
        let found = get(house, &summary_of(1)).await;
        let links = &found["links"];
        let out =
            json!([{"span_id": "0000000000000011", "to_trace_id": trace_id(9), "to_span_id": "00000000000000cc"}]);
        assert_eq!((&links["outgoing"], &links["outgoing_count"]), (&out, &json!(1)));
        assert_eq!(
            links["incoming"],
            json!([{"from_trace_id": trace_id(2), "from_span_id": "0000000000000022", "service": "frontend",
                "name": "call cart", "to_span_id": "0000000000000013"}])
        );
        assert_eq!(links["incoming_is_complete"], true);
        assert_eq!(found["logs"], json!({"count": 4, "errors": 2}));
        assert_eq!(found["exception_count"], 1);
        assert_eq!(found["exceptions"][0]["type"], "E");
        let cart = found["spans"].as_array().expect("spans").iter().find(|one| one["span_id"] == "0000000000000013");
        let cart = cart.expect("the span");
        assert_eq!((&cart["logs"], &cart["exceptions"]), (&json!({"count": 2, "errors": 1}), &json!(1)));
        assert_eq!(cart["parent"], json!({"span_id": "0000000000000012", "service": "frontend", "kind": "CLIENT"}));
        let path: i64 = found["critical_segments"]
            .as_array()
            .expect("segments")
            .iter()
            .filter_map(|one| one["duration_ns"].as_i64())
            .sum();
        assert_eq!((path, &found["duration_ns"]), (101_000_000, &json!(101_000_000)));
    })
    .await;
}

#[tokio::test]
async fn rows_that_differ_are_told_and_the_last_one_counts() {
    let house = House::new();
    house.append(Table::Spans, &shop(1)).await;
    house.flush().await;
    let mut again = shop(1);
    again[2]["name"] = json!("renamed");
    again[3]["parent_span_id"] = json!("00000000000000aa");
    house.append(Table::Spans, &again).await;
    in_memory_and_in_files(&house, async |house| {
        let found = get(house, &summary_of(1)).await;
        let told = &found["completeness"];
        assert_eq!((&told["repeated_rows"], &told["conflicting_count"]), (&json!(2), &json!(2)));
        assert_eq!(
            told["conflicting"][0],
            json!({"span_id": "0000000000000013", "service": "cart", "kind": "SERVER", "versions": 2})
        );
        assert_eq!((&found["missing_parents"], &found["complete"]), (&json!(["00000000000000aa"]), &json!(false)));
        assert_eq!(told["orphans"][0]["span_id"], "0000000000000014");
    })
    .await;
}

/// A trace of so many spans: half of them a chain, half of them side by side below its end.
fn great(count: u64) -> impl Iterator<Item = Value> {
    (1..=count).map(move |id| {
        let parent = if id <= count / 2 { id - 1 } else { count / 2 };
        let start = BEGIN + i64::try_from(id).expect("few");
        json!({
            "trace_id": trace_id(7), "span_id": format!("{id:016x}"),
            "parent_span_id": (parent > 0).then(|| format!("{parent:016x}")),
            "service_name": format!("s{}", id % 9), "name": format!("op{}", id % 50), "kind": 1,
            "start_unix_nano": start, "end_unix_nano": start + 1_000_000, "duration_ns": 1_000_000,
            "http_route": "/x", "attributes_rest": format!("{{\"n\":{id}}}"), "resource_attributes": "{\"a\":\"b\"}",
        })
    })
}

#[tokio::test]
async fn a_trace_of_a_hundred_thousand_spans_is_answered_whole() {
    const SPANS: u64 = 100_000;
    let house = House::new();
    let all: Vec<Value> = great(SPANS).collect();
    for some in all.chunks(10_000) {
        house.append(Table::Spans, some).await;
    }
    house.flush().await;
    let begun = Instant::now();
    let found = get(&house, &summary_of(7)).await;
    let (span_count, summary_taken) = (found["span_count"].as_u64(), begun.elapsed());
    assert_eq!((span_count, &found["complete"]), (Some(SPANS), &json!(true)));
    assert_eq!(found["spans"].as_array().map(Vec::len), usize::try_from(SPANS).ok());
    let begun = Instant::now();
    let path = format!("/api/v1/traces/{}", trace_id(7));
    let (_, bytes) = fetch(&house, &path, "application/x-protobuf", anyone()).await;
    eprintln!("100,000 spans: summary {summary_taken:?}, protobuf {:?}, {} bytes", begun.elapsed(), bytes.len());
    let data = TracesData::decode(&bytes[..]).expect("protobuf");
    let scopes = data.resource_spans.iter().flat_map(|one| &one.scope_spans);
    let starts: Vec<u64> = scopes.flat_map(|one| &one.spans).map(|span| span.start_time_unix_nano).collect();
    assert!(starts.len() as u64 == SPANS && starts.is_sorted(), "each once, in order");
    let (_, json) = fetch(&house, &path, "application/json", anyone()).await;
    let data: Value = serde_json::from_slice(&json).expect("JSON");
    let spans = data["resourceSpans"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["scopeSpans"][0]["spans"].as_array().map_or(0, Vec::len));
    assert_eq!(spans.sum::<usize>() as u64, SPANS);
}
