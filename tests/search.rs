//! Searches of recorded traces find exactly the traces that the truth names: by TraceQL through Tempo's API, by our own
//! API where it can express them, and by Jaeger's where the truth says how it is asked there.

use std::collections::BTreeSet;
use std::time::Instant;

use aws_lc_rs::digest;
use serde_json::Value;

use crate::house::House;
use crate::recorded::{full, requests, truth};
use crate::replay::send_all;

/// What of the truth's searches, by their TraceQL, our own API is asked.
const ASKED: [(&str, &str); 10] = [
    (r#"{ resource.service.name = "ts-preserve-service" }"#, "service=ts-preserve-service"),
    (
        r#"{ resource.service.name = "ts-seat-service" && duration > 500ms }"#,
        "service=ts-seat-service&min_duration=500000001ns",
    ),
    (r#"{ name = "HTTP POST" && kind = client && duration >= 1s }"#, "operation=HTTP+POST&kind=client&min_duration=1s"),
    (r#"{ span.db.system = "mysql" && duration > 100ms }"#, "attr=db.system%3Dmysql&min_duration=100000001ns"),
    (
        r#"{ span.db.collection.name = "ts.orders" && span.db.operation.name = "INSERT" }"#,
        "attr=db.collection.name%3Dts.orders&attr=db.operation.name%3DINSERT",
    ),
    (
        r#"{ name =~ "/api/v1/(order|orderOther)service/.*" }"#,
        "attr=span:name~%5E(%3F:/api/v1/(order%7CorderOther)service/.*)%24",
    ),
    (r"{ kind = consumer }", "kind=CONSUMER"),
    (
        r#"{ resource.k8s.pod.name =~ "ts-order-service-.*" } | max(duration) > 1s"#,
        "attr=k8s.pod.name~%5Ets-order-service-.*%24&min_duration=1000000001ns",
    ),
    (r#"{ span.http.route = "/no/such/route" }"#, "attr=http.route%3D/no/such/route"),
    (
        r#"{ resource.service.name = "ts-travel-service" }"#,
        "service=ts-travel-service&start=1674982800000000000&end=1674986400000000000",
    ),
];

/// What our own API cannot ask: several spans that must stand in some relation, or figures of a whole trace.
const TRACEQL_ONLY: [&str; 9] = [
    "{ } | count() = 1",
    r#"{ resource.service.name = "ts-gateway-service" } && { resource.service.name = "ts-cancel-service" }"#,
    r#"{ resource.service.name = "ts-preserve-service" } >> { resource.service.name = "ts-config-service" }"#,
    r#"{ resource.service.name = "ts-food-service" } > { kind = producer }"#,
    "{ traceDuration > 2s }",
    r#"{ rootName = "/*" && rootServiceName = "ts-gateway-service" } | count() > 150"#,
    r#"{ span.http.route = "/api/v1/seatservice/seats/left_tickets" } | count() >= 20"#,
    r#"{ resource.service.name = "ts-basic-service" } | avg(duration) > 300ms"#,
    r#"{ resource.service.name = "ts-order-service" && name = "SELECT ts.orders" } | count() >= 10"#,
];

/// The ids are those of the truth: how many, which, and all of them by their hash.
fn check(what: &str, found: &[String], search: &Value) {
    let ids: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(ids.len(), found.len(), "{what}: a trace came twice");
    assert_eq!(Some(ids.len() as u64), search["matches"].as_u64(), "{what}");
    let known = search["trace_ids"].as_array().expect("ids");
    assert!(known.iter().all(|id| ids.contains(id.as_str().expect("an id"))), "{what}: one of {known:?} is missing");
    let text = ids.into_iter().collect::<Vec<_>>().join("\n");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(Some(hash.as_str()), search["sha256_sorted_ids"].as_str(), "{what}: other traces");
}

fn ids(answer: &Value, list: &str, key: &str) -> Vec<String> {
    let id = |one: &Value| one[key].as_str().expect("an id").to_owned();
    answer[list].as_array().expect("traces").iter().map(id).collect()
}

/// All pages of a search, so many traces a page.
async fn pages(house: &House, query: &str, limit: usize) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = house.get(&format!("/api/v1/traces?{query}&limit={limit}{cursor}")).await;
        found.extend(ids(&answer, "traces", "trace_id"));
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The traces that Tempo's API finds for the TraceQL of the truth.
async fn by_traceql(house: &House, search: &Value) -> Vec<String> {
    let query = search["traceql"].as_str().expect("TraceQL");
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let bound = |name: &str, key: &str| search[key].as_i64().map_or_else(String::new, |at| format!("&{name}={at}"));
    let range = bound("start", "start_ns") + &bound("end", "end_ns");
    ids(&house.get(&format!("/tempo/api/search?q={query}&limit=10000{range}")).await, "traces", "traceID")
}

/// The truth's own way to ask Jaeger, as its API writes it; `None` where it cannot be asked.
fn jaeger_query(search: &Value) -> Option<String> {
    let mut query = String::from("limit=1500");
    for (key, value) in search["jaeger"].as_object()? {
        match (key.as_str(), value) {
            ("service" | "minDuration", Value::String(text)) => query += &format!("&{key}={text}"),
            // There they are milliseconds; here the end would lie inside.
            ("start", Value::Number(micros)) => query += &format!("&start={micros}"),
            ("end", Value::Number(micros)) => query += &format!("&end={}", micros.as_i64()? - 1),
            ("tags", tags) => {
                for (key, value) in tags.as_object()? {
                    query += &format!("&tag={key}:{}", value.as_str()?);
                }
            }
            _ => return None,
        }
    }
    let all_time = "&start=0&end=4102444800000000";
    Some(if query.contains("&start=") { query } else { query + all_time })
}

#[tokio::test]
async fn every_search_of_the_truth_finds_exactly_its_traces() {
    let (Some(data), Some(facts)) =
        (full("trainticket-2023-01-29.traces.binpb.zst"), full("trainticket-2023-01-29.searches.json"))
    else {
        return;
    };
    let searches = truth(&facts)["searches"].as_array().expect("searches").clone();
    let house = House::start();
    send_all(&house, "traces", &requests(&data)).await;
    for round in ["in memory and in parts", "in parts"] {
        for search in &searches {
            let traceql = search["traceql"].as_str().expect("TraceQL");
            let has_range = search["start_ns"].is_number();
            let begun = Instant::now();
            let found = by_traceql(&house, search).await;
            println!("{:?} for {} traces, {round}: {traceql}", begun.elapsed(), found.len());
            check(&format!("{traceql} {round}"), &found, search);
            let asked = ASKED.iter().find(|(known, query)| *known == traceql && query.contains("start=") == has_range);
            let Some((_, query)) = asked else {
                assert!(TRACEQL_ONLY.contains(&traceql), "{traceql} is asked nowhere");
                continue;
            };
            check(&format!("{query} {round}"), &pages(&house, query, 10_000).await, search);
            if let Some(query) = jaeger_query(search) {
                let answer = house.get(&format!("/jaeger/api/traces?{query}")).await;
                check(&format!("Jaeger {query} {round}"), &ids(&answer, "data", "traceID"), search);
            }
        }
        // Page by page the same.
        let paged = pages(&house, "kind=CONSUMER", 50).await;
        assert_eq!(paged, pages(&house, "kind=CONSUMER", 10_000).await);
        house.flush().await;
    }
}
