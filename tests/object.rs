//! Tables in a bucket: what is flushed needs no data directory, what is acknowledged survives a kill, servers share the
//! tables, and a store that commits cannot stand on is refused. The S3 API server fails when a test asks it to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::crash::{request, stored, survive_kills};
use crate::house::{House, client, command, run, tool};

const BUCKET: &str = "telemetry";
const KILLS: u64 = 5;
/// moto asks who it is, and believes it.
const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=rival/20231114/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
/// Puts of one object at once.
const RIVALS: usize = 8;

/// An S3 API server with one empty bucket. Dropping it ends the process.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bucket/server.py");
        let mut command = Command::new(tool("TRACELAKE_TEST_PYTHON"));
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the S3 server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        let service = Self { child, address };
        let made = client().put(service.url("")).send().await.expect("it answers").status();
        assert!(made.is_success(), "{made}");
        service
    }

    fn url(&self, key: &str) -> String {
        format!("http://{}/{BUCKET}/{key}", self.address)
    }

    /// From now on these faults; see `bucket/server.py`.
    async fn fail(&self, faults: Value) {
        let set = client().post(format!("http://{}/-/faults", self.address)).body(faults.to_string());
        assert!(set.send().await.expect("it answers").status().is_success());
    }

    /// Requests so far, by method and status.
    async fn requests(&self) -> BTreeMap<String, u64> {
        let answer = client().get(format!("http://{}/-/requests", self.address)).send().await.expect("it answers");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("counts")
    }

    /// What a server is told to use this bucket.
    fn environment(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        let ours = [
            ("AWS_ACCESS_KEY_ID", "tracelake"),
            ("AWS_SECRET_ACCESS_KEY", "a secret that is never shown"),
            ("TRACELAKE_STORAGE_URL", "s3://telemetry/prod"),
            ("TRACELAKE_STORAGE_S3_ENDPOINT", &endpoint),
            ("TRACELAKE_STORAGE_S3_ALLOW_HTTP", "true"),
            ("TRACELAKE_STORAGE_REFRESH_INTERVAL", "200ms"),
        ];
        ours.iter().chain(more).map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const COUNT: &str = "SELECT COUNT(*) FROM spans";

async fn send(house: &House, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(house.send("traces", request(number)).await.expect("the door answers"), 200);
    }
}

/// One figure of `/metrics`, all labels together.
async fn figure(house: &House, name: &str) -> f64 {
    let text = client().get(format!("http://{}/metrics", house.api)).send().await.expect("it answers");
    let text = text.text().await.expect("text");
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn of_rivals_that_put_one_object_exactly_one_wins() {
    let service = Service::start().await;
    for key in 0..40 {
        let rival = |number: usize| {
            let put = client().put(service.url(&format!("rivals/{key}"))).header("if-none-match", "*");
            put.header("authorization", AUTHORIZATION).body(number.to_string()).send()
        };
        let answers = futures::future::join_all((0..RIVALS).map(rival)).await;
        let statuses: Vec<_> =
            answers.into_iter().map(|answer| answer.expect("it answers").status().as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 412).count(), RIVALS - 1, "{statuses:?}");
    }
}

