//! The door of the storage wing, and the write path on one page: dedup, log, tail, receipt.
//!
//! The steps behind it stand in `write.rs`, `flush.rs` and `tap.rs`; threads repeat them (`driver.rs`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use object_store::ObjectStore;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracelake_model::{
    Batch, Clock, Decoder, Derived, DocumentStore, Position, Receipt, Refusal, Request, Sample, Sink, Table, Tap,
    TenantId,
};

use crate::backup::take::{BackupAsk, BackupReport};
use crate::bucket::counted::Requests;
use crate::check::report::{CheckAsk, CheckProgress, CheckReport};
use crate::check::run::check_directory;
use crate::config::Config;
use crate::core::{Core, Origin, unavailable};
use crate::dedup::{Claim, Outcome};
use crate::disk::{Disk, RealDisk};
use crate::driver::{self, Driver};
use crate::erasure::{Erased, Erasure};
use crate::error::Error;
use crate::hold::{Hold, Holds};
use crate::home::Home;
use crate::open;
use crate::part::file::Part;
use crate::queue::Entry;
use crate::reads::{Reads, Recent};
use crate::rows::memory_bytes;
use crate::scratch::Scratch;
use crate::seam::Seams;
use crate::signal::FlushReport;
use crate::snapshot::Snapshot;
use crate::wal::header::{DerivedHeader, FrameHeader};
use crate::{derived, home, stats};

/// How long closing waits for an erasure to end: the time of one batch.
const ERASING_WAIT: Duration = Duration::from_secs(30);

/// Makes requests durable and shows them to queries.
pub struct Store {
    core: Arc<Core>,
    driver: Mutex<Option<Driver>>,
    documents: Arc<dyn DocumentStore>,
    files: Arc<dyn ObjectStore>,
    recent: Arc<Recent>,
    /// What a bucket was asked.
    remote: Option<Arc<Requests>>,
}

