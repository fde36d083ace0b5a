//! kill -9 while sending: every acknowledged record is there after the restart, none twice, no request torn. Parts are
//! flushed, committed and merged all the while.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parking_lot::Mutex;
use prost::Message;
use rand::{Rng, SeedableRng};

use crate::house::House;

/// Kills of one run; `TRACELAKE_SOAK` is how many times as many.
const KILLS: u64 = 30;
/// A server flushes so often that commits, checkpoints and merges are under way when it is killed.
const OFTEN: &str = "[storage]\nflush_interval = \"10ms\"\n";
const SENDERS: u64 = 4;
const SPANS_PER_REQUEST: u64 = 7;

/// How a request ended, as its sender knows it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Sent {
    Acknowledged,
    Unknown,
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

/// A request of one trace: its number is the trace's id, its spans are numbered from 1.
pub(crate) fn request(number: u64) -> Vec<u8> {
    let span = |i: u64| Span {
        trace_id: u128::from(number).to_be_bytes().to_vec(),
        span_id: i.to_be_bytes().to_vec(),
        name: format!("request {number}"),
        start_time_unix_nano: 1_700_000_000_000_000_000 + number,
        end_time_unix_nano: 1_700_000_000_000_001_000 + number,
        ..Default::default()
    };
    let spans = (1..=SPANS_PER_REQUEST).map(span).collect();
    let resource = Resource { attributes: vec![text("service.name", "crash")], ..Default::default() };
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// Sends requests with several senders until the server is killed after `life`.
async fn send_until_killed(house: House, first: u64, life: Duration, sent: &Arc<Mutex<BTreeMap<u64, Sent>>>) -> House {
    let house = Arc::new(house);
    let dead = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (house, sent, dead) = (Arc::clone(&house), Arc::clone(sent), Arc::clone(&dead));
            tokio::spawn(async move {
                let mut number = first + sender;
                while !dead.load(Ordering::SeqCst) {
                    sent.lock().insert(number, Sent::Unknown);
                    match house.send("traces", request(number)).await {
                        Ok(200) => drop(sent.lock().insert(number, Sent::Acknowledged)),
                        Ok(status) => panic!("status {status}"),
                        Err(_) => break,
                    }
                    number += SENDERS;
                }
            })
        })
        .collect();
    tokio::time::sleep(life).await;
    let killed = std::process::Command::new("kill").args(["-9", &house.pid().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    dead.store(true, Ordering::SeqCst);
    for sender in senders {
        sender.await.expect("a sender");
    }
    Arc::into_inner(house).expect("the senders are gone")
}

/// Rows and distinct spans of every request that the server knows.
pub(crate) async fn stored(house: &House) -> BTreeMap<u64, (i64, i64)> {
    let rows = house
        .sql(
            "SELECT trace_id, CAST(COUNT(*) AS INT), CAST(COUNT(DISTINCT span_id) AS INT) FROM spans GROUP BY trace_id",
        )
        .await;
    let number = |value: &serde_json::Value| value.as_i64().expect("an integer");
    rows.iter()
        .map(|row| {
            let id = u128::from_str_radix(row[0].as_str().expect("an id"), 16).expect("hex");
            (u64::try_from(id).expect("a request's number"), (number(&row[1]), number(&row[2])))
        })
        .collect()
}

/// Commits and live parts of the table of spans.
fn table(house: &House) -> (u64, usize) {
    let spans = house.data_dir().join("data/default/spans");
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let version = |name: &String| name.strip_suffix(".json")?.parse::<u64>().ok();
    let commits = names(&spans.join("_delta_log")).iter().filter_map(version).max();
    let days = names(&spans).into_iter().filter(|name| name.starts_with("date="));
    (commits.map_or(0, |last| last + 1), days.map(|day| names(&spans.join(day)).len()).sum())
}

#[tokio::test]
async fn every_acknowledged_record_survives_many_kills_once_and_whole() {
    let factor: u64 = std::env::var("TRACELAKE_SOAK").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), OFTEN).expect("written");
    let house = House::start_with(&["--config", file.path().to_str().expect("text")]);
    let house = survive_kills(house, KILLS * factor).await;
    let (commits, parts) = table(&house);
    eprintln!("{commits} commits, {parts} part files");
    assert!(commits > 100, "only {commits} commits: there was no checkpoint");
}

/// Kills a server again and again while it is sent to, and counts after each restart.
pub(crate) async fn survive_kills(mut house: House, kills: u64) -> House {
    let seed = 20_261_121;
    eprintln!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let sent = Arc::new(Mutex::new(BTreeMap::new()));
    for round in 0..kills {
        let life = Duration::from_millis(random.random_range(20..500));
        house = send_until_killed(house, 1 + round * 1_000_000, life, &sent).await.kill_and_restart();
        let stored = stored(&house).await;
        let whole = i64::try_from(SPANS_PER_REQUEST).expect("small");
        for (number, &counts) in &stored {
            assert_eq!(counts, (whole, whole), "round {round}: request {number} is torn or doubled");
        }
        for (number, how) in sent.lock().iter() {
            assert!(*how == Sent::Unknown || stored.contains_key(number), "round {round}: request {number} is lost");
        }
    }
    let acknowledged = sent.lock().values().filter(|how| **how == Sent::Acknowledged).count();
    eprintln!("{kills} kills, {acknowledged} requests acknowledged");
    assert!(
        acknowledged as u64 > 10 * kills,
        "only {acknowledged} requests were acknowledged: the test did not test much"
    );
    let sent = sent.lock().clone();
    resend_and_count(&house, &sent).await;
    house
}

/// A sender that lost answers sends again: what was stored is not stored twice.
async fn resend_and_count(house: &House, sent: &BTreeMap<u64, Sent>) {
    let lost: Vec<u64> = sent.iter().filter(|(_, how)| **how == Sent::Unknown).map(|(number, _)| *number).collect();
    for number in &lost {
        assert_eq!(house.send("traces", request(*number)).await.expect("the door answers"), 200);
    }
    house.flush().await;
    let stored = stored(house).await;
    assert_eq!(stored.len(), sent.len());
    assert!(stored.values().all(|counts| *counts == (7, 7)), "a resent request was stored twice");
}
