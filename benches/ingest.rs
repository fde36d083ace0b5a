//! Replays pre-serialised OTLP requests against the release binary and prints what they cost.
//!
//! `make bench-ingest` runs the demo shop's quarter of an hour (gRPC, gzip) and every file of frames (a protobuf varint length and one export request each, zstd outside)
//! given by name, or the recorded sets (the full ones where present, else the committed slices). Prints records per
//! second as seen by the sender, the server's CPU seconds per million records (user and system, from the OS), its peak
//! resident memory, and bytes on disk per record after a flush. The sender shares the machine: read figures as ratios.

mod server;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use futures::{StreamExt, stream};

use server::{Server, client, frames, load_average, recorded};

/// Requests under way at once.
const IN_FLIGHT: usize = 8;

fn bytes_under(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| {
            let path = entry.path();
            if path.is_dir() { bytes_under(&path) } else { entry.metadata().map_or(0, |meta| meta.len()) }
        })
        .sum()
}

/// What a run began with.
struct Begun {
    at: Instant,
    cpu_seconds: f64,
}

impl Begun {
    fn now(server: &Server) -> anyhow::Result<Begun> {
        Ok(Begun { at: Instant::now(), cpu_seconds: server.cpu_seconds()? })
    }
}

/// Flushes, and prints what the run cost since it began; `sent_bytes` is unknown (0) where another process sent.
async fn report(
    name: &str,
    tables: &[&str],
    server: &Server,
    (begun, sent_bytes): (Begun, usize),
    out: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    let seconds = begun.at.elapsed().as_secs_f64();
    let client = client()?;
    server.flush(&client).await?;
    let cpu = server.cpu_seconds()? - begun.cpu_seconds;
    let peak = server.peak_mb()?;
    let mut records = 0.0;
    for table in tables {
        records += server.count(&client, table).await?;
    }
    let data = server.folder.path().join("data");
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (stored, sent) = (bytes_under(&data) as f64, sent_bytes as f64);
    writeln!(
        out,
        "{name:<48} {records:>9} {:>9.0}/s {:>8.2} {peak:>8.0} {:>9.1} {:>9.0}",
        records / seconds,
        cpu / records * 1e6,
        stored / records,
        sent / records
    )?;
    Ok(())
}

async fn replay(path: &Path, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let (signal, table) = match &name {
        name if name.contains(".logs.") => ("logs", "logs"),
        name if name.contains(".metrics.") => ("metrics", "metrics"),
        _ => ("traces", "spans"),
    };
    let requests = frames(path)?;
    let sent_bytes: usize = requests.iter().map(Vec::len).sum();
    let server = Server::start(&[])?;
    let client = client()?;
    let url = format!("http://{}/v1/{signal}", server.otlp);
    let begun = Begun::now(&server)?;
    let send = |body: Vec<u8>| client.post(&url).header("content-type", "application/x-protobuf").body(body).send();
    let mut answers = stream::iter(requests.into_iter().map(send)).buffer_unordered(IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        answer?.error_for_status()?;
    }
    report(&name, &[table], &server, (begun, sent_bytes), out).await
}

/// The demo shop's spans, logs and points, made while they are sent: the rate is the shop's, the cost is the server's.
async fn demo(out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let server = Server::start(&[])?;
    let begun = Begun::now(&server)?;
    let mut shop = Command::new(env!("CARGO_BIN_EXE_tracelake"));
    shop.args(["demo", "--once", "--rate", "50", "--endpoint"]).arg(format!("http://{}", server.grpc));
    anyhow::ensure!(shop.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success(), "the demo failed");
    report("demo shop, all signals (gRPC, gzip)", &["spans", "logs", "metrics"], &server, (begun, 0), out).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(PathBuf::from).collect();
    let with_demo = named.is_empty();
    let files = if named.is_empty() { recorded() } else { named };
    let mut out = std::io::stdout().lock();
    writeln!(out, "load average before: {}", load_average())?;
    let heads = ["set", "records", "rate", "CPU s/M", "peak MB", "disk B", "wire B"];
    let [set, records, rate, cpu, peak, disk, wire] = heads;
    writeln!(out, "{set:<48} {records:>9} {rate:>11} {cpu:>8} {peak:>8} {disk:>9} {wire:>9}")?;
    if with_demo {
        demo(&mut out).await?;
    }
    for file in files {
        replay(&file, &mut out).await?;
    }
    Ok(())
}
