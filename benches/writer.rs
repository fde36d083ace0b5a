//! What it costs to write parts and to merge them: CPU of the flusher's and of the keeper's thread per million records,
//! bytes a record before and after, how often a merge wrote each row, and the peak of memory.
//!
//! Made-up and recorded telemetry, a thousand records a request and a hundred requests a flush.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tracelake_model::{Clock, Signal, SystemClock, Table};

use crate::house::{DAY, House, MERGE_WAIT, Outcome, frames, load, memory_mb, recorded_sets};
use crate::made_up;

/// Requests of a flush, and flushes of a made-up set: as many as are merged at once.
const FLUSH_REQUESTS: usize = 100;
const FLUSHES: u64 = 8;

/// CPU seconds of the live threads of this process whose name begins so.
fn thread_seconds(name: &str) -> Outcome<f64> {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // A thread may have ended meanwhile.
        let (Ok(comm), Ok(stat)) = (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")))
        else {
            continue;
        };
        if comm.starts_with(name) {
            nanoseconds += stat.split(' ').next().unwrap_or_default().parse::<f64>()?;
        }
    }
    Ok(nanoseconds / 1e9)
}

/// One export request after the other becomes one of so many records, in the order of time.
fn join<R: Message + Default>(
    requests: &[Bytes],
    records: impl Fn(&R) -> usize,
    add: impl Fn(&mut R, R),
) -> Outcome<Vec<Bytes>> {
    let (mut joined, mut waiting, mut count) = (Vec::new(), R::default(), 0);
    for request in requests {
        let request = R::decode(request.clone())?;
        count += records(&request);
        add(&mut waiting, request);
        if count as u64 >= made_up::RECORDS {
            joined.push(std::mem::take(&mut waiting).encode_to_vec().into());
            count = 0;
        }
    }
    if count > 0 {
        joined.push(waiting.encode_to_vec().into());
    }
    Ok(joined)
}

fn joined(signal: Signal, requests: &[Bytes]) -> Outcome<Vec<Bytes>> {
    match signal {
        Signal::Logs => join(
            requests,
            |request: &ExportLogsServiceRequest| {
                request.resource_logs.iter().flat_map(|of| &of.scope_logs).map(|of| of.log_records.len()).sum()
            },
            |all, one| all.resource_logs.extend(one.resource_logs),
        ),
        Signal::Metrics => join(
            requests,
            // A metric of the recordings has one point.
            |request: &ExportMetricsServiceRequest| {
                request.resource_metrics.iter().flat_map(|of| &of.scope_metrics).map(|of| of.metrics.len()).sum()
            },
            |all, one| all.resource_metrics.extend(one.resource_metrics),
        ),
        _ => join(
            requests,
            |request: &ExportTraceServiceRequest| {
                request.resource_spans.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len()).sum()
            },
            |all, one| all.resource_spans.extend(one.resource_spans),
        ),
    }
}

/// Where the requests of a set come from, by their number.
type Source = Box<dyn FnMut(u64) -> Option<Bytes>>;

/// Makes a request of records from a time (Unix nanoseconds) on.
type Make = fn(u64, &mut StdRng) -> Vec<u8>;

fn made(make: Make) -> Source {
    let mut random = StdRng::seed_from_u64(11);
    // Noon, so that all is of one day.
    let noon =
        u64::try_from(SystemClock.now().0).unwrap_or(0) / 86_400_000_000_000 * 86_400_000_000_000 + 43_200_000_000_000;
    let count = FLUSHES * FLUSH_REQUESTS as u64;
    Box::new(move |number| (number < count).then(|| make(noon + number * 10_000_000, &mut random).into()))
}

fn recorded(signal: Signal, path: &Path) -> Outcome<Source> {
    let requests = joined(signal, &frames(path)?)?;
    Ok(Box::new(move |number| requests.get(usize::try_from(number).ok()?).cloned()))
}

