//! Searches over parts of several pieces, in every way that conditions can be written: exactly what matches.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tracelake_model::{Table, TenantId};

use crate::fixture::House;
use crate::http::asking::{BEGIN, SECOND, get, pages, trace_id};

const SPANS: u64 = 40_000;

/// A span of its own trace for each number; starts go up and down, so that pieces of time overlap.
fn span(n: u64) -> Value {
    let start = BEGIN + i64::try_from(n / 100 * 7 % 400).expect("few") * SECOND + i64::try_from(n).expect("few");
    let failed = n % 5_000 == 17;
    json!({
        "trace_id": trace_id(n + 1), "span_id": format!("{:016x}", n + 1), "service_name": format!("s{}", n % 3),
        "name": if n % 10_000 == 3 { "rare" } else { "common" }, "kind": if n == 39_000 { 5 } else { 1 },
        "start_unix_nano": start, "end_unix_nano": start + 5, "duration_ns": 5, "status_code": if failed { 2 } else { 0 },
        "http_route": format!("/r{}", n % 20_000), "http_response_status_code": 200 + n % 7,
        "messaging_message_id": format!("ord-{n}"),
        "attributes_rest": format!(
            "{{\"order\":\"o{n}\",\"n\":{},\"half\":{}.5,\"deep\":{{\"a\":[{n}]}},\"odd\":\"a\\\"{n}\",\"even\":{}}}",
            n % 9_973, n % 30_000, n.is_multiple_of(2)
        ),
        "resource_attributes": json!({"k8s.pod.name": format!("p-{}", n % 40), "zone": n % 40}).to_string(),
    })
}

#[tokio::test]
async fn searches_of_many_pieces_find_exactly_what_matches() {
    let house = House::new();
    let spans: Vec<Value> = (0..SPANS).map(span).collect();
    for some in spans.chunks(10_000) {
        house.append(Table::Spans, some).await;
    }
    let check = async |query: &str, holds: &dyn Fn(u64) -> bool| {
        let answer = get(&house, &format!("/api/v1/traces?limit=10000&{query}")).await;
        let number = |one: &Value| u64::from_str_radix(one["trace_id"].as_str().expect("an id"), 16).expect("hex") - 1;
        let found: Vec<u64> = answer["traces"].as_array().expect("traces").iter().map(number).collect();
        let mut expected: Vec<u64> = (0..SPANS).filter(|n| holds(*n)).collect();
        let start = |n: &u64| spans[usize::try_from(*n).expect("few")]["start_unix_nano"].as_i64().expect("a time");
        expected.sort_by_key(|n| (std::cmp::Reverse(start(n)), *n));
        assert!(expected.len() < 10_000 && found == expected, "{query}: {} {}", found.len(), expected.len());
    };
    for _ in 0..2 {
        check("attr=messaging.message.id%3Dord-17000", &|n| n == 17_000).await;
        check("attr=order%3Do39999", &|n| n == 39_999).await;
        check("attr=order%3Do40000", &|_| false).await;
        check("attr=n%3D9000", &|n| n % 9_973 == 9_000).await;
        check("attr=n%3D9000.0&service=s1", &|n| n % 9_973 == 9_000 && n % 3 == 1).await;
        check("attr=half%3D29999.5", &|n| n % 30_000 == 29_999).await;
        check("attr=deep%3D%7B%22a%22:%5B777%5D%7D", &|n| n == 777).await;
        check("attr=odd%3Da%22778", &|n| n == 778).await;
        check("attr=http.route%3D/r19999", &|n| n % 20_000 == 19_999).await;
        check("attr=http.response.status_code%3D206&attr=n%3D1", &|n| n % 7 == 6 && n % 9_973 == 1).await;
        check("attr=k8s.pod.name%3Dp-7&operation=rare", &|n| n % 40 == 7 && n % 10_000 == 3).await;
        check("attr=zone%3D7&attr=even%3Dfalse", &|n| n % 40 == 7).await;
        check("service=s2&status=error", &|n| n % 5_000 == 17 && n % 3 == 2).await;
        check("attr=error%3Dtrue", &|n| n % 5_000 == 17).await;
        check("operation=rare", &|n| n % 10_000 == 3).await;
        check("attr=span:name%3Drare", &|n| n % 10_000 == 3).await;
        check("kind=consumer", &|n| n == 39_000).await;
        check("attr=order~%5Eo3999.$", &|n| (39_990..40_000).contains(&n)).await;
        check("attr=n%3E9971", &|n| n % 9_973 == 9_972).await;
        check("q=A%2239", &|n| format!("a\"{n}").contains("a\"39")).await;
        let newest = get(&house, "/api/v1/traces?limit=5").await;
        let paged = pages(
            &house,
            "/api/v1/traces?limit=20&attr=k8s.pod.name%3Dp-7&service=s1&status=unset&attr=half%3C6000",
            "traces",
        )
        .await;
        assert!(
            paged.len()
                == (0..SPANS).filter(|n| n % 40 == 7 && n % 3 == 1 && n % 5_000 != 17 && n % 30_000 < 6_000).count()
                && newest["traces"].as_array().is_some_and(|traces| traces.len() == 5)
        );
        house.flush().await;
    }
    // Who hangs up stops the work: nothing holds the part any longer.
    let part = Arc::clone(&house.store.snapshot(&TenantId::default()).parts(Table::Spans)[0]);
    let held = Arc::strong_count(&part);
    let search = get(&house, "/api/v1/traces?limit=10000&attr=order~9");
    assert!(tokio::time::timeout(Duration::from_millis(5), search).await.is_err(), "it takes longer");
    for _ in 0..1_000 {
        if Arc::strong_count(&part) == held {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the search goes on");
}
