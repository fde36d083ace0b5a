//! What SQL promises, asked of a real store: views, predicates that reach the scan, limits, what is refused.

use serde_json::json;
use tracelake_model::{Caller, Table, TenantId};

use crate::fixture::House;

async fn check_plan(house: &House, query: &str, wanted: &[&str], unwanted: &[&str]) {
    let plan = house.cells(&format!("EXPLAIN {query}")).await;
    for part in wanted {
        assert!(plan.contains(part), "{query}\nwants {part:?} in\n{plan}");
    }
    for part in unwanted {
        assert!(!plan.contains(part), "{query}\nwants no {part:?} in\n{plan}");
    }
}

#[tokio::test]
async fn predicates_on_shown_columns_reach_the_stored_ones() {
    let house = House::new();
    let hex = "0af7651916cd43dd8448eb211c80319c";
    let scan = "partial_filters=[";
    let check = async |predicate: &str, wanted: &str| {
        let query = format!("SELECT name FROM spans WHERE {predicate}");
        check_plan(&house, &query, &[&format!("{scan}{wanted}")], &["hex_id", "span_kind", "status_label"]).await;
    };
    check(&format!("trace_id = '{hex}'"), "stored_spans.trace_id = Binary(").await;
    check(&format!("trace_id IN ('{hex}', 'ffff')"), "stored_spans.trace_id").await;
    check("start_time >= '2023-11-14T22:00:00Z'", "stored_spans.start_unix_nano >= Int64(1699999200000000000)").await;
    check("start_time >= now() - interval '1 hour'", "stored_spans.start_unix_nano >= Int64(1699996400000000000)")
        .await;
    check("start_time > TIMESTAMP '2023-11-14 22:00:00'", "stored_spans.start_unix_nano > Int64(1699999200000000000)")
        .await;
    check("start_time BETWEEN '2023-11-14T22:00:00Z' AND '2023-11-14T23:00:00+01:00'", "stored_spans.start_unix_nano")
        .await;
    check("kind = 'SERVER'", "stored_spans.kind = Int8(2)").await;
    check("kind IN ('SERVER', 'CONSUMER')", "stored_spans.kind").await;
    check("status_code <> 'ERROR'", "stored_spans.status_code != Int8(2)").await;
}

#[tokio::test]
async fn promoted_attributes_are_read_from_their_columns() {
    let house = House::new();
    let none = &["all_attributes", "all_resource_attributes"];
    let check = async |query: &str, wanted: &[&str]| check_plan(&house, query, wanted, none).await;
    check(
        "SELECT name FROM spans WHERE attr_int(attributes, 'http.response.status_code') >= 500",
        &["partial_filters=[stored_spans.http_response_status_code >= Int64(500)]"],
    )
    .await;
    check(
        "SELECT name FROM spans WHERE attr(attributes, 'http.route') = '/cart' AND kind = 'SERVER'",
        &["stored_spans.http_route = Utf8(\"/cart\")", "stored_spans.kind = Int8(2)"],
    )
    .await;
    check(
        "SELECT attr_int(attributes, 'http.response.status_code') AS code, attr(attributes, 'shop.cart'), count(*) \
         FROM spans GROUP BY 1, 2 ORDER BY 3",
        &["http_response_status_code", "attributes_rest"],
    )
    .await;
    check("SELECT attr(attributes, 'x'), attr(attributes, 'y') FROM logs", &["attributes_rest"]).await;
    check(
        "SELECT name FROM spans WHERE attr(resource_attributes, 'k8s.namespace.name') = 'shop'",
        &["stored_spans.k8s_namespace_name = Utf8(\"shop\")"],
    )
    .await;
    check("SELECT resource_attributes FROM spans", &["projection=[resource_attributes]"]).await;
    check("SELECT service_name, count(*) FROM spans GROUP BY 1", &["projection=[service_name]"]).await;
}

#[tokio::test]
async fn statements_that_do_more_than_read_are_refused() {
    let house = House::new();
    for query in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN ANALYZE INSERT INTO spans SELECT * FROM spans",
        "INSERT INTO spans SELECT * FROM spans",
        "UPDATE spans SET name = 'x'",
        "DELETE FROM spans",
        "TRUNCATE TABLE spans",
        "DROP TABLE spans",
        "DROP VIEW issues",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "SHOW ALL",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "SELECT * INTO t FROM spans",
        "WITH x AS (INSERT INTO spans SELECT * FROM spans) SELECT 1",
        "SELECT 1 FROM spans FOR UPDATE",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "SELECT 1; SELECT 2",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM other.public.spans",
        "",
    ] {
        let refused = house.ask(query).await.expect_err(query);
        assert_eq!(refused.kind(), tracelake_model::Fault::Invalid, "{query}: {refused:?}");
    }
    for query in [
        "SELECT 1",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "VALUES (1)",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "DESCRIBE spans",
    ] {
        assert!(house.ask(query).await.is_ok(), "{query}");
    }
}

