//! The calls that Grafana's Tempo data source makes, recorded, and the shapes that it expects.

use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde_json::{Value, json};
use tracelake_model::{Caller, Permission, Table, TenantId};

use crate::fixture::House;
use crate::http::asking::{BEGIN, SECOND, anyone, fetch, get, in_memory_and_in_files, shop, trace_id};

/// The range that Grafana sends with its calls, in seconds.
const RANGE: &str = "start=1699999000&end=1700000000";

async fn house(requests: u64) -> House {
    let house = House::new();
    house.append(Table::Spans, &shop(requests)).await;
    house
}

fn encoded(query: &str) -> String {
    form_urlencoded::byte_serialize(query.as_bytes()).collect()
}

async fn search(house: &House, query: &str, more: &str) -> Value {
    get(house, &format!("/tempo/api/search?q={}&{RANGE}{more}", encoded(query))).await
}

async fn refused(house: &House, path: &str) -> (u16, String) {
    let (status, body) = fetch(house, path, "application/json", anyone()).await;
    (status.as_u16(), String::from_utf8(body).expect("text"))
}

/// A series' labels, `{key=value, ...}`.
fn told(series: &Value) -> String {
    let pairs = series["labels"].as_array().expect("labels").iter().map(|label| {
        let value = label["value"].as_object().and_then(|value| value.values().next()).expect("a value");
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{}={value}", label["key"].as_str().expect("a key"))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

fn ids(answer: &Value) -> Vec<&str> {
    let traces = answer["traces"].as_array().expect("traces");
    traces.iter().map(|trace| trace["traceID"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn a_data_source_is_tested_by_echo_and_build_information() {
    let house = house(1).await;
    let (status, body) = fetch(&house, "/tempo/api/echo", "*/*", anyone()).await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, &b"echo"[..]));
    let build = get(&house, "/tempo/api/status/buildinfo").await;
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    assert!(build["goVersion"].is_string() && build["revision"].is_string());
}

#[tokio::test]
async fn a_trace_by_id_is_protobuf_or_json() {
    let house = house(2).await;
    in_memory_and_in_files(&house, async |house| {
        let spans = |data: &TracesData| -> usize {
            data.resource_spans.iter().flat_map(|one| &one.scope_spans).map(|one| one.spans.len()).sum()
        };
        let path = format!("/tempo/api/traces/{}?{RANGE}", trace_id(1));
        let (_, bytes) = fetch(house, &path, "application/protobuf", anyone()).await;
        assert_eq!(spans(&TracesData::decode(&bytes[..]).expect("a trace")), 4);
        let (_, wrapped) = fetch(house, &path.replace("/api/", "/api/v2/"), "application/protobuf", anyone()).await;
        // Field 1, length-delimited: the very bytes of version 1.
        assert_eq!(wrapped[0], 0x0a);
        assert!(wrapped.ends_with(&bytes));
        let one = get(house, &path).await;
        let two = get(house, &path.replace("/api/", "/api/v2/")).await;
        assert_eq!(one["batches"], two["trace"]["resourceSpans"]);
        assert_eq!(one["batches"][0]["scopeSpans"][0]["spans"][0]["traceId"], trace_id(1));
        assert_eq!(get(house, "/tempo/api/traces/1").await, one, "leading zeros may be left out");
    })
    .await;
}

#[tokio::test]
async fn an_unknown_or_malformed_id_is_told_as_text() {
    let house = house(1).await;
    let (status, body) = refused(&house, &format!("/tempo/api/traces/{}", trace_id(99))).await;
    assert_eq!((status, body.contains("not found")), (404, true), "{body}");
    let (status, _) = refused(&house, &format!("/tempo/api/v2/traces/{}?start=1&end=2", trace_id(1))).await;
    assert_eq!(status, 404, "a trace outside the range");
    for bad in ["xyz", "0", "123456789012345678901234567890123"] {
        let (status, body) = refused(&house, &format!("/tempo/api/traces/{bad}")).await;
        assert!(status == 400 && body.contains(bad) && body.contains("hexadecimal"), "{bad}: {status} {body}");
    }
}

#[tokio::test]
async fn a_search_answers_in_tempos_shape_newest_first() {
    let house = house(8).await;
    in_memory_and_in_files(&house, async |house| {
        let answer = search(house, "{ status = error && span.missing = nil } | select(name)", "&limit=20&spss=3").await;
        let start = BEGIN + 8 * SECOND;
        let found = json!({
            "traceID": trace_id(8), "rootServiceName": "frontend", "rootTraceName": "GET /",
            "startTimeUnixNano": (start + 1).to_string(), "durationMs": 108,
            "serviceStats": {"frontend": {"spanCount": 2}, "cart": {"spanCount": 2, "errorCount": 1}},
            "spanSets": [{"matched": 1, "spans": [{
                "spanID": format!("{:016x}", 8 * 16 + 3), "name": "GetCart",
                "startTimeUnixNano": (start + 3).to_string(), "durationNanos": "18000000",
                "attributes": [{"key": "status", "value": {"stringValue": "error"}}],
            }]}],
        });
        let mut first = answer["traces"][0].clone();
        let set = first.as_object_mut().and_then(|first| first.remove("spanSet"));
        assert_eq!(set.as_ref(), Some(&first["spanSets"][0]));
        assert_eq!(first, found);
        assert_eq!(ids(&answer), [trace_id(8), trace_id(4)]);
        assert_eq!(answer["metrics"]["completedJobs"], answer["metrics"]["totalJobs"]);
        let all = search(house, "{}", "&limit=3").await;
        assert_eq!(ids(&all), [trace_id(8), trace_id(7), trace_id(6)]);
        assert_eq!((&all["traces"][0]["spanSets"][0]["matched"], spans(&all)), (&json!(4), 3));
    })
    .await;
    fn spans(answer: &Value) -> usize {
        answer["traces"][0]["spanSets"][0]["spans"].as_array().expect("spans").len()
    }
}

#[tokio::test]
async fn queries_of_the_documentation_find_what_they_mean() {
    let house = house(8).await;
    in_memory_and_in_files(&house, async |house| {
        let check = async |query: &str, expected: &[u64]| {
            let expected: Vec<String> = expected.iter().map(|number| trace_id(*number)).collect();
            assert_eq!(ids(&search(house, query, "").await), expected, "{query}");
        };
        check("{ span.http.response.status_code >= 500 }", &[8, 4]).await;
        check("{ span.http.response.status_code = 500 } >> { status = error }", &[8, 4]).await;
        check("{ status = error } >> { span.http.response.status_code = 500 }", &[]).await;
        check("{ status = error } << { resource.service.name = \"frontend\" && kind = client }", &[8, 4]).await;
        check("{ resource.service.name = \"frontend\" } && { status = error }", &[8, 4]).await;
        check("{ .retry = 2 }", &[8, 5, 2]).await;
        check("{ .who =~ \"Ém.*\" && .ratio > 0.4 } | count() = 1", &[8, 7, 6, 5, 4, 3, 2, 1]).await;
        check("{ duration > 106ms }", &[8, 7]).await;
        check("{ trace:duration > 106ms && kind = server && name = \"GetCart\" }", &[8, 7]).await;
        check("{ nestedSetParent < 0 && status = unset } | avg(duration) > 107ms", &[8]).await;
        check(
            "{ span:childCount = 0 && .db.system.name = \"postgresql\" } | by(resource.service.name) | count() > 1",
            &[],
        )
        .await;
        check("{ resource.k8s.pod.name = \"cart-1\" && rootServiceName = \"frontend\" } | { status = error }", &[8, 4])
            .await;
        check(&format!("{{ trace:id = \"{}\" }}", 7), &[7]).await;
        check(
            "{ } !< { resource.service.name = \"cart\" && .retry = nil } | max(duration) < 6ms",
            &[8, 7, 6, 5, 4, 3, 2, 1],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_range_means_spans_of_the_answer() {
    let house = house(8).await;
    let (start, end) = (BEGIN / SECOND + 3, BEGIN / SECOND + 5);
    let answer = get(&house, &format!("/tempo/api/search?q={}&start={start}&end={end}", encoded("{}"))).await;
    assert_eq!(ids(&answer), [trace_id(4), trace_id(3)]);
    let answer = get(&house, "/tempo/api/search").await;
    assert_eq!(ids(&answer).len(), 8, "nothing asked for is everything");
}

#[tokio::test]
async fn the_older_search_takes_tags_and_durations() {
    let house = house(8).await;
    let ask = async |query: &str| get(&house, &format!("/tempo/api/search?{query}")).await;
    let answer = ask("tags=service.name%3DCAR%20db.system.name%3Dpostgresql&minDuration=107ms").await;
    assert_eq!(ids(&answer), [trace_id(8), trace_id(7)]);
    assert_eq!(ids(&ask("tags=http.response.status_code%3D500").await), [trace_id(8), trace_id(4)]);
    assert_eq!(ids(&ask("tags=status%3Derror&maxDuration=105ms").await), [trace_id(4)]);
}

#[tokio::test]
async fn names_of_attributes_stand_by_scope() {
    let house = house(3).await;
    in_memory_and_in_files(&house, async |house| {
        let answer = get(house, &format!("/tempo/api/v2/search/tags?{RANGE}&limit=5000")).await;
        let scopes = answer["scopes"].as_array().expect("scopes");
        let tags = |name: &str| scopes.iter().find(|scope| scope["name"] == name).map(|scope| scope["tags"].clone());
        assert_eq!(tags("resource"), Some(json!(["k8s.pod.name", "service.name"])));
        let span = json!(["db.namespace", "db.system.name", "http.response.status_code", "ratio", "retry", "who"]);
        assert_eq!(tags("span"), Some(span));
        let intrinsics = tags("intrinsic").expect("intrinsics");
        assert!(intrinsics.as_array().is_some_and(|all| all.contains(&json!("span:name"))), "{intrinsics}");
        let one = get(house, &format!("/tempo/api/v2/search/tags?scope=resource&{RANGE}")).await;
        assert_eq!(one["scopes"].as_array().expect("scopes").len(), 1);
        let filtered = encoded("{ resource.service.name = \"cart\" }");
        let cart = get(house, &format!("/tempo/api/v2/search/tags?scope=span&q={filtered}&{RANGE}")).await;
        assert_eq!(cart["scopes"][0]["tags"], json!(["db.namespace", "db.system.name"]));
        let old = get(house, &format!("/tempo/api/search/tags?scope=span&{RANGE}")).await;
        assert_eq!(old["tagNames"].as_array().expect("names").len(), 6);
    })
    .await;
}

#[tokio::test]
async fn values_of_a_field_have_types() {
    let house = house(3).await;
    in_memory_and_in_files(&house, async |house| {
        let ask = async |tag: &str, more: &str| {
            get(house, &format!("/tempo/api/v2/search/tag/{tag}/values?{RANGE}{more}")).await["tagValues"].clone()
        };
        let value = |kind: &str, value: &str| json!({"type": kind, "value": value});
        let services = json!([value("string", "cart"), value("string", "frontend")]);
        assert_eq!(ask("resource.service.name", "").await, services);
        assert_eq!(ask(".service.name", "").await, services);
        assert_eq!(ask("resource.service%252Ename", "").await, services, "escaped twice");
        assert_eq!(ask("span.retry", "").await, json!([value("int", "0"), value("int", "1"), value("int", "2")]));
        assert_eq!(ask("span.ratio", "").await, json!([value("float", "0.5")]));
        assert_eq!(ask("rootServiceName", "").await, json!([value("string", "frontend")]));
        assert_eq!(ask("status", "").await[0], value("keyword", "error"));
        assert_eq!(ask("kind", "").await.as_array().map(Vec::len), Some(6));
        let filter = format!("&q={}", encoded("{ kind = client && .db.system.name != nil }"));
        assert_eq!(ask("name", &filter).await, json!([value("string", "SELECT carts")]));
        let half = format!("&q={}", encoded("{ kind = "));
        assert_eq!(ask("name", &half).await.as_array().map(Vec::len), Some(4), "nothing is said yet");
        let half = format!("&q={}", encoded("{ kind = client && .db.system.name = \"postgresql\" && name = "));
        assert_eq!(ask("name", &half).await, json!([value("string", "SELECT carts")]));
        let old = get(house, &format!("/tempo/api/search/tag/service.name/values?{RANGE}")).await;
        assert_eq!(old["tagValues"], json!(["cart", "frontend"]));
        let cut = get(house, &format!("/tempo/api/v2/search/tag/name/values?limit=2&{RANGE}")).await;
        assert_eq!(cut["tagValues"].as_array().map(Vec::len), Some(2));
        assert!(cut["warnings"][0].as_str().is_some_and(|text| text.contains("more than 2")), "{cut}");
    })
    .await;
}

#[tokio::test]
async fn series_answer_in_tempos_shape() {
    let house = house(8).await;
    in_memory_and_in_files(&house, async |house| {
        let ask = async |query: &str, more: &str| {
            get(house, &format!("/tempo/api/metrics/query_range?q={}&{RANGE}{more}", encoded(query))).await
        };
        let answer = ask("{ status = error } | rate() by (resource.service.name)", "&step=10s&exemplars=5").await;
        let series = answer["series"].as_array().expect("series");
        assert_eq!(series.len(), 1);
        let labels = json!([{"key": "resource.service.name", "value": {"stringValue": "cart"}}]);
        assert_eq!(series[0]["labels"], labels);
        let samples = series[0]["samples"].as_array().expect("samples");
        assert_eq!(samples.len(), 100);
        let begin = (BEGIN / SECOND).to_string() + "000";
        let sample = samples.iter().find(|sample| sample["timestampMs"] == begin.as_str()).expect("the interval");
        assert_eq!(sample["value"], 0.2);
        let exemplar = &series[0]["exemplars"][0];
        assert_eq!(exemplar["labels"][0], json!({"key": "trace:id", "value": {"stringValue": trace_id(4)}}));
        let counted = ask("{} | count_over_time()", "&step=1h").await;
        assert_eq!(told(&counted["series"][0]), "{__name__=count_over_time}");
        let whole: f64 = counted["series"][0]["samples"]
            .as_array()
            .expect("samples")
            .iter()
            .filter_map(|one| one["value"].as_f64())
            .sum();
        assert_eq!(whole, 32.0);
        let quantiles = ask("{ name = \"GetCart\" } | quantile_over_time(duration, .5, 1)", "&step=1h").await;
        let shown: Vec<(String, f64)> = quantiles["series"]
            .as_array()
            .expect("series")
            .iter()
            .map(|one| {
                (
                    told(one),
                    one["samples"]
                        .as_array()
                        .expect("samples")
                        .iter()
                        .filter_map(|one| one["value"].as_f64())
                        .map(|seconds| (seconds * 1e7).round())
                        .fold(0.0, f64::max),
                )
            })
            .collect();
        assert_eq!(shown, [("{p=0.5}".to_owned(), 145_000.0), ("{p=1.0}".to_owned(), 180_000.0)]);
        let buckets = ask("{ name = \"GetCart\" } | histogram_over_time(duration)", "&step=1h").await;
        let bounds: Vec<&Value> =
            buckets["series"].as_array().expect("series").iter().map(|one| &one["labels"][0]["value"]).collect();
        assert_eq!(bounds, [&json!({"doubleValue": 0.016_777_216}), &json!({"doubleValue": 0.033_554_432})]);
        let top = ask("{} | count_over_time() by (name) | topk(1)", "&step=1h").await;
        assert_eq!(top["series"].as_array().map(Vec::len), Some(1));
        let structural = ask("{ kind = server } > { kind = client } | count_over_time() by (name)", "&step=1h").await;
        assert_eq!(structural["series"].as_array().map(Vec::len), Some(2));
        let none = ask("{ name = \"no\" } | rate()", "").await;
        assert_eq!(none["series"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn an_instant_question_has_one_value_and_compare_two_sides() {
    let house = house(8).await;
    in_memory_and_in_files(&house, async |house| {
        let ask = async |query: &str| {
            get(house, &format!("/tempo/api/metrics/query?q={}&{RANGE}", encoded(query))).await["series"].clone()
        };
        let counted = ask("{ status = error } | count_over_time()").await;
        let labels = json!([{"key": "__name__", "value": {"stringValue": "count_over_time"}}]);
        assert_eq!(counted, json!([{"labels": labels, "value": 2.0}]));
        let rate = ask("{} | rate()").await;
        assert_eq!(rate[0]["value"], 0.032);
        let sides = ask("{ name = \"GetCart\" } | compare({ status = error })").await;
        let value = |wanted: &str| {
            let found = sides.as_array().expect("series").iter().find(|one| told(one) == wanted);
            found.map(|one| one["value"].clone())
        };
        assert_eq!(value("{__meta_type=selection, status=error}"), Some(json!(2.0)), "{sides}");
        assert_eq!(value("{__meta_type=baseline, status=unset}"), Some(json!(6.0)));
        assert_eq!(value("{__meta_type=baseline, status=error}"), None);
        assert_eq!(value("{__meta_type=baseline_total, resource.k8s.pod.name=nil}"), Some(json!(6.0)));
        let few = ask("{ } | compare({ status = error }, 1)").await;
        let too_many = few
            .as_array()
            .expect("series")
            .iter()
            .any(|one| told(one) == "{__meta_error=__too_many_values__, __meta_type=baseline, name=nil}");
        assert!(too_many, "{few}");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_and_points_at_the_place() {
    let house = house(1).await;
    let q = |query: &str| format!("q={}", encoded(query));
    let metrics = "/tempo/api/metrics/query_range?";
    for (path, words) in [
        (format!("/tempo/api/search?{}", q("{ .a = }")), "line 1, col 8"),
        (format!("/tempo/api/search?{}", q("{ .a = 1 &&\n foo }")), "line 2, col 2"),
        (format!("/tempo/api/search?{}", q("{ } | count()")), "count() > 2"),
        (format!("/tempo/api/search?{}", q("{ } | rate()")), "/api/metrics/query_range"),
        (format!("/tempo/api/search?{}", q(&format!("{{ .a = \"{}\" }}", "x".repeat(40_000)))), "limit"),
        ("/tempo/api/search?limit=0".to_owned(), "1 to 10000"),
        ("/tempo/api/search?limit=1000000".to_owned(), "1 to 10000"),
        ("/tempo/api/search?limit=-1".to_owned(), "1 to 10000"),
        ("/tempo/api/search?spss=0".to_owned(), "1 to 1000"),
        ("/tempo/api/search?start=5&end=5".to_owned(), "start must be before end"),
        ("/tempo/api/search?start=yesterday".to_owned(), "invalid start"),
        ("/tempo/api/search?end=99999999999999999999".to_owned(), "invalid end"),
        ("/tempo/api/search?tags=a".to_owned(), "column 1"),
        ("/tempo/api/search?minDuration=5x".to_owned(), "invalid minDuration"),
        ("/tempo/api/v2/search/tags?scope=spam".to_owned(), "spam"),
        ("/tempo/api/v2/search/tag/foo/values".to_owned(), "invalid tag"),
        ("/tempo/api/v2/search/tag/span./values".to_owned(), "invalid tag"),
        (metrics.to_owned(), "query is required"),
        (format!("{metrics}{}", q("{ }")), "rate()"),
        (format!("{metrics}{}&step=0s", q("{ } | rate()")), "invalid step"),
        (format!("{metrics}{}&step=abc", q("{ } | rate()")), "invalid step"),
        (format!("{metrics}{}&start=0&end=1700000000&step=1s", q("{ } | rate()")), "longer step"),
        (format!("{metrics}{}", q("{ } | topk(5)")), "line 1, col 7"),
    ] {
        let (status, body) = refused(&house, &path).await;
        assert!(status == 400 && body.contains(words), "{path}: {status} {body}");
    }
    // A huge range is no fault where the cost does not follow it.
    assert_eq!(ids(&get(&house, "/tempo/api/search?start=0&end=9000000000").await).len(), 1);
}

#[tokio::test]
async fn only_readers_read_and_only_their_own_tenant() {
    let house = house(1).await;
    let sender = Caller { permissions: std::sync::Arc::from([Permission::Ingest]), ..anyone() };
    let other = Caller::anonymous(TenantId::new("other").expect("a tenant"));
    let q = encoded("{ } | rate()");
    for path in [
        "/tempo/api/search".to_owned(),
        format!("/tempo/api/traces/{}", trace_id(1)),
        format!("/tempo/api/v2/traces/{}", trace_id(1)),
        "/tempo/api/search/tags".to_owned(),
        "/tempo/api/v2/search/tags?scope=span".to_owned(),
        "/tempo/api/v2/search/tag/name/values".to_owned(),
        format!("/tempo/api/metrics/query_range?q={q}"),
    ] {
        assert_eq!(fetch(&house, &path, "*/*", sender.clone()).await.0, StatusCode::FORBIDDEN, "{path}");
        let (_, body) = fetch(&house, &path, "*/*", other.clone()).await;
        let body = String::from_utf8_lossy(&body);
        assert!(!body.contains("GET /") && !body.contains("retry") && !body.contains("\"value\":"), "{path}: {body}");
    }
}