#[tokio::test]
async fn what_is_flushed_to_a_bucket_needs_no_data_directory() {
    let service = Service::start().await;
    let mut house = House::start_among(&service.environment(&[]));
    send(&house, 1..31).await;
    assert_eq!(house.number(COUNT).await, 210);
    house.flush().await;
    assert_eq!(house.number(COUNT).await, 210, "from the bucket's parts");
    let before = service.requests().await;
    send(&house, 31..32).await;
    house.flush().await;
    eprintln!("requests up to the first flush {before:?}, after the second {:?}", service.requests().await);
    let rule = json!({ "id": "words", "kind": "any", "signal": "logs", "keywords": ["broken"] });
    assert_eq!(house.ask("POST", "/api/v1/alerting/rules", Some(rule.clone())).await.0, 201);
    assert_eq!(house.ask("POST", "/api/v1/alerting/rules", Some(rule)).await.0, 409);
    let metrics = client().get(format!("http://{}/metrics", house.api)).send().await.expect("it answers");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("tracelake_storage_object_requests_total{kind=\"put\"}"), "{metrics}");
    let mut readers = Command::new(tool("TRACELAKE_TEST_PYTHON"));
    readers.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bucket/reader.py"));
    let output = run(readers.args([&service.address, "s3://telemetry/prod/data/default/spans", "217"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    house.stop();
    // A server that never saw these records, on another machine.
    let other = House::start_among(&service.environment(&[]));
    assert_eq!(other.number(COUNT).await, 217);
    assert_eq!(other.ask("GET", "/api/v1/alerting/rules/words", None).await.0, 200, "documents are there too");
    send(&other, 100..101).await;
    other.flush().await;
    assert_eq!(other.number(COUNT).await, 224);
}

#[tokio::test]
async fn what_is_acknowledged_survives_kills_while_the_bucket_fails() {
    let service = Service::start().await;
    let house = House::start_among(&service.environment(&[("TRACELAKE_STORAGE_FLUSH_INTERVAL", "50ms")]));
    let seed = 20_261_121;
    eprintln!("seed {seed}");
    service.fail(json!({ "seed": seed, "slow_down": 20, "lost": 20, "cut": 20 })).await;
    survive_kills(house, KILLS).await;
    eprintln!("requests {:?}", service.requests().await);
}

#[tokio::test]
async fn two_servers_share_a_bucket_and_count_the_same() {
    let service = Service::start().await;
    let environment = service.environment(&[("TRACELAKE_STORAGE_FLUSH_INTERVAL", "100ms")]);
    let (one, two) = (House::start_among(&environment), House::start_among(&environment));
    let (a, b) = (async { send(&one, 1..61).await }, async { send(&two, 1001..1061).await });
    tokio::join!(a, b);
    one.flush().await;
    two.flush().await;
    for house in [&one, &two] {
        let both = async || (house.number(COUNT).await == 840).then_some(());
        house.wait_for("the other server's rows", both).await;
        let stored = stored(house).await;
        assert!(stored.len() == 120 && stored.values().all(|counts| *counts == (7, 7)), "{stored:?}");
    }
    // Both merge what both wrote; nobody's rows are lost or doubled meanwhile.
    for house in [&one, &two] {
        let merged = async || (figure(house, "tracelake_storage_live_parts").await < 20.0).then_some(());
        house.wait_for("few parts", merged).await;
        assert_eq!(house.number(COUNT).await, 840);
    }
}

#[tokio::test]
async fn a_limit_of_bytes_removes_what_was_stored_first() {
    let service = Service::start().await;
    let environment =
        service.environment(&[("TRACELAKE_STORAGE_BYTES_MAX", "1 MiB"), ("TRACELAKE_STORAGE_REMOVED_KEEP", "1m")]);
    let house = House::start_among(&environment);
    // About half a megabyte each, however well it is packed: digits of a random number.
    for number in 1..=6 {
        assert_eq!(house.send("logs", noise(number)).await.expect("the door answers"), 200);
        house.flush().await;
    }
    let live = async || (figure(&house, "tracelake_storage_live_bytes").await <= f64::from(1 << 20)).then_some(());
    house.wait_for("few bytes", live).await;
    let left = house.sql("SELECT DISTINCT service_name FROM logs ORDER BY 1").await;
    let left: Vec<_> = left.iter().map(|row| row[0].as_str().expect("a name").to_owned()).collect();
    assert!(!left.is_empty() && left.len() < 6, "{left:?}");
    assert_eq!(left.last().map(String::as_str), Some("s6"), "the newest stay: {left:?}");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused_with_the_remedy() {
    let service = Service::start().await;
    service.fail(json!({ "unconditional": true })).await;
    let folder = tempfile::tempdir().expect("a directory");
    let refused = |mut command: Command| {
        let output = run(command.stderr(Stdio::piped()).envs(service.environment(&[])));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("conditional writes") && said.contains("storage.url"), "{said}");
        assert!(!said.contains("never shown"), "{said}");
    };
    refused(command(folder.path(), &[]));
    let check = || {
        let mut check = Command::new(env!("CARGO_BIN_EXE_tracelake"));
        check.arg("check").arg("--data-dir").arg(folder.path().join("data-dir"));
        check
    };
    refused(check());
    service.fail(json!({})).await;
    let output = run(check().envs(service.environment(&[])));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("honours conditional writes"), "{said}");
    let newer = client()
        .put(service.url("prod/FORMAT"))
        .header("authorization", AUTHORIZATION)
        .body("tracelake 99\n")
        .send()
        .await
        .expect("it answers");
    assert!(newer.status().is_success());
    let output = run(command(folder.path(), &[]).envs(service.environment(&[])));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("99") && said.contains("FORMAT"), "{said}");
}

/// A request of one log record with half a megabyte that cannot be packed.
fn noise(number: u64) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message as _;
    use rand::{Rng as _, SeedableRng as _};
    let mut random = rand::rngs::SmallRng::seed_from_u64(number);
    let text = |text: String| Some(AnyValue { value: Some(any_value::Value::StringValue(text)) });
    let mut record = |row: u64| LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000 + number * 1_000_000 + row,
        body: text((0..32_000).map(|_| char::from(random.random_range(b' '..b'~'))).collect()),
        ..Default::default()
    };
    let log_records = (0..18).map(&mut record).collect();
    let name = KeyValue { key: "service.name".to_owned(), value: text(format!("s{number}")), ..Default::default() };
    let resource = Some(Resource { attributes: vec![name], ..Default::default() });
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}
