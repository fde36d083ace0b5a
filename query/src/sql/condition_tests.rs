//! A condition means the same rows as SQL's WHERE, on files and in the tail, and nothing beyond one row of one table.

use serde_json::json;
use tracelake_model::{Fault, Table, TenantId, TimeRange};
use tracelake_storage::{Erased, Erasure};

use crate::fixture::{House, NOW};

const HOUR: i64 = 3_600_000_000_000;

async fn filled() -> House {
    let house = House::new();
    for round in 0..3_i64 {
        let spans: Vec<_> = (0..40_i64)
            .map(|n| {
                let id = round * 40 + n;
                json!({
                    "trace_id": format!("{:032x}", id % 50 + 1), "span_id": format!("{:016x}", id + 1),
                    "service_name": (["cart", "shop", "mail"][usize::try_from(n % 3).expect("small")]),
                    "name": format!("GET /{}", n % 7), "kind": n % 6, "status_code": n % 3,
                    "start_unix_nano": NOW.0 - id * HOUR, "end_unix_nano": NOW.0 - id * HOUR + n, "duration_ns": n,
                    "http_response_status_code": if n % 4 == 0 { json!(500 + n) } else { json!(null) },
                    "attributes_rest": format!("{{\"user.id\":\"{}\",\"retry\":{}}}", n % 10, n % 2 == 0),
                    "resource_attributes": format!("{{\"rack.id\":\"h{}\"}}", n % 2),
                })
            })
            .collect();
        house.append(Table::Spans, &spans).await;
        let logs: Vec<_> = (0..20_i64)
            .map(|n| {
                json!({
                    "time_unix_nano": if n == 3 { 0 } else { NOW.0 - n * HOUR }, "service_name": "shop",
                    "severity_number": n, "body": if n % 5 == 0 { json!(null) } else { json!(format!("line {n} Ünï")) },
                })
            })
            .collect();
        house.append(Table::Logs, &logs).await;
        if round < 2 {
            house.flush().await;
        }
    }
    house
}

