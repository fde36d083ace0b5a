//! What ingest costs, how soon it answers, and what it does when it is offered too much: `make bench-ingest`.
//!
//! The release binary with default limits and 1,100 keyword rules, fed with prepared requests of 1,000 records
//! (`shop.rs`), each new. CPU is the whole server's, from the OS, until merges have come to rest; ClickHouse stands beside
//! it for reference (`clickhouse.rs`). Rounds are interleaved; figures are medians, with the least and the greatest.
//!
//! - `cost`: spans, logs, points: CPU s per million, records/s, peak memory, bytes on disk, and each stage's share;
//! - `load`: the saturating rate; latency at half of it; refusals, memory and what is stored after twice of it;
//! - `clickhouse`: the same spans there;
//! - `recorded`, only when named: recordings as their SDKs batched them, or the files named.
//!
//! `ARGS` names some of them; `ROUNDS`, `RECORDS` (of a cost run) and `RUN_SECONDS` (of a load phase) say how much. The
//! sender shares the machine, and the load average is printed: with others beside it, read figures as ratios.

mod clickhouse;
mod recorded;
mod rules;
mod send;
mod server;
mod shop;
mod stamp;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use prost::Message;

use clickhouse::ClickHouse;
use send::{Door, Source, Times, Way, closed_loop, open_loop};
use server::{Server, client, load_average};
use stamp::{Request, Signal};

/// Requests under way at once while cost is measured.
const UNDER_WAY: usize = 8;
/// The same while the saturating rate is looked for: as many as `limits.in_flight_bytes` has room for.
const SATURATING: usize = 28;
/// Without a merge for so long everything is at rest: upkeep looks every ten seconds.
const REST: Duration = Duration::from_secs(12);
const STAGES: [&str; 7] = ["receive", "decode", "wal", "gather", "flush", "compact", "match"];

/// One kind of records.
struct Set {
    name: &'static str,
    table: &'static str,
    source: Source,
}

/// What a cost run said.
struct Cost {
    rate: f64,
    cpu: f64,
    peak_mb: f64,
    disk_bytes: f64,
    /// How often a row was merged, on average.
    merges: f64,
    /// Seconds of each stage per million records.
    stages: [f64; STAGES.len()],
}

/// What a load run said.
struct Load {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    half_peak_mb: f64,
    full_peak_mb: f64,
    over_peak_mb: f64,
    over_rate: f64,
    refused: u64,
    without_time: u64,
    failed: u64,
    not_sent: u64,
    acknowledged: u64,
    found: f64,
}

impl Load {
    fn growth(&self) -> f64 {
        (self.over_peak_mb / self.full_peak_mb - 1.0) * 100.0
    }
}

/// Waits until rules have seen everything, everything is in parts, and no merge is left.
async fn settle(server: &Server) -> anyhow::Result<()> {
    let client = client()?;
    while server.metric(&client, "tracelake_alerting_queue_requests").await? > 0.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.flush(&client).await?;
    let worked = async || server.stage(&client, "seconds", "compact").await;
    let (mut before, mut since) = (worked().await?, Instant::now());
    while since.elapsed() < REST {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = worked().await?;
        if now > before {
            (before, since) = (now, Instant::now());
        }
    }
    server.flush(&client).await
}

async fn cost(set: &Set, records: u64, rules: &str) -> anyhow::Result<Cost> {
    let server = Server::start_with(rules)?;
    let (begun, used) = (Instant::now(), server.cpu_seconds()?);
    let ways = [Way::new(&server, Door::Http, set.source.signal)?];
    let seen = closed_loop(&ways, &set.source, UNDER_WAY, |seen| seen.records() >= records).await;
    let seconds = begun.elapsed().as_secs_f64();
    settle(&server).await?;
    let (used, peak_mb) = (server.cpu_seconds()? - used, server.peak_mb()?);
    let client = client()?;
    let sent = seen.records();
    let found = server.count(&client, set.table).await?;
    anyhow::ensure!((found - sent as f64).abs() < 0.5, "{}: {sent} acknowledged, {found} found", set.name);
    let millions = sent as f64 / 1e6;
    let mut stages = [0.0; STAGES.len()];
    for (stage, seconds) in STAGES.into_iter().zip(&mut stages) {
        *seconds = server.stage(&client, "seconds", stage).await? / millions;
    }
    let disk_bytes = server.metric(&client, "tracelake_storage_live_bytes").await? / sent as f64;
    let merges = server.metric(&client, "tracelake_storage_compacted_rows_in_total").await? / sent as f64;
    Ok(Cost { rate: sent as f64 / seconds, cpu: used / millions, peak_mb, disk_bytes, merges, stages })
}

