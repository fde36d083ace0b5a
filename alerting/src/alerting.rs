//! The wing: opens its state, starts its thread and tasks, and ends them in order.
//!
//! Deliberately holds no logic of its own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;

use model::{Clock, DocumentStore, Sample, Sink, Tap};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracelake_model as model;
use tracing::{error, warn};

use crate::config::Config;
use crate::delivery::courier::{Courier, Deliveries, Lanes};
use crate::delivery::webhook::Webhook;
use crate::derived::{store_rows, store_rows_once};
use crate::episode::EpisodeState;
use crate::error::Error;
use crate::http::route;
use crate::matching::{Counters, Matching};
use crate::outbox::{Outbox, OutboxLimits};
use crate::queue::Queue;
use crate::rule::registry::Registry;
use crate::state::Tracker;
use crate::tap::AlertingTap;

/// The alerting wing.
pub struct Alerting {
    config: Config,
    registry: Arc<Registry>,
    outbox: Arc<Outbox>,
    queue: Arc<Queue>,
    webhook: Arc<Webhook>,
    courier: Arc<Courier>,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    deliveries: Arc<Deliveries>,
    started: AtomicBool,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    thread: Option<std::thread::JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Alerting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerting").field("dir", &self.config.dir).finish_non_exhaustive()
    }
}

impl Alerting {
    /// Checks the configuration and reads the journal. Rules of documents are read at a tenant's first request.
    pub fn open(
        config: Config,
        documents: Arc<dyn DocumentStore>,
        sink: Arc<dyn Sink>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        config.check()?;
        let limits = OutboxLimits {
            notices_pending_max: config.notices_pending_max,
            notices_kept_max: config.notices_kept_max,
            journal_bytes_max: config.journal_bytes_max,
        };
        let outbox = Arc::new(Outbox::open(&config.dir, limits, Arc::clone(&clock))?);
        let (rules, receivers) = (config.rules.clone(), config.receivers.clone());
        let registry = Arc::new(Registry::new(rules, receivers, config.default_pack, documents));
        let webhook = Arc::new(Webhook::new(config.delivery_timeout, config.private_receivers));
        let deliveries = Arc::new(Deliveries::default());
        let courier = Arc::new(Courier {
            outbox: Arc::clone(&outbox),
            registry: Arc::clone(&registry),
            webhook: Arc::clone(&webhook),
            clock: Arc::clone(&clock),
            counters: Arc::clone(&deliveries),
            permits: Arc::new(Semaphore::new(config.deliveries_max)),
            give_up_after: config.give_up_after,
            lanes: Mutex::new(Lanes::default()),
        });
        Ok(Arc::new(Self {
            registry,
            outbox,
            queue: Arc::new(Queue::new(config.queue_requests_max, config.queue_bytes_max)),
            webhook,
            courier,
            sink,
            clock,
            counters: Arc::new(Counters::default()),
            deliveries,
            started: AtomicBool::new(false),
            running: Mutex::new(Running::default()),
            config,
        }))
    }

    /// Everything that is durable of this wing, as the journal of a directory would hold it: what was tried and not yet
    /// delivered, episodes, positions.
    pub fn copy_state(&self) -> Vec<u8> {
        self.outbox.image()
    }

    /// What storage hands durable requests to. It takes `queue_requests_max` of them before [`Alerting::start`].
    pub fn tap(self: &Arc<Self>) -> Arc<dyn Tap> {
        Arc::new(AlertingTap { queue: Arc::clone(&self.queue), outbox: Arc::clone(&self.outbox) })
    }

