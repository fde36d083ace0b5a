//! What the server holds in memory under load, how it refuses, and how long it takes to come back.
//!
//! `make bench-load` runs, each against a fresh release binary with default limits, fed with recorded spans that are
//! made new on every pass (`stamp.rs`):
//! - `steady`: 20,000 spans a second, open loop, in requests as large as their SDK sent them and of about 1,000 spans;
//! - `overload`: as much as it can take, then twice that in an open loop: refusals, and how far memory grows;
//! - `replay`: 256 MB of log that nothing was flushed of, read again after a kill.
//!
//! `ARGS` names some of them; `RUN_SECONDS` says how long a phase takes. The sender shares the machine and the load average is printed.

mod send;
mod server;
mod stamp;

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use send::{Door, Source, Times, Way, closed_loop, open_loop};
use server::{Server, client, frames, load_average, recorded};
use stamp::{Request, Signal};

/// Spans a second of the steady runs.
const STEADY_RATE: f64 = 20_000.0;
/// Spans of a large request, about.
const LARGE: u64 = 1_000;
/// Requests under way while the greatest rate is looked for.
const CLOSED_LOOP: usize = 24;
/// Bytes of log that are replayed.
const REPLAY_BYTES: usize = 256 << 20;
/// A server that flushes nothing by itself and keeps all in memory.
const NO_FLUSH: &[(&str, &str)] =
    &[("TRACELAKE_LIMITS_TAIL_BYTES", "8GiB"), ("TRACELAKE_STORAGE_FLUSH_INTERVAL", "1h")];

fn source(set: &str, spans_min: u64) -> anyhow::Result<Source> {
    let files = recorded();
    let file =
        files.iter().find(|path| path.to_string_lossy().contains(set) && path.to_string_lossy().contains(".traces."));
    let file = file.ok_or_else(|| anyhow::anyhow!("no recorded traces named {set}"))?;
    let (mut requests, mut joined, mut spans) = (Vec::new(), Vec::new(), 0);
    for frame in frames(file)? {
        spans += Request::read(Signal::Traces, frame.clone()).records;
        // Messages written one after the other are one message with the lists of both.
        joined.extend(frame);
        if spans >= spans_min {
            requests.push(Request::read(Signal::Traces, std::mem::take(&mut joined)));
            spans = 0;
        }
    }
    Ok(Source::new(Signal::Traces, requests, Times::Pass))
}

/// Everything that was acknowledged is there, and nothing else. Recordings repeat some spans inside one request, and a
/// merge of parts writes those once.
async fn check(server: &Server, accepted: u64, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let client = client()?;
    server.flush(&client).await?;
    let (merged, found) = loop {
        let (before, found) = (merged_away(server, &client).await?, server.count(&client, "spans").await?);
        if merged_away(server, &client).await? == before {
            break (before, found);
        }
    };
    writeln!(out, "  acknowledged {accepted} spans, SQL counts {found}, merged away as equal {merged}")?;
    anyhow::ensure!((found + merged - accepted as f64).abs() < 0.5, "acknowledged and stored differ");
    Ok(())
}

/// Rows that merges of parts wrote less than they read.
async fn merged_away(server: &Server, client: &reqwest::Client) -> anyhow::Result<f64> {
    let figure = async |name: &str| server.metric(client, name).await;
    let (read, written) = ("tracelake_storage_compacted_rows_in_total", "tracelake_storage_compacted_rows_out_total");
    Ok(figure(read).await? - figure(written).await?)
}

/// The one door that is sent to.
fn http(server: &Server) -> anyhow::Result<[Way; 1]> {
    Ok([Way::new(server, Door::Http, Signal::Traces)?])
}