async fn load(set: &Set, long: Duration, rules: &str) -> anyhow::Result<Load> {
    let server = Server::start_with(rules)?;
    let http = Way::new(&server, Door::Http, set.source.signal)?;
    let grpc = Way::new(&server, Door::Grpc, set.source.signal)?;
    let (one, both) = ([http.clone()], [http, grpc]);
    let saturate = async || {
        let begun = Instant::now();
        let seen = closed_loop(&both, &set.source, SATURATING, |_| begun.elapsed() >= long).await;
        (seen.records() as f64 / begun.elapsed().as_secs_f64(), seen)
    };
    let (rate, first) = saturate().await;
    // With the merges that this brings.
    settle(&server).await?;
    server.forget_peak()?;
    let half = open_loop(&one, &set.source, rate / 2.0, long).await;
    settle(&server).await?;
    let half_peak_mb = server.peak_mb()?;
    server.forget_peak()?;
    // What is stored takes memory too (indexes): what twice the rate is compared with comes right before it.
    let (_, full) = saturate().await;
    settle(&server).await?;
    let full_peak_mb = server.peak_mb()?;
    server.forget_peak()?;
    let begun = Instant::now();
    let over = open_loop(&both, &set.source, 2.0 * rate, long).await;
    let over_rate = over.records() as f64 / begun.elapsed().as_secs_f64();
    settle(&server).await?;
    let over_peak_mb = server.peak_mb()?;
    let found = server.count(&client()?, set.table).await?;
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Load {
        rate,
        p50_ms: half.percentile_ms(0.5),
        p99_ms: half.percentile_ms(0.99),
        half_peak_mb,
        full_peak_mb,
        over_peak_mb,
        over_rate,
        refused: read(&over.refused),
        without_time: [&first, &half, &full, &over].iter().map(|seen| read(&seen.refused_without_time)).sum(),
        failed: [&first, &half, &full, &over].iter().map(|seen| read(&seen.failed)).sum(),
        not_sent: read(&over.not_sent),
        acknowledged: [&first, &half, &full, &over].iter().map(|seen| seen.records()).sum(),
        found,
    })
}

/// The median of figures, with the least and the greatest.
fn median(figures: impl IntoIterator<Item = f64>) -> (f64, f64, f64) {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
    (at(figures.len() / 2), at(0), at(figures.len().saturating_sub(1)))
}

/// `5.21 (5.02-5.60)`.
fn shown(figures: impl IntoIterator<Item = f64>, digits: usize) -> String {
    let (middle, least, most) = median(figures);
    format!("{middle:.digits$} ({least:.digits$}-{most:.digits$})")
}

fn print_costs(sets: &[Set], costs: &[Vec<Cost>], out: &mut impl Write) -> anyhow::Result<()> {
    let heads = ["wire B", "CPU s/M", "records/s", "peak MB", "disk B", "merged"];
    let [wire, cpu, rate, peak, disk, merged] = heads;
    writeln!(out, "\n{:<12} {wire:>7} {cpu:>20} {rate:>28} {peak:>18} {disk:>8} {merged:>8}", "cost")?;
    for (set, costs) in sets.iter().zip(costs).filter(|(_, costs)| !costs.is_empty()) {
        let of = |figure: fn(&Cost) -> f64| costs.iter().map(figure);
        let (cpu, rate) = (shown(of(|cost| cost.cpu), 2), shown(of(|cost| cost.rate), 0));
        let (peak, disk) = (shown(of(|cost| cost.peak_mb), 0), median(of(|cost| cost.disk_bytes)).0);
        let (wire, merged) = (set.source.record_bytes(), median(of(|cost| cost.merges)).0);
        writeln!(out, "{:<12} {wire:>7.0} {cpu:>20} {rate:>28} {peak:>18} {disk:>8.1} {merged:>7.2}x", set.name)?;
    }
    writeln!(out, "\nseconds of each stage per million, wall time of its threads (`wal` waits for the disk):")?;
    writeln!(out, "{:<12}{}", "", STAGES.map(|stage| format!("{stage:>9}")).concat())?;
    for (set, costs) in sets.iter().zip(costs).filter(|(_, costs)| !costs.is_empty()) {
        let stage = |at: usize| format!("{:>9.2}", median(costs.iter().map(|cost| cost.stages[at])).0);
        writeln!(out, "{:<12}{}", set.name, (0..STAGES.len()).map(stage).collect::<String>())?;
    }
    Ok(())
}

