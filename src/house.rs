//! The wings of one server, built bottom up and closed top down.
//!
//! Deliberately knows no listener and no route: `server.rs` hangs the wings' doors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracelake_alerting::Alerting;
use tracelake_ingest::Ingest;
use tracelake_model::{Clock, Sample, Sink, SystemClock, UnixNano};
use tracelake_query::{Engine, MapKeeper};
use tracelake_storage::{BackupAsk, BackupReport, Store};
use tracing::info;

use crate::config::schema::Config;
use crate::error::Error;

/// Where alerting finds its state, below the data directory.
const ALERTING_STATE: &str = "alerting/journal";

/// The wings of a running server.
pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) alerting: Arc<Alerting>,
    pub(crate) ingest: Arc<Ingest>,
    map: Mutex<Option<MapKeeper>>,
    started: UnixNano,
    begin: Instant,
    draining: AtomicBool,
}

impl House {
    /// Opens the data directory and builds the wings on it.
    pub(crate) fn open(config: &Config) -> Result<Arc<Self>, Error> {
        let begin = Instant::now();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let storage = |error: tracelake_storage::Error| Error::Storage(describe(&error));
        let store =
            Store::open(config.storage.clone(), Arc::clone(&clock), tracelake_ingest::decoder()).map_err(storage)?;
        let engine = Engine::new(Arc::clone(&store), config.query.clone(), Arc::clone(&clock));
        store.attach(engine.tap()).map_err(storage)?;
        let sink: Arc<dyn Sink> = Arc::clone(&store) as Arc<dyn Sink>;
        let alerting =
            Alerting::open(config.alerting.clone(), store.documents(), Arc::clone(&sink), Arc::clone(&clock));
        let alerting = alerting.map_err(|error| Error::Alerting(describe(&error)))?;
        store.attach(alerting.tap()).map_err(storage)?;
        store.start().map_err(storage)?;
        alerting.start();
        let ingest = Ingest::new(config.ingest.clone(), sink, Arc::clone(&clock));
        let doors = Arc::clone(&ingest);
        let map = MapKeeper::start(&engine, move || doors.is_overloaded())
            .map_err(|source| Error::System { what: "cannot start a thread", source })?;
        let map = Mutex::new(Some(map));
        let started = clock.now();
        info!(data_dir = %config.data_dir.display(), ms = begin.elapsed().as_millis(), "wings ready");
        let draining = AtomicBool::new(false);
        Ok(Arc::new(Self { store, engine, alerting, ingest, map, started, begin, draining }))
    }

    /// Why the server cannot take and answer, if it cannot.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("the server is ending".to_owned());
        }
        self.store.health()
    }

    /// From now on the server says that it is ending.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// When the server began to serve.
    pub(crate) fn started(&self) -> UnixNano {
        self.started
    }

    /// How long it has been serving.
    pub(crate) fn uptime(&self) -> Duration {
        self.begin.elapsed()
    }

    /// How many tenants have data.
    pub(crate) fn tenant_count(&self) -> usize {
        self.store.tenants().len()
    }

    /// The wings' figures.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        [self.ingest.stats(), self.store.stats(), self.engine.stats(), self.alerting.stats()].concat()
    }

    /// Makes a backup with alerting's state in it. `tell` hears of bytes that were copied and says whether to go on.
    pub(crate) async fn back_up(
        &self,
        ask: BackupAsk,
        tell: impl FnMut(u64) -> bool + Send + 'static,
    ) -> Result<BackupReport, tracelake_storage::Error> {
        let alerting = Arc::clone(&self.alerting);
        let aside = move || Ok(vec![(ALERTING_STATE.to_owned(), alerting.copy_state().into())]);
        self.store.back_up(ask, aside, tell).await
    }

    /// Top down: nobody hands anything to a wing that is closed.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.alerting.close().await;
        let map = self.map.lock().take();
        // It ends after the block under way, which is no work for an async thread to wait for.
        if let Some(map) = map
            && let Err(fault) = tokio::task::spawn_blocking(move || map.stop()).await
        {
            tracing::error!(%fault, "the keeper of the service map ended badly");
        }
        self.store.close().await.map_err(|error| Error::Storage(describe(&error)))
    }
}

/// An error with its causes, in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