async fn measure(name: &str, signal: Signal, mut source: Source, out: &mut impl Write) -> Outcome<()> {
    let table = match signal {
        Signal::Logs => Table::Logs,
        Signal::Metrics => Table::Metrics,
        _ => Table::Spans,
    };
    let folder = tempfile::tempdir()?;
    let house = House::open(folder.path(), SystemClock.now())?;
    let (mut wire, mut number, mut flush_mb) = (0, 0, 0.0_f64);
    loop {
        let mut taken = 0;
        while taken < FLUSH_REQUESTS {
            let Some(request) = source(number) else { break };
            (wire, number, taken) = (wire + request.len(), number + 1, taken + 1);
            house.append(signal, request).await?;
        }
        if taken == 0 {
            break;
        }
        let before = reset_peak()?;
        house.store.flush().await?;
        flush_mb = flush_mb.max(memory_mb("VmHWM")? - before);
    }
    let (_, rows, fresh_bytes) = house.live(table);
    let flush = thread_seconds("storage-flusher")?;
    let (mut merged_rows, mut merge) =
        (house.figure("tracelake_storage_compacted_rows_out_total"), thread_seconds("storage-keeper")?);
    house.store.close().await?;
    let later = house.clock.now().plus(DAY);
    drop(house);
    // A start begins with a round of upkeep.
    let before = reset_peak()?;
    let house = House::open(folder.path(), later)?;
    let (begun, mut since, mut busy) = (Instant::now(), Instant::now(), -1.0);
    while since.elapsed() < Duration::from_secs(2) {
        anyhow::ensure!(begun.elapsed() < MERGE_WAIT, "compaction does not end");
        std::thread::sleep(Duration::from_millis(100));
        let now = thread_seconds("storage-keeper")?;
        if now - busy > 0.01 {
            (busy, since) = (now, Instant::now());
        }
    }
    merge += busy;
    merged_rows += house.figure("tracelake_storage_compacted_rows_out_total");
    let merge_mb = memory_mb("VmHWM")? - before;
    let (parts, kept, bytes) = house.live(table);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (rows, kept, wire, fresh_bytes, bytes) =
        (rows as f64, kept as f64, wire as f64, fresh_bytes as f64, bytes as f64);
    writeln!(
        out,
        "{name:<28} {rows:>8} {:>7.0} {:>8.3} {:>7.2} {flush_mb:>6.0} {:>8.3} {:>8.3} {:>7.2} {parts:>5} {merge_mb:>6.0}",
        wire / rows,
        flush / rows * 1e6,
        fresh_bytes / rows,
        merge / rows * 1e6,
        merged_rows / rows,
        bytes / kept,
    )?;
    Ok(house.store.close().await?)
}

/// Begins the high-water mark of memory anew (proc(5), clear_refs); where it stands, in MB.
fn reset_peak() -> Outcome<f64> {
    let _ = fs::write("/proc/self/clear_refs", "5");
    memory_mb("VmRSS")
}

/// Measures all sets, or those whose name has `only` in it.
pub(crate) async fn run(only: Option<&str>, out: &mut impl Write) -> Outcome<()> {
    writeln!(out, "load average: {}", load())?;
    let heads = ["set", "records", "wire B", "flush s", "B each", "MB", "merge s", "written", "B each", "parts", "MB"];
    let [set, records, wire, flush, fresh, flush_mb, merge, written, merged, parts, merge_mb] = heads;
    writeln!(
        out,
        "{set:<28} {records:>8} {wire:>7} {flush:>8} {fresh:>7} {flush_mb:>6} {merge:>8} {written:>8} {merged:>7} {parts:>5} {merge_mb:>6}"
    )?;
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let sets: [(&str, Signal, Make); 3] = [
        ("made-up spans", Signal::Traces, made_up::spans),
        ("made-up logs", Signal::Logs, made_up::logs),
        ("made-up points", Signal::Metrics, made_up::points),
    ];
    for (name, signal, make) in sets {
        if wanted(name) {
            measure(name, signal, made(make), out).await?;
        }
    }
    for path in recorded_sets() {
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (signal, what) = match file {
            file if file.contains(".logs") => (Signal::Logs, "logs"),
            file if file.contains(".metrics") => (Signal::Metrics, "points"),
            _ => (Signal::Traces, "spans"),
        };
        let name = format!("{} {what}", file.split(['-', '.']).next().unwrap_or_default());
        if wanted(&name) {
            measure(&name, signal, recorded(signal, &path)?, out).await?;
        }
    }
    writeln!(out, "load average: {}", load())?;
    Ok(())
}