impl Store {
    /// Opens (or makes) the data directory, locks it, and replays the log into the tail. Blocks: call it outside async
    /// threads. Without [`Store::start`] it can be read and flushed, but takes no appends.
    pub fn open(config: Config, clock: Arc<dyn Clock>, decoder: Arc<dyn Decoder>) -> Result<Arc<Self>, Error> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let home = Home::open(&config, Arc::clone(&disk))?;
        let (files, documents) = (home.files(), home.document_files());
        let core = open::open(config, &Seams { clock, decoder, disk, files, documents })?;
        let (documents, files, remote) = (home.documents()?, home.objects()?, home.requests());
        let recent = Arc::<Recent>::default();
        let files = Arc::new(Reads::new(files, Arc::clone(&recent)));
        Ok(Arc::new(Self { core: Arc::new(core), driver: Mutex::default(), documents, files, recent, remote }))
    }

    /// Tries the bucket that a configuration names, if it names one, without opening anything else; tells what was
    /// found. Blocks.
    pub fn try_place(config: &Config) -> Result<Option<String>, Error> {
        home::try_place(config)
    }

    /// Shows every durable request to `tap`, beginning past its own position. Before [`Store::start`].
    pub fn attach(&self, tap: Arc<dyn Tap>) -> Result<(), Error> {
        if self.driver.lock().is_some() {
            return Err(Error::Started("attach"));
        }
        let visible = self.core.tail.lock().visible();
        self.core.feed.attach(tap, visible);
        Ok(())
    }

    /// Starts the threads: the log's writer, the flusher, the feeder of taps. Once.
    pub fn start(self: &Arc<Self>) -> Result<(), Error> {
        let mut driver = self.driver.lock();
        if driver.is_some() || self.core.lock.lock().is_none() {
            return Err(Error::Started("start"));
        }
        *driver = Some(driver::start(&self.core)?);
        Ok(())
    }

    /// Parts and tail of this instant: every durable row of the tenant exactly once.
    pub fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        let snapshot = self.core.tail.lock().snapshot(tenant);
        snapshot.with_damage(&self.core.register).with_traces(&self.core.traces)
    }

    /// Looks at the parts that a tenant's queries read last, after one failed. True: one was damaged and is out of service
    /// from now on, or is gone; a new snapshot leaves it out and says what is missing.
    pub async fn suspect_recent(&self, tenant: &TenantId) -> Result<bool, Error> {
        let (core, recent, tenant) = (Arc::clone(&self.core), Arc::clone(&self.recent), tenant.clone());
        off_thread(move || core.suspect_recent(&recent, &tenant)).await?
    }

    /// Checks everything on disk while the store runs. `tell` hears how far it is and says whether to go on.
    pub async fn check(
        &self,
        ask: CheckAsk,
        mut tell: impl FnMut(CheckProgress) -> bool + Send + 'static,
    ) -> Result<CheckReport, Error> {
        let core = Arc::clone(&self.core);
        off_thread(move || core.check(ask, &mut tell)).await?
    }

    /// Checks everything on disk of a directory that no server uses. Blocks.
    pub fn check_directory(
        config: &Config,
        clock: &dyn Clock,
        ask: CheckAsk,
        tell: &mut dyn FnMut(CheckProgress) -> bool,
    ) -> Result<CheckReport, Error> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let files = Home::open(config, Arc::clone(&disk))?.files();
        check_directory((&disk, &files), &config.data_dir, clock, ask, tell)
    }

    /// Makes a backup while the store runs. `aside` gives the state of other wings, once taps have seen every row that is
    /// in the backup; `tell` hears of bytes that were copied and says whether to go on.
    pub async fn back_up(
        &self,
        ask: BackupAsk,
        mut aside: impl FnMut() -> Result<Vec<(String, bytes::Bytes)>, String> + Send + 'static,
        mut tell: impl FnMut(u64) -> bool + Send + 'static,
    ) -> Result<BackupReport, Error> {
        let core = Arc::clone(&self.core);
        off_thread(move || core.back_up(&ask, &mut aside, &mut tell)).await?
    }

    /// What is known to be damaged or missing, a sentence each with the remedy; empty when all is well.
    pub fn damage(&self) -> Vec<String> {
        self.core.register.sentences()
    }

    /// Moves the tail to Parquet now; everything acknowledged before the call is committed when it returns.
    pub async fn flush(&self) -> Result<FlushReport, Error> {
        let (tell, told) = oneshot::channel();
        if self.driver.lock().is_some() {
            self.core.flush_signal.ask(tell);
            return told.await.map_err(|_| Error::Closed)?.map_err(Error::Flush);
        }
        if self.core.lock.lock().is_none() {
            return Err(Error::Closed);
        }
        let core = Arc::clone(&self.core);
        off_thread(move || core.flush_step()).await?
    }

    /// The documents of this data directory.
    pub fn documents(&self) -> Arc<dyn DocumentStore> {
        Arc::clone(&self.documents)
    }

    /// The tenants that have or had rows, in order of their names.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.core.tail.lock().tenants()
    }

    /// The files of parts, rooted at `data` below the data directory or `url`: [`crate::Part::location`] is relative to it.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.files)
    }

    /// A file without a name below the data directory, for what does not fit into memory for a while. Blocks.
    pub fn scratch(&self) -> std::io::Result<Scratch> {
        Scratch::new(Arc::clone(&self.core.disk), &self.core.config.data_dir.join(home::SPOOL))
    }

    /// Bytes of a live part's file as it is now. Blocks.
    pub fn part_bytes(&self, part: &Part) -> std::io::Result<u64> {
        self.core.files.bytes(&part.location)
    }

    /// Removes rows of one table for which a condition holds, for good, or counts them. What is acknowledged before the
    /// call is looked at, what comes later stays. A caller who no longer waits (a dropped future) stops it between two
    /// parts; what went by then is gone.
    pub async fn erase(&self, tenant: &TenantId, erasure: Erasure) -> Result<Erased, Error> {
        if self.core.lock.lock().is_none() {
            return Err(Error::Closed);
        }
        let (core, tenant) = (Arc::clone(&self.core), tenant.clone());
        let waits = Arc::new(());
        let caller = Arc::downgrade(&waits);
        let erased = off_thread(move || {
            let mut go_on = || caller.strong_count() > 0 && !core.keeper.wait(Duration::ZERO);
            core.erase(&tenant, &erasure, &mut go_on)
        })
        .await;
        drop(waits);
        erased?
    }

    /// The holds of a tenant.
    pub async fn holds(&self, tenant: &TenantId) -> Result<Holds, Error> {
        let (core, tenant) = (Arc::clone(&self.core), tenant.clone());
        off_thread(move || core.holds(&tenant)).await
    }

    /// Begins a hold: once this returns, nothing that it covers is removed.
    pub async fn hold(&self, tenant: &TenantId, hold: &Hold) -> Result<(), Error> {
        let (core, tenant, hold) = (Arc::clone(&self.core), tenant.clone(), hold.clone());
        off_thread(move || core.begin_hold(&tenant, &hold)).await?
    }

    /// Ends a hold; whether there was one.
    pub async fn release(&self, tenant: &TenantId, id: &str) -> Result<bool, Error> {
        let (core, tenant, id) = (Arc::clone(&self.core), tenant.clone(), id.to_owned());
        off_thread(move || core.end_hold(&tenant, &id)).await?
    }

    /// What an operator should know although appends are accepted.
    pub fn warnings(&self) -> Vec<String> {
        self.core.warnings()
    }

    /// Figures for `/metrics`.
    pub fn stats(&self) -> Vec<Sample> {
        let remote = self.remote.as_deref().map(stats::remote_samples);
        [stats::samples(&self.core), remote.unwrap_or_default()].concat()
    }

    /// Whether appends can be accepted; else why not and what to do.
    pub fn health(&self) -> Result<(), String> {
        self.core.health()
    }

    /// Drains, flushes, and releases the directory. Later appends are refused; snapshots still answer. A failed flush
    /// loses nothing: the log still has the rows.
    pub async fn close(&self) -> Result<(), Error> {
        let driver = self.driver.lock().take();
        let core = Arc::clone(&self.core);
        off_thread(move || {
            let ended = driver.map_or(Ok(()), |driver| driver.stop(&core, true));
            // They were told to end with the rounds of upkeep.
            core.erasing.wait(ERASING_WAIT);
            core.lock.lock().take();
            ended
        })
        .await?
    }
}

