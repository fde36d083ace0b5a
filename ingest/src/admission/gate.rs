//! Bytes in flight of all and of each tenant, and the permit that a request holds them by.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracelake_model::{Clock, TenantId, UnixNano};

use crate::admission::bucket::{Allowance, Bucket};
use crate::admission::drain::Drain;
use crate::config::Config;
use crate::error::Error;

/// When to come back before anything was measured.
const RETRY_UNKNOWN: Duration = Duration::from_secs(1);
/// Coming back sooner costs more than it gains; later than the upper bound, a sender's own queue overflows.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// A tenant waits until it was told to come back and a little longer: times are rounded up, and senders add chance.
const WAIT_GRACE: Duration = Duration::from_secs(2);

/// What all doors share.
#[derive(Debug)]
pub(crate) struct Admission {
    config: Config,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    held: u64,
    drain: Drain,
    /// Tenants that hold bytes, wait, or have used their allowance; others are forgotten when a new one comes.
    tenants: HashMap<TenantId, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    held: u64,
    permits: u32,
    bucket: Option<Bucket>,
    waits_until: Option<UnixNano>,
    /// Until when what was refused before will have drained.
    booked: UnixNano,
}

/// Bytes held by one request: its body from the moment its size is known, decompressed bytes while they are decoded,
/// then its rows until they are durable.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    tenant: TenantId,
    held: u64,
    /// Of them, what was announced and did not arrive yet.
    announced: u64,
    received: u64,
    plain: u64,
    charged: u64,
    refused: bool,
}

/// Figures of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Bytes in flight.
    pub(crate) in_flight: u64,
    /// Bytes a second that leave; 0 before anything was measured.
    pub(crate) drain: u64,
    /// Tenants that were told to come back for want of room and have not been let in since.
    pub(crate) waiting: u64,
}

impl Admission {
    /// Allows `in_flight_bytes` at a time and each tenant its rate.
    pub(crate) fn new(config: Config, clock: Arc<dyn Clock>) -> Arc<Self> {
        let drain = Drain::new(clock.now());
        Arc::new(Self { config, clock, state: Mutex::new(State { held: 0, drain, tenants: HashMap::new() }) })
    }

    /// Figures of the moment.
    pub(crate) fn figures(&self) -> Figures {
        let now = self.clock.now();
        let state = self.lock();
        let waiting = state.tenants.values().filter(|tenant| tenant.waits(now)).count() as u64;
        Figures { in_flight: state.held, drain: state.drain.per_second(now).unwrap_or(0), waiting }
    }

    /// A permit for one more request, which holds what it announces; or a refusal before any byte is read: of a tenant
    /// beyond its rate, or of an announced size that has no room now.
    pub(crate) fn permit(self: &Arc<Self>, tenant: &TenantId, announced: Option<u64>) -> Result<Permit, Error> {
        let now = self.clock.now();
        let mut state = self.lock();
        state.know(tenant, self.allowance(tenant), now);
        if let Some(announced) = announced {
            state.room(tenant, 0, announced, self.config.in_flight_bytes, now)?;
        }
        let known = state.tenant(tenant);
        if let Some(bucket) = &mut known.bucket
            && let Some(retry_after) = bucket.wait(now)
        {
            return Err(Error::Rate { bytes_per_second: bucket.allowance().rate, retry_after });
        }
        known.permits += 1;
        let held = announced.unwrap_or(0);
        state.take(tenant, held, now);
        drop(state);
        let (admission, tenant) = (Arc::clone(self), tenant.clone());
        Ok(Permit { admission, tenant, held, announced: held, received: 0, plain: 0, charged: 0, refused: false })
    }

    fn allowance(&self, tenant: &TenantId) -> Option<Allowance> {
        let (rate, burst) = self.config.rate_of(tenant)?;
        Some(Allowance { rate, burst })
    }

    /// Counts stay sound whatever a panicking thread did: each change is one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn know(&mut self, tenant: &TenantId, allowance: Option<Allowance>, now: UnixNano) {
        if self.tenants.contains_key(tenant) {
            return;
        }
        self.tenants.retain(|_, known| known.is_of_use(now));
        let bucket = allowance.map(|allowance| Bucket::new(allowance, now));
        self.tenants.insert(tenant.clone(), Tenant { bucket, ..Tenant::default() });
    }

    fn tenant(&mut self, tenant: &TenantId) -> &mut Tenant {
        self.tenants.entry(tenant.clone()).or_default()
    }

    /// Holds bytes that have room.
    fn take(&mut self, tenant: &TenantId, bytes: u64, now: UnixNano) {
        if bytes == 0 {
            return;
        }
        if self.held == 0 {
            self.drain.begin(now);
        }
        self.held = self.held.saturating_add(bytes);
        let known = self.tenant(tenant);
        known.held = known.held.saturating_add(bytes);
    }

    /// Lets bytes go that nobody waited for.
    fn give_back(&mut self, tenant: &TenantId, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
        let known = self.tenant(tenant);
        known.held = known.held.saturating_sub(bytes);
    }

    /// Whether `bytes` more have room for a request of `tenant` that holds `own`. A refusal makes the tenant wait.
    fn room(&mut self, tenant: &TenantId, own: u64, bytes: u64, limit: u64, now: UnixNano) -> Result<(), Error> {
        let over = self.held.saturating_add(bytes).saturating_sub(limit);
        if over > 0 && self.held > own {
            let retry_after = self.book(tenant, over, bytes, now);
            return Err(Error::InFlight { limit, retry_after });
        }
        let others_wait = self.tenants.iter().any(|(name, known)| name != tenant && known.waits(now));
        let held = self.tenant(tenant).held;
        if !others_wait || held == own {
            return Ok(());
        }
        let share = limit / self.claimants(tenant, now);
        let over = held.saturating_add(bytes).saturating_sub(share);
        if over == 0 {
            return Ok(());
        }
        let retry_after = self.book(tenant, over, bytes, now);
        Err(Error::Share { share, retry_after })
    }

    /// Tenants that hold or wait for bytes, this one among them.
    fn claimants(&self, tenant: &TenantId, now: UnixNano) -> u64 {
        let claims = |(name, known): &(&TenantId, &Tenant)| *name == tenant || known.held > 0 || known.waits(now);
        self.tenants.iter().filter(claims).count().max(1) as u64
    }

    /// When `over` bytes will have drained, behind what this tenant was refused before.
    fn book(&mut self, tenant: &TenantId, over: u64, bytes: u64, now: UnixNano) -> Duration {
        let speed = self.drain.per_second(now).unwrap_or(0) / self.claimants(tenant, now);
        let known = self.tenant(tenant);
        let latest = now.plus(RETRY_MAX);
        let retry_after = if speed == 0 {
            RETRY_UNKNOWN
        } else {
            let turn = known.booked.min(latest).max(now.plus(time_of(over, speed)));
            known.booked = turn.plus(time_of(bytes, speed)).min(latest);
            let nanos = u64::try_from(turn.0.saturating_sub(now.0)).unwrap_or(0);
            Duration::from_nanos(nanos).clamp(RETRY_MIN, RETRY_MAX)
        };
        known.waits_until = Some(now.plus(retry_after).plus(WAIT_GRACE));
        retry_after
    }
}

