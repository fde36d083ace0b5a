//! A store in this process for a bench, what it cost this process so far, and requests to feed it with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracelake_model::{
    Clock, ContentType, DecodeLimits, Decoder, Encoding, Header, ManualClock, Request, Signal, Sink, Table, TenantId,
    UnixNano,
};
use tracelake_storage::{Config, Store};

pub(crate) type Outcome<T> = anyhow::Result<T>;

/// Kernel clock ticks per second (`sysconf(_SC_CLK_TCK)` is 100 on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Longest wait for the rounds of compaction.
pub(crate) const MERGE_WAIT: Duration = Duration::from_secs(600);

/// CPU seconds of this process so far.
pub(crate) fn cpu_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// A line of `/proc/self/status` in MB.
pub(crate) fn memory_mb(what: &str) -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
    let kilobytes: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}

pub(crate) fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

/// A store with what appends to it.
pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: ManualClock,
    decoder: Arc<dyn Decoder>,
}

impl House {
    pub(crate) fn open(data_dir: &Path, now: UnixNano) -> Outcome<Self> {
        let clock = ManualClock::new(now);
        let config = Config {
            data_dir: data_dir.to_owned(),
            // Only the bench flushes.
            flush_interval: Duration::from_secs(100_000),
            tail_bytes: 8 << 30,
            wal_bytes_max: 16 << 30,
            disk_share: 1.0,
            ..Config::default()
        };
        let decoder = tracelake_ingest::decoder();
        let store = Store::open(config, Arc::new(clock.clone()), Arc::clone(&decoder))?;
        store.start()?;
        Ok(Self { store, clock, decoder })
    }

    /// Decodes a request and makes it durable.
    pub(crate) async fn append(&self, signal: Signal, payload: Bytes) -> Outcome<()> {
        let mut header = Header {
            tenant: TenantId::default(),
            signal,
            content_type: ContentType::Protobuf,
            encoding: Encoding::Identity,
            received: self.clock.now(),
            decoder: 1,
            limits: DecodeLimits::default(),
            hash: None,
            accepted: Vec::new(),
            refused: 0,
            audit_seq: 0,
        };
        let batches =
            self.decoder.decode(&header, &payload).map_err(|fault| anyhow::anyhow!("a request: {}", fault.detail))?;
        header.accepted =
            batches.iter().map(|batch| (batch.table(), u32::try_from(batch.row_count()).unwrap_or(u32::MAX))).collect();
        let appended = self.store.append(Request { header, payload, batches }).await;
        appended.map(drop).map_err(|refusal| anyhow::anyhow!("refused: {}", refusal.detail))
    }

    pub(crate) fn figure(&self, name: &str) -> f64 {
        self.store.stats().iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }

    /// Live parts, rows and bytes of a table.
    pub(crate) fn live(&self, table: Table) -> (usize, u64, u64) {
        let snapshot = self.store.snapshot(&TenantId::default());
        let parts = snapshot.parts(table);
        let sum = |figure: fn(&tracelake_storage::Part) -> u64| parts.iter().map(|part| figure(part)).sum();
        (parts.len(), sum(|part| part.rows), sum(|part| part.bytes))
    }

    /// Waits until nothing is merged any more.
    pub(crate) fn settle(&self) -> Outcome<()> {
        self.clock.advance(DAY);
        let (begun, mut last, mut since) = (Instant::now(), -1.0, Instant::now());
        // A round comes every ten seconds; a merge that is under way uses a core.
        while since.elapsed() < Duration::from_secs(21) {
            anyhow::ensure!(begun.elapsed() < MERGE_WAIT, "compaction does not end");
            let (merged, busy) = (self.figure("tracelake_storage_compactions_total"), cpu_seconds()?);
            std::thread::sleep(Duration::from_secs(1));
            if merged > last || cpu_seconds()? - busy > 0.2 {
                (last, since) = (merged, Instant::now());
            }
        }
        Ok(())
    }
}

pub(crate) fn frames(path: &Path) -> Outcome<Vec<Bytes>> {
    let data = Bytes::from(zstd::stream::decode_all(fs::File::open(path)?)?);
    let (mut rest, mut frames) = (data.clone(), Vec::new());
    while !rest.is_empty() {
        let size = prost::decode_length_delimiter(&mut rest)?;
        frames.push(rest.split_to(size));
    }
    Ok(frames)
}

/// The recorded sets of requests: the full ones where present, else the committed slices.
pub(crate) fn recorded_sets() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let full =
        std::env::var_os("TRACELAKE_TEST_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from).join("otlp");
    for folder in [full, root.join("tests/data")] {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(".binpb.zst")).collect();
        if !files.is_empty() {
            files.sort();
            return files;
        }
    }
    Vec::new()
}