impl Drop for Store {
    /// Ends the threads without a flush: what is in the tail stands in the log.
    fn drop(&mut self) {
        if let Some(driver) = self.driver.lock().take()
            && let Err(error) = driver.stop(&self.core, false)
        {
            tracing::error!(%error, "storage threads ended badly");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("data_dir", &self.core.config.data_dir).finish_non_exhaustive()
    }
}

/// Runs blocking work on a thread of its own, so that no async thread is held and no runtime is needed.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("storage-work".to_owned());
    thread.spawn(move || tell.send(work())).map_err(|source| Error::Io {
        what: "start a thread in",
        path: ".".into(),
        source,
    })?;
    told.await.map_err(|_| Error::Closed)
}

#[async_trait]
impl Sink for Store {
    async fn append(&self, request: Request) -> Result<Receipt, Refusal> {
        self.core.append(request).await
    }

    fn check(&self) -> Result<(), Refusal> {
        self.core.admit(Origin::Door, 0, 0)
    }

    async fn append_derived(&self, derived: Derived) -> Result<Receipt, Refusal> {
        self.core.append_derived(derived).await
    }

    fn derived_position(&self, tenant: &TenantId, source: &'static str) -> u64 {
        self.core.derived_position(tenant, source)
    }
}

impl Core {
    /// The write path: a payload known already is acknowledged or shares the pending one's fate; a new one is queued
    /// for the log's writer, which answers once it is on disk and visible.
    pub(crate) async fn append(&self, request: Request) -> Outcome {
        let Request { mut header, payload, batches } = request;
        if batches.is_empty() {
            return Ok(Receipt { position: self.visible(), duplicate: false });
        }
        // A replay is checked against this, so it must be what is really here.
        header.accepted = count(&batches);
        let claim = header.hash.map(|hash| self.dedup.lock().claim(hash, self.clock.now()));
        let duplicate = match claim {
            Some(Claim::Durable(position)) => Some(Ok(Receipt { position, duplicate: true })),
            Some(Claim::Pending(told)) => Some(told.await.unwrap_or_else(|_| Err(gone()))),
            Some(Claim::New) | None => None,
        };
        if let Some(outcome) = duplicate {
            self.counters.duplicates.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
            return outcome;
        }
        self.submit(Origin::Door, FrameHeader::Request(header), payload, batches).await
    }

    /// Derived rows take the same way; the writer drops what its stream has passed already.
    pub(crate) async fn append_derived(&self, derived: Derived) -> Outcome {
        let Derived { tenant, source, batches } = derived;
        let far = self.derived_position(&tenant, source.name);
        if batches.is_empty() || source.position <= far {
            return Ok(Receipt { position: self.visible(), duplicate: source.position <= far });
        }
        let payload = derived::encode(&batches).map_err(|error| Refusal {
            fault: error.kind(),
            detail: format!("derived rows cannot be written: {error}"),
            retry_after: None,
        })?;
        let header = FrameHeader::Derived(DerivedHeader {
            tenant,
            source: Arc::from(source.name),
            position: source.position,
            received: self.clock.now(),
            rows: count(&batches),
        });
        self.submit(Origin::Derived, header, payload, batches).await
    }

    async fn submit(&self, origin: Origin, header: FrameHeader, payload: bytes::Bytes, batches: Vec<Batch>) -> Outcome {
        let rows_bytes = memory_bytes(&batches);
        let (done, told) = oneshot::channel();
        if let Err(refusal) = self.admit(origin, payload.len() as u64, rows_bytes) {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            self.settle(&header, &Err(refusal.clone()), done);
            return Err(refusal);
        }
        if let Err(entry) = self.queue.push(Entry { header, payload, batches, rows_bytes, done }) {
            self.settle(&entry.header, &Err(gone()), entry.done);
        }
        told.await.unwrap_or_else(|_| Err(gone()))
    }

    /// How far a derived stream is, from the tail or else from the tables.
    pub(crate) fn derived_position(&self, tenant: &TenantId, source: &str) -> u64 {
        if let Some(position) = self.tail.lock().derived(tenant, source) {
            return position;
        }
        let position = self.logs.derived(tenant, source);
        let mut tail = self.tail.lock();
        tail.raise_derived(tenant, source, position);
        tail.derived(tenant, source).unwrap_or(position)
    }

    fn visible(&self) -> Position {
        Position(self.tail.lock().visible())
    }
}

fn count(batches: &[Batch]) -> Vec<(Table, u32)> {
    let rows = |batch: &Batch| (batch.table(), u32::try_from(batch.row_count()).unwrap_or(u32::MAX));
    batches.iter().map(rows).collect()
}

fn gone() -> Refusal {
    unavailable("storage is closing", 1)
}
