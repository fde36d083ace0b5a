//! A real file system of 64 MB that fills up: the server refuses and says when to come back, answers questions, and
//! takes requests again once there is space, without a restart. Everything acknowledged is there.
//!
//! Needs the right to mount; where that is missing the test says that it was left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::house::{House, client};

const DISK_BYTES: u64 = 64 << 20;
/// What others use of the disk, until they give it back.
const BALLAST_BYTES: usize = 14 << 20;
/// Records of one request, about 1 KiB each.
const RECORDS: usize = 500;
/// How long the server may need to take requests again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file system in a file; gone when it is dropped.
struct Disk {
    at: PathBuf,
    /// Holds the file and the place where it is mounted.
    folder: Arc<TempDir>,
}

impl Disk {
    /// A mounted disk, or why there is none.
    fn new() -> Result<Self, String> {
        let folder = Arc::new(tempfile::tempdir().map_err(|error| error.to_string())?);
        let (image, at) = (folder.path().join("disk.img"), folder.path().join("data-dir"));
        fs::create_dir(&at).map_err(|error| error.to_string())?;
        fs::File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").arg("-q").arg("-F").arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))?;
        Ok(Self { at, folder })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(&self.at)) {
            eprintln!("the disk stays mounted: {error}");
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}

/// A request of log records. A tenth of each is noise, so that parts are much smaller than the log and fill the disk
/// all the same.
fn request(number: usize) -> Vec<u8> {
    let mut random = rand::rngs::StdRng::seed_from_u64(number as u64);
    let mut text = |record: usize| {
        let noise: String = (0..12).map(|_| format!("{:016x}", random.random::<u64>())).collect();
        format!("{number} {record} {noise} {}", "calm ".repeat(160))
    };
    let mut record = |record: usize| LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000 + (number * RECORDS + record) as u64,
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(text(record))) }),
        ..Default::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: (0..RECORDS).map(&mut record).collect(), ..Default::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] }.encode_to_vec()
}

/// Sends a request: accepted, or after how long it may be sent again.
async fn send(client: &reqwest::Client, house: &House, number: usize) -> Result<(), u64> {
    let post = client.post(format!("http://{}/v1/logs", house.otlp)).body(request(number));
    let answer = post.header("content-type", "application/x-protobuf").send().await.expect("the door answers");
    let status = answer.status().as_u16();
    if status == 200 {
        return Ok(());
    }
    assert!(matches!(status, 429 | 503), "request {number}: status {status}");
    let time = answer.headers().get("retry-after").and_then(|time| time.to_str().ok()?.parse().ok());
    Err(time.unwrap_or_else(|| panic!("request {number}: a refusal with {status} names no time")))
}

async fn check(house: &House, acknowledged: usize, when: &str) {
    let stored = house.number("SELECT CAST(COUNT(*) AS INT) FROM logs").await;
    assert_eq!(stored, i64::try_from(acknowledged * RECORDS).expect("small"), "{when}");
}

#[tokio::test]
async fn a_full_disk_refuses_answers_and_recovers_without_a_restart() {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => return eprintln!("left out, no file system can be mounted here: {why}"),
    };
    let file = disk.folder.path().join("tracelake.toml");
    fs::write(&file, "[storage]\nflush_interval = \"200ms\"\ndisk_share = 1.0\n").expect("written");
    let house = House::start_in(Arc::clone(&disk.folder), vec!["--config".into(), shown(&file)], Vec::new());
    let client = client();
    let ballast = disk.at.join("ballast");
    fs::write(&ballast, vec![7; BALLAST_BYTES]).expect("there is room for it");
    let (mut acknowledged, mut refused) = (0, 0);
    while refused < 5 {
        assert!(acknowledged < 1000, "the disk does not get full");
        match send(&client, &house, acknowledged).await {
            Ok(()) => (acknowledged, refused) = (acknowledged + 1, 0),
            Err(seconds) => {
                assert!((1..=60).contains(&seconds), "come back after {seconds} s");
                refused += 1;
            }
        }
    }
    check(&house, acknowledged, "while the disk is full").await;
    fs::remove_file(&ballast).expect("removed");
    let (since, full) = (Instant::now(), acknowledged);
    while acknowledged < full + 10 {
        assert!(since.elapsed() < PATIENCE, "it takes nothing although there is space");
        match send(&client, &house, acknowledged).await {
            Ok(()) => acknowledged += 1,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    eprintln!("full after {full} requests; 10 more within {:.1?} once there was space", since.elapsed());
    house.flush().await;
    check(&house, acknowledged, "once there is space").await;
    let house = house.kill_and_restart();
    check(&house, acknowledged, "after a restart").await;
    drop(house);
}

fn shown(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}
