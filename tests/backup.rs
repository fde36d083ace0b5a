//! A backup of a server under load becomes a server with everything that was acknowledged before the call; damage on the
//! disk is found, told and taken out of service.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::alerting::{log, receiver, set_up};
use crate::crash::{request, stored};
use crate::house::{House, run};
use crate::sdk::{must_succeed, python};

const SENDERS: u64 = 3;

fn tracelake(args: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_tracelake")).args(args))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must succeed; the JSON it printed.
fn report(args: &[&str]) -> Value {
    let output = tracelake(args);
    assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|fault| panic!("{args:?}: {fault}"))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Sends numbered traces until told to stop; those that were acknowledged.
fn send(house: &Arc<House>, over: &Arc<AtomicBool>, sent: &Arc<Mutex<BTreeMap<u64, bool>>>) {
    for sender in 1..=SENDERS {
        let (house, over, sent) = (Arc::clone(house), Arc::clone(over), Arc::clone(sent));
        tokio::spawn(async move {
            let mut number = sender;
            while !over.load(Ordering::SeqCst) {
                sent.lock().insert(number, false);
                if !matches!(house.send("traces", request(number)).await, Ok(200)) {
                    return;
                }
                sent.lock().insert(number, true);
                number += SENDERS;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_restores_to_what_was_acknowledged_before_the_call() {
    let house = Arc::new(House::start());
    let (address, inbox) = receiver("127.0.0.1:0").await;
    set_up(&house, &address, "payment failed").await;
    assert_eq!(house.send("logs", log("payment failed for order 41")).await.expect("the door answers"), 200);
    house.wait_for("a notice", || async { (!inbox.lock().is_empty()).then_some(()) }).await;
    let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::default());
    send(&house, &over, &sent);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let place = tempfile::tempdir().expect("a directory");
    let (repository, server) = (place.path().join("backups"), format!("http://{}", house.api));
    let take = || {
        let args = [path(&repository).to_owned(), server.clone()];
        tokio::task::spawn_blocking(move || report(&["backup", "--to", &args[0], "--server", &args[1], "--json"]))
    };
    let first = take().await.expect("it ran");
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The one that counts: what stood before the call must be in it.
    let before: Vec<u64> = sent.lock().iter().filter(|(_, known)| **known).map(|(number, _)| *number).collect();
    let second = take().await.expect("it ran");
    assert!(second["parts_shared"].as_u64() > Some(0), "{second}");
    assert_ne!(first["id"], second["id"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let killed = Command::new("kill").args(["-9", &house.pid().to_string()]).status().expect("kill runs");
    over.store(true, Ordering::SeqCst);
    assert!(killed.success() && before.len() > 50, "only {} requests were acknowledged", before.len());
    let target = Arc::new(tempfile::tempdir().expect("a directory"));
    let data = target.path().join("data-dir");
    let made = report(&["restore", "--from", path(&repository), "--data-dir", path(&data), "--json"]);
    assert_eq!((&made["id"], &made["rows"]), (&second["id"], &second["rows"]));
    let checked = report(&["check", "--data-dir", path(&data), "--json"]);
    assert_eq!(checked["findings"], json!([]), "{checked}");
    let again = tracelake(&["restore", "--from", path(&repository), "--data-dir", path(&data)]);
    assert_eq!(again.status.code(), Some(1), "it is not empty");
    let house = House::start_in(target, Vec::new(), Vec::new());
    let found = stored(&house).await;
    for number in &before {
        assert_eq!(found.get(number), Some(&(7, 7)), "request {number} was acknowledged before the backup");
    }
    assert!(found.iter().all(|(number, counts)| sent.lock().contains_key(number) && *counts == (7, 7)), "torn");
    eprintln!("{} acknowledged before the call, {} restored", before.len(), found.len());
    // A retry within the window is known; what was lost is stored.
    assert_eq!(house.send("traces", request(before[0])).await.expect("answers"), 200);
    assert_eq!(stored(&house).await, found);
    assert_eq!(house.send("traces", request(9_999_999)).await.expect("answers"), 200);
    assert_eq!(stored(&house).await.len(), found.len() + 1);
    // The alert is known and was told once.
    let alerts = house.get("/api/v1/alerting/alerts").await;
    assert!(alerts.to_string().contains("keyword"), "{alerts}");
    assert_eq!(inbox.lock().len(), 1);
    house.flush().await;
    let rows = house.number("SELECT COUNT(*) FROM spans").await;
    let mut readers = python("readers.py");
    must_succeed(readers.arg(house.data_dir()).arg(&house.api).arg(format!("spans={rows}")));
}
/// The first Parquet file of a table.
fn part_of(house: &House, table: &str) -> std::path::PathBuf {
    let days = std::fs::read_dir(house.data_dir().join("data/default").join(table)).expect("the table");
    let day = days.map(|day| day.expect("a name").path()).find(|day| path(day).contains("date=")).expect("a day");
    std::fs::read_dir(day).expect("the day").next().expect("a file").expect("a name").path()
}

fn flip(file: &Path, share: usize) {
    let mut content = std::fs::read(file).expect("readable");
    let at = content.len() * share / 100;
    content[at] ^= 0x10;
    std::fs::write(file, content).expect("writable");
}

/// Overwrites the greater part of a file, so that whoever decodes it notices.
fn spoil(file: &Path) {
    let mut content = std::fs::read(file).expect("readable");
    let end = content.len() * 60 / 100;
    content[4..end].fill(0xa5);
    std::fs::write(file, content).expect("writable");
}

#[tokio::test]
async fn a_damaged_file_is_told_taken_out_of_service_and_the_rest_is_served() {
    let house = House::start();
    for number in 1..=40 {
        assert_eq!(house.send("traces", request(number)).await.expect("answers"), 200);
    }
    assert_eq!(house.send("logs", log("one line")).await.expect("answers"), 200);
    house.flush().await;
    let server = format!("http://{}", house.api);
    assert_eq!(report(&["check", "--server", &server, "--json"])["findings"], json!([]));
    let locked = tracelake(&["check", "--data-dir", path(&house.data_dir())]);
    assert_eq!(locked.status.code(), Some(1));
    assert!(text(&locked.stderr).contains("locked"), "{}", text(&locked.stderr));
    flip(&part_of(&house, "logs"), 40);
    let found = tracelake(&["check", "--server", &server, "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!((&found["findings"][0]["kind"], &found["findings"][0]["rows"]), (&json!("part"), &json!(1)), "{found}");
    let repaired = report(&["check", "--server", &server, "--repair", "--json"]);
    assert_eq!(repaired["findings"][0]["repaired"], json!(true), "{repaired}");
    assert_eq!(house.number("SELECT COUNT(*) FROM spans").await, 280);
    let (status, answer) = house.ask("POST", "/api/v1/sql", Some(json!({ "query": "SELECT body FROM logs" }))).await;
    assert_eq!((status, &answer["rows"]), (200, &json!([])));
    assert!(answer["warnings"][0].as_str().is_some_and(|text| text.contains("1 rows of logs")), "{answer}");
    let health = house.get("/healthz").await;
    assert!(health["damage"][0].as_str().is_some_and(|text| text.contains("quarantine")), "{health}");
    // A query that trips over a file nobody looked at finds it by itself.
    spoil(&part_of(&house, "spans"));
    let query =
        json!({ "query": "SELECT trace_id, span_id, name, service_name, start_time, attributes, events FROM spans" });
    let (status, answer) = house.ask("POST", "/api/v1/sql", Some(query)).await;
    assert_eq!(status, 200, "{answer}");
    let warned = answer["warnings"][0].as_str().is_some_and(|text| text.contains("280 rows of spans"));
    assert!(warned && answer["rows"] == json!([]), "{}", answer["warnings"]);
    assert_eq!(house.send("traces", request(41)).await.expect("answers"), 200);
    let house = house.restart();
    assert_eq!(house.number("SELECT COUNT(*) FROM spans").await, 7);
    assert_eq!(house.get("/healthz").await["damage"].as_array().map(Vec::len), Some(2));
}