async fn steady(name: &str, source: &Source, long: Duration, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let server = Server::start(&[])?;
    let idle = server.resident_mb()?;
    let (cpu, begun) = (server.cpu_seconds()?, Instant::now());
    let seen = open_loop(&http(&server)?, source, STEADY_RATE, long).await;
    let seconds = begun.elapsed().as_secs_f64();
    let accepted = seen.records();
    let (peak, resident) = (server.peak_mb()?, server.resident_mb()?);
    let cpu = (server.cpu_seconds()? - cpu) / accepted as f64 * 1e6;
    writeln!(
        out,
        "steady {name}: {:.0} spans/s in requests of {:.0}, {:.0} refused, ack p50 {:.1} ms p99 {:.1} ms, CPU {cpu:.2} s per million",
        accepted as f64 / seconds,
        source.records_each(),
        seen.refused.load(Ordering::Relaxed)
            + seen.failed.load(Ordering::Relaxed)
            + seen.not_sent.load(Ordering::Relaxed),
        seen.percentile_ms(0.5),
        seen.percentile_ms(0.99),
    )?;
    writeln!(out, "  resident: {idle:.0} MB idle, {peak:.0} MB peak, {resident:.0} MB at the end")?;
    check(&server, accepted, out).await
}

async fn overload(name: &str, source: &Source, long: Duration, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let server = Server::start(&[])?;
    let begun = Instant::now();
    let full = closed_loop(&http(&server)?, source, CLOSED_LOOP, |_| begun.elapsed() >= long).await;
    let rate = full.records() as f64 / begun.elapsed().as_secs_f64();
    let before = server.peak_mb()?;
    server.forget_peak()?;
    let begun = Instant::now();
    let seen = open_loop(&http(&server)?, source, 2.0 * rate, long).await;
    let after = server.peak_mb()?;
    let taken = seen.records() as f64 / begun.elapsed().as_secs_f64();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    writeln!(
        out,
        "overload {name}: takes {rate:.0} spans/s; offered twice that it took {taken:.0}, refused {} requests ({} without a time to come back), failed {}, not sent {}, ack p99 {:.0} ms",
        read(&seen.refused),
        read(&seen.refused_without_time),
        read(&seen.failed),
        read(&seen.not_sent),
        seen.percentile_ms(0.99),
    )?;
    writeln!(
        out,
        "  resident: {before:.0} MB peak at what it takes, {after:.0} MB peak at twice that ({:+.0} MB)",
        after - before
    )?;
    check(&server, full.records() + seen.records(), out).await
}

async fn replay(name: &str, source: &Source, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let server = Server::start(NO_FLUSH)?;
    let each = source.requests.iter().map(Request::size).sum::<usize>() / source.requests.len();
    let requests = (REPLAY_BYTES / each) as u64;
    let enough = |seen: &send::Seen| seen.accepted.load(Ordering::Relaxed) >= requests;
    let seen = closed_loop(&http(&server)?, source, CLOSED_LOOP, enough).await;
    let accepted = seen.records();
    let begun = Instant::now();
    let server = server.kill_and_start(&[])?;
    let seconds = begun.elapsed().as_secs_f64();
    writeln!(
        out,
        "replay {name}: {:.0} MB of log, {accepted} spans, listening after {seconds:.2} s with {:.1} s of CPU, {:.0} MB peak",
        (seen.accepted.load(Ordering::Relaxed) as usize * each) as f64 / f64::from(1 << 20),
        server.cpu_seconds()?,
        server.peak_mb()?
    )?;
    check(&server, accepted, out).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wants = |run: &str| named.is_empty() || named.iter().any(|name| run.contains(name.as_str()));
    let seconds = std::env::var("RUN_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let long = Duration::from_secs(seconds);
    let mut out = std::io::stdout().lock();
    for (name, set, spans) in
        [("large", "onlineboutique", LARGE), ("small", "trainticket", 1), ("middle", "onlineboutique", 1)]
    {
        for run in ["steady", "overload", "replay"] {
            if !wants(&format!("{run}-{name}")) || (name == "middle" && named.is_empty()) {
                continue;
            }
            writeln!(out, "load average {}", load_average())?;
            let source = source(set, spans)?;
            match run {
                "steady" => steady(name, &source, long, &mut out).await?,
                "overload" => overload(name, &source, long, &mut out).await?,
                _ => replay(name, &source, &mut out).await?,
            }
        }
    }
    Ok(())
}
