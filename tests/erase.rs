//! Rows that an operator erases are gone for every reader, held ones stay, and odd times do no harm: through the doors.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracelake_model::{Clock as _, SystemClock};

use crate::house::{House, client, run};
use crate::recorded::{requests, slice};
use crate::sdk::{must_succeed, python};

const DAY_NS: i64 = 86_400_000_000_000;

/// The machine's present in Unix nanoseconds.
fn now() -> i64 {
    SystemClock.now().0
}

async fn post(house: &House, signal: &str, body: &Value) {
    let request =
        client().post(format!("http://{}/v1/{signal}", house.otlp)).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.expect("the door answers");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    assert!(status.is_success() && !text.contains("rejected"), "{status}: {text}");
}

/// Log records with these times and texts.
async fn log(house: &House, records: &[(i64, &str)]) {
    let records: Vec<Value> = records
        .iter()
        .map(|(time, text)| json!({ "timeUnixNano": time.to_string(), "body": { "stringValue": text } }))
        .collect();
    let service = json!([{ "key": "service.name", "value": { "stringValue": "odd" } }]);
    let logs = json!({ "resourceLogs": [{
        "resource": { "attributes": service }, "scopeLogs": [{ "logRecords": records }],
    }] });
    post(house, "logs", &logs).await;
}

async fn erase(house: &House, body: Value) -> Value {
    let (status, answer) = house.ask("POST", "/api/v1/admin/erase", Some(body.clone())).await;
    assert_eq!(status, 200, "{body}: {answer}");
    answer
}

async fn metric(house: &House, name: &str) -> u64 {
    let answer = client().get(format!("http://{}/metrics", house.api)).send().await.expect("figures");
    let text = answer.text().await.expect("text");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number") as u64
}

#[tokio::test]
async fn deltalake_polars_and_duckdb_count_what_we_count_after_compaction_and_deletion() {
    let house = House::start();
    let bodies: Vec<_> = requests(&slice("nodejs_microservices.slice.binpb.zst")).into_iter().collect();
    let share = bodies.len().div_ceil(10);
    for bodies in bodies.chunks(share) {
        for body in bodies {
            assert_eq!(house.send("traces", body.clone()).await.expect("the door answers"), 200);
        }
        let lines: Vec<_> = (0..50).map(|n| (now() + n, if n % 5 == 0 { "secret" } else { "plain" })).collect();
        log(&house, &lines).await;
        house.flush().await;
    }
    let merged = async || (metric(&house, "tracelake_storage_compactions_total").await >= 2).then_some(());
    house.wait_for("compaction", merged).await;
    let condition = "service_name LIKE 'c%' OR duration_ns % 7 = 3";
    let left = "SELECT count(*), sum(duration_ns) FROM spans WHERE (service_name LIKE 'c%' OR duration_ns % 7 = 3) IS NOT TRUE";
    let (all, want) = (house.number("SELECT count(*) FROM spans").await, house.sql(left).await);
    let counted = erase(&house, json!({ "table": "spans", "where": condition, "dry_run": true })).await;
    let erased = erase(&house, json!({ "table": "spans", "where": condition })).await;
    assert_eq!((&erased["rows"], &erased["log_is_clear"]), (&counted["rows"], &json!(true)), "{erased}");
    let rows = erased["rows"].as_i64().expect("rows");
    assert!(rows > 0 && rows < all, "{rows} of {all}");
    assert_eq!(house.sql("SELECT count(*), sum(duration_ns) FROM spans").await, want);
    let logs = erase(&house, json!({ "table": "logs", "where": "body = 'secret'" })).await;
    assert_eq!(logs["rows"], 100, "{logs}");
    let check = async |house: &House| {
        let mut command = python("readers.py");
        command.arg(house.data_dir()).arg(&house.api);
        command.args([format!("spans={}", all - rows), "logs=400".to_owned()]);
        must_succeed(&mut command);
    };
    check(&house).await;
    let house = house.restart();
    assert_eq!(house.sql("SELECT count(*), sum(duration_ns) FROM spans").await, want, "nothing comes back");
    check(&house).await;
}