fn print_loads(loads: &[Load], out: &mut impl Write) -> anyhow::Result<()> {
    let of = |figure: fn(&Load) -> f64| loads.iter().map(figure);
    let sum = |figure: fn(&Load) -> u64| loads.iter().map(figure).sum::<u64>();
    let rate = shown(of(|load| load.rate), 0);
    writeln!(out, "\nsaturating rate, {SATURATING} requests under way (HTTP and gRPC): {rate} spans/s")?;
    let (p50, p99) = (shown(of(|load| load.p50_ms), 1), shown(of(|load| load.p99_ms), 1));
    let peak = shown(of(|load| load.half_peak_mb), 0);
    writeln!(out, "half of it (HTTP): ack p50 {p50} ms, p99 {p99} ms; peak {peak} MB")?;
    let (full, over) = (shown(of(|load| load.full_peak_mb), 0), shown(of(|load| load.over_peak_mb), 0));
    let taken = shown(of(|load| load.over_rate), 0);
    writeln!(
        out,
        "twice of it (HTTP and gRPC): took {taken} spans/s, refused {} requests, {} of them without a time to come back, failed {}, not sent {}",
        sum(|load| load.refused),
        sum(|load| load.without_time),
        sum(|load| load.failed),
        sum(|load| load.not_sent)
    )?;
    let growth = shown(loads.iter().map(Load::growth), 1);
    writeln!(out, "resident: peak {full} MB at the saturating rate, {over} MB at twice that: growth {growth} %")?;
    let found: f64 = loads.iter().map(|load| load.found).sum();
    writeln!(out, "acknowledged {} spans, found {found} after it", sum(|load| load.acknowledged))?;
    anyhow::ensure!(loads.iter().all(|load| (load.found - load.acknowledged as f64).abs() < 0.5), "spans are missing");
    Ok(())
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The sets, and what ClickHouse gets of them.
async fn prepare() -> anyhow::Result<(Vec<Set>, shop::Shop)> {
    let shop = shop::record().await?;
    let set = |name, table, signal, requests: Vec<Vec<u8>>| {
        let requests = requests.into_iter().map(|bytes| Request::read(signal, bytes)).collect();
        Set { name, table, source: Source::new(signal, requests, Times::Now) }
    };
    let sets = vec![
        set("spans", "spans", Signal::Traces, shop.traces.iter().map(Message::encode_to_vec).collect()),
        set("log records", "logs", Signal::Logs, shop.logs.iter().map(Message::encode_to_vec).collect()),
        set("points", "metrics", Signal::Metrics, shop.metrics.iter().map(Message::encode_to_vec).collect()),
    ];
    for set in &sets {
        anyhow::ensure!(!set.source.requests.is_empty(), "the shop sent too few {}", set.name);
    }
    Ok((sets, shop))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wants = |run: &str| named.iter().any(|name| name == run) || (named.is_empty() && run != "recorded");
    let (rounds, records) = (number("ROUNDS", 3_u32), number("RECORDS", 1_000_000_u64));
    let long = Duration::from_secs(number("RUN_SECONDS", 15_u64));
    let mut out = std::io::stdout().lock();
    let cores = std::thread::available_parallelism()?;
    writeln!(out, "{cores} cores, load average before: {}", load_average())?;
    let files: Vec<PathBuf> = named.iter().map(PathBuf::from).filter(|path| path.is_file()).collect();
    if wants("recorded") || !files.is_empty() {
        return recorded::run(&files, &mut out).await;
    }
    let (sets, shop) = prepare().await?;
    let rules = rules::configuration();
    let clickhouse = if wants("clickhouse") { Some(ClickHouse::prepare(&shop.traces, records)) } else { None };
    if let Some(Err(error)) = &clickhouse {
        writeln!(out, "without ClickHouse: {error}")?;
    }
    let clickhouse = clickhouse.and_then(Result::ok);
    drop(shop);
    let mut costs: Vec<Vec<Cost>> = sets.iter().map(|_| Vec::new()).collect();
    let (mut beside, mut loads) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        writeln!(out, "round {round} of {rounds}, load average {}", load_average())?;
        for (set, costs) in sets.iter().zip(&mut costs) {
            if wants("cost") || named.iter().any(|name| name == set.table) {
                costs.push(cost(set, records, &rules).await?);
            }
        }
        beside.extend(clickhouse.as_ref().map(ClickHouse::run).transpose()?);
        if wants("load") {
            loads.push(load(&sets[0], long, &rules).await?);
        }
    }
    print_costs(&sets, &costs, &mut out)?;
    if let Some(one) = beside.first() {
        let of = |figure: fn(&clickhouse::Cost) -> f64| shown(beside.iter().map(figure), 2);
        writeln!(
            out,
            "\nClickHouse {} (chdb), {} spans in prepared blocks, not synced: CPU {} s/M, {} M spans/s, peak {} MB, {} B on disk",
            one.version,
            one.rows,
            of(|cost| cost.cpu_seconds / cost.rows as f64 * 1e6),
            of(|cost| cost.rows as f64 / cost.seconds / 1e6),
            of(|cost| cost.peak_bytes / f64::from(1 << 20)),
            of(|cost| cost.disk_bytes / cost.rows as f64),
        )?;
    }
    if !loads.is_empty() {
        print_loads(&loads, &mut out)?;
    }
    writeln!(out, "load average after: {}", load_average())?;
    Ok(())
}
