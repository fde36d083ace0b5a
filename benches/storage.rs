//! What parts cost at rest and how fast a trace is found among many, on a store in this process.
//!
//! `make bench-storage` prints: bytes per record of recorded and generated data before and after compaction, with the
//! time and memory of the merges; then, with 1,000 parts, how long a start takes and a trace by id. The demo shop sends
//! through the release binary. `--parts-only` leaves the sets out; `--writer`, with part of a set's name if need be,
//! measures what it costs to write and to merge parts and nothing else. The machine's load is printed: read figures as ratios when it is busy.

mod house;
mod made_up;
mod writer;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, to_bytes};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tower::ServiceExt;
use tracelake_model::{Caller, Clock, Signal, SystemClock, Table, TenantId, UnixNano};
use tracelake_query::Engine;

use house::{DAY, House, MERGE_WAIT, Outcome, cpu_seconds, frames, load, memory_mb, recorded_sets};

/// The binary's allocator, so that figures are the server's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Parts of the search for traces: days, and spans of each flush in each of them.
const DAYS: u64 = 143;
const FLUSH_TRACES: [u64; 7] = [1500, 400, 100, 100, 100, 100, 100];
/// Days of one flush: more would share parts.
const FLUSH_DAYS: u64 = 28;
/// Spans of a made-up trace, and the services that they belong to.
const TRACE_SPANS: u64 = 12;
const SERVICES: [&str; 6] = ["frontend", "cart", "checkout", "payment", "shipping", "stock"];
const LOOKUPS: usize = 1000;

/// Compacts what a store holds, and prints its cost.
fn compact(name: &str, house: &House, out: &mut impl Write) -> Outcome<()> {
    let tables = [Table::Spans, Table::Logs, Table::Metrics];
    let fresh = tables.map(|table| house.live(table));
    // The high-water mark begins anew here (proc(5), clear_refs).
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (before_mb, begun_cpu) = (memory_mb("VmRSS")?, cpu_seconds()?);
    house.settle()?;
    let (cpu, peak) = (cpu_seconds()? - begun_cpu, memory_mb("VmHWM")? - before_mb);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    for (table, (fresh_parts, fresh_rows, fresh_bytes)) in tables.into_iter().zip(fresh) {
        let (parts, rows, bytes) = house.live(table);
        if rows > 0 {
            writeln!(
                out,
                "{name:<36} {table:<8} {rows:>9} {fresh_parts:>6} {:>8.2} {parts:>6} {:>8.2} {cpu:>7.1} {peak:>7.0}",
                fresh_bytes as f64 / fresh_rows as f64,
                bytes as f64 / rows as f64,
            )?;
        }
    }
    Ok(())
}

/// A recorded set, flushed every few thousand records as a server does every ten seconds.
async fn recorded(path: &Path, out: &mut impl Write) -> Outcome<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().replace(".binpb.zst", "");
    let signal = match &name {
        name if name.contains(".logs") => Signal::Logs,
        name if name.contains(".metrics") => Signal::Metrics,
        _ => Signal::Traces,
    };
    let folder = tempfile::tempdir()?;
    let house = House::open(folder.path(), SystemClock.now())?;
    let requests = frames(path)?;
    for chunk in requests.chunks(requests.len().div_ceil(20).max(1)) {
        for request in chunk {
            house.append(signal, request.clone()).await?;
        }
        house.store.flush().await?;
        house.clock.advance(Duration::from_secs(10));
    }
    compact(&name, &house, out)?;
    Ok(house.store.close().await?)
}