#[tokio::test]
async fn an_erasure_counts_first_then_removes_and_is_written_down() {
    let house = House::start();
    log(&house, &[(now(), "keep"), (now() + 1, "secret-4711")]).await;
    house.flush().await;
    log(&house, &[(now(), "keep too"), (now() + 1, "secret-4711")]).await;
    let command = |extra: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tracelake"));
        command.args(["erase", "--table", "logs", "--where", "body LIKE 'secret%'", "--server"]);
        let output = run(command.arg(format!("http://{}", house.api)).args(extra));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, told, _) = command(&["--dry-run"]);
    assert_eq!((code, told.trim()), (Some(0), "2 rows of logs in 2 files would be erased"));
    assert_eq!(house.number("SELECT count(*) FROM logs").await, 4);
    let (code, told, _) = command(&[]);
    assert!(code == Some(0) && told.contains("erased 2 rows of logs") && told.contains("holds no copy"), "{told}");
    assert_eq!(house.number("SELECT count(*) FROM logs").await, 2);
    for folder in ["wal", "data/default/logs"] {
        let found = find(&house.data_dir().join(folder), b"secret-4711");
        assert!(found.is_empty() || folder != "wal", "{found:?}");
    }
    let (code, _, said) = command(&["--end", "tomorrow"]);
    assert!(code == Some(1) && said.contains("tomorrow"), "{said}");
    let asked = "SELECT action, target_id, outcome, actor_id FROM audit";
    assert_eq!(house.sql(asked).await, [["erase", "logs", "success", "anonymous"].map(Value::from).to_vec()]);
}

/// Files below a folder that hold these bytes.
fn find(folder: &std::path::Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(find(&path, bytes));
        } else if std::fs::read(&path).is_ok_and(|content| content.windows(bytes.len()).any(|window| window == bytes)) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn what_must_not_be_erased_is_refused_in_words() {
    let house = House::start();
    log(&house, &[(now(), "a")]).await;
    let refused = async |body: Value, status: u16, words: &str| {
        let (code, problem) = house.ask("POST", "/api/v1/admin/erase", Some(body.clone())).await;
        assert_eq!(code, status, "{body}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{body}: {problem}");
    };
    refused(json!({ "table": "audit", "where": "true" }), 403, "storage.retention.audit").await;
    refused(json!({ "table": "issues", "where": "true" }), 400, "spans, logs").await;
    refused(json!({ "table": "logs", "where": "bdy = 'a'" }), 400, "body").await;
    refused(json!({ "table": "logs", "where": "true OR (SELECT true)" }), 400, "no subquery").await;
    refused(json!({ "table": "logs", "where": "true", "colour": 1 }), 400, "colour").await;
    refused(json!({ "table": "logs", "where": "true", "start": 5, "end": 5 }), 400, "before").await;
    refused(json!({ "table": "logs", "where": "CAST(body AS INT) = 1" }), 400, "condition").await;
    assert_eq!(house.number("SELECT count(*) FROM logs").await, 1);
}

#[tokio::test]
async fn only_administrators_erase_and_hold() {
    let folder = tempfile::tempdir().expect("a directory");
    let token = |roles: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tracelake"));
        let output = run(command.args(["token", "--name", "t", "--roles", roles]));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let secret = text(&output.stderr).rsplit(' ').next().expect("a token").to_owned();
        (text(&output.stdout), secret)
    };
    let ((reader, read), (admin, may)) = (token("ingest,read"), token("admin"));
    let tokens = folder.path().join("tokens.toml");
    std::fs::write(&tokens, format!("{reader}\n{}\n", admin.replace("\"t\"", "\"a\""))).expect("written");
    let config = folder.path().join("tracelake.toml");
    std::fs::write(&config, format!("[auth]\ntokens_file = {tokens:?}\n")).expect("written");
    let house = House::start_with(&["--config", config.to_str().expect("text")]);
    for (method, path, body) in [
        ("POST", "erase", json!({ "table": "logs", "where": "true" })),
        ("POST", "holds", json!({ "id": "x", "reason": "y" })),
        ("GET", "holds", Value::Null),
        ("DELETE", "holds/x", Value::Null),
    ] {
        let ask = async |token: &str| {
            let method = method.parse().expect("a method");
            let request = client().request(method, format!("http://{}/api/v1/admin/{path}", house.api));
            let request = request.bearer_auth(token).body(body.to_string());
            request.send().await.expect("an answer").status().as_u16()
        };
        assert_eq!(ask(&read).await, 403, "{method} {path}");
        assert!(ask(&may).await < 300, "{method} {path}");
    }
}