#[tokio::test]
async fn errors_tell_what_to_write_instead() {
    let house = House::new();
    let check = async |query: &str, wanted: &[&str]| {
        let told = house.ask(query).await.expect_err(query).to_string();
        for part in wanted {
            assert!(told.contains(part), "{query}: {told}");
        }
    };
    check("SELEC 1", &["Line: 1", "Column"]).await;
    check("SELECT servce_name FROM spans", &["servce_name", "service_name", "line 1, column 8"]).await;
    check("SELECT 1 FROM span", &["span", "spans, logs"]).await;
    check("SELECT $1", &["1 parameters, 0 were given"]).await;
    check("SELECT 1 / 0", &["ivide by zero"]).await;
}

#[tokio::test]
async fn parameters_take_the_type_of_their_place() {
    let house = House::new();
    let check = async |query: &str, params: &[serde_json::Value], expected: &str| {
        let rows = house.ask_with(query, params).await.unwrap_or_else(|fault| panic!("{query}: {fault:?}"));
        assert_eq!(crate::fixture::cells(&rows), expected, "{query}");
    };
    check("SELECT $1 || 'b'", &[json!("a")], "ab").await;
    check("SELECT $2 + $1", &[json!(1), json!(2)], "3").await;
    check("SELECT $1", &[json!(1.5)], "1.5").await;
    check("SELECT $1 IS NULL", &[json!(null)], "true").await;
    check("SELECT count(*) FROM spans WHERE start_time >= $1", &[json!("2023-11-14T22:00:00Z")], "0").await;
    check("SELECT count(*) FROM spans WHERE trace_id = $1 LIMIT 5", &[json!("0af7")], "0").await;
}

#[tokio::test]
async fn the_present_is_the_engines_clock() {
    let house = House::new();
    assert_eq!(house.cells("SELECT now()").await, "2023-11-14T22:13:20.000000000Z");
}

#[tokio::test]
async fn a_session_lists_its_tables_only() {
    let house = House::new();
    let tables =
        house.cells("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1").await;
    assert_eq!(
        tables,
        "alerts; audit; exceptions; issues; logs; metrics; notices; service_edges; service_minutes; spans; traces_metrics"
    );
    let caller = Caller::anonymous(TenantId::default());
    let names = house.engine.session(&caller.tenant).expect("a session").catalog_names();
    assert_eq!(names, ["tracelake"]);
    assert_eq!(Table::ALL.len() + 1, 10);
}

#[tokio::test]
async fn a_statement_deeper_than_a_stack_is_refused_and_the_deepest_allowed_runs() {
    let house = House::new();
    let equal = |count: usize, by: &str| vec!["service_name = 'x'"; count].join(by);
    let check = async |query: String, allowed: bool| {
        let told = house.ask(&query).await.map(drop).map_err(|fault| fault.to_string());
        let start: String = query.chars().take(60).collect();
        assert_eq!(told.is_ok(), allowed, "{start}: {told:?}");
    };
    for count in [500, 100_000] {
        let allowed = count == 500;
        check(format!("SELECT {}", vec!["1"; count].join("+")), allowed).await;
        check(format!("SELECT 1{}", "::int".repeat(count)), allowed).await;
        check(vec!["SELECT 1"; count].join(" UNION ALL "), allowed).await;
        check(format!("SELECT {}true", "NOT ".repeat(count)), false).await;
        check(format!("SELECT {}1{}", "(".repeat(count), ")".repeat(count)), false).await;
        check(format!("SELECT 1 FROM {}", vec!["spans"; count].join(", ")), false).await;
        check(format!("SELECT 1 FROM spans WHERE trace_id IN ({})", vec!["'00'"; count / 20].join(", ")), true).await;
    }
    check(format!("SELECT 1 FROM spans WHERE {}", equal(250, " AND ")), true).await;
    check(format!("SELECT 1 FROM spans WHERE {}", equal(250, " OR ")), true).await;
    check(format!("SELECT 1 FROM spans WHERE {}", equal(50_000, " AND ")), false).await;
    check(vec!["SELECT 1"; 60].join(" UNION ALL "), true).await;
    let joins: String = (0..40).map(|i| format!(" CROSS JOIN (SELECT {i} AS x{i}) t{i}")).collect();
    check(format!("SELECT 1 FROM (SELECT 1) t{joins}"), true).await;
}

#[tokio::test]
async fn a_chain_of_doubling_with_queries_is_refused_before_it_is_planned() {
    let house = House::new();
    let chain = |steps: usize| {
        let step = |i: usize| format!(", t{} AS (SELECT a.x FROM t{i} a JOIN \"t{i}\" b ON a.x = b.x)", i + 1);
        let steps_text: String = (0..steps).map(step).collect();
        format!("WITH t0 AS (SELECT 1 x){steps_text} SELECT x FROM t{steps}")
    };
    assert!(house.ask(&chain(4)).await.is_ok());
    let told = house.ask(&chain(30)).await.expect_err("2^30 copies").to_string();
    assert!(told.contains("WITH"), "{told}");
}
