//! The whole wing on loopback: a record goes into the tap, a signed webhook comes out, through kills and dead receivers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use model::{Caller, Clock, DocumentStore, Permission, Sink, SystemClock, Table, TenantId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tracelake_model as model;

use crate::delivery::webhook::sign;
use crate::sample_data::{Line, MemoryDocuments, RecordingSink, durable, line, logs, spans};
use crate::{Alerting, Config, Receiver, Rule, Secret};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver that remembers what it got and answers what it is told to.
#[derive(Clone, Default)]
struct Inbox {
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answer: Arc<AtomicU16>,
}

impl Inbox {
    async fn listen(&self, address: &str) -> SocketAddr {
        let inbox = self.clone();
        let receive = async move |headers: HeaderMap, body: String| {
            inbox.got.lock().push((headers, body));
            StatusCode::from_u16(inbox.answer.load(Ordering::SeqCst)).unwrap_or(StatusCode::OK)
        };
        let listener = TcpListener::bind(address).await.unwrap();
        let bound = listener.local_addr().unwrap();
        let app = Router::new().route("/hook", post(receive));
        tokio::spawn(async move { axum::serve(listener, app).await });
        bound
    }

    fn ids(&self) -> Vec<String> {
        self.got.lock().iter().map(|(headers, _)| headers["webhook-id"].to_str().unwrap().to_owned()).collect()
    }