/// The demo shop's quarter of an hour, sent to the release binary.
async fn demo(out: &mut impl Write) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracelake"));
    command.args(["serve", "--listen-otlp-grpc", "127.0.0.1:0", "--listen-otlp-http", "127.0.0.1:0"]);
    command.args(["--listen-http", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let lines = server.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    let door = lines.map_while(Result::ok).find_map(|line| {
        let doors = line.strip_prefix("listening ")?.to_owned();
        doors.split(' ').find_map(|word| word.strip_prefix("otlp_grpc=")).map(str::to_owned)
    });
    let mut shop = Command::new(env!("CARGO_BIN_EXE_tracelake"));
    shop.args(["demo", "--once", "--rate", "50", "--endpoint"]).arg(format!("http://{}", door.unwrap_or_default()));
    let sent = shop.stdout(Stdio::null()).stderr(Stdio::null()).status();
    // A stop, as an operator makes it, flushes.
    let _ = Command::new("kill").arg(server.id().to_string()).status();
    server.wait()?;
    anyhow::ensure!(sent?.success(), "the demo failed");
    let house = House::open(folder.path(), SystemClock.now())?;
    compact("demo shop", &house, out)?;
    Ok(house.store.close().await?)
}

fn text(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Traces of one day from `start` on, three a second: a request that goes through six services.
fn traces(start: UnixNano, count: u64, random: &mut StdRng) -> (Vec<[u8; 16]>, ExportTraceServiceRequest) {
    let mut by_service: Vec<Vec<Span>> = vec![Vec::new(); SERVICES.len()];
    let mut ids = Vec::new();
    for number in 0..count {
        let trace: [u8; 16] = random.random();
        let begun = u64::try_from(start.0).unwrap_or(0) + number * 333_000_000;
        let mut parent = Vec::new();
        for step in 0..TRACE_SPANS {
            let service = usize::try_from(step / 2).unwrap_or(0) % SERVICES.len();
            let span: [u8; 8] = random.random();
            let took = random.random_range(200_000..40_000_000);
            let attributes = vec![
                text("http.request.method", "GET".to_owned()),
                text("http.route", format!("/api/{}/{{id}}", SERVICES[service])),
                text("url.path", format!("/api/{}/{}", SERVICES[service], random.random_range(0..100_000))),
                text("session.id", format!("{:016x}", random.random::<u64>())),
            ];
            by_service[service].push(Span {
                trace_id: trace.to_vec(),
                span_id: span.to_vec(),
                parent_span_id: std::mem::replace(&mut parent, span.to_vec()),
                name: format!("GET /api/{}", SERVICES[service]),
                kind: if step % 2 == 0 { 2 } else { 3 },
                start_time_unix_nano: begun + step * 1_000_003,
                end_time_unix_nano: begun + step * 1_000_003 + took,
                attributes,
                ..Span::default()
            });
        }
        ids.push(trace);
    }
    let resource_spans = by_service.into_iter().zip(SERVICES).map(|(spans, service)| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![text("service.name", service.to_owned()), text("k8s.pod.name", format!("{service}-7d9f"))],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    (ids, ExportTraceServiceRequest { resource_spans: resource_spans.collect() })
}

/// Fills a store with 1,000 parts of very different sizes, seven a day; some of their traces.
async fn fill(house: &House) -> Outcome<Vec<[u8; 16]>> {
    let mut random = StdRng::seed_from_u64(17);
    let mut known = Vec::new();
    for (flush, count) in FLUSH_TRACES.into_iter().enumerate() {
        for day in 0..DAYS {
            let minutes = Duration::from_secs(600 * u64::try_from(flush)?);
            let start = house.clock.now().minus(DAY * u32::try_from(day)?).plus(minutes);
            let (ids, request) = traces(start, count, &mut random);
            known.extend(ids.into_iter().take(20));
            house.append(Signal::Traces, request.encode_to_vec().into()).await?;
            if (day + 1).is_multiple_of(FLUSH_DAYS) || day + 1 == DAYS {
                house.store.flush().await?;
            }
        }
        house.clock.advance(Duration::from_secs(10));
    }
    Ok(known)
}

/// Milliseconds at a share of all.
fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(f64::NAN)
}

/// Asks for traces by id, one after the other; milliseconds each, in order of size.
async fn look_up(engine: &Arc<Engine>, ids: &[[u8; 16]]) -> Outcome<Vec<f64>> {
    let routes = tracelake_query::router(Arc::clone(engine)).layer(Extension(Caller::anonymous(TenantId::default())));
    let mut taken = Vec::with_capacity(ids.len());
    for id in ids {
        let path = format!("/api/v1/traces/{}", tracelake_model::to_hex(id));
        let request = http::Request::get(path).body(Body::empty())?;
        let begun = Instant::now();
        let answer = routes.clone().oneshot(request).await?;
        anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
        let body = to_bytes(answer.into_body(), 64 << 20).await?;
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(body.len() > 1000, "a whole trace");
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken)
}

async fn many_parts(out: &mut impl Write) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    // Noon, so that a day's parts stay on their day.
    let noon = UnixNano(SystemClock.now().0 / 86_400_000_000_000 * 86_400_000_000_000).plus(DAY / 2);
    let house = House::open(folder.path(), noon)?;
    let mut ids = fill(&house).await?;
    house.store.close().await?;
    let (now, open_mb) = (house.clock.now(), memory_mb("VmRSS")?);
    drop(house);
    let begun = Instant::now();
    let house = House::open(folder.path(), now)?;
    let ready = begun.elapsed();
    while house.figure("tracelake_storage_trace_index_parts") < house.live(Table::Spans).0 as f64 {
        anyhow::ensure!(begun.elapsed() < MERGE_WAIT, "trace indexes are not read");
        std::thread::sleep(Duration::from_millis(1));
    }
    let (parts, rows, bytes) = house.live(Table::Spans);
    let index = house.figure("tracelake_storage_trace_index_bytes");
    writeln!(
        out,
        "\n{parts} parts, {rows} spans, {:.2} B/span (fresh), trace index {:.1} MB",
        bytes as f64 / rows as f64,
        index / 1e6
    )?;
    writeln!(
        out,
        "start to ready: {:.0} ms; all trace indexes read after {:.0} ms",
        ready.as_secs_f64() * 1e3,
        begun.elapsed().as_secs_f64() * 1e3
    )?;
    let engine =
        Engine::new(Arc::clone(&house.store), tracelake_query::Config::default(), Arc::new(house.clock.clone()));
    let mut random = StdRng::seed_from_u64(5);
    for at in (1..ids.len()).rev() {
        ids.swap(at, random.random_range(0..=at));
    }
    ids.truncate(LOOKUPS);
    for round in ["first", "warm"] {
        let taken = look_up(&engine, &ids).await?;
        let [p50, p99] = [50, 99].map(|percent| at(&taken, percent));
        writeln!(
            out,
            "trace by id, {round} time of {} ids: p50 {p50:.2} ms, p99 {p99:.2} ms, longest {:.2} ms",
            taken.len(),
            at(&taken, 100)
        )?;
    }
    writeln!(out, "resident: {:.0} MB when filled, {:.0} MB now; load {}", open_mb, memory_mb("VmRSS")?, load())?;
    Ok(house.store.close().await?)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--writer") {
        let only = args.get(at + 1).filter(|only| !only.starts_with("--"));
        return writer::run(only.map(String::as_str), &mut out).await;
    }
    writeln!(out, "load average before: {}", load())?;
    if !std::env::args().any(|arg| arg == "--parts-only") {
        let heads = ["set", "table", "records", "fresh", "B each", "parts", "B each", "CPU s", "peak MB"];
        let [set, table, records, fresh, fresh_bytes, parts, bytes, cpu, peak] = heads;
        writeln!(
            out,
            "{set:<36} {table:<8} {records:>9} {fresh:>6} {fresh_bytes:>8} {parts:>6} {bytes:>8} {cpu:>7} {peak:>7}"
        )?;
        demo(&mut out).await?;
        for path in recorded_sets() {
            recorded(&path, &mut out).await?;
        }
    }
    many_parts(&mut out).await
}