impl Tenant {
    fn waits(&self, now: UnixNano) -> bool {
        self.waits_until.is_some_and(|until| now < until)
    }

    fn is_of_use(&mut self, now: UnixNano) -> bool {
        let used = self.bucket.as_mut().is_some_and(|bucket| !bucket.is_full(now));
        self.permits > 0 || self.waits(now) || used
    }
}

impl Permit {
    /// Holds the bytes of a body whose size was told only now, or says to come back.
    pub(crate) fn announce(&mut self, bytes: u64) -> Result<(), Error> {
        self.hold(bytes, self.charged)?;
        self.announced = self.announced.saturating_add(bytes);
        Ok(())
    }

    /// Bytes that were announced and did not arrive yet.
    pub(crate) fn announced(&self) -> u64 {
        self.announced
    }

    /// Counts `bytes` that arrived, and holds those that were not announced, or says to come back.
    pub(crate) fn receive(&mut self, bytes: u64) -> Result<(), Error> {
        let expected = bytes.min(self.announced);
        self.announced -= expected;
        self.received = self.received.saturating_add(bytes);
        self.hold(bytes - expected, self.received)
    }

    /// What was announced and did not come is held no longer: a sender that is slow, or that announced too much, keeps
    /// nobody else out. What comes later counts as it comes.
    pub(crate) fn forget_announced(&mut self) {
        let bytes = std::mem::take(&mut self.announced);
        if bytes == 0 {
            return;
        }
        self.held -= bytes;
        self.admission.lock().give_back(&self.tenant, bytes);
    }

    /// Holds `bytes` more that were decompressed, or says to come back. A rate counts the larger of both forms.
    pub(crate) fn inflate(&mut self, bytes: u64) -> Result<(), Error> {
        self.plain = self.plain.saturating_add(bytes);
        self.hold(bytes, self.plain)
    }

    /// Decompressed bytes gave way to rows of so many, or stay beside them. Rows are held whatever the limit is, since the
    /// work is done: who comes next is refused instead.
    pub(crate) fn decode(&mut self, rows_bytes: u64, plain_stays: bool) {
        let plain = if plain_stays { 0 } else { std::mem::take(&mut self.plain) };
        let now = self.admission.clock.now();
        let mut state = self.admission.lock();
        state.give_back(&self.tenant, plain);
        state.take(&self.tenant, rows_bytes, now);
        self.held = self.held.saturating_sub(plain).saturating_add(rows_bytes);
    }

    /// The sender was told to send it again: it shall not be charged twice.
    pub(crate) fn refund(&mut self) {
        let charged = std::mem::take(&mut self.charged);
        self.refused = true;
        let mut state = self.admission.lock();
        if let Some(bucket) = &mut state.tenant(&self.tenant).bucket {
            bucket.give_back(charged);
        }
    }

    fn hold(&mut self, bytes: u64, charge: u64) -> Result<(), Error> {
        let now = self.admission.clock.now();
        let mut state = self.admission.lock();
        // What was announced has its room.
        if bytes > 0
            && let Err(error) = state.room(&self.tenant, self.held, bytes, self.admission.config.in_flight_bytes, now)
        {
            drop(state);
            self.refund();
            return Err(error);
        }
        state.take(&self.tenant, bytes, now);
        self.held = self.held.saturating_add(bytes);
        if let Some(bucket) = &mut state.tenant(&self.tenant).bucket {
            bucket.take(charge.saturating_sub(self.charged), now);
            self.charged = self.charged.max(charge);
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.admission.clock.now();
        let mut state = self.admission.lock();
        state.held = state.held.saturating_sub(self.held);
        state.drain.left(self.held, now);
        let known = state.tenant(&self.tenant);
        known.held = known.held.saturating_sub(self.held);
        known.permits = known.permits.saturating_sub(1);
        if self.held > 0 && !self.refused {
            known.waits_until = None;
        }
    }
}

/// How long bytes take at a speed above 0, bytes a second.
fn time_of(bytes: u64, speed: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(speed.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