    fn bodies(&self) -> Vec<Value> {
        self.got.lock().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(15), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct House {
    alerting: Arc<Alerting>,
    sink: Arc<RecordingSink>,
}

fn rule(id: &str, keyword: &str) -> Rule {
    let mut rule = Rule::new(id);
    rule.keywords = vec![keyword.to_owned()];
    rule.receivers = vec!["ops".to_owned()];
    rule
}

fn config(dir: &Path, address: SocketAddr) -> Config {
    let mut receiver = Receiver::webhook("ops", &format!("http://{address}/hook"));
    receiver.secret = Some(Secret::new(SECRET));
    Config {
        rules: vec![rule("oom", "메모리 부족")],
        receivers: vec![receiver],
        private_receivers: true,
        default_pack: false,
        external_url: Some("https://tracelake.example".to_owned()),
        dir: dir.to_owned(),
        ..Config::default()
    }
}

fn open(config: Config, sink: &Arc<RecordingSink>) -> House {
    let documents: Arc<dyn DocumentStore> = Arc::new(MemoryDocuments::default());
    let shared: Arc<dyn Sink> = Arc::<RecordingSink>::clone(sink);
    let alerting = Alerting::open(config, documents, shared, Arc::new(SystemClock)).unwrap();
    alerting.start();
    House { alerting, sink: Arc::clone(sink) }
}

fn now_line(body: &'static str) -> Line {
    Line { time: SystemClock.now().0, ..line(body) }
}

impl House {
    fn feed(&self, position: u64, lines: &[Line]) {
        self.alerting.tap().observe(&durable(position, SystemClock.now(), vec![logs(lines)]));
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask_as(Caller::anonymous(TenantId::default()), method, path, body).await
    }

    async fn ask_as(&self, caller: Caller, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let uri = format!("/api/v1/alerting/{path}");
        let mut request = Request::builder().method(method).uri(uri).body(Body::from(text)).unwrap();
        request.extensions_mut().insert(caller);
        let response = self.alerting.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// What a kill leaves: nothing in memory is written any more.
    async fn kill_after(self) {
        self.alerting.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyword_reaches_a_signed_webhook_within_a_second_and_once() {
    let (inbox, dir) = (Inbox::default(), tempfile::tempdir().unwrap());
    inbox.answer.store(204, Ordering::SeqCst);
    let address = inbox.listen("127.0.0.1:0").await;
    let house = open(config(dir.path(), address), &Arc::default());
    let start = Instant::now();
    house.feed(1, &[now_line("order paid"), now_line("서버 메모리 부족"), now_line("또 메모리 부족")]);
    until("the webhook", || !inbox.got.lock().is_empty()).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    house.feed(2, &[now_line("여전히 메모리 부족")]);
    until("the rows", || house.sink.rows(Table::Notices) == 1 && house.sink.rows(Table::Alerts) == 1).await;
    until("the count", || house.alerting.tap().position() == Some(model::Position(2))).await;
    let (headers, body) = inbox.got.lock()[0].clone();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let signature = sign(&Secret::new(SECRET), &header("webhook-id"), &header("webhook-timestamp"), &body);
    assert_eq!(Some(header("webhook-signature")), signature);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["type"], "alert.firing");
    assert_eq!(body["data"]["notice_id"], json!(header("webhook-id")));
    assert_eq!(body["data"]["group"], json!({"service.name": "checkout"}));
    assert_eq!(body["data"]["samples"][0]["body"], "서버 메모리 부족");
    assert_eq!(body["data"]["links"]["trace"], format!("https://tracelake.example/traces/{}", "ab".repeat(16)));
    let (status, alerts) = house.ask("GET", "alerts?state=firing", &Value::Null).await;
    assert_eq!(
        (status, &alerts["alerts"][0]["count"], &alerts["alerts"][0]["rule_id"]),
        (200, &json!(3), &json!("oom"))
    );
    let (_, notices) = house.ask("GET", "notices?status=delivered", &Value::Null).await;
    assert_eq!(notices["notices"][0]["attempts"][0]["answer"], "HTTP 204");
    assert_eq!(inbox.ids().len(), 1);
    house.alerting.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_for_a_dead_receiver_survives_a_restart_with_the_same_id() {
    let (inbox, dir) = (Inbox::default(), tempfile::tempdir().unwrap());
    // A port that nobody listens on until later.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sink = Arc::new(RecordingSink::default());
    let house = open(config(dir.path(), address), &sink);
    house.feed(1, &[now_line("메모리 부족")]);
    until("a failed attempt", || house.sink.rows(Table::Notices) >= 1).await;
    let (_, before) = house.ask("GET", "notices?status=pending", &Value::Null).await;
    let id = before["notices"][0]["notice_id"].clone();
    assert!(before["notices"][0]["attempts"][0]["answer"].as_str().unwrap().to_lowercase().contains("refused"));
    house.kill_after().await;
    inbox.answer.store(200, Ordering::SeqCst);
    inbox.listen(&address.to_string()).await;
    let house = open(config(dir.path(), address), &sink);
    // Storage hands over again what it is not sure about.
    house.feed(1, &[now_line("메모리 부족")]);
    until("the delivery", || !inbox.got.lock().is_empty()).await;
    assert_eq!(json!(inbox.ids()), json!([id]));
    until("the outcome", || {
        house.alerting.stats().iter().any(|s| s.name.ends_with("notices_pending") && s.value == 0.0)
    })
    .await;
    let (_, alerts) = house.ask("GET", "alerts", &Value::Null).await;
    assert_eq!(alerts["alerts"][0]["count"], 1, "a request seen again counts once");
    house.alerting.close().await;
    assert_eq!(sink.rows(Table::Alerts), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_receiver_gets_the_same_notice_again_and_a_dead_letter_on_request() {
    let (inbox, dir) = (Inbox::default(), tempfile::tempdir().unwrap());
    inbox.answer.store(500, Ordering::SeqCst);
    let address = inbox.listen("127.0.0.1:0").await;
    let house = open(config(dir.path(), address), &Arc::default());
    house.feed(1, &[now_line("메모리 부족")]);
    until("two attempts", || inbox.ids().len() >= 2).await;
    inbox.answer.store(410, Ordering::SeqCst);
    let (mut notice, start) = (Value::Null, Instant::now());
    while notice["status"] != "dead" {
        assert!(start.elapsed() < Duration::from_secs(15), "{notice}");
        notice = house.ask("GET", "notices", &Value::Null).await.1["notices"][0].clone();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    inbox.answer.store(200, Ordering::SeqCst);
    let sent = inbox.ids().len();
    let path = format!("notices/{}/redeliver", notice["notice_id"].as_str().unwrap());
    assert_eq!(house.ask("POST", &path, &Value::Null).await.0, 202);
    until("the redelivery", || inbox.ids().len() > sent).await;
    let mut ids = inbox.ids();
    ids.dedup();
    assert_eq!(ids.len(), 1, "the same id at every attempt");
    assert_eq!(house.ask("POST", "notices/none/redeliver", &Value::Null).await.0, 404);
    house.alerting.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_records_are_shown_and_page_nobody() {
    let (inbox, dir) = (Inbox::default(), tempfile::tempdir().unwrap());
    let address = inbox.listen("127.0.0.1:0").await;
    let house = open(config(dir.path(), address), &Arc::default());
    let old = Line { time: SystemClock.now().minus(Duration::from_secs(7200)).0, ..line("메모리 부족") };
    house.feed(1, &[old]);
    until("the alert", || house.sink.rows(Table::Alerts) == 1).await;
    let (_, alerts) = house.ask("GET", "alerts", &Value::Null).await;
    assert_eq!(alerts["alerts"][0]["late"], true);
    let (_, notices) = house.ask("GET", "notices", &Value::Null).await;
    assert_eq!(notices["notices"], json!([]));
    house.alerting.close().await;
    assert!(inbox.got.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_become_rows_once_even_when_seen_again() {
    let dir = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:9".parse().unwrap();
    let sink = Arc::new(RecordingSink::default());
    let event = ("exception", r#"{"exception.type":"KeyError","exception.message":"'a'"}"#);
    let request = |position| durable(position, SystemClock.now(), vec![spans(&[event, event])]);
    for _ in 0..2 {
        let house = open(config(dir.path(), address), &sink);
        for position in 1..=3 {
            house.alerting.tap().observe(&request(position));
        }
        house.alerting.close().await;
        // The journal is lost, the sink is not.
        std::fs::remove_file(dir.path().join("journal")).unwrap();
    }
    assert_eq!(sink.rows(Table::Exceptions), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_receiver_is_refused_when_private_ones_are() {
    let (inbox, dir) = (Inbox::default(), tempfile::tempdir().unwrap());
    let address = inbox.listen("127.0.0.1:0").await;
    let named = Receiver::webhook("named", &format!("http://localhost:{}/hook", address.port()));
    let mut closed = Config { private_receivers: false, ..config(dir.path(), address) };
    closed.receivers.push(named);
    let house = open(closed, &Arc::default());
    for id in ["ops", "named"] {
        let (status, outcome) = house.ask("POST", &format!("receivers/{id}/test"), &Value::Null).await;
        assert_eq!((status, &outcome["delivered"]), (200, &json!(false)), "{outcome}");
        assert!(outcome["answer"].as_str().unwrap().contains("private_receivers"), "{outcome}");
    }
    assert!(inbox.got.lock().is_empty());
    house.alerting.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_receivers_are_made_changed_and_removed_by_api() {
    let (inbox, dir) = (Inbox::default(), tempfile::tempdir().unwrap());
    let address = inbox.listen("127.0.0.1:0").await;
    let config = Config { default_pack: true, ..config(dir.path(), address) };
    let house = open(config, &Arc::default());
    let (url, none) = (format!("http://{address}/hook"), Value::Null);
    let check = async |method: &str, path: &str, body: &Value, expected: u16| -> Value {
        let (status, answer) = house.ask(method, path, body).await;
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
        answer
    };
    let own = json!({"id": "own", "url": url, "secret": SECRET, "headers": {"authorization": "Bearer t0ken"}});
    let shown = check("POST", "receivers", &own, 201).await;
    assert_eq!(shown["has_secret"], true);
    assert!(!shown.to_string().contains("MfKQ") && !shown.to_string().contains("t0ken"), "{shown}");
    check("POST", "receivers", &own, 409).await;
    assert_eq!(check("PUT", "receivers/own", &shown, 200).await["has_secret"], true, "what is shown can be put back");
    check("POST", "receivers/own/test", &none, 200).await;
    assert_eq!(inbox.bodies()[0]["type"], "test");
    assert_eq!(inbox.got.lock()[0].0["authorization"], "Bearer t0ken");
    let new = json!({"id": "new", "keywords": ["boom"], "receivers": ["own"]});
    check("POST", "rules", &new, 201).await;
    check("POST", "rules", &new, 409).await;
    check("POST", "rules", &json!({"id": "x", "keywords": ["y"], "receivers": ["nobody"]}), 400).await;
    check("POST", "rules", &json!({"id": "x", "keyword": ["y"]}), 400).await;
    check("POST", "rules", &json!({"id": "x", "kind": "spike", "keywords": ["y"]}), 400).await;
    check("PUT", "rules/unknown", &json!({"keywords": ["y"]}), 404).await;
    check("PUT", "rules/oom", &json!({"keywords": ["y"]}), 409).await;
    check("PUT", "rules/new", &json!({"id": "old", "keywords": ["y"]}), 400).await;
    check("DELETE", "rules/default-memory", &none, 409).await;
    check("PUT", "rules/default-memory", &json!({"keywords": ["oom"], "enabled": false}), 200).await;
    assert_eq!(check("GET", "rules/default-memory", &none, 200).await["origin"], "api");
    check("DELETE", "rules/default-memory", &none, 204).await;
    assert_eq!(check("GET", "rules/default-memory", &none, 200).await["origin"], "default");
    check("DELETE", "receivers/own", &none, 409).await;
    check("GET", "rules?page=2", &none, 400).await;
    check("GET", "alerts?limit=0", &none, 400).await;
    check("PATCH", "rules", &none, 405).await;
    house.feed(1, &[now_line("big BOOM")]);
    until("the new rule's webhook", || inbox.got.lock().len() == 2).await;
    check("DELETE", "rules/new", &none, 204).await;
    check("DELETE", "receivers/own", &none, 204).await;
    house.feed(2, &[Line { service: "other", ..now_line("boom again") }]);
    until("the position", || house.alerting.tap().position() == Some(model::Position(2))).await;
    assert_eq!(inbox.got.lock().len(), 2, "a removed rule tells nobody");
    house.alerting.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_changes_nothing_and_a_tenant_sees_only_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(config(dir.path(), "127.0.0.1:9".parse().unwrap()), &Arc::default());
    let reader = |tenant: &str| Caller {
        permissions: Arc::from([Permission::Read]),
        ..Caller::anonymous(TenantId::new(tenant).unwrap())
    };
    let body = json!({"id": "x", "keywords": ["y"]});
    for (method, path) in
        [("POST", "rules"), ("PUT", "rules/oom"), ("DELETE", "rules/oom"), ("POST", "receivers/ops/test")]
    {
        assert_eq!(house.ask_as(reader("default"), method, path, &body).await.0, 403, "{method} {path}");
    }
    let (_, receivers) = house.ask_as(reader("default"), "GET", "receivers", &Value::Null).await;
    assert_eq!(receivers["receivers"][0]["url"], "http://127.0.0.1:9/***");
    house.feed(1, &[now_line("메모리 부족")]);
    until("the alert", || house.sink.rows(Table::Alerts) == 1).await;
    let count = async |tenant: &str| {
        let (_, alerts) = house.ask_as(reader(tenant), "GET", "alerts", &Value::Null).await;
        alerts["alerts"].as_array().unwrap().len()
    };
    assert_eq!((count("default").await, count("other").await), (1, 0));
    house.alerting.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_alert_is_resolved_and_told() {
    let (inbox, dir) = (Inbox::default(), tempfile::tempdir().unwrap());
    let address = inbox.listen("127.0.0.1:0").await;
    let mut config = config(dir.path(), address);
    config.rules[0].resolve_after = crate::Period::parse("200ms").unwrap();
    let house = open(config, &Arc::default());
    house.feed(1, &[now_line("메모리 부족")]);
    until("both notices", || inbox.got.lock().len() == 2).await;
    let kinds: Vec<Value> = inbox.bodies().into_iter().map(|body| body["type"].clone()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved"]);
    assert_ne!(inbox.ids()[0], inbox.ids()[1]);
    house.alerting.close().await;
    assert_eq!(house.sink.rows(Table::Alerts), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_counts_the_rows_it_looked_at_and_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(config(dir.path(), "127.0.0.1:9".parse().unwrap()), &Arc::default());
    let batches = [logs(&[now_line("order paid"), now_line("order lost")]), logs(&[now_line("order found")])];
    for (position, batch) in (1..).zip(&batches) {
        house.alerting.tap().observe(&durable(position, SystemClock.now(), vec![batch.clone()]));
    }
    // One that was seen before is not looked at again.
    house.alerting.tap().observe(&durable(2, SystemClock.now(), vec![batches[1].clone()]));
    house.alerting.close().await;
    let of_stage = |sample: &model::Sample| sample.labels == [("stage", "match".to_owned())];
    let found: Vec<_> = house.alerting.stats().into_iter().filter(of_stage).map(|s| (s.name, s.value)).collect();
    let bytes = batches.iter().map(model::Batch::memory_bytes).sum::<u64>() as f64;
    assert_eq!(found[1..], [("tracelake_stage_bytes_total", bytes), ("tracelake_stage_rows_total", 3.0)]);
    assert!(found[0].1 > 0.0, "{found:?}");
}
