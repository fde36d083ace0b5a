//! Replays pre-serialised OTLP requests against the release binary and prints what they cost.
//!
//! `make bench-ingest` runs the demo shop's quarter of an hour (gRPC, gzip) and every file of frames (a protobuf varint length and one export request each, zstd outside)
//! given by name, or the recorded sets (the full ones where present, else the committed slices). Prints records per
//! second as seen by the sender, the server's CPU seconds per million records (user and system, from the OS), its peak
//! resident memory, and bytes on disk per record after a flush. The sender shares the machine: read figures as ratios.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use futures::{StreamExt, stream};

/// Requests under way at once.
const IN_FLIGHT: usize = 8;
/// Kernel clock ticks per second (`sysconf(_SC_CLK_TCK)` is 100 on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

struct Server {
    child: Child,
    grpc: String,
    otlp: String,
    api: String,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> anyhow::Result<Server> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracelake"));
        command.args(["serve", "--listen-otlp-grpc", "127.0.0.1:0", "--listen-otlp-http", "127.0.0.1:0"]);
        command.args(["--listen-http", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| anyhow::anyhow!("stdout is not piped"))?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some(doors) = line.strip_prefix("listening ") {
                let door = |name: &str| {
                    let found = doors.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
                    found.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no {name} in {doors}"))
                };
                let (grpc, otlp, api) = (door("otlp_grpc")?, door("otlp_http")?, door("http")?);
                return Ok(Server { child, grpc, otlp, api, folder });
            }
        }
        anyhow::bail!("the server ended before it listened")
    }

    /// User and system CPU seconds so far (proc(5), fields 14 and 15 of stat).
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = after_name.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// Peak resident memory in MB.
    fn peak_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kilobytes / 1024.0)
    }
}

fn frames(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let data = zstd::stream::decode_all(std::fs::File::open(path)?)?;
    let (mut rest, mut frames) = (data.as_slice(), Vec::new());
    while !rest.is_empty() {
        let size = prost::decode_length_delimiter(&mut rest)?;
        frames.push(rest[..size].to_vec());
        rest = &rest[size..];
    }
    Ok(frames)
}

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

async fn count(client: &reqwest::Client, server: &Server, table: &str) -> anyhow::Result<f64> {
    let body = serde_json::json!({ "query": format!("SELECT CAST(COUNT(*) AS DOUBLE) FROM {table}") }).to_string();
    let request = client.post(format!("http://{}/api/v1/sql", server.api)).header("content-type", "application/json");
    let answer = request.body(body).send().await?.error_for_status()?.bytes().await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    answer["rows"][0][0].as_f64().ok_or_else(|| anyhow::anyhow!("no count in {answer}"))
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
    let client = reqwest::Client::builder().no_proxy().build()?;
    client.post(format!("http://{}/api/v1/admin/flush", server.api)).send().await?.error_for_status()?;
    let cpu = server.cpu_seconds()? - begun.cpu_seconds;
    let peak = server.peak_mb()?;
    let mut records = 0.0;
    for table in tables {
        records += count(&client, server, table).await?;
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
    let server = Server::start()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
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
    let server = Server::start()?;
    let begun = Begun::now(&server)?;
    let mut shop = Command::new(env!("CARGO_BIN_EXE_tracelake"));
    shop.args(["demo", "--once", "--rate", "50", "--endpoint"]).arg(format!("http://{}", server.grpc));
    anyhow::ensure!(shop.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success(), "the demo failed");
    report("demo shop, all signals (gRPC, gzip)", &["spans", "logs", "metrics"], &server, (begun, 0), out).await
}

fn recorded() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let full =
        std::env::var_os("TRACELAKE_TEST_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from).join("otlp");
    for folder in [full, root.join("tests/data")] {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(".binpb.zst")).collect();
        if !files.is_empty() {
            files.sort();
            return files;
        }
    }
    Vec::new()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(PathBuf::from).collect();
    let with_demo = named.is_empty();
    let files = if named.is_empty() { recorded() } else { named };
    let mut out = std::io::stdout().lock();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    writeln!(out, "load average before: {}", load.trim())?;
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
