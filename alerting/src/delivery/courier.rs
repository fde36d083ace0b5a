//! Takes due notices, sends them, records how it went.
//!
//! Every outcome is in the journal before the next attempt; when that fails the notice stays pending and goes out again
//! with the same id. A notice is never on its way twice at once, and a slow receiver never holds all deliveries.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{Clock, TenantId, UnixNano};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tracelake_model as model;
use tracing::{info, warn};

use crate::delivery::breaker::Breaker;
use crate::delivery::receiver::Receiver;
use crate::delivery::retry;
use crate::delivery::webhook::{Delivery, Outcome, Webhook};
use crate::error::Error;
use crate::ledger::Ended;
use crate::notice::{Notice, NoticeStatus};
use crate::outbox::Outbox;
use crate::rule::registry::Registry;

const PER_RECEIVER_MAX: usize = 4;
const SLEEP_MAX: Duration = Duration::from_millis(250);
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

type Place = (String, String);

/// Figures of deliveries.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    pub delivered: AtomicU64,
    pub failed: AtomicU64,
    pub dead: AtomicU64,
}

/// The delivery side of alerting.
pub(crate) struct Courier {
    pub outbox: Arc<Outbox>,
    pub registry: Arc<Registry>,
    pub webhook: Arc<Webhook>,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Deliveries>,
    pub permits: Arc<Semaphore>,
    pub give_up_after: Duration,
    pub lanes: Mutex<Lanes>,
}

/// What is on its way, and how receivers behave.
#[derive(Default)]
pub(crate) struct Lanes {
    in_flight: HashMap<String, Place>,
    breakers: HashMap<Place, Breaker>,
}

impl Lanes {
    /// Whether a notice may go now; counts it in if so.
    fn enter(&mut self, notice_id: &str, place: &Place, now: Instant) -> bool {
        let busy = self.in_flight.values().filter(|other| *other == place).count();
        if busy >= PER_RECEIVER_MAX || self.in_flight.contains_key(notice_id) {
            return false;
        }
        let admitted = self.breakers.entry(place.clone()).or_default().admit(now);
        if admitted {
            self.in_flight.insert(notice_id.to_owned(), place.clone());
        }
        admitted
    }

    fn leave(&mut self, notice_id: &str, delivered: bool, now: Instant) {
        if let Some(place) = self.in_flight.remove(notice_id)
            && let Some(breaker) = self.breakers.get_mut(&place)
        {
            breaker.record(delivered, now);
            if !breaker.is_open() && delivered {
                self.breakers.remove(&place);
            }
        }
    }

    /// How many are on their way.
    pub(crate) fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// How many receivers are being left alone.
    pub(crate) fn open_breakers(&self) -> usize {
        self.breakers.values().filter(|breaker| breaker.is_open()).count()
    }
}

impl Courier {
    /// Delivers for ever; ends when its task is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let rung = self.outbox.due.notified();
            let started = self.start_due();
            let pending = !self.outbox.ledger().due.is_empty();
            if started {
                continue;
            }
            if pending {
                let _ = tokio::time::timeout(SLEEP_MAX, rung).await;
            } else {
                rung.await;
            }
        }
    }

    /// Starts one due notice; `false` when none may go now.
    fn start_due(self: &Arc<Self>) -> bool {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return false };
        let Some(notice) = self.next_due() else { return false };
        let courier = Arc::clone(self);
        tokio::spawn(async move {
            courier.deliver(notice).await;
            drop(permit);
            courier.outbox.due.notify_one();
        });
        true
    }

    fn next_due(&self) -> Option<Notice> {
        let now = self.clock.now().0;
        let ledger = self.outbox.ledger();
        let mut lanes = self.lanes.lock();
        let instant = Instant::now();
        let mut ids = ledger.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id);
        ids.find_map(|id| {
            let notice = ledger.notices.get(id)?;
            let place = (notice.tenant.clone(), notice.receiver_id.clone());
            lanes.enter(id, &place, instant).then(|| notice.clone())
        })
    }

    async fn deliver(self: &Arc<Self>, notice: Notice) {
        let outcome = self.send(&notice).await;
        let delivered = outcome.result == Delivery::Delivered;
        let ended = self.judge(&notice, outcome);
        let counter = match ended.status {
            NoticeStatus::Delivered => &self.counters.delivered,
            NoticeStatus::Pending => &self.counters.failed,
            NoticeStatus::Dead => &self.counters.dead,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let (outbox, id) = (Arc::clone(&self.outbox), notice.notice_id.clone());
        let recorded = tokio::task::spawn_blocking(move || outbox.record_attempt(&id, ended)).await;
        if let Ok(Err(error)) = recorded {
            warn!(%error, notice = notice.notice_id, "outcome of a delivery could not be journaled, it will be repeated");
            tokio::time::sleep(JOURNAL_PAUSE).await;
        }
        self.lanes.lock().leave(&notice.notice_id, delivered, Instant::now());
    }

    async fn send(&self, notice: &Notice) -> Outcome {
        let receiver = match self.receiver(notice).await {
            Ok(Some(receiver)) => receiver,
            Ok(None) => {
                let answer = format!("receiver {:?} does not exist any more", notice.receiver_id);
                return Outcome { result: Delivery::Refused, answer };
            }
            Err(error) => return Outcome { result: Delivery::Retry(None), answer: error.to_string() },
        };
        self.webhook.send(&receiver, &notice.notice_id, &notice.body, self.clock.now()).await
    }

    async fn receiver(&self, notice: &Notice) -> Result<Option<Arc<Receiver>>, Error> {
        let Ok(tenant) = TenantId::new(&notice.tenant) else { return Ok(None) };
        let rules = self.registry.load(&tenant).await?;
        Ok(rules.receivers.get(&notice.receiver_id).map(|(receiver, _)| Arc::clone(receiver)))
    }

    /// What an outcome means for the notice.
    fn judge(&self, notice: &Notice, outcome: Outcome) -> Ended {
        let now = self.clock.now();
        let (id, receiver) = (&notice.notice_id, &notice.receiver_id);
        let attempt = notice.attempt_count + 1;
        let dead = |answer| Ended { status: NoticeStatus::Dead, time: now.0, next_attempt: None, answer };
        match outcome.result {
            Delivery::Delivered => {
                info!(notice = id, receiver, attempt, "notice delivered");
                Ended { status: NoticeStatus::Delivered, time: now.0, next_attempt: None, answer: outcome.answer }
            }
            Delivery::Refused => {
                warn!(notice = id, receiver, answer = outcome.answer, "notice given up");
                dead(outcome.answer)
            }
            Delivery::Retry(_) if now > UnixNano(notice.tried_since).plus(self.give_up_after) => {
                warn!(notice = id, receiver, attempt, answer = outcome.answer, "notice given up after its time");
                dead(outcome.answer)
            }
            Delivery::Retry(wished) => {
                let delay = retry::delay(id, attempt).max(wished.unwrap_or_default());
                info!(notice = id, receiver, attempt, answer = outcome.answer, "delivery failed, trying again");
                let next_attempt = Some(now.plus(delay).0);
                Ended { status: NoticeStatus::Pending, time: now.0, next_attempt, answer: outcome.answer }
            }
        }
    }
}
