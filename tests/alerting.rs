//! A log with a keyword reaches a webhook within a second, once, signed; with the receiver down and the process killed
//! it comes later with the same id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use parking_lot::Mutex;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::house::House;

const KEY: &[u8] = b"a secret of thirty-two characters";

/// One notice as the receiver got it.
pub(crate) struct Got {
    at: Instant,
    id: String,
    timestamp: String,
    signature: String,
    body: Vec<u8>,
}

pub(crate) type Inbox = Arc<Mutex<Vec<Got>>>;

async fn take(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let got = Got {
        at: Instant::now(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: body.to_vec(),
    };
    inbox.lock().push(got);
    StatusCode::OK
}

/// A receiver that listens on `address` and keeps all that it gets.
pub(crate) async fn receiver(address: &str) -> (String, Inbox) {
    let inbox = Inbox::default();
    let listener = TcpListener::bind(address).await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let app = axum::Router::new().route("/hook", axum::routing::post(take)).with_state(Arc::clone(&inbox));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, inbox)
}

fn now_nanos() -> u64 {
    let now = tracelake_model::Clock::now(&tracelake_model::SystemClock);
    u64::try_from(now.0).expect("after 1970")
}

/// A request with one log record.
pub(crate) fn log(body: &str) -> Vec<u8> {
    let value = AnyValue { value: Some(any_value::Value::StringValue(body.to_owned())) };
    let record =
        LogRecord { time_unix_nano: now_nanos(), severity_number: 17, body: Some(value), ..Default::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..Default::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] }.encode_to_vec()
}

/// A rule for a keyword, and the receiver that it tells.
pub(crate) async fn set_up(house: &House, address: &str, keyword: &str) {
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let receiver = json!({ "id": "ops", "kind": "webhook", "url": format!("http://{address}/hook"), "secret": secret });
    let (status, answer) = house.ask("POST", "/api/v1/alerting/receivers", Some(receiver)).await;
    assert!(matches!(status, 200 | 201), "{answer}");
    let rule = json!({ "id": "keyword", "kind": "any", "signal": "logs", "keywords": [keyword], "severity": "critical", "receivers": ["ops"] });
    let (status, answer) = house.ask("POST", "/api/v1/alerting/rules", Some(rule.clone())).await;
    assert!(matches!(status, 200 | 201), "{answer}");
    let (status, _) = house.ask("POST", "/api/v1/alerting/rules", Some(rule)).await;
    assert_eq!(status, 409, "a rule of the same id must not be made twice");
}

fn check_signature(got: &Got) {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, KEY);
    let signed = [got.id.as_bytes(), b".", got.timestamp.as_bytes(), b".", &got.body].concat();
    let tag = aws_lc_rs::hmac::sign(&key, &signed);
    assert_eq!(got.signature, format!("v1,{}", STANDARD.encode(tag.as_ref())));
}

#[tokio::test]
async fn a_keyword_reaches_the_webhook_within_a_second_once_and_signed() {
    let house = House::start();
    let (address, inbox) = receiver("127.0.0.1:0").await;
    set_up(&house, &address, "결제 실패").await;
    let sent_at = Instant::now();
    let payload = log("주문 41: 결제 실패, payment declined");
    assert_eq!(house.send("logs", payload.clone()).await.expect("the door answers"), 200);
    // A retry of the very same payload is one record, so it is one notice.
    assert_eq!(house.send("logs", payload).await.expect("the door answers"), 200);
    house.wait_for("a notice", || async { (!inbox.lock().is_empty()).then_some(()) }).await;
    let notices = house
        .wait_for("the delivery in the history", || async {
            let answer = house.get("/api/v1/alerting/notices").await;
            (answer["notices"][0]["status"] == "delivered").then_some(answer)
        })
        .await;
    let inbox = inbox.lock();
    assert_eq!(inbox.len(), 1);
    let delay = inbox[0].at - sent_at;
    assert!(delay < Duration::from_secs(1), "{delay:?}");
    check_signature(&inbox[0]);
    let body: Value = serde_json::from_slice(&inbox[0].body).expect("JSON");
    assert_eq!((body["type"].as_str(), body["data"]["rule_id"].as_str()), (Some("alert.firing"), Some("keyword")));
    assert_eq!(notices["notices"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["data"]["notice_id"], notices["notices"][0]["notice_id"]);
}

#[tokio::test]
async fn a_notice_survives_a_dead_receiver_and_a_kill_with_the_same_id() {
    let house = House::start();
    let (address, _) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        (listener.local_addr().expect("an address").to_string(), listener)
    };
    set_up(&house, &address, "out of luck").await;
    assert_eq!(house.send("logs", log("we are OUT OF LUCK today")).await.expect("the door answers"), 200);
    let before = house
        .wait_for("a failed attempt", || async {
            let answer = house.get("/api/v1/alerting/notices").await;
            answer["notices"][0]["attempts"].as_array().is_some_and(|list| !list.is_empty()).then_some(answer)
        })
        .await;
    let house = house.kill_and_restart();
    let (_, inbox) = receiver(&address).await;
    house.wait_for("the notice", || async { (!inbox.lock().is_empty()).then_some(()) }).await;
    let inbox = inbox.lock();
    check_signature(&inbox[0]);
    let id = before["notices"][0]["notice_id"].as_str().expect("an id");
    assert_eq!(inbox[0].id, id);
    assert!(inbox.iter().all(|got| got.id == id));
}

#[tokio::test]
async fn without_a_receiver_the_default_pack_shows_its_alerts() {
    let house = House::start();
    assert_eq!(
        house.send("logs", log("java.lang.OutOfMemoryError: Java heap space")).await.expect("the door answers"),
        200
    );
    house
        .wait_for("an alert", || async {
            let answer = house.get("/api/v1/alerting/alerts").await;
            answer["alerts"].as_array().is_some_and(|list| !list.is_empty()).then_some(())
        })
        .await;
    let notices = house.get("/api/v1/alerting/notices").await;
    assert_eq!(notices["notices"].as_array().map(Vec::len), Some(0));
}