    /// Starts matching (a thread of its own) and delivery (tasks of the current runtime). Once; later calls do nothing.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self: &Arc<Self>) {
        if self.started.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut running = self.running.lock();
        let episodes = self.outbox.ledger().episodes.values().cloned().collect();
        let matching = Matching {
            queue: Arc::clone(&self.queue),
            outbox: Arc::clone(&self.outbox),
            registry: Arc::clone(&self.registry),
            sink: Arc::clone(&self.sink),
            clock: Arc::clone(&self.clock),
            counters: Arc::clone(&self.counters),
            runtime: Handle::current(),
            tracker: Tracker::new(episodes, self.config.groups_max, self.config.external_url.clone()),
        };
        match std::thread::Builder::new().name("alerting".to_owned()).spawn(move || matching.run()) {
            Ok(thread) => running.thread = Some(thread),
            Err(error) => error!(%error, "no thread for alerting: rules are not matched"),
        }
        running.tasks.push(tokio::spawn(Arc::clone(&self.courier).run()));
        running.tasks.push(tokio::spawn(store_rows(Arc::clone(&self.outbox), Arc::clone(&self.sink))));
    }

    /// The routes under `/api/v1/alerting/`.
    pub fn router(self: &Arc<Self>) -> Router {
        route::router(route::Context {
            registry: Arc::clone(&self.registry),
            outbox: Arc::clone(&self.outbox),
            webhook: Arc::clone(&self.webhook),
            clock: Arc::clone(&self.clock),
        })
    }

    /// Figures for `/metrics`.
    #[expect(clippy::cast_precision_loss, reason = "a metric's figure is a double by format")]
    pub fn stats(&self) -> Vec<Sample> {
        let (pending, firing, rows_dropped) = {
            let ledger = self.outbox.ledger();
            let firing = ledger.episodes.values().filter(|e| e.state == EpisodeState::Firing).count();
            (ledger.due.len(), firing, ledger.rows_dropped)
        };
        let (flying, open) = {
            let lanes = self.courier.lanes.lock();
            (lanes.len(), lanes.open_breakers())
        };
        let count = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let (seen, sent) = (&self.counters, &self.deliveries);
        let attempts = |result: &str, figure| {
            let help = "Delivery attempts of notices by how they ended.";
            Sample::counter("tracelake_alerting_delivery_attempts_total", help, figure).label("result", result)
        };
        let mut samples = vec![
            Sample::counter("tracelake_alerting_requests_total", "Durable requests looked at.", count(&seen.requests)),
            Sample::counter(
                "tracelake_alerting_requests_skipped_total",
                "Durable requests handed over again though their outcome was durable.",
                count(&seen.skipped),
            ),
            Sample::counter("tracelake_alerting_matches_total", "Records that matched a rule.", count(&seen.matches)),
            Sample::counter("tracelake_alerting_exceptions_total", "Exceptions found.", count(&seen.exceptions)),
            Sample::counter(
                "tracelake_alerting_panics_total",
                "Requests on which matching failed (a defect).",
                count(&seen.panics),
            ),
            Sample::counter(
                "tracelake_alerting_rows_dropped_total",
                "Alert and notice rows given up because storage would not take them.",
                rows_dropped,
            ),
            attempts("delivered", count(&sent.delivered)),
            attempts("retrying", count(&sent.failed)),
            attempts("dead", count(&sent.dead)),
            Sample::gauge(
                "tracelake_alerting_queue_requests",
                "Durable requests waiting for matching.",
                self.queue.len() as f64,
            ),
            Sample::gauge(
                "tracelake_alerting_position",
                "WAL position up to which outcomes are durable.",
                self.outbox.position() as f64,
            ),
            Sample::gauge("tracelake_alerting_alerts_firing", "Alerts that are firing.", firing as f64),
            Sample::gauge("tracelake_alerting_notices_pending", "Notices waiting for delivery.", pending as f64),
            Sample::gauge("tracelake_alerting_deliveries_in_flight", "Deliveries on their way.", flying as f64),
            Sample::gauge(
                "tracelake_alerting_receivers_paused",
                "Receivers left alone for a moment after failures.",
                open as f64,
            ),
        ];
        samples.extend(seen.stage.samples());
        samples
    }

    /// Works off the queue, journals, stores waiting rows, and ends thread and tasks. Undelivered notices stay in the
    /// journal. Call it before the sink is closed.
    pub async fn close(&self) {
        const DELIVERIES_MAX: Duration = Duration::from_secs(2);
        self.queue.close();
        let running = std::mem::take(&mut *self.running.lock());
        if let Some(thread) = running.thread
            && let Err(error) = tokio::task::spawn_blocking(move || thread.join().is_ok()).await
        {
            warn!(%error, "the alerting thread ended badly");
        }
        for task in &running.tasks {
            task.abort();
        }
        // A delivery on its way may still be recorded; otherwise it is repeated with the same id after the start.
        let waited = tokio::time::timeout(DELIVERIES_MAX, async {
            while self.courier.lanes.lock().len() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let _ = waited.await;
        store_rows_once(&self.outbox, self.sink.as_ref()).await;
    }
}