async fn erase(house: &House, table: Table, text: &str, dry_run: bool) -> Erased {
    let (condition, range) = house.engine.condition(table, text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let erasure = Erasure { table, condition, range, dry_run };
    house.store.erase(&TenantId::default(), erasure).await.unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

#[tokio::test]
async fn a_condition_means_the_rows_that_sql_means() {
    let house = filled().await;
    let check = async |table: Table, text: &str| {
        let counted = house.cells(&format!("SELECT count(*) FROM {table} WHERE {text}")).await;
        assert_eq!(erase(&house, table, text, true).await.rows.to_string(), counted, "{table}: {text}");
        assert!(text == "false" || counted != "0", "{table}: {text} means no row, so nothing is compared");
    };
    for text in [
        "true",
        "false",
        "service_name = 'cart'",
        "spans.service_name <> 'cart'",
        "service_name IN ('cart', 'mail') AND duration_ns > 5",
        "trace_id = '00000000000000000000000000000007'",
        "trace_id IN ('00000000000000000000000000000007', '0000000000000000000000000000000a')",
        "span_id LIKE '%5'",
        "kind = 'SERVER' OR status_code = 'ERROR'",
        "NOT (kind = 'SERVER')",
        "start_time < now() - INTERVAL '50 hours'",
        "start_time >= '2023-11-12T00:00:00Z' AND start_time < TIMESTAMP '2023-11-13 00:00:00'",
        "end_time - start_time > INTERVAL '0.00000001 seconds'",
        "attr(attributes, 'user.id') = '4'",
        "attr_int(attributes, 'http.response.status_code') >= 510",
        "attr(attributes, 'http.response.status_code') = '504'",
        "attr(attributes, 'http.response.status_code') IS NULL",
        "attr_bool(attributes, 'retry')",
        "attr(resource_attributes, 'rack.id') = 'h1'",
        "attributes LIKE '%user.id%'",
        "length(name) + duration_ns > 20",
        "name ~ '/[13]$'",
        "CASE WHEN duration_ns > 3 THEN service_name = 'shop' ELSE name = 'GET /1' END",
        "parent_span_id IS NULL",
        "duration_ns % 5 = 2",
    ] {
        check(Table::Spans, text).await;
    }
    for text in [
        "body LIKE 'line%'",
        "body IS NULL",
        "NOT body = 'line 1 Ünï'",
        "time = '1970-01-01T00:00:00Z'",
        "severity_number BETWEEN 3 AND 5",
    ] {
        check(Table::Logs, text).await;
    }
}

#[tokio::test]
async fn erased_rows_are_gone_from_sql_and_the_others_are_not() {
    let house = filled().await;
    let text = "attr(attributes, 'user.id') = '4' OR start_time < now() - INTERVAL '100 hours'";
    let figures = "count(*), sum(duration_ns), sum(attr_int(attributes, 'http.response.status_code'))";
    let want = house.cells(&format!("SELECT {figures} FROM spans WHERE ({text}) IS NOT TRUE")).await;
    let counted = erase(&house, Table::Spans, text, true).await;
    let erased = erase(&house, Table::Spans, text, false).await;
    assert_eq!((erased.rows, erased.log_is_clear), (counted.rows, true));
    assert_eq!(house.cells(&format!("SELECT {figures} FROM spans")).await, want);
    assert_eq!(erase(&house, Table::Spans, text, false).await.rows, 0);
    assert_eq!(house.cells("SELECT count(*) FROM logs").await, "60");
}

#[tokio::test]
async fn the_times_that_a_condition_leaves_open_bound_what_is_read() {
    let house = filled().await;
    let check = |text: &str, start: i64, end: i64| {
        let (_, range) = house.engine.condition(Table::Spans, text).expect("a condition");
        assert_eq!((range.start.0, range.end.0), (start, end), "{text}");
    };
    check("start_time >= now() - INTERVAL '2 hours' AND name = 'x'", NOW.0 - 2 * HOUR, TimeRange::ALL.end.0);
    check("start_time < now() OR name = 'x'", TimeRange::ALL.start.0, TimeRange::ALL.end.0);
    let read = erase(&house, Table::Spans, "start_time >= now() - INTERVAL '30 hours'", true).await.parts_read;
    let all = erase(&house, Table::Spans, "true", true).await.parts_read;
    assert!(read < all, "{read} of {all}");
}

#[tokio::test]
async fn what_looks_beyond_one_row_is_refused_and_told() {
    let house = House::new();
    for (text, told) in [
        ("", ""),
        ("service_name", "compare"),
        ("NULL", "compare"),
        ("servce_name = 'x'", "service_name"),
        ("service_name = 'x' AND", ""),
        ("service_name = 'x'; DELETE FROM spans", "end of expression"),
        ("true UNION SELECT 1", "end of expression"),
        ("service_name IN (SELECT service_name FROM logs)", "no subquery"),
        ("EXISTS (SELECT 1 FROM logs)", "no subquery"),
        ("duration_ns > (SELECT max(duration_ns) FROM spans)", "no subquery"),
        ("count(*) > 1", "no aggregate"),
        ("row_number() OVER () > 1", "no aggregate"),
        ("random() < 0.5", "chance"),
        ("service_name = $1", "parameters"),
        ("service_name = 'x' AS y", "no AS"),
        ("logs.body = 'x'", ""),
        ("trace_id > 5 AND", ""),
        ("nothing(service_name)", "nothing"),
    ] {
        let refused = house.engine.condition(Table::Spans, text).map(drop).expect_err(text);
        assert_eq!(refused.kind(), Fault::Invalid, "{text}: {refused:?}");
        assert!(refused.to_string().contains(told), "{text}: {refused}");
    }
    let deep = vec!["service_name = 'x'"; 5_000].join(" OR ");
    assert!(house.engine.condition(Table::Spans, &deep).is_err());
}