#[tokio::test]
async fn a_hold_is_kept_across_a_restart_and_written_down_when_it_begins_and_ends() {
    let house = House::start();
    log(&house, &[(now(), "evidence")]).await;
    let hold = json!({ "id": "case-7", "tables": ["logs"], "reason": "the court asks" });
    let (status, made) = house.ask("POST", "/api/v1/admin/holds", Some(hold.clone())).await;
    assert_eq!((status, &made["tables"]), (201, &json!(["logs"])), "{made}");
    let (status, again) = house.ask("POST", "/api/v1/admin/holds", Some(hold)).await;
    assert_eq!(status, 409, "{again}");
    for (bad, words) in [
        (json!({ "id": "../x", "reason": "r" }), "id"),
        (json!({ "id": "x", "reason": " " }), "reason"),
        (json!({ "id": "x", "reason": "r", "tables": ["everything"] }), "everything"),
        (json!({ "id": "x", "reason": "r", "tables": [] }), "tables"),
        (json!({ "id": "x" }), "reason"),
    ] {
        let (status, problem) = house.ask("POST", "/api/v1/admin/holds", Some(bad.clone())).await;
        assert!(
            status == 400 && problem["detail"].as_str().is_some_and(|detail| detail.contains(words)),
            "{bad}: {problem}"
        );
    }
    let house = house.kill_and_restart();
    let held = house.get("/api/v1/admin/holds").await;
    assert_eq!(held["holds"][0]["id"], "case-7", "{held}");
    let ask = json!({ "table": "logs", "where": "true" });
    let (status, problem) = house.ask("POST", "/api/v1/admin/erase", Some(ask.clone())).await;
    assert!(status == 409 && problem["detail"].as_str().is_some_and(|detail| detail.contains("case-7")), "{problem}");
    assert_eq!(house.ask("DELETE", "/api/v1/admin/holds/case-7", None).await.0, 204);
    assert_eq!(house.ask("DELETE", "/api/v1/admin/holds/case-7", None).await.0, 404);
    assert_eq!(erase(&house, ask).await["rows"], 1);
    let deeds = house.sql("SELECT action, target_id, outcome FROM audit ORDER BY seq").await;
    let want = [
        ["hold", "case-7", "success"],
        ["erase", "logs", "failure"],
        ["release", "case-7", "success"],
        ["erase", "logs", "success"],
    ];
    assert_eq!(deeds, want.map(|deed| deed.map(Value::from).to_vec()));
    let (_, health) = house.ask("GET", "/healthz", None).await;
    assert_eq!(health["warnings"], json!([]), "{health}");
}

