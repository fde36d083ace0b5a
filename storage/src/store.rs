//! The door of the storage wing.

use std::sync::Arc;

use async_trait::async_trait;
use tracelake_model::{
    Clock, Decoder, Derived, DocumentStore, Fault, Receipt, Refusal, Request, Sample, Sink, Tap, TenantId,
};

use crate::config::Config;
use crate::error::Error;
use crate::snapshot::Snapshot;

/// What a flush moved from the tail to parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Rows written.
    pub rows: u64,
    /// Parts written.
    pub parts: u64,
    /// Bytes of these parts.
    pub bytes: u64,
}

/// Makes requests durable and shows them to queries.
#[derive(Debug)]
pub struct Store {
    config: Config,
}

impl Store {
    /// Opens (or makes) the data directory, locks it, and replays the log into the tail. Blocks: call it outside async
    /// threads. Without [`Store::start`] it can be read, and flushed, but takes no appends.
    pub fn open(config: Config, clock: Arc<dyn Clock>, decoder: Arc<dyn Decoder>) -> Result<Arc<Self>, Error> {
        config.check()?;
        drop((clock, decoder));
        Ok(Arc::new(Self { config }))
    }

    /// Shows every durable request to `tap`, beginning past its own position. Before [`Store::start`].
    pub fn attach(&self, tap: Arc<dyn Tap>) -> Result<(), Error> {
        drop(tap);
        Err(Error::Started("attach"))
    }

    /// Starts the threads: the log's writer, the flusher, the feeder of taps.
    pub fn start(self: &Arc<Self>) -> Result<(), Error> {
        Err(Error::Started("start"))
    }

    /// Parts and tail of this instant.
    pub fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        Snapshot::new(tenant.clone(), std::array::from_fn(|_| Arc::from([])), Vec::new())
    }

    /// Moves the tail to Parquet now; everything acknowledged before the call is committed when it returns.
    #[expect(clippy::unused_async, reason = "the door comes before the house")]
    pub async fn flush(&self) -> Result<FlushReport, Error> {
        Err(Error::Closed)
    }

    /// The documents of this data directory.
    pub fn documents(&self) -> Arc<dyn DocumentStore> {
        unimplemented!("the door comes before the house")
    }

    /// The tenants that have rows, in order of their names.
    pub fn tenants(&self) -> Vec<TenantId> {
        Vec::new()
    }

    /// The files of parts, rooted at `data_dir/data`: [`crate::Part::location`] is relative to it.
    pub fn object_store(&self) -> Arc<dyn object_store::ObjectStore> {
        Arc::new(object_store::local::LocalFileSystem::new())
    }

    /// Figures for `/metrics`.
    pub fn stats(&self) -> Vec<Sample> {
        Vec::new()
    }

    /// Whether appends can be accepted; else why not.
    pub fn health(&self) -> Result<(), String> {
        Err(format!("{} is not open", self.config.data_dir.display()))
    }

    /// Drains, flushes, and releases the directory. Later appends are refused; snapshots still answer.
    #[expect(clippy::unused_async, reason = "the door comes before the house")]
    pub async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Sink for Store {
    async fn append(&self, _request: Request) -> Result<Receipt, Refusal> {
        Err(Refusal { fault: Fault::Unavailable, detail: "storage is not open".into(), retry_after: None })
    }

    async fn append_derived(&self, _derived: Derived) -> Result<Receipt, Refusal> {
        Err(Refusal { fault: Fault::Unavailable, detail: "storage is not open".into(), retry_after: None })
    }

    fn derived_position(&self, _tenant: &TenantId, _source: &'static str) -> u64 {
        0
    }
}