#[tokio::test]
async fn odd_times_are_found_by_their_time_and_lie_in_their_day() {
    let house = House::start();
    let (late, ahead, last) = (now() - 5 * DAY_NS, now() + 3652 * DAY_NS, i64::MAX);
    let times = [("late", late), ("ahead", ahead), ("none", 0), ("last", last), ("now", now())];
    log(&house, &times.map(|(name, time)| (time, name))).await;
    let spans: Vec<Value> = (1..)
        .zip(times)
        .map(|(n, (name, time))| {
            json!({
                "traceId": format!("{n:032x}"), "spanId": format!("{n:016x}"), "name": name, "kind": 2,
                "startTimeUnixNano": time.to_string(), "endTimeUnixNano": time.saturating_add(1000).to_string(),
            })
        })
        .collect();
    let service = json!([{ "key": "service.name", "value": { "stringValue": "odd" } }]);
    let traces = json!({ "resourceSpans": [{
        "resource": { "attributes": service }, "scopeSpans": [{ "spans": spans }],
    }] });
    post(&house, "traces", &traces).await;
    let check = async |house: &House, when: &str| {
        for (table, column, text) in [("logs", "time", "body"), ("spans", "start_time", "name")] {
            assert_eq!(house.number(&format!("SELECT count(*) FROM {table}")).await, 5, "{when} {table}");
            for (name, time) in times {
                let at = format!("arrow_cast({time}, 'Timestamp(Nanosecond, None)')");
                let query = format!("SELECT {text} FROM {table} WHERE {column} = {at}");
                let found = house.sql(&query).await;
                // A log record without a time has the time it was received; a span keeps what it says.
                let gone = table == "logs" && name == "none";
                assert_eq!(found, if gone { Vec::new() } else { vec![vec![json!(name)]] }, "{when} {table} {name}");
            }
        }
        for (name, time) in [("late", late), ("ahead", ahead)] {
            let range = format!("start={}&end={}", time - 1000, time + 1000);
            let logs = house.get(&format!("/api/v1/logs?{range}")).await;
            assert!(logs.to_string().contains(name), "{when} {name}: {logs}");
            let traces = house.get(&format!("/api/v1/traces?{range}")).await;
            assert_eq!(traces["traces"].as_array().map(Vec::len), Some(1), "{when} {name}: {traces}");
            house.get(&format!("/api/v1/service-map?{range}")).await;
        }
        house.get(&format!("/api/v1/service-map?start=0&end={last}")).await;
        house.get(&format!("/api/v1/services?start=0&end={last}")).await;
        let trace = house.get(&format!("/api/v1/traces/{:032x}", 4)).await;
        assert!(trace.to_string().contains("9223372036854775807"), "{when}: {trace}");
    };
    check(&house, "in the tail").await;
    house.flush().await;
    check(&house, "in files").await;
    let house = house.kill_and_restart();
    check(&house, "after a restart").await;
    let day = |time: i64| tracelake_day(time);
    for table in ["logs", "spans"] {
        for time in [late, ahead, last, now()] {
            let folder = house.data_dir().join(format!("data/default/{table}/date={}", day(time)));
            assert!(folder.is_dir(), "{}", folder.display());
        }
    }
}

/// The UTC day of an instant, by the system's own calendar.
fn tracelake_day(time: i64) -> String {
    let at = format!("@{}", time / 1_000_000_000);
    let output = run(std::process::Command::new("date").args(["-u", "-d", &at, "+%F"]));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn whoever_hangs_up_stops_an_erasure() {
    let house = House::start();
    let long = "x".repeat(300);
    for text in ["a", "b", "c", "d", "e", "f"] {
        let lines: Vec<_> = (0..3000).map(|n| (now() + n, long.as_str())).collect();
        log(&house, &[lines, vec![(now(), text)]].concat()).await;
        house.flush().await;
    }
    // As slow as a condition can be: many regular expressions a row.
    let slow = vec!["regexp_replace(body, '(x|y)*z', 'q') <> 'n'"; 60].join(" AND ");
    let body = json!({ "table": "logs", "where": slow }).to_string();
    let asked = client().post(format!("http://{}/api/v1/admin/erase", house.api)).body(body).send();
    let asked = tokio::spawn(asked);
    // Hanging up before it runs would leave the test looking at an erasure that is yet to begin.
    let running = async || metric(&house, "tracelake_storage_erasures_running").await;
    let begun = async || (running().await == 1 || asked.is_finished()).then_some(());
    house.wait_for("the erasure to begin", begun).await;
    assert!(!asked.is_finished(), "it is too fast to be hung up on");
    asked.abort();
    let since = Instant::now();
    house.wait_for("the erasure to end", async || (running().await == 0).then_some(())).await;
    assert!(since.elapsed() < Duration::from_secs(20));
    let left = house.number("SELECT count(*) FROM logs").await;
    assert!(left > 0, "it was not stopped");
    assert_eq!(erase(&house, json!({ "table": "logs", "where": "true" })).await["rows"], left);
}
